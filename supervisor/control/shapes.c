#include "podvisor/control/shapes.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "podvisor/base/signals.h"
#include "podvisor/base/units.h"
#include "podvisor/base/wall.h"
#include "podvisor/control/answer.h"
#include "podvisor/model/forecast.h"
#include "podvisor/model/verdict.h"

/* ---- small things ---- */

static json_t *seconds(ms_t ms)
{
	return json_real((double)ms / 1000);
}

static json_t *point(const struct snapshot *s, ms_t at)
{
	char text[WALL_SIZE];
	wall_format(snapshot_wall_ms(s, at), text);
	return json_string(text);
}

/* null for a point that is not there: 0, or never. */
static json_t *point_or_null(const struct snapshot *s, ms_t at)
{
	return at == 0 || at == CLOCK_NEVER ? json_null() : point(s, at);
}

static json_t *seconds_until(const struct snapshot *s, ms_t at)
{
	return at == 0 || at == CLOCK_NEVER ? json_null() : seconds(at > s->now ? at - s->now : 0);
}

static json_t *known(int64_t value)
{
	return value < 0 ? json_null() : json_integer(value);
}

static json_t *text_or_null(const char *text)
{
	return text && text[0] ? answer_string(text) : json_null();
}

static json_t *list_of(char *const *words)
{
	json_t *list = json_array();
	for (; words && *words; words++)
		json_array_append_new(list, answer_string(*words));
	return list;
}

/* The counters that are not 0, by name. */
static json_t *counts(const uint64_t *values, int from, int n, const char *(*name)(int))
{
	json_t *object = json_object();
	for (int i = from; i < n; i++)
		if (values[i])
			json_object_set_new(object, name(i), json_integer((json_int_t)values[i]));
	return object;
}

static uint64_t sum(const uint64_t *values, int from, int n)
{
	uint64_t total = 0;
	for (int i = from; i < n; i++)
		total += values[i];
	return total;
}

static const char *cause_name(int i)
{
	return worker_cause_name((enum worker_cause)i);
}

static const char *missed_reason(int i)
{
	return missed_name((enum missed)i);
}

static const char *recycle_name(int i)
{
	return browser_recycle_name((enum browser_recycle)i);
}

static const char *class_name(int i)
{
	static const char *const names[] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
	return names[i];
}

static const char *close_name(int i)
{
	return gateway_close_name((enum gateway_close)i);
}

/* ---- workers ---- */

static json_t *shape_run(const struct snapshot *s, const struct worker *w, const struct worker_run *r)
{
	char text[WORKER_END_SIZE];
	bool exited = r->exited && WIFEXITED(r->status), signaled = r->exited && WIFSIGNALED(r->status);
	worker_describe_end(w, r, text, sizeof(text));
	return json_pack("{s:I,s:o,s:o,s:o,s:o, s:o,s:o,s:o,s:o, s:o,s:s,s:i,s:f,s:o}", "run", (json_int_t)r->number,
		"pid", r->pid ? json_integer(r->pid) : json_null(), "started", point_or_null(s, r->started_at), "ended",
		point_or_null(s, r->ended_at), "seconds",
		r->started_at ? seconds(r->ended_at - r->started_at) : json_null(), "code",
		exited ? json_integer(WEXITSTATUS(r->status)) : json_null(), "signal",
		signaled ? json_integer(WTERMSIG(r->status)) : json_null(), "signal_name",
		signaled ? text_or_null(signals_name(WTERMSIG(r->status))) : json_null(), "error",
		r->exited ? json_null() : answer_string(strerror(-r->error)), "text", answer_string(text), "cause",
		worker_cause_name(r->cause), "killed", r->killed, "cpu_seconds", (double)r->cpu_us / 1e6, "peak_bytes",
		known(r->peak_bytes));
}

static json_t *shape_runs(const struct snapshot *s, const struct worker *w)
{
	json_t *runs = json_array();
	uint64_t kept = w->n_runs < WORKER_HISTORY ? w->n_runs : WORKER_HISTORY;
	for (uint64_t i = 0; i < kept; i++)
		json_array_append_new(runs, shape_run(s, w, &w->history[(w->n_runs - 1 - i) % WORKER_HISTORY]));
	return runs;
}

