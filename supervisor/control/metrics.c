#include "podvisor/control/metrics.h"

#include <math.h>
#include <string.h>

#include "podvisor/model/verdict.h"

/* What a writer of samples needs. */
struct scrape {
	const struct snapshot *s;
	const struct self_usage *self;
	const char *version;
	struct openmetrics m;
	/* Which one it is about, in the families of each of them. */
	const struct worker *worker;
	const struct browser *browser;
	const struct volume *volume;
	const struct database *database;
	const struct lease_entry *lease;
};

#define LABELS(...)                                      \
	(const struct openmetrics_label[]){__VA_ARGS__}, \
		sizeof((struct openmetrics_label[]){__VA_ARGS__}) / sizeof(struct openmetrics_label)

static void put_known(struct scrape *c, int64_t value, const struct openmetrics_label *labels, size_t n)
{
	if (value >= 0)
		openmetrics_count(&c->m, value, labels, n);
}

static void put_histogram(struct scrape *c, const struct histogram *h, const struct openmetrics_label *labels, size_t n)
{
	openmetrics_histogram(
		&c->m, histogram_bounds_seconds, HISTOGRAM_BUCKETS, h->buckets, h->sum_seconds, labels, n);
}

/* ---- podvisor itself ---- */

static void put_build(struct scrape *c)
{
	openmetrics_count(&c->m, 1, LABELS({"version", c->version}));
}

static void put_ready(struct scrape *c)
{
	struct verdict v;
	verdict_of(c->s->world, VERDICT_READY, NULL, c->s->now, &v);
	openmetrics_count(&c->m, v.ok, NULL, 0);
}

static void put_loop_lag(struct scrape *c)
{
	put_histogram(c, &c->s->meters->loop_lag_seconds, NULL, 0);
}

static void put_orphans(struct scrape *c)
{
	openmetrics_count(&c->m, (int64_t)c->s->meters->orphans_reaped, NULL, 0);
}

static void put_cpu(struct scrape *c)
{
	if (c->self->cpu_seconds >= 0)
		openmetrics_number(&c->m, c->self->cpu_seconds, NULL, 0);
}

static void put_start_time(struct scrape *c)
{
	if (c->self->start_time_seconds >= 0)
		openmetrics_number(&c->m, c->self->start_time_seconds, NULL, 0);
}

static void put_open_fds(struct scrape *c)
{
	put_known(c, c->self->open_fds, NULL, 0);
}

static void put_max_fds(struct scrape *c)
{
	put_known(c, c->self->max_fds, NULL, 0);
}

static void put_virtual(struct scrape *c)
{
	put_known(c, c->self->virtual_bytes, NULL, 0);
}

static void put_resident(struct scrape *c)
{
	put_known(c, c->self->resident_bytes, NULL, 0);
}

static void put_threads(struct scrape *c)
{
	put_known(c, c->self->threads, NULL, 0);
}

/* ---- workers ---- */

static void put_worker_state(struct scrape *c)
{
	const struct worker *w = c->worker;
	for (int i = 0; i < WORKER_STATE_COUNT; i++)
		openmetrics_count(&c->m, w->state == (enum worker_state)i,
			LABELS({"worker", w->name}, {"state", worker_state_name((enum worker_state)i)}));
}

static void put_worker_ready(struct scrape *c)
{
	const struct worker *w = c->worker;
	openmetrics_count(&c->m, worker_is_available(w), LABELS({"worker", w->name}));
}

static void put_worker_restarts(struct scrape *c)
{
	const struct worker *w = c->worker;
	for (int i = CAUSE_NONE + 1; i < CAUSE_COUNT; i++)
		openmetrics_count(&c->m, (int64_t)w->restarts[i],
			LABELS({"worker", w->name}, {"reason", worker_cause_name((enum worker_cause)i)}));
}

static void put_worker_exits(struct scrape *c)
{
	const struct worker *w = c->worker;
	openmetrics_count(&c->m, (int64_t)w->exits_ok, LABELS({"worker", w->name}, {"status", "ok"}));
	openmetrics_count(&c->m, (int64_t)w->exits_failed, LABELS({"worker", w->name}, {"status", "failed"}));
	openmetrics_count(&c->m, (int64_t)w->exits_signaled, LABELS({"worker", w->name}, {"status", "signaled"}));
}

static void put_worker_start_time(struct scrape *c)
{
	const struct worker *w = c->worker;
	if (worker_is_up(w) && w->started_at)
		openmetrics_number(
			&c->m, (double)snapshot_wall_ms(c->s, w->started_at) / 1000, LABELS({"worker", w->name}));
}

/* NULL while nothing was measured. */
static const struct usage_meter *usage_of(const struct scrape *c, const struct worker *w)
{
	size_t slot = (size_t)(w - c->s->world->workers);
	const struct meters *m = c->s->meters;
	return slot < m->n_usage && m->usage[slot].memory_bytes >= 0 ? &m->usage[slot] : NULL;
}

static void put_worker_cpu(struct scrape *c)
{
	const struct worker *w = c->worker;
	if (usage_of(c, w))
		openmetrics_number(&c->m, usage_of(c, w)->cpu_seconds, LABELS({"worker", w->name}));
}

