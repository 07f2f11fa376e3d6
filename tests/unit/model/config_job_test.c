#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "podvisor/model/config.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* An hour ahead of UTC all the time: a file of the first version. */
/* One type (the count's last byte is the 39th), one byte of names, 3600 s ahead. */
static const unsigned char an_hour_ahead[51] = {'T', 'Z', 'i', 'f', [39] = 1, [43] = 1, [46] = 0x0e, [47] = 0x10};

static void *zone(void *ctx, const char *name, size_t *len, struct err *err)
{
	(void)ctx;
	bool there = strcmp(name, "Here/An_Hour-1") == 0, broken = strcmp(name, "broken") == 0;
	if (!there && !broken)
		return err_set(err, -ENOENT, "/zones/%s: No such file or directory", name), NULL;
	*len = sizeof(an_hour_ahead) - broken;
	void *bytes = malloc(*len);
	return memcpy(bytes, an_hour_ahead, *len);
}

static char *file(void *ctx, const char *path, struct err *err)
{
	(void)ctx;
	(void)err;
	return strdup(strcmp(path, "/zone") == 0 ? "Hunter/Two" : "hunter2");
}

static const char *variable(void *ctx, const char *name)
{
	(void)ctx;
	return strcmp(name, "KIND") == 0 ? "job" : NULL;
}

static const struct config_source source = {.variable = variable, .file = file, .zone = zone};
static struct config_report report;

/* A worker with those keys; single quotes stand for double ones. */
static struct config *parse_with(const struct config_source *from, const char *keys)
{
	char text[1024];
	snprintf(text, sizeof(text), "{'workers': {'a': {'command': ['x'], %s}}}", keys);
	for (char *c = text; *c; c++)
		*c = *c == '\'' ? '"' : *c;
	return config_parse(text, strlen(text), from, &report);
}

static struct config *must_parse(const char *keys)
{
	struct config *c = parse_with(&source, keys);
	if (!c)
		fail_msg("%s: %s", report.items[0].path, report.items[0].text);
	return c;
}

#define JOB "'kind': 'job', "
#define ZONE                                                                                                       \
	"(expected a name of the tz database, for instance \"Europe/Berlin\"; the package tzdata has it: install " \
	"tzdata)"

static void each_mistake_is_named_once_where_it_is(void **state)
{
	static const struct {
		const char *keys, *path, *text;
	} cases[] = {
		{"'kind': 'job'", "kind",
			"makes a job, which needs a time to run (expected \"schedule\" or \"every\" beside it)"},
		{"'kind': '${KIND}'", "kind",
			"makes a job, which needs a time to run (expected \"schedule\" or \"every\" beside it)"},
		{JOB "'schedule': '@daily', 'every': '5m'", "every",
			"stands beside \"schedule\" (expected only one of them)"},
		{JOB "'every': '5m', 'timezone': 'Here/An_Hour-1'", "timezone",
			"belongs to a \"schedule\"; an interval has no time zone"},
		{JOB "'schedule': '61 * * * *'", "schedule",
			"\"61 * * * *\" is wrong at character 1: the minute is out of range (expected 0 to 59)"},
		{JOB "'schedule': '0 0 30 2 *'", "schedule",
			"\"0 0 30 2 *\" never comes (expected a day of the month that its months have)"},
		{JOB "'schedule': ''", "schedule",
			"is empty (expected a cron expression of five fields, for instance \"*/15 * * * *\")"},
		{JOB "'schedule': '${file:/run/schedule}'", "schedule",
			"the value has 1 field (expected 5: minute, hour, day of the month, month, day of the week)"},
		{JOB "'every': '99ms'", "every",
			"\"99ms\" is too small (expected a duration, for instance \"250ms\", \"30s\", \"5m\" or "
			"\"12h\", at least \"100ms\", or \"none\")"},
		{JOB "'schedule': '@daily', 'timezone': 'Europe/Berln'", "timezone",
			"\"Europe/Berln\" is not there: /zones/Europe/Berln: No such file or directory " ZONE},
		{JOB "'schedule': '@daily', 'timezone': '${file:/zone}'", "timezone", "the value is not there " ZONE},
		{JOB "'schedule': '@daily', 'timezone': 'broken'", "timezone",
			"\"broken\" is no time zone: is cut off " ZONE},
		{JOB "'schedule': '@daily', 'timezone': '../../etc/passwd'", "timezone",
			"\"../../etc/passwd\" does not fit (expected the name of a time zone, for instance "
			"\"Europe/Berlin\")"},
		{JOB "'schedule': '@daily', 'timezone': '/etc/localtime'", "timezone",
			"\"/etc/localtime\" does not fit (expected the name of a time zone, for instance "
			"\"Europe/Berlin\")"},
		{JOB "'schedule': '@daily', 'instances': 2", "instances",
			"2 do not fit a job, which runs once at a time (expected 1)"},
		{JOB "'schedule': '@daily', 'restart': {'policy': 'always'}", "restart.policy",
			"\"always\" does not fit a job, which its schedule starts again (expected \"on-failure\" or "
			"\"never\")"},
		{"'every': '5m'", "every", "belongs to a job (expected \"kind\": \"job\" beside it)"},
		{"'kind': 'task', 'schedule': '61 * * * *'", "schedule",
			"belongs to a job (expected \"kind\": \"job\" beside it)"},
		{"'kind': 'service', 'timezone': 'UTC'", "timezone",
			"belongs to a job (expected \"kind\": \"job\" beside it)"},
		{"'overlap': 'skip'", "overlap", "belongs to a job (expected \"kind\": \"job\" beside it)"},
		{"'deadline': 'none'", "deadline", "belongs to a job (expected \"kind\": \"job\" beside it)"},
		{"'kind': 'jop', 'schedule': '@daily'", "kind",
			"\"jop\" is not known (expected one of \"service\", \"task\", \"job\"; did you mean \"job\"?)"},
	};
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char path[64];
		snprintf(path, sizeof(path), "workers.a.%s", cases[i].path);
		if (parse_with(&source, cases[i].keys))
			fail_msg("%s is taken", cases[i].keys);
		assert_string_equal(report.items[0].text, cases[i].text);
		assert_string_equal(report.items[0].path, path);
		if (report.count != 1)
			fail_msg("%s: also %s", cases[i].keys, report.items[1].text);
	}
}

