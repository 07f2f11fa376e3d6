#include "podvisor/model/browser.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What a volume holds is measured every 5 s; later than this it is known what a new generation found there. */
#define DISK_BASE_MS 6000

static const char *const state_names[BROWSER_STATE_COUNT] = {
#define BROWSER_NAME(id, name) [id] = name,
	BROWSER_STATES(BROWSER_NAME)
#undef BROWSER_NAME
};

/* A browser has no limit of restarts: nobody else would start it, and the pod is not worse off for trying. One that
 * served for 10 s, ten times as long as a start takes, is worth the next start at once. */
static const struct config_restart restart_policy = {
	.policy = RESTART_ALWAYS,
	.backoff = {.initial = 1000, .max = 60000, .reset_after = 10000, .factor_percent = 200, .jitter_percent = 20},
	.limit = {.count = INT_MAX, .window = 600000},
};

#define EACH(b, g)                                                                                     \
	for (struct generation *g = (b)->generations; g < (b)->generations + BROWSER_GENERATIONS; g++) \
		if (g->run)

const char *browser_state_name(enum browser_state state)
{
	return state < BROWSER_STATE_COUNT ? state_names[state] : "unknown";
}

/* ---- which of the two ---- */

static struct generation *find_in(struct browser *b, enum generation_state state)
{
	EACH(b, g)
	if (g->state == state)
		return g;
	return NULL;
}

static struct generation *find_run(struct browser *b, uint64_t run)
{
	EACH(b, g)
	if (g->run == run)
		return g;
	return NULL;
}

static struct generation *find_free(struct browser *b)
{
	for (int i = 0; i < BROWSER_GENERATIONS; i++)
		if (!b->generations[i].run)
			return &b->generations[i];
	return NULL;
}

/* Another one has taken its place: how it ends matters only when none is wanted. */
static bool is_past(const struct generation *g)
{
	return g->replaced && !g->yields;
}

/* The one that serves before the one that is to serve, before one that goes. */
static int weight(const struct browser *b, const struct generation *g)
{
	if (!g->run)
		return 0;
	if (g->state == GENERATION_READY)
		return 4;
	if (g->state == GENERATION_STARTING)
		return 3;
	return !is_past(g) ? 2 : b->wanted ? 0 : 1;
}

const struct generation *browser_lead(const struct browser *b)
{
	static const struct generation none;
	const struct generation *lead = &none;
	for (int i = 0; i < BROWSER_GENERATIONS; i++)
		if (weight(b, &b->generations[i]) > weight(b, lead))
			lead = &b->generations[i];
	return lead;
}

const struct generation *browser_other(const struct browser *b)
{
	const struct generation *lead = browser_lead(b);
	for (int i = 0; i < BROWSER_GENERATIONS; i++)
		if (b->generations[i].run && &b->generations[i] != lead)
			return &b->generations[i];
	return NULL;
}

bool browser_is_available(const struct browser *b)
{
	return b->state == BROWSER_READY;
}

bool browser_is_up(const struct browser *b)
{
	return b->generations[0].run || b->generations[1].run;
}

static bool has_live(struct browser *b)
{
	return find_in(b, GENERATION_STARTING) || find_in(b, GENERATION_READY);
}

/* ---- its state ---- */

static void set_state(struct browser *b, enum browser_state state, const char *reason, struct turn *t)
{
	if (state != b->state)
		b->since = t->now;
	b->state = state;
	snprintf(b->reason, sizeof(b->reason), "%s", reason);
}

/* It is that of a generation, which has told it. */
static void settle(struct browser *b, struct turn *t)
{
	static const enum browser_state states[GENERATION_STATE_COUNT] = {
		[GENERATION_STARTING] = BROWSER_STARTING,
		[GENERATION_READY] = BROWSER_READY,
		[GENERATION_DRAINING] = BROWSER_DRAINING,
		[GENERATION_STOPPING] = BROWSER_STOPPING,
		[GENERATION_CLEANING] = BROWSER_CLEANING,
	};
	const struct generation *lead = browser_lead(b);
	if (lead->run)
		set_state(b, states[lead->state], lead->reason, t);
}

