#include "podvisor/model/generation.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "podvisor/base/signals.h"
#include "podvisor/base/units.h"

#define QUICK_MS  100 /* between two attempts of a rung that has not answered yet */
#define DOUBT_MS  5000 /* after a miss the next attempt waits no longer, whatever the interval */
#define SETTLE_MS 100 /* a session that came in the turn of the swap has been counted by then */

static const char *const state_names[GENERATION_STATE_COUNT] = {
#define GENERATION_NAME(id, name) [id] = name,
	GENERATION_STATES(GENERATION_NAME)
#undef GENERATION_NAME
};

const char *generation_state_name(enum generation_state state)
{
	return state < GENERATION_STATE_COUNT ? state_names[state] : "unknown";
}

#define TO(state) (1U << (state))
/* Which state may follow which. */
static const unsigned nexts[GENERATION_STATE_COUNT] = {
	[GENERATION_NONE] = TO(GENERATION_STARTING),
	[GENERATION_STARTING] = TO(GENERATION_READY) | TO(GENERATION_STOPPING) | TO(GENERATION_CLEANING),
	[GENERATION_READY] = TO(GENERATION_DRAINING) | TO(GENERATION_STOPPING) | TO(GENERATION_CLEANING),
	[GENERATION_DRAINING] = TO(GENERATION_STOPPING) | TO(GENERATION_CLEANING),
	[GENERATION_STOPPING] = TO(GENERATION_CLEANING),
	[GENERATION_CLEANING] = TO(GENERATION_NONE),
};

bool generation_is_live(const struct generation *g)
{
	return g->state == GENERATION_STARTING || g->state == GENERATION_READY;
}

bool generation_is_serving(const struct generation *g)
{
	return g->state == GENERATION_READY;
}

/* Answers are of use. */
static bool is_watched(const struct generation *g)
{
	return generation_is_live(g) || g->state == GENERATION_DRAINING;
}

/* The only place where a state changes: it is told to the journal here. */
PRINTF_LIKE(5, 0)
static void enter_text(struct generation *g, enum generation_state state, enum log_level level, struct turn *t,
	const char *fmt, va_list args)
{
	char reason[sizeof(g->reason)];
	vsnprintf(reason, sizeof(reason), fmt, args);
	if (state == g->state && !strcmp(reason, g->reason))
		return;
	assert(state == g->state || nexts[g->state] & TO(state));
	if (state != g->state)
		g->since = t->now;
	g->state = state;
	memcpy(g->reason, reason, sizeof(reason));
	journal_add(t->journal, t->now, level, THING_BROWSER, g->config->name, generation_state_name(state),
		"%s: generation %llu%s%s", generation_state_name(state), (unsigned long long)g->number,
		reason[0] ? ", " : "", reason);
}

PRINTF_LIKE(5, 6)
static void enter(
	struct generation *g, enum generation_state state, enum log_level level, struct turn *t, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	enter_text(g, state, level, t, fmt, args);
	va_end(args);
}

#define tell(g, t, level, what, ...) \
	journal_add((t)->journal, (t)->now, level, THING_BROWSER, (g)->config->name, what, __VA_ARGS__)

static const struct config_rung *rung_config(const struct generation *g, enum rung rung)
{
	const struct config_rung *configs[RUNG_COUNT] = {
		[RUNG_BROWSER] = &g->config->health_browser,
		[RUNG_RENDERER] = &g->config->health_renderer,
		[RUNG_NETWORK] = &g->config->health_network,
	};
	return configs[rung];
}

/* An interval of 0 turns a rung off; the first one is needed once, for the port. */
static bool rung_is_on(const struct generation *g, enum rung rung)
{
	return rung == RUNG_BROWSER || rung_config(g, rung)->interval > 0;
}

/* ---- birth and death ---- */

