#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "podvisor/model/config.h"

static struct config_report report;

/* Single quotes stand for double ones. */
static struct config *parse(const char *text)
{
	const struct config_source nothing = {0};
	char *copy = strdup(text);
	for (char *c = copy; *c; c++)
		if (*c == '\'')
			*c = '"';
	struct config *config = config_parse(copy, strlen(copy), &nothing, &report);
	if (!config)
		fail_msg("%s: %s", report.items[0].path, report.items[0].text);
	free(copy);
	return config;
}

/* warning: a part of the only one; NULL: there is none. */
static void check(const char *text, const char *path, const char *warning)
{
	config_release(parse(text));
	if (report.count != (warning != NULL) || (warning && !strstr(report.items[0].text, warning)))
		print_error(
			"%s: %zu warnings, %s: %s\n", text, report.count, report.items[0].path, report.items[0].text);
	assert_int_equal(report.count, warning != NULL);
	if (!warning)
		return;
	assert_string_equal(report.items[0].path, path);
	assert_non_null(strstr(report.items[0].text, warning));
	assert_memory_equal(report.items[0].text, "warning: ", 9);
}

#define GATEWAY(settings) \
	"'gateway': {'listen': '127.0.0.1:1', 'routes': [{'path': '/', 'to': '127.0.0.1:2'}]" settings "}"
#define ONE(keys)      "'a': {'command': ['x']" keys "}"
#define AFTER(timeout) ", 'stop': {'phase': 'after-drain', 'timeout': '" timeout "'}"
#define STOP(timeout)  ", 'stop': {'timeout': '" timeout "'}"

static void what_fits_is_no_warning(void **state)
{
	(void)state;
	check("{}", NULL, NULL);
	check("{'workers': {" ONE("") "}}", NULL, NULL);
	check("{'workers': {" ONE("") "}, " GATEWAY("") "}", NULL, NULL);
	check("{'workers': {" ONE(STOP("54s")) "}}", NULL, NULL);
	check("{'workers': {" ONE(AFTER("10s")) "}, " GATEWAY("") "}", NULL, NULL);
	check("{'workers': {" ONE(
		      STOP("20s")) ", 'b': {'command': ['x'], 'depends_on': ['a'], 'stop': {'timeout': '30s'}}}}",
		NULL, NULL);
	/* What ends beside the drain takes nothing of it. */
	check("{'workers': {" ONE(AFTER("10s")) ", 'b': {'command': ['x'], 'depends_on': ['a'], 'stop': {'timeout': "
						"'30s'}}}, " GATEWAY("") "}",
		NULL, NULL);
	/* A task is over before those behind it run. */
	check("{'workers': {" ONE(", 'kind': 'task'" STOP("1h")) "}}", NULL, NULL);
	check("{'shutdown': {'deadline': '2h'}, 'workers': {" ONE(STOP("1h")) "}}", NULL, NULL);
}

static void what_does_not_fit_is_a_warning_at_the_first_that_may_be_killed(void **state)
{
	(void)state;
	check("{'workers': {" ONE(STOP("55s")) "}}", "workers.a.stop.timeout",
		"it may be killed before its stop.timeout 55s is over: a 55s = 55s (expected to end a second before "
		"shutdown.deadline 55s)");
	check("{'shutdown': {'deadline': '5s'}, 'workers': {" ONE("") "}}", "workers.a", "a 10s = 10s");
	check("{'shutdown': {'deadline': '5s'}, 'workers': {" ONE(", 'stop': {'signal': 'SIGINT'}") "}}",
		"workers.a.stop", "a 10s = 10s");
	check("{'workers': {" ONE(
		      STOP("30s")) ", 'b': {'command': ['x'], 'depends_on': ['a'], 'stop': {'timeout': '30s'}}}}",
		"workers.a.stop.timeout", "b 30s + a 30s = 1m ");
	/* Behind the first of a chain nobody has to be told. */
	check("{'workers': {" ONE(
		      STOP("1s")) ", 'b': {'command': ['x'], 'depends_on': ['a'], 'stop': {'timeout': '1h'}}}}",
		"workers.b.stop.timeout", "b 1h = 1h ");
	check("{'workers': {" ONE(STOP("30s")) ", 'b': {'command': ['x'], 'depends_on': ['a']" AFTER(
		      "10s") "}}, " GATEWAY(", 'drain': {'spread': '10s'}") "}",
		"workers.a.stop.timeout", "drain 20s + b 10s + a 30s = 1m ");
}

static void a_drain_that_has_to_be_shortened_is_a_warning(void **state)
{
	(void)state;
	check("{'shutdown': {'deadline': '35s'}, 'workers': {" ONE(AFTER("10s")) "}, " GATEWAY("") "}", "gateway",
		"the drain is shortened: lame_duck, spread and close_timeout take 30s (expected at most 24s, which "
		"shutdown.deadline 35s leaves beside the workers that stop after it)");
}

static void the_share_of_those_that_stop_after_the_drain_is_that_of_their_longest_chain(void **state)
{
	(void)state;
	struct config *c =
		parse("{'workers': {" ONE(AFTER("10s")) ", 'b': {'command': ['x'], 'depends_on': ['a']" AFTER(
			"5s") "}, 'c': {'command': ['x'], 'depends_on': ['b'], 'stop': {'timeout': '20s'}}, 'd': "
			      "{'command': "
			      "['x']" AFTER("12s") "}}}");
	assert_int_equal(c->shutdown.stop_share, 16000);
	config_release(c);
	/* One that could stop at once, but has to wait for one that does not. */
	c = parse("{'workers': {" ONE(STOP("7s")) ", 'b': {'command': ['x'], 'depends_on': ['a']" AFTER("5s") "}}}");
	assert_int_equal(c->shutdown.stop_share, 13000);
	config_release(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_fits_is_no_warning),
		cmocka_unit_test(what_does_not_fit_is_a_warning_at_the_first_that_may_be_killed),
		cmocka_unit_test(a_drain_that_has_to_be_shortened_is_a_warning),
		cmocka_unit_test(the_share_of_those_that_stop_after_the_drain_is_that_of_their_longest_chain),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