static json_t *shape_checks(const struct worker *w)
{
	static const char *const verdicts[] = {
		[HEALTH_UNKNOWN] = "unknown", [HEALTH_GOOD] = "good", [HEALTH_BAD] = "bad"};
	const struct config_check *configured[PROBE_COUNT] = {[PROBE_STARTUP] = &w->config->startup,
		[PROBE_READINESS] = &w->config->readiness,
		[PROBE_LIVENESS] = &w->config->liveness};
	json_t *checks = json_array();
	for (int i = 0; i < PROBE_COUNT; i++) {
		const struct health *h = &w->checks[i];
		if (configured[i]->kind != CHECK_NONE)
			json_array_append_new(checks,
				json_pack("{s:s,s:s,s:i,s:o}", "name", probe_name((enum probe)i), "state",
					verdicts[h->verdict], "misses", h->misses, "text", answer_string(h->text)));
	}
	return checks;
}

static json_t *shape_usage(const struct snapshot *s, size_t slot)
{
	const struct meters *m = s->meters;
	if (slot >= m->n_usage || m->usage[slot].memory_bytes < 0)
		return json_null();
	const struct usage_meter *u = &m->usage[slot];
	return json_pack("{s:I,s:f,s:I,s:I}", "memory_bytes", (json_int_t)u->memory_bytes, "cpu_seconds",
		u->cpu_seconds, "open_fds", (json_int_t)u->open_fds, "processes", (json_int_t)u->processes);
}

static json_t *shape_progress(const struct snapshot *s, const struct worker *w)
{
	const struct progress *p = &w->progress;
	char why[128];
	if (!p->counting)
		return json_null();
	bool stalled = progress_is_stalled(p, &w->config->progress, s->now, why, sizeof(why));
	return json_pack("{s:o,s:o,s:b,s:o}", "value", p->known && !isnan(p->value) ? json_real(p->value) : json_null(),
		"age_seconds", seconds(s->now - p->since), "stalled", stalled, "trouble", text_or_null(p->trouble));
}

/* As people say it: seconds of minutes, minutes of hours, hours of days. */
static ms_t rounded(ms_t span)
{
	ms_t minute = 60000, day = 24 * 60 * minute;
	ms_t step = span < 10 * minute ? 1000 : span < day ? minute : 60 * minute;
	return span > 0 ? span / step * step : 0;
}

/* Of a job that waits for its time it says how long that still is, which changes without the state. */
static json_t *shape_reason(const struct snapshot *s, const struct worker *w)
{
	char text[sizeof(w->reason) + 48], in[48], span[UNITS_TEXT_MAX];
	if (!worker_is_resting(w))
		return answer_string(w->reason);
	snprintf(in, sizeof(in), " (in %s)", units_format_duration(rounded(w->schedule.next_ms - s->wall_ms), span));
	worker_describe_rest(w, in, text, sizeof(text));
	return answer_string(text);
}

static json_t *shape_wall(int64_t unix_ms)
{
	char text[WALL_SIZE];
	wall_format(unix_ms, text);
	return json_string(text);
}

static json_t *shape_job(const struct worker *w)
{
	static const char *const results[] = {[JOB_SUCCEEDED] = "succeeded", [JOB_FAILED] = "failed"};
	const struct schedule *job = &w->schedule;
	return json_pack("{s:o,s:o,s:I,s:o}", "next_run", job->armed ? shape_wall(job->next_ms) : json_null(),
		"last_result", job->result == JOB_NONE ? json_null() : json_string(results[job->result]), "missed_runs",
		(json_int_t)sum(job->missed, 0, MISSED_COUNT), "missed_runs_by_reason",
		counts(job->missed, 0, MISSED_COUNT, missed_reason));
}

static const char *kind_name(enum worker_kind kind)
{
	static const char *const names[] = {[WORKER_SERVICE] = "service", [WORKER_TASK] = "task", [WORKER_JOB] = "job"};
	return names[kind];
}

