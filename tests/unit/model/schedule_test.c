#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "podvisor/model/schedule.h"

#define MINUTE  ((ms_t)60 * 1000)
#define HOUR    (60 * MINUTE)
#define MORNING INT64_C(1775001600000) /* 2026-04-01T00:00:00Z */
#define BOOTED  ((ms_t)1000)

struct bench {
	struct config_worker config;
	struct schedule schedule;
	struct random random;
	struct journal journal;
	struct plan plan;
	struct turn turn;
	bool replace; /* what the last turn said */
};

static int set_up(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	plan_init(&b->plan);
	b->turn = (struct turn){
		.now = BOOTED, .wall_ms = MORNING, .random = &b->random, .journal = &b->journal, .plan = &b->plan};
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;
	plan_fini(&b->plan);
	free(b);
	return 0;
}

static void turn(struct bench *b, bool busy)
{
	plan_clear(&b->plan);
	b->replace = schedule_turn(&b->schedule, &b->config, "job", busy, &b->turn);
	assert_int_equal(b->plan.count, 0);
	assert_true(b->plan.wake_at > b->turn.now);
	assert_true(b->plan.wake_at <= b->turn.now + SCHEDULE_LOOK_MS);
	/* The same turn again changes nothing. */
	struct schedule before = b->schedule;
	ms_t wake_at = b->plan.wake_at;
	plan_clear(&b->plan);
	assert_false(schedule_turn(&b->schedule, &b->config, "job", busy, &b->turn));
	assert_memory_equal(&before, &b->schedule, sizeof(before));
	assert_true(b->plan.wake_at == wake_at);
}

static void pass(struct bench *b, ms_t span)
{
	b->turn.now += span;
	b->turn.wall_ms += span;
}

static void with_cron(struct bench *b, const char *text)
{
	struct err err;
	b->config.schedule = (char *)(uintptr_t)text;
	assert_int_equal(cron_parse(text, &b->config.cron, &err), 0);
	turn(b, false);
	assert_false(b->schedule.owed);
}

static void with_interval(struct bench *b, ms_t every)
{
	b->config.every = every;
	turn(b, false);
	assert_false(b->schedule.owed);
}

static void begin(struct bench *b)
{
	assert_true(b->schedule.owed);
	schedule_began(&b->schedule, &b->config, &b->turn);
}

static uint64_t all_missed(const struct schedule *s)
{
	uint64_t n = 0;
	for (int i = 0; i < MISSED_COUNT; i++)
		n += s->missed[i];
	return n;
}

static const char *told(const struct bench *b)
{
	const struct journal_entry *e = journal_get(&b->journal, b->journal.last_seq);
	return e ? e->text : "";
}

/* ---- intervals ---- */

static void an_interval_counts_from_the_first_turn_and_then_from_each_start(void **state)
{
	struct bench *b = *state;
	with_interval(b, 10 * MINUTE);
	assert_int_equal(b->schedule.next_ms, MORNING + 10 * MINUTE);
	pass(b, 10 * MINUTE - 1);
	turn(b, false);
	assert_false(b->schedule.owed);
	pass(b, 1);
	turn(b, false);
	pass(b, 3 * MINUTE); /* something kept it from beginning */
	begin(b);
	assert_int_equal(b->schedule.next_ms, MORNING + 23 * MINUTE);
	schedule_over(&b->schedule);
	pass(b, 10 * MINUTE - 1);
	turn(b, false);
	assert_false(b->schedule.owed);
	pass(b, 1);
	turn(b, false);
	assert_true(b->schedule.owed);
	assert_int_equal(all_missed(&b->schedule), 0);
}

static void an_interval_does_not_care_for_the_wall_clock(void **state)
{
	struct bench *b = *state;
	with_interval(b, 10 * MINUTE);
	b->turn.wall_ms += 1000 * HOUR;
	turn(b, false);
	assert_false(b->schedule.owed);
	assert_int_equal(b->schedule.next_ms, MORNING + 1000 * HOUR + 10 * MINUTE); /* but shows what it will say */
	b->turn.wall_ms -= 2000 * HOUR;
	pass(b, 10 * MINUTE);
	turn(b, false);
	assert_true(b->schedule.owed);
	assert_int_equal(b->schedule.slots, 1);
}

static void intervals_that_passed_while_the_machine_stood_still_are_one_run(void **state)
{
	struct bench *b = *state;
	with_interval(b, 10 * MINUTE);
	pass(b, 65 * MINUTE);
	turn(b, false);
	assert_int_equal(b->schedule.slots, 6);
	assert_int_equal(b->schedule.missed[MISSED_LATE], 5);
	assert_string_equal(told(b), "5 runs passed together with a later one: it runs once for all");
	begin(b);
	assert_int_equal(b->schedule.due, b->turn.now + 10 * MINUTE);
}

