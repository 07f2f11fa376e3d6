#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "podvisor/base/clock.h"

static void a_span_is_added_to_a_point(void **state)
{
	(void)state;
	assert_int_equal(clock_after(1000, 250), 1250);
	assert_int_equal(clock_after(0, 0), 0);
}

static void never_stays_never(void **state)
{
	(void)state;
	assert_true(clock_after(CLOCK_NEVER, 0) == CLOCK_NEVER);
	assert_true(clock_after(CLOCK_NEVER, 1) == CLOCK_NEVER);
	assert_true(clock_after(5, CLOCK_NEVER) == CLOCK_NEVER);
	assert_true(clock_after(CLOCK_NEVER, CLOCK_NEVER) == CLOCK_NEVER);
}

static void a_sum_never_wraps_into_the_past(void **state)
{
	(void)state;
	assert_true(clock_after(CLOCK_NEVER - 1, 2) == CLOCK_NEVER);
	assert_true(clock_after(CLOCK_NEVER - 2, 1) == CLOCK_NEVER - 1);
}

static void the_earlier_of_two_is_told(void **state)
{
	(void)state;
	assert_int_equal(clock_earlier(3, 7), 3);
	assert_int_equal(clock_earlier(7, 3), 3);
	assert_int_equal(clock_earlier(CLOCK_NEVER, 7), 7);
}

static void a_deadline_is_due_at_its_very_millisecond(void **state)
{
	(void)state;
	assert_false(clock_due(100, 99));
	assert_true(clock_due(100, 100));
	assert_true(clock_due(100, 101));
}

static void never_is_not_due_even_at_the_end_of_time(void **state)
{
	(void)state;
	assert_false(clock_due(CLOCK_NEVER, 0));
	assert_false(clock_due(CLOCK_NEVER, CLOCK_NEVER));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_span_is_added_to_a_point),
		cmocka_unit_test(never_stays_never),
		cmocka_unit_test(a_sum_never_wraps_into_the_past),
		cmocka_unit_test(the_earlier_of_two_is_told),
		cmocka_unit_test(a_deadline_is_due_at_its_very_millisecond),
		cmocka_unit_test(never_is_not_due_even_at_the_end_of_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
