#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "podvisor/base/civil.h"
#include "podvisor/base/random.h"
#include "podvisor/wire/cron.h"
#include "zone_file.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define DAY_S        ((int64_t)86400)

static struct cron parsed(const char *text)
{
	struct cron c;
	struct err err = {0};
	if (cron_parse(text, &c, &err) < 0)
		fail_msg("\"%s\" %s", text, err.text);
	return c;
}

static bool same(const struct cron *a, const struct cron *b)
{
	return a->minutes == b->minutes && a->hours == b->hours && a->days == b->days && a->months == b->months &&
	       a->weekdays == b->weekdays && a->either_day == b->either_day && a->each_hour == b->each_hour;
}

/* ---- the text ---- */

static void two_ways_of_writing_mean_the_same(void **state)
{
	static const char *const pairs[][2] = {{"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"},
		{"@monthly", "0 0 1 * *"}, {"@weekly", "0 0 * * 0"}, {"@daily", "0 0 * * *"},
		{"@midnight", "0 0 * * *"}, {"@hourly", "0 * * * *"}, {" @Daily\t", "0 0 * * *"},
		{"  5\t4  3 2 1 ", "5 4 3 2 1"}, {"*/15 * * * *", "0,15,30,45 * * * *"},
		{"5/20 * * * *", "5,25,45 * * * *"}, {"10-30/10 1 * * *", "10,20,30 1 * * *"},
		{"0 0 * jan,DEC *", "0 0 * 1,12 *"}, {"0 0 * * mon-Fri", "0 0 * * 1-5"}, {"0 0 * * 7", "0 0 * * 0"},
		{"0 0 * * 5-7", "0 0 * * 5,6,0"}, {"0 0 * * fri-sun", "0 0 * * 5-7"},
		{"0 0 * * sun-tue", "0 0 * * 0-2"}, {"0 0 * * sun-sun", "0 0 * * 0"}, {"0 0 * * 7/2", "0 0 * * 0"},
		{"0 0 * * 0-7", "0 0 * * 0-6"}, {"07 009 01 02 *", "7 9 1 2 *"}, {"0,0,0 1 1 1 *", "0 1 1 1 *"},
		{"*/60 1 * * *", "0 1 * * *"}, {"0 0 */31 * *", "0 0 */31,1 * *"}, {"1-1 2-2 3 4 *", "1 2 3 4 *"},
		{"0 0-23 * * *", "0 */1 * * *"}};
	(void)state;
	for (size_t i = 0; i < COUNT(pairs); i++) {
		struct cron a = parsed(pairs[i][0]), b = parsed(pairs[i][1]);
		if (!same(&a, &b))
			fail_msg("\"%s\" is not \"%s\"", pairs[i][0], pairs[i][1]);
	}
}

#define FIVE   "(expected 5: minute, hour, day of the month, month, day of the week)"
#define MISFIT "this does not fit here (expected a number, \"*\", \",\", \"-\" or \"/\")"
#define ALIAS                                                                                                   \
	"is not known (expected five fields, or one of \"@hourly\", \"@daily\", \"@weekly\", \"@monthly\", \"@" \
	"yearly\"; an interval goes into the key \"every\")"

