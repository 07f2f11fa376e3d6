#include "podvisor/model/database.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "podvisor/base/units.h"

#define BACKOFF_FIRST_MS 500
#define BACKOFF_MAX_MS   15000
#define BACKOFF_START_MAX_MS \
	1000 /* never up yet: a stack that starts must not wait for its database longer than needed */
#define MISCONFIGURED_MS  30000
#define UNREADY_JITTER_MS 10000
/* A session that the server ends again and again at once is not opened faster than this. */
#define LOST_AGAIN_MS 1000

static const char *const state_names[DATABASE_STATE_COUNT] = {
#define DATABASE_NAME(id, name) [id] = name,
	DATABASE_STATES(DATABASE_NAME)
#undef DATABASE_NAME
};

static const enum log_level state_levels[DATABASE_STATE_COUNT] = {
	[DATABASE_UNKNOWN] = LOG_INFO,
	[DATABASE_UP] = LOG_INFO,
	[DATABASE_DEGRADED] = LOG_WARN,
	[DATABASE_DOWN] = LOG_ERROR,
	[DATABASE_MISCONFIGURED] = LOG_ERROR,
};

const char *database_state_name(enum database_state state)
{
	return state < DATABASE_STATE_COUNT ? state_names[state] : "unknown";
}

void database_init(struct database *d, const struct config_postgres *config, uint32_t slot, ms_t now)
{
	*d = (struct database){
		.config = config, .slot = slot, .since = now, .check_due = now, .canary_due = CLOCK_NEVER};
}

bool database_is_available(const struct database *d)
{
	return d->state == DATABASE_UP || d->state == DATABASE_DEGRADED;
}

bool database_is_closed(const struct database *d)
{
	return !d->session && !d->check_in_flight && !d->canary_in_flight && !d->closing;
}

/* ---- the one setter ---- */

static void note_unavailable(struct database *d, struct turn *t)
{
	if (!d->down_since)
		d->down_since = t->now;
	if (!d->unready_at)
		d->unready_at = clock_after(
			t->now, d->config->unready_after + (ms_t)random_below(t->random, UNREADY_JITTER_MS + 1));
}

static void note_available(struct database *d)
{
	d->ever_up = true;
	d->down_since = d->unready_at = 0;
}

/* A change of the reason within a state is told too; of the words alone it is not. */
static void PRINTF_LIKE(5, 6) set_state(struct database *d, enum database_state state, enum postgres_reason reason,
	struct turn *t, const char *fmt, ...)
{
	bool changed = state != d->state, told = changed || reason != d->reason;
	va_list args;
	va_start(args, fmt);
	vsnprintf(d->text, sizeof(d->text), fmt, args);
	va_end(args);
	if (changed)
		d->since = t->now;
	d->state = state;
	d->reason = reason;
	if (state == DATABASE_DOWN || state == DATABASE_MISCONFIGURED)
		note_unavailable(d, t);
	else if (state != DATABASE_UNKNOWN)
		note_available(d);
	if (told)
		journal_add(t->journal, t->now, state_levels[state], THING_POSTGRES, d->config->name,
			database_state_name(state), "%s%s%s", postgres_reason_name(reason), reason ? ": " : "",
			d->text);
}

/* ---- up or degraded ---- */

/* The 95th percentile of twenty is the second slowest; taken from fewer as well, so
 * that one slow check alone never degrades. */
static int64_t second_slowest_us(const struct database *d)
{
	int64_t first = 0, second = 0;
	for (uint64_t i = 0; i < d->n_recent && i < DATABASE_RECENT; i++) {
		int64_t us = d->recent_us[i];
		if (us > first) {
			second = first;
			first = us;
		} else if (us > second) {
			second = us;
		}
	}
	return second;
}

static bool too_many_connections(const struct database *d)
{
	return d->config->max_connections_used_percent && d->max_connections > 0 &&
	       d->connections * 100 > d->max_connections * d->config->max_connections_used_percent;
}

/* What there is to object to a database that answers; the gravest first. */
static void judge(struct database *d, struct turn *t)
{
	const struct config_postgres *c = d->config;
	bool must_write = c->require == POSTGRES_READ_WRITE;
	char limit[UNITS_TEXT_MAX];
	int64_t slow_us = second_slowest_us(d);
	if (must_write && d->in_recovery) {
		set_state(d, DATABASE_DEGRADED, POSTGRES_REASON_RECOVERING, t, "it is a standby, but must take writes");
	} else if (must_write && d->read_only) {
		set_state(d, DATABASE_DEGRADED, POSTGRES_REASON_READ_ONLY, t, "it is read-only, but must take writes");
	} else if (d->canary_bad) {
		set_state(d, DATABASE_DEGRADED, d->canary_reason, t,
			"the kept session works, a new one does not: %.110s", d->canary_text);
	} else if (c->max_replication_lag && d->lag_ms > c->max_replication_lag) {
		units_format_duration(c->max_replication_lag, limit);
		set_state(d, DATABASE_DEGRADED, POSTGRES_REASON_LAGGING, t, "it is %lld ms behind, more than %s",
			(long long)d->lag_ms, limit);
	} else if (c->slow && slow_us > c->slow * 1000) {
		units_format_duration(c->slow, limit);
		set_state(d, DATABASE_DEGRADED, POSTGRES_REASON_SLOW, t, "checks take %lld ms, more than %s",
			(long long)(slow_us / 1000), limit);
	} else if (too_many_connections(d)) {
		set_state(d, DATABASE_DEGRADED, POSTGRES_REASON_OTHER, t, "%lld of %lld connections are used",
			(long long)d->connections, (long long)d->max_connections);
	} else {
		set_state(d, DATABASE_UP, POSTGRES_REASON_NONE, t, "it answers");
	}
}

