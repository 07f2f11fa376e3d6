/* Every state of a database against everything that can happen to it: where it
 * stands after the next turn, and what is planned first. */
#include "matrix.h"
#include "podvisor/model/database.h"

/* One answer is enough, in both directions: the hysteresis has tests of its own. */
static const struct config_postgres config = {
	.name = (char *)"main",
	.interval = 5000,
	.canary_interval = 60000,
	.failure_threshold = 1,
	.success_threshold = 1,
	.require = POSTGRES_READ_WRITE,
};

struct stage {
	struct database database;
	struct around around;
	bool wanted;
};

enum what {
	ANSWERED,
	ANSWERED_READ_ONLY,
	FAILED,
	REFUSED, /* for good: wrong password */
	LOST,
	CANARY_ANSWERED,
	CANARY_FAILED,
	CANARY_REFUSED,
	CLOSED,
	UNWANTED, /* podvisor ends */
	WHAT_COUNT
};

static const char *const what_names[WHAT_COUNT] = {
	[ANSWERED] = "answered",
	[ANSWERED_READ_ONLY] = "answered read-only",
	[FAILED] = "failed",
	[REFUSED] = "refused",
	[LOST] = "lost",
	[CANARY_ANSWERED] = "canary answered",
	[CANARY_FAILED] = "canary failed",
	[CANARY_REFUSED] = "canary refused",
	[CLOSED] = "closed",
	[UNWANTED] = "unwanted",
};

static const struct event events[WHAT_COUNT] = {
	[ANSWERED] = {.kind = EVENT_POSTGRES_ANSWERED},
	[ANSWERED_READ_ONLY] = {.kind = EVENT_POSTGRES_ANSWERED, .postgres = {.read_only = true}},
	[FAILED] = {.kind = EVENT_POSTGRES_FAILED, .postgres = {.reason = POSTGRES_REASON_UNREACHABLE}},
	[REFUSED] = {.kind = EVENT_POSTGRES_FAILED,
		.postgres = {.reason = POSTGRES_REASON_UNAUTHORIZED, .permanent = true}},
	[LOST] = {.kind = EVENT_POSTGRES_LOST},
	[CANARY_ANSWERED] = {.kind = EVENT_POSTGRES_ANSWERED, .postgres = {.canary = true}},
	[CANARY_FAILED] = {.kind = EVENT_POSTGRES_FAILED,
		.postgres = {.canary = true, .reason = POSTGRES_REASON_REFUSING}},
	[CANARY_REFUSED] = {.kind = EVENT_POSTGRES_FAILED,
		.postgres = {.canary = true, .reason = POSTGRES_REASON_UNAUTHORIZED, .permanent = true}},
	[CLOSED] = {.kind = EVENT_POSTGRES_CLOSED},
};

static void plan(struct stage *s)
{
	plan_clear(&s->around.plan);
	database_plan(&s->database, s->wanted, &s->around.next_run, &s->around.turn);
}

static void happens(struct stage *s, enum what what)
{
	struct event e = events[what];
	e.run = e.postgres.canary ? s->database.canary_run : s->database.run;
	if (what == UNWANTED)
		s->wanted = false;
	else if (e.run)
		database_apply(&s->database, &e, &s->around.turn);
	plan(s);
}

/* ---- into each state, by its own events ---- */

/* Until both a check and a canary are under way; without a session there is no canary. */
static void wait_for_checks(struct stage *s)
{
	plan(s);
	for (int i = 0; i < 100 && s->around.plan.wake_at != CLOCK_NEVER; i++) {
		s->around.turn.now = s->around.plan.wake_at;
		plan(s);
	}
}

static void is_unknown(struct stage *s)
{
	wait_for_checks(s);
}

static void is_up(struct stage *s)
{
	plan(s);
	happens(s, ANSWERED);
	wait_for_checks(s);
}

static void is_degraded(struct stage *s)
{
	plan(s);
	happens(s, ANSWERED_READ_ONLY);
	wait_for_checks(s);
}

static void is_down(struct stage *s)
{
	is_up(s);
	happens(s, FAILED);
	wait_for_checks(s);
}

