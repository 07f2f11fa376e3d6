#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#include "podvisor/base/wall.h"

static void expect(int64_t unix_ms, const char *text)
{
	char out[WALL_SIZE];
	wall_format(unix_ms, out);
	assert_string_equal(out, text);
}

static void points_in_time_are_written_in_utc_with_milliseconds(void **state)
{
	(void)state;
	expect(0, "1970-01-01T00:00:00.000Z");
	expect(999, "1970-01-01T00:00:00.999Z");
	expect(1795489845123, "2026-11-24T03:10:45.123Z");
	expect(951782399999, "2000-02-28T23:59:59.999Z");
	expect(951782400000, "2000-02-29T00:00:00.000Z");
	expect(4107542400000, "2100-03-01T00:00:00.000Z");
	expect(4107542399999, "2100-02-28T23:59:59.999Z");
}

/* As the C library sees it, on each day of 800 years: two whole periods of the calendar. */
static void every_day_of_the_calendar_is_right(void **state)
{
	(void)state;
	for (int64_t day = 0; day < 2 * 146097; day++) {
		time_t seconds = (time_t)(day * 86400 + day % 86400);
		struct tm tm;
		char wanted[32];
		assert_non_null(gmtime_r(&seconds, &tm));
		strftime(wanted, sizeof(wanted), "%Y-%m-%dT%H:%M:%S.007Z", &tm);
		expect((int64_t)seconds * 1000 + 7, wanted);
	}
}

static void a_clock_gone_wild_still_gives_a_time(void **state)
{
	(void)state;
	expect(-1, "1970-01-01T00:00:00.000Z");
	expect(INT64_MIN, "1970-01-01T00:00:00.000Z");
	expect(253402300799999, "9999-12-31T23:59:59.999Z");
	expect(INT64_MAX, "9999-12-31T23:59:59.999Z");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(points_in_time_are_written_in_utc_with_milliseconds),
		cmocka_unit_test(every_day_of_the_calendar_is_right),
		cmocka_unit_test(a_clock_gone_wild_still_gives_a_time),
	};
	return cmocka_run_group_tests_name("wall", tests, NULL, NULL);
}
