/* Every state of a lease against everything that can happen to it: where it stands after the
 * next plan, and what is asked of the backend. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "podvisor/model/lease.h"

static const struct lease_settings settings = {
	.ttl = 15000, .renew = 3000, .attempt = 2000, .drain_at = 9000, .kill_at = 12000, .me = "pod/backend/2"};

struct stage {
	struct lease lease;
	struct lease_epoch epoch;
	struct random random;
	struct journal journal;
	struct plan plan;
	struct turn turn;
	struct lease_wish wish;
	struct lease_orders orders; /* the newest that asked for something */
	bool asked; /* in the newest plan */
};

enum what {
	ANSWERED, /* to what is under way; in standby: held by another */
	DENIED,
	FAILED,
	FOREIGN, /* answered, by another database */
	OLD, /* answered, by the primary of a timeline that is over */
	LATE, /* answered, after the attempt was over */
	STRANGE, /* answered, to a request that was given up */
	HINTED,
	HINTED_FOR_ANOTHER,
	ATTEMPT_PASSES,
	DRAIN_AT_PASSES,
	KILL_AT_PASSES,
	TTL_PASSES,
	UNWANTED,
	WANTED,
	TREE_GONE,
	WHAT_COUNT
};

static const char *const what_names[WHAT_COUNT] = {
	[ANSWERED] = "answered",
	[DENIED] = "denied",
	[FAILED] = "failed",
	[FOREIGN] = "foreign",
	[OLD] = "old",
	[LATE] = "late",
	[STRANGE] = "strange",
	[HINTED] = "hinted",
	[HINTED_FOR_ANOTHER] = "hinted for another",
	[ATTEMPT_PASSES] = "attempt passes",
	[DRAIN_AT_PASSES] = "drain_at passes",
	[KILL_AT_PASSES] = "kill_at passes",
	[TTL_PASSES] = "ttl passes",
	[UNWANTED] = "unwanted",
	[WANTED] = "wanted",
	[TREE_GONE] = "tree gone",
};

static void plan(struct stage *s)
{
	plan_clear(&s->plan);
	struct lease_orders o = lease_plan(&s->lease, s->wish, &s->turn);
	s->asked = o.request != LEASE_NOTHING;
	if (s->asked)
		s->orders = o;
}

static struct lease_event answer(struct stage *s, enum lease_event_kind kind)
{
	struct lease_event e = {.kind = kind,
		.id = s->orders.id,
		.sent = s->turn.now,
		.received = s->turn.now,
		.system = 1,
		.timeline = 1,
		.row = {.token = 1, .seq = 1, .timeline = 1, .holder = "other/backend/1"}};
	if (s->orders.request == LEASE_ACQUIRE || s->orders.request == LEASE_RENEW)
		e.row = (struct lease_row){.token = 2, .seq = 2, .timeline = 1, .holder = "pod/backend/2"};
	return e;
}

static void tell(struct stage *s, struct lease_event e)
{
	lease_apply(&s->lease, &e, &s->turn);
	plan(s);
}

static void pass(struct stage *s, ms_t span)
{
	s->turn.now += span;
	plan(s);
}

/* ---- into each state, by its own events: with a request under way wherever there can be one ---- */

static void is_off(struct stage *s)
{
	s->wish.wanted = false;
	plan(s);
}

static void is_standby(struct stage *s)
{
	plan(s);
	tell(s, answer(s, LEASE_ANSWERED));
	pass(s, 3300);
}

static void is_taking(struct stage *s)
{
	plan(s);
	struct lease_event e = answer(s, LEASE_ANSWERED);
	e.row.holder[0] = '\0';
	tell(s, e);
}

static void is_held(struct stage *s)
{
	is_taking(s);
	tell(s, answer(s, LEASE_ANSWERED));
	s->wish.tree = true;
	pass(s, 3300);
}

static void is_draining(struct stage *s)
{
	is_held(s);
	s->wish.wanted = false;
	plan(s);
}

static void is_killing(struct stage *s)
{
	is_held(s);
	tell(s, answer(s, LEASE_DENIED));
}

static void is_releasing(struct stage *s)
{
	is_draining(s);
	s->wish.tree = false;
	plan(s);
}

static void (*const ways[LEASE_STATE_COUNT])(struct stage *) = {
	[LEASE_OFF] = is_off,
	[LEASE_STANDBY] = is_standby,
	[LEASE_TAKING] = is_taking,
	[LEASE_HELD] = is_held,
	[LEASE_DRAINING] = is_draining,
	[LEASE_KILLING] = is_killing,
	[LEASE_RELEASING] = is_releasing,
};

static void set_stage(struct stage *s, enum lease_state state)
{
	*s = (struct stage){.random = {.state = 1}, .wish = {.wanted = true}};
	plan_init(&s->plan);
	s->turn = (struct turn){.now = 100000, .random = &s->random, .journal = &s->journal, .plan = &s->plan};
	lease_init(&s->lease, &settings, &s->epoch, "indexer", s->turn.now);
	ways[state](s);
	if (s->lease.state != state)
		print_error("%s instead of %s\n", lease_state_name(s->lease.state), lease_state_name(state));
	assert_int_equal(s->lease.state, state);
}

