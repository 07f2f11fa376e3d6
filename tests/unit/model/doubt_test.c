#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "podvisor/model/doubt.h"

static const struct event_inspection starved = {.pressure_percent = DOUBT_PRESSURE_PERCENT};
static const struct event_inspection throttled = {.throttled_percent = DOUBT_THROTTLED_PERCENT};
static const struct event_inspection hung = {
	.pressure_percent = DOUBT_PRESSURE_PERCENT - 1, .throttled_percent = DOUBT_THROTTLED_PERCENT - 1};
static const struct event_inspection stopped = {.stopped = true, .pressure_percent = 100, .throttled_percent = 100};

static enum doubt_verdict ask_and_judge(struct doubt *d, const struct event_inspection *facts)
{
	assert_int_equal(doubt_judge(d, 1000), DOUBT_ASK);
	assert_int_equal(doubt_judge(d, 1001), DOUBT_WAIT);
	doubt_answered(d, facts);
	return doubt_judge(d, 1002);
}

static void who_is_hung_is_guilty(void **state)
{
	(void)state;
	struct doubt d = {0};
	assert_int_equal(ask_and_judge(&d, &hung), DOUBT_GUILTY);
}

static void who_is_starved_gets_one_more_chance_and_not_two(void **state)
{
	(void)state;
	const struct event_inspection *kinds[] = {&starved, &throttled};
	for (size_t i = 0; i < 2; i++) {
		struct doubt d = {0};
		assert_int_equal(ask_and_judge(&d, kinds[i]), DOUBT_STRETCH);
		doubt_clear(&d, false);
		assert_int_equal(ask_and_judge(&d, kinds[i]), DOUBT_GUILTY);
	}
}

static void a_sign_of_life_gives_the_chance_back(void **state)
{
	(void)state;
	struct doubt d = {0};
	assert_int_equal(ask_and_judge(&d, &starved), DOUBT_STRETCH);
	doubt_clear(&d, true);
	assert_int_equal(ask_and_judge(&d, &starved), DOUBT_STRETCH);
}

static void who_is_stopped_is_guilty_whatever_the_pressure(void **state)
{
	(void)state;
	struct doubt d = {0};
	assert_int_equal(ask_and_judge(&d, &stopped), DOUBT_GUILTY);
}

static void an_answer_that_does_not_come_is_not_awaited_for_ever(void **state)
{
	(void)state;
	struct doubt d = {0};
	assert_int_equal(doubt_judge(&d, 0), DOUBT_ASK);
	assert_int_equal(doubt_judge(&d, DOUBT_PATIENCE_MS - 1), DOUBT_WAIT);
	assert_int_equal(doubt_judge(&d, DOUBT_PATIENCE_MS), DOUBT_GUILTY);
}

static void an_answer_that_nobody_waits_for_means_nothing(void **state)
{
	(void)state;
	struct doubt d = {0};
	doubt_answered(&d, &hung);
	assert_int_equal(doubt_judge(&d, 0), DOUBT_ASK);
	assert_int_equal(doubt_judge(&d, 0), DOUBT_WAIT);
}

static void who_asked_for_its_end_gets_no_chance(void **state)
{
	(void)state;
	struct doubt d = {0};
	doubt_refuse(&d);
	assert_int_equal(ask_and_judge(&d, &starved), DOUBT_GUILTY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_is_hung_is_guilty),
		cmocka_unit_test(who_is_starved_gets_one_more_chance_and_not_two),
		cmocka_unit_test(a_sign_of_life_gives_the_chance_back),
		cmocka_unit_test(who_is_stopped_is_guilty_whatever_the_pressure),
		cmocka_unit_test(an_answer_that_does_not_come_is_not_awaited_for_ever),
		cmocka_unit_test(an_answer_that_nobody_waits_for_means_nothing),
		cmocka_unit_test(who_asked_for_its_end_gets_no_chance),
	};
	return cmocka_run_group_tests_name("doubt", tests, NULL, NULL);
}