void generation_launch(struct generation *g, struct config *source, const struct config_browser *config, uint32_t slot,
	uint64_t number, uint64_t run, struct turn *t)
{
	*g = (struct generation){.config = config, .source = config_hold(source), .slot = slot, .number = number};
	g->run = run;
	g->started_at = t->now;
	g->deadline = clock_after(t->now, config->start_timeout);
	recycle_facts_init(&g->facts);
	for (int i = 0; i < RUNG_COUNT; i++)
		g->rungs[i].due = t->now;
	enter(g, GENERATION_STARTING, LOG_INFO, t, "%s", "");
	plan_add(t->plan, EFFECT_BROWSER_LAUNCH, g->slot, g->run, (int64_t)g->number, "generation %llu",
		(unsigned long long)g->number);
}

void generation_fini(struct generation *g)
{
	config_release(g->source);
	*g = (struct generation){0};
}

/* ---- ending ---- */

static const ms_t step_limits[] = {
	[BROWSER_STOP_CLOSE] = BROWSER_CLOSE_MS,
	[BROWSER_STOP_TERM] = BROWSER_TERM_MS,
	[BROWSER_STOP_KILL] = BROWSER_KILL_MS,
};

static void enter_step(struct generation *g, enum browser_stop_step step, struct turn *t)
{
	g->stop_step = (int)step;
	g->step_asked = false;
	g->deadline = clock_after(t->now, step_limits[step]);
}

static void begin_stop(struct generation *g, enum browser_stop_step step, struct turn *t)
{
	g->stopping_since = t->now;
	g->ran = g->ready_at ? t->now - g->ready_at : 0;
	for (int i = 0; i < RUNG_COUNT; i++)
		g->rungs[i].in_flight = false;
	enter_step(g, step, t);
}

/* What it dies of while it drains delays nobody: another one serves already, or its end was decided. */
static void blame(struct generation *g, enum browser_recycle cause)
{
	g->cause = cause;
	g->failed = !g->replaced;
}

/* An orderly end of a Chrome whose network service or renderers hang would take all of the ladder's 5 s. */
void generation_fault(struct generation *g, enum browser_recycle cause, struct turn *t, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	blame(g, cause);
	begin_stop(g, BROWSER_STOP_KILL, t);
	enter_text(g, GENERATION_STOPPING, LOG_WARN, t, fmt, args);
	va_end(args);
}

void generation_dismiss(struct generation *g, struct turn *t, const char *why)
{
	if (!is_watched(g))
		return;
	begin_stop(g, g->rungs[RUNG_BROWSER].proven ? BROWSER_STOP_CLOSE : BROWSER_STOP_TERM, t);
	enter(g, GENERATION_STOPPING, LOG_INFO, t, "%s", why);
}

void generation_drain(struct generation *g, ms_t limit, struct turn *t, const char *why)
{
	char span[UNITS_TEXT_MAX];
	units_format_duration(limit, span);
	g->replaced = true;
	g->deadline = clock_after(t->now, limit);
	enter(g, GENERATION_DRAINING, LOG_INFO, t, "%.80s; %lld sessions may go on for %s", why,
		(long long)g->facts.sessions, span);
}

void generation_hurry(struct generation *g, struct turn *t)
{
	if (g->state == GENERATION_STOPPING && g->stop_step != BROWSER_STOP_KILL)
		enter_step(g, BROWSER_STOP_KILL, t);
}

/* ---- what happened ---- */

static void on_started(struct generation *g, const struct event *e, struct turn *t)
{
	g->pid = e->pid;
	if (e->text[0])
		tell(g, t, LOG_WARN, "unsandboxed", "%s", e->text);
	if (g->state == GENERATION_STARTING)
		enter(g, GENERATION_STARTING, LOG_INFO, t, "pid %d", g->pid);
}

/* No such program, not allowed, no program at all, no such user: trying again changes nothing. */
static bool is_hopeless(int error)
{
	return error == -ENOENT || error == -EACCES || error == -ENOEXEC || error == -EINVAL;
}

/* There is no process, but there may be a directory. */
static void on_unstartable(struct generation *g, const struct event *e, struct turn *t)
{
	if (is_watched(g)) {
		blame(g, e->error == -ENOSPC ? RECYCLE_DISK : RECYCLE_START);
		g->hopeless = is_hopeless(e->error);
		g->ran = 0;
	}
	g->step_asked = false;
	enter(g, GENERATION_CLEANING, LOG_WARN, t, "could not start: %s", e->text[0] ? e->text : strerror(-e->error));
}

