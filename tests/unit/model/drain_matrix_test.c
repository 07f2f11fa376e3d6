/* Every phase of the drain against everything that can happen to it: where it
 * stands after the next turn, and what is planned first. */
#include <stdio.h>

#include "matrix.h"
#include "podvisor/model/drain.h"

static const struct config config = {
	.shutdown = {.deadline = 55000, .stop_share = 10000},
	.gateway = {.present = true, .drain = {.lame_duck = 5000, .spread = 20000, .close_timeout = 5000}},
};

struct stage {
	struct drain drain;
	struct around around;
	bool busy;
};

/* The phases, and on whose behalf: a drain asked for through the API can be taken back. */
enum row {
	SERVING,
	LAME_DUCK_BY_API,
	DRAINING_BY_API,
	LAME_DUCK,
	DRAINING,
	STOPPING,
	STOPPING_WITH_OPEN,
	DONE,
	ROW_COUNT
};

enum what {
	SIGNAL,
	SECOND_SIGNAL,
	THIRD_SIGNAL,
	DRAIN,
	UNDRAIN,
	LISTENING,
	LISTEN_FAILED,
	EMPTY,
	ALL_DOWN,
	TIME, /* that of the phase is over */
	DEADLINE, /* a second is left of the budget */
	WHAT_COUNT
};

static const char *const what_names[WHAT_COUNT] = {
	[SIGNAL] = "signal",
	[SECOND_SIGNAL] = "second signal",
	[THIRD_SIGNAL] = "third signal",
	[DRAIN] = "drain",
	[UNDRAIN] = "undrain",
	[LISTENING] = "listening",
	[LISTEN_FAILED] = "listen failed",
	[EMPTY] = "empty",
	[ALL_DOWN] = "all down",
	[TIME] = "its time is over",
	[DEADLINE] = "the deadline is near",
};

static const struct event events[WHAT_COUNT] = {
	[SIGNAL] = {.kind = EVENT_ASKED_SHUTDOWN, .count = 1},
	[SECOND_SIGNAL] = {.kind = EVENT_ASKED_SHUTDOWN, .count = 2},
	[THIRD_SIGNAL] = {.kind = EVENT_ASKED_SHUTDOWN, .count = 3},
	[DRAIN] = {.kind = EVENT_ASKED_DRAIN},
	[UNDRAIN] = {.kind = EVENT_ASKED_UNDRAIN},
	[LISTENING] = {.kind = EVENT_GATEWAY_LISTENING},
	[LISTEN_FAILED] = {.kind = EVENT_GATEWAY_FAILED},
	[EMPTY] = {.kind = EVENT_GATEWAY_EMPTY},
};

static void plan(struct stage *s)
{
	plan_clear(&s->around.plan);
	drain_plan(&s->drain, &config, s->busy, &s->around.turn);
}

static void happens(struct stage *s, enum what what)
{
	if (what == ALL_DOWN)
		s->busy = false;
	else if (what == TIME && s->drain.phase_until != CLOCK_NEVER)
		s->around.turn.now = s->drain.phase_until;
	else if (what == DEADLINE && s->drain.deadline != CLOCK_NEVER)
		s->around.turn.now = s->drain.deadline - 1000;
	else if (what < ALL_DOWN)
		drain_apply(&s->drain, &events[what], &s->around.turn);
	plan(s);
}

/* ---- into each phase, by its own events ---- */

static const enum what ways[ROW_COUNT][6] = {
	[SERVING] = {LISTENING, WHAT_COUNT},
	[LAME_DUCK_BY_API] = {LISTENING, DRAIN, WHAT_COUNT},
	[DRAINING_BY_API] = {LISTENING, DRAIN, TIME, WHAT_COUNT},
	[LAME_DUCK] = {LISTENING, SIGNAL, WHAT_COUNT},
	[DRAINING] = {LISTENING, SIGNAL, TIME, WHAT_COUNT},
	[STOPPING] = {LISTENING, SIGNAL, TIME, EMPTY, WHAT_COUNT},
	[STOPPING_WITH_OPEN] = {LISTENING, SIGNAL, TIME, TIME, WHAT_COUNT},
	[DONE] = {LISTENING, SIGNAL, TIME, EMPTY, ALL_DOWN, WHAT_COUNT},
};

