/* Every state of the memory guard against everything that can happen to it:
 * where it stands, and whether it wants a step. */
#include "matrix.h"
#include "podvisor/model/memory_guard.h"

#define LIMIT 1000000

static const struct config_memory config = {.high_percent = 90, .guard = MEMORY_GUARD_ON};

/* BETWEEN: below high, but not by the margin. LATE: what was asked for has not settled, and nobody waits any longer. */
enum what { UNLIMITED, BELOW, BETWEEN, ABOVE, ABOVE_TWICE, SETTLED, UNSETTLED, LATE, WHAT_COUNT };

static const char *const names[WHAT_COUNT] = {
	[UNLIMITED] = "no limit any more",
	[BELOW] = "below",
	[BETWEEN] = "between",
	[ABOVE] = "above",
	[ABOVE_TWICE] = "above twice",
	[SETTLED] = "settled",
	[UNSETTLED] = "unsettled",
	[LATE] = "late",
};

static void measured(struct memory_guard *g, struct around *a, int64_t limit, int64_t used)
{
	struct event e = {.kind = EVENT_MEMORY_MEASURED};
	e.memory = (struct event_memory){.limit_bytes = limit, .used_bytes = used, .charged_bytes = used};
	g->asked = true;
	memory_guard_apply(g, &config, &e, &a->turn);
}

static void happens(struct memory_guard *g, struct around *a, enum what what)
{
	static const int64_t used[] = {[BELOW] = 840000, [BETWEEN] = 890000, [ABOVE] = 910000, [ABOVE_TWICE] = 910000};
	a->turn.now += what == LATE ? MEMORY_SETTLE_MS : 500;
	if (what == UNLIMITED)
		measured(g, a, -1, 910000);
	else if (what >= SETTLED)
		memory_guard_settle(g, what == SETTLED, &a->turn);
	else
		measured(g, a, LIMIT, used[what]);
	if (what == ABOVE_TWICE)
		measured(g, a, LIMIT, used[what]);
}

/* What the guard would do next: a purge, an end of something, or nothing. */
static const char *wish(const struct memory_guard *g, const struct around *a)
{
	if (!memory_guard_wants(g, &config))
		return "nothing";
	return memory_guard_may(g, MEMORY_RESTART, 1, a->turn.now) ? "anything" : "purge";
}

struct outcome {
	int next; /* enum memory_guard_state */
	const char *wish;
};

#define IS(state, wish_)                    \
	{                                   \
		MEMORY_GUARD_##state, wish_ \
	}
static const struct outcome table[MEMORY_GUARD_STATE_COUNT][WHAT_COUNT] = {
	[MEMORY_GUARD_BLIND] = {[UNLIMITED] = IS(BLIND, "nothing"),
		[BELOW] = IS(CALM, "nothing"),
		[BETWEEN] = IS(CALM, "nothing"),
		[ABOVE] = IS(HIGH, "purge"),
		[ABOVE_TWICE] = IS(HIGH, "anything"),
		[SETTLED] = IS(BLIND, "nothing"),
		[UNSETTLED] = IS(BLIND, "nothing"),
		[LATE] = IS(BLIND, "nothing")},
	[MEMORY_GUARD_CALM] = {[UNLIMITED] = IS(BLIND, "nothing"),
		[BELOW] = IS(CALM, "nothing"),
		[BETWEEN] = IS(CALM, "nothing"),
		[ABOVE] = IS(HIGH, "purge"),
		[ABOVE_TWICE] = IS(HIGH, "anything"),
		[SETTLED] = IS(CALM, "nothing"),
		[UNSETTLED] = IS(CALM, "nothing"),
		[LATE] = IS(CALM, "nothing")},
	/* It has been measured above once. */
	[MEMORY_GUARD_HIGH] = {[UNLIMITED] = IS(BLIND, "nothing"),
		[BELOW] = IS(CALM, "nothing"),
		[BETWEEN] = IS(HIGH, "nothing"),
		[ABOVE] = IS(HIGH, "anything"),
		[ABOVE_TWICE] = IS(HIGH, "anything"),
		[SETTLED] = IS(HIGH, "purge"),
		[UNSETTLED] = IS(HIGH, "purge"),
		[LATE] = IS(HIGH, "purge")},
	/* Whatever is measured, the step has to settle first, and a measurement has to follow. */
	[MEMORY_GUARD_ACTING] = {[UNLIMITED] = IS(BLIND, "nothing"),
		[BELOW] = IS(ACTING, "nothing"),
		[BETWEEN] = IS(ACTING, "nothing"),
		[ABOVE] = IS(ACTING, "nothing"),
		[ABOVE_TWICE] = IS(ACTING, "nothing"),
		[SETTLED] = IS(HIGH, "nothing"),
		[UNSETTLED] = IS(ACTING, "nothing"),
		[LATE] = IS(HIGH, "nothing")},
};

static void set_stage(struct memory_guard *g, struct around *a, enum memory_guard_state state)
{
	const struct memory_option step = {MEMORY_PURGE, 0, 100};
	around_set(a);
	memory_guard_init(g, 1000);
	if (state == MEMORY_GUARD_CALM)
		happens(g, a, BELOW);
	if (state >= MEMORY_GUARD_HIGH)
		happens(g, a, ABOVE);
	if (state == MEMORY_GUARD_ACTING)
		memory_guard_act(g, &config, &step, "tmp", &a->turn);
	assert_int_equal(g->state, state);
}

static bool is_right(int state, int what)
{
	struct memory_guard g;
	struct around a;
	const struct outcome *o = &table[state][what];
	set_stage(&g, &a, (enum memory_guard_state)state);
	happens(&g, &a, (enum what)what);
	bool right = (int)g.state == o->next && strcmp(wish(&g, &a), o->wish) == 0;
	if (!right)
		print_error("%s x %s: %s, %s; expected %s, %s\n",
			memory_guard_state_name((enum memory_guard_state)state), names[what],
			memory_guard_state_name(g.state), wish(&g, &a),
			memory_guard_state_name((enum memory_guard_state)o->next), o->wish);
	plan_fini(&a.plan);
	return right;
}

static void every_happening_in_every_state_leads_where_the_table_says(void **state)
{
	(void)state;
	assert_table(MEMORY_GUARD_STATE_COUNT, WHAT_COUNT, is_right);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_happening_in_every_state_leads_where_the_table_says),
	};
	return cmocka_run_group_tests_name("memory guard matrix", tests, NULL, NULL);
}