static void each_mistake_has_its_sentence_and_its_place(void **state)
{
	static const char *const cases[][2] = {{"", "has 0 fields " FIVE}, {"  ", "has 0 fields " FIVE},
		{"*", "has 1 field " FIVE}, {"0 0 * *", "has 4 fields " FIVE}, {"0 0 0 * * *", "has 6 fields " FIVE},
		{"60 * * * *", "is wrong at character 1: the minute is out of range (expected 0 to 59)"},
		{"0 24 * * *", "is wrong at character 3: the hour is out of range (expected 0 to 23)"},
		{"0 0 0 * *", "is wrong at character 5: the day of the month is out of range (expected 1 to 31)"},
		{"0 0 1 13 *", "is wrong at character 7: the month is out of range (expected 1 to 12, or jan to dec)"},
		{"0 0 * * 8",
			"is wrong at character 9: the day of the week is out of range (expected 0 to 7, or sun to "
			"sat)"},
		{"0 0 1 0,foo *",
			"is wrong at character 7: the month is out of range (expected 1 to 12, or jan to dec)"},
		{"0 0 1 1,foo *", "is wrong at character 9: this is no month (expected 1 to 12, or jan to dec)"},
		{"0 0 1 january *", "is wrong at character 7: this is no month (expected 1 to 12, or jan to dec)"},
		{"0 0 * * mon,jan",
			"is wrong at character 13: this is no day of the week (expected 0 to 7, or sun to sat)"},
		{"mon 0 * * *", "is wrong at character 1: this is no minute (expected 0 to 59)"},
		{"1,,2 * * * *", "is wrong at character 3: this is no minute (expected 0 to 59)"},
		{"1, * * * *", "is wrong at character 3: this is no minute (expected 0 to 59)"},
		{"-1 * * * *", "is wrong at character 1: this is no minute (expected 0 to 59)"},
		{"+1 * * * *", "is wrong at character 1: this is no minute (expected 0 to 59)"},
		{"1- * * * *", "is wrong at character 3: this is no minute (expected 0 to 59)"},
		{"0 0 ? * *", "is wrong at character 5: this is no day of the month (expected 1 to 31)"},
		{"0 0 L * *", "is wrong at character 5: this is no day of the month (expected 1 to 31)"},
		{"0 0 * * 5#2", "is wrong at character 10: " MISFIT},
		{"0 0 15W * *", "is wrong at character 7: " MISFIT},
		{"**  * * * *", "is wrong at character 2: " MISFIT},
		{"1-2-3 * * * *", "is wrong at character 4: " MISFIT},
		{"*-5 * * * *", "is wrong at character 2: " MISFIT},
		{"*/2/2 * * * *", "is wrong at character 4: " MISFIT},
		{"1.5 * * * *", "is wrong at character 2: " MISFIT},
		{"30-10 * * * *", "is wrong at character 4: the range runs backwards (expected the smaller end first)"},
		{"0 0 * * sat-mon",
			"is wrong at character 13: the range runs backwards (expected the smaller end first)"},
		{"0 0 * * 5-0", "is wrong at character 11: the range runs backwards (expected the smaller end first)"},
		{"*/0 * * * *", "is wrong at character 3: the step is out of range (expected 1 to 60)"},
		{"*/90 * * * *", "is wrong at character 3: the step is out of range (expected 1 to 60)"},
		{"0 */25 * * *", "is wrong at character 5: the step is out of range (expected 1 to 24)"},
		{"0 0 * * */8", "is wrong at character 11: the step is out of range (expected 1 to 7)"},
		{"*/ * * * *", "is wrong at character 3: a step is expected behind \"/\""},
		{"*/x * * * *", "is wrong at character 3: a step is expected behind \"/\""},
		{"99999999999999999999 * * * *",
			"is wrong at character 1: the minute is out of range (expected 0 to 59)"},
		{"*/99999999999999999999 * * * *",
			"is wrong at character 3: the step is out of range (expected 1 to 60)"},
		{"\xC3\xA4 * * * *", "is wrong at character 1: this is no minute (expected 0 to 59)"},
		{"@every 5m", ALIAS}, {"@reboot", ALIAS}, {"@", ALIAS}, {"@dailyy", ALIAS}, {"@daily x", ALIAS}};
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct cron c = {.minutes = 7};
		struct err err = {0};
		if (cron_parse(cases[i][0], &c, &err) == 0)
			fail_msg("\"%s\" is taken", cases[i][0]);
		assert_string_equal(err.text, cases[i][1]);
		assert_int_equal(err.code, -EINVAL);
		assert_true(c.minutes == 7);
	}
}

static void a_day_that_no_month_has_is_refused_unless_a_weekday_is_enough(void **state)
{
	static const char *const never[] = {"0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 30,31 feb */2", "0 0 31 2-2 *"};
	struct cron c;
	struct err err;
	(void)state;
	for (size_t i = 0; i < COUNT(never); i++) {
		assert_int_equal(cron_parse(never[i], &c, &err), -EINVAL);
		assert_string_equal(err.text, "never comes (expected a day of the month that its months have)");
	}
	assert_int_equal(cron_parse("0 0 29 2 *", &c, &err), 0);
	assert_int_equal(cron_parse("0 0 31 4,5 *", &c, &err), 0);
	assert_int_equal(cron_parse("0 0 30 2 1", &c, &err), 0);
}

/* ---- the time ---- */

static int64_t at_utc(int64_t year, int month, int day, int hour, int minute, int second)
{
	return civil_to_days(year, month, day) * DAY_S + hour * 3600 + minute * 60 + second;
}

/* "2026-03-29 01:00" */
static int64_t utc(const char *text)
{
	int year, month, day, hour, minute;
	assert_int_equal(sscanf(text, "%d-%d-%d %d:%d", &year, &month, &day, &hour, &minute), 5);
	return at_utc(year, month, day, hour, minute, 0);
}