static void who_reads_no_zones_knows_utc_alone(void **state)
{
	static const struct config_source poor = {0};
	(void)state;
	assert_null(parse_with(&poor, JOB "'schedule': '@daily', 'timezone': 'Europe/Berlin'"));
	assert_string_equal(report.items[0].text, "\"Europe/Berlin\" is not there: nobody reads time zones here " ZONE);
	struct config *c = parse_with(&poor, JOB "'schedule': '@daily', 'timezone': 'UTC'");
	assert_non_null(c);
	assert_null(c->workers[0].zone);
	config_release(c);
}

static void a_schedule_arrives_in_the_form_that_it_is_run_from(void **state)
{
	(void)state;
	struct config *c = must_parse(JOB "'schedule': '30 2 * * *', 'timezone': 'Here/An_Hour-1', 'overlap': "
					  "'replace', 'deadline': '1h'");
	const struct config_worker *w = &c->workers[0];
	assert_int_equal(cron_next(&w->cron, w->zone, 0), 90 * 60);
	assert_int_equal(w->overlap, JOB_OVERLAP_REPLACE);
	assert_int_equal(w->deadline, 3600 * 1000);
	assert_int_equal(w->every, 0);
	config_release(c);
}

static void a_job_is_not_started_again_unless_it_says_so(void **state)
{
	(void)state;
	struct config *c = must_parse(JOB "'every': '5m'");
	assert_int_equal(c->workers[0].restart.policy, RESTART_NEVER);
	config_release(c);
	c = must_parse(JOB "'every': '5m', 'restart': {'policy': 'on-failure'}");
	assert_int_equal(c->workers[0].restart.policy, RESTART_ON_FAILURE);
	config_release(c);
	c = must_parse("'kind': 'service'");
	assert_int_equal(c->workers[0].restart.policy, RESTART_ALWAYS);
	config_release(c);
}

static void what_is_printed_is_read_again_and_says_nothing_of_jobs_elsewhere(void **state)
{
	static const char *const all[] = {JOB "'every': '5m', 'deadline': '1m'", JOB "'schedule': '@hourly'",
		JOB "'schedule': '5 4 * * sun', 'timezone': 'Here/An_Hour-1', 'overlap': 'queue'", "'kind': 'task'"};
	(void)state;
	for (size_t i = 0; i < COUNT(all); i++) {
		struct config *c = must_parse(all[i]);
		char *text = config_print(c);
		struct config *again = config_parse(text, strlen(text), &source, &report);
		if (!again)
			fail_msg("%s: %s", report.items[0].path, report.items[0].text);
		assert_true(config_equal(c, again));
		assert_true((strstr(text, "\"overlap\"") != NULL) == (c->workers[0].kind == WORKER_JOB));
		assert_null(strstr(text, "\"none\",\n      \"overlap\""));
		free(text);
		config_release(again);
		config_release(c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_mistake_is_named_once_where_it_is),
		cmocka_unit_test(who_reads_no_zones_knows_utc_alone),
		cmocka_unit_test(a_schedule_arrives_in_the_form_that_it_is_run_from),
		cmocka_unit_test(a_job_is_not_started_again_unless_it_says_so),
		cmocka_unit_test(what_is_printed_is_read_again_and_says_nothing_of_jobs_elsewhere),
	};
	return cmocka_run_group_tests_name("config_job", tests, NULL, NULL);
}
