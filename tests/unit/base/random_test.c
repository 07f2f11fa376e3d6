#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "podvisor/base/random.h"

static void the_same_seed_gives_the_same_numbers(void **state)
{
	(void)state;
	struct random a = {.state = 42}, b = {.state = 42}, c = {.state = 43};
	int differ = 0;
	for (int i = 0; i < 100; i++) {
		uint64_t x = random_next(&a);
		assert_true(x == random_next(&b));
		differ += x != random_next(&c);
	}
	assert_true(differ > 90);
}

/* The first numbers of splitmix64 from the seed 0, as its author published them. */
static void the_generator_is_splitmix64(void **state)
{
	(void)state;
	struct random r = {.state = 0};
	assert_true(random_next(&r) == 0xe220a8397b1dcdafU);
	assert_true(random_next(&r) == 0x6e789e6aa1b965f4U);
}

static void a_number_below_a_limit_stays_below_it_and_reaches_every_value(void **state)
{
	(void)state;
	struct random r = {.state = 7};
	int seen[6] = {0};
	for (int i = 0; i < 1000; i++) {
		uint64_t x = random_below(&r, 6);
		assert_true(x < 6);
		seen[x]++;
	}
	for (int i = 0; i < 6; i++)
		assert_true(seen[i] > 0);
}

static void below_nothing_and_below_one_there_is_only_nought(void **state)
{
	(void)state;
	struct random r = {.state = 7};
	assert_true(random_below(&r, 0) == 0);
	assert_true(random_below(&r, 1) == 0);
}

static void jitter_stays_within_its_percentage_on_both_sides(void **state)
{
	(void)state;
	struct random r = {.state = 9};
	int64_t least = INT64_MAX, most = 0;
	for (int i = 0; i < 2000; i++) {
		int64_t x = random_jitter(&r, 1000, 20);
		assert_in_range(x, 800, 1200);
		least = x < least ? x : least;
		most = x > most ? x : most;
	}
	assert_true(least < 850);
	assert_true(most > 1150);
}

static void no_jitter_leaves_the_span_as_it_is(void **state)
{
	(void)state;
	struct random r = {.state = 9};
	assert_true(random_jitter(&r, 12345, 0) == 12345);
	assert_true(random_jitter(&r, 0, 50) == 0);
}

static void jitter_on_a_span_of_years_does_not_overflow(void **state)
{
	(void)state;
	struct random r = {.state = 9};
	int64_t years = INT64_MAX / 4;
	for (int i = 0; i < 100; i++)
		assert_true(random_jitter(&r, years, 100) >= 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_seed_gives_the_same_numbers),
		cmocka_unit_test(the_generator_is_splitmix64),
		cmocka_unit_test(a_number_below_a_limit_stays_below_it_and_reaches_every_value),
		cmocka_unit_test(below_nothing_and_below_one_there_is_only_nought),
		cmocka_unit_test(jitter_stays_within_its_percentage_on_both_sides),
		cmocka_unit_test(no_jitter_leaves_the_span_as_it_is),
		cmocka_unit_test(jitter_on_a_span_of_years_does_not_overflow),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