/* The runs after the first point, up to a NULL, all in UTC. */
static void expect_runs(const char *text, const char *zone_name, const char *const points[])
{
	struct tzif *zone = zone_name ? zone_load(zone_name) : NULL;
	struct cron c = parsed(text);
	int64_t at = utc(*points);
	while (*++points) {
		at = cron_next(&c, zone, at);
		if (at != utc(*points))
			fail_msg("\"%s\" in %s comes at %lld, not at %s", text, zone_name ? zone_name : "UTC",
				(long long)at, *points);
	}
	tzif_free(zone);
}

#define RUNS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void in_utc_it_is_the_calendar_that_counts(void **state)
{
	(void)state;
	expect_runs("*/20 * * * *", NULL,
		RUNS("2026-12-31 23:39", "2026-12-31 23:40", "2027-01-01 00:00", "2027-01-01 00:20"));
	expect_runs("0 0 29 2 *", NULL, RUNS("2096-02-29 00:00", "2104-02-29 00:00", "2108-02-29 00:00"));
	expect_runs("30 4 1,15 * fri", NULL, /* either kind of day is enough */
		RUNS("2026-01-01 04:30", "2026-01-02 04:30", "2026-01-09 04:30", "2026-01-15 04:30",
			"2026-01-16 04:30"));
	expect_runs("0 9 */10 * 1", NULL, /* both must fit: a star begins the field */
		RUNS("2026-01-01 00:00", "2026-05-11 09:00", "2026-06-01 09:00", "2026-08-31 09:00"));
	expect_runs("0 0 31 * *", NULL, RUNS("2026-01-31 00:00", "2026-03-31 00:00", "2026-05-31 00:00"));
}

static void the_run_at_a_point_is_not_after_it(void **state)
{
	(void)state;
	struct cron c = parsed("0 3 * * *");
	int64_t at = at_utc(2026, 5, 1, 3, 0, 0);
	assert_int_equal(cron_next(&c, NULL, at - 1), at);
	assert_int_equal(cron_next(&c, NULL, at), at + DAY_S);
	assert_int_equal(cron_next(&c, NULL, at - 60), at);
	assert_int_equal(cron_next(&c, NULL, at + 1), at + DAY_S);
}

static void a_time_that_is_left_out_comes_right_after_the_gap(void **state)
{
	(void)state;
	expect_runs("30 2 * * *", "Europe/Berlin", /* 29 March 2026: 2:00 is 3:00 */
		RUNS("2026-03-28 01:30", "2026-03-29 01:00", "2026-03-30 00:30"));
	expect_runs("15,30 2,3 * * *", "Europe/Berlin", /* both of 2 o'clock at once: one run */
		RUNS("2026-03-28 02:30", "2026-03-29 01:00", "2026-03-29 01:15", "2026-03-29 01:30",
			"2026-03-30 00:15"));
	expect_runs("30 2 * * *", "America/New_York", RUNS("2026-03-07 07:30", "2026-03-08 07:00", "2026-03-09 06:30"));
	expect_runs("10 2 * * *", "Australia/Lord_Howe", /* 4 October 2026: half an hour, 2:00 is 2:30 */
		RUNS("2026-10-02 15:40", "2026-10-03 15:30", "2026-10-04 15:10"));
	expect_runs("0 12 30 12 *", "Pacific/Apia", /* Samoa had no 30 December 2011 */
		RUNS("2010-12-31 00:00", "2011-12-30 10:00", "2012-12-29 22:00"));
	expect_runs("0 0 * * *", "America/Havana", /* 8 March 2026: midnight is 1:00 */
		RUNS("2026-03-07 05:00", "2026-03-08 05:00", "2026-03-09 04:00"));
}

static void a_time_that_the_clock_shows_twice_comes_once(void **state)
{
	(void)state;
	expect_runs("30 2 * * *", "Europe/Berlin", RUNS("2026-10-24 00:30", "2026-10-25 00:30", "2026-10-26 01:30"));
	expect_runs("*/15 2 * * *", "Europe/Berlin",
		RUNS("2026-10-24 00:45", "2026-10-25 00:00", "2026-10-25 00:15", "2026-10-25 00:30", "2026-10-25 00:45",
			"2026-10-26 01:00"));
	expect_runs("30 1 * * *", "America/New_York", RUNS("2026-10-31 05:30", "2026-11-01 05:30", "2026-11-02 06:30"));
	expect_runs("45 1 * * *", "Australia/Lord_Howe", /* 5 April 2026: 2:00 is 1:30 */
		RUNS("2026-04-03 14:45", "2026-04-04 14:45", "2026-04-05 15:15"));
}