static void put_worker_memory(struct scrape *c)
{
	const struct worker *w = c->worker;
	if (usage_of(c, w))
		openmetrics_count(&c->m, usage_of(c, w)->memory_bytes, LABELS({"worker", w->name}));
}

static void put_worker_fds(struct scrape *c)
{
	const struct worker *w = c->worker;
	if (usage_of(c, w))
		openmetrics_count(&c->m, usage_of(c, w)->open_fds, LABELS({"worker", w->name}));
}

/* A number that is not there (null, not told yet) has no sample. */
static void put_worker_progress(struct scrape *c)
{
	const struct worker *w = c->worker;
	if (w->progress.counting && w->progress.known && !isnan(w->progress.value))
		openmetrics_number(&c->m, w->progress.value, LABELS({"worker", w->name}));
}

static void put_worker_progress_age(struct scrape *c)
{
	const struct worker *w = c->worker;
	if (w->progress.counting)
		openmetrics_number(&c->m, (double)(c->s->now - w->progress.since) / 1000, LABELS({"worker", w->name}));
}

static void put_worker_processes(struct scrape *c)
{
	const struct worker *w = c->worker;
	if (usage_of(c, w))
		openmetrics_count(&c->m, usage_of(c, w)->processes, LABELS({"worker", w->name}));
}

static void put_worker_next_run(struct scrape *c)
{
	const struct worker *w = c->worker;
	if (w->config->kind == WORKER_JOB && w->schedule.armed)
		openmetrics_number(&c->m, (double)w->schedule.next_ms / 1000, LABELS({"worker", w->name}));
}

static void put_worker_last_success(struct scrape *c)
{
	const struct worker *w = c->worker;
	if (w->schedule.succeeded_at)
		openmetrics_number(&c->m, (double)snapshot_wall_ms(c->s, w->schedule.succeeded_at) / 1000,
			LABELS({"worker", w->name}));
}

static void put_worker_missed_runs(struct scrape *c)
{
	const struct worker *w = c->worker;
	for (int i = 0; w->config->kind == WORKER_JOB && i < MISSED_COUNT; i++)
		openmetrics_count(&c->m, (int64_t)w->schedule.missed[i],
			LABELS({"worker", w->name}, {"reason", missed_name((enum missed)i)}));
}

/* All zero before its first run. */
static const struct log_meter *log_meter_of(const struct scrape *c, const struct worker *w)
{
	static const struct log_meter none;
	size_t slot = (size_t)(w - c->s->world->workers);
	const struct meters *m = c->s->meters;
	return slot < m->n_logs && strcmp(m->logs[slot].worker, w->name) == 0 ? &m->logs[slot] : &none;
}

static void put_log_lines(struct scrape *c)
{
	const struct worker *w = c->worker;
	const struct log_meter *m = log_meter_of(c, w);
	for (int i = 0; i < 2; i++)
		openmetrics_count(
			&c->m, (int64_t)m->lines[i], LABELS({"worker", w->name}, {"stream", i ? "stderr" : "stdout"}));
}

/* A slow stdout drops the oldest lines, whosever they are. */
static void put_log_dropped(struct scrape *c)
{
	const struct world *w = c->s->world;
	openmetrics_count(
		&c->m, (int64_t)c->s->meters->log_dropped_lines, LABELS({"worker", ""}, {"reason", "stdout"}));
	for (size_t i = 0; i < w->n_workers; i++)
		if (w->workers[i].config && w->workers[i].config->log.rate)
			openmetrics_count(&c->m, (int64_t)log_meter_of(c, &w->workers[i])->dropped,
				LABELS({"worker", w->workers[i].name}, {"reason", "rate"}));
}

/* ---- browsers ---- */

/* NULL while nothing is known of it. */
static const struct browser_meter *meter_of(const struct scrape *c, const struct browser *b)
{
	size_t slot = (size_t)(b - c->s->world->browsers);
	const struct meters *m = c->s->meters;
	return slot < m->n_browsers ? &m->browsers[slot] : NULL;
}

static void put_browser_up(struct scrape *c)
{
	const struct browser *b = c->browser;
	openmetrics_count(&c->m, browser_is_available(b), LABELS({"browser", b->config->name}));
}

static void put_browser_state(struct scrape *c)
{
	const struct browser *b = c->browser;
	for (int i = 0; i < BROWSER_STATE_COUNT; i++)
		openmetrics_count(&c->m, b->state == (enum browser_state)i,
			LABELS({"browser", b->config->name}, {"state", browser_state_name((enum browser_state)i)}));
}

static void put_browser_generation(struct scrape *c)
{
	const struct browser *b = c->browser;
	const struct generation *g = browser_lead(b);
	openmetrics_count(&c->m, (int64_t)(g->run ? g->number : b->generation), LABELS({"browser", b->config->name}));
}

static void put_browser_sessions(struct scrape *c)
{
	const struct browser *b = c->browser;
	if (meter_of(c, b))
		put_known(c, meter_of(c, b)->sessions, LABELS({"browser", b->config->name}));
}

