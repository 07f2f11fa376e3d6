#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "podvisor/model/restart.h"

static const struct config_restart config = {
	.backoff = {.initial = 100, .factor_percent = 200, .max = 30000, .jitter_percent = 20, .reset_after = 60000},
	.limit = {.count = 20, .window = 600000},
};

static void the_first_restart_is_immediate(void **state)
{
	(void)state;
	struct restart r = {0};
	struct random random = {1};
	assert_int_equal(restart_after_exit(&r, &config, 5, 1000, &random), 0);
}

static void the_delay_doubles_within_its_jitter_up_to_the_maximum(void **state)
{
	(void)state;
	struct restart r = {0};
	struct random random = {1};
	ms_t expected = 100;
	restart_after_exit(&r, &config, 5, 1000, &random);
	for (int i = 0; i < 15; i++) {
		ms_t delay = restart_after_exit(&r, &config, 5, 1000 + i, &random);
		assert_in_range(delay, expected * 8 / 10, expected * 12 / 10);
		expected = expected * 2 < 30000 ? expected * 2 : 30000;
	}
}

static void a_factor_with_decimals_grows_from_the_smallest_delay_on(void **state)
{
	(void)state;
	static const ms_t expected[] = {1, 2, 3, 5, 8, 12, 18, 20, 20};
	struct config_restart slow = config;
	struct restart r = {0};
	struct random random = {1};
	slow.backoff.initial = 1;
	slow.backoff.max = 20;
	slow.backoff.factor_percent = 150;
	slow.backoff.jitter_percent = 0;
	assert_int_equal(restart_after_exit(&r, &slow, 5, 1000, &random), 0);
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
		assert_int_equal(restart_after_exit(&r, &slow, 5, 1000, &random), expected[i]);
}

static void jitter_differs_from_seed_to_seed(void **state)
{
	(void)state;
	ms_t first = 0;
	int differing = 0;
	for (uint64_t seed = 0; seed < 16; seed++) {
		struct restart r = {.streak = 5};
		struct random random = {seed};
		ms_t delay = restart_after_exit(&r, &config, 5, 1000, &random);
		differing += seed && delay != first;
		first = delay;
	}
	assert_true(differing > 8);
}

static void a_run_that_lasted_forgives_the_failures_before_it(void **state)
{
	(void)state;
	struct restart r = {.streak = 7};
	struct random random = {1};
	assert_int_equal(restart_after_exit(&r, &config, 60000, 100000, &random), 0);
	assert_int_equal(r.streak, 1);
}

static void a_run_just_short_of_reset_after_forgives_nothing(void **state)
{
	(void)state;
	struct restart r = {.streak = 7};
	struct random random = {1};
	assert_true(restart_after_exit(&r, &config, 59999, 100000, &random) > 0);
}

static void the_limit_is_reached_after_count_restarts_within_the_window(void **state)
{
	(void)state;
	struct restart r = {0};
	struct random random = {1};
	for (int i = 0; i < 20; i++)
		assert_true(restart_after_exit(&r, &config, 5, 1000 + i, &random) >= 0);
	assert_int_equal(restart_after_exit(&r, &config, 5, 1020, &random), -1);
}

static void restarts_older_than_the_window_do_not_count(void **state)
{
	(void)state;
	struct restart r = {0};
	struct random random = {1};
	for (int i = 0; i < 20; i++)
		restart_after_exit(&r, &config, 5, 1000 + i, &random);
	assert_true(restart_after_exit(&r, &config, 5, 1000 + 600000 + 20, &random) >= 0);
}

static void forgetting_clears_the_limit_too(void **state)
{
	(void)state;
	struct restart r = {0};
	struct random random = {1};
	for (int i = 0; i < 20; i++)
		restart_after_exit(&r, &config, 5, 1000, &random);
	restart_forget(&r);
	assert_int_equal(restart_after_exit(&r, &config, 5, 1001, &random), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_restart_is_immediate),
		cmocka_unit_test(the_delay_doubles_within_its_jitter_up_to_the_maximum),
		cmocka_unit_test(a_factor_with_decimals_grows_from_the_smallest_delay_on),
		cmocka_unit_test(jitter_differs_from_seed_to_seed),
		cmocka_unit_test(a_run_that_lasted_forgives_the_failures_before_it),
		cmocka_unit_test(a_run_just_short_of_reset_after_forgives_nothing),
		cmocka_unit_test(the_limit_is_reached_after_count_restarts_within_the_window),
		cmocka_unit_test(restarts_older_than_the_window_do_not_count),
		cmocka_unit_test(forgetting_clears_the_limit_too),
	};
	return cmocka_run_group_tests_name("restart", tests, NULL, NULL);
}
