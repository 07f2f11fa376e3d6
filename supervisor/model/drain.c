#include "podvisor/model/drain.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LISTEN_AGAIN_MS     500 /* doubled with each failure */
#define LISTEN_AGAIN_MAX_MS 15000

static const char *const state_names[DRAIN_STATE_COUNT] = {
#define DRAIN_NAME(id, name) [id] = name,
	DRAIN_STATES(DRAIN_NAME)
#undef DRAIN_NAME
};

const char *drain_state_name(enum drain_state state)
{
	return state < DRAIN_STATE_COUNT ? state_names[state] : "unknown";
}

void drain_init(struct drain *d, ms_t now)
{
	*d = (struct drain){.since = now, .deadline = CLOCK_NEVER, .phase_until = CLOCK_NEVER};
}

/* The only place where the state changes: it is told to the journal here. */
PRINTF_LIKE(4, 5)
static void enter(struct drain *d, enum drain_state state, struct turn *t, const char *fmt, ...)
{
	char text[200];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	d->state = state;
	d->since = t->now;
	d->phase_until = CLOCK_NEVER;
	journal_add(t->journal, t->now, LOG_INFO, THING_POD, "", drain_state_name(state), "%s: %s",
		drain_state_name(state), text);
}

/* ---- what happened ---- */

static void note_why(struct drain *d, const struct event *e, const char *otherwise)
{
	snprintf(d->why, sizeof(d->why), "%s", e->text[0] ? e->text : otherwise);
}

/* What made it faster stands behind what began it. */
static void note_haste(struct drain *d, const char *what)
{
	size_t n = strlen(d->why);
	snprintf(d->why + n, sizeof(d->why) - n, "; then %s", what);
}

static void note_signals(struct drain *d, int before, struct turn *t)
{
	if (before < 3 && d->signals >= 3) {
		note_haste(d, "a third signal");
		journal_add(t->journal, t->now, LOG_WARN, THING_POD, "", "hurried",
			"a third signal: everything that still runs is killed");
	} else if (before < 2 && d->signals == 2) {
		note_haste(d, "a second signal");
		journal_add(t->journal, t->now, LOG_WARN, THING_POD, "", "hurried",
			"a second signal: what remains of the drain is skipped");
	}
}

static void on_shutdown(struct drain *d, const struct event *e, struct turn *t)
{
	int before = d->signals;
	if (e->count > d->signals)
		d->signals = e->count;
	if (!d->shutdown)
		note_why(d, e, "podvisor was asked to stop");
	note_signals(d, before, t);
	d->asked = d->shutdown = true;
	d->hurried = d->signals >= 2;
}

static void on_asked(struct drain *d, const struct event *e, struct turn *t)
{
	(void)t;
	if (d->asked)
		return;
	d->asked = d->by_api = true;
	note_why(d, e, "a drain was asked for");
}

static void on_taken_back(struct drain *d, const struct event *e, struct turn *t)
{
	(void)e;
	if (d->shutdown)
		journal_add(t->journal, t->now, LOG_WARN, THING_POD, "", "undrain",
			"podvisor is stopping: this drain cannot be taken back");
	else
		d->asked = d->by_api = false;
}

static void on_listening(struct drain *d, const struct event *e, struct turn *t)
{
	d->gateway_listening = true;
	d->gateway_empty = d->listen_asked = d->drain_asked = false;
	d->listen_failures = 0;
	journal_add(t->journal, t->now, LOG_INFO, THING_GATEWAY, "", "listening", "the gateway listens at %s", e->text);
}

static void on_listen_failed(struct drain *d, const struct event *e, struct turn *t)
{
	ms_t wait = LISTEN_AGAIN_MS;
	for (int i = 0; i < d->listen_failures && wait < LISTEN_AGAIN_MAX_MS; i++)
		wait *= 2;
	d->gateway_listening = d->listen_asked = false;
	d->listen_failures++;
	d->listen_again_at = clock_after(t->now, clock_earlier(wait, LISTEN_AGAIN_MAX_MS));
	journal_add(t->journal, t->now, LOG_ERROR, THING_GATEWAY, "", "failed", "%s; tried again later", e->text);
}