static void happens(struct stage *s, enum what what)
{
	struct lease_event e = answer(s, what == DENIED   ? LEASE_DENIED
					 : what == FAILED ? LEASE_FAILED
							  : LEASE_ANSWERED);
	static const ms_t spans[WHAT_COUNT] = {
		[ATTEMPT_PASSES] = 2000, [DRAIN_AT_PASSES] = 6000, [KILL_AT_PASSES] = 9000, [TTL_PASSES] = 15000};
	if (what == FOREIGN)
		e.system = 2;
	else if (what == OLD)
		s->epoch.timeline = 2;
	else if (what == LATE)
		e.sent -= 2001;
	else if (what == STRANGE)
		e.id--;
	else if (what == HINTED || what == HINTED_FOR_ANOTHER)
		e = (struct lease_event){
			.kind = LEASE_HINTED, .row = {.token = 1, .seq = 2}, .preferred = what == HINTED};
	if (what <= HINTED_FOR_ANOTHER)
		lease_apply(&s->lease, &e, &s->turn);
	s->turn.now += spans[what];
	if (what == UNWANTED || what == WANTED)
		s->wish.wanted = what == WANTED;
	if (what == TREE_GONE)
		s->wish.tree = false;
	plan(s);
}

/* ---- the table ---- */

struct cell {
	bool set; /* else: it stays, and nothing is asked */
	enum lease_state next;
	enum lease_request request;
};

#define IS(state)                                  \
	{                                          \
		true, LEASE_##state, LEASE_NOTHING \
	}
#define TO(state, request)                           \
	{                                            \
		true, LEASE_##state, LEASE_##request \
	}

static const struct cell table[LEASE_STATE_COUNT][WHAT_COUNT] = {
	[LEASE_OFF] =
		{
			[WANTED] = TO(STANDBY, OBSERVE),
		},
	[LEASE_STANDBY] = /* an observation is under way; who holds it is another */
	{
		[HINTED] = IS(STANDBY), /* once the observation is answered */
		[ATTEMPT_PASSES] = IS(STANDBY),
		[TTL_PASSES] = TO(TAKING, ACQUIRE),
		[UNWANTED] = IS(OFF),
	},
	[LEASE_TAKING] =
		{
			[ANSWERED] = IS(HELD),
			[DENIED] = TO(STANDBY, OBSERVE),
			[FAILED] = IS(STANDBY), /* a period later the row tells whether it was carried out */
			[FOREIGN] = IS(STANDBY),
			[OLD] = IS(STANDBY),
			[LATE] = IS(STANDBY),
			[ATTEMPT_PASSES] = IS(STANDBY),
			[DRAIN_AT_PASSES] = IS(STANDBY),
			[KILL_AT_PASSES] = IS(STANDBY),
			[TTL_PASSES] = IS(STANDBY),
		},
	[LEASE_HELD] =
		{
			[DENIED] = IS(KILLING),
			[DRAIN_AT_PASSES] = IS(DRAINING),
			[KILL_AT_PASSES] = IS(KILLING),
			[TTL_PASSES] = IS(KILLING),
			[UNWANTED] = IS(DRAINING),
		},
	[LEASE_DRAINING] =
		{
			[DENIED] = IS(KILLING),
			[KILL_AT_PASSES] = IS(KILLING),
			[TTL_PASSES] = IS(KILLING),
			[TREE_GONE] = TO(RELEASING, RELEASE),
		},
	[LEASE_KILLING] = /* it was lost, and is still wanted */
	{
		[TREE_GONE] = TO(STANDBY, OBSERVE),
	},
	[LEASE_RELEASING] =
		{
			[ANSWERED] = IS(OFF),
			[DENIED] = IS(OFF),
			[TTL_PASSES] = IS(OFF),
		},
};

static bool is_right(enum lease_state state, enum what what)
{
	struct stage s;
	set_stage(&s, state);
	happens(&s, what);
	struct cell cell = table[state][what];
	enum lease_state next = cell.set ? cell.next : state;
	enum lease_request request = s.asked ? s.orders.request : LEASE_NOTHING;
	bool right = s.lease.state == next && request == cell.request;
	if (!right)
		print_error("%s x %s: %s, %s; expected %s, %s\n", lease_state_name(state), what_names[what],
			lease_state_name(s.lease.state), lease_request_name(request), lease_state_name(next),
			lease_request_name(cell.request));
	plan_fini(&s.plan);
	return right;
}

static void every_happening_in_every_state_leads_where_the_table_says(void **state)
{
	(void)state;
	int wrong = 0;
	for (int from = 0; from < LEASE_STATE_COUNT; from++)
		for (int what = 0; what < WHAT_COUNT; what++)
			wrong += !is_right((enum lease_state)from, (enum what)what);
	assert_int_equal(wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_happening_in_every_state_leads_where_the_table_says),
	};
	return cmocka_run_group_tests_name("lease matrix", tests, NULL, NULL);
}
