#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "podvisor/base/civil.h"

/* As the C library sees it, on each day of 800 years on either side of 1970. */
static void every_day_has_its_date_and_back(void **state)
{
	(void)state;
	for (int64_t day = -2 * 146097; day < 2 * 146097; day++) {
		time_t seconds = (time_t)day * 86400;
		struct tm tm;
		struct civil date = civil_of_days(day);
		assert_non_null(gmtime_r(&seconds, &tm));
		assert_int_equal(date.year, tm.tm_year + 1900);
		assert_int_equal(date.month, tm.tm_mon + 1);
		assert_int_equal(date.day, tm.tm_mday);
		assert_int_equal(civil_weekday(day), tm.tm_wday);
		assert_int_equal(civil_to_days(date.year, date.month, date.day), day);
	}
}

static void a_month_ends_where_the_next_one_begins(void **state)
{
	(void)state;
	for (int64_t year = 1600; year < 2401; year++)
		for (int month = 1; month <= 12; month++)
			assert_int_equal(
				civil_to_days(year + month / 12, month % 12 + 1, 1) - civil_to_days(year, month, 1),
				civil_days_in_month(year, month));
}

static void floor_rounds_towards_the_past(void **state)
{
	(void)state;
	assert_int_equal(civil_floor(7, 5), 1);
	assert_int_equal(civil_floor(5, 5), 1);
	assert_int_equal(civil_floor(0, 5), 0);
	assert_int_equal(civil_floor(-1, 5), -1);
	assert_int_equal(civil_floor(-5, 5), -1);
	assert_int_equal(civil_floor(-6, 5), -2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_day_has_its_date_and_back),
		cmocka_unit_test(a_month_ends_where_the_next_one_begins),
		cmocka_unit_test(floor_rounds_towards_the_past),
	};
	return cmocka_run_group_tests_name("civil", tests, NULL, NULL);
}