static void on_empty(struct drain *d, const struct event *e, struct turn *t)
{
	bool before = d->gateway_empty;
	if (!d->drain_asked && d->state != DRAIN_DONE)
		return; /* it was taken back meanwhile */
	d->gateway_empty = true;
	d->gateway_listening = false;
	d->gateway_closed = d->state == DRAIN_DONE;
	if (before)
		return; /* told already */
	snprintf(d->summary, sizeof(d->summary), "%s", e->text);
	journal_add(t->journal, t->now, e->count ? LOG_WARN : LOG_INFO, THING_GATEWAY, "", "drained", "%s%s%s",
		e->count ? "what was left of the connections is cut off" : "every connection has ended",
		e->text[0] ? ": " : "", e->text);
}

void drain_apply(struct drain *d, const struct event *e, struct turn *t)
{
	static void (*const handlers[EVENT_KIND_COUNT])(struct drain *, const struct event *, struct turn *) = {
		[EVENT_ASKED_SHUTDOWN] = on_shutdown,
		[EVENT_ASKED_DRAIN] = on_asked,
		[EVENT_ASKED_UNDRAIN] = on_taken_back,
		[EVENT_GATEWAY_LISTENING] = on_listening,
		[EVENT_GATEWAY_FAILED] = on_listen_failed,
		[EVENT_GATEWAY_EMPTY] = on_empty,
	};
	if (e->kind < EVENT_KIND_COUNT && handlers[e->kind])
		handlers[e->kind](d, e, t);
}

/* ---- the budget ---- */

ms_t drain_needed(const struct config_gateway *gateway)
{
	const struct config_drain *c = &gateway->drain;
	return gateway->present ? c->lame_duck + c->spread + c->close_timeout : 0;
}

ms_t drain_share(const struct config *config)
{
	const struct config_shutdown *c = &config->shutdown;
	return c->deadline - clock_earlier(c->stop_share, c->deadline / 2);
}

/* When draining has to be over, so that the workers that stop after it have their share. */
static ms_t drain_end(const struct drain *d, const struct config *config)
{
	if (d->deadline == CLOCK_NEVER)
		return CLOCK_NEVER;
	return d->deadline - (config->shutdown.deadline - drain_share(config));
}

static ms_t lame_duck_of(const struct config *config, ms_t left)
{
	return clock_earlier(config->gateway.drain.lame_duck, left / 3);
}

/* In which time all WebSockets get their Close, so that the last has its close_timeout. */
static ms_t window_of(const struct config *config, ms_t left)
{
	const struct config_drain *c = &config->gateway.drain;
	left = left < 0 ? 0 : left;
	ms_t window = left == CLOCK_NEVER ? c->spread : clock_earlier(c->spread, left - c->close_timeout);
	ms_t least = left / 4;
	return window < least ? clock_earlier(least, c->spread) : window;
}

/* The deadline of a shutdown counts from when it was asked, whatever the drain was doing before. */
static void begin_budget(struct drain *d, const struct config *config, struct turn *t)
{
	d->deadline = clock_after(t->now, config->shutdown.deadline);
	ms_t left = drain_share(config);
	long long needed = drain_needed(&config->gateway);
	if (needed > left)
		journal_add(t->journal, t->now, LOG_WARN, THING_POD, "", "shortened",
			"lame_duck, spread and close_timeout (%lld ms) do not fit into the %lld ms that "
			"shutdown.deadline leaves for the drain: they are shortened",
			needed, (long long)left);
	if (d->state == DRAIN_LAME_DUCK)
		d->phase_until = clock_earlier(d->phase_until, clock_after(t->now, lame_duck_of(config, left)));
	if (d->state == DRAIN_DRAINING)
		d->phase_until = t->now + left;
}

/* ---- what to do ---- */

