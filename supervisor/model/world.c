#include "podvisor/model/world.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "podvisor/base/buf.h"
#include "podvisor/model/verdict.h"

#define EXIT_REFUSED 78 /* SPEC 1: configuration refused */

/* ---- birth and death ---- */

static struct worker *add_worker(
	struct world *w, struct config *config, const struct config_worker *worker, int instance, ms_t now)
{
	uint32_t slot = 0;
	while (slot < w->n_workers && w->workers[slot].config)
		slot++;
	if (slot == w->cap_workers) {
		size_t cap = w->cap_workers ? w->cap_workers * 2 : 8;
		struct worker *workers = realloc(w->workers, cap * sizeof(*workers));
		if (!workers)
			return NULL;
		w->workers = workers;
		w->cap_workers = cap;
	}
	if (slot == w->n_workers)
		w->n_workers++;
	worker_init(&w->workers[slot], config, worker, instance, slot, now);
	return &w->workers[slot];
}

static int add_workers(struct world *w, struct config *config, ms_t now)
{
	for (size_t i = 0; i < config->n_workers; i++)
		for (int k = 0; k < config->workers[i].instances; k++)
			if (!add_worker(w, config, &config->workers[i], k, now))
				return -ENOMEM;
	return 0;
}

static int add_parts(struct world *w, const struct config *config, ms_t now)
{
	w->volumes = calloc(config->n_volumes + 1, sizeof(*w->volumes));
	w->databases = calloc(config->n_postgres + 1, sizeof(*w->databases));
	w->browsers = calloc(config->n_browsers + 1, sizeof(*w->browsers));
	w->lost_at = calloc(config->n_postgres + 1, sizeof(*w->lost_at));
	w->back_at = calloc(config->n_postgres + 1, sizeof(*w->back_at));
	if (!w->volumes || !w->databases || !w->browsers || !w->lost_at || !w->back_at)
		return -ENOMEM;
	for (; w->n_volumes < config->n_volumes; w->n_volumes++)
		volume_init(&w->volumes[w->n_volumes], &config->volumes[w->n_volumes], (uint32_t)w->n_volumes, now);
	for (; w->n_databases < config->n_postgres; w->n_databases++)
		database_init(&w->databases[w->n_databases], &config->postgres[w->n_databases],
			(uint32_t)w->n_databases, now);
	for (; w->n_browsers < config->n_browsers; w->n_browsers++)
		browser_init(&w->browsers[w->n_browsers], w->config, &config->browsers[w->n_browsers],
			(uint32_t)w->n_browsers, now);
	return 0;
}

struct world *world_new(struct config *config, uint64_t seed, ms_t now)
{
	struct world *w = calloc(1, sizeof(*w));
	if (!w)
		return NULL;
	w->config = config_hold(config);
	w->random.state = seed;
	w->next_run = 1;
	w->death_slot = UINT32_MAX;
	drain_init(&w->drain, now);
	if (add_parts(w, config, now) < 0 || add_workers(w, config, now) < 0) {
		world_free(w);
		return NULL;
	}
	return w;
}

void world_free(struct world *w)
{
	if (!w)
		return;
	for (size_t i = 0; i < w->n_workers; i++)
		if (w->workers[i].config)
			worker_fini(&w->workers[i]);
	for (size_t i = 0; i < w->n_browsers; i++)
		browser_fini(&w->browsers[i]);
	free(w->workers);
	free(w->volumes);
	free(w->databases);
	free(w->browsers);
	free(w->lost_at);
	free(w->back_at);
	config_release(w->config);
	free(w);
}

/* ---- looking ---- */

int world_find_worker(const struct world *w, const char *name)
{
	for (size_t i = 0; i < w->n_workers; i++)
		if (w->workers[i].config &&
			(strcmp(w->workers[i].name, name) == 0 || strcmp(w->workers[i].config->name, name) == 0))
			return (int)i;
	return -1;
}

