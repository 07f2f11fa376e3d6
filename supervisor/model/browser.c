#include "podvisor/model/browser.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "podvisor/base/signals.h"

#define QUICK_MS 100 /* between two attempts of a rung that has not answered yet */
#define DOUBT_MS 5000 /* after a miss the next attempt waits no longer, whatever the interval */

static const char *const state_names[BROWSER_STATE_COUNT] = {
#define BROWSER_NAME(id, name) [id] = name,
	BROWSER_STATES(BROWSER_NAME)
#undef BROWSER_NAME
};

static const char *const recycle_names[RECYCLE_COUNT] = {
	[RECYCLE_CRASHED] = "crashed",
	[RECYCLE_HUNG] = "hung",
	[RECYCLE_RENDERER] = "renderer",
	[RECYCLE_NETWORK] = "network",
	[RECYCLE_START] = "start",
	[RECYCLE_COMMAND] = "command",
	[RECYCLE_RELOAD] = "reload",
};

#define TO(state) (1U << (state))
/* Which state may follow which, and how loudly entering it is told. */
static const struct {
	unsigned next;
	enum log_level level;
} states[BROWSER_STATE_COUNT] = {
	[BROWSER_WAITING] = {TO(BROWSER_STARTING) | TO(BROWSER_STOPPED), LOG_INFO},
	[BROWSER_STARTING] = {TO(BROWSER_READY) | TO(BROWSER_STOPPING) | TO(BROWSER_CLEANING), LOG_INFO},
	[BROWSER_READY] = {TO(BROWSER_STOPPING) | TO(BROWSER_CLEANING), LOG_INFO},
	[BROWSER_STOPPING] = {TO(BROWSER_CLEANING), LOG_INFO},
	[BROWSER_CLEANING] = {TO(BROWSER_WAITING) | TO(BROWSER_BACKOFF) | TO(BROWSER_STOPPED) | TO(BROWSER_FAILED),
		LOG_INFO},
	[BROWSER_BACKOFF] = {TO(BROWSER_WAITING) | TO(BROWSER_STOPPED), LOG_WARN},
	[BROWSER_STOPPED] = {TO(BROWSER_WAITING), LOG_INFO},
	[BROWSER_FAILED] = {TO(BROWSER_WAITING) | TO(BROWSER_STOPPED), LOG_ERROR},
};

/* A browser has no limit of restarts: nobody else would start it, and the pod is not worse off for trying. */
static const struct config_restart restart_policy = {
	.policy = RESTART_ALWAYS,
	.backoff = {.initial = 1000, .max = 60000, .reset_after = 60000, .factor_percent = 200, .jitter_percent = 20},
	.limit = {.count = INT_MAX, .window = 600000},
};

const char *browser_state_name(enum browser_state state)
{
	return state < BROWSER_STATE_COUNT ? state_names[state] : "unknown";
}

const char *browser_recycle_name(enum browser_recycle reason)
{
	return reason < RECYCLE_COUNT ? recycle_names[reason] : "unknown";
}

bool browser_is_available(const struct browser *b)
{
	return b->state == BROWSER_READY;
}

bool browser_is_up(const struct browser *b)
{
	return b->run != 0;
}

/* The only place where a state changes: it is told to the journal here. */
PRINTF_LIKE(5, 6)
static void enter(
	struct browser *b, enum browser_state state, enum log_level level, struct turn *t, const char *fmt, ...)
{
	char reason[sizeof(b->reason)];
	va_list args;
	va_start(args, fmt);
	vsnprintf(reason, sizeof(reason), fmt, args);
	va_end(args);
	if (state == b->state && !strcmp(reason, b->reason))
		return;
	assert(state == b->state || states[b->state].next & TO(state));
	if (state != b->state)
		b->since = t->now;
	b->state = state;
	memcpy(b->reason, reason, sizeof(reason));
	if (level < states[state].level)
		level = states[state].level;
	journal_add(t->journal, t->now, level, THING_BROWSER, b->config->name, browser_state_name(state), "%s%s%s",
		browser_state_name(state), reason[0] ? ": " : "", reason);
}