/* ---- successes ---- */

/* While it comes back, often enough to be done at success_time. */
static ms_t recovery_interval(const struct config_postgres *c)
{
	ms_t step = c->success_time / (c->success_threshold > 1 ? c->success_threshold - 1 : 1);
	return step < 100 ? 100 : step < c->interval ? step : c->interval;
}

static void count_success(struct database *d, struct turn *t)
{
	if (d->successes++ == 0)
		d->first_success_at = t->now;
	d->failures = 0;
	d->first_failure_at = 0;
	d->attempt = 0;
	d->sqlstate[0] = '\0';
	bool enough =
		d->successes >= d->config->success_threshold && t->now - d->first_success_at >= d->config->success_time;
	if (database_is_available(d) || !d->ever_up || enough) {
		judge(d, t);
		d->check_due = clock_after(t->now, d->config->interval);
	} else {
		d->check_due = clock_after(t->now, recovery_interval(d->config));
	}
}

static void note_session(struct database *d, struct turn *t)
{
	if (d->session)
		return;
	d->session = true;
	if (d->ever_up) {
		d->reconnects++;
		journal_add(t->journal, t->now, LOG_INFO, THING_POSTGRES, d->config->name, "connected",
			"a new session is open");
	}
	/* The connection is fresh: it was a canary itself. */
	d->canary_bad = false;
	d->canary_due = clock_after(t->now, d->config->canary_interval);
}

static void observe(struct database *d, const struct event *e)
{
	d->in_recovery = e->postgres.in_recovery;
	d->read_only = e->postgres.read_only;
	d->connections = e->postgres.connections;
	d->max_connections = e->postgres.max_connections;
	d->timeline = e->postgres.timeline;
	d->lag_ms = e->postgres.lag_ms;
}

/* ---- failures ---- */

static void count_class(struct database *d, const char *sqlstate)
{
	if (sqlstate[0] >= '0' && sqlstate[0] <= '9' && sqlstate[1] >= '0' && sqlstate[1] <= '9')
		d->failures_by_class[(sqlstate[0] - '0') * 10 + sqlstate[1] - '0']++;
	else
		d->failures_other++;
}

/* Full jitter: many pods that lost the same database do not come back together. */
static ms_t back_off(struct database *d, struct turn *t)
{
	ms_t max = d->ever_up ? BACKOFF_MAX_MS : BACKOFF_START_MAX_MS;
	ms_t span = d->attempt < 10 ? (ms_t)BACKOFF_FIRST_MS << d->attempt : max;
	d->attempt++;
	return (ms_t)random_below(t->random, (uint64_t)(span < max ? span : max) + 1);
}

static bool failed_for_long(const struct database *d, ms_t now)
{
	return d->failures >= d->config->failure_threshold && now - d->first_failure_at >= d->config->failure_time;
}

/* A check is made when failure_time is over, or the state would be late. */
static ms_t next_try(struct database *d, struct turn *t)
{
	ms_t due = clock_after(t->now, back_off(d, t));
	ms_t verdict = clock_after(d->first_failure_at, d->config->failure_time);
	return database_is_available(d) && verdict > t->now ? clock_earlier(due, verdict) : due;
}

static void fail_for_good(struct database *d, const struct event *e, struct turn *t)
{
	set_state(d, DATABASE_MISCONFIGURED, e->postgres.reason, t, "%s", e->text);
	d->check_due = clock_after(t->now, MISCONFIGURED_MS);
}

static void count_failure(struct database *d, const struct event *e, struct turn *t)
{
	d->successes = 0;
	if (d->failures++ == 0)
		d->first_failure_at = t->now;
	if (e->postgres.permanent) {
		fail_for_good(d, e, t);
		return;
	}
	if (!d->ever_up)
		set_state(d, DATABASE_UNKNOWN, e->postgres.reason, t, "%s", e->text);
	else if (!database_is_available(d) || failed_for_long(d, t->now))
		set_state(d, DATABASE_DOWN, e->postgres.reason, t, "%s", e->text);
	else if (d->failures == 1)
		journal_add(t->journal, t->now, LOG_WARN, THING_POSTGRES, d->config->name, "check-failed", "%s: %s",
			postgres_reason_name(e->postgres.reason), e->text);
	d->check_due = next_try(d, t);
}

/* ---- events ---- */