static json_t *worker_standing(const struct snapshot *s, const struct worker *w)
{
	bool up = worker_is_up(w) && w->started_at;
	return json_pack("{s:o,s:o,s:i,s:s,s:b, s:s,s:o,s:o,s:o,s:b,s:b, s:o,s:I,s:o,s:o,s:o,s:o}", "name",
		answer_string(w->name), "worker", answer_string(w->config->name), "instance", w->instance, "kind",
		kind_name(w->config->kind), "critical", w->config->critical, "state", worker_state_name(w->state),
		"reason", shape_reason(s, w), "since", point(s, w->since), "since_seconds", seconds(s->now - w->since),
		"wanted", w->wanted, "available", worker_is_available(w), "pid",
		worker_is_up(w) && w->pid > 0 ? json_integer(w->pid) : json_null(), "run",
		(json_int_t)worker_run_number(w), "started", up ? point(s, w->started_at) : json_null(),
		"uptime_seconds", up ? seconds(s->now - w->started_at) : json_null(), "next_start",
		w->state == WORKER_BACKOFF ? point_or_null(s, w->not_before) : json_null(), "status_text",
		answer_string(w->status_text));
}

json_t *shapes_worker(const struct snapshot *s, size_t slot, bool runs)
{
	const struct worker *w = &s->world->workers[slot];
	const struct worker_run *last = worker_last_run(w);
	json_t *object = worker_standing(s, w);
	json_t *past = json_pack("{s:o,s:I,s:o,s:{s:I,s:I,s:I},s:o,s:o,s:o}", "depends_on",
		list_of(w->config->depends_on_names), "restarts",
		(json_int_t)sum(w->restarts, CAUSE_NONE + 1, CAUSE_COUNT), "restarts_by_reason",
		counts(w->restarts, CAUSE_NONE + 1, CAUSE_COUNT, cause_name), "exits", "ok", (json_int_t)w->exits_ok,
		"failed", (json_int_t)w->exits_failed, "signaled", (json_int_t)w->exits_signaled, "last_exit",
		last ? shape_run(s, w, last) : json_null(), "checks", shape_checks(w), "usage", shape_usage(s, slot));
	json_t *job = shape_job(w);
	json_object_update(object, past);
	json_object_update(object, job);
	json_decref(past);
	json_decref(job);
	json_object_set_new(object, "restart_with", list_of(w->config->restart_with_names));
	json_object_set_new(object, "progress", shape_progress(s, w));
	if (runs)
		json_object_set_new(object, "runs", shape_runs(s, w));
	return object;
}

/* ---- browsers, volumes, databases ---- */

static json_t *shape_rungs(const struct generation *g)
{
	json_t *rungs = json_array();
	for (int i = 0; i < RUNG_COUNT; i++)
		json_array_append_new(rungs, json_pack("{s:s,s:b,s:i}", "name", rung_name((enum rung)i), "proven",
						     g->rungs[i].proven, "misses", g->rungs[i].misses));
	return rungs;
}

/* Newest first. */
static json_t *shape_generations(const struct snapshot *s, const struct browser *b)
{
	const struct generation *lead = browser_lead(b), *other = browser_other(b);
	bool lead_first = !other || lead->number > other->number;
	const struct generation *both[] = {lead_first ? lead : other, lead_first ? other : lead};
	json_t *array = json_array();
	for (int i = 0; i < 2; i++)
		if (both[i] && both[i]->run)
			json_array_append_new(array,
				json_pack("{s:I,s:s,s:o,s:o,s:o,s:I,s:I}", "number", (json_int_t)both[i]->number,
					"state", generation_state_name(both[i]->state), "reason",
					answer_string(both[i]->reason), "pid",
					both[i]->pid > 0 ? json_integer(both[i]->pid) : json_null(), "started",
					point(s, both[i]->started_at), "sessions", (json_int_t)both[i]->facts.sessions,
					"pages_opened", (json_int_t)both[i]->facts.pages));
	return array;
}

/* By type, those of which there is one, and the sum of all. */
static json_t *by_type(const int64_t *values, int64_t *sum)
{
	json_t *object = json_object();
	*sum = 0;
	for (int i = 0; i < CHROME_TYPE_COUNT; i++) {
		*sum += values[i];
		if (values[i] > 0)
			json_object_set_new(object, chrome_type_name((enum chrome_type)i), json_integer(values[i]));
	}
	return object;
}