static void put_browser_queue(struct scrape *c)
{
	const struct browser *b = c->browser;
	if (meter_of(c, b))
		put_known(c, meter_of(c, b)->queued, LABELS({"browser", b->config->name}));
}

static void put_browser_pages(struct scrape *c)
{
	const struct browser *b = c->browser;
	const struct browser_meter *m = meter_of(c, b);
	if (!m)
		return;
	put_known(c, m->pages_attached, LABELS({"browser", b->config->name}, {"attached", "true"}));
	put_known(c, m->pages_detached, LABELS({"browser", b->config->name}, {"attached", "false"}));
}

static void put_by_type(struct scrape *c, const int64_t *values)
{
	for (int i = 0; i < CHROME_TYPE_COUNT; i++)
		openmetrics_count(&c->m, values[i],
			LABELS({"browser", c->browser->config->name}, {"type", chrome_type_name((enum chrome_type)i)}));
}

static void put_browser_processes(struct scrape *c)
{
	if (meter_of(c, c->browser))
		put_by_type(c, meter_of(c, c->browser)->processes);
}

static void put_browser_memory(struct scrape *c)
{
	if (meter_of(c, c->browser))
		put_by_type(c, meter_of(c, c->browser)->memory_bytes);
}

static void put_browser_sandboxed(struct scrape *c)
{
	const struct browser *b = c->browser;
	if (meter_of(c, b) && browser_is_up(b))
		openmetrics_count(&c->m, meter_of(c, b)->sandboxed, LABELS({"browser", b->config->name}));
}

static void put_browser_recycles(struct scrape *c)
{
	const struct browser *b = c->browser;
	for (int i = 0; i < RECYCLE_COUNT; i++)
		openmetrics_count(&c->m, (int64_t)b->recycles[i],
			LABELS({"browser", b->config->name},
				{"reason", browser_recycle_name((enum browser_recycle)i)}));
}

static void put_browser_tidied(struct scrape *c)
{
	const struct browser *b = c->browser;
	for (int i = 0; i < TIDIED_COUNT; i++)
		openmetrics_count(&c->m, (int64_t)b->tidied[i],
			LABELS({"browser", b->config->name}, {"what", browser_tidied_name((enum browser_tidied)i)}));
}

static void put_browser_checks(struct scrape *c)
{
	const struct browser *b = c->browser;
	for (int i = 0; i < RUNG_COUNT; i++)
		put_histogram(c, &b->check_seconds[i],
			LABELS({"browser", b->config->name}, {"rung", rung_name((enum rung)i)}));
}

static void put_browser_kills(struct scrape *c)
{
	const struct browser *b = c->browser;
	put_histogram(c, &b->kill_seconds, LABELS({"browser", b->config->name}));
}

static void put_browser_swaps(struct scrape *c)
{
	const struct browser *b = c->browser;
	put_histogram(c, &b->swap.seconds, LABELS({"browser", b->config->name}));
}

static void put_browser_leftovers(struct scrape *c)
{
	const struct browser *b = c->browser;
	openmetrics_count(&c->m, (int64_t)b->leftovers, LABELS({"browser", b->config->name}));
}

/* ---- RAM disks and memory ---- */

static void put_volume_size(struct scrape *c)
{
	const struct volume *v = c->volume;
	if (v->state == VOLUME_READY)
		put_known(c, v->size_bytes, LABELS({"volume", v->config->name}));
}

static void put_volume_used(struct scrape *c)
{
	const struct volume *v = c->volume;
	if (v->state == VOLUME_READY)
		put_known(c, v->used_bytes, LABELS({"volume", v->config->name}));
}

static void put_volume_size_inodes(struct scrape *c)
{
	const struct volume *v = c->volume;
	if (v->state == VOLUME_READY && v->size_inodes > 0)
		put_known(c, v->size_inodes, LABELS({"volume", v->config->name}));
}

static void put_volume_used_inodes(struct scrape *c)
{
	const struct volume *v = c->volume;
	if (v->state == VOLUME_READY)
		put_known(c, v->used_inodes, LABELS({"volume", v->config->name}));
}

static void put_volume_purged_bytes(struct scrape *c)
{
	put_known(c, c->volume->purged_bytes, LABELS({"volume", c->volume->config->name}));
}

static void put_volume_purged_files(struct scrape *c)
{
	put_known(c, c->volume->purged_files, LABELS({"volume", c->volume->config->name}));
}

static void put_volume_fulls(struct scrape *c)
{
	put_known(c, (int64_t)c->volume->fulls, LABELS({"volume", c->volume->config->name}));
}

static void put_memory_limit(struct scrape *c)
{
	put_known(c, c->s->meters->memory.limit_bytes, NULL, 0);
}

static void put_memory_used(struct scrape *c)
{
	put_known(c, c->s->meters->memory.used_bytes, NULL, 0);
}

static void put_memory_charged(struct scrape *c)
{
	put_known(c, c->s->meters->memory.charged_bytes, NULL, 0);
}

