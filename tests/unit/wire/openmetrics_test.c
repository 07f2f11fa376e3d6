#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "podvisor/wire/openmetrics.h"

static struct buf out;

static struct openmetrics begin(enum openmetrics_format format)
{
	struct openmetrics m;
	buf_init(&out, 65536);
	openmetrics_init(&m, format, &out);
	return m;
}

static void expect(const char *text)
{
	assert_string_equal(buf_str(&out), text);
	buf_fini(&out);
}

static void a_gauge_has_help_type_and_samples(void **state)
{
	(void)state;
	struct openmetrics m = begin(OPENMETRICS_PROMETHEUS);
	struct openmetrics_label labels[] = {{"worker", "api"}, {"state", "ready"}};
	openmetrics_family(&m, "x_ready", OPENMETRICS_GAUGE, NULL, "Whether.");
	openmetrics_count(&m, 1, labels, 2);
	openmetrics_count(&m, -7, NULL, 0);
	openmetrics_end(&m);
	expect("# HELP x_ready Whether.\n# TYPE x_ready gauge\nx_ready{worker=\"api\",state=\"ready\"} 1\nx_ready "
	       "-7\n");
}

static void a_counter_ends_in_total_and_its_family_only_for_prometheus(void **state)
{
	(void)state;
	struct openmetrics m = begin(OPENMETRICS_PROMETHEUS);
	openmetrics_family(&m, "x_cpu_seconds", OPENMETRICS_COUNTER, "seconds", "h");
	openmetrics_number(&m, 1.5, NULL, 0);
	openmetrics_end(&m);
	expect("# HELP x_cpu_seconds_total h\n# TYPE x_cpu_seconds_total counter\nx_cpu_seconds_total 1.5\n");
	m = begin(OPENMETRICS_1_0);
	openmetrics_family(&m, "x_cpu_seconds", OPENMETRICS_COUNTER, "seconds", "h");
	openmetrics_number(&m, 1.5, NULL, 0);
	openmetrics_end(&m);
	expect("# HELP x_cpu_seconds h\n# TYPE x_cpu_seconds counter\n# UNIT x_cpu_seconds seconds\n"
	       "x_cpu_seconds_total 1.5\n# EOF\n");
}

static void an_info_is_a_gauge_for_prometheus(void **state)
{
	(void)state;
	struct openmetrics_label version = {"version", "1"};
	struct openmetrics m = begin(OPENMETRICS_PROMETHEUS);
	openmetrics_family(&m, "x_build", OPENMETRICS_INFO, NULL, "h");
	openmetrics_count(&m, 1, &version, 1);
	expect("# HELP x_build_info h\n# TYPE x_build_info gauge\nx_build_info{version=\"1\"} 1\n");
	m = begin(OPENMETRICS_1_0);
	openmetrics_family(&m, "x_build", OPENMETRICS_INFO, NULL, "h");
	openmetrics_count(&m, 1, &version, 1);
	expect("# HELP x_build h\n# TYPE x_build info\nx_build_info{version=\"1\"} 1\n");
}

static void label_values_and_help_are_escaped(void **state)
{
	(void)state;
	struct openmetrics_label label = {"l", "a\"b\\c\nd"};
	struct openmetrics m = begin(OPENMETRICS_PROMETHEUS);
	openmetrics_family(&m, "x", OPENMETRICS_GAUGE, NULL, "say \"no\"\\\n");
	openmetrics_count(&m, 0, &label, 1);
	expect("# HELP x say \"no\"\\\\\\n\n# TYPE x gauge\nx{l=\"a\\\"b\\\\c\\nd\"} 0\n");
	m = begin(OPENMETRICS_1_0);
	openmetrics_family(&m, "x", OPENMETRICS_GAUGE, NULL, "say \"no\"");
	expect("# HELP x say \\\"no\\\"\n# TYPE x gauge\n");
}