static void put_browser_meter(json_t *object, const struct browser_meter *m)
{
	static const int64_t none[CHROME_TYPE_COUNT];
	int64_t processes, memory;
	json_object_set_new(object, "processes_by_type", by_type(m ? m->processes : none, &processes));
	json_object_set_new(object, "memory_by_type", by_type(m ? m->memory_bytes : none, &memory));
	json_object_set_new(object, "sessions", m ? json_integer(m->sessions) : json_null());
	json_object_set_new(object, "pages", m ? json_integer(m->pages_attached + m->pages_detached) : json_null());
	json_object_set_new(object, "processes", m ? json_integer(processes) : json_null());
	json_object_set_new(object, "memory_bytes", m ? json_integer(memory) : json_null());
	json_object_set_new(object, "sandboxed", m ? json_boolean(m->sandboxed) : json_null());
}

json_t *shapes_browser(const struct snapshot *s, size_t slot)
{
	const struct browser *b = &s->world->browsers[slot];
	const struct generation *g = browser_lead(b);
	bool up = g->run != 0;
	json_t *object = json_pack("{s:o,s:b,s:s,s:o,s:o,s:o,s:b,s:b, s:o,s:I,s:o,s:o,s:o,s:o,s:o, "
				   "s:I,s:o,s:I,s:o,s:o}",
		"name", answer_string(b->config->name), "critical", b->config->critical, "state",
		browser_state_name(b->state), "reason", answer_string(b->reason), "since", point(s, b->since),
		"since_seconds", seconds(s->now - b->since), "wanted", b->wanted, "available", browser_is_available(b),
		"pid", g->pid > 0 ? json_integer(g->pid) : json_null(), "generation",
		(json_int_t)(up ? g->number : b->generation), "started", up ? point(s, g->started_at) : json_null(),
		"uptime_seconds", up ? seconds(s->now - g->started_at) : json_null(), "listen",
		text_or_null(b->config->listen), "volume", text_or_null(b->config->volume), "next_start",
		b->state == BROWSER_BACKOFF ? point_or_null(s, b->not_before) : json_null(), "recycles",
		(json_int_t)sum(b->recycles, 0, RECYCLE_COUNT), "recycles_by_reason",
		counts(b->recycles, 0, RECYCLE_COUNT, recycle_name), "leftover_processes", (json_int_t)b->leftovers,
		"checks", shape_rungs(g), "generations", shape_generations(s, b));
	put_browser_meter(object, browser_is_up(b) && slot < s->meters->n_browsers ? &s->meters->browsers[slot] : NULL);
	return object;
}

static json_t *shape_purge(const struct snapshot *s, const struct volume *v)
{
	const struct volume_purge *p = &v->last_purge;
	return json_pack("{s:b,s:o,s:o,s:I,s:I,s:I,s:i,s:i,s:i,s:I,s:I}", "running", v->purging, "last",
		point_or_null(s, p->at), "text", answer_string(v->purge_text), "files", (json_int_t)p->files,
		"directories", (json_int_t)p->directories, "bytes", (json_int_t)p->bytes, "in_use", p->open,
		"too_young", p->young, "failed", p->failed, "bytes_total", (json_int_t)v->purged_bytes, "files_total",
		(json_int_t)v->purged_files);
}

json_t *shapes_volume(const struct snapshot *s, const struct volume *v)
{
	bool ready = v->state == VOLUME_READY;
	return json_pack("{s:o,s:o,s:s,s:o,s:o,s:o,s:I,s:o,s:o,s:b,s:b,s:o,s:o,s:o,s:o,s:I}", "name",
		answer_string(v->config->name), "path", answer_string(v->config->path), "state",
		volume_state_name(v->state), "text", answer_string(v->text), "since", point(s, v->since),
		"since_seconds", seconds(s->now - v->since), "size_bytes",
		(json_int_t)(ready && v->size_bytes > 0 ? v->size_bytes : v->config->size_bytes), "used_bytes",
		ready ? json_integer(v->used_bytes) : json_null(), "used_percent",
		ready ? json_integer(volume_used_percent(v)) : json_null(), "tmpfs", v->is_tmpfs, "mounted_by_podvisor",
		v->mounted_by_us, "size_inodes",
		ready && v->size_inodes > 0 ? json_integer(v->size_inodes) : json_null(), "used_inodes",
		ready ? json_integer(v->used_inodes) : json_null(), "fill_percent",
		ready ? json_integer(volume_fill_percent(v)) : json_null(), "purge", shape_purge(s, v), "fulls",
		(json_int_t)v->fulls);
}