#define tell(b, t, level, what, ...) \
	journal_add((t)->journal, (t)->now, level, THING_BROWSER, (b)->config->name, what, __VA_ARGS__)

static const struct config_rung *rung_config(const struct browser *b, enum rung rung)
{
	const struct config_rung *configs[RUNG_COUNT] = {
		[RUNG_BROWSER] = &b->config->health_browser,
		[RUNG_RENDERER] = &b->config->health_renderer,
		[RUNG_NETWORK] = &b->config->health_network,
	};
	return configs[rung];
}

/* An interval of 0 turns a rung off; the first one is needed once, for the port. */
static bool rung_is_on(const struct browser *b, enum rung rung)
{
	return rung == RUNG_BROWSER || rung_config(b, rung)->interval > 0;
}

static bool is_live(const struct browser *b)
{
	return b->state == BROWSER_STARTING || b->state == BROWSER_READY;
}

void browser_init(
	struct browser *b, struct config *source, const struct config_browser *config, uint32_t slot, ms_t now)
{
	*b = (struct browser){.config = config, .source = config_hold(source), .slot = slot, .since = now};
	b->state = BROWSER_WAITING;
	b->wanted = true;
}

void browser_fini(struct browser *b)
{
	config_release(b->source);
	*b = (struct browser){0};
}

static void come_back(struct browser *b)
{
	b->comebacks += b->owes_comeback;
	b->owes_comeback = false;
}

/* Down for whatever reason: the next plan may launch at once. */
static void forgive(struct browser *b, struct turn *t, const char *why)
{
	restart_forget(&b->restart);
	b->not_before = t->now;
	come_back(b);
	if (b->state == BROWSER_FAILED || b->state == BROWSER_BACKOFF || b->state == BROWSER_STOPPED)
		enter(b, BROWSER_WAITING, LOG_INFO, t, "%s", why);
}

void browser_reconfigure(struct browser *b, struct config *source, const struct config_browser *config, struct turn *t)
{
	bool same = config_browser_equal(b->config, config);
	struct config *old = b->source;
	b->source = config_hold(source);
	b->config = config;
	config_release(old);
	if (same)
		return;
	if (is_live(b)) {
		b->again = true;
		b->cause = RECYCLE_RELOAD;
	} else if (b->wanted && !browser_is_up(b)) {
		forgive(b, t, "its configuration changed");
	}
}

/* ---- ending a run ---- */

static const ms_t step_limits[] = {
	[BROWSER_STOP_CLOSE] = BROWSER_CLOSE_MS,
	[BROWSER_STOP_TERM] = BROWSER_TERM_MS,
	[BROWSER_STOP_KILL] = BROWSER_KILL_MS,
};

static void enter_step(struct browser *b, enum browser_stop_step step, struct turn *t)
{
	b->stop_step = (int)step;
	b->step_asked = false;
	b->deadline = clock_after(t->now, step_limits[step]);
}

static void begin_stop(struct browser *b, enum browser_stop_step step, struct turn *t)
{
	b->stopping_since = t->now;
	b->ran = b->ready_at ? t->now - b->ready_at : 0;
	for (int i = 0; i < RUNG_COUNT; i++)
		b->rungs[i].in_flight = false;
	enter_step(b, step, t);
}

/* Something is wrong with it: it is killed, for its profile is thrown away anyway and an orderly end of a
 * Chrome whose network service or renderers hang takes all of the ladder's 5 s. */
PRINTF_LIKE(4, 5)
static void recycle(struct browser *b, enum browser_recycle cause, struct turn *t, const char *fmt, ...)
{
	char reason[sizeof(b->reason)];
	va_list args;
	va_start(args, fmt);
	vsnprintf(reason, sizeof(reason), fmt, args);
	va_end(args);
	b->cause = cause;
	b->recycles[cause]++;
	b->punish = true;
	begin_stop(b, BROWSER_STOP_KILL, t);
	enter(b, BROWSER_STOPPING, LOG_WARN, t, "%s", reason);
}

/* Somebody wants it down, or another one in its place. */
static void dismiss(struct browser *b, struct turn *t, const char *why)
{
	if (b->again && b->wanted)
		b->recycles[b->cause]++;
	b->punish = false;
	begin_stop(b, b->rungs[RUNG_BROWSER].proven ? BROWSER_STOP_CLOSE : BROWSER_STOP_TERM, t);
	enter(b, BROWSER_STOPPING, LOG_INFO, t, "%s", why);
}

