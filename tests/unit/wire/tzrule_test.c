#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "podvisor/wire/tzrule.h"

#define HOUR_S 3600

static struct tzrule parsed(const char *text)
{
	struct tzrule rule;
	struct err err = {0};
	if (tzrule_parse(text, strlen(text), &rule, &err) < 0)
		fail_msg("%s %s", text, err.text);
	return rule;
}

/* Every stretch of 60 years at both its ends; the C library takes such a rule as TZ itself. */
static void expect_libc(const char *text)
{
	struct tzrule rule = parsed(text);
	setenv("TZ", text, 1);
	tzset();
	int64_t until = (int64_t)60 * 366 * 24 * HOUR_S;
	for (struct tzperiod p = tzrule_period(&rule, 0); p.begins < until; p = tzrule_period(&rule, p.ends)) {
		const time_t at[] = {p.begins < 0 ? 0 : (time_t)p.begins, p.ends < until ? (time_t)p.ends - 1 : until};
		for (int i = 0; i < 2; i++) {
			struct tm tm;
			assert_non_null(localtime_r(&at[i], &tm));
			if (tm.tm_gmtoff != p.offset_s)
				fail_msg("%s at %lld: %d s ahead, %ld says the C library", text, (long long)at[i],
					p.offset_s, tm.tm_gmtoff);
		}
		if (p.ends == INT64_MAX)
			break;
	}
}

static void rules_are_as_the_C_library_has_them(void **state)
{
	static const char *const rules[] = {"CET-1CEST,M3.5.0,M10.5.0/3", "EST5EDT,M3.2.0,M11.1.0", "UTC0",
		"<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", "IST-1GMT0,M10.5.0,M3.5.0/1", "<-02>2<-01>,M3.5.0/-1,M10.5.0/0",
		"EET-2EEST,M3.4.4/50,M10.4.4/50", "AAA3:04:05BBB,J60/0,J300/25:00:01", "AAA-3BBB,59,299/1:30",
		"NZST-12NZDT,M9.5.0,M4.1.0/3", "<+00>0<+02>-2,M3.5.0/1,M10.5.0/3", "AAA12BBB-12,M1.1.0,M12.5.6",
		"CST+6CDT,M4.1.0/+3,M10.5.0"};
	(void)state;
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		expect_libc(rules[i]);
}

static void summer_time_the_whole_year_never_ends(void **state)
{
	(void)state;
	struct tzrule rule = parsed("XXX3EDT4,0/0,J365/23");
	for (int64_t at = 0; at < (int64_t)10 * 366 * 24 * HOUR_S; at += 1801)
		assert_int_equal(tzrule_period(&rule, at).offset_s, -4 * HOUR_S);
}

static void without_summer_time_it_always_was_and_will_be(void **state)
{
	(void)state;
	struct tzrule rule = parsed("<-03>3");
	struct tzperiod p = tzrule_period(&rule, 0);
	assert_true(p.begins == INT64_MIN && p.ends == INT64_MAX);
	assert_int_equal(p.offset_s, -3 * HOUR_S);
}

static void what_is_no_rule_is_refused(void **state)
{
	static const char *const texts[] = {"", "CET", "CE-1", "CET-25", "CET-1CEST", "CET-1CEST,M3.5.0",
		"CET-1CEST,M13.5.0,M10.5.0", "CET-1CEST,M3.6.0,M10.5.0", "CET-1CEST,M3.5.7,M10.5.0",
		"CET-1CEST,M3.0.0,M10.5.0", "CET-1CEST,J0,J1", "CET-1CEST,366,1", "CET-1CEST,1/168,2",
		"CET-1CEST,1/2:60,2", "CET-1CEST,1,2,", "CET-1 ", "<CET-1", "CET-1CEST,M3.5.0,M10.5.0/", "CET-1:0000",
		"<+1>-1", "CET-1CEST-2"};
	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct tzrule rule = {.standard_s = 7};
		struct err err = {0};
		if (tzrule_parse(texts[i], strlen(texts[i]), &rule, &err) == 0)
			fail_msg("\"%s\" is taken", texts[i]);
		assert_string_equal(err.text, "has a rule for the future that cannot be read");
		assert_int_equal(rule.standard_s, 7);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_are_as_the_C_library_has_them),
		cmocka_unit_test(summer_time_the_whole_year_never_ends),
		cmocka_unit_test(without_summer_time_it_always_was_and_will_be),
		cmocka_unit_test(what_is_no_rule_is_refused),
	};
	return cmocka_run_group_tests_name("tzrule", tests, NULL, NULL);
}
