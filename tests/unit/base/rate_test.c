#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "podvisor/base/rate.h"

static int take_many(struct rate *r, ms_t now)
{
	int taken = 0;
	while (taken < 10000 && rate_take(r, now))
		taken++;
	return taken;
}

static void without_a_limit_everything_passes(void **state)
{
	(void)state;
	struct rate r = {0};
	assert_int_equal(take_many(&r, 5), 10000);
}

static void a_second_s_worth_may_come_at_once(void **state)
{
	(void)state;
	struct rate r = {0};
	rate_set(&r, 10, 1000);
	assert_int_equal(take_many(&r, 1000), 10);
	assert_int_equal(take_many(&r, 1099), 0);
	assert_int_equal(take_many(&r, 1100), 1);
	assert_int_equal(take_many(&r, 1350), 2);
	assert_int_equal(take_many(&r, 1400), 1);
	assert_int_equal(take_many(&r, 1000000), 10);
}

static void parts_of_a_token_are_not_lost_to_frequent_asking(void **state)
{
	(void)state;
	struct rate r = {0};
	int taken = 0;
	rate_set(&r, 3, 0);
	taken += take_many(&r, 0);
	for (ms_t now = 1; now <= 10000; now++)
		taken += take_many(&r, now);
	assert_int_equal(taken, 3 + 30);
}

static void a_clock_that_stands_or_goes_back_gives_nothing(void **state)
{
	(void)state;
	struct rate r = {0};
	rate_set(&r, 5, 1000);
	assert_int_equal(take_many(&r, 1000), 5);
	assert_int_equal(take_many(&r, 500), 0);
	assert_int_equal(take_many(&r, 1000), 0);
	assert_int_equal(take_many(&r, 1200), 1);
}

static void the_same_limit_set_again_gives_nothing_away(void **state)
{
	(void)state;
	struct rate r = {0};
	rate_set(&r, 5, 0);
	assert_int_equal(take_many(&r, 0), 5);
	rate_set(&r, 5, 0);
	assert_int_equal(take_many(&r, 0), 0);
	rate_set(&r, 7, 0);
	assert_int_equal(take_many(&r, 0), 7);
	rate_set(&r, 0, 0);
	assert_int_equal(take_many(&r, 0), 10000);
}

static void large_numbers_do_not_overflow(void **state)
{
	(void)state;
	struct rate r = {0};
	rate_set(&r, 1000000, 0);
	assert_int_equal(take_many(&r, INT64_MAX - 1), 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_limit_everything_passes),
		cmocka_unit_test(a_second_s_worth_may_come_at_once),
		cmocka_unit_test(parts_of_a_token_are_not_lost_to_frequent_asking),
		cmocka_unit_test(a_clock_that_stands_or_goes_back_gives_nothing),
		cmocka_unit_test(the_same_limit_set_again_gives_nothing_away),
		cmocka_unit_test(large_numbers_do_not_overflow),
	};
	return cmocka_run_group_tests_name("rate", tests, NULL, NULL);
}