/* A worker that is gone at the first signal leaves nothing to drain. */
static void warn_of_early_stops(const struct config *config, struct turn *t)
{
	for (size_t i = 0; i < config->gateway.n_routes; i++) {
		const struct config_route *r = &config->gateway.routes[i];
		if (!r->worker || config->workers[r->worker_ref.index].stop.phase != STOP_ON_TERM)
			continue;
		journal_add(t->journal, t->now, LOG_WARN, THING_GATEWAY, "", "on-term",
			"route %.60s: its worker %s stops at SIGTERM, before its clients are told (stop.phase is "
			"on-term; after-drain was expected)",
			r->path, r->worker);
	}
}

static void plan_listen(struct drain *d, const struct config *config, struct turn *t)
{
	if (!config->gateway.present || d->gateway_listening || d->listen_asked)
		return;
	if (d->listen_failures && !clock_due(d->listen_again_at, t->now)) {
		plan_wake(t->plan, d->listen_again_at);
		return;
	}
	if (!d->listen_failures)
		warn_of_early_stops(config, t);
	d->listen_asked = true;
	plan_add(t->plan, EFFECT_GATEWAY_LISTEN, 0, 0, 0, "the gateway is configured");
}

static void plan_gateway_drain(struct drain *d, ms_t window, struct turn *t)
{
	if (!d->gateway_listening || d->drain_asked)
		return;
	d->drain_asked = true;
	d->gateway_listening = d->gateway_empty = false;
	plan_add(t->plan, EFFECT_GATEWAY_DRAIN, 0, 0, window, "%.100s", d->why);
}

static void begin_draining(struct drain *d, const struct config *config, struct turn *t)
{
	ms_t end = drain_end(d, config);
	ms_t window = d->hurried ? 0 : window_of(config, end == CLOCK_NEVER ? CLOCK_NEVER : end - t->now);
	if (d->gateway_listening) {
		enter(d, DRAIN_DRAINING, t, "no new connections; WebSockets are closed within %lld ms",
			(long long)window);
		plan_gateway_drain(d, window, t);
	} else {
		enter(d, DRAIN_DRAINING, t, "there is no gateway to drain");
		d->gateway_empty = true;
	}
	d->phase_until = end;
}

static void begin_lame_duck(struct drain *d, const struct config *config, struct turn *t)
{
	ms_t end = drain_end(d, config);
	ms_t span = lame_duck_of(config, end == CLOCK_NEVER ? CLOCK_NEVER : end - t->now);
	enter(d, DRAIN_LAME_DUCK, t, "%s; everything is still accepted for %lld ms", d->why, (long long)span);
	d->phase_until = clock_after(t->now, span);
	plan_add(t->plan, EFFECT_GATEWAY_LAME_DUCK, 0, 0, 0, "%.100s", d->why);
}

static void take_back(struct drain *d, const struct config *config, struct turn *t)
{
	bool closed = d->state == DRAIN_DRAINING && d->drain_asked;
	enter(d, DRAIN_SERVING, t, "the drain was taken back");
	d->began_at = 0;
	d->drain_asked = d->gateway_empty = false;
	d->listen_asked = closed; /* serving again includes it */
	if (d->gateway_listening || closed)
		plan_add(t->plan, EFFECT_GATEWAY_SERVE, 0, 0, 0, "the drain was taken back");
	plan_listen(d, config, t);
}

static void plan_serving(struct drain *d, const struct config *config, struct turn *t)
{
	if (!d->asked) {
		plan_listen(d, config, t);
		return;
	}
	d->began_at = t->now;
	if (d->gateway_listening && !d->hurried)
		begin_lame_duck(d, config, t);
	else
		begin_draining(d, config, t);
}

static void plan_lame_duck(struct drain *d, const struct config *config, struct turn *t)
{
	if (!d->asked)
		take_back(d, config, t);
	else if (d->hurried || clock_due(d->phase_until, t->now))
		begin_draining(d, config, t);
}