/* Without one: waiting, in back-off, stopped, failed. */
PRINTF_LIKE(5, 6)
static void idle(
	struct browser *b, enum browser_state state, enum log_level level, struct turn *t, const char *fmt, ...)
{
	char reason[sizeof(b->reason)];
	va_list args;
	va_start(args, fmt);
	vsnprintf(reason, sizeof(reason), fmt, args);
	va_end(args);
	if (state == b->state && !strcmp(reason, b->reason))
		return;
	set_state(b, state, reason, t);
	journal_add(t->journal, t->now, level, THING_BROWSER, b->config->name, browser_state_name(state), "%s%s%s",
		browser_state_name(state), reason[0] ? ": " : "", reason);
}

void browser_init(
	struct browser *b, struct config *source, const struct config_browser *config, uint32_t slot, ms_t now)
{
	*b = (struct browser){.config = config, .source = config_hold(source), .slot = slot, .since = now};
	b->state = BROWSER_WAITING;
	b->wanted = true;
	swap_init(&b->swap);
	b->alone_since = CLOCK_NEVER;
	b->room = (struct recycle_room){-1, -1, -1};
}

void browser_fini(struct browser *b)
{
	for (int i = 0; i < BROWSER_GENERATIONS; i++)
		generation_fini(&b->generations[i]);
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
		idle(b, BROWSER_WAITING, LOG_INFO, t, "%s", why);
}

static void begin_again(struct browser *b, enum browser_recycle cause)
{
	b->again = true;
	b->cause = cause;
}

/* ---- replacing one that works ---- */

bool browser_ask_recycle(struct browser *b, enum browser_recycle reason)
{
	return b->wanted && !b->again && find_in(b, GENERATION_READY) && swap_ask(&b->swap, reason);
}

/* Whatever was under way for another reason: one that starts from now on is to take over. */
static void ask_anew(struct browser *b, enum browser_recycle reason, struct turn *t, const char *why)
{
	struct generation *green = find_in(b, GENERATION_STARTING);
	swap_forgive(&b->swap);
	if (green)
		generation_dismiss(green, t, why);
	swap_forget(&b->swap);
	browser_ask_recycle(b, reason);
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
	if (find_in(b, GENERATION_READY))
		ask_anew(b, RECYCLE_RELOAD, t, "the configuration changed again");
	else if (find_in(b, GENERATION_STARTING))
		begin_again(b, RECYCLE_RELOAD);
	else if (b->wanted && !browser_is_up(b))
		forgive(b, t, "its configuration changed");
}

static void launch(struct browser *b, struct generation *g, uint64_t *next_run, struct turn *t)
{
	generation_launch(g, b->source, b->config, b->slot, ++b->generation, (*next_run)++, t);
}

/* One that ends by a fault is a recycle, unless another one was to take its place anyway. */
static void after_fault(struct browser *b, const struct generation *g)
{
	if (!g->failed)
		return;
	b->cause = g->cause;
	b->recycles[g->cause]++;
	if (!g->green || g->ready_at)
		swap_forget(&b->swap);
}

static void end_if_worn_out(struct browser *b, struct turn *t)
{
	char why[120];
	struct generation *g = find_in(b, GENERATION_READY);
	enum browser_recycle hard = g ? recycle_hard(&g->facts, g->config, &b->room, why, sizeof(why)) : RECYCLE_NONE;
	if (hard == RECYCLE_NONE)
		return;
	generation_fault(g, hard, t, "%s", why);
	after_fault(b, g);
}

/* Its group is taken along when somebody asked for it; what wears out is nobody's business. */
static void retire(struct browser *b, struct generation *blue, struct turn *t)
{
	enum browser_recycle reason = swap_retire(&b->swap, blue, t);
	b->recycles[reason]++;
	b->owes_comeback |= reason == RECYCLE_COMMAND;
}

static void plan_recycle(struct browser *b, uint64_t *next_run, struct turn *t)
{
	struct generation *blue = find_in(b, GENERATION_READY);
	if (!blue)
		return;
	if (blue->facts.old_at > t->now)
		plan_wake(t->plan, blue->facts.old_at);
	struct generation *place = find_free(b);
	enum swap_way way = place ? swap_decide(&b->swap, blue, b->config, &b->room, t) : SWAP_NOT_NOW;
	if (way == SWAP_BESIDE) {
		launch(b, place, next_run, t);
		place->green = true;
	} else if (way == SWAP_DRAIN_FIRST) {
		retire(b, blue, t);
		blue->yields = true;
	}
}