static void put_memory_pressure(struct scrape *c)
{
	if (c->s->meters->memory.pressure_ratio >= 0)
		openmetrics_number(&c->m, c->s->meters->memory.pressure_ratio, NULL, 0);
}

static void put_memory_limit_hits(struct scrape *c)
{
	put_known(c, c->s->meters->memory.limit_hits, NULL, 0);
}

static void put_memory_oom_kills(struct scrape *c)
{
	put_known(c, c->s->meters->memory.oom_kills, NULL, 0);
}

static void put_memory_actions(struct scrape *c)
{
	for (int i = 0; i < MEMORY_ACTION_COUNT; i++)
		openmetrics_count(&c->m, (int64_t)c->s->world->guard.actions[i],
			LABELS({"action", memory_action_name((enum memory_action)i)}));
}

/* ---- PostgreSQL ---- */

/* What was observed holds only as long as it answers. */
static bool answers(const struct database *d)
{
	return d->state == DATABASE_UP || d->state == DATABASE_DEGRADED;
}

static void put_postgres_up(struct scrape *c)
{
	const struct database *d = c->database;
	openmetrics_count(&c->m, answers(d), LABELS({"database", d->config->name}));
}

static void put_postgres_state(struct scrape *c)
{
	const struct database *d = c->database;
	for (int i = 0; i < DATABASE_STATE_COUNT; i++)
		openmetrics_count(&c->m, d->state == (enum database_state)i,
			LABELS({"database", d->config->name}, {"state", database_state_name((enum database_state)i)}));
}

static void put_postgres_checks(struct scrape *c)
{
	const struct database *d = c->database;
	for (int i = 0; i < DATABASE_PATHS * 2; i++)
		openmetrics_count(&c->m, (int64_t)d->checks[i / 2][i % 2],
			LABELS({"database", d->config->name}, {"kind", i / 2 == DATABASE_KEPT ? "kept" : "canary"},
				{"result", i % 2 == DATABASE_FAILED ? "failed" : "ok"}));
}

static void put_postgres_seconds(struct scrape *c)
{
	const struct database *d = c->database;
	put_histogram(c, &d->check_seconds, LABELS({"database", d->config->name}));
}

static void put_postgres_failures(struct scrape *c)
{
	const struct database *d = c->database;
	for (int i = 0; i < 100; i++) {
		char class[3] = {(char)('0' + i / 10), (char)('0' + i % 10), '\0'};
		if (d->failures_by_class[i])
			openmetrics_count(&c->m, (int64_t)d->failures_by_class[i],
				LABELS({"database", d->config->name}, {"sqlstate_class", class}));
	}
	openmetrics_count(
		&c->m, (int64_t)d->failures_other, LABELS({"database", d->config->name}, {"sqlstate_class", "other"}));
}

static void put_postgres_reconnects(struct scrape *c)
{
	const struct database *d = c->database;
	openmetrics_count(&c->m, (int64_t)d->reconnects, LABELS({"database", d->config->name}));
}

static void put_postgres_connections(struct scrape *c)
{
	const struct database *d = c->database;
	if (answers(d))
		put_known(c, d->connections, LABELS({"database", d->config->name}));
}

static void put_postgres_max_connections(struct scrape *c)
{
	const struct database *d = c->database;
	if (answers(d))
		put_known(c, d->max_connections, LABELS({"database", d->config->name}));
}

static void put_postgres_lag(struct scrape *c)
{
	const struct database *d = c->database;
	if (answers(d) && d->lag_ms >= 0)
		openmetrics_number(&c->m, (double)d->lag_ms / 1000, LABELS({"database", d->config->name}));
}

static void put_postgres_recovery(struct scrape *c)
{
	const struct database *d = c->database;
	if (answers(d))
		openmetrics_count(&c->m, d->in_recovery, LABELS({"database", d->config->name}));
}

static void put_postgres_timeline(struct scrape *c)
{
	const struct database *d = c->database;
	if (answers(d))
		put_known(c, d->timeline, LABELS({"database", d->config->name}));
}

static void put_postgres_call_max(struct scrape *c)
{
	const struct database *d = c->database;
	openmetrics_number(&c->m, (double)d->call_max_us / 1e6, LABELS({"database", d->config->name}));
}

/* ---- leases ---- */

static void put_lease_held(struct scrape *c)
{
	const struct lease_entry *e = c->lease;
	openmetrics_count(&c->m, lease_is_held(&e->lease, c->s->now), LABELS({"lease", e->name}));
}

static void put_lease_token(struct scrape *c)
{
	const struct lease_entry *e = c->lease;
	if (e->lease.token)
		openmetrics_count(&c->m, lease_book_token(&c->s->world->leases, e->lease.timeline, e->lease.token),
			LABELS({"lease", e->name}));
}

static void put_lease_deadline(struct scrape *c)
{
	const struct lease_entry *e = c->lease;
	ms_t at = lease_permit(&e->lease, c->s->now).deadline;
	if (lease_is_held(&e->lease, c->s->now) && at != CLOCK_NEVER)
		openmetrics_number(&c->m, (double)(at - c->s->now) / 1000, LABELS({"lease", e->name}));
}