/* Who is still connected is told now, and may answer while the workers stop. */
static void begin_stopping(struct drain *d, const struct config *config, const char *why, struct turn *t)
{
	enter(d, DRAIN_STOPPING, t, "%s", why);
	d->goodbyes = d->drain_asked && !d->gateway_empty;
	if (!d->goodbyes)
		return;
	d->phase_until = clock_after(t->now, config->gateway.drain.close_timeout);
	plan_add(t->plan, EFFECT_GATEWAY_HURRY, 0, 0, 0, "%s", why);
}

static void plan_draining(struct drain *d, const struct config *config, struct turn *t)
{
	if (!d->asked) {
		take_back(d, config, t);
		return;
	}
	/* It may have begun to listen in the very turn that the drain began in. */
	ms_t end = drain_end(d, config);
	plan_gateway_drain(d, window_of(config, end == CLOCK_NEVER ? CLOCK_NEVER : end - t->now), t);
	if (!d->shutdown)
		return;
	if (d->gateway_empty)
		begin_stopping(d, config, "the workers that outlive the drain stop now", t);
	else if (d->hurried && !d->overdue)
		begin_stopping(d, config, "a second signal asked for it, although connections are still open", t);
	else if (d->hurried || clock_due(d->phase_until, t->now))
		begin_stopping(
			d, config, "the drain's share of the budget is over, although connections are still open", t);
}

static void plan_stopping(struct drain *d, const struct config *config, bool busy, struct turn *t)
{
	if (d->gateway_empty || d->signals >= 3 || clock_due(d->phase_until, t->now)) {
		d->goodbyes = false;
		d->phase_until = CLOCK_NEVER;
	}
	if (busy || d->goodbyes)
		return;
	enter(d, DRAIN_DONE, t, "nothing runs any more");
	d->gateway_closed = !config->gateway.present;
	if (config->gateway.present)
		plan_add(t->plan, EFFECT_GATEWAY_CLOSE, 0, 0, 0, "podvisor ends");
}

/* Whatever hangs: the pod ends by itself, in time, and says so. */
static void enforce_deadline(struct drain *d, struct turn *t)
{
	ms_t at = d->deadline == CLOCK_NEVER ? CLOCK_NEVER : d->deadline - DRAIN_KILL_MARGIN_MS;
	if (d->state == DRAIN_DONE || d->signals >= 3)
		return;
	if (!clock_due(at, t->now)) {
		plan_wake(t->plan, at);
		return;
	}
	d->signals = 3;
	d->hurried = d->overdue = true;
	note_haste(d, "shutdown.deadline was nearly over");
	journal_add(t->journal, t->now, LOG_ERROR, THING_POD, "", "overdue",
		"shutdown.deadline is nearly over: everything that still runs is killed");
}

const char *drain_haste(const struct drain *d)
{
	if (d->signals < 3)
		return NULL;
	return d->overdue ? "shutdown.deadline is nearly over" : "a third signal asked for it";
}

const char *drain_ending(const struct drain *d)
{
	if (d->overdue)
		return "podvisor ended: shutdown.deadline was nearly over, and what still ran was killed";
	if (d->signals >= 3)
		return "podvisor ended at once: a third signal asked for it, and what still ran was killed";
	return d->hurried ? "podvisor ended in order, without what remained of the drain: a second signal asked for it"
			  : "podvisor ended in order";
}

void drain_plan(struct drain *d, const struct config *config, bool busy, struct turn *t)
{
	if (d->shutdown && d->deadline == CLOCK_NEVER)
		begin_budget(d, config, t);
	if (d->shutdown)
		enforce_deadline(d, t);
	/* In the order of the phases, so that one turn can pass through several. */
	if (d->state == DRAIN_SERVING)
		plan_serving(d, config, t);
	if (d->state == DRAIN_LAME_DUCK)
		plan_lame_duck(d, config, t);
	if (d->state == DRAIN_DRAINING)
		plan_draining(d, config, t);
	if (d->state == DRAIN_STOPPING)
		plan_stopping(d, config, busy, t);
	plan_wake(t->plan, d->phase_until);
}