static json_t *shape_path(const uint64_t checks[DATABASE_RESULTS])
{
	return json_pack(
		"{s:I,s:I}", "ok", (json_int_t)checks[DATABASE_OK], "failed", (json_int_t)checks[DATABASE_FAILED]);
}

static bool database_answers(const struct database *d)
{
	return d->state == DATABASE_UP || d->state == DATABASE_DEGRADED;
}

json_t *shapes_database(const struct snapshot *s, const struct database *d)
{
	bool up = database_answers(d);
	return json_pack("{s:o,s:s,s:s,s:o,s:o,s:o,s:o,s:b, s:b,s:o,s:o,s:o,s:o,s:o,s:o, "
			 "s:I,s:o,s:o}",
		"name", answer_string(d->config->name), "state", database_state_name(d->state), "reason",
		postgres_reason_name(d->reason), "text", answer_string(d->text), "sqlstate", text_or_null(d->sqlstate),
		"since", point(s, d->since), "since_seconds", seconds(s->now - d->since), "available",
		database_is_available(d), "session", d->session, "in_recovery",
		up ? json_boolean(d->in_recovery) : json_null(), "read_only",
		up ? json_boolean(d->read_only) : json_null(), "connections", up ? known(d->connections) : json_null(),
		"max_connections", up ? known(d->max_connections) : json_null(), "timeline",
		up ? known(d->timeline) : json_null(), "lag_seconds",
		up && d->lag_ms >= 0 ? seconds(d->lag_ms) : json_null(), "reconnects", (json_int_t)d->reconnects,
		"checks", shape_path(d->checks[DATABASE_KEPT]), "canaries", shape_path(d->checks[DATABASE_CANARY]));
}

/* ---- leases ---- */

static const char *lease_reason_of(int i)
{
	return lease_reason_name((enum lease_reason)i);
}

static json_t *shape_lease(const struct snapshot *s, const struct lease_entry *e)
{
	const struct lease *l = &e->lease;
	bool held = lease_is_held(l, s->now);
	ms_t deadline = lease_permit(l, s->now).deadline;
	const char *holder = l->known ? l->seen.holder : "";
	return json_pack("{s:o,s:s,s:s,s:o,s:o,s:b,s:o, s:o,s:o,s:I,s:I,s:o,s:o}", "name", answer_string(e->name),
		"state", lease_state_name(l->state), "reason", l->reason, "since", point(s, l->since), "since_seconds",
		seconds(s->now - l->since), "held", held, "holder", text_or_null(holder[0] ? holder : NULL), "token",
		held ? json_integer((json_int_t)lease_book_token(&s->world->leases, l->timeline, l->token))
		     : json_null(),
		"deadline_seconds", held && deadline != CLOCK_NEVER ? seconds(deadline - s->now) : json_null(),
		"renewals", (json_int_t)l->renewals[0], "renewals_failed", (json_int_t)l->renewals[1], "transitions",
		counts(l->moves, LEASE_BORN + 1, LEASE_REASON_COUNT, lease_reason_of), "trouble",
		text_or_null(e->trouble[0] ? e->trouble : NULL));
}

static json_t *shape_leases(const struct snapshot *s)
{
	const struct lease_book *b = &s->world->leases;
	json_t *list = json_array();
	for (size_t i = 0; i < b->n; i++)
		json_array_append_new(list, shape_lease(s, b->entries[i]));
	return list;
}

/* ---- gateway and drain ---- */

static json_t *shape_route(const struct config_route *r, const uint64_t requests[6])
{
	return json_pack("{s:o,s:o,s:o,s:I,s:o}", "path", answer_string(r->path), "worker", text_or_null(r->worker),
		"to", answer_string(r->to), "requests", (json_int_t)sum(requests, 0, 6), "requests_by_class",
		counts(requests, 0, 6, class_name));
}