/* ---- expressions ---- */

static void a_time_has_its_turn_when_the_clock_says_so(void **state)
{
	struct bench *b = *state;
	with_cron(b, "30 2 * * *");
	assert_int_equal(b->schedule.next_ms, MORNING + 150 * MINUTE);
	pass(b, 150 * MINUTE - 1);
	turn(b, false);
	assert_false(b->schedule.owed);
	assert_int_equal(b->plan.wake_at, b->turn.now + 1);
	pass(b, 1);
	turn(b, false);
	assert_true(b->schedule.owed);
	assert_int_equal(b->schedule.next_ms, MORNING + 150 * MINUTE + 24 * HOUR);
}

static void a_time_at_which_podvisor_starts_is_over(void **state)
{
	struct bench *b = *state;
	b->turn.wall_ms += 400; /* of the second that the time is in */
	with_cron(b, "0 0 * * *");
	assert_int_equal(b->schedule.next_ms, MORNING + 24 * HOUR);
}

static void times_go_by_the_zone(void **state)
{
	struct bench *b = *state;
	/* An hour ahead of UTC, by a file of the first version. */
	static const unsigned char file[51] = {'T', 'Z', 'i', 'f', [39] = 1, [43] = 1, [46] = 0x0e, [47] = 0x10};
	struct err err;
	b->config.zone = tzif_parse(file, sizeof(file), &err);
	assert_non_null(b->config.zone);
	with_cron(b, "30 2 * * *");
	assert_int_equal(b->schedule.next_ms, MORNING + 90 * MINUTE);
	tzif_free(b->config.zone);
}

static void a_clock_that_is_set_back_gives_no_time_a_second_turn(void **state)
{
	struct bench *b = *state;
	with_cron(b, "*/10 * * * *");
	pass(b, 61 * MINUTE);
	turn(b, false);
	begin(b);
	schedule_over(&b->schedule);
	uint64_t slots = b->schedule.slots;
	assert_int_equal(slots, 6);
	b->turn.wall_ms -= 31 * MINUTE; /* 0:30 again */
	for (int i = 0; i < 39; i++) {
		turn(b, false);
		assert_false(b->schedule.owed);
		pass(b, MINUTE);
	}
	pass(b, MINUTE);
	turn(b, false);
	assert_true(b->schedule.owed);
	assert_int_equal(b->schedule.slots, slots + 1);
}

static void a_clock_that_was_wrong_by_years_does_not_stop_the_schedule_for_years(void **state)
{
	struct bench *b = *state;
	with_cron(b, "*/10 * * * *");
	b->turn.wall_ms += 100000 * HOUR;
	turn(b, false);
	assert_true(b->schedule.owed);
	assert_int_equal(b->schedule.missed[MISSED_LATE], 999); /* it counts no further */
	schedule_over(&b->schedule);
	b->turn.wall_ms -= 100000 * HOUR;
	turn(b, false);
	assert_false(b->schedule.owed);
	assert_string_equal(told(b), "the clock was set back by 360000000 s: its schedule begins anew");
	assert_int_equal(b->schedule.next_ms, MORNING + 10 * MINUTE);
}

static void a_daily_time_has_no_second_turn_although_the_clock_is_set_back_by_hours(void **state)
{
	struct bench *b = *state;
	with_cron(b, "0 1 * * *");
	pass(b, HOUR);
	turn(b, false);
	begin(b);
	schedule_over(&b->schedule);
	b->turn.wall_ms -= 20 * HOUR;
	turn(b, false);
	assert_int_equal(b->schedule.next_ms, MORNING + 25 * HOUR);
	b->turn.wall_ms -= 5 * HOUR; /* more than lies between two times */
	turn(b, false);
	assert_int_equal(b->schedule.next_ms, MORNING - 24 * HOUR + HOUR);
}

static void times_that_the_clock_leaps_over_are_one_run(void **state)
{
	struct bench *b = *state;
	with_cron(b, "0 * * * *");
	pass(b, 30 * MINUTE);
	b->turn.wall_ms += 3 * HOUR;
	turn(b, false);
	assert_true(b->schedule.owed);
	assert_int_equal(b->schedule.slots, 3);
	assert_int_equal(b->schedule.missed[MISSED_LATE], 2);
	assert_int_equal(b->schedule.next_ms, MORNING + 4 * HOUR);
}