static void is_misconfigured(struct stage *s)
{
	plan(s);
	happens(s, REFUSED);
	wait_for_checks(s);
}

static void (*const ways[DATABASE_STATE_COUNT])(struct stage *) = {
	[DATABASE_UNKNOWN] = is_unknown,
	[DATABASE_UP] = is_up,
	[DATABASE_DEGRADED] = is_degraded,
	[DATABASE_DOWN] = is_down,
	[DATABASE_MISCONFIGURED] = is_misconfigured,
};

static void set_stage(struct stage *s, enum database_state state)
{
	*s = (struct stage){.wanted = true};
	around_set(&s->around);
	database_init(&s->database, &config, 0, 1000);
	ways[state](s);
	plan(s);
	assert_string_equal(database_state_name(s->database.state), database_state_name(state));
	assert_true(s->database.check_in_flight);
	assert_int_equal(s->around.plan.count, 0);
}

/* ---- the table ---- */

#define IS(state)         LEADS(DATABASE_##state, NOTHING)
#define TO(state, effect) LEADS(DATABASE_##state, EFFECT_POSTGRES_##effect)

/* In each state a check is under way, and with a session a canary. */
static const struct cell table[DATABASE_STATE_COUNT][WHAT_COUNT] = {
	[DATABASE_UNKNOWN] = /* however often it fails: it may still be starting */
	{
		[ANSWERED] = IS(UP),
		[ANSWERED_READ_ONLY] = IS(DEGRADED),
		[REFUSED] = IS(MISCONFIGURED),
		[CLOSED] = TO(UNKNOWN, CHECK),
		[UNWANTED] = TO(UNKNOWN, CLOSE),
	},
	[DATABASE_UP] =
		{
			[ANSWERED_READ_ONLY] = IS(DEGRADED),
			[FAILED] = IS(DOWN),
			[REFUSED] = IS(MISCONFIGURED),
			[CANARY_FAILED] = IS(DEGRADED),
			[CANARY_REFUSED] = IS(DEGRADED), /* the kept session works */
			[CLOSED] = TO(UP, CHECK),
			[UNWANTED] = TO(UP, CLOSE),
		},
	[DATABASE_DEGRADED] =
		{
			[ANSWERED] = IS(UP),
			[FAILED] = IS(DOWN),
			[REFUSED] = IS(MISCONFIGURED),
			[CLOSED] = TO(DEGRADED, CHECK),
			[UNWANTED] = TO(DEGRADED, CLOSE),
		},
	[DATABASE_DOWN] =
		{
			[ANSWERED] = IS(UP),
			[ANSWERED_READ_ONLY] = IS(DEGRADED),
			[REFUSED] = IS(MISCONFIGURED),
			[CLOSED] = TO(DOWN, CHECK),
			[UNWANTED] = TO(DOWN, CLOSE),
		},
	[DATABASE_MISCONFIGURED] =
		{
			[ANSWERED] = IS(UP),
			[ANSWERED_READ_ONLY] = IS(DEGRADED),
			[FAILED] = IS(UNKNOWN), /* it was never up */
			[CLOSED] = TO(MISCONFIGURED, CHECK),
			[UNWANTED] = TO(MISCONFIGURED, CLOSE),
		},
};

static const char *name_of(int state)
{
	return database_state_name((enum database_state)state);
}

static bool is_right(int state, int what)
{
	struct stage s;
	set_stage(&s, (enum database_state)state);
	happens(&s, (enum what)what);
	bool right = cell_is_right(&table[state][what], &s.around, state, (int)s.database.state, name_of,
		name_of(state), what_names[what]);
	plan_fini(&s.around.plan);
	return right;
}

static void every_happening_in_every_state_leads_where_the_table_says(void **state)
{
	(void)state;
	assert_table(DATABASE_STATE_COUNT, WHAT_COUNT, is_right);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_happening_in_every_state_leads_where_the_table_says),
	};
	return cmocka_run_group_tests_name("database matrix", tests, NULL, NULL);
}