int world_find_browser(const struct world *w, const char *name)
{
	for (size_t i = 0; i < w->n_browsers; i++)
		if (strcmp(w->browsers[i].config->name, name) == 0)
			return (int)i;
	return -1;
}

/* A worker is there when all its instances are. */
static bool is_worker_available(const struct world *w, const char *name, char *why, size_t size)
{
	for (size_t i = 0; i < w->n_workers; i++) {
		const struct worker *worker = &w->workers[i];
		if (!worker->config || strcmp(worker->config->name, name) != 0 || worker_is_available(worker))
			continue;
		if (why)
			snprintf(why, size, "worker:%s is %s", worker->name, worker_state_name(worker->state));
		return false;
	}
	return true;
}

static bool is_available_in(
	const struct world *w, const struct config *config, struct config_ref ref, char *why, size_t size)
{
	const char *name = "", *state = "";
	bool there = false;
	switch (ref.thing) {
	case THING_WORKER:
		return is_worker_available(w, config->workers[ref.index].name, why, size);
	case THING_POSTGRES:
		name = config->postgres[ref.index].name;
		state = database_state_name(w->databases[ref.index].state);
		there = database_is_available(&w->databases[ref.index]);
		break;
	case THING_VOLUME:
		name = config->volumes[ref.index].name;
		state = volume_state_name(w->volumes[ref.index].state);
		there = w->volumes[ref.index].state == VOLUME_READY;
		break;
	case THING_BROWSER:
		name = config->browsers[ref.index].name;
		state = browser_state_name(w->browsers[ref.index].state);
		there = browser_is_available(&w->browsers[ref.index]);
		break;
	default:
		return true;
	}
	if (!there && why)
		snprintf(why, size, "%s:%s is %s", thing_name(ref.thing), name, state);
	return there;
}

bool world_is_available(const struct world *w, struct config_ref ref, char *why, size_t size)
{
	return is_available_in(w, w->config, ref, why, size);
}

static bool depends_on(const struct worker *worker, enum thing thing, const char *name)
{
	for (size_t i = 0; i < worker->config->n_depends_on; i++) {
		struct config_ref ref = worker->config->depends_on[i];
		if (ref.thing != thing)
			continue;
		const char *other = thing == THING_WORKER ? worker->source->workers[ref.index].name
							  : worker->source->browsers[ref.index].name;
		if (strcmp(other, name) == 0)
			return true;
	}
	return false;
}

/* Some worker that is still up depends on it. */
static bool is_needed(const struct world *w, enum thing thing, const char *name)
{
	for (size_t i = 0; i < w->n_workers; i++)
		if (w->workers[i].config && worker_is_up(&w->workers[i]) && depends_on(&w->workers[i], thing, name))
			return true;
	return false;
}

static bool anything_up(const struct world *w)
{
	for (size_t i = 0; i < w->n_workers; i++)
		if (w->workers[i].config && worker_is_up(&w->workers[i]))
			return true;
	for (size_t i = 0; i < w->n_browsers; i++)
		if (browser_is_up(&w->browsers[i]))
			return true;
	return false;
}

static bool parts_are_closed(const struct world *w)
{
	for (size_t i = 0; i < w->n_databases; i++)
		if (!database_is_closed(&w->databases[i]))
			return false;
	for (size_t i = 0; i < w->n_volumes; i++)
		if (w->volumes[i].state == VOLUME_READY)
			return false;
	return true;
}

/* ---- folding facts in ---- */

static void apply_to_worker(struct world *w, const struct event *e, struct turn *t)
{
	if (e->slot < w->n_workers && w->workers[e->slot].config)
		worker_apply(&w->workers[e->slot], e, t);
}

static void apply_to_volume(struct world *w, const struct event *e, struct turn *t)
{
	if (e->slot < w->n_volumes)
		volume_apply(&w->volumes[e->slot], e, t);
}

