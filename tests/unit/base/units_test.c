#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "podvisor/base/random.h"
#include "podvisor/base/units.h"

static void durations_are_read_in_every_unit(void **state)
{
	static const struct {
		const char *text;
		ms_t ms;
	} cases[] = {{"250ms", 250}, {"30s", 30000}, {"5m", 300000}, {"12h", 43200000}, {"2d", 172800000},
		{"1h30m", 5400000}, {"1m500ms", 60500}, {"0", 0}, {"0s", 0}, {"90m", 5400000},
		{"366d", UNITS_DURATION_MAX}, {"007s", 7000}};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ms_t ms = -1;
		assert_int_equal(units_parse_duration(cases[i].text, &ms, NULL), 0);
		assert_int_equal(ms, cases[i].ms);
	}
}

static void what_is_no_duration_is_refused_with_its_reason(void **state)
{
	static const struct {
		const char *text;
		int code;
		const char *why;
	} cases[] = {{"", -EINVAL, "is not a duration"}, {"s", -EINVAL, "is not a duration"},
		{"5", -EINVAL, "has no unit"}, {"1h30", -EINVAL, "has no unit"}, {"00", -EINVAL, "has no unit"},
		{"5 s", -EINVAL, "has an unknown unit"}, {"5S", -EINVAL, "has an unknown unit"},
		{"5s ", -EINVAL, "has an unknown unit"}, {"10 seconds", -EINVAL, "has an unknown unit"},
		{"1.5s", -EINVAL, "has an unknown unit"}, {"-5s", -EINVAL, "is not a duration"},
		{"30m1h", -EINVAL, "has its units out of order"}, {"1m1m", -EINVAL, "has its units out of order"},
		{"367d", -ERANGE, "is longer than 366 days"}, {"366d1ms", -ERANGE, "is longer than 366 days"},
		{"99999999999999999999s", -ERANGE, "is longer than 366 days"}};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ms_t ms = 42;
		struct err err = {0};
		assert_int_equal(units_parse_duration(cases[i].text, &ms, &err), cases[i].code);
		assert_string_equal(err.text, cases[i].why);
		assert_int_equal(ms, 42);
	}
}

static void sizes_are_read_as_kubernetes_reads_them(void **state)
{
	static const struct {
		const char *text;
		int64_t bytes;
	} cases[] = {{"0", 0}, {"4096", 4096}, {"16Ki", 16384}, {"512Mi", 536870912}, {"2Gi", 2147483648},
		{"1Ti", 1099511627776}, {"64k", 64000}, {"1M", 1000000}, {"1G", 1000000000}, {"3T", 3000000000000},
		{"1.5Gi", 1610612736}, {"0.5k", 500}, {"0.001", 1}, {"1.001Ki", 1026},
		{"9223372036854775807", INT64_MAX}, {"8388607Ti", (int64_t)8388607 << 40}};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int64_t bytes = -1;
		assert_int_equal(units_parse_size(cases[i].text, &bytes, NULL), 0);
		assert_int_equal(bytes, cases[i].bytes);
	}
}

static void what_is_no_size_is_refused_with_its_reason(void **state)
{
	static const struct {
		const char *text;
		int code;
		const char *why;
	} cases[] = {{"", -EINVAL, "is not a size"}, {"Mi", -EINVAL, "is not a size"}, {"-1", -EINVAL, "is not a size"},
		{"1.", -EINVAL, "is not a size"}, {"1GB", -EINVAL, "has an unknown unit"},
		{"1K", -EINVAL, "has an unknown unit"}, {"1 Gi", -EINVAL, "has an unknown unit"},
		{"1.2345Gi", -EINVAL, "has more than three decimals"}, {"9223372036854775808", -ERANGE, "is too large"},
		{"8388608Ti", -ERANGE, "is too large"}, {"9999999999T", -ERANGE, "is too large"}};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int64_t bytes = 42;
		struct err err = {0};
		assert_int_equal(units_parse_size(cases[i].text, &bytes, &err), cases[i].code);
		assert_string_equal(err.text, cases[i].why);
		assert_int_equal(bytes, 42);
	}
}