static void each_hour_goes_by_the_time_that_passes(void **state)
{
	(void)state;
	expect_runs("30 * * * *", "Europe/Berlin", RUNS("2026-03-29 00:00", "2026-03-29 00:30", "2026-03-29 01:30"));
	expect_runs("30 * * * *", "Europe/Berlin",
		RUNS("2026-10-24 23:45", "2026-10-25 00:30", "2026-10-25 01:30", "2026-10-25 02:30"));
	expect_runs("0 0-23 * * *", "Europe/Berlin",
		RUNS("2026-10-24 23:45", "2026-10-25 00:00", "2026-10-25 01:00", "2026-10-25 02:00"));
	expect_runs("0 */2 * * *", "Europe/Berlin", /* 2:00 is left out, then shown twice */
		RUNS("2026-03-28 22:30", "2026-03-28 23:00", "2026-03-29 02:00", "2026-03-29 04:00"));
	expect_runs("0 */2 * * *", "Europe/Berlin",
		RUNS("2026-10-24 21:30", "2026-10-24 22:00", "2026-10-25 00:00", "2026-10-25 01:00",
			"2026-10-25 03:00"));
	expect_runs("*/30 * * * *", "Australia/Lord_Howe",
		RUNS("2026-04-04 14:31", "2026-04-04 15:00", "2026-04-04 15:30", "2026-04-04 16:00"));
}

static void zones_on_either_side_of_the_date_line_have_their_own_day(void **state)
{
	(void)state;
	expect_runs("0 0 1 1 *", "Pacific/Kiritimati", RUNS("2026-06-01 00:00", "2026-12-31 10:00"));
	expect_runs("0 0 1 1 *", "Pacific/Pago_Pago", RUNS("2026-06-01 00:00", "2027-01-01 11:00"));
	expect_runs("0 0 * * mon", "Pacific/Chatham", RUNS("2026-01-01 00:00", "2026-01-04 10:15"));
}

/* ---- whole years, against the C library's clock, minute by minute ---- */

/* Written and remembered by the test: parsing plays no part. */
struct written {
	char text[256];
	bool fits[5][60];
	bool starred[5];
};

static const int lows[] = {0, 0, 1, 1, 0}, highs[] = {59, 23, 31, 12, 6};

PRINTF_LIKE(6, 7)
static void write_part(struct written *w, int field, int low, int high, int step, const char *fmt, ...)
{
	size_t n = strlen(w->text);
	va_list args;
	va_start(args, fmt);
	vsnprintf(w->text + n, sizeof(w->text) - n, fmt, args);
	va_end(args);
	for (int i = low; i <= high; i += step)
		w->fits[field][field == 4 ? i % 7 : i] = true;
}

static void write_list(struct written *w, int field, struct random *random)
{
	int low = lows[field], high = highs[field], span = high - low + 1;
	int parts = 1 + (int)random_below(random, 3);
	for (int i = 0; i < parts; i++) {
		int from = low + (int)random_below(random, (uint64_t)span);
		int to = from + (int)random_below(random, (uint64_t)(high - from + 1));
		int step = 1 + (int)random_below(random, (uint64_t)span);
		const char *comma = i ? "," : "";
		switch (random_below(random, 4)) {
		case 0:
			write_part(w, field, from, from, 1, "%s%d", comma, from);
			break;
		case 1:
			write_part(w, field, from, to, 1, "%s%d-%d", comma, from, to);
			break;
		case 2:
			write_part(w, field, from, to, step, "%s%d-%d/%d", comma, from, to, step);
			break;
		default:
			write_part(w, field, from, high, step, "%s%d/%d", comma, from, step);
		}
	}
}

static void write_field(struct written *w, int field, struct random *random)
{
	int step = 1 + (int)random_below(random, 5);
	/* Hours and days are mostly open, or nothing would come in a year. */
	uint64_t open = field >= 2 ? 4 : 2;
	if (random_below(random, open + 1) == 0) {
		write_list(w, field, random);
		return;
	}
	w->starred[field] = true;
	bool plain = random_below(random, 2) == 0;
	write_part(w, field, lows[field], highs[field], plain ? 1 : step, plain ? "*" : "*/%d", step);
}

static struct written write_expression(struct random *random)
{
	struct written w = {.text = ""};
	for (int field = 0; field < 5; field++) {
		if (field)
			strcat(w.text, " ");
		write_field(&w, field, random);
	}
	return w;
}

static bool each_hour(const struct written *w)
{
	bool all = true;
	for (int hour = 0; hour < 24; hour++)
		all &= w->fits[1][hour];
	return all || w->starred[1];
}

