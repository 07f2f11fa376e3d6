#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "podvisor/base/histogram.h"

static void a_duration_on_a_bound_belongs_to_that_bucket(void **state)
{
	(void)state;
	struct histogram h = {0};
	histogram_add(&h, 0.0005);
	histogram_add(&h, 0.00051);
	assert_int_equal(h.buckets[0], 1);
	assert_int_equal(h.buckets[1], 1);
}

static void what_passes_every_bound_is_infinite(void **state)
{
	(void)state;
	struct histogram h = {0};
	histogram_add(&h, 1e9);
	assert_int_equal(h.buckets[HISTOGRAM_BUCKETS], 1);
}

static void the_bounds_rise(void **state)
{
	(void)state;
	for (size_t i = 1; i < HISTOGRAM_BUCKETS; i++)
		assert_true(histogram_bounds_seconds[i - 1] < histogram_bounds_seconds[i]);
}

static void count_and_sum_follow(void **state)
{
	(void)state;
	struct histogram h = {0};
	histogram_add(&h, 0.25);
	histogram_add(&h, 0.5);
	histogram_add(&h, 0);
	assert_int_equal(h.count, 3);
	assert_true(h.sum_seconds > 0.749 && h.sum_seconds < 0.751);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_duration_on_a_bound_belongs_to_that_bucket),
		cmocka_unit_test(what_passes_every_bound_is_infinite),
		cmocka_unit_test(the_bounds_rise),
		cmocka_unit_test(count_and_sum_follow),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
