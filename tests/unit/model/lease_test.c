/* Single cases of a lease that the matrix does not tell: when exactly it may be taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "podvisor/model/lease.h"

#define BEGAN 100000

static const struct lease_settings settings = {
	.ttl = 15000, .renew = 3000, .attempt = 2000, .drain_at = 9000, .kill_at = 12000, .me = "pod/2"};

struct stage {
	struct lease lease;
	struct lease_epoch epoch;
	struct random random;
	struct journal journal;
	struct plan plan;
	struct turn turn;
	struct lease_orders orders;
};

static void plan(struct stage *s)
{
	plan_clear(&s->plan);
	struct lease_orders o = lease_plan(&s->lease, (struct lease_wish){.wanted = true}, &s->turn);
	if (o.request)
		s->orders = o;
}

static void set_stage(struct stage *s)
{
	*s = (struct stage){.random = {.state = 1}};
	plan_init(&s->plan);
	s->turn = (struct turn){.now = BEGAN, .random = &s->random, .journal = &s->journal, .plan = &s->plan};
	lease_init(&s->lease, &settings, &s->epoch, "indexer", BEGAN);
	plan(s);
}

/* An observation of that time, answered with the row so much later. */
static void sees_of(struct stage *s, ms_t at, ms_t took, struct lease_row row, uint64_t system, int64_t timeline)
{
	s->turn.now = at;
	plan(s);
	assert_int_equal(s->lease.request, LEASE_OBSERVE);
	s->turn.now = at + took;
	struct lease_event e = {.kind = LEASE_ANSWERED,
		.id = s->lease.id,
		.sent = at,
		.received = at + took,
		.system = system,
		.timeline = timeline,
		.row = row};
	lease_apply(&s->lease, &e, &s->turn);
	plan(s);
}

static void sees_late(struct stage *s, ms_t at, ms_t took, struct lease_row row, int64_t timeline)
{
	sees_of(s, at, took, row, 1, timeline);
}

static void sees(struct stage *s, ms_t at, struct lease_row row, int64_t timeline)
{
	sees_late(s, at, 0, row, timeline);
}

static enum lease_state state_at(struct stage *s, ms_t at)
{
	s->turn.now = at;
	plan(s);
	return s->lease.state;
}

static const struct lease_row held = {.token = 2, .seq = 2, .timeline = 1, .holder = "other/1"};

static void a_row_that_stands_still_for_a_whole_term_is_taken_then_and_not_before(void **state)
{
	struct stage s;
	(void)state;
	set_stage(&s);
	sees(&s, BEGAN, held, 1);
	assert_int_equal(state_at(&s, BEGAN + 4000), LEASE_STANDBY);
	sees(&s, BEGAN + 4000, held, 1);
	sees(&s, BEGAN + 14000, held, 1);
	assert_int_equal(state_at(&s, BEGAN + 14999), LEASE_STANDBY);
	assert_int_equal(state_at(&s, BEGAN + 15000), LEASE_TAKING);
	plan_fini(&s.plan);
}

/* tests/spin found it: on timeline 2 the same counter was granted to the same replica again, while this one looked
 * away. */
static void a_grant_that_repeats_the_counter_of_a_lost_one_is_waited_for_anew(void **state)
{
	struct stage s;
	struct lease_row again = held;
	(void)state;
	again.timeline = 2;
	set_stage(&s);
	sees(&s, BEGAN, held, 1);
	sees_late(&s, BEGAN + 14000, 1900, again, 2);
	assert_int_equal(s.lease.state, LEASE_STANDBY);
	assert_int_equal(state_at(&s, BEGAN + 17500), LEASE_STANDBY);
	plan_fini(&s.plan);
}

static void what_was_never_granted_waits_a_term_after_the_first_sight(void **state)
{
	struct stage s;
	(void)state;
	set_stage(&s);
	sees(&s, BEGAN, (struct lease_row){0}, 1);
	assert_int_equal(s.lease.state, LEASE_STANDBY);
	sees(&s, BEGAN + 14000, (struct lease_row){0}, 1);
	assert_int_equal(state_at(&s, BEGAN + 14999), LEASE_STANDBY);
	assert_int_equal(state_at(&s, BEGAN + 15000), LEASE_TAKING);
	plan_fini(&s.plan);
}

/* Its holder, whose term began before, may still be at work. */
static void an_object_that_takes_the_place_of_another_is_waited_for_a_term(void **state)
{
	struct stage s;
	struct lease_row anew = {.token = 9, .seq = 2};
	(void)state;
	set_stage(&s);
	s.epoch.follows = true;
	sees_of(&s, BEGAN, 0, held, 1, 1);
	sees_of(&s, BEGAN + 4000, 0, anew, 2, 1);
	sees_of(&s, BEGAN + 18000, 0, anew, 2, 1);
	assert_int_equal(state_at(&s, BEGAN + 18999), LEASE_STANDBY);
	assert_int_equal(state_at(&s, BEGAN + 19000), LEASE_TAKING);
	assert_int_equal(s.orders.request, LEASE_ACQUIRE);
	assert_int_equal(s.orders.system, 2);
	plan_fini(&s.plan);
}

/* Of a database, its tokens mean nothing. */
static void a_database_that_takes_the_place_of_another_is_refused(void **state)
{
	struct stage s;
	struct lease_row free = held;
	(void)state;
	set_stage(&s);
	free.holder[0] = '\0';
	sees_of(&s, BEGAN, 0, held, 1, 1);
	sees_of(&s, BEGAN + 4000, 0, free, 2, 1);
	assert_int_equal(s.lease.state, LEASE_STANDBY);
	assert_string_equal(s.lease.seen.holder, "other/1");
	assert_int_equal(s.epoch.system, 1);
	plan_fini(&s.plan);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_row_that_stands_still_for_a_whole_term_is_taken_then_and_not_before),
		cmocka_unit_test(a_grant_that_repeats_the_counter_of_a_lost_one_is_waited_for_anew),
		cmocka_unit_test(what_was_never_granted_waits_a_term_after_the_first_sight),
		cmocka_unit_test(an_object_that_takes_the_place_of_another_is_waited_for_a_term),
		cmocka_unit_test(a_database_that_takes_the_place_of_another_is_refused),
	};
	return cmocka_run_group_tests_name("lease", tests, NULL, NULL);
}