static void percentages_go_from_0_to_100(void **state)
{
	static const char *const wrong[] = {
		"", "%", "85", "101%", "-1%", "8.5%", "85%%", "85 %", "99999999999999999999%"};
	int percent = -1;
	(void)state;
	assert_int_equal(units_parse_percent("0%", &percent, NULL), 0);
	assert_int_equal(percent, 0);
	assert_int_equal(units_parse_percent("100%", &percent, NULL), 0);
	assert_int_equal(percent, 100);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct err err = {0};
		assert_true(units_parse_percent(wrong[i], &percent, &err) < 0);
		assert_true(err.text[0] != '\0');
		assert_int_equal(percent, 100);
	}
}

static void factors_have_up_to_two_decimals(void **state)
{
	static const struct {
		const char *text, *back;
		int64_t hundredths;
	} right[] = {{"2", "2", 200}, {"1.5", "1.5", 150}, {"1.50", "1.5", 150}, {"0.05", "0.05", 5}, {"0", "0", 0},
		{"100.25", "100.25", 10025}};
	static const char *const wrong[] = {
		"", ".5", "1.", "1.234", "-1", "+1", "1e2", "1,5", " 1", "1.5 ", "x", "99999999999999999999"};
	char out[UNITS_TEXT_MAX];
	int64_t factor = -1;
	(void)state;
	for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
		assert_int_equal(units_parse_factor(right[i].text, &factor, NULL), 0);
		assert_int_equal(factor, right[i].hundredths);
		assert_string_equal(units_format_factor(factor, out), right[i].back);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct err err = {0};
		assert_true(units_parse_factor(wrong[i], &factor, &err) < 0);
		assert_true(err.text[0] != '\0');
		assert_int_equal(factor, 10025);
	}
}

static void format_chooses_the_form_that_people_write(void **state)
{
	char out[UNITS_TEXT_MAX];
	(void)state;
	assert_string_equal(units_format_duration(0, out), "0s");
	assert_string_equal(units_format_duration(250, out), "250ms");
	assert_string_equal(units_format_duration(1500, out), "1500ms");
	assert_string_equal(units_format_duration(30000, out), "30s");
	assert_string_equal(units_format_duration(5400000, out), "1h30m");
	assert_string_equal(units_format_duration(86400000, out), "24h");
	assert_string_equal(units_format_size(0, out), "0");
	assert_string_equal(units_format_size(2147483648, out), "2Gi");
	assert_string_equal(units_format_size(1258291200, out), "1200Mi");
	assert_string_equal(units_format_size(5000000, out), "5M");
	assert_string_equal(units_format_size(4097, out), "4097");
	assert_string_equal(units_format_percent(85, out), "85%");
}

static void what_format_writes_parse_reads_back(void **state)
{
	struct random random = {.state = 7};
	char out[UNITS_TEXT_MAX];
	(void)state;
	for (int i = 0; i < 20000; i++) {
		/* Of every magnitude, and often round. */
		static const int64_t round[] = {1, 1000, 1024, 60000, 1048576};
		int64_t number = (int64_t)(random_next(&random) >> (1 + random_below(&random, 62)));
		int64_t factor = round[random_below(&random, 5)];
		int64_t bytes = number > INT64_MAX / factor ? number : number * factor, read = -1;
		ms_t ms = bytes % (UNITS_DURATION_MAX + 1), span = -1;
		assert_int_equal(units_parse_size(units_format_size(bytes, out), &read, NULL), 0);
		assert_int_equal(read, bytes);
		assert_int_equal(units_parse_duration(units_format_duration(ms, out), &span, NULL), 0);
		assert_int_equal(span, ms);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(durations_are_read_in_every_unit),
		cmocka_unit_test(what_is_no_duration_is_refused_with_its_reason),
		cmocka_unit_test(sizes_are_read_as_kubernetes_reads_them),
		cmocka_unit_test(what_is_no_size_is_refused_with_its_reason),
		cmocka_unit_test(percentages_go_from_0_to_100),
		cmocka_unit_test(factors_have_up_to_two_decimals),
		cmocka_unit_test(format_chooses_the_form_that_people_write),
		cmocka_unit_test(what_format_writes_parse_reads_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