/* Any clock that errs within three hours: each time has one turn at most, and none is passed over for good. */
static void whatever_the_clock_does_each_time_has_one_turn(void **state)
{
	struct bench *b = *state;
	int64_t furthest = MORNING / MINUTE;
	struct random random = {.state = 3};
	with_cron(b, "* * * * *");
	for (int i = 0; i < 20000; i++) {
		pass(b, (ms_t)random_below(&random, (uint64_t)(2 * MINUTE)));
		if (random_below(&random, 20) == 0) {
			int64_t error = (int64_t)random_below(&random, (uint64_t)(3 * HOUR));
			b->turn.wall_ms = MORNING + (b->turn.now - BOOTED) + error;
		}
		uint64_t slots = b->schedule.slots;
		turn(b, false);
		int64_t minute = b->turn.wall_ms / MINUTE, fresh = minute > furthest ? minute - furthest : 0;
		assert_int_equal(b->schedule.slots - slots, fresh);
		assert_int_equal(b->schedule.owed, fresh > 0);
		furthest += fresh;
		schedule_over(&b->schedule);
	}
}

/* ---- one while the other goes on ---- */

static void come_again(struct bench *b, bool busy)
{
	pass(b, 10 * MINUTE);
	turn(b, busy);
}

static void due_with(struct bench *b, enum job_overlap overlap)
{
	b->config.overlap = overlap;
	with_cron(b, "*/10 * * * *");
	come_again(b, false);
	begin(b);
}

static void skip_leaves_out_what_comes_while_a_run_goes_on(void **state)
{
	struct bench *b = *state;
	due_with(b, JOB_OVERLAP_SKIP);
	come_again(b, true);
	assert_false(b->replace);
	assert_int_equal(b->schedule.missed[MISSED_OVERLAP], 1);
	assert_string_equal(told(b), "1 run left out: the run before still goes on");
	schedule_over(&b->schedule);
	assert_false(b->schedule.owed);
	come_again(b, false);
	assert_true(b->schedule.owed);
}

static void what_is_missed_again_and_again_is_counted_but_told_once_a_minute(void **state)
{
	struct bench *b = *state;
	with_interval(b, 100);
	pass(b, 100);
	turn(b, false);
	begin(b);
	uint64_t before = b->journal.last_seq;
	for (int i = 0; i < 601; i++) {
		pass(b, 100);
		turn(b, true);
	}
	assert_int_equal(b->schedule.missed[MISSED_OVERLAP], 601);
	assert_int_equal(b->journal.last_seq - before, 2);
	assert_string_equal(told(b), "600 runs left out: the run before still goes on");
}

static void queue_lets_one_wait_and_no_more(void **state)
{
	struct bench *b = *state;
	due_with(b, JOB_OVERLAP_QUEUE);
	come_again(b, true);
	assert_string_equal(told(b), "a run waits until the run before is over");
	assert_int_equal(all_missed(&b->schedule), 0);
	come_again(b, true);
	come_again(b, true);
	assert_int_equal(b->schedule.missed[MISSED_OVERLAP], 2);
	schedule_over(&b->schedule);
	begin(b);
	schedule_over(&b->schedule);
	assert_false(b->schedule.owed);
}

static void replace_asks_for_the_end_of_the_run_before(void **state)
{
	struct bench *b = *state;
	due_with(b, JOB_OVERLAP_REPLACE);
	come_again(b, true);
	assert_true(b->replace);
	come_again(b, true); /* it takes long to stop */
	assert_true(b->replace);
	assert_int_equal(b->schedule.missed[MISSED_OVERLAP], 1);
	schedule_over(&b->schedule);
	begin(b);
	assert_false(b->schedule.queued);
	schedule_over(&b->schedule);
	assert_false(b->schedule.owed);
}

static void at_most_one_run_waits_for_what_it_depends_on(void **state)
{
	struct bench *b = *state;
	b->config.overlap = JOB_OVERLAP_QUEUE;
	with_cron(b, "*/10 * * * *");
	come_again(b, false);
	come_again(b, false);
	come_again(b, false);
	assert_true(b->schedule.owed);
	assert_false(b->schedule.queued);
	assert_int_equal(b->schedule.missed[MISSED_WAITING], 2);
	assert_string_equal(told(b), "1 run left out: a run waits already for what it depends on");
}

