#include "podvisor/model/reconcile.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "podvisor/base/buf.h"
#include "podvisor/model/lease_demand.h"
#include "podvisor/model/relief.h"
#include "podvisor/model/remains.h"
#include "podvisor/model/verdict.h"
#include "podvisor/model/worker_plan.h"

#define EXIT_REFUSED   78 /* SPEC 1: configuration refused */
#define EXIT_LEFT      1 /* the stop was not in order: something had to be left */
#define LAST_RESORT_MS 2000 /* after the deadline: far enough for SIGKILL to have worked, before Kubernetes' own */

/* ---- looking ---- */

/* Whether one of the references of the worker's own configuration is that thing. */
static bool names_thing(
	const struct worker *worker, const struct config_ref *refs, size_t n, enum thing thing, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		struct config_ref ref = refs[i];
		if (ref.thing != thing)
			continue;
		const char *other = thing == THING_WORKER ? worker->source->workers[ref.index].name
							  : worker->source->browsers[ref.index].name;
		if (strcmp(other, name) == 0)
			return true;
	}
	return false;
}

static bool depends_on(const struct worker *worker, enum thing thing, const char *name)
{
	return names_thing(worker, worker->config->depends_on, worker->config->n_depends_on, thing, name);
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

static bool parts_are_closed(const struct world *w, ms_t now)
{
	for (size_t i = 0; i < w->n_databases; i++)
		if (!database_is_closed(&w->databases[i]))
			return false;
	for (size_t i = 0; i < w->n_volumes; i++)
		if (!volume_is_closed(&w->volumes[i]))
			return false;
	return lease_book_is_closed(&w->leases, now);
}

/* ---- the end of the pod ---- */

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
	journal_add(t->journal, t->now, quiet ? LOG_INFO : LOG_ERROR, THING_POD, "", "ending",
		"podvisor ends with code %d: %s", code, w->death);
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
		if (worker_is_configured(worker) && ends_the_pod(worker))
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

/* ---- groups ---- */

static bool restarts_with(const struct worker *worker, enum thing thing, const char *name)
{
	return names_thing(worker, worker->config->restart_with, worker->config->n_restart_with, thing, name);
}

/* How often those that it restarts with have ended and come back. */
static uint64_t comebacks_for(const struct world *w, const struct worker *worker)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < w->n_workers; i++)
		if (w->workers[i].config && restarts_with(worker, THING_WORKER, w->workers[i].config->name))
			sum += w->workers[i].comebacks;
	for (size_t i = 0; i < w->n_browsers; i++)
		if (restarts_with(worker, THING_BROWSER, w->browsers[i].config->name))
			sum += w->browsers[i].comebacks;
	return sum;
}

/* What came back takes along those that restart with it. */
static void plan_groups(struct world *w)
{
	for (size_t i = 0; i < w->n_workers; i++)
		if (w->workers[i].config && w->workers[i].config->n_restart_with)
			worker_follow_group(&w->workers[i], comebacks_for(w, &w->workers[i]));
}

/* Of its group, who is still on the way down: it starts after them. */
static const struct worker *find_straggler(const struct world *w, const struct worker *worker)
{
	for (size_t i = 0; i < w->n_workers; i++) {
		const struct worker *other = &w->workers[i];
		bool leaving = other->cause == CAUSE_GROUP || other->state == WORKER_STOPPING;
		if (other != worker && other->config && worker_is_up(other) && leaving &&
			restarts_with(other, THING_WORKER, worker->config->name))
			return other;
	}
	return NULL;
}

/* The same instance, still there under the name that a reload has taken from it: "x" was "x.0", or the reverse. */
static const struct worker *find_predecessor(const struct world *w, const struct worker *worker)
{
	for (size_t i = 0; i < w->n_workers; i++) {
		const struct worker *other = &w->workers[i];
		if (other->config && other->removed && worker_is_up(other) && other->instance == worker->instance &&
			strcmp(other->config->name, worker->config->name) == 0)
			return other;
	}
	return NULL;
}

/* Who has to be down before it starts; why says for which reason. */
static void wait_for_others(const struct world *w, const struct worker *worker, struct worker_gate *gate)
{
	const struct worker *straggler = find_straggler(w, worker), *predecessor = find_predecessor(w, worker);
	gate->may_start = !straggler && !predecessor;
	if (straggler)
		snprintf(gate->why, sizeof(gate->why), "worker:%s, which restarts with it, is still up",
			straggler->name);
	else if (predecessor)
		snprintf(gate->why, sizeof(gate->why), "worker:%s, which it replaces, is still up", predecessor->name);
}

