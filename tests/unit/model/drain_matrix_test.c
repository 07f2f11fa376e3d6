/* Every phase of the drain against everything that can happen to it: where it
 * stands after the next turn, and what is planned first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "podvisor/model/drain.h"

static const struct config config = {
	.shutdown = {.deadline = 55000},
	.gateway = {.present = true, .drain = {.lame_duck = 5000, .spread = 20000, .close_timeout = 5000}},
};

struct stage {
	struct drain drain;
	struct random random;
	struct journal journal;
	struct plan plan;
	struct turn turn;
	bool busy;
};

/* The phases, and on whose behalf: a drain asked for through the API can be taken back. */
enum row { SERVING, LAME_DUCK_BY_API, DRAINING_BY_API, LAME_DUCK, DRAINING, STOPPING, DONE, ROW_COUNT };

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
	plan_clear(&s->plan);
	drain_plan(&s->drain, &config, s->busy, 10000, &s->turn);
}

static void happens(struct stage *s, enum what what)
{
	if (what == ALL_DOWN)
		s->busy = false;
	else if (what == TIME && s->drain.phase_until != CLOCK_NEVER)
		s->turn.now = s->drain.phase_until;
	else if (what == DEADLINE && s->drain.deadline != CLOCK_NEVER)
		s->turn.now = s->drain.deadline - 1000;
	else if (what < ALL_DOWN)
		drain_apply(&s->drain, &events[what], &s->turn);
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
	[DONE] = {LISTENING, SIGNAL, TIME, EMPTY, ALL_DOWN, WHAT_COUNT},
};

static const enum drain_state row_states[ROW_COUNT] = {
	[SERVING] = DRAIN_SERVING,
	[LAME_DUCK_BY_API] = DRAIN_LAME_DUCK,
	[DRAINING_BY_API] = DRAIN_DRAINING,
	[LAME_DUCK] = DRAIN_LAME_DUCK,
	[DRAINING] = DRAIN_DRAINING,
	[STOPPING] = DRAIN_STOPPING,
	[DONE] = DRAIN_DONE,
};

static void set_stage(struct stage *s, enum row row)
{
	*s = (struct stage){.busy = true};
	plan_init(&s->plan);
	s->turn = (struct turn){.now = 1000, .random = &s->random, .journal = &s->journal, .plan = &s->plan};
	drain_init(&s->drain, 1000);
	plan(s);
	for (size_t i = 0; ways[row][i] != WHAT_COUNT; i++)
		happens(s, ways[row][i]);
	plan(s);
	assert_string_equal(drain_state_name(s->drain.state), drain_state_name(row_states[row]));
	assert_int_equal(s->plan.count, 0);
}

/* ---- the table ---- */

struct cell {
	bool set; /* else: it stays, and nothing is planned */
	enum drain_state next;
	enum effect_kind effect;
};

#define NOTHING EFFECT_KIND_COUNT
#define IS(state)                            \
	{                                    \
		true, DRAIN_##state, NOTHING \
	}
#define TO(state, effect)                                    \
	{                                                    \
		true, DRAIN_##state, EFFECT_GATEWAY_##effect \
	}

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
		[SECOND_SIGNAL] = IS(STOPPING),
		[THIRD_SIGNAL] = IS(STOPPING),
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
			[SECOND_SIGNAL] = IS(STOPPING),
			[THIRD_SIGNAL] = IS(STOPPING),
			[LISTENING] = TO(DRAINING, DRAIN),
			[EMPTY] = IS(STOPPING),
			[TIME] = IS(STOPPING),
			[DEADLINE] = IS(STOPPING),
		},
	[STOPPING] = {[ALL_DOWN] = TO(DONE, CLOSE)},
	[DONE] = {{0}},
};

static const char *first_effect(const struct stage *s)
{
	return s->plan.count ? effect_name(s->plan.effects[0].kind) : "nothing";
}

static bool is_right(enum row row, enum what what)
{
	struct cell cell = table[row][what];
	enum drain_state next = cell.set ? cell.next : row_states[row];
	const char *effect = cell.set && cell.effect != NOTHING ? effect_name(cell.effect) : "nothing";
	struct stage s;
	set_stage(&s, row);
	happens(&s, what);
	bool right = s.drain.state == next && strcmp(first_effect(&s), effect) == 0;
	if (!right)
		print_error("%s%s x %s: %s, %s; expected %s, %s\n", drain_state_name(row_states[row]),
			row == LAME_DUCK_BY_API || row == DRAINING_BY_API ? " by API" : "", what_names[what],
			drain_state_name(s.drain.state), first_effect(&s), drain_state_name(next), effect);
	plan_fini(&s.plan);
	return right;
}

static void every_happening_in_every_phase_leads_where_the_table_says(void **state)
{
	(void)state;
	int wrong = 0;
	for (int row = 0; row < ROW_COUNT; row++)
		for (int what = 0; what < WHAT_COUNT; what++)
			wrong += !is_right((enum row)row, (enum what)what);
	assert_int_equal(wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_happening_in_every_phase_leads_where_the_table_says),
	};
	return cmocka_run_group_tests_name("drain matrix", tests, NULL, NULL);
}