/* ---- what happened ---- */

static void on_started(struct browser *b, const struct event *e, struct turn *t)
{
	b->pid = e->pid;
	if (e->text[0])
		tell(b, t, LOG_WARN, "unsandboxed", "%s", e->text);
	if (b->state == BROWSER_STARTING)
		enter(b, BROWSER_STARTING, LOG_INFO, t, "generation %llu, pid %d", (unsigned long long)b->generation,
			b->pid);
}

/* No such program, not allowed, no program at all, no such user: trying again changes nothing. */
static bool is_hopeless(int error)
{
	return error == -ENOENT || error == -EACCES || error == -ENOEXEC || error == -EINVAL;
}

/* There is no process, but there may be a directory. */
static void on_unstartable(struct browser *b, const struct event *e, struct turn *t)
{
	if (is_live(b)) {
		b->cause = RECYCLE_START;
		b->recycles[RECYCLE_START]++;
		b->punish = true;
		b->hopeless = is_hopeless(e->error);
		b->ran = 0;
	}
	b->main_ended = true;
	b->step_asked = false;
	enter(b, BROWSER_CLEANING, LOG_WARN, t, "could not start: %s", e->text[0] ? e->text : strerror(-e->error));
}

static void describe_end(const struct event *e, char *out, size_t size)
{
	const char *said = e->text, *between = said[0] ? "; it said: " : "";
	char end[32];
	signals_describe_end(e->exited.status, end, sizeof(end));
	snprintf(out, size, "%s%s%.90s", end, between, said);
}

/* What it leaves behind (crashpad, a stopped renderer) is killed, not waited for. */
static void on_exited(struct browser *b, const struct event *e, struct turn *t)
{
	char text[sizeof(b->reason)];
	describe_end(e, text, sizeof(text));
	b->main_ended = true;
	if (is_live(b))
		recycle(b, RECYCLE_CRASHED, t, "%s", text);
	else if (b->state == BROWSER_STOPPING && b->stop_step != BROWSER_STOP_KILL)
		enter_step(b, BROWSER_STOP_KILL, t);
}

static void on_gone(struct browser *b, const struct event *e, struct turn *t)
{
	if (is_live(b))
		recycle(b, RECYCLE_CRASHED, t, "its processes are gone");
	if (b->state != BROWSER_STOPPING)
		return;
	b->main_ended = true;
	b->leftovers += e->killed > 0 ? (uint64_t)e->killed : 0;
	histogram_add(&b->kill_seconds, (double)(t->now - b->stopping_since) / 1000);
	b->step_asked = false;
	enter(b, BROWSER_CLEANING, LOG_INFO, t, "its last process is gone after %lld ms, %d had to be killed",
		(long long)(t->now - b->stopping_since), e->killed);
}

static void forget_run(struct browser *b)
{
	b->last_run = b->run ? b->run : b->last_run;
	b->run = 0;
	b->pid = b->port = 0;
	b->main_ended = b->step_asked = b->again = b->served = false;
	b->started_at = b->ready_at = b->deadline = 0;
	for (int i = 0; i < RUNG_COUNT; i++) {
		struct histogram seconds = b->rungs[i].seconds;
		b->rungs[i] = (struct browser_rung){.due = CLOCK_NEVER, .seconds = seconds};
	}
}

static void wait_before_next(struct browser *b, struct turn *t)
{
	ms_t delay = restart_after_exit(&b->restart, &restart_policy, b->ran, t->now, t->random);
	b->not_before = clock_after(t->now, delay > 0 ? delay : 0);
	if (delay > 0)
		enter(b, BROWSER_BACKOFF, LOG_WARN, t, "%s; the next one starts in %.1f s",
			browser_recycle_name(b->cause), (double)delay / 1000);
	else
		enter(b, BROWSER_WAITING, LOG_INFO, t, "%s; the next one starts now", browser_recycle_name(b->cause));
}