/* A minute of a local clock, counted from 1970. */
static bool fits(const struct written *w, int64_t local)
{
	time_t at = (time_t)local * 60;
	struct tm tm;
	gmtime_r(&at, &tm);
	bool of_month = w->fits[2][tm.tm_mday], of_week = w->fits[4][tm.tm_wday];
	bool day = w->starred[2] || w->starred[4] ? of_month && of_week : of_month || of_week;
	return day && w->fits[0][tm.tm_min] && w->fits[1][tm.tm_hour] && w->fits[3][tm.tm_mon + 1];
}

#define YEAR_MINUTES (366 * 1440)
#define LEAD_MINUTES (4 * 1440) /* what the clock has shown before the year */

/* What a clock in the zone shows in each minute of a year, by the C library. */
static void note_clock(int64_t from, int64_t *shown)
{
	for (int64_t i = 0; i < LEAD_MINUTES + YEAR_MINUTES; i++) {
		int64_t at = from + (i - LEAD_MINUTES) * 60;
		shown[i] = (at + zone_offset_of_libc(at)) / 60;
	}
}

/* By definition: whether something fits that was not yet shown, up to what is shown now. */
static bool comes(const struct written *w, int64_t *latest, int64_t shown)
{
	bool any = false;
	if (each_hour(w))
		return fits(w, shown);
	for (int64_t local = *latest + 1; local <= shown && !any; local++)
		any = fits(w, local);
	*latest = shown > *latest ? shown : *latest;
	return any;
}

static void expect_year(const struct written *w, const struct tzif *zone, int64_t from, const int64_t *shown)
{
	struct cron c = parsed(w->text);
	int64_t latest = 0, next = cron_next(&c, zone, from - 1);
	for (int64_t i = 0; i < LEAD_MINUTES; i++)
		latest = shown[i] > latest ? shown[i] : latest;
	for (int64_t i = LEAD_MINUTES; i < LEAD_MINUTES + YEAR_MINUTES; i++) {
		int64_t at = from + (i - LEAD_MINUTES) * 60;
		bool is = comes(w, &latest, shown[i]);
		if (is != (next == at))
			fail_msg("\"%s\" at %lld, where the clock shows minute %lld: it %s", w->text, (long long)at,
				(long long)shown[i], is ? "should come" : "should not come");
		if (!is) {
			if (i % 29 == 0) /* from anywhere in between it is the same that comes next */
				assert_int_equal(cron_next(&c, zone, at), next);
			continue;
		}
		assert_int_equal(cron_next(&c, zone, at - 1), at);
		next = cron_next(&c, zone, at + i % 60); /* from any second of the minute on */
		assert_true(next >= at + 60);
	}
}

static void whole_years_come_as_the_clock_on_the_wall_has_them(void **state)
{
	static const struct {
		const char *name;
		int year;
	} cases[] = {{"Europe/Berlin", 2026}, {"America/New_York", 2027}, {"Australia/Lord_Howe", 2026},
		{"Pacific/Apia", 2011}, {"Pacific/Kiritimati", 2026}, {"Pacific/Chatham", 2060},
		{"Europe/Dublin", 2026}, {"America/Havana", 2026}, {"Africa/Casablanca", 2026},
		{"Antarctica/Troll", 2026}, {"Etc/GMT+12", 2028}};
	static int64_t shown[LEAD_MINUTES + YEAR_MINUTES];
	struct random random = {.state = 7};
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct tzif *zone = zone_load(cases[i].name);
		int64_t from = at_utc(cases[i].year, 1, 1, 0, 0, 0);
		note_clock(from, shown);
		for (int k = 0; k < 10; k++) {
			struct written w = write_expression(&random);
			struct cron c;
			if (cron_parse(w.text, &c, NULL) == 0)
				expect_year(&w, zone, from, shown);
		}
		tzif_free(zone);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_ways_of_writing_mean_the_same),
		cmocka_unit_test(each_mistake_has_its_sentence_and_its_place),
		cmocka_unit_test(a_day_that_no_month_has_is_refused_unless_a_weekday_is_enough),
		cmocka_unit_test(in_utc_it_is_the_calendar_that_counts),
		cmocka_unit_test(the_run_at_a_point_is_not_after_it),
		cmocka_unit_test(a_time_that_is_left_out_comes_right_after_the_gap),
		cmocka_unit_test(a_time_that_the_clock_shows_twice_comes_once),
		cmocka_unit_test(each_hour_goes_by_the_time_that_passes),
		cmocka_unit_test(zones_on_either_side_of_the_date_line_have_their_own_day),
		cmocka_unit_test(whole_years_come_as_the_clock_on_the_wall_has_them),
	};
	return cmocka_run_group_tests_name("cron", tests, NULL, NULL);
}