static void describe_end(const struct event *e, char *out, size_t size)
{
	const char *said = e->text, *between = said[0] ? "; it said: " : "";
	char end[32];
	signals_describe_end(e->exited.status, end, sizeof(end));
	snprintf(out, size, "%s%s%.90s", end, between, said);
}

/* What it leaves behind (crashpad, a stopped renderer) is killed, not waited for. */
static void on_exited(struct generation *g, const struct event *e, struct turn *t)
{
	char text[sizeof(g->reason)];
	describe_end(e, text, sizeof(text));
	if (is_watched(g))
		generation_fault(g, RECYCLE_CRASHED, t, "%s", text);
	else
		generation_hurry(g, t);
}

static void on_gone(struct generation *g, const struct event *e, struct turn *t)
{
	if (is_watched(g))
		generation_fault(g, RECYCLE_CRASHED, t, "its processes are gone");
	if (g->state != GENERATION_STOPPING)
		return;
	g->step_asked = false;
	enter(g, GENERATION_CLEANING, LOG_INFO, t, "its last process is gone after %lld ms, %d had to be killed",
		(long long)(t->now - g->stopping_since), e->killed);
}

static void on_cleaned(struct generation *g, const struct event *e, struct turn *t)
{
	if (g->state != GENERATION_CLEANING)
		return;
	if (e->text[0])
		tell(g, t, LOG_WARN, "leftover", "%s", e->text);
	generation_fini(g);
}

/* ---- the ladder ---- */

static bool all_proven(const struct generation *g)
{
	for (int i = 0; i < RUNG_COUNT; i++)
		if (rung_is_on(g, (enum rung)i) && !g->rungs[i].proven)
			return false;
	return g->port > 0;
}

static void become_ready(struct generation *g, struct turn *t)
{
	g->ready_at = t->now;
	recycle_facts_begin(&g->facts, g->config, t->random, t->now);
	for (int i = 0; i < RUNG_COUNT; i++) {
		const struct config_rung *config = rung_config(g, (enum rung)i);
		g->rungs[i].due = config->interval > 0 ? clock_after(t->now, config->interval) : CLOCK_NEVER;
		g->rungs[i].misses = 0;
	}
	enter(g, GENERATION_READY, LOG_INFO, t, "pid %d, after %lld ms", g->pid, (long long)(t->now - g->started_at));
}

static void on_hit(struct generation *g, enum rung rung, const struct event *e, struct turn *t)
{
	struct generation_rung *r = &g->rungs[rung];
	if (g->state != GENERATION_STARTING && r->misses)
		tell(g, t, LOG_INFO, "health", "rung %s answers again after %d miss%s", rung_name(rung), r->misses,
			r->misses == 1 ? "" : "es");
	r->proven = true;
	r->misses = 0;
	if (e->browser.port > 0)
		g->port = e->browser.port;
	if (g->state == GENERATION_STARTING && all_proven(g))
		become_ready(g, t);
}

/* The rung of the network makes a new page first; when that does nothing, no new renderer works. Last it is drawn. */
static enum browser_recycle cause_of(enum rung rung, const struct event *e)
{
	static const enum browser_recycle causes[RUNG_COUNT] = {
		[RUNG_BROWSER] = RECYCLE_HUNG, [RUNG_RENDERER] = RECYCLE_RENDERER, [RUNG_NETWORK] = RECYCLE_NETWORK};
	if (e->browser.part == PART_PAGE)
		return RECYCLE_RENDERER;
	return e->browser.part == PART_GPU ? RECYCLE_GPU : causes[rung];
}