/* ---- what happened ---- */

static void on_asked(struct browser *b, enum event_kind kind, struct turn *t)
{
	b->wanted = kind != EVENT_ASKED_BROWSER_STOP;
	if (kind == EVENT_ASKED_BROWSER_RESTART && find_in(b, GENERATION_READY))
		ask_anew(b, RECYCLE_COMMAND, t, "somebody asked for another");
	else if (kind == EVENT_ASKED_BROWSER_RESTART && find_in(b, GENERATION_STARTING))
		begin_again(b, RECYCLE_COMMAND);
	if (b->wanted && !browser_is_up(b))
		forgive(b, t, "somebody asked");
}

static void wait_before_next(struct browser *b, ms_t ran, struct turn *t)
{
	ms_t delay = restart_after_exit(&b->restart, &restart_policy, ran, t->now, t->random);
	b->not_before = clock_after(t->now, delay > 0 ? delay : 0);
	if (delay > 0)
		idle(b, BROWSER_BACKOFF, LOG_WARN, t, "%s; the next one starts in %.1f s",
			browser_recycle_name(b->cause), (double)delay / 1000);
	else
		idle(b, BROWSER_WAITING, LOG_INFO, t, "%s; the next one starts now", browser_recycle_name(b->cause));
}

static void after_last(struct browser *b, const struct generation *was, struct turn *t)
{
	bool punish = was->failed && !b->again;
	if (was->hopeless && punish)
		idle(b, BROWSER_FAILED, LOG_ERROR, t, "%s", was->reason);
	else if (punish)
		wait_before_next(b, was->ran, t);
	else
		idle(b, BROWSER_WAITING, LOG_INFO, t, "nothing of the one before is left");
}

/* Where it stands now that one of its generations has left no trace. */
static void after_end(struct browser *b, const struct generation *was, struct turn *t)
{
	b->last_run = was->run > b->last_run ? was->run : b->last_run;
	b->owes_comeback |= was->ready_at != 0 && !was->replaced;
	if (has_live(b)) {
		if (was->green && was->failed && !was->ready_at && find_in(b, GENERATION_READY))
			swap_put_off(&b->swap, b->config, t);
	} else if (!b->wanted) {
		if (!browser_is_up(b))
			idle(b, BROWSER_STOPPED, LOG_INFO, t, "nothing of it is left");
	} else if (!is_past(was) && !browser_lead(b)->run) {
		after_last(b, was, t);
	}
	if (b->state != BROWSER_STOPPED && b->state != BROWSER_FAILED)
		come_back(b);
}

/* A new one serves: the one beside it gets no new sessions any more. */
static void after_ready(struct browser *b, const struct generation *green, struct turn *t)
{
	b->ever_ready = true;
	EACH(b, blue)
	if (blue != green && blue->state == GENERATION_READY)
		retire(b, blue, t);
	come_back(b);
	swap_done(&b->swap, t);
}

static bool is_ending(const struct generation *g)
{
	return g->state == GENERATION_STOPPING || g->state == GENERATION_CLEANING;
}

static void apply_to(struct browser *b, struct generation *g, const struct event *e, struct turn *t)
{
	struct generation was = *g;
	if (e->kind == EVENT_BROWSER_ANSWERED && e->browser.rung < RUNG_COUNT)
		histogram_add(&b->check_seconds[e->browser.rung], (double)e->browser.took_us / 1e6);
	if (e->kind == EVENT_BROWSER_TIDIED && e->tidied < TIDIED_COUNT)
		b->tidied[e->tidied]++;
	if (e->kind == EVENT_BROWSER_MEASURED)
		b->room.memory_free_bytes = e->census.room_bytes;
	generation_apply(g, e, t);
	if (g->state == GENERATION_READY && was.state == GENERATION_STARTING)
		after_ready(b, g, t);
	if (is_ending(g) && !is_ending(&was))
		after_fault(b, g);
	if (g->state == GENERATION_CLEANING && was.state != GENERATION_CLEANING && e->kind == EVENT_BROWSER_GONE) {
		ms_t since = was.state == GENERATION_STOPPING ? was.stopping_since : t->now;
		histogram_add(&b->kill_seconds, (double)(t->now - since) / 1000);
	}
	if (!g->run) {
		b->leftovers = e->killed;
		after_end(b, &was, t);
	}
	settle(b, t);
}