static void on_cleaned(struct browser *b, const struct event *e, struct turn *t)
{
	if (b->state != BROWSER_CLEANING)
		return;
	char before[sizeof(b->reason)];
	memcpy(before, b->reason, sizeof(before));
	bool hopeless = b->hopeless, punish = b->punish && !b->again, served = b->ready_at != 0;
	forget_run(b);
	b->hopeless = b->punish = false;
	if (e->text[0])
		tell(b, t, LOG_WARN, "leftover", "%s", e->text);
	if (!b->wanted)
		enter(b, BROWSER_STOPPED, LOG_INFO, t, "nothing of it is left");
	else if (hopeless && punish)
		enter(b, BROWSER_FAILED, LOG_ERROR, t, "%s", before);
	else if (punish)
		wait_before_next(b, t);
	else
		enter(b, BROWSER_WAITING, LOG_INFO, t, "nothing of the one before is left");
	b->owes_comeback |= served;
	if (b->state != BROWSER_STOPPED && b->state != BROWSER_FAILED)
		come_back(b);
}

/* ---- the ladder ---- */

static bool all_proven(const struct browser *b)
{
	for (int i = 0; i < RUNG_COUNT; i++)
		if (rung_is_on(b, (enum rung)i) && !b->rungs[i].proven)
			return false;
	return b->port > 0;
}

static void become_ready(struct browser *b, struct turn *t)
{
	b->ready_at = t->now;
	b->ever_ready = true;
	for (int i = 0; i < RUNG_COUNT; i++) {
		const struct config_rung *config = rung_config(b, (enum rung)i);
		b->rungs[i].due = config->interval > 0 ? clock_after(t->now, config->interval) : CLOCK_NEVER;
		b->rungs[i].misses = 0;
	}
	enter(b, BROWSER_READY, LOG_INFO, t, "generation %llu, pid %d, after %lld ms",
		(unsigned long long)b->generation, b->pid, (long long)(t->now - b->started_at));
}

static void on_hit(struct browser *b, enum rung rung, const struct event *e, struct turn *t)
{
	struct browser_rung *r = &b->rungs[rung];
	if (b->state == BROWSER_READY && r->misses)
		tell(b, t, LOG_INFO, "health", "rung %s answers again after %d miss%s", rung_name(rung), r->misses,
			r->misses == 1 ? "" : "es");
	r->proven = true;
	r->misses = 0;
	if (e->browser.port > 0)
		b->port = e->browser.port;
	if (b->state == BROWSER_STARTING && all_proven(b))
		become_ready(b, t);
}

static void on_late_miss(struct browser *b, enum rung rung, struct turn *t)
{
	static const enum browser_recycle causes[RUNG_COUNT] = {
		[RUNG_BROWSER] = RECYCLE_HUNG, [RUNG_RENDERER] = RECYCLE_RENDERER, [RUNG_NETWORK] = RECYCLE_NETWORK};
	struct browser_rung *r = &b->rungs[rung];
	int limit = rung_config(b, rung)->failure_threshold;
	/* A page may be at fault, not the browser: a fresh one has the last word. */
	bool last_word = rung == RUNG_RENDERER && r->misses == limit;
	if (r->misses == 1 && limit > 1)
		tell(b, t, LOG_WARN, "health", "rung %s missed 1 of %d: %s", rung_name(rung), limit, b->trouble);
	if (last_word) {
		tell(b, t, LOG_WARN, "health", "rung renderer missed %d of %d, trying a fresh page: %s", limit, limit,
			b->trouble);
		r->due = t->now;
	} else if (r->misses >= limit) {
		recycle(b, causes[rung], t, "rung %s missed %d time%s: %s", rung_name(rung), r->misses,
			r->misses == 1 ? "" : "s", b->trouble);
	}
}

static void on_answered(struct browser *b, const struct event *e, struct turn *t)
{
	enum rung rung = e->browser.rung;
	if (!is_live(b) || rung >= RUNG_COUNT)
		return;
	struct browser_rung *r = &b->rungs[rung];
	r->in_flight = false;
	histogram_add(&r->seconds, (double)e->browser.took_us / 1e6);
	if (e->browser.ok) {
		on_hit(b, rung, e, t);
		return;
	}
	r->misses++;
	r->due = clock_earlier(r->due, clock_after(t->now, DOUBT_MS));
	snprintf(b->trouble, sizeof(b->trouble), "%s", e->text);
	if (b->state == BROWSER_READY)
		on_late_miss(b, rung, t);
	else
		r->due = clock_after(t->now, QUICK_MS);
}