static void on_late_miss(struct generation *g, enum rung rung, const struct event *e, struct turn *t)
{
	struct generation_rung *r = &g->rungs[rung];
	int limit = rung_config(g, rung)->failure_threshold;
	/* A page may be at fault, not the browser: a fresh one has the last word. */
	bool last_word = rung == RUNG_RENDERER && r->misses == limit;
	if (r->misses == 1 && limit > 1)
		tell(g, t, LOG_WARN, "health", "rung %s missed 1 of %d: %s", rung_name(rung), limit, g->trouble);
	if (last_word) {
		tell(g, t, LOG_WARN, "health", "rung renderer missed %d of %d, trying a fresh page: %s", limit, limit,
			g->trouble);
		r->due = t->now;
	} else if (r->misses >= limit) {
		generation_fault(g, cause_of(rung, e), t, "rung %s missed %d time%s: %s", rung_name(rung), r->misses,
			r->misses == 1 ? "" : "s", g->trouble);
	}
}

static void on_answered(struct generation *g, const struct event *e, struct turn *t)
{
	enum rung rung = e->browser.rung;
	if (!is_watched(g) || rung >= RUNG_COUNT)
		return;
	struct generation_rung *r = &g->rungs[rung];
	r->in_flight = false;
	if (e->browser.ok) {
		on_hit(g, rung, e, t);
		return;
	}
	r->misses++;
	r->due = clock_earlier(r->due, clock_after(t->now, DOUBT_MS));
	snprintf(g->trouble, sizeof(g->trouble), "%s", e->text);
	if (g->state == GENERATION_STARTING)
		r->due = clock_after(t->now, QUICK_MS);
	else if (g->state == GENERATION_READY || rung == RUNG_BROWSER)
		on_late_miss(g, rung, e, t);
}

static void on_page_lost(struct generation *g, const struct event *e, struct turn *t)
{
	if (!is_watched(g))
		return;
	tell(g, t, LOG_WARN, "page-lost", "%s", e->text);
	if (e->browser.own && g->state == GENERATION_READY && rung_is_on(g, RUNG_RENDERER))
		g->rungs[RUNG_RENDERER].due = t->now;
}

/* A crash of a part that Chrome itself makes anew is told, and counted. */
static void on_measured(struct generation *g, const struct event *e, struct turn *t)
{
	recycle_facts_take(&g->facts, e, t->now);
	if (!is_watched(g))
		return;
	if (e->census.gpu_exits)
		tell(g, t, LOG_WARN, "part-lost", "its GPU process has ended and was made anew");
	if (e->census.network_exits)
		tell(g, t, LOG_WARN, "part-lost", "its network service has ended and was made anew");
}

void generation_apply(struct generation *g, const struct event *e, struct turn *t)
{
	switch (e->kind) {
	case EVENT_BROWSER_STARTED:
		on_started(g, e, t);
		break;
	case EVENT_BROWSER_UNSTARTABLE:
		if (g->state != GENERATION_CLEANING)
			on_unstartable(g, e, t);
		break;
	case EVENT_BROWSER_ANSWERED:
		on_answered(g, e, t);
		break;
	case EVENT_BROWSER_PAGE_LOST:
		on_page_lost(g, e, t);
		break;
	case EVENT_BROWSER_TIDIED:
		tell(g, t, LOG_INFO, "janitor", "%s", e->text);
		break;
	case EVENT_BROWSER_SESSIONS:
		recycle_facts_take(&g->facts, e, t->now);
		break;
	case EVENT_BROWSER_MEASURED:
		on_measured(g, e, t);
		break;
	case EVENT_BROWSER_EXITED:
		on_exited(g, e, t);
		break;
	case EVENT_BROWSER_GONE:
		on_gone(g, e, t);
		break;
	case EVENT_BROWSER_CLEANED:
		on_cleaned(g, e, t);
		break;
	default:
		break;
	}
}

/* ---- what to do ---- */

static void probe(struct generation *g, enum rung rung, struct turn *t)
{
	struct generation_rung *r = &g->rungs[rung];
	const struct config_rung *config = rung_config(g, rung);
	if (r->in_flight)
		return;
	if (!clock_due(r->due, t->now)) {
		plan_wake(t->plan, r->due);
		return;
	}
	bool fresh = rung == RUNG_RENDERER && r->misses > 0 && r->misses >= config->failure_threshold;
	r->in_flight = true;
	r->due = config->interval > 0 ? clock_after(t->now, config->interval) : CLOCK_NEVER;
	plan_add(t->plan, EFFECT_BROWSER_PROBE, g->slot, g->run, (int)rung | (fresh ? BROWSER_PROBE_FRESH : 0),
		"rung %s%s", rung_name(rung), fresh ? ", with a fresh page" : "");
}

