#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "podvisor/model/progress.h"

static const struct config_progress by_notify = {
	.present = true, .notify = true, .stalled_after = 60000, .interval = 10000};
static const struct config_progress by_sql = {.present = true, .stalled_after = 60000, .interval = 10000};
static const struct config_progress by_age = {
	.present = true, .stalled_after = 60000, .max_age = 30000, .interval = 10000};

static char why[128];

static bool stalled(const struct progress *p, const struct config_progress *c, ms_t now)
{
	return progress_is_stalled(p, c, now, why, sizeof(why));
}

static void a_number_that_moves_is_never_stalled(void **state)
{
	(void)state;
	struct progress p;
	progress_start(&p, &by_notify, 1000);
	for (ms_t now = 1000; now < 600000; now += 59000) {
		assert_false(stalled(&p, &by_notify, now));
		assert_true(progress_told(&p, &by_notify, (double)now, now));
	}
}

static void a_number_that_stands_is_stalled_after_its_time_whatever_is_repeated(void **state)
{
	(void)state;
	struct progress p;
	progress_start(&p, &by_notify, 0);
	assert_true(progress_told(&p, &by_notify, 7, 5000));
	assert_false(progress_told(&p, &by_notify, 7, 60000));
	assert_int_equal(progress_next(&p, &by_notify), 65000);
	assert_false(stalled(&p, &by_notify, 64999));
	assert_true(stalled(&p, &by_notify, 65000));
	assert_string_equal(why, "its progress has stood at 7 for 1m");
}

static void a_number_that_goes_back_has_moved(void **state)
{
	(void)state;
	struct progress p;
	progress_start(&p, &by_notify, 0);
	progress_told(&p, &by_notify, 7, 0);
	assert_true(progress_told(&p, &by_notify, 3, 59000));
	assert_false(stalled(&p, &by_notify, 60000));
}

static void a_worker_that_tells_nothing_is_stalled_too(void **state)
{
	(void)state;
	struct progress p;
	progress_start(&p, &by_notify, 1000);
	assert_false(stalled(&p, &by_notify, 60999));
	assert_true(stalled(&p, &by_notify, 61000));
	assert_string_equal(why, "it has told no progress for 1m");
}

static void without_a_configuration_nothing_counts(void **state)
{
	(void)state;
	static const struct config_progress none;
	struct progress p;
	progress_start(&p, &none, 0);
	assert_false(progress_told(&p, &none, 1, 0));
	assert_false(progress_is_due(&p, 1000000));
	assert_false(stalled(&p, &none, 1000000));
	assert_int_equal(progress_next(&p, &none), CLOCK_NEVER);
}

static void a_query_is_due_at_once_and_then_at_every_interval_one_at_a_time(void **state)
{
	(void)state;
	struct progress p;
	progress_start(&p, &by_sql, 1000);
	assert_true(progress_is_due(&p, 1000));
	progress_sent(&p);
	assert_false(progress_is_due(&p, 50000));
	progress_told(&p, &by_sql, 1, 2000);
	assert_false(progress_is_due(&p, 11999));
	assert_true(progress_is_due(&p, 12000));
}

static void a_query_is_judged_at_its_answer_not_between(void **state)
{
	(void)state;
	struct progress p;
	progress_start(&p, &by_sql, 0);
	progress_told(&p, &by_sql, 5, 0);
	progress_told(&p, &by_sql, 5, 55000);
	assert_false(stalled(&p, &by_sql, 70000));
	progress_told(&p, &by_sql, 5, 65000);
	assert_true(stalled(&p, &by_sql, 65000));
}

static void time_in_which_the_query_fails_is_not_held_against_the_worker(void **state)
{
	(void)state;
	struct progress p;
	progress_start(&p, &by_sql, 0);
	progress_told(&p, &by_sql, 5, 0);
	progress_failed(&p, &by_sql, "postgres:main is down", 50000);
	assert_string_equal(p.trouble, "postgres:main is down");
	progress_told(&p, &by_sql, 5, 100000);
	assert_string_equal(p.trouble, "");
	assert_false(stalled(&p, &by_sql, 100000));
	progress_told(&p, &by_sql, 5, 110000);
	assert_true(stalled(&p, &by_sql, 110000));
}

static void a_query_without_an_answer_yet_stands_still_too(void **state)
{
	(void)state;
	struct progress p;
	progress_start(&p, &by_sql, 0);
	assert_true(progress_told(&p, &by_sql, NAN, 0));
	assert_false(progress_told(&p, &by_sql, NAN, 60000));
	assert_true(stalled(&p, &by_sql, 60000));
	assert_string_equal(why, "its progress has been null for 1m");
	assert_true(progress_told(&p, &by_sql, 0, 61000));
}

static void an_age_may_be_anything_below_its_limit(void **state)
{
	(void)state;
	struct progress p;
	progress_start(&p, &by_age, 0);
	for (ms_t now = 0; now <= 300000; now += 10000)
		progress_told(&p, &by_age, 29.5, now);
	assert_false(stalled(&p, &by_age, 300000));
}

static void an_age_beyond_its_limit_for_long_enough_is_stalled(void **state)
{
	(void)state;
	struct progress p;
	progress_start(&p, &by_age, 0);
	progress_told(&p, &by_age, 4000, 0);
	progress_told(&p, &by_age, 4050, 50000);
	assert_false(stalled(&p, &by_age, 50000));
	progress_told(&p, &by_age, 4060, 60000);
	assert_true(stalled(&p, &by_age, 60000));
	assert_string_equal(why, "its progress is 4060 s old, more than 30s");
	progress_excuse(&p, 60000);
	assert_false(stalled(&p, &by_age, 60000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_number_that_moves_is_never_stalled),
		cmocka_unit_test(a_number_that_stands_is_stalled_after_its_time_whatever_is_repeated),
		cmocka_unit_test(a_number_that_goes_back_has_moved),
		cmocka_unit_test(a_worker_that_tells_nothing_is_stalled_too),
		cmocka_unit_test(without_a_configuration_nothing_counts),
		cmocka_unit_test(a_query_is_due_at_once_and_then_at_every_interval_one_at_a_time),
		cmocka_unit_test(a_query_is_judged_at_its_answer_not_between),
		cmocka_unit_test(time_in_which_the_query_fails_is_not_held_against_the_worker),
		cmocka_unit_test(a_query_without_an_answer_yet_stands_still_too),
		cmocka_unit_test(an_age_may_be_anything_below_its_limit),
		cmocka_unit_test(an_age_beyond_its_limit_for_long_enough_is_stalled),
	};
	return cmocka_run_group_tests_name("progress", tests, NULL, NULL);
}