void browser_apply(struct browser *b, const struct event *e, struct turn *t)
{
	bool asked = e->kind == EVENT_ASKED_BROWSER_START || e->kind == EVENT_ASKED_BROWSER_STOP ||
		     e->kind == EVENT_ASKED_BROWSER_RESTART;
	struct generation *g = asked || !e->run ? NULL : find_run(b, e->run);
	if (asked)
		on_asked(b, e->kind, t);
	else if (g)
		apply_to(b, g, e, t);
}

/* ---- what to do ---- */

void browser_hurry(struct browser *b, struct turn *t)
{
	EACH(b, g)
	generation_hurry(g, t);
}

/* A launch beside one that drains takes room for two; beside one that ends there is none. */
static struct generation *find_place(struct browser *b)
{
	if (find_in(b, GENERATION_STOPPING) || find_in(b, GENERATION_CLEANING))
		return NULL;
	const struct generation *old = find_in(b, GENERATION_DRAINING);
	if (old && (old->yields || !recycle_has_room(b->config, &b->room, NULL, 0)))
		return NULL;
	return find_free(b);
}

static void plan_down(struct browser *b, const struct browser_gate *gate, uint64_t *next_run, struct turn *t)
{
	struct generation *place = find_place(b);
	if (b->state == BROWSER_BACKOFF && !clock_due(b->not_before, t->now)) {
		plan_wake(t->plan, b->not_before);
		return;
	}
	if (!place)
		return;
	if (!gate->may_run) {
		idle(b, BROWSER_WAITING, LOG_INFO, t, "%s", gate->why);
		return;
	}
	b->again = false;
	come_back(b);
	launch(b, place, next_run, t);
}

static const char *why_unwanted(const struct browser *b, const struct browser_gate *gate)
{
	if (!b->wanted)
		return "somebody asked";
	if (!gate->may_run)
		return gate->why;
	if (b->again)
		return b->cause == RECYCLE_RELOAD ? "its configuration changed" : "somebody asked for another";
	return NULL;
}

static void dismiss_unwanted(struct browser *b, const struct browser_gate *gate, struct turn *t)
{
	const char *why = why_unwanted(b, gate);
	if (!why)
		return;
	if (b->wanted && b->again && has_live(b))
		b->recycles[b->cause]++;
	EACH(b, g)
	if (generation_is_live(g) || !b->again || !b->wanted || !gate->may_run)
		generation_dismiss(g, t, why);
	swap_forget(&b->swap);
}

static void look_around(struct browser *b, const struct browser_gate *gate, struct turn *t)
{
	struct generation *g = find_in(b, GENERATION_READY);
	bool alone = g && find_free(b);
	b->room.disk_percent = gate->disk_percent;
	b->room.disk_free_bytes = gate->disk_free_bytes;
	if (!alone)
		b->alone_since = CLOCK_NEVER;
	else if (b->alone_since == CLOCK_NEVER)
		b->alone_since = t->now;
	if (alone && g->facts.disk_base < 0 && clock_due(clock_after(b->alone_since, DISK_BASE_MS), t->now))
		g->facts.disk_base = gate->disk_percent;
}

void browser_plan(struct browser *b, const struct browser_gate *gate, uint64_t *next_run, struct turn *t)
{
	look_around(b, gate, t);
	dismiss_unwanted(b, gate, t);
	if (!b->wanted && !browser_is_up(b) && b->state != BROWSER_STOPPED)
		idle(b, BROWSER_STOPPED, LOG_INFO, t, "somebody asked");
	end_if_worn_out(b, t);
	if (b->wanted && !has_live(b) && b->state != BROWSER_FAILED)
		plan_down(b, gate, next_run, t);
	struct generation *first = find_in(b, GENERATION_READY);
	if (first)
		generation_plan(first, t); /* before another one is retired, or launched beside it */
	plan_recycle(b, next_run, t);
	EACH(b, g)
	if (g->state != GENERATION_READY) {
		bool was_ending = is_ending(g);
		generation_plan(g, t);
		if (is_ending(g) && !was_ending)
			after_fault(b, g);
	}
	settle(b, t);
}
