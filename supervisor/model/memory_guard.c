#include "podvisor/model/memory_guard.h"

#include <stdio.h>
#include <string.h>

#include "podvisor/base/units.h"

#define MIB ((int64_t)1 << 20) /* people read no finer */

static const char *const state_names[MEMORY_GUARD_STATE_COUNT] = {
#define MEMORY_GUARD_NAME(id, name) [id] = name,
	MEMORY_GUARD_STATES(MEMORY_GUARD_NAME)
#undef MEMORY_GUARD_NAME
};

static const char *const action_names[MEMORY_ACTION_COUNT] = {
#define MEMORY_ACTION_NAME(id, name) [id] = name,
	MEMORY_ACTIONS(MEMORY_ACTION_NAME)
#undef MEMORY_ACTION_NAME
};

static const ms_t again_after[MEMORY_ACTION_COUNT] = {
	[MEMORY_PURGE] = MEMORY_PURGE_AGAIN_MS,
	[MEMORY_RECYCLE] = MEMORY_RECYCLE_AGAIN_MS,
	[MEMORY_RESTART] = MEMORY_RESTART_AGAIN_MS,
};

const char *memory_guard_state_name(enum memory_guard_state state)
{
	return state < MEMORY_GUARD_STATE_COUNT ? state_names[state] : "unknown";
}

const char *memory_action_name(enum memory_action action)
{
	return action < MEMORY_ACTION_COUNT ? action_names[action] : "unknown";
}

#define tell(t, level, what, ...) journal_add((t)->journal, (t)->now, level, THING_POD, "", what, __VA_ARGS__)

/* The only place where the state changes. */
static void set_state(struct memory_guard *g, enum memory_guard_state state, struct turn *t)
{
	if (state == g->state)
		return;
	g->state = state;
	g->since = t->now;
}

void memory_guard_init(struct memory_guard *g, ms_t now)
{
	*g = (struct memory_guard){.since = now, .due = now};
	g->memory =
		(struct event_memory){.limit_bytes = -1, .used_bytes = -1, .charged_bytes = -1, .pressure_ratio = -1};
}

int64_t memory_guard_high_bytes(const struct memory_guard *g, const struct config_memory *c)
{
	return g->memory.limit_bytes < 0 ? -1 : g->memory.limit_bytes / 100 * c->high_percent;
}

static bool is_above(const struct memory_guard *g, const struct config_memory *c)
{
	int64_t high = memory_guard_high_bytes(g, c);
	return high >= 0 && g->memory.used_bytes > high;
}

static int64_t margin_bytes(const struct memory_guard *g, const struct config_memory *c)
{
	return memory_guard_high_bytes(g, c) - g->memory.limit_bytes / 100 * MEMORY_MARGIN_PERCENT;
}

int64_t memory_guard_excess_bytes(const struct memory_guard *g, const struct config_memory *c)
{
	int64_t excess = g->memory.used_bytes - margin_bytes(g, c);
	return excess > 0 ? excess : 0;
}

/* ---- measuring ---- */

static void describe_use(const struct memory_guard *g, const struct config_memory *c, char *out, size_t size)
{
	char used[UNITS_TEXT_MAX], limit[UNITS_TEXT_MAX], pressure[48] = "";
	if (g->memory.pressure_ratio >= 0.01)
		snprintf(pressure, sizeof(pressure), ", and %.0f%% of the time somebody waits for some",
			g->memory.pressure_ratio * 100);
	snprintf(out, size, "%s of the pod's %s memory is used, %s %d%%%s",
		units_format_size(g->memory.used_bytes / MIB * MIB, used),
		units_format_size(g->memory.limit_bytes / MIB * MIB, limit), is_above(g, c) ? "above" : "below",
		c->high_percent, pressure);
}

static void tell_use(const struct memory_guard *g, const struct config_memory *c, enum log_level level,
	const char *what, struct turn *t)
{
	char use[160];
	describe_use(g, c, use, sizeof(use));
	tell(t, level, what, "%s", use);
}

/* Told when it begins and when it is over. */
static void judge(struct memory_guard *g, const struct config_memory *c, struct turn *t)
{
	if (g->memory.limit_bytes < 0 || g->memory.used_bytes < 0) {
		g->above = 0;
		set_state(g, MEMORY_GUARD_BLIND, t);
		return;
	}
	if (g->state == MEMORY_GUARD_BLIND)
		set_state(g, MEMORY_GUARD_CALM, t);
	bool above = is_above(g, c);
	g->above = above && g->state != MEMORY_GUARD_ACTING ? g->above + 1 : 0;
	if (above && g->state == MEMORY_GUARD_CALM) {
		g->helpless = false;
		set_state(g, MEMORY_GUARD_HIGH, t);
		tell_use(g, c, LOG_WARN, "memory-high", t);
	} else if (g->state == MEMORY_GUARD_HIGH && g->memory.used_bytes < margin_bytes(g, c)) {
		set_state(g, MEMORY_GUARD_CALM, t);
		tell_use(g, c, LOG_INFO, "memory-low", t);
	}
}

/* The nearer, the more often: what fills fast leaves little time. */
static ms_t pause_of(const struct memory_guard *g, const struct config_memory *c)
{
	int64_t high = memory_guard_high_bytes(g, c);
	if (g->state == MEMORY_GUARD_BLIND)
		return MEMORY_BLIND_MS;
	return g->memory.used_bytes > high / 4 * 3 ? MEMORY_HIGH_MS
	       : g->memory.used_bytes > high / 2   ? MEMORY_NEAR_MS
						   : MEMORY_FAR_MS;
}