static const enum drain_state row_states[ROW_COUNT] = {
	[SERVING] = DRAIN_SERVING,
	[LAME_DUCK_BY_API] = DRAIN_LAME_DUCK,
	[DRAINING_BY_API] = DRAIN_DRAINING,
	[LAME_DUCK] = DRAIN_LAME_DUCK,
	[DRAINING] = DRAIN_DRAINING,
	[STOPPING] = DRAIN_STOPPING,
	[STOPPING_WITH_OPEN] = DRAIN_STOPPING,
	[DONE] = DRAIN_DONE,
};

static void set_stage(struct stage *s, enum row row)
{
	*s = (struct stage){.busy = true};
	around_set(&s->around);
	drain_init(&s->drain, 1000);
	plan(s);
	for (size_t i = 0; ways[row][i] != WHAT_COUNT; i++)
		happens(s, ways[row][i]);
	plan(s);
	assert_string_equal(drain_state_name(s->drain.state), drain_state_name(row_states[row]));
	assert_int_equal(s->around.plan.count, 0);
}

/* ---- the table ---- */

#define IS(state)         LEADS(DRAIN_##state, NOTHING)
#define TO(state, effect) LEADS(DRAIN_##state, EFFECT_GATEWAY_##effect)

static const struct cell table[ROW_COUNT][WHAT_COUNT] = {
	[SERVING] =
		{
			[SIGNAL] = TO(LAME_DUCK, LAME_DUCK),
			[SECOND_SIGNAL] = TO(STOPPING, DRAIN), /* everything that is open is closed at once */
			[THIRD_SIGNAL] = TO(STOPPING, DRAIN),
			[DRAIN] = TO(LAME_DUCK, LAME_DUCK),
		},
	[LAME_DUCK_BY_API] =
		{
			[SECOND_SIGNAL] = TO(STOPPING, DRAIN),
			[THIRD_SIGNAL] = TO(STOPPING, DRAIN),
			[UNDRAIN] = TO(SERVING, SERVE),
			[TIME] = TO(DRAINING, DRAIN),
		},
	[DRAINING_BY_API] = /* for as long as nobody wants podvisor to end */
	{
		[SECOND_SIGNAL] = TO(STOPPING, HURRY),
		[THIRD_SIGNAL] = TO(STOPPING, HURRY),
		[UNDRAIN] = TO(SERVING, SERVE),
		[LISTENING] = TO(DRAINING, DRAIN), /* it began to as the drain did */
	},
	[LAME_DUCK] = /* of a shutdown: it cannot be taken back */
	{
		[SECOND_SIGNAL] = TO(STOPPING, DRAIN),
		[THIRD_SIGNAL] = TO(STOPPING, DRAIN),
		[TIME] = TO(DRAINING, DRAIN),
		[DEADLINE] = TO(STOPPING, DRAIN),
	},
	[DRAINING] =
		{
			[SECOND_SIGNAL] = TO(STOPPING, HURRY),
			[THIRD_SIGNAL] = TO(STOPPING, HURRY),
			[LISTENING] = TO(DRAINING, DRAIN),
			[EMPTY] = IS(STOPPING),
			[TIME] = TO(STOPPING, HURRY),
			[DEADLINE] = TO(STOPPING, HURRY),
		},
	[STOPPING] = {[ALL_DOWN] = TO(DONE, CLOSE)},
	[STOPPING_WITH_OPEN] = {{0}}, /* what is open has its time, even when all is down */
	[DONE] = {{0}},
};

static const char *name_of(int state)
{
	return drain_state_name((enum drain_state)state);
}

static bool is_right(int row, int what)
{
	char name[32];
	struct stage s;
	set_stage(&s, (enum row)row);
	happens(&s, (enum what)what);
	snprintf(name, sizeof(name), "%s%s", name_of(row_states[row]),
		row == LAME_DUCK_BY_API || row == DRAINING_BY_API ? " by API"
		: row == STOPPING_WITH_OPEN                       ? " with open"
								  : "");
	bool right = cell_is_right(&table[row][what], &s.around, (int)row_states[row], (int)s.drain.state, name_of,
		name, what_names[what]);
	plan_fini(&s.around.plan);
	return right;
}

static void every_happening_in_every_phase_leads_where_the_table_says(void **state)
{
	(void)state;
	assert_table(ROW_COUNT, WHAT_COUNT, is_right);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_happening_in_every_phase_leads_where_the_table_says),
	};
	return cmocka_run_group_tests_name("drain matrix", tests, NULL, NULL);
}