static json_t *shape_connections(const struct gateway_meter *m)
{
	return json_pack("{s:I,s:I,s:I}", "http", (json_int_t)m->http, "idle", (json_int_t)m->idle, "websocket",
		(json_int_t)m->websocket);
}

static json_t *shape_directions(const uint64_t counted[2])
{
	return json_pack("{s:I,s:I}", "received", (json_int_t)counted[0], "sent", (json_int_t)counted[1]);
}

json_t *shapes_gateway(const struct snapshot *s)
{
	const struct config_gateway *g = &s->world->config->gateway;
	const struct gateway_meter *m = &s->meters->gateway;
	if (!g->present)
		return json_null();
	uint64_t requests = 0;
	json_t *routes = json_array();
	for (size_t i = 0; i < g->n_routes && i < METER_ROUTES_MAX; i++) {
		json_array_append_new(routes, shape_route(&g->routes[i], m->requests[i]));
		requests += sum(m->requests[i], 0, 6);
	}
	return json_pack("{s:o,s:b,s:o,s:o,s:I,s:o,s:o}", "listen", text_or_null(g->listen), "listening",
		s->world->drain.gateway_listening, "routes", routes, "connections", shape_connections(m), "requests",
		(json_int_t)requests, "messages", shape_directions(m->messages), "bytes", shape_directions(m->bytes));
}

static void count_up(const struct world *w, json_int_t *workers, json_int_t *browsers)
{
	*workers = *browsers = 0;
	for (size_t i = 0; i < w->n_workers; i++)
		*workers += worker_is_up(&w->workers[i]);
	for (size_t i = 0; i < w->n_browsers; i++)
		*browsers += browser_is_up(&w->browsers[i]);
}

json_t *shapes_drain(const struct snapshot *s)
{
	const struct drain *d = &s->world->drain;
	const struct gateway_meter *m = &s->meters->gateway;
	json_int_t workers, browsers;
	json_t *closed = json_object();
	count_up(s->world, &workers, &browsers);
	for (int i = 0; i < GATEWAY_CLOSE_COUNT; i++)
		json_object_set_new(closed, close_name(i), json_integer((json_int_t)m->drain.results[i]));
	bool serving = d->state == DRAIN_SERVING;
	return json_pack("{s:s,s:o,s:o,s:b,s:b,s:b,s:b, s:o,s:o,s:o,s:o,s:o,s:o, "
			 "s:o,s:o,s:o,s:I,s:I,s:I,s:I,s:o}",
		"state", drain_state_name(d->state), "since", point(s, d->since), "since_seconds",
		seconds(s->now - d->since), "asked", d->asked, "shutdown", d->shutdown, "by_api", d->by_api, "hurried",
		d->hurried, "why", answer_string(d->why), "began", point_or_null(s, d->began_at), "deadline",
		serving ? json_null() : point_or_null(s, d->deadline), "remaining_seconds",
		serving ? json_null() : seconds_until(s, d->deadline), "phase_until",
		serving ? json_null() : point_or_null(s, d->phase_until), "phase_remaining_seconds",
		serving ? json_null() : seconds_until(s, d->phase_until), "estimate_seconds",
		seconds_until(s, forecast_drained_at(s)), "connections", shape_connections(m), "websockets_closed",
		closed, "discarded_bytes", (json_int_t)m->drain.discarded_bytes, "requests_cut",
		(json_int_t)m->drain.requests_cut, "workers_up", workers, "browsers_up", browsers, "summary",
		answer_string(d->summary));
}

/* ---- all of it ---- */

static json_t *shape_remarks(const struct verdict *v, bool ok)
{
	char text[sizeof(v->items[0].name) + sizeof(v->items[0].text) + 2];
	json_t *list = json_array();
	for (size_t i = 0; i < v->count; i++) {
		const struct verdict_item *item = &v->items[i];
		if (item->ok != ok ||
			(ok && strncmp(item->text, "degraded", 8) != 0 && strncmp(item->text, "draining", 8) != 0))
			continue;
		snprintf(text, sizeof(text), "%s: %s", item->name, item->text);
		json_array_append_new(list, answer_string(text));
	}
	return list;
}

