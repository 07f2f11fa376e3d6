#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "podvisor/model/config_diff.h"

static const char *variable(void *ctx, const char *name)
{
	(void)ctx;
	return strcmp(name, "API_TOKEN") == 0 ? "sesame" : NULL;
}

static struct config *parse(const char *text)
{
	static struct config_report report;
	const struct config_source source = {.variable = variable};
	struct config *c = config_parse(text, strlen(text), &source, &report);
	if (!c)
		fail_msg("%s: %s", report.items[0].path, report.items[0].text);
	return c;
}

/* The keys that differ between a worker "w" that is "cat" with this, and with that. */
static void check_worker(const char *before, const char *after, const char *expected)
{
	char text[512];
	struct buf out;
	snprintf(text, sizeof(text), "{\"workers\":{\"w\":{\"command\":[\"cat\"]%s}}}", before);
	struct config *a = parse(text);
	snprintf(text, sizeof(text), "{\"workers\":{\"w\":{\"command\":[\"cat\"]%s}}}", after);
	struct config *b = parse(text);
	buf_init(&out, 4096);
	config_diff_worker(a, &a->workers[0], b, &b->workers[0], &out);
	assert_string_equal(buf_str(&out), expected);
	buf_fini(&out);
	config_release(a);
	config_release(b);
}

static void equal_workers_have_no_difference(void **state)
{
	(void)state;
	check_worker("", "", "");
	check_worker(",\"restart\":{\"policy\":\"always\"}", "", "");
}

static void plain_values_are_told_as_they_were_and_are(void **state)
{
	(void)state;
	check_worker("", ",\"critical\":true,\"stop\":{\"signal\":\"SIGINT\",\"timeout\":\"1m\"}",
		"stop.signal SIGTERM -> SIGINT, stop.timeout 10s -> 1m, critical false -> true");
	check_worker("", ",\"cwd\":\"/srv\"", "cwd none -> /srv");
	check_worker("", ",\"limits\":{\"open_files\":100}", "limits.open_files inherit -> 100");
}

static void lists_are_named(void **state)
{
	(void)state;
	check_worker("", ",\"env_files\":[\"/a\"]", "env_files");
}

static void variables_are_named_with_what_happens_to_them(void **state)
{
	(void)state;
	check_worker(",\"env\":{\"A\":\"1\",\"B\":\"1\",\"C\":\"1\"}", ",\"env\":{\"B\":\"2\",\"C\":\"1\",\"D\":\"1\"}",
		"-env.A, env.B, +env.D");
}

static void a_section_that_comes_or_goes_is_told_whole(void **state)
{
	(void)state;
	const char *readiness = ",\"readiness\":{\"tcp\":\"127.0.0.1:1\"}";
	check_worker("", readiness, "+readiness");
	check_worker(readiness, "", "-readiness");
	check_worker(readiness, ",\"readiness\":{\"tcp\":\"127.0.0.1:2\"}", "readiness.tcp 127.0.0.1:1 -> 127.0.0.1:2");
}

static void secrets_and_long_texts_are_named_only(void **state)
{
	(void)state;
	check_worker("", ",\"cwd\":\"/${API_TOKEN}\"", "cwd");
	check_worker("", ",\"cwd\":\"/a-very-long-path-that-nobody-wants-to-read-here\"", "cwd");
	check_worker("", ",\"readiness\":{\"http\":\"http://u:pw@h/\"}", "+readiness");
	check_worker(",\"readiness\":{\"http\":\"http://h/\"}", ",\"readiness\":{\"http\":\"http://u:hunter2@h/\"}",
		"readiness.http http://h/ -> http://u:***@h/");
}

static void check_part(const char *before, const char *after, const char *name, const char *expected)
{
	struct config *a = parse(before), *b = parse(after);
	struct buf out;
	buf_init(&out, 4096);
	config_diff_part(a, b, name, &out);
	assert_string_equal(buf_str(&out), expected);
	buf_fini(&out);
	config_release(a);
	config_release(b);
}

static void a_part_of_the_whole_is_compared_alone(void **state)
{
	(void)state;
	const char *after = "{\"log\":{\"level\":\"warn\"},\"shutdown\":{\"deadline\":\"9s\"},\"instance\":\"x\"}";
	check_part("{}", after, "log", "level info -> warn");
	check_part("{}", after, "shutdown", "deadline 55s -> 9s");
	check_part("{}", after, "instance", "none -> x");
	check_part("{}", after, "memory", "");
	check_part("{}", "{\"instance\":\"${API_TOKEN}\"}", "instance", "another");
	check_part("{}", "{\"control\":{\"token\":\"sesame\"}}", "control", "token");
}

static void browsers_are_compared(void **state)
{
	(void)state;
	const char *const form = "{\"volumes\":{\"v\":{\"path\":\"/v\",\"size\":\"1Gi\"}},"
				 "\"browsers\":{\"c\":{\"volume\":\"v\"%s}}}";
	char text[256];
	snprintf(text, sizeof(text), form, "");
	struct config *a = parse(text);
	snprintf(text, sizeof(text), form, ",\"token\":\"sesame\",\"critical\":true");
	struct config *b = parse(text);
	struct buf out;
	buf_init(&out, 4096);
	config_diff_browser(a, &a->browsers[0], b, &b->browsers[0], &out);
	assert_string_equal(buf_str(&out), "token, critical false -> true");
	buf_fini(&out);
	config_release(a);
	config_release(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_workers_have_no_difference),
		cmocka_unit_test(plain_values_are_told_as_they_were_and_are),
		cmocka_unit_test(lists_are_named),
		cmocka_unit_test(variables_are_named_with_what_happens_to_them),
		cmocka_unit_test(a_section_that_comes_or_goes_is_told_whole),
		cmocka_unit_test(secrets_and_long_texts_are_named_only),
		cmocka_unit_test(a_part_of_the_whole_is_compared_alone),
		cmocka_unit_test(browsers_are_compared),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