static void put_lease_renewals(struct scrape *c)
{
	const struct lease_entry *e = c->lease;
	for (int i = 0; i < 2; i++)
		openmetrics_count(&c->m, (int64_t)e->lease.renewals[i],
			LABELS({"lease", e->name}, {"result", i ? "failed" : "ok"}));
}

static void put_lease_transitions(struct scrape *c)
{
	const struct lease_entry *e = c->lease;
	for (int i = LEASE_BORN + 1; i < LEASE_REASON_COUNT; i++)
		openmetrics_count(&c->m, (int64_t)e->lease.moves[i],
			LABELS({"lease", e->name}, {"reason", lease_reason_name((enum lease_reason)i)}));
}

static void put_lease_handover(struct scrape *c)
{
	if (c->s->world->leases.n)
		put_histogram(c, &c->s->world->leases.handover_seconds, NULL, 0);
}

static void put_lease_kills(struct scrape *c)
{
	const struct lease_book *b = &c->s->world->leases;
	uint64_t kills = 0;
	for (size_t i = 0; i < b->n; i++)
		kills += b->entries[i]->lease.kills;
	if (b->n)
		openmetrics_count(&c->m, (int64_t)kills, NULL, 0);
}

static void put_lease_members(struct scrape *c)
{
	if (c->s->world->leases.n)
		openmetrics_count(&c->m, c->s->world->leases.members.n, NULL, 0);
}

/* ---- gateway and drain ---- */

static const char *const directions[] = {"received", "sent"}; /* from clients, to clients */

static const struct gateway_meter *gateway_of(const struct scrape *c)
{
	return c->s->world->config->gateway.present ? &c->s->meters->gateway : NULL;
}

static void put_kinds(struct scrape *c)
{
	const struct gateway_meter *g = gateway_of(c);
	if (!g)
		return;
	put_known(c, g->http, LABELS({"kind", "http"}));
	put_known(c, g->idle, LABELS({"kind", "idle"}));
	put_known(c, g->websocket, LABELS({"kind", "websocket"}));
}

static void put_gateway_requests(struct scrape *c)
{
	static const char *const codes[] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
	const struct config_gateway *config = &c->s->world->config->gateway;
	for (size_t i = 0; gateway_of(c) && i < config->n_routes && i < METER_ROUTES_MAX; i++)
		for (int k = 0; k < 6; k++)
			openmetrics_count(&c->m, (int64_t)gateway_of(c)->requests[i][k],
				LABELS({"route", config->routes[i].path}, {"code", codes[k]}));
}

static void put_gateway_seconds(struct scrape *c)
{
	if (gateway_of(c))
		put_histogram(c, &gateway_of(c)->request_seconds, NULL, 0);
}

static void put_gateway_messages(struct scrape *c)
{
	for (int i = 0; gateway_of(c) && i < 2; i++)
		openmetrics_count(&c->m, (int64_t)gateway_of(c)->messages[i], LABELS({"direction", directions[i]}));
}

static void put_gateway_bytes(struct scrape *c)
{
	for (int i = 0; gateway_of(c) && i < 2; i++)
		openmetrics_count(&c->m, (int64_t)gateway_of(c)->bytes[i], LABELS({"direction", directions[i]}));
}

static void put_gateway_closes(struct scrape *c)
{
	const struct gateway_meter *g = gateway_of(c);
	if (!g)
		return;
	openmetrics_count(&c->m, (int64_t)g->closes_by_client, LABELS({"by", "client"}));
	openmetrics_count(&c->m, (int64_t)g->closes_by_backend, LABELS({"by", "backend"}));
	openmetrics_count(&c->m, (int64_t)g->closes_by_podvisor, LABELS({"by", "podvisor"}));
}

static void put_drain_state(struct scrape *c)
{
	for (int i = 0; i <= DRAIN_DONE; i++)
		openmetrics_count(&c->m, c->s->world->drain.state == (enum drain_state)i,
			LABELS({"state", drain_state_name((enum drain_state)i)}));
}

static void put_drain_connections(struct scrape *c)
{
	if (c->s->world->drain.state != DRAIN_SERVING)
		put_kinds(c);
}

static void put_drain_closed(struct scrape *c)
{
	for (int i = 0; gateway_of(c) && i < GATEWAY_CLOSE_COUNT; i++)
		openmetrics_count(&c->m, (int64_t)gateway_of(c)->drained[i],
			LABELS({"result", gateway_close_name((enum gateway_close)i)}));
}

static void put_drain_delay(struct scrape *c)
{
	if (gateway_of(c))
		put_histogram(c, &gateway_of(c)->close_delay_seconds, NULL, 0);
}

static void put_drain_handshake(struct scrape *c)
{
	if (gateway_of(c))
		put_histogram(c, &gateway_of(c)->handshake_seconds, NULL, 0);
}

static void put_drain_discarded(struct scrape *c)
{
	if (gateway_of(c))
		openmetrics_count(&c->m, (int64_t)gateway_of(c)->discarded_bytes, NULL, 0);
}

/* ---- the table ---- */