static void apply_to_database(struct world *w, const struct event *e, struct turn *t)
{
	if (e->slot >= w->n_databases)
		return;
	struct database *d = &w->databases[e->slot];
	bool was = database_is_available(d);
	database_apply(d, e, t);
	bool is = database_is_available(d);
	if (was && !is)
		w->lost_at[e->slot] = t->now;
	if (!was && is && w->lost_at[e->slot])
		w->back_at[e->slot] = t->now;
}

static void apply_to_browser(struct world *w, const struct event *e, struct turn *t)
{
	if (e->slot < w->n_browsers)
		browser_apply(&w->browsers[e->slot], e, t);
}

static void apply_to_drain(struct world *w, const struct event *e, struct turn *t)
{
	drain_apply(&w->drain, e, t);
}

void world_apply(struct world *w, const struct event *e, ms_t now)
{
	typedef void (*folder)(struct world *, const struct event *, struct turn *);
	static const folder folders[EVENT_KIND_COUNT] = {
		[EVENT_WORKER_STARTED] = apply_to_worker,
		[EVENT_WORKER_UNSTARTABLE] = apply_to_worker,
		[EVENT_WORKER_EXITED] = apply_to_worker,
		[EVENT_WORKER_GONE] = apply_to_worker,
		[EVENT_WORKER_NOTIFIED] = apply_to_worker,
		[EVENT_WORKER_CHECKED] = apply_to_worker,
		[EVENT_VOLUME_PREPARED] = apply_to_volume,
		[EVENT_VOLUME_REFUSED] = apply_to_volume,
		[EVENT_VOLUME_MEASURED] = apply_to_volume,
		[EVENT_VOLUME_RELEASED] = apply_to_volume,
		[EVENT_POSTGRES_ANSWERED] = apply_to_database,
		[EVENT_POSTGRES_FAILED] = apply_to_database,
		[EVENT_POSTGRES_LOST] = apply_to_database,
		[EVENT_POSTGRES_CLOSED] = apply_to_database,
		[EVENT_BROWSER_STARTED] = apply_to_browser,
		[EVENT_BROWSER_UNSTARTABLE] = apply_to_browser,
		[EVENT_BROWSER_ANSWERED] = apply_to_browser,
		[EVENT_BROWSER_PAGE_LOST] = apply_to_browser,
		[EVENT_BROWSER_EXITED] = apply_to_browser,
		[EVENT_BROWSER_GONE] = apply_to_browser,
		[EVENT_BROWSER_CLEANED] = apply_to_browser,
		[EVENT_GATEWAY_LISTENING] = apply_to_drain,
		[EVENT_GATEWAY_FAILED] = apply_to_drain,
		[EVENT_GATEWAY_EMPTY] = apply_to_drain,
		[EVENT_ASKED_START] = apply_to_worker,
		[EVENT_ASKED_STOP] = apply_to_worker,
		[EVENT_ASKED_RESTART] = apply_to_worker,
		[EVENT_ASKED_BROWSER_START] = apply_to_browser,
		[EVENT_ASKED_BROWSER_STOP] = apply_to_browser,
		[EVENT_ASKED_BROWSER_RESTART] = apply_to_browser,
		[EVENT_ASKED_SHUTDOWN] = apply_to_drain,
		[EVENT_ASKED_DRAIN] = apply_to_drain,
		[EVENT_ASKED_UNDRAIN] = apply_to_drain,
	};
	struct turn t = {.now = now, .random = &w->random, .journal = &w->journal};
	if (e->kind < EVENT_KIND_COUNT && folders[e->kind])
		folders[e->kind](w, e, &t);
}

/* ---- planning ---- */