static void plan_worker(struct world *w, struct worker *worker, struct turn *t)
{
	struct worker_gate gate = {.may_start = true, .may_stop = true};
	const struct config_worker *config = worker->config;
	for (size_t i = 0; i < config->n_depends_on && gate.may_start; i++)
		gate.may_start =
			world_is_available(w, worker->source, config->depends_on[i], gate.why, sizeof(gate.why));
	if (gate.may_start && !worker_is_up(worker))
		wait_for_others(w, worker, &gate);
	enum drain_state from = worker_stop_of(worker)->phase == STOP_ON_TERM ? DRAIN_LAME_DUCK : DRAIN_STOPPING;
	gate.shutdown = w->drain.shutdown && w->drain.state >= from;
	gate.may_stop = !gate.shutdown || !is_needed(w, THING_WORKER, config->name);
	gate.kill = drain_haste(&w->drain);
	gate.spread = spread_of(w, worker, t->now);
	lease_demand_rule(w, worker, t->now, &gate);
	worker_plan(worker, &gate, &w->next_run, t);
	if (worker->removed && !worker_is_up(worker))
		worker_fini(worker);
}

static void look_at_disk(const struct world *w, struct config_ref volume, struct browser_gate *gate)
{
	const struct volume *v = volume.index < w->n_volumes ? &w->volumes[volume.index] : NULL;
	bool known = v && v->state == VOLUME_READY && v->size_bytes > 0;
	gate->disk_percent = known ? volume_used_percent(v) : -1;
	gate->disk_free_bytes = known ? v->size_bytes - v->used_bytes : -1;
}

static void plan_browser(struct world *w, struct browser *browser, struct turn *t)
{
	char why[160] = "podvisor is stopping";
	struct browser_gate gate = {.why = why};
	struct config_ref volume = browser->config->volume_ref;
	bool hurried = drain_haste(&w->drain) != NULL;
	bool leave = w->drain.shutdown && w->drain.state != DRAIN_SERVING &&
		     (hurried || !is_needed(w, THING_BROWSER, browser->config->name));
	gate.may_run = !leave && world_is_available(w, browser->source, volume, why, sizeof(why));
	look_at_disk(w, volume, &gate);
	browser_plan(browser, &gate, &w->next_run, t);
	if (!hurried)
		return;
	browser_hurry(browser, t);
	browser_plan(browser, &gate, &w->next_run, t);
}

static void note_ready_once(struct world *w, ms_t now)
{
	if (w->all_ready_once)
		return;
	struct verdict verdict;
	verdict_of(w, VERDICT_STARTUP, NULL, now, &verdict);
	w->all_ready_once = verdict.ok;
}

/* A process in uninterruptible sleep, a mount that hangs: no signal helps, and no budget. The shims
 * go on killing what is theirs. */
static void leave_behind(struct world *w, struct turn *t)
{
	struct buf left;
	buf_init(&left, 256);
	remains_list(w, &left);
	w->left_behind = true;
	w->exit_code = w->exit_code ? w->exit_code : EXIT_LEFT;
	journal_add(t->journal, t->now, LOG_ERROR, THING_POD, "", "left-behind",
		"shutdown.deadline is over: podvisor ends and leaves behind %s", buf_str(&left));
	size_t n = strlen(w->death);
	snprintf(w->death + n, sizeof(w->death) - n, "%sits deadline passed; left behind: %s", n ? "; " : "",
		buf_str(&left));
	buf_fini(&left);
}

/* Whoever is to be killed because the time is over, and why it has taken so long. */
static void note_held_up(struct world *w, enum drain_state state, struct turn *t)
{
	struct buf who;
	if (!w->drain.overdue || w->held_up[0])
		return;
	buf_init(&who, 4096);
	remains_blame(w, state, t->now, &who);
	snprintf(w->held_up, sizeof(w->held_up), "%s", buf_str(&who));
	journal_add(t->journal, t->now, LOG_ERROR, THING_POD, "", "held-up", "shutdown.deadline was used up by %s",
		w->held_up);
	buf_fini(&who);
}

ms_t reconcile_last_resort(const struct world *w)
{
	return clock_after(w->drain.deadline, LAST_RESORT_MS);
}

static void plan_exit(struct world *w, struct turn *t)
{
	ms_t last = reconcile_last_resort(w);
	bool closed = w->drain.state == DRAIN_DONE && w->drain.gateway_closed && parts_are_closed(w, t->now);
	if (w->exiting || !w->drain.shutdown)
		return;
	if (!closed && !clock_due(last, t->now)) {
		plan_wake(t->plan, last);
		return;
	}
	if (!closed)
		leave_behind(w, t);
	w->exiting = true;
	plan_add(t->plan, EFFECT_EXIT, 0, 0, w->exit_code, "%s", w->death[0] ? w->death : "stopped in order");
}

void reconcile(struct world *w, ms_t now, int64_t wall_ms, struct plan *p)
{
	plan_clear(p);
	struct turn t = {.now = now, .wall_ms = wall_ms, .random = &w->random, .journal = &w->journal, .plan = p};
	w->wall_ahead_ms = wall_ms - now;
	plan_ends(w, &t);
	plan_groups(w);
	relief_plan(w, &t);
	enum drain_state before = w->drain.state;
	drain_plan(&w->drain, w->config, anything_up(w), &t);
	note_held_up(w, before, &t);
	lease_demand_plan(w, &t);
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
	relief_measure(w, &t);
	note_ready_once(w, now);
	plan_exit(w, &t);
}
