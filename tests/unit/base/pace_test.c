#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "podvisor/base/pace.h"

static void who_keeps_up_may_go_on_for_ever(void **state)
{
	(void)state;
	struct pace p = {0};
	for (ms_t now = 1000; now < 1000 * 1000; now += 50)
		assert_int_equal(pace_due(&p, 240, 12, now), now + PACE_GRACE_MS);
}

static void who_sends_half_of_it_has_twice_the_grace(void **state)
{
	(void)state;
	struct pace p = {0};
	ms_t now = 5000, due = pace_due(&p, 1000, 500, now);
	assert_int_equal(due, now + PACE_GRACE_MS);
	while (now + 1000 < due) {
		now += 1000;
		due = pace_due(&p, 1000, 500, now);
	}
	assert_in_range(due, 5000 + 2 * PACE_GRACE_MS - 1000, 5000 + 2 * PACE_GRACE_MS);
}

static void a_byte_now_and_then_is_too_little(void **state)
{
	(void)state;
	struct pace p = {0};
	ms_t now = 1, due = pace_due(&p, 240, 1, now);
	for (int i = 0; i < 100 && now + 500 < due; i++)
		due = pace_due(&p, 240, 1, now += 500);
	assert_in_range(due, 1 + PACE_GRACE_MS, 1 + PACE_GRACE_MS + 200);
}

static void what_came_too_much_does_not_count_later(void **state)
{
	(void)state;
	struct pace p = {0};
	assert_int_equal(pace_due(&p, 100, 1 << 30, 1000), 1000 + PACE_GRACE_MS);
	assert_int_equal(pace_due(&p, 100, 0, 4000), 1000 + PACE_GRACE_MS);
	assert_true(pace_due(&p, 100, 0, 20000) <= 20000);
}

static void while_others_hold_it_up_no_time_passes(void **state)
{
	(void)state;
	struct pace p = {0};
	assert_int_equal(pace_due(&p, 100, 10, 1000), 1000 + PACE_GRACE_MS);
	pace_hold(&p, 100, 0, 4000);
	assert_int_equal(pace_due(&p, 100, 0, 900000), 900000 + PACE_GRACE_MS - 3000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_keeps_up_may_go_on_for_ever),
		cmocka_unit_test(who_sends_half_of_it_has_twice_the_grace),
		cmocka_unit_test(a_byte_now_and_then_is_too_little),
		cmocka_unit_test(what_came_too_much_does_not_count_later),
		cmocka_unit_test(while_others_hold_it_up_no_time_passes),
	};
	return cmocka_run_group_tests_name("pace", tests, NULL, NULL);
}