/* When something fatal happened: stop in order and end with this code. */
PRINTF_LIKE(5, 6)
static void end_pod(struct world *w, int code, uint32_t slot, struct turn *t, const char *fmt, ...)
{
	if (w->drain.shutdown)
		return;
	w->exit_code = code;
	w->death_slot = slot;
	va_list args;
	va_start(args, fmt);
	vsnprintf(w->death, sizeof(w->death), fmt, args);
	va_end(args);
	bool quiet = slot != UINT32_MAX && w->workers[slot].config->interactive;
	journal_add(t->journal, t->now, quiet ? LOG_INFO : LOG_ERROR, THING_POD, "", "ending", "podvisor ends with code %d: %s", code,
		w->death);
	struct event e = {.kind = EVENT_ASKED_SHUTDOWN, .count = 1};
	snprintf(e.text, sizeof(e.text), "%.150s", w->death);
	drain_apply(&w->drain, &e, t);
}

static bool ends_the_pod(const struct worker *worker)
{
	if (worker->state == WORKER_FAILED && worker->config->restart.policy != RESTART_NEVER)
		return worker->config->restart.limit.action == RESTART_LIMIT_EXIT ||
		       (worker->config->restart.limit.action == RESTART_LIMIT_AUTO && worker->config->critical);
	bool ended = worker->state == WORKER_FAILED || (worker->state == WORKER_STOPPED && worker->wanted);
	return ended && worker->config->critical && worker->n_runs > 0;
}

static void plan_ends(struct world *w, struct turn *t)
{
	for (size_t i = 0; i < w->n_workers; i++) {
		const struct worker *worker = &w->workers[i];
		if (worker->config && ends_the_pod(worker))
			end_pod(w, worker_exit_code(worker), worker->slot, t, "worker %s %s", worker->name,
				worker->reason);
	}
	for (size_t i = 0; i < w->n_volumes; i++)
		if (w->volumes[i].state == VOLUME_REFUSED)
			end_pod(w, EXIT_REFUSED, UINT32_MAX, t, "volume %s: %s", w->volumes[i].config->name,
				w->volumes[i].text);
}

static ms_t spread_of(const struct world *w, const struct worker *worker, ms_t now)
{
	ms_t spread = 0;
	for (size_t i = 0; i < worker->config->n_depends_on; i++) {
		struct config_ref ref = worker->config->depends_on[i];
		if (ref.thing != THING_POSTGRES || !w->back_at[ref.index])
			continue;
		ms_t window = w->databases[ref.index].config->recovery_spread;
		if (now - w->back_at[ref.index] < window && window > spread)
			spread = window;
	}
	return spread;
}

static void plan_worker(struct world *w, struct worker *worker, struct turn *t)
{
	struct worker_gate gate = {.may_start = true, .may_stop = true};
	const struct config_worker *config = worker->config;
	for (size_t i = 0; i < config->n_depends_on && gate.may_start; i++)
		gate.may_start = is_available_in(w, worker->source, config->depends_on[i], gate.why, sizeof(gate.why));
	gate.shutdown = w->drain.shutdown && (config->stop.phase == STOP_ON_TERM ? w->drain.state != DRAIN_SERVING
										 : w->drain.state >= DRAIN_STOPPING);
	gate.may_stop = !gate.shutdown || !is_needed(w, THING_WORKER, config->name);
	gate.kill = w->drain.signals >= 3;
	gate.spread = spread_of(w, worker, t->now);
	worker_plan(worker, &gate, &w->next_run, t);
	if (worker->removed && !worker_is_up(worker))
		worker_fini(worker);
}

static void plan_browser(struct world *w, struct browser *browser, struct turn *t)
{
	char why[160] = "podvisor is stopping";
	struct config_ref volume = browser->config->volume_ref;
	bool leave = w->drain.shutdown && w->drain.state != DRAIN_SERVING &&
		     !is_needed(w, THING_BROWSER, browser->config->name);
	bool may_run = !leave && is_available_in(w, browser->source, volume, why, sizeof(why));
	browser_plan(browser, may_run, why, &w->next_run, t);
}