/* One rung after the other: the next one means nothing while the one below it is silent. */
static void plan_start(struct generation *g, struct turn *t)
{
	if (clock_due(g->deadline, t->now)) {
		generation_fault(g, RECYCLE_START, t, "not ready within %.1f s: %s",
			(double)g->config->start_timeout / 1000, g->trouble[0] ? g->trouble : "no answer");
		return;
	}
	plan_wake(t->plan, g->deadline);
	if (!g->pid)
		return;
	for (int i = 0; i < RUNG_COUNT; i++)
		if (rung_is_on(g, (enum rung)i) && !g->rungs[i].proven) {
			probe(g, (enum rung)i, t);
			return;
		}
}

static void plan_health(struct generation *g, struct turn *t)
{
	if (!g->served)
		plan_add(t->plan, EFFECT_BROWSER_SERVE, g->slot, g->run, 0, "generation %llu is ready",
			(unsigned long long)g->number);
	g->served = true;
	for (int i = 0; i < RUNG_COUNT; i++)
		if (rung_config(g, (enum rung)i)->interval > 0)
			probe(g, (enum rung)i, t);
}

/* Whether it still answers is watched, for its sessions' sake; how well, no longer. */
static void plan_drain(struct generation *g, struct turn *t)
{
	if (!g->retired)
		plan_add(t->plan, EFFECT_BROWSER_RETIRE, g->slot, g->run, 0, "%.120s", g->reason);
	g->retired = true;
	ms_t settled = clock_after(g->since, SETTLE_MS);
	if (g->facts.sessions <= 0 && clock_due(settled, t->now)) {
		generation_dismiss(g, t, "its sessions are over");
		return;
	}
	if (clock_due(g->deadline, t->now)) {
		char over[64];
		snprintf(over, sizeof(over), "its drain is over, %lld sessions are cut", (long long)g->facts.sessions);
		generation_dismiss(g, t, over);
		return;
	}
	plan_wake(t->plan, clock_due(settled, t->now) ? g->deadline : settled);
	plan_wake(t->plan, g->deadline);
	if (g->config->health_browser.interval > 0)
		probe(g, RUNG_BROWSER, t);
}

static void plan_stop(struct generation *g, struct turn *t)
{
	if (clock_due(g->deadline, t->now))
		enter_step(g, g->stop_step < BROWSER_STOP_KILL ? g->stop_step + 1 : BROWSER_STOP_KILL, t);
	plan_wake(t->plan, g->deadline);
	if (g->step_asked)
		return;
	g->step_asked = true;
	if (g->stop_step == BROWSER_STOP_CLOSE)
		plan_add(t->plan, EFFECT_BROWSER_CLOSE, g->slot, g->run, 0, "%.120s", g->reason);
	else if (g->stop_step == BROWSER_STOP_TERM)
		plan_add(t->plan, EFFECT_BROWSER_SIGNAL, g->slot, g->run, SIGTERM, "%.120s", g->reason);
	else
		plan_add(t->plan, EFFECT_BROWSER_KILL, g->slot, g->run, 0, "%.120s", g->reason);
}

static void plan_clean(struct generation *g, struct turn *t)
{
	if (g->step_asked)
		return;
	g->step_asked = true;
	plan_add(t->plan, EFFECT_BROWSER_CLEAN, g->slot, g->run, (int64_t)g->number, "generation %llu has ended",
		(unsigned long long)g->number);
}

void generation_plan(struct generation *g, struct turn *t)
{
	if (g->state == GENERATION_STARTING)
		plan_start(g, t);
	if (g->state == GENERATION_READY)
		plan_health(g, t);
	if (g->state == GENERATION_DRAINING)
		plan_drain(g, t);
	if (g->state == GENERATION_STOPPING)
		plan_stop(g, t);
	if (g->state == GENERATION_CLEANING)
		plan_clean(g, t);
}