static void a_histogram_is_cumulative_and_ends_with_infinity(void **state)
{
	(void)state;
	static const double bounds[] = {0.5, 1};
	static const uint64_t buckets[] = {2, 0, 3};
	struct openmetrics_label label = {"rung", "network"};
	struct openmetrics m = begin(OPENMETRICS_PROMETHEUS);
	m.family = "h";
	openmetrics_histogram(&m, bounds, 2, buckets, 12.25, &label, 1);
	expect("h_bucket{rung=\"network\",le=\"0.5\"} 2\nh_bucket{rung=\"network\",le=\"1\"} 2\n"
	       "h_bucket{rung=\"network\",le=\"+Inf\"} 5\nh_sum{rung=\"network\"} 12.25\nh_count{rung=\"network\"} "
	       "5\n");
	m = begin(OPENMETRICS_1_0);
	m.family = "h";
	openmetrics_histogram(&m, bounds, 2, buckets, 12.25, NULL, 0);
	expect("h_bucket{le=\"0.5\"} 2\nh_bucket{le=\"1.0\"} 2\nh_bucket{le=\"+Inf\"} 5\nh_sum 12.25\nh_count 5\n");
}

static void numbers_are_written_as_short_as_they_can_be_read_back(void **state)
{
	(void)state;
	struct openmetrics m = begin(OPENMETRICS_PROMETHEUS);
	m.family = "n";
	openmetrics_number(&m, 0.1, NULL, 0);
	openmetrics_number(&m, 1.0 / 3, NULL, 0);
	openmetrics_number(&m, 1e300, NULL, 0);
	openmetrics_number(&m, INFINITY, NULL, 0);
	openmetrics_number(&m, -INFINITY, NULL, 0);
	openmetrics_number(&m, NAN, NULL, 0);
	openmetrics_count(&m, INT64_MAX, NULL, 0);
	expect("n 0.1\nn 0.33333333333333331\nn 1e+300\nn +Inf\nn -Inf\nn NaN\nn 9223372036854775807\n");
}

static enum openmetrics_format choose(const char *accept)
{
	return openmetrics_choose(span_of(accept));
}

static void the_accept_header_decides_the_format(void **state)
{
	(void)state;
	assert_int_equal(choose(""), OPENMETRICS_PROMETHEUS);
	assert_int_equal(choose("*/*"), OPENMETRICS_PROMETHEUS);
	assert_int_equal(choose("text/html,application/xhtml+xml"), OPENMETRICS_PROMETHEUS);
	assert_int_equal(choose("application/openmetrics-text"), OPENMETRICS_1_0);
	assert_int_equal(choose("Application/OpenMetrics-Text; Version=1.0.0"), OPENMETRICS_1_0);
	assert_int_equal(choose("application/openmetrics-text;version=0.0.1"), OPENMETRICS_PROMETHEUS);
	assert_int_equal(choose("application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;"
				"q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"),
		OPENMETRICS_1_0);
	assert_int_equal(choose("application/openmetrics-text;q=0.2, text/plain;q=0.9"), OPENMETRICS_PROMETHEUS);
	assert_int_equal(choose("text/plain;q=0.9 , application/openmetrics-text ; q=0.95"), OPENMETRICS_1_0);
	assert_int_equal(choose("application/openmetrics-text;q=0"), OPENMETRICS_PROMETHEUS);
	assert_int_equal(choose(",;,=;q"), OPENMETRICS_PROMETHEUS);
}

static void a_full_buffer_is_seen_and_never_passed(void **state)
{
	(void)state;
	struct buf small;
	struct openmetrics m;
	buf_init(&small, 30);
	openmetrics_init(&m, OPENMETRICS_PROMETHEUS, &small);
	openmetrics_family(&m, "x", OPENMETRICS_GAUGE, NULL, "a help that is longer than the buffer");
	openmetrics_count(&m, 1, NULL, 0);
	assert_true(small.failed < 0);
	assert_true(small.len <= 30);
	buf_fini(&small);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_gauge_has_help_type_and_samples),
		cmocka_unit_test(a_counter_ends_in_total_and_its_family_only_for_prometheus),
		cmocka_unit_test(an_info_is_a_gauge_for_prometheus),
		cmocka_unit_test(label_values_and_help_are_escaped),
		cmocka_unit_test(a_histogram_is_cumulative_and_ends_with_infinity),
		cmocka_unit_test(numbers_are_written_as_short_as_they_can_be_read_back),
		cmocka_unit_test(the_accept_header_decides_the_format),
		cmocka_unit_test(a_full_buffer_is_seen_and_never_passed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