/* What the workers that stop after the drain may need of the budget. */
static ms_t stop_share(const struct world *w)
{
	ms_t share = 0;
	for (size_t i = 0; i < w->n_workers; i++) {
		const struct worker *worker = &w->workers[i];
		if (worker->config && worker->config->stop.phase == STOP_AFTER_DRAIN &&
			worker->config->stop.timeout > share)
			share = worker->config->stop.timeout;
	}
	return share;
}

static void note_ready_once(struct world *w, ms_t now)
{
	if (w->all_ready_once)
		return;
	struct verdict verdict;
	verdict_of(w, VERDICT_STARTUP, NULL, now, &verdict);
	w->all_ready_once = verdict.ok;
}

static void plan_exit(struct world *w, struct turn *t)
{
	if (w->drain.state != DRAIN_DONE || w->exiting || !parts_are_closed(w))
		return;
	w->exiting = true;
	plan_add(t->plan, EFFECT_EXIT, 0, 0, w->exit_code, "%s", w->death[0] ? w->death : "stopped in order");
}

void world_plan(struct world *w, ms_t now, struct plan *p)
{
	plan_clear(p);
	struct turn t = {.now = now, .random = &w->random, .journal = &w->journal, .plan = p};
	plan_ends(w, &t);
	drain_plan(&w->drain, w->config, anything_up(w), stop_share(w), &t);
	for (size_t i = 0; i < w->n_workers; i++)
		if (w->workers[i].config)
			plan_worker(w, &w->workers[i], &t);
	for (size_t i = 0; i < w->n_browsers; i++)
		plan_browser(w, &w->browsers[i], &t);
	bool last = w->drain.shutdown && w->drain.state >= DRAIN_STOPPING && !anything_up(w);
	for (size_t i = 0; i < w->n_databases; i++)
		database_plan(&w->databases[i], !last, &w->next_run, &t);
	for (size_t i = 0; i < w->n_volumes; i++)
		volume_plan(&w->volumes[i], !last, &t);
	note_ready_once(w, now);
	plan_exit(w, &t);
}

/* ---- another desired state ---- */

#define UNCHANGED(part, n, equal)                                                                              \
	static const char *changed_##part(const struct config *a, const struct config *b)                      \
	{                                                                                                      \
		if (a->n != b->n)                                                                              \
			return #part;                                                                          \
		for (size_t i = 0; i < a->n; i++)                                                              \
			if (strcmp(a->part[i].name, b->part[i].name) != 0 || !equal(&a->part[i], &b->part[i])) \
				return b->part[i].name;                                                        \
		return NULL;                                                                                   \
	}
UNCHANGED(volumes, n_volumes, config_volume_equal)
UNCHANGED(postgres, n_postgres, config_postgres_equal)

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

/* The parts that a running podvisor cannot exchange yet. */
static int check_reloadable(const struct config *a, const struct config *b, struct err *err)
{
	const char *name;
	if (!same_text(a->control.listen, b->control.listen) || !same_text(a->control.socket, b->control.socket))
		return err_set(err, -ENOTSUP, "control: its addresses cannot change while podvisor runs");
	if ((name = changed_volumes(a, b)))
		return err_set(err, -ENOTSUP, "volumes (%s): volumes cannot change while podvisor runs", name);
	if ((name = changed_postgres(a, b)))
		return err_set(err, -ENOTSUP, "postgres (%s): databases cannot change while podvisor runs", name);
	if (a->n_browsers != b->n_browsers)
		return err_set(err, -ENOTSUP, "browsers: none can be added or removed while podvisor runs");
	for (size_t i = 0; i < a->n_browsers; i++)
		if (strcmp(a->browsers[i].name, b->browsers[i].name) != 0)
			return err_set(err, -ENOTSUP, "browsers: none can be added or removed while podvisor runs");
	if (!config_gateway_equal(&a->gateway, &b->gateway))
		return err_set(err, -ENOTSUP, "gateway: it cannot change while podvisor runs");
	return 0;
}