static void on_page_lost(struct browser *b, const struct event *e, struct turn *t)
{
	if (!is_live(b))
		return;
	tell(b, t, LOG_WARN, "page-lost", "%s", e->text);
	if (e->browser.own && b->state == BROWSER_READY && rung_is_on(b, RUNG_RENDERER))
		b->rungs[RUNG_RENDERER].due = t->now;
}

static void on_asked(struct browser *b, enum event_kind kind, struct turn *t)
{
	b->wanted = kind != EVENT_ASKED_BROWSER_STOP;
	if (kind == EVENT_ASKED_BROWSER_RESTART && is_live(b)) {
		b->again = true;
		b->cause = RECYCLE_COMMAND;
	}
	if (b->wanted && !browser_is_up(b))
		forgive(b, t, "somebody asked");
}

void browser_apply(struct browser *b, const struct event *e, struct turn *t)
{
	bool asked = e->kind == EVENT_ASKED_BROWSER_START || e->kind == EVENT_ASKED_BROWSER_STOP ||
		     e->kind == EVENT_ASKED_BROWSER_RESTART;
	if (asked)
		on_asked(b, e->kind, t);
	if (asked || !b->run || e->run != b->run)
		return;
	switch (e->kind) {
	case EVENT_BROWSER_STARTED:
		on_started(b, e, t);
		break;
	case EVENT_BROWSER_UNSTARTABLE:
		if (b->state != BROWSER_CLEANING)
			on_unstartable(b, e, t);
		break;
	case EVENT_BROWSER_ANSWERED:
		on_answered(b, e, t);
		break;
	case EVENT_BROWSER_PAGE_LOST:
		on_page_lost(b, e, t);
		break;
	case EVENT_BROWSER_EXITED:
		on_exited(b, e, t);
		break;
	case EVENT_BROWSER_GONE:
		on_gone(b, e, t);
		break;
	case EVENT_BROWSER_CLEANED:
		on_cleaned(b, e, t);
		break;
	default:
		break;
	}
}

/* ---- what to do ---- */

static void launch(struct browser *b, uint64_t *next_run, struct turn *t)
{
	forget_run(b);
	b->run = (*next_run)++;
	b->generation++;
	b->started_at = t->now;
	b->deadline = clock_after(t->now, b->config->start_timeout);
	b->trouble[0] = '\0';
	for (int i = 0; i < RUNG_COUNT; i++)
		b->rungs[i].due = t->now;
	enter(b, BROWSER_STARTING, LOG_INFO, t, "generation %llu", (unsigned long long)b->generation);
	plan_add(t->plan, EFFECT_BROWSER_LAUNCH, b->slot, b->run, (int64_t)b->generation, "generation %llu",
		(unsigned long long)b->generation);
}

static void probe(struct browser *b, enum rung rung, struct turn *t)
{
	struct browser_rung *r = &b->rungs[rung];
	const struct config_rung *config = rung_config(b, rung);
	if (r->in_flight)
		return;
	if (!clock_due(r->due, t->now)) {
		plan_wake(t->plan, r->due);
		return;
	}
	bool fresh = rung == RUNG_RENDERER && r->misses > 0 && r->misses >= config->failure_threshold;
	r->in_flight = true;
	r->due = config->interval > 0 ? clock_after(t->now, config->interval) : CLOCK_NEVER;
	plan_add(t->plan, EFFECT_BROWSER_PROBE, b->slot, b->run, (int)rung | (fresh ? BROWSER_PROBE_FRESH : 0),
		"rung %s%s", rung_name(rung), fresh ? ", with a fresh page" : "");
}