static void a_result_stays_until_the_next_one(void **state)
{
	struct bench *b = *state;
	due_with(b, JOB_OVERLAP_SKIP);
	schedule_note(&b->schedule, JOB_SUCCEEDED, b->turn.now);
	ms_t then = b->turn.now;
	assert_int_equal(b->schedule.result, JOB_SUCCEEDED);
	schedule_note(&b->schedule, JOB_NONE, 2 * then);
	assert_int_equal(b->schedule.result, JOB_SUCCEEDED);
	schedule_note(&b->schedule, JOB_FAILED, 3 * then);
	assert_int_equal(b->schedule.result, JOB_FAILED);
	assert_int_equal(b->schedule.succeeded_at, then);
}

/* ---- asked, stopped, configured anew ---- */

static void a_run_that_is_asked_for_is_no_time_of_its_own(void **state)
{
	struct bench *b = *state;
	with_cron(b, "0 * * * *");
	schedule_ask(&b->schedule);
	begin(b);
	assert_int_equal(b->schedule.slots, 0);
	assert_int_equal(b->schedule.next_ms, MORNING + HOUR);
}

static void at_rest_no_time_comes_and_none_comes_again(void **state)
{
	struct bench *b = *state;
	due_with(b, JOB_OVERLAP_QUEUE);
	come_again(b, true);
	schedule_rest(&b->schedule);
	assert_false(b->schedule.owed || b->schedule.queued);
	pass(b, 60 * MINUTE);
	b->turn.wall_ms -= 61 * MINUTE; /* before the last that had its turn */
	turn(b, false);
	assert_false(b->schedule.owed);
	assert_int_equal(b->schedule.next_ms, MORNING + 30 * MINUTE);
}

static void another_schedule_takes_effect_at_once_without_a_run(void **state)
{
	struct bench *b = *state;
	with_cron(b, "0 3 * * *");
	struct config_worker old = b->config;
	struct err err;
	pass(b, HOUR);
	b->config.schedule = (char *)(uintptr_t) "30 * * * *";
	assert_int_equal(cron_parse(b->config.schedule, &b->config.cron, &err), 0);
	schedule_reconfigure(&b->schedule, &old, &b->config);
	turn(b, false);
	assert_false(b->schedule.owed);
	assert_int_equal(b->schedule.next_ms, MORNING + 90 * MINUTE);
	old = b->config;
	b->config.schedule = NULL;
	b->config.every = 5 * MINUTE;
	schedule_reconfigure(&b->schedule, &old, &b->config);
	turn(b, false);
	assert_false(b->schedule.owed);
	assert_int_equal(b->schedule.due, b->turn.now + 5 * MINUTE);
	pass(b, MINUTE);
	old = b->config;
	old.overlap = JOB_OVERLAP_REPLACE;
	schedule_reconfigure(&b->schedule, &old, &b->config);
	turn(b, false);
	assert_int_equal(b->schedule.due, b->turn.now + 4 * MINUTE);
}

static void reasons_have_the_names_of_the_metric(void **state)
{
	(void)state;
	assert_string_equal(missed_name(MISSED_OVERLAP), "overlap");
	assert_string_equal(missed_name(MISSED_WAITING), "waiting");
	assert_string_equal(missed_name(MISSED_LATE), "late");
	assert_string_equal(missed_name(MISSED_COUNT), "unknown");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_interval_counts_from_the_first_turn_and_then_from_each_start),
		TEST(an_interval_does_not_care_for_the_wall_clock),
		TEST(intervals_that_passed_while_the_machine_stood_still_are_one_run),
		TEST(a_time_has_its_turn_when_the_clock_says_so),
		TEST(a_time_at_which_podvisor_starts_is_over),
		TEST(times_go_by_the_zone),
		TEST(a_clock_that_is_set_back_gives_no_time_a_second_turn),
		TEST(a_clock_that_was_wrong_by_years_does_not_stop_the_schedule_for_years),
		TEST(a_daily_time_has_no_second_turn_although_the_clock_is_set_back_by_hours),
		TEST(times_that_the_clock_leaps_over_are_one_run),
		TEST(whatever_the_clock_does_each_time_has_one_turn),
		TEST(skip_leaves_out_what_comes_while_a_run_goes_on),
		TEST(what_is_missed_again_and_again_is_counted_but_told_once_a_minute),
		TEST(queue_lets_one_wait_and_no_more),
		TEST(replace_asks_for_the_end_of_the_run_before),
		TEST(at_most_one_run_waits_for_what_it_depends_on),
		TEST(a_result_stays_until_the_next_one),
		TEST(a_run_that_is_asked_for_is_no_time_of_its_own),
		TEST(at_rest_no_time_comes_and_none_comes_again),
		TEST(another_schedule_takes_effect_at_once_without_a_run),
		TEST(reasons_have_the_names_of_the_metric),
	};
	return cmocka_run_group_tests_name("schedule", tests, NULL, NULL);
}