static int find_in_config(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->n_workers; i++)
		if (strcmp(config->workers[i].name, name) == 0)
			return (int)i;
	return -1;
}

static const struct config_worker *wanted_by(const struct config *config, const struct worker *worker)
{
	int i = find_in_config(config, worker->config->name);
	/* A change from one instance to several also changes its name. */
	bool same_name = i >= 0 && (config->workers[i].instances > 1) == (worker->config->instances > 1);
	return same_name && worker->instance < config->workers[i].instances ? &config->workers[i] : NULL;
}

static bool has_instance(const struct world *w, const struct config_worker *config, int instance)
{
	for (size_t i = 0; i < w->n_workers; i++) {
		const struct worker *worker = &w->workers[i];
		if (worker->config && strcmp(worker->config->name, config->name) == 0 && worker->instance == instance &&
			(worker->config->instances > 1) == (config->instances > 1))
			return true;
	}
	return false;
}

/* Databases and volumes are unchanged, but their entries now live in the new configuration. */
static void adopt_parts(struct world *w, struct config *config, struct turn *t)
{
	for (size_t i = 0; i < w->n_volumes; i++)
		w->volumes[i].config = &config->volumes[i];
	for (size_t i = 0; i < w->n_databases; i++)
		w->databases[i].config = &config->postgres[i];
	for (size_t i = 0; i < w->n_browsers; i++)
		browser_reconfigure(&w->browsers[i], config, &config->browsers[i], t);
}

int world_reload(struct world *w, struct config *config, ms_t now, struct err *err)
{
	int rc = check_reloadable(w->config, config, err);
	if (rc < 0)
		return rc;
	struct turn t = {.now = now, .random = &w->random, .journal = &w->journal};
	for (size_t i = 0; i < w->n_workers; i++) {
		struct worker *worker = &w->workers[i];
		const struct config_worker *wanted = worker->config ? wanted_by(config, worker) : NULL;
		if (wanted)
			worker_reconfigure(worker, config, wanted, &t);
		else if (worker->config)
			worker->removed = true;
	}
	for (size_t i = 0; i < config->n_workers; i++)
		for (int k = 0; k < config->workers[i].instances; k++)
			if (!has_instance(w, &config->workers[i], k) &&
				!add_worker(w, config, &config->workers[i], k, now))
				return err_set(err, -ENOMEM, "out of memory");
	adopt_parts(w, config, &t);
	struct config *old = w->config;
	w->config = config_hold(config);
	config_release(old);
	journal_add(&w->journal, now, LOG_INFO, THING_POD, "", "reloaded", "the configuration was read again");
	return 0;
}

void world_reload_preview(const struct world *w, const struct config *config, struct buf *out)
{
	struct err err;
	if (check_reloadable(w->config, config, &err) < 0) {
		buf_printf(out, "refused: %s\n", err.text);
		return;
	}
	for (size_t i = 0; i < w->n_workers; i++) {
		const struct worker *worker = &w->workers[i];
		const struct config_worker *wanted = worker->config ? wanted_by(config, worker) : NULL;
		if (worker->config && !wanted)
			buf_printf(out, "worker %s: stop\n", worker->name);
		else if (wanted && !config_worker_equal(worker->config, wanted))
			buf_printf(out, "worker %s: restart\n", worker->name);
	}
	for (size_t i = 0; i < config->n_workers; i++)
		for (int k = 0; k < config->workers[i].instances; k++)
			if (!has_instance(w, &config->workers[i], k))
				buf_printf(out, "worker %s: start\n", config->workers[i].name);
	for (size_t i = 0; i < w->n_browsers; i++)
		if (!config_browser_equal(w->browsers[i].config, &config->browsers[i]))
			buf_printf(out, "browser %s: restart\n", config->browsers[i].name);
}