static void count_check(struct database *d, const struct event *e, bool ok)
{
	d->checks[e->postgres.canary ? DATABASE_CANARY : DATABASE_KEPT][ok ? DATABASE_OK : DATABASE_FAILED]++;
	if (e->postgres.call_max_us > d->call_max_us)
		d->call_max_us = e->postgres.call_max_us;
	if (ok && !e->postgres.canary)
		histogram_add(&d->check_seconds, (double)e->postgres.took_us / 1e6);
	if (ok)
		return;
	memcpy(d->sqlstate, e->postgres.sqlstate, sizeof(d->sqlstate));
	count_class(d, d->sqlstate);
}

/* A bad canary is followed by another soon, for it alone tells when that is over. */
static void apply_canary(struct database *d, const struct event *e, bool ok, struct turn *t)
{
	ms_t soon = e->postgres.permanent ? MISCONFIGURED_MS : d->config->interval;
	count_check(d, e, ok);
	d->canary_in_flight = false;
	d->canary_bad = !ok;
	d->canary_reason = e->postgres.reason;
	snprintf(d->canary_text, sizeof(d->canary_text), "%s", e->text);
	/* Without a session every connection attempt is a canary already. */
	d->canary_due = d->session ? clock_after(t->now, ok ? d->config->canary_interval : soon) : CLOCK_NEVER;
	if (d->session && database_is_available(d))
		judge(d, t);
}

static void apply_answer(struct database *d, const struct event *e, struct turn *t)
{
	count_check(d, e, true);
	d->check_in_flight = false;
	d->recent_us[d->n_recent++ % DATABASE_RECENT] = e->postgres.took_us;
	observe(d, e);
	note_session(d, t);
	count_success(d, t);
}

static void apply_failure(struct database *d, const struct event *e, struct turn *t)
{
	count_check(d, e, false);
	d->check_in_flight = false;
	/* Is it the session or the server? A fresh connection knows; one that failed was fresh itself. */
	if (d->session && !d->canary_in_flight)
		d->canary_due = t->now;
	d->session = false;
	count_failure(d, e, t);
}

static void apply_loss(struct database *d, const struct event *e, struct turn *t)
{
	bool again = d->lost_at && t->now - d->lost_at < LOST_AGAIN_MS;
	d->session = false;
	d->lost_at = t->now;
	memcpy(d->sqlstate, e->postgres.sqlstate, sizeof(d->sqlstate));
	d->check_due = again ? clock_after(t->now, LOST_AGAIN_MS) : t->now;
	journal_add(t->journal, t->now, LOG_WARN, THING_POSTGRES, d->config->name, "session-lost",
		"%s; connecting again", e->text);
}

void database_apply(struct database *d, const struct event *e, struct turn *t)
{
	if (e->kind == EVENT_POSTGRES_CLOSED) {
		d->session = d->check_in_flight = d->canary_in_flight = d->closing = false;
		return;
	}
	/* What was under way when the sessions were closed has no answer to wait for. */
	if (d->closing || e->run != (e->postgres.canary ? d->canary_run : d->run))
		return;
	if (e->postgres.canary)
		apply_canary(d, e, e->kind == EVENT_POSTGRES_ANSWERED, t);
	else if (e->kind == EVENT_POSTGRES_ANSWERED)
		apply_answer(d, e, t);
	else if (e->kind == EVENT_POSTGRES_FAILED)
		apply_failure(d, e, t);
	else if (e->kind == EVENT_POSTGRES_LOST)
		apply_loss(d, e, t);
}

/* ---- plan ---- */

static void plan_close(struct database *d, struct turn *t)
{
	if (database_is_closed(d) || d->closing)
		return;
	d->closing = true;
	plan_add(t->plan, EFFECT_POSTGRES_CLOSE, d->slot, d->run, 0, "nobody needs it any more");
}

static void plan_check(struct database *d, uint64_t *next_run, struct turn *t)
{
	if (d->check_in_flight)
		return;
	if (!clock_due(d->check_due, t->now)) {
		plan_wake(t->plan, d->check_due);
		return;
	}
	if (!d->session)
		d->run = (*next_run)++;
	d->check_in_flight = true;
	plan_add(t->plan, EFFECT_POSTGRES_CHECK, d->slot, d->run, 0, "%s", d->session ? "due" : "there is no session");
}

static void plan_canary(struct database *d, uint64_t *next_run, struct turn *t)
{
	if (d->canary_in_flight)
		return;
	if (!clock_due(d->canary_due, t->now)) {
		plan_wake(t->plan, d->canary_due);
		return;
	}
	d->canary_run = (*next_run)++;
	d->canary_in_flight = true;
	plan_add(t->plan, EFFECT_POSTGRES_CANARY, d->slot, d->canary_run, 0, "%s",
		d->session ? "due" : "the kept session failed");
}

void database_plan(struct database *d, bool wanted, uint64_t *next_run, struct turn *t)
{
	if (!wanted) {
		plan_close(d, t);
		return;
	}
	if (d->closing)
		return;
	plan_check(d, next_run, t);
	plan_canary(d, next_run, t);
}
