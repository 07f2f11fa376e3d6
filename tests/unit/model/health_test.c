#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "podvisor/model/health.h"

static const struct config_check check = {
	.kind = CHECK_TCP, .interval = 10000, .timeout = 1000, .success_threshold = 1, .failure_threshold = 3};

/* Answers attempts with `ok` from now on until a time; returns the attempts made. */
static int answer_until(struct health *h, const struct config_check *c, bool ok, ms_t *now, ms_t until)
{
	int attempts = 0;
	while (health_next(h, c) <= until) {
		*now = health_next(h, c) > *now ? health_next(h, c) : *now;
		assert_true(health_is_due(h, c, *now));
		health_sent(h);
		assert_false(health_is_due(h, c, *now));
		health_answered(h, c, ok, "refused", *now);
		attempts++;
	}
	return attempts;
}

static void one_hit_makes_it_good(void **state)
{
	(void)state;
	struct health h;
	health_start(&h, &check, 0);
	health_sent(&h);
	assert_true(health_answered(&h, &check, true, "", 5));
	assert_int_equal(h.verdict, HEALTH_GOOD);
	assert_int_equal(health_next(&h, &check), 10005);
}

static void it_turns_bad_after_failure_threshold_misses_in_a_row(void **state)
{
	(void)state;
	struct health h = {.verdict = HEALTH_GOOD, .hits = 4};
	health_answered(&h, &check, false, "x", 10000);
	health_answered(&h, &check, false, "x", 20000);
	assert_int_equal(h.verdict, HEALTH_GOOD);
	assert_true(health_answered(&h, &check, false, "refused", 30000));
	assert_int_equal(h.verdict, HEALTH_BAD);
	assert_string_equal(h.text, "refused");
}

static void a_hit_between_misses_starts_the_count_anew(void **state)
{
	(void)state;
	struct health h = {.verdict = HEALTH_GOOD};
	for (int i = 0; i < 10; i++)
		health_answered(&h, &check, i % 3 == 2, "x", 10000 * i);
	assert_int_equal(h.verdict, HEALTH_GOOD);
}

static void an_attempt_that_could_not_be_made_counts_as_neither(void **state)
{
	(void)state;
	struct health h = {.verdict = HEALTH_GOOD};
	for (ms_t now = 10000; now <= 100000; now += 10000) {
		health_sent(&h);
		health_skipped(&h, &check, now);
		assert_int_equal(h.verdict, HEALTH_GOOD);
		assert_int_equal(health_next(&h, &check), now + 10000);
	}
	health_start(&h, &check, 0);
	health_sent(&h);
	health_skipped(&h, &check, 0);
	assert_int_equal(health_next(&h, &check), 100);
}

static void early_attempts_come_soon_but_do_not_make_it_bad_sooner(void **state)
{
	(void)state;
	struct health h;
	ms_t now = 0;
	health_start(&h, &check, 0);
	assert_in_range(answer_until(&h, &check, false, &now, 9000), 5, 12);
	assert_int_equal(h.verdict, HEALTH_UNKNOWN);
	answer_until(&h, &check, false, &now, 35000);
	assert_int_equal(h.verdict, HEALTH_BAD);
	assert_true(now >= 20000);
}

static void success_threshold_is_counted_in_a_row(void **state)
{
	(void)state;
	struct config_check two = check;
	two.success_threshold = 2;
	struct health h = {.verdict = HEALTH_BAD};
	health_answered(&h, &two, true, "", 0);
	assert_int_equal(h.verdict, HEALTH_BAD);
	health_answered(&h, &two, true, "", 1);
	assert_int_equal(h.verdict, HEALTH_GOOD);
}

static void a_check_by_notification_is_never_due(void **state)
{
	(void)state;
	struct config_check notify = {.kind = CHECK_NOTIFY};
	struct health h;
	health_start(&h, &notify, 0);
	assert_false(health_is_due(&h, &notify, 1000000));
	assert_true(health_next(&h, &notify) == CLOCK_NEVER);
}

static void the_first_attempt_waits_for_the_initial_delay(void **state)
{
	(void)state;
	struct config_check late = check;
	late.initial_delay = 3000;
	struct health h;
	health_start(&h, &late, 100);
	assert_false(health_is_due(&h, &late, 3099));
	assert_true(health_is_due(&h, &late, 3100));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_hit_makes_it_good),
		cmocka_unit_test(it_turns_bad_after_failure_threshold_misses_in_a_row),
		cmocka_unit_test(a_hit_between_misses_starts_the_count_anew),
		cmocka_unit_test(an_attempt_that_could_not_be_made_counts_as_neither),
		cmocka_unit_test(early_attempts_come_soon_but_do_not_make_it_bad_sooner),
		cmocka_unit_test(success_threshold_is_counted_in_a_row),
		cmocka_unit_test(a_check_by_notification_is_never_due),
		cmocka_unit_test(the_first_attempt_waits_for_the_initial_delay),
	};
	return cmocka_run_group_tests_name("health", tests, NULL, NULL);
}