#define GAUGE     OPENMETRICS_GAUGE
#define COUNTER   OPENMETRICS_COUNTER
#define HISTOGRAM OPENMETRICS_HISTOGRAM

/* What the writer is called for: once, or once for each. */
enum scope { ONE, WORKER, BROWSER, VOLUME, DATABASE, LEASE };

/* Names are those of SPEC 9; a counter's samples end in _total, build's in
 * _info. */
static const struct family {
	const char *name;
	enum openmetrics_type type;
	const char *unit; /* NULL: a number of things */
	enum scope scope;
	const char *help;
	void (*put)(struct scrape *c);
} families[] = {
	{"podvisor_build", OPENMETRICS_INFO, NULL, ONE, "The version of podvisor.", put_build},
	{"podvisor_ready", GAUGE, NULL, ONE, "Whether /readyz answers 200.", put_ready},
	{"podvisor_loop_lag_seconds", HISTOGRAM, "seconds", ONE, "Time that one turn of the event loop took.",
		put_loop_lag},
	{"podvisor_orphans_reaped", COUNTER, NULL, ONE, "Processes without a parent that podvisor has reaped.",
		put_orphans},

	{"podvisor_worker_state", GAUGE, NULL, WORKER, "1 for the state that the worker is in.", put_worker_state},
	{"podvisor_worker_ready", GAUGE, NULL, WORKER, "Whether those that depend on the worker may run.",
		put_worker_ready},
	{"podvisor_worker_restarts", COUNTER, NULL, WORKER, "Restarts, by why the run before ended.",
		put_worker_restarts},
	{"podvisor_worker_exits", COUNTER, NULL, WORKER,
		"Ends of the main process: with code 0, another code, by a signal.", put_worker_exits},
	{"podvisor_worker_start_time_seconds", GAUGE, "seconds", WORKER,
		"Unix time at which the present run was started.", put_worker_start_time},
	{"podvisor_worker_cpu_seconds", COUNTER, "seconds", WORKER,
		"Processor time of the worker's processes, ended runs included.", put_worker_cpu},
	{"podvisor_worker_memory_bytes", GAUGE, "bytes", WORKER, "Memory (PSS) of all the worker's processes.",
		put_worker_memory},
	{"podvisor_worker_open_fds", GAUGE, NULL, WORKER, "Open file descriptors of all the worker's processes.",
		put_worker_fds},
	{"podvisor_worker_processes", GAUGE, NULL, WORKER, "Processes of the worker.", put_worker_processes},
	{"podvisor_worker_progress", GAUGE, NULL, WORKER, "The number that its work is judged by.",
		put_worker_progress},
	{"podvisor_worker_progress_age_seconds", GAUGE, "seconds", WORKER,
		"Since that number last moved, or an age was last within its limit.", put_worker_progress_age},
	{"podvisor_worker_next_run_timestamp_seconds", GAUGE, "seconds", WORKER,
		"Unix time at which the job is due next.", put_worker_next_run},
	{"podvisor_worker_last_success_timestamp_seconds", GAUGE, "seconds", WORKER,
		"Unix time at which the last run of the job that succeeded was over.", put_worker_last_success},
	{"podvisor_worker_missed_runs", COUNTER, NULL, WORKER, "Times of the job that had no run of their own, by why.",
		put_worker_missed_runs},
	{"podvisor_worker_log_lines", COUNTER, NULL, WORKER, "Lines that the worker has written.", put_log_lines},
	{"podvisor_worker_log_dropped_lines", COUNTER, NULL, ONE,
		"Lines dropped: beyond a worker's rate, or the oldest of all because stdout was slower.",
		put_log_dropped},

	{"podvisor_browser_up", GAUGE, NULL, BROWSER, "Whether the browser takes sessions.", put_browser_up},
	{"podvisor_browser_state", GAUGE, NULL, BROWSER, "1 for the state that the browser is in.", put_browser_state},
	{"podvisor_browser_generation", GAUGE, NULL, BROWSER, "Number of the present Chrome, counted from 1.",
		put_browser_generation},
	{"podvisor_browser_sessions", GAUGE, NULL, BROWSER, "Sessions of clients.", put_browser_sessions},
	{"podvisor_browser_queue", GAUGE, NULL, BROWSER, "Clients that wait for a session, or for a Chrome.",
		put_browser_queue},
	{"podvisor_browser_pages", GAUGE, NULL, BROWSER, "Pages, by whether a session is attached to them.",
		put_browser_pages},
	{"podvisor_browser_processes", GAUGE, NULL, BROWSER, "Processes of the browser, by type.",
		put_browser_processes},
	{"podvisor_browser_memory_bytes", GAUGE, "bytes", BROWSER, "Memory (PSS) of the browser's processes, by type.",
		put_browser_memory},
	{"podvisor_browser_sandboxed", GAUGE, NULL, BROWSER, "Whether Chrome's own sandbox is on.",
		put_browser_sandboxed},
	{"podvisor_browser_recycles", COUNTER, NULL, BROWSER, "Replacements of Chrome, by reason.",
		put_browser_recycles},
	{"podvisor_browser_janitor_closed", COUNTER, NULL, BROWSER, "What clients left behind and the janitor closed.",
		put_browser_tidied},
	{"podvisor_browser_check_seconds", HISTOGRAM, "seconds", BROWSER,
		"Time until a check answered, by rung of the ladder.", put_browser_checks},
	{"podvisor_browser_kill_seconds", HISTOGRAM, "seconds", BROWSER,
		"Time from asking a Chrome to end until nothing of it ran.", put_browser_kills},
	{"podvisor_browser_swap_seconds", HISTOGRAM, "seconds", BROWSER,
		"Time from deciding to replace a Chrome that works until the next one took its sessions.",
		put_browser_swaps},
	{"podvisor_browser_leftover_processes", GAUGE, NULL, BROWSER,
		"Processes of Chromes that have ended which could not be ended. Has to be 0.", put_browser_leftovers},

	{"podvisor_volume_size_bytes", GAUGE, "bytes", VOLUME, "Size of the RAM disk.", put_volume_size},
	{"podvisor_volume_used_bytes", GAUGE, "bytes", VOLUME, "Use of the RAM disk.", put_volume_used},
	{"podvisor_volume_size_inodes", GAUGE, NULL, VOLUME, "How many files and directories the RAM disk takes.",
		put_volume_size_inodes},
	{"podvisor_volume_used_inodes", GAUGE, NULL, VOLUME, "How many there are.", put_volume_used_inodes},
	{"podvisor_volume_purged_bytes", COUNTER, "bytes", VOLUME, "What purges of the RAM disk have freed.",
		put_volume_purged_bytes},
	{"podvisor_volume_purged_files", COUNTER, NULL, VOLUME, "Files that purges of the RAM disk have deleted.",
		put_volume_purged_files},
	{"podvisor_volume_fulls", COUNTER, NULL, VOLUME, "How often on_full was restarted.", put_volume_fulls},
	{"podvisor_memory_limit_bytes", GAUGE, "bytes", ONE, "Memory limit of the pod's cgroup.", put_memory_limit},
	{"podvisor_memory_used_bytes", GAUGE, "bytes", ONE,
		"Memory use of the pod's cgroup, without reclaimable page cache: what the memory guard goes by.",
		put_memory_used},
	{"podvisor_memory_charged_bytes", GAUGE, "bytes", ONE, "Everything that is charged to the pod's cgroup.",
		put_memory_charged},
	{"podvisor_memory_pressure_ratio", GAUGE, NULL, ONE,
		"Share of the last 10 s in which some task waited for memory (cgroup v2).", put_memory_pressure},
	{"podvisor_memory_limit_hits", COUNTER, NULL, ONE, "How often the kernel had to reclaim at the limit.",
		put_memory_limit_hits},
	{"podvisor_memory_oom_kills", COUNTER, NULL, ONE, "Processes that the kernel killed because of the limit.",
		put_memory_oom_kills},
	{"podvisor_memory_actions", COUNTER, NULL, ONE, "Steps of the memory guard.", put_memory_actions},

	{"podvisor_postgres_up", GAUGE, NULL, DATABASE, "Whether the database answers.", put_postgres_up},
	{"podvisor_postgres_state", GAUGE, NULL, DATABASE, "1 for the state that the database is in.",
		put_postgres_state},
	{"podvisor_postgres_checks", COUNTER, NULL, DATABASE, "Checks over the kept session and by fresh connections.",
		put_postgres_checks},
	{"podvisor_postgres_check_seconds", HISTOGRAM, "seconds", DATABASE, "Time until a check answered.",
		put_postgres_seconds},
	{"podvisor_postgres_failures", COUNTER, NULL, DATABASE, "Failed checks by class of SQLSTATE.",
		put_postgres_failures},
	{"podvisor_postgres_reconnects", COUNTER, NULL, DATABASE, "Kept sessions opened after the first.",
		put_postgres_reconnects},
	{"podvisor_postgres_connections", GAUGE, NULL, DATABASE, "Connections that the server has.",
		put_postgres_connections},
	{"podvisor_postgres_max_connections", GAUGE, NULL, DATABASE, "Connections that the server allows.",
		put_postgres_max_connections},
	{"podvisor_postgres_replication_lag_seconds", GAUGE, "seconds", DATABASE,
		"How far the server is behind its primary.", put_postgres_lag},
	{"podvisor_postgres_in_recovery", GAUGE, NULL, DATABASE, "Whether the server is a standby.",
		put_postgres_recovery},
	{"podvisor_postgres_timeline", GAUGE, NULL, DATABASE, "Timeline of the server.", put_postgres_timeline},
	{"podvisor_postgres_call_max_seconds", GAUGE, "seconds", DATABASE, "The longest single call into libpq.",
		put_postgres_call_max},

	{"podvisor_lease_held", GAUGE, NULL, LEASE, "Whether this replica holds the lease.", put_lease_held},
	{"podvisor_lease_token", GAUGE, NULL, LEASE, "Fencing token of the newest grant to this replica.",
		put_lease_token},
	{"podvisor_lease_deadline_seconds", GAUGE, "seconds", LEASE,
		"Until what runs under the lease is killed, unless it is renewed.", put_lease_deadline},
	{"podvisor_lease_renewals", COUNTER, NULL, LEASE, "Renewals by result.", put_lease_renewals},
	{"podvisor_lease_transitions", COUNTER, NULL, LEASE, "Changes of the lease's state, by why.",
		put_lease_transitions},
	{"podvisor_lease_handover_seconds", HISTOGRAM, "seconds", ONE,
		"Time from the notice of a release to the grant.", put_lease_handover},
	{"podvisor_lease_fence_kills", COUNTER, NULL, ONE,
		"Times a lease ended at kill_at or was lost, and what ran under it was killed.", put_lease_kills},
	{"podvisor_lease_members", GAUGE, NULL, ONE, "Replicas that take part in the leases.", put_lease_members},

	{"podvisor_gateway_connections", GAUGE, NULL, ONE, "Connections of clients.", put_kinds},
	{"podvisor_gateway_requests", COUNTER, NULL, ONE, "Requests by route and class of the answer.",
		put_gateway_requests},
	{"podvisor_gateway_request_seconds", HISTOGRAM, "seconds", ONE, "Time from a request to the end of its answer.",
		put_gateway_seconds},
	{"podvisor_gateway_websocket_messages", COUNTER, NULL, ONE,
		"WebSocket messages, received from and sent to clients.", put_gateway_messages},
	{"podvisor_gateway_bytes", COUNTER, "bytes", ONE, "Bytes received from and sent to clients.",
		put_gateway_bytes},
	{"podvisor_gateway_websocket_closes", COUNTER, NULL, ONE, "WebSockets closed, by who began.",
		put_gateway_closes},

	{"podvisor_drain_state", GAUGE, NULL, ONE, "1 for the phase that the drain is in.", put_drain_state},
	{"podvisor_drain_connections", GAUGE, NULL, ONE, "Connections that the drain still waits for.",
		put_drain_connections},
	{"podvisor_drain_websockets_closed", COUNTER, NULL, ONE, "WebSockets closed by the drain, by result.",
		put_drain_closed},
	{"podvisor_drain_close_delay_seconds", HISTOGRAM, "seconds", ONE, "Time from a WebSocket's slot to its Close.",
		put_drain_delay},
	{"podvisor_drain_handshake_seconds", HISTOGRAM, "seconds", ONE, "Time from the Close to the client's own.",
		put_drain_handshake},
	{"podvisor_drain_discarded_bytes", COUNTER, "bytes", ONE, "Bytes of the backend that came after the Close.",
		put_drain_discarded},

	{"process_cpu_seconds", COUNTER, "seconds", ONE, "Total user and system CPU time spent in seconds.", put_cpu},
	{"process_open_fds", GAUGE, NULL, ONE, "Number of open file descriptors.", put_open_fds},
	{"process_max_fds", GAUGE, NULL, ONE, "Maximum number of open file descriptors.", put_max_fds},
	{"process_virtual_memory_bytes", GAUGE, "bytes", ONE, "Virtual memory size in bytes.", put_virtual},
	{"process_resident_memory_bytes", GAUGE, "bytes", ONE, "Resident memory size in bytes.", put_resident},
	{"process_start_time_seconds", GAUGE, "seconds", ONE, "Start time of the process since unix epoch in seconds.",
		put_start_time},
	{"process_threads", GAUGE, NULL, ONE, "Number of OS threads in the process.", put_threads},
};

