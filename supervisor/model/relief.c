#include "podvisor/model/relief.h"

#include <string.h>

#include "podvisor/base/buf.h"

/* ---- asking ---- */

static bool renew_workers(struct world *w, const char *name, enum worker_cause cause)
{
	bool any = false;
	for (size_t i = 0; i < w->n_workers; i++)
		if (worker_is_configured(&w->workers[i]) && strcmp(w->workers[i].config->name, name) == 0)
			any |= worker_renew(&w->workers[i], cause);
	return any;
}

/* ---- a RAM disk that stays full ---- */

static bool ask_named(struct world *w, const char *reference)
{
	const char *colon = strchr(reference, ':');
	const char *name = colon ? colon + 1 : reference;
	if (!colon || strncmp(reference, "worker:", sizeof("worker:") - 1) == 0)
		return renew_workers(w, name, CAUSE_VOLUME);
	int slot = world_find_browser(w, name);
	return slot >= 0 && browser_ask_recycle(&w->browsers[slot], RECYCLE_FULL);
}

static void make_room(struct world *w, struct volume *v, struct turn *t)
{
	struct buf names;
	buf_init(&names, 120);
	v->full = false;
	for (char **name = v->config->on_full; *name; name++)
		if (ask_named(w, *name))
			buf_printf(&names, "%s%s", names.len ? ", " : "", *name);
	journal_add(t->journal, t->now, LOG_ERROR, THING_VOLUME, v->config->name, "full",
		"it stays %d%% full, above %d%%: %s%s", volume_fill_percent(v), v->config->high_percent,
		names.len ? "restarting " : "nothing of on_full runs", buf_str(&names));
	buf_fini(&names);
}

/* ---- the pod's memory ---- */

/* Tasks are what others wait for, and end by themselves. */
static bool may_ever_go(const struct worker *worker)
{
	return worker_is_configured(worker) && !worker->config->critical && worker->config->kind != WORKER_TASK;
}

static bool lacks_baseline(const struct worker *worker, ms_t now)
{
	return worker_is_running(worker) && worker->ready_at && !worker->memory.baseline_bytes &&
	       now - worker->ready_at >= WORKER_BASELINE_MS;
}

static bool any_may_go(const struct world *w)
{
	for (size_t i = 0; i < w->n_workers; i++)
		if (may_ever_go(&w->workers[i]))
			return true;
	return false;
}

static bool any_lacks_baseline(const struct world *w, ms_t now)
{
	for (size_t i = 0; i < w->n_workers; i++)
		if (may_ever_go(&w->workers[i]) && lacks_baseline(&w->workers[i], now))
			return true;
	return false;
}

/* One serves, and none is being put in its place. */
static bool can_recycle(const struct browser *b)
{
	return b->wanted && !b->again && !b->swap.since && browser_is_available(b) &&
	       b->swap.wish != RECYCLE_PRESSURE && b->swap.wish != RECYCLE_FULL;
}

/* A browser that somebody stops meanwhile gives its memory back when it is gone. */
static bool has_recycled(const struct browser *b)
{
	return b->wanted ? can_recycle(b) : !browser_is_up(b);
}

/* What was asked for is done: the purge, the new Chrome, the new run. */
static bool has_settled(const struct world *w)
{
	const struct memory_step *last = &w->guard.last;
	if (last->action == MEMORY_PURGE)
		return last->slot >= w->n_volumes || !w->volumes[last->slot].purging;
	if (last->action == MEMORY_RECYCLE)
		return last->slot >= w->n_browsers || has_recycled(&w->browsers[last->slot]);
	const struct worker *worker = last->slot < w->n_workers ? &w->workers[last->slot] : NULL;
	return !worker || !worker->config || !(worker->again || worker->state == WORKER_STOPPING);
}

struct choice {
	struct memory_option best;
	const char *name; /* NULL: there is none */
};

static void consider(const struct world *w, struct choice *c, struct memory_option o, const char *name, ms_t now)
{
	if (!memory_guard_may(&w->guard, o.action, o.slot, now))
		return;
	if (memory_guard_prefer(c->name ? &c->best : NULL, &o) != &o)
		return;
	c->best = o;
	c->name = name;
}

static bool is_worth_it(const struct world *w, const struct worker *worker)
{
	int64_t least = w->guard.memory.limit_bytes / 100 * RELIEF_GROWTH_PERCENT;
	return may_ever_go(worker) && worker_can_renew(worker) && worker_growth_bytes(worker) >= least;
}

static bool has_fresh_weights(const struct world *w, ms_t now)
{
	return w->guard.weighed_at && now - w->guard.weighed_at <= RELIEF_WEIGHTS_MS;
}

static void choose(const struct world *w, struct choice *c, ms_t now)
{
	for (size_t i = 0; i < w->n_volumes; i++)
		if (volume_can_relieve(&w->volumes[i]))
			consider(w, c, (struct memory_option){MEMORY_PURGE, (uint32_t)i, w->volumes[i].used_bytes},
				w->volumes[i].config->name, now);
	for (size_t i = 0; i < w->n_browsers; i++)
		if (can_recycle(&w->browsers[i]))
			consider(w, c, (struct memory_option){MEMORY_RECYCLE, (uint32_t)i, 0},
				w->browsers[i].config->name, now);
	for (size_t i = 0; i < w->n_workers && has_fresh_weights(w, now); i++)
		if (is_worth_it(w, &w->workers[i]))
			consider(w, c,
				(struct memory_option){
					MEMORY_RESTART, (uint32_t)i, worker_growth_bytes(&w->workers[i])},
				w->workers[i].name, now);
}

static void carry_out(struct world *w, const struct memory_option *o)
{
	if (o->action == MEMORY_PURGE)
		volume_relieve(&w->volumes[o->slot], memory_guard_excess_bytes(&w->guard, &w->config->memory));
	else if (o->action == MEMORY_RECYCLE)
		browser_ask_recycle(&w->browsers[o->slot], RECYCLE_PRESSURE);
	else
		worker_renew(&w->workers[o->slot], CAUSE_POD_MEMORY);
}

static void guard(struct world *w, struct turn *t)
{
	const struct config_memory *c = &w->config->memory;
	struct choice choice = {.name = NULL};
	memory_guard_settle(&w->guard, has_settled(w), t);
	if (!memory_guard_wants(&w->guard, c))
		return;
	choose(w, &choice, t->now);
	if (choice.name) {
		memory_guard_act(&w->guard, c, &choice.best, choice.name, t);
		carry_out(w, &choice.best);
	} else if (!any_may_go(w) || has_fresh_weights(w, t->now)) {
		memory_guard_give_up(&w->guard, c, t);
	}
}

void relief_plan(struct world *w, struct turn *t)
{
	if (w->drain.shutdown)
		return;
	for (size_t i = 0; i < w->n_volumes; i++)
		if (w->volumes[i].full)
			make_room(w, &w->volumes[i], t);
	guard(w, t);
}

void relief_measure(struct world *w, struct turn *t)
{
	if (!w->drain.shutdown)
		memory_guard_measure(&w->guard, &w->config->memory, any_may_go(w), any_lacks_baseline(w, t->now), t);
}