/* One rung after the other: the next one means nothing while the one below it is silent. */
static void plan_start(struct browser *b, struct turn *t)
{
	if (clock_due(b->deadline, t->now)) {
		recycle(b, RECYCLE_START, t, "not ready within %.1f s: %s", (double)b->config->start_timeout / 1000,
			b->trouble[0] ? b->trouble : "no answer");
		return;
	}
	plan_wake(t->plan, b->deadline);
	if (!b->pid)
		return;
	for (int i = 0; i < RUNG_COUNT; i++)
		if (rung_is_on(b, (enum rung)i) && !b->rungs[i].proven) {
			probe(b, (enum rung)i, t);
			return;
		}
}

static void plan_health(struct browser *b, struct turn *t)
{
	if (!b->served)
		plan_add(t->plan, EFFECT_BROWSER_SERVE, b->slot, b->run, 0, "%s", b->reason);
	b->served = true;
	for (int i = 0; i < RUNG_COUNT; i++)
		if (rung_config(b, (enum rung)i)->interval > 0)
			probe(b, (enum rung)i, t);
}

static void plan_stop(struct browser *b, struct turn *t)
{
	if (clock_due(b->deadline, t->now))
		enter_step(b, b->stop_step < BROWSER_STOP_KILL ? b->stop_step + 1 : BROWSER_STOP_KILL, t);
	plan_wake(t->plan, b->deadline);
	if (b->step_asked)
		return;
	b->step_asked = true;
	if (b->stop_step == BROWSER_STOP_CLOSE)
		plan_add(t->plan, EFFECT_BROWSER_CLOSE, b->slot, b->run, 0, "%.120s", b->reason);
	else if (b->stop_step == BROWSER_STOP_TERM)
		plan_add(t->plan, EFFECT_BROWSER_SIGNAL, b->slot, b->run, SIGTERM, "%.120s", b->reason);
	else
		plan_add(t->plan, EFFECT_BROWSER_KILL, b->slot, b->run, 0, "%.120s", b->reason);
}

void browser_hurry(struct browser *b, struct turn *t)
{
	if (b->state == BROWSER_STOPPING && b->stop_step != BROWSER_STOP_KILL)
		enter_step(b, BROWSER_STOP_KILL, t);
}

static void plan_clean(struct browser *b, struct turn *t)
{
	if (b->step_asked)
		return;
	b->step_asked = true;
	plan_add(t->plan, EFFECT_BROWSER_CLEAN, b->slot, b->run, (int64_t)b->generation, "generation %llu has ended",
		(unsigned long long)b->generation);
}

static void plan_down(struct browser *b, bool may_run, const char *why, uint64_t *next_run, struct turn *t)
{
	if (b->state == BROWSER_BACKOFF && !clock_due(b->not_before, t->now)) {
		plan_wake(t->plan, b->not_before);
		return;
	}
	if (b->state == BROWSER_STOPPED || b->state == BROWSER_BACKOFF)
		enter(b, BROWSER_WAITING, LOG_INFO, t, "%s", may_run ? "" : why);
	if (may_run)
		launch(b, next_run, t);
	else
		enter(b, BROWSER_WAITING, LOG_INFO, t, "%s", why);
}

static void dismiss_if_unwanted(struct browser *b, bool may_run, const char *why, struct turn *t)
{
	if (!b->wanted)
		dismiss(b, t, "somebody asked");
	else if (!may_run)
		dismiss(b, t, why);
	else if (b->again)
		dismiss(b, t, b->cause == RECYCLE_RELOAD ? "its configuration changed" : "somebody asked for another");
}

void browser_plan(struct browser *b, bool may_run, const char *why, uint64_t *next_run, struct turn *t)
{
	if (is_live(b))
		dismiss_if_unwanted(b, may_run, why, t);
	else if (!b->wanted && !browser_is_up(b) && b->state != BROWSER_STOPPED)
		enter(b, BROWSER_STOPPED, LOG_INFO, t, "somebody asked");
	if (b->wanted && !browser_is_up(b) && b->state != BROWSER_FAILED)
		plan_down(b, may_run, why, next_run, t);
	if (b->state == BROWSER_STARTING)
		plan_start(b, t);
	if (b->state == BROWSER_READY)
		plan_health(b, t);
	if (b->state == BROWSER_STOPPING)
		plan_stop(b, t);
	if (b->state == BROWSER_CLEANING)
		plan_clean(b, t);
}