static void put_each(struct scrape *c, const struct family *f)
{
	const struct world *w = c->s->world;
	switch (f->scope) {
	case WORKER:
		for (c->worker = w->workers; c->worker < w->workers + w->n_workers; c->worker++)
			if (c->worker->config)
				f->put(c);
		break;
	case BROWSER:
		for (c->browser = w->browsers; c->browser < w->browsers + w->n_browsers; c->browser++)
			f->put(c);
		break;
	case VOLUME:
		for (c->volume = w->volumes; c->volume < w->volumes + w->n_volumes; c->volume++)
			f->put(c);
		break;
	case LEASE:
		for (size_t i = 0; i < w->leases.n; i++) {
			c->lease = w->leases.entries[i];
			f->put(c);
		}
		break;
	case DATABASE:
		for (c->database = w->databases; c->database < w->databases + w->n_databases; c->database++)
			f->put(c);
		break;
	default:
		f->put(c);
		break;
	}
}

/* A family without samples is left out altogether. */
static void put_family(struct scrape *c, const struct family *f)
{
	struct buf *out = c->m.out;
	size_t before = out->len;
	openmetrics_family(&c->m, f->name, f->type, f->unit, f->help);
	size_t head = out->len;
	put_each(c, f);
	if (out->len == head && !out->failed)
		out->len = before;
}

void metrics_write(const struct snapshot *s, const struct self_usage *self, const char *version,
	enum openmetrics_format format, struct buf *out)
{
	struct scrape c = {.s = s, .self = self, .version = version};
	openmetrics_init(&c.m, format, out);
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
		put_family(&c, &families[i]);
	openmetrics_end(&c.m);
}