static void put_verdicts(json_t *object, const struct snapshot *s)
{
	struct verdict v;
	verdict_of(s->world, VERDICT_LIVE, NULL, s->now, &v);
	json_object_set_new(object, "live", json_boolean(v.ok));
	verdict_of(s->world, VERDICT_STARTUP, NULL, s->now, &v);
	json_object_set_new(object, "started_up", json_boolean(v.ok));
	verdict_of(s->world, VERDICT_READY, NULL, s->now, &v);
	json_object_set_new(object, "ready", json_boolean(v.ok));
	json_object_set_new(object, "reasons", shape_remarks(&v, false));
	json_object_set_new(object, "remarks", shape_remarks(&v, true));
}

static void put_things(json_t *object, const struct snapshot *s)
{
	const struct world *w = s->world;
	json_t *workers = json_array(), *browsers = json_array(), *volumes = json_array(), *databases = json_array();
	for (size_t i = 0; i < w->n_workers; i++)
		if (w->workers[i].config)
			json_array_append_new(workers, shapes_worker(s, i, false));
	for (size_t i = 0; i < w->n_browsers; i++)
		json_array_append_new(browsers, shapes_browser(s, i));
	for (size_t i = 0; i < w->n_volumes; i++)
		json_array_append_new(volumes, shapes_volume(s, &w->volumes[i]));
	for (size_t i = 0; i < w->n_databases; i++)
		json_array_append_new(databases, shapes_database(s, &w->databases[i]));
	json_object_set_new(object, "workers", workers);
	json_object_set_new(object, "browsers", browsers);
	json_object_set_new(object, "volumes", volumes);
	json_object_set_new(object, "postgres", databases);
	json_object_set_new(object, "leases", shape_leases(s));
	json_object_set_new(
		object, "lease_members", s->world->leases.n ? json_integer(s->world->leases.members.n) : json_null());
	json_object_set_new(object, "gateway", shapes_gateway(s));
	json_object_set_new(object, "drain", shapes_drain(s));
}

static const char *action_name(int action)
{
	return memory_action_name((enum memory_action)action);
}

static json_t *shape_guard(const struct snapshot *s)
{
	const struct memory_guard *g = &s->world->guard;
	const struct config_memory *c = &s->world->config->memory;
	bool on = c->guard == MEMORY_GUARD_ON;
	return json_pack("{s:s,s:o,s:o,s:o,s:o}", "state", on ? memory_guard_state_name(g->state) : "off", "high_bytes",
		on ? known(memory_guard_high_bytes(g, c)) : json_null(), "actions",
		counts(g->actions, 0, MEMORY_ACTION_COUNT, action_name), "last_step", point_or_null(s, g->last.at),
		"last_step_text", answer_string(g->text));
}

static json_t *shape_memory(const struct snapshot *s)
{
	const struct event_memory *m = &s->meters->memory;
	return json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "limit_bytes", known(m->limit_bytes), "used_bytes",
		known(m->used_bytes), "charged_bytes", known(m->charged_bytes), "pressure_ratio",
		m->pressure_ratio >= 0 ? json_real(m->pressure_ratio) : json_null(), "limit_hits", known(m->limit_hits),
		"oom_kills", known(m->oom_kills), "guard", shape_guard(s));
}

json_t *shapes_status(const struct snapshot *s, const char *version)
{
	json_t *object = json_pack("{s:o,s:s,s:i,s:o,s:o,s:o,s:I,s:o}", "instance",
		text_or_null(s->world->config->instance), "version", version, "pid", (int)getpid(), "time",
		point(s, s->now), "started", point(s, s->started_at), "uptime_seconds", seconds(s->now - s->started_at),
		"last_event", (json_int_t)s->world->journal.last_seq, "memory", shape_memory(s));
	put_verdicts(object, s);
	put_things(object, s);
	return object;
}

json_t *shapes_event(const struct snapshot *s, const struct journal_entry *e)
{
	static const char *const levels[] = {
		[LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warn", [LOG_ERROR] = "error"};
	return json_pack("{s:I,s:o,s:s,s:s,s:o,s:o,s:o}", "seq", (json_int_t)e->seq, "time", point(s, e->at), "level",
		levels[e->level], "thing", thing_name(e->thing), "subject", answer_string(e->subject), "what",
		answer_string(e->what), "text", answer_string(e->text));
}