static void tell_kills(const struct memory_guard *g, int64_t before, struct turn *t)
{
	int64_t kills = g->memory.oom_kills - before;
	if (before >= 0 && kills > 0)
		tell(t, LOG_ERROR, "oom-kill", "the kernel killed %lld process%s because the pod's memory was used up",
			(long long)kills, kills == 1 ? "" : "es");
}

void memory_guard_apply(struct memory_guard *g, const struct config_memory *c, const struct event *e, struct turn *t)
{
	int64_t kills = g->memory.limit_bytes < 0 && g->memory.used_bytes < 0 ? -1 : g->memory.oom_kills;
	if (e->kind == EVENT_MEMORY_WEIGHED) {
		g->weighed_at = t->now;
		return;
	}
	if (e->kind != EVENT_MEMORY_MEASURED || !g->asked)
		return;
	g->asked = false;
	g->memory = e->memory;
	judge(g, c, t);
	tell_kills(g, kills, t);
	g->due = clock_after(t->now, pause_of(g, c));
}

/* When one may have to go the last weights may be too old: they are taken at once. */
static void plan_weighing(struct memory_guard *g, const struct config_memory *c, bool eager, struct turn *t)
{
	bool near = eager || is_above(g, c);
	ms_t pause = near ? MEMORY_WEIGH_HIGH_MS : MEMORY_WEIGH_CALM_MS;
	ms_t due = g->weigh_asked ? clock_after(g->weigh_asked, pause) : t->now;
	if (clock_due(due, t->now)) {
		g->weigh_asked = t->now;
		due = clock_after(t->now, pause);
		plan_add(t->plan, EFFECT_MEMORY_WEIGH, 0, 0, 0, near ? "one of them may have to give way" : "due");
	}
	plan_wake(t->plan, due);
}

void memory_guard_measure(
	struct memory_guard *g, const struct config_memory *c, bool wants_weights, bool eager, struct turn *t)
{
	if (c->guard == MEMORY_GUARD_OFF)
		return;
	if (clock_due(g->due, t->now)) {
		g->asked = true;
		g->due = clock_after(t->now, MEMORY_LOST_MS);
		plan_add(t->plan, EFFECT_MEMORY_MEASURE, 0, 0, 0, "due");
	}
	plan_wake(t->plan, g->due);
	if (wants_weights && g->state != MEMORY_GUARD_BLIND)
		plan_weighing(g, c, eager, t);
}

/* ---- acting ---- */

void memory_guard_settle(struct memory_guard *g, bool settled, struct turn *t)
{
	if (g->state != MEMORY_GUARD_ACTING)
		return;
	ms_t patience = clock_after(g->last.at, MEMORY_SETTLE_MS);
	if (!settled && !clock_due(patience, t->now)) {
		plan_wake(t->plan, patience);
		return;
	}
	/* Its effect shows from the next measurement on; one that is under way may have begun before. */
	g->above = g->asked ? -1 : 0;
	set_state(g, MEMORY_GUARD_HIGH, t);
}

/* A purge hurts nobody; before anything is ended a second look has to say the same. */
bool memory_guard_wants(const struct memory_guard *g, const struct config_memory *c)
{
	return c->guard == MEMORY_GUARD_ON && g->state == MEMORY_GUARD_HIGH && is_above(g, c) && g->above > 0;
}

bool memory_guard_may(const struct memory_guard *g, enum memory_action action, uint32_t slot, ms_t now)
{
	if (action != MEMORY_PURGE && g->above < 2)
		return false;
	for (size_t i = 0; i < MEMORY_STEPS_MAX && i < g->n_steps; i++) {
		const struct memory_step *s = &g->steps[i];
		if (s->action == action && s->slot == slot && !clock_due(clock_after(s->at, again_after[action]), now))
			return false;
	}
	return true;
}

const struct memory_option *memory_guard_prefer(const struct memory_option *best, const struct memory_option *other)
{
	if (!best || other->action != best->action)
		return !best || other->action < best->action ? other : best;
	return other->weight_bytes > best->weight_bytes ? other : best;
}

void memory_guard_act(struct memory_guard *g, const struct config_memory *c, const struct memory_option *o,
	const char *name, struct turn *t)
{
	static const char *const words[MEMORY_ACTION_COUNT] = {[MEMORY_PURGE] = "purging the volume",
		[MEMORY_RECYCLE] = "recycling the browser",
		[MEMORY_RESTART] = "restarting the worker"};
	char use[128], weight[UNITS_TEXT_MAX];
	describe_use(g, c, use, sizeof(use));
	units_format_size(o->weight_bytes / MIB * MIB, weight);
	g->last = (struct memory_step){.action = o->action, .slot = o->slot, .at = t->now};
	g->steps[g->n_steps++ % MEMORY_STEPS_MAX] = g->last;
	g->actions[o->action]++;
	g->helpless = false;
	g->above = 0;
	snprintf(g->text, sizeof(g->text), "%s %s%s%s%s", words[o->action], name,
		o->action == MEMORY_RESTART ? ", which grew by " : "", o->action == MEMORY_RESTART ? weight : "",
		o->action == MEMORY_RESTART ? " since it was ready" : "");
	set_state(g, MEMORY_GUARD_ACTING, t);
	tell(t, LOG_WARN, "memory-step", "%s: %s", use, g->text);
}

/* Told once, until something can be done again or use is below. */
void memory_guard_give_up(struct memory_guard *g, const struct config_memory *c, struct turn *t)
{
	char use[128];
	if (g->helpless || g->above < 2)
		return;
	g->helpless = true;
	describe_use(g, c, use, sizeof(use));
	tell(t, LOG_ERROR, "memory-helpless", "%s, and nothing is left that may give way", use);
}
