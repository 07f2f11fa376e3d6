#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <signal.h>

#include "podvisor/model/config.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Tests run at the root of the repository. */
#define FIXTURES "tests/fixtures/config/"

static struct config_report report;

static const char *variable(void *ctx, const char *name)
{
	static const char *const known[][2] = {{"HOSTNAME", "pod-7"},
		{"DATABASE_URL", "postgres://u:hunter2@db/backend"}, {"EMPTY", ""}, {"N", "7"}, {"YES", "true"},
		{"LATIN", "\xe9"}, {"SMTP_PASSWORD", "hunter2"}, {"MY_TOKEN", "s3cretvalue"}};
	(void)ctx;
	for (size_t i = 0; i < COUNT(known); i++)
		if (strcmp(known[i][0], name) == 0)
			return known[i][1];
	return NULL;
}

static char *file(void *ctx, const char *path, struct err *err)
{
	(void)ctx;
	if (strcmp(path, "/run/secrets/token") == 0)
		return strdup("hunter2\n");
	if (strcmp(path, "/run/secrets/dsn") == 0)
		return strdup("postgres://u:hunter2@db/backend\r\n\n");
	if (strcmp(path, "/two/lines") == 0)
		return strdup("first-line\nsecond-line\n");
	if (strcmp(path, "/run/secrets/binary") == 0)
		return strdup("\xff\xfe");
	err_set(err, -ENOENT, "%s: No such file or directory", path);
	return NULL;
}

static const char *no_variable(void *ctx, const char *name)
{
	(void)ctx;
	(void)name;
	return NULL;
}

static const struct config_source source = {.variable = variable, .file = file};

/* In memory of exactly its size, so that a read past its end is seen. */
static struct config *parse_bytes(const char *text, size_t len)
{
	char *copy = malloc(len ? len : 1);
	memcpy(copy, text, len);
	struct config *c = config_parse(copy, len, &source, &report);
	free(copy);
	return c;
}

static struct config *parse(const char *text)
{
	return parse_bytes(text, strlen(text));
}

/* Single quotes stand for double ones. */
static struct config *parse_quoted(const char *text)
{
	char *copy = strdup(text);
	for (char *c = copy; *c; c++)
		if (*c == '\'')
			*c = '"';
	struct config *c = parse(copy);
	free(copy);
	return c;
}

static struct config *must_parse(const char *text)
{
	struct config *c = parse_quoted(text);
	if (!c)
		print_error("%d:%d %s: %s\n", report.items[0].line, report.items[0].column, report.items[0].path,
			report.items[0].text);
	assert_non_null(c);
	assert_int_equal(report.count, 0);
	assert_int_equal(report.more, 0);
	return c;
}

static char *read_file(const char *path, size_t *len)
{
	FILE *f = fopen(path, "rb");
	if (!f)
		print_error("cannot open %s\n", path);
	assert_non_null(f);
	char *text = calloc(1, 1 << 20);
	*len = fread(text, 1, (1 << 20) - 1, f);
	fclose(f);
	return text;
}

static struct config *parse_fixture(const char *name)
{
	char path[128];
	size_t len;
	snprintf(path, sizeof(path), FIXTURES "%s", name);
	char *text = read_file(path, &len);
	struct config *c = parse_bytes(text, len);
	free(text);
	return c;
}

struct mistake {
	int line, column;
	const char *path, *text;
};

static void assert_mistakes(const struct config *c, const struct mistake *expected, size_t n)
{
	assert_null(c);
	for (size_t i = 0; i < n && i < report.count; i++) {
		const struct config_mistake *m = &report.items[i];
		if (m->line != expected[i].line || m->column != expected[i].column)
			print_error("%d:%d %s: %s\n", m->line, m->column, m->path, m->text);
		assert_string_equal(m->path, expected[i].path);
		assert_string_equal(m->text, expected[i].text);
		assert_int_equal(m->line, expected[i].line);
		assert_int_equal(m->column, expected[i].column);
	}
	assert_int_equal(report.count, n);
	assert_int_equal(report.more, 0);
}

/* The one mistake of a text (in single quotes). */
static void assert_one(const char *text, const char *path, const char *sentence)
{
	struct config *c = parse_quoted(text);
	assert_null(c);
	if (report.count != 1)
		for (size_t i = 0; i < report.count; i++)
			print_error("%s: %s\n", report.items[i].path, report.items[i].text);
	assert_string_equal(report.items[0].path, path);
	assert_string_equal(report.items[0].text, sentence);
	assert_int_equal(report.count, 1);
}

/* --- the broken files, word by word --- */

#define A_DURATION "a duration, for instance \"250ms\", \"30s\", \"5m\" or \"12h\""
#define LEASE_RULE "(expected renew + attempt < drain_at < kill_at <= 80% of ttl)"

static void bad_json_is_named_with_its_place(void **state)
{
	const struct mistake expected[] = {{3, 47, "", "is not JSON: '}' expected"}};
	(void)state;
	assert_mistakes(parse_fixture("bad_json.json"), expected, COUNT(expected));
}

static void an_unknown_key_is_named_with_the_nearest_known_one(void **state)
{
	const struct mistake expected[] = {
		{4, 7, "workers.api.comand", "unknown key \"comand\" (did you mean \"command\"?)"},
		{8, 3, "metrics",
			"unknown key \"metrics\" (known here: \"$schema\", \"instance\", \"control\", \"log\", "
			"\"shutdown\", "
			"\"memory\", \"volumes\", \"postgres\", \"leases\", \"browsers\", \"workers\", \"gateway\")"}};
	(void)state;
	assert_mistakes(parse_fixture("unknown_key.json"), expected, COUNT(expected));
}

static void a_wrong_type_is_named_with_the_right_one(void **state)
{
	const struct mistake expected[] = {{4, 18, "workers.api.command", "is a string (expected a list of strings)"},
		{5, 19, "workers.api.critical", "is a string (expected true or false)"},
		{6, 20, "workers.api.instances", "is a string (expected a whole number, 1 to 4096)"},
		{7, 24, "workers.api.env.PORT", "is a number (expected a string)"},
		{8, 15, "workers.api.stop", "is a list (expected an object)"}};
	(void)state;
	assert_mistakes(parse_fixture("wrong_type.json"), expected, COUNT(expected));
}

static void a_bad_unit_is_named_with_good_ones(void **state)
{
	const struct mistake expected[] = {{3, 38, "volumes.tmp.size",
						   "\"1GB\" has an unknown unit (expected a size, for instance "
						   "\"512Mi\" or \"2Gi\", at least \"4Ki\")"},
		{8, 28, "workers.api.stop.timeout", "\"10 seconds\" has an unknown unit (expected " A_DURATION ")"},
		{9, 44, "workers.api.restart.backoff.initial",
			"\"5\" has no unit (expected " A_DURATION ", at least \"1ms\")"},
		{9, 59, "workers.api.restart.backoff.jitter",
			"\"20\" has no percent sign (expected a percentage, for instance \"85%\")"}};
	(void)state;
	assert_mistakes(parse_fixture("bad_unit.json"), expected, COUNT(expected));
}

static void a_cycle_is_spelled_out_where_it_begins(void **state)
{
	const struct mistake expected[] = {{3, 68, "workers.api.depends_on",
		"the workers wait for each other in a circle: api -> valuation -> indexer -> api"}};
	(void)state;
	assert_mistakes(parse_fixture("cycle.json"), expected, COUNT(expected));
}

static void a_name_that_nothing_has_is_named_with_the_nearest(void **state)
{
	const struct mistake expected[] = {
		{4, 39, "browsers.chrome.volume",
			"there is no volume of the name \"chrome\" (expected one that is configured)"},
		{5, 29, "leases.postgres", "there is no postgres of the name \"mian\" (did you mean \"main\"?)"},
		{9, 22, "workers.api.depends_on[0]",
			"there is no postgres of the name \"mian\" (did you mean \"main\"?)"},
		{9, 39, "workers.api.depends_on[1]",
			"there is no volume of the name \"tmp\" (expected one that is configured)"},
		{9, 71, "workers.api.depends_on[3]",
			"\"database:main\" refers to nothing that can stand here (expected \"NAME\", \"worker:NAME\", "
			"\"postgres:NAME\", \"volume:NAME\", \"browser:NAME\")"},
		{9, 88, "workers.api.depends_on[4]",
			"there is no worker of the name \"indexer\" (expected one that is configured)"},
		{14, 42, "gateway.routes[0].worker",
			"there is no worker of the name \"apis\" (did you mean \"api\"?)"}};
	(void)state;
	assert_mistakes(parse_fixture("missing_dependency.json"), expected, COUNT(expected));
}

static void every_duplicate_key_is_named_with_the_first(void **state)
{
	const struct mistake expected[] = {{5, 32, "workers.api.env.PORT", "duplicate key \"PORT\" (first on line 5)"},
		{7, 7, "workers.api.critical", "duplicate key \"critical\" (first on line 6)"},
		{9, 5, "workers.api", "duplicate key \"api\" (first on line 3)"}};
	(void)state;
	assert_mistakes(parse_fixture("duplicate_key.json"), expected, COUNT(expected));
}

static void lease_times_that_do_not_fit_are_named_with_the_figures(void **state)
{
	const struct mistake expected[] = {
		{8, 17, "leases.drain_at", "renew 4s + attempt 3s = 7s is not less than drain_at 6s " LEASE_RULE},
		{9, 16, "leases.kill_at", "kill_at 9s is more than 80% of ttl 10s = 8s " LEASE_RULE}};
	(void)state;
	assert_mistakes(parse_fixture("lease_times.json"), expected, COUNT(expected));
}

static void files_and_variables_that_are_not_there_are_named(void **state)
{
	const struct mistake expected[] = {
		{3, 22, "postgres.main.dsn", "cannot be read: /nonexistent/podvisor/dsn: No such file or directory"},
		{5, 25, "control.token",
			"needs the environment variable PODVISOR_TEST_UNSET_TOKEN, which is not set "
			"(${PODVISOR_TEST_UNSET_TOKEN:-default} would give it a default)"}};
	(void)state;
	assert_mistakes(parse_fixture("unreadable_file.json"), expected, COUNT(expected));
}

static void an_empty_file_is_no_configuration(void **state)
{
	const struct mistake expected[] = {{1, 1, "", "the file is empty (expected a JSON object)"}};
	(void)state;
	assert_mistakes(parse_fixture("empty.json"), expected, COUNT(expected));
	assert_mistakes(parse(" \r\n\t\n"), expected, COUNT(expected));
}

static void all_mistakes_of_a_file_are_named_in_its_order(void **state)
{
#define TARGET   "HOST:PORT or unix:PATH (at most 107 bytes), for instance \"127.0.0.1:3000\""
#define ONE_KIND "\"http\", \"tcp\", \"exec\", \"file\", \"notify\")"
	const struct mistake expected[] = {
		{2, 26, "control.listen",
			"\"9400\" does not fit (expected HOST:PORT, for instance \"127.0.0.1:3000\")"},
		{2, 34, "control.sokcet", "unknown key \"sokcet\" (did you mean \"socket\"?)"},
		{3, 21, "log.level",
			"\"inof\" is not known (expected one of \"debug\", \"info\", \"warn\", \"error\"; did you mean "
			"\"info\"?)"},
		{5, 45, "browsers.chrome.listen",
			"is open to other hosts (expected a loopback address, or a \"token\")"},
		{5, 96, "browsers.chrome.client_close",
			"\"detatch\" is not known (expected one of \"detach\", \"allow\"; did you mean \"detach\"?)"},
		{8, 25, "workers.api.command", "is empty (expected at least one string)"},
		{8, 29, "workers.api.kind",
			"makes a job, which needs a time to run (expected \"schedule\" or \"every\" beside it)"},
		{8, 64, "workers.api.stop.signal",
			"\"SIGFOO\" is not a signal (expected a signal, for instance \"SIGTERM\")"},
		{9, 5, "workers.a b",
			"\"a b\" is no name (expected at most 48 letters, digits, \".\", \"_\" and \"-\", a letter or "
			"digit "
			"first)"},
		{10, 16, "workers.indexer.command", "is missing (the key \"command\" is required)"},
		{11, 20, "workers.indexer.readiness", "checks more than one thing (expected only one of " ONE_KIND},
		{11, 93, "workers.indexer.readiness.interval",
			"\"0s\" is too small (expected " A_DURATION ", at least \"10ms\")"},
		{12, 19, "workers.indexer.liveness", "checks nothing (expected one of " ONE_KIND},
		{13, 19, "workers.indexer.progress",
			"takes its number from nowhere (expected one of \"sql\", \"notify\")"},
		{14, 21, "workers.indexer.depends_on",
			"the workers wait for each other in a circle: indexer -> indexer"},
		{16, 5, "workers.indexer.1", "\"indexer.1\" is also the name of an instance of the worker \"indexer\""},
		{17, 49, "workers.many.instances", "5000 is too large (expected a whole number, 1 to 4096)"},
		{20, 15, "gateway.listen", "is also the address of browsers.chrome"},
		{21, 24, "gateway.drain.code",
			"1006 may not stand in a Close frame (expected 1000 to 1003, 1007 to 1014 or 3000 to 4999)"},
		{22, 27, "gateway.routes[0].path",
			"\"api\" does not fit (expected a path that begins with \"/\", without \"?\" and \"#\")"},
		{22, 40, "gateway.routes[0].to", "\"unix:api.sock\" does not fit (expected " TARGET ")"},
		{22, 80, "gateway.routes[1].to", "\"127.0.0.1:99999\" does not fit (expected " TARGET ")"},
		{24, 77, "volumes.disk.low", "low 60% is not below high 50%"}};
	(void)state;
	assert_mistakes(parse_fixture("several.json"), expected, COUNT(expected));
}

/* --- places and the text as a whole --- */

static void columns_count_characters_and_lines_any_line_end(void **state)
{
	const struct mistake expected[] = {{2, 20, "workers.a.\xC3\xBC\xF0\x9F\x98\x80",
		"unknown key \"\xC3\xBC\xF0\x9F\x98\x80\" (did you mean \"env\"?)"}};
	(void)state;
	struct config *c =
		parse("{ \"instance\": \"\xC3\xA4\xE2\x82\xAC\",\r\n\t\"workers\": {\"a\": {\"\xC3\xBC\xF0\x9F"
		      "\x98\x80\": 1, \"command\": [\"x\"]}}}");
	assert_null(c);
	assert_int_equal(report.count, 1);
	assert_string_equal(report.items[0].path, expected[0].path);
	assert_int_equal(report.items[0].line, 2);
	assert_int_equal(report.items[0].column, 20);
	/* On one line: the characters before it count once each, however many bytes they have. */
	assert_null(parse("{ \"instance\": \"\xC3\xA4\xE2\x82\xAC\", \"x\": 1 }"));
	assert_int_equal(report.items[0].column, 21);
	/* Escapes are decoded in keys. */
	assert_null(parse("{ \"lo\\u0067\": 1 }"));
	assert_string_equal(report.items[0].path, "log");
	assert_string_equal(report.items[0].text, "is a number (expected an object)");
	assert_int_equal(report.items[0].column, 15);
}

static void text_that_is_no_object_is_refused(void **state)
{
	static const struct mistake cases[] = {{1, 1, "[]", "is a list (expected an object)"},
		{2, 3, "\n  5", "is a number (expected an object)"}, {1, 1, "null", "is null (expected an object)"},
		{1, 1, "\xEF\xBB\xBF{}", "the file begins with a byte order mark (expected UTF-8 without one)"},
		{1, 9, "{\"log\": ", "is not JSON: the file ends too early"},
		{1, 12, "{\"log\": {}} x", "is not JSON: end of file expected"},
		{1, 13, "{\"log\": {}, }", "is not JSON: string or '}' expected"},
		{3, 1, "{\n\"log\": {}\n\"x\": 1}", "is not JSON: '}' expected"}};
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_null(parse(cases[i].path));
		assert_int_equal(report.count, 1);
		assert_string_equal(report.items[0].path, "");
		assert_string_equal(report.items[0].text, cases[i].text);
		assert_int_equal(report.items[0].line, cases[i].line);
		if (i != 4 && i != 5) /* where a token is missing, jansson's column is near enough */
			assert_int_equal(report.items[0].column, cases[i].column);
	}
}

static void nesting_without_end_is_refused(void **state)
{
	(void)state;
	char *deep = malloc(100001);
	memset(deep, '[', 100000);
	deep[100000] = '\0';
	assert_null(parse(deep));
	assert_string_equal(report.items[0].text, "is nested too deeply");
	free(deep);
}

static void beyond_the_cap_mistakes_are_only_counted(void **state)
{
	char *text = calloc(1, 16 * 1024), *at = text + sprintf(text, "{");
	(void)state;
	for (int i = 0; i < 300; i++)
		at += sprintf(at, "%s\"unknown%d\": 1", i ? ", " : "", i);
	strcpy(at, "}");
	assert_null(parse(text));
	assert_int_equal(report.count, CONFIG_MISTAKES_MAX);
	assert_int_equal(report.more, 100);
	assert_string_equal(report.items[199].path, "unknown199");
	free(text);
}

static void long_paths_and_values_are_cut_and_control_characters_shown_as_marks(void **state)
{
	(void)state;
	char *text = calloc(1, 8192), *name = calloc(1, 2001);
	for (int i = 0; i < 1000; i++)
		memcpy(name + 2 * i, "\xC3\xA4", 2);
	sprintf(text, "{\"%s\": 1, \"log\": {\"level\": \"%s\"}, \"a\\u0007b\": 1}", name, name);
	assert_null(parse(text));
	assert_int_equal(report.count, 3);
	for (size_t i = 0; i < report.count; i++) {
		json_t *path = json_string(report.items[i].path), *sentence = json_string(report.items[i].text);
		assert_non_null(path); /* still UTF-8 */
		assert_non_null(sentence);
		json_decref(path);
		json_decref(sentence);
	}
	assert_string_equal(report.items[2].path, "a?b");
	assert_non_null(strstr(report.items[1].text, "...\" is not known (expected one of"));
	free(text);
	free(name);
}

/* --- rules that tie values together --- */

#define W "'workers': {'a': {'command': ['x']"

#define FACTOR(value) "{" W ", 'restart': {'backoff': {'factor': " value "}}}}}"

static void a_factor_may_have_decimals(void **state)
{
	(void)state;
	struct config *c = must_parse(FACTOR("1.5"));
	assert_int_equal(c->workers[0].restart.backoff.factor_percent, 150);
	config_release(c);
	assert_one(FACTOR("1.234"), "workers.a.restart.backoff.factor",
		"1.234 has more than two decimals (expected a number, 1 to 100)");
	assert_one(FACTOR("0.5"), "workers.a.restart.backoff.factor", "0.5 is too small (expected a number, 1 to 100)");
	assert_one(FACTOR("'1.5'"), "workers.a.restart.backoff.factor", "is a string (expected a number, 1 to 100)");
	assert_one("{" W ", 'instances': 1.5}}}", "workers.a.instances",
		"is a number with decimals (expected a whole number, 1 to 4096)");
}

static void a_startup_may_be_a_time_alone(void **state)
{
	(void)state;
	struct config *c = parse_quoted("{" W ", 'startup': {'initial_delay': '1s'}}}}");
	assert_non_null(c);
	assert_int_equal(c->workers[0].startup.kind, CHECK_DELAY);
	config_release(c);
	assert_one("{" W ", 'startup': {'initial_delay': '0s'}}}}", "workers.a.startup",
		"checks nothing (expected one of \"http\", \"tcp\", \"exec\", \"file\", \"notify\", or "
		"\"initial_delay\" alone)");
	assert_one("{" W ", 'readiness': {'initial_delay': '1s'}}}}", "workers.a.readiness",
		"checks nothing (expected one of \"http\", \"tcp\", \"exec\", \"file\", \"notify\")");
}

static void a_check_checks_exactly_one_thing(void **state)
{
	(void)state;
	assert_one("{" W ", 'readiness': {}}}}", "workers.a.readiness",
		"checks nothing (expected one of \"http\", \"tcp\", \"exec\", \"file\", \"notify\")");
	assert_one("{" W ", 'liveness': {'notify': false}}}}", "workers.a.liveness",
		"checks nothing (expected one of \"http\", \"tcp\", \"exec\", \"file\", \"notify\")");
	assert_one("{" W ", 'startup': {'notify': true, 'file': '/x'}}}}", "workers.a.startup",
		"checks more than one thing (expected only one of \"http\", \"tcp\", \"exec\", \"file\", \"notify\")");
	assert_one("{" W ", 'startup': {'file': '/x', 'expect_status': 200}}}}", "workers.a.startup.expect_status",
		"belongs to an \"http\" check");
	assert_one("{" W ", 'startup': {'exec': []}}}}", "workers.a.startup.exec",
		"is empty (expected at least one string)");
	assert_one("{" W ", 'startup': {'exec': ['']}}}}", "workers.a.startup.exec[0]",
		"is empty (expected the program to run)");
}

static void addresses_and_urls_are_looked_at(void **state)
{
	static const char *const bad_addresses[] = {"localhost", ":80", "a:0", "a:65536", "a:8x", "a b:80", "[::1:80",
		"::1:80", "[]:80", "a:", "http://a:80"};
	static const char *const good_addresses[] = {"a:1", "127.0.0.1:65535", "[::1]:80", "db-1.example.com:5432"};
	static const char *const bad_urls[] = {"127.0.0.1/", "ftp://a/", "http://", "http:///x", "http://a:0/",
		"http://a b/", "http://a:b/", "http://[::1/"};
	static const char *const good_urls[] = {"http://a", "https://a:8443/x?y#z", "http://[::1]/", "http://u:p@a/"};
	char text[256];
	(void)state;
	for (size_t i = 0; i < COUNT(bad_addresses); i++) {
		snprintf(text, sizeof(text), "{" W ", 'readiness': {'tcp': '%s'}}}}", bad_addresses[i]);
		assert_null(parse_quoted(text));
		assert_string_equal(report.items[0].path, "workers.a.readiness.tcp");
		assert_non_null(strstr(report.items[0].text, " does not fit (expected HOST:PORT"));
	}
	for (size_t i = 0; i < COUNT(good_addresses); i++) {
		snprintf(text, sizeof(text), "{" W ", 'readiness': {'tcp': '%s'}}}}", good_addresses[i]);
		config_release(must_parse(text));
	}
	for (size_t i = 0; i < COUNT(bad_urls); i++) {
		snprintf(text, sizeof(text), "{" W ", 'readiness': {'http': '%s'}}}}", bad_urls[i]);
		assert_null(parse_quoted(text));
		assert_non_null(strstr(report.items[0].text, " does not fit (expected a URL"));
	}
	for (size_t i = 0; i < COUNT(good_urls); i++) {
		snprintf(text, sizeof(text), "{" W ", 'readiness': {'http': '%s'}}}}", good_urls[i]);
		config_release(must_parse(text));
	}
}

static void networks_codes_and_reasons_are_looked_at(void **state)
{
	static const char *const bad_networks[] = {
		"10.0.0.0/33", "10.0.0/8", "::/129", "x", "10.0.0.0/", "10.0.0.0/-1"};
	static const int bad_codes[] = {0, 999, 1004, 1005, 1006, 1015, 2999, 5000, -1};
	static const int good_codes[] = {1000, 1003, 1007, 1012, 1014, 3000, 4999};
	char text[400];
#define G "'gateway': {'listen': '127.0.0.1:80', 'routes': [{'path': '/', 'to': 'a:1'}]"
	(void)state;
	for (size_t i = 0; i < COUNT(bad_networks); i++) {
		snprintf(text, sizeof(text), "{" G ", 'trusted': ['::1', '%s']}}", bad_networks[i]);
		assert_null(parse_quoted(text));
		assert_string_equal(report.items[0].path, "gateway.trusted[1]");
	}
	for (size_t i = 0; i < COUNT(bad_codes); i++) {
		snprintf(text, sizeof(text), "{" G ", 'drain': {'code': %d}}}", bad_codes[i]);
		assert_null(parse_quoted(text));
		assert_string_equal(report.items[0].path, "gateway.drain.code");
	}
	for (size_t i = 0; i < COUNT(good_codes); i++) {
		snprintf(text, sizeof(text), "{" G ", 'drain': {'code': %d}}}", good_codes[i]);
		struct config *c = must_parse(text);
		assert_int_equal(c->gateway.drain.code, good_codes[i]);
		config_release(c);
	}
	snprintf(text, sizeof(text), "{" G ", 'drain': {'reason': '%0124d'}}}", 0);
	assert_null(parse_quoted(text));
	snprintf(text, sizeof(text), "{" G ", 'drain': {'reason': '%0123d'}}}", 0);
	config_release(must_parse(text));
	assert_one("{'gateway': {'listen': '127.0.0.1:80', 'routes': []}}", "gateway.routes",
		"has 0 entries (expected 1 to 4096)");
	assert_one("{'gateway': {'listen': '127.0.0.1:80', 'routes': [{'path': '/', 'to': 'a:1'}, {'path': '/', 'to': "
		   "'a:2'}]}}",
		"gateway.routes[1].path", "is also the path of another route (gateway.routes[0])");
}

static void lease_times_are_compared_at_their_limits(void **state)
{
#define P "'postgres': {'main': {'dsn': 'service=x'}}, 'leases': {'postgres': 'main'"
	(void)state;
	config_release(must_parse("{" P ", 'ttl': '15s', 'renew': '3s', 'attempt': '2s', 'drain_at': '5001ms', "
				  "'kill_at': '12s'}}"));
	assert_one("{" P ", 'drain_at': '5s'}}", "leases.drain_at",
		"renew 3s + attempt 2s = 5s is not less than drain_at 5s " LEASE_RULE);
	assert_one(
		"{" P ", 'kill_at': '9s'}}", "leases.kill_at", "drain_at 9s is not less than kill_at 9s " LEASE_RULE);
	assert_one("{" P ", 'kill_at': '12001ms'}}", "leases.kill_at",
		"kill_at 12001ms is more than 80% of ttl 15s = 12s " LEASE_RULE);
	assert_one("{" P ", 'ttl': '14s'}}", "leases.ttl",
		"kill_at 12s is more than 80% of ttl 14s = 11200ms " LEASE_RULE);
	assert_one("{" P ", 'renew': '7s'}}", "leases.renew",
		"renew 7s + attempt 2s = 9s is not less than drain_at 9s " LEASE_RULE);
	assert_one("{'leases': {}}", "leases.postgres", "is missing (the key \"postgres\" is required)");
}

static void each_backend_of_leases_has_its_own_keys_and_names(void **state)
{
#define K            "'leases': {'backend': 'kubernetes'"
#define DNS_EXPECTED " (expected letters a to z, digits and \"-\" in between, at most 63)"
	(void)state;
	assert_one("{" P ", 'backend': 'kubernetes'}}", "leases.postgres", "belongs to the backend \"postgres\"");
	assert_one("{" P ", 'namespace': 'prod'}}", "leases.namespace", "belongs to the backend \"kubernetes\"");
	assert_one(
		"{" P ", 'service_account': '/x'}}", "leases.service_account", "belongs to the backend \"kubernetes\"");
	assert_one("{" K ", 'namespace': '-prod'}}", "leases.namespace", "\"-prod\" does not fit" DNS_EXPECTED);
	assert_one("{" K ", 'schema': 'my_app'}}", "leases.schema",
		"\"my_app\" cannot begin the name of a Lease object" DNS_EXPECTED);
	assert_one("{" K "}, 'workers': {'a': {'command': ['x'], 'lease': 'shard.3'}}}", "workers.a.lease",
		"\"shard.3\" cannot be in the name of a Lease object" DNS_EXPECTED);
	struct config *c = must_parse("{" K ", 'namespace': 'prod'}, 'workers': {'a': {'command': ['x'], 'lease': "
				      "'indexer-2'}}}");
	assert_int_equal(c->leases.backend, LEASE_BACKEND_KUBERNETES);
	assert_string_equal(c->leases.namespace, "prod");
	assert_null(c->leases.service_account);
	config_release(c);
}

static void a_leased_worker_needs_to_know_where_leases_live(void **state)
{
	(void)state;
	assert_one("{" W ", 'lease': 'x'}}}", "workers.a.lease",
		"needs to know where leases live (expected a section \"leases\")");
	assert_one("{" W ", 'on_database_loss': 'keep'}}}", "workers.a.on_database_loss",
		"belongs to a worker with a \"lease\"");
	assert_one("{" P "}, 'workers': {'a': {'command': ['x'], 'lease': 'in valid'}}}", "workers.a.lease",
		"\"in valid\" does not fit (expected letters, digits, \".\", \"_\" and \"-\", at most 60)");
	assert_one("{" P "}, 'workers': {'a': {'command': ['x'], 'lease': 'l'}, 'b': {'command': ['x'], 'lease': 'l', "
		   "'on_database_loss': 'keep'}}}",
		"workers.b.on_database_loss", "differs from that of worker a, which has the same lease");
	assert_one("{" P "}, 'workers': {'a': {'command': ['x'], 'lease': 'l'}, 'b': {'command': ['x'], 'lease': "
		   "{'name': 'l', 'spread': true}}}}",
		"workers.b.lease", "is not spread as that of worker a, which has the same name");
	assert_one("{" W ", 'standby': 'warm'}}}", "workers.a.standby", "belongs to a service with a \"lease\"");
	assert_one("{" P "}, 'workers': {'a': {'command': ['x'], 'kind': 'task', 'lease': 'l', 'standby': 'warm'}}}",
		"workers.a.standby", "belongs to a service with a \"lease\"");
	struct config *c = must_parse("{" P "}, 'workers': {'a': {'command': ['x'], 'lease': 'l'}}}");
	assert_string_equal(c->workers[0].lease, "l");
	config_release(c);
}

static void what_only_one_may_have_is_not_given_twice(void **state)
{
	(void)state;
	assert_one("{'volumes': {'a': {'path': '/t', 'size': '1Mi'}, 'b': {'path': '/t', 'size': '1Mi'}}}",
		"volumes.b.path", "is also the path of the volume \"a\"");
	assert_one("{'gateway': {'listen': '0.0.0.0:9400', 'routes': [{'path': '/', 'to': 'a:1'}]}}", "gateway.listen",
		"is also the address of control");
	/* api.1 is an instance of api only when there are several. */
	config_release(must_parse("{'workers': {'api': {'command': ['x']}, 'api.0': {'command': ['x']}}}"));
	config_release(must_parse(
		"{'workers': {'api': {'command': ['x'], 'instances': 2}, 'api.2': {'command': ['x']}, 'api.01': "
		"{'command': ['x']}}}"));
	assert_one("{'workers': {'api': {'command': ['x'], 'instances': 2}, 'api.1': {'command': ['x']}}}",
		"workers.api.1", "\"api.1\" is also the name of an instance of the worker \"api\"");
}

static void no_more_restarts_are_counted_than_can_be_remembered(void **state)
{
	(void)state;
	assert_int_equal(CONFIG_RESTARTS_MAX, 64);
	config_release(must_parse("{" W ", 'restart': {'limit': {'count': 64}}}}}"));
	assert_one("{" W ", 'restart': {'limit': {'count': 65}}}}}", "workers.a.restart.limit.count",
		"65 is too large (expected a whole number, 1 to 64)");
}

static void two_separate_cycles_are_both_named(void **state)
{
	(void)state;
	assert_null(parse_quoted("{'workers': {'a': {'command': ['x'], 'depends_on': ['b']}, 'b': {'command': ['x'], "
				 "'depends_on': ['a']}, 'c': {'command': ['x'], 'depends_on': ['c', 'a']}}}"));
	assert_int_equal(report.count, 2);
	assert_string_equal(report.items[0].text, "the workers wait for each other in a circle: a -> b -> a");
	assert_string_equal(report.items[1].text, "the workers wait for each other in a circle: c -> c");
	assert_string_equal(report.items[1].path, "workers.c.depends_on");
}

static void progress_takes_its_number_from_one_place(void **state)
{
	(void)state;
	assert_one("{" W ", 'progress': {}}}}", "workers.a.progress",
		"takes its number from nowhere (expected one of \"sql\", \"notify\")");
	assert_one("{" W ", 'progress': {'sql': 'select 1'}}}}", "workers.a.progress.postgres",
		"is missing (the key \"postgres\" is required)");
	assert_one("{" W ", 'progress': {'sql': 'select 1', 'postgres': 'main'}}}}", "workers.a.progress.postgres",
		"there is no postgres of the name \"main\" (expected one that is configured)");
}

static void restart_with_names_others_that_are_there(void **state)
{
	(void)state;
	struct config *c = parse_quoted("{'workers': {'a': {'command': ['x'], 'restart_with': ['b', 'worker:c']}, 'b': "
					"{'command': ['x']}, 'c': {'command': ['x'], 'restart_with': ['a']}}}");
	assert_non_null(c);
	assert_int_equal(c->workers[0].n_restart_with, 2);
	assert_int_equal(c->workers[0].restart_with[1].thing, THING_WORKER);
	assert_int_equal(c->workers[0].restart_with[1].index, 2);
	config_release(c);
	assert_one("{" W ", 'restart_with': ['worker:a']}}}", "workers.a.restart_with",
		"names the worker itself (expected others that it restarts with)");
	assert_one("{" W ", 'restart_with': ['z']}}}", "workers.a.restart_with[0]",
		"there is no worker of the name \"z\" (expected one that is configured)");
}

static void what_may_be_purged_lies_below_the_path(void **state)
{
	(void)state;
	static const char *const bad[] = {"/tmp/**", "../x", "a/../b", "a//b", "b/", "x**", "*.[ch]"};
	for (size_t i = 0; i < COUNT(bad); i++) {
		char text[160], sentence[200];
		snprintf(text, sizeof(text), "{'volumes': {'v': {'path': '/v', 'size': '1Mi', 'purge': ['**', '%s']}}}",
			bad[i]);
		snprintf(sentence, sizeof(sentence),
			"\"%s\" does not fit (expected names below the path, with \"**\", \"*\" and \"?\" alone as "
			"wildcards, for instance \"**/Cache/**\")",
			bad[i]);
		assert_one(text, "volumes.v.purge[1]", sentence);
	}
	assert_one("{'volumes': {'v': {'path': '/v', 'size': '1Mi', 'on_full': ['browser:b']}}}",
		"volumes.v.on_full[0]", "there is no browser of the name \"b\" (expected one that is configured)");
}

/* What this version does not do yet is refused, not ignored. */
static void nothing_is_accepted_that_is_not_there(void **state)
{
	(void)state;
	assert_one("{'postgres': {'p': {'dsn': 'host=h', 'max_transaction_age': '1m'}}}",
		"postgres.p.max_transaction_age", "is not available in this version");
	assert_one("{'volumes': {'v': {'path': '/v', 'size': '1Mi'}}, 'browsers': {'b': {'volume': 'v', 'recycle': "
		   "{'memory': '2Gi'}}}}",
		"browsers.b.recycle.memory", "memory_hard 1800Mi is not above memory 2Gi");
	assert_one("{'volumes': {'v': {'path': '/v', 'size': '1Mi'}}, 'browsers': {'b': {'volume': 'v', 'recycle': "
		   "{'disk_hard': '40%'}}}}",
		"browsers.b.recycle.disk_hard", "disk_hard 40% is not above disk 40%");
	/* Its type is looked at nevertheless. */
	assert_one("{" W ", 'standby': 5}}}", "workers.a.standby", "is a number (expected one of \"cold\", \"warm\")");
	assert_one("{" W ", 'progress': {'notify': true, 'stale': 1}}}}", "workers.a.progress.stale",
		"unknown key \"stale\" (known here: \"notify\", \"postgres\", \"sql\", \"stalled_after\", \"max_age\", "
		"\"interval\", \"action\")");
}

static void secret_values_are_concealed_wherever_they_come_back(void **state)
{
	(void)state;
	struct config *c = must_parse("{'workers': {'a': {'command': ['x', '${MY_TOKEN}y', '${file:/two/lines}'],"
				      " 'env': {'DB_PASSWORD': 'literal-one', 'PLAIN': 'plain-value'}}}}");
	static const struct {
		const char *text, *expected;
	} cases[] = {{"cannot execute s3cretvaluey: No such file", "cannot execute ***y: No such file"},
		{"it said first-line, second-line and s3cretvalue", "it said ***, *** and ***"},
		{"s3cretvalues3cretvalue", "******"}, {"literal-one plain-value", "*** plain-value"},
		{"it was cut at s3cretv", "it was cut at ***"}, {"too short: s3c", "too short: s3c"}, {"", ""}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[160];
		snprintf(text, sizeof(text), "%s", cases[i].text);
		config_conceal(c, text);
		assert_string_equal(text, cases[i].expected);
	}
	config_release(c);
}

static void a_socket_s_path_fits_into_its_address(void **state)
{
	(void)state;
	char path[110] = "/", text[256];
	memset(path + 1, 's', 106);
	snprintf(text, sizeof(text), "{'control': {'socket': '%s'}}", path);
	config_release(must_parse(text));
	path[107] = 's';
	snprintf(text, sizeof(text), "{'control': {'socket': '%s'}}", path);
	char sentence[256];
	snprintf(sentence, sizeof(sentence),
		"\"%.90s...\" does not fit (expected an absolute path of at most 107 bytes)", path);
	assert_one(text, "control.socket", sentence);
}

/* What counts is the path that comes out of a variable, not the one in the file. */
static void a_path_is_measured_when_its_variables_are_replaced(void **state)
{
	(void)state;
	char text[300], path[101] = "", sentence[300];
	memset(path, 's', 100);
	snprintf(text, sizeof(text), "{'control': {'socket': '/run/${UNSET:-%s}/s'}}", path);
	snprintf(sentence, sizeof(sentence),
		"\"/run/%.85s...\" does not fit (expected an absolute path of at most 107 bytes)", path);
	config_release(must_parse(text));
	snprintf(text, sizeof(text), "{'control': {'socket': '/run/${UNSET:-%s}/sk'}}", path);
	assert_one(text, "control.socket", sentence);
	snprintf(text, sizeof(text),
		"{'gateway': {'listen': '127.0.0.1:1', 'routes': [{'path': '/', 'to': 'unix:/run/${UNSET:-%s}/sk'}]}}",
		path);
	snprintf(sentence, sizeof(sentence), "\"unix:/run/%.80s...\" does not fit (expected " TARGET ")", path);
	assert_one(text, "gateway.routes[0].to", sentence);
}

static void the_host_s_name_stands_in_for_a_variable_that_shells_do_not_export(void **state)
{
	(void)state;
	static const struct {
		const char *text, *instance;
	} cases[] = {{"{\"instance\": \"${HOSTNAME}\"}", "node-1"}, {"{\"instance\": \"${HOSTNAME:-mine}\"}", "mine"}};
	const struct config_source bare = {.variable = no_variable, .host = "node-1"};
	for (size_t i = 0; i < 2; i++) {
		struct config *c = config_parse(cases[i].text, strlen(cases[i].text), &bare, &report);
		assert_non_null(c);
		assert_string_equal(c->instance, cases[i].instance);
		config_release(c);
	}
}

static void what_continues_a_line_is_a_word_or_a_pattern(void **state)
{
	(void)state;
	assert_one("{" W ",\n 'log': {'multiline': '^(a'}}}}", "workers.a.log.multiline",
		"is no pattern: missing closing parenthesis (character 4)");
	assert_one("{" W ", 'log': {'multiline': ''}}}}", "workers.a.log.multiline",
		"is empty (expected a string that is not empty)");
	assert_one("{" W ", 'log': {'multiline': '((x|y){99}){999}'}}}}", "workers.a.log.multiline",
		"is no pattern: regular expression is too large (character 17)");
	config_release(must_parse("{" W ", 'log': {'multiline': 'java'}}}}"));
	struct config *c =
		must_parse("{" W ", 'log': {'multiline': '^[[:space:]]', 'rate': 5}}}, 'log': {'block': '1s'}}");
	assert_string_equal(c->workers[0].log.multiline, "^[[:space:]]");
	assert_int_equal(c->workers[0].log.rate, 5);
	assert_int_equal(c->log.block, 1000);
	config_release(c);
}

/* --- what stands for something else --- */

static void variables_files_and_dollars_are_replaced(void **state)
{
	static const struct {
		const char *text, *value;
	} cases[] = {{"${HOSTNAME}", "pod-7"}, {"a${N}b${N}", "a7b7"}, {"${UNSET:-x}", "x"}, {"${EMPTY:-x}", "x"},
		{"${EMPTY}y", "y"}, {"${UNSET:-}y", "y"}, {"${UNSET:-${HOSTNAME}-x}", "pod-7-x"},
		{"${UNSET:-${ALSO:-deep}}", "deep"}, {"${N:-${UNSET}}", "7"}, {"$$", "$"}, {"$$$$", "$$"},
		{"$${N}", "${N}"}, {"$$${N}", "$7"}, {"$1 $HOME $", "$1 $HOME $"}, {"${UNSET:-a:-b}", "a:-b"},
		{"${UNSET:-$$}", "$"}, {"${file:/run/secrets/token}", "hunter2"}, {"}{", "}{"}};
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char text[128];
		snprintf(text, sizeof(text), "{'instance': '%s'}", cases[i].text);
		struct config *c = must_parse(text);
		assert_string_equal(c->instance, cases[i].value);
		config_release(c);
	}
	struct config *c =
		must_parse("{" W ", 'instances': '${N}', 'critical': '${YES}', 'stop': {'timeout': '${N}s'}}}}");
	assert_int_equal(c->workers[0].instances, 7);
	assert_true(c->workers[0].critical);
	assert_int_equal(c->workers[0].stop.timeout, 7000);
	config_release(c);
}

static void what_cannot_be_replaced_is_named(void **state)
{
	static const char unset[] =
		"needs the environment variable UNSET, which is not set (${UNSET:-default} would give it "
		"a default)";
	(void)state;
	assert_one("{'instance': '${UNSET}'}", "instance", unset);
	assert_one("{'instance': '${ALSO:-${UNSET}}'}", "instance", unset);
	assert_one("{'instance': '${HOSTNAME'}", "instance", "has a ${ without its } (a dollar sign is $$)");
	assert_one("{'instance': '${}'}", "instance",
		"has something else than a name in ${...} (expected ${VAR}, ${VAR:-default} or ${file:/path}; a dollar "
		"sign is "
		"$$)");
	assert_one("{'instance': '${file:x}'}", "instance", "names no file in ${file:...} (expected an absolute path)");
	assert_one("{'instance': '${file:/run/secrets/binary}'}", "instance",
		"cannot be read: /run/secrets/binary: not UTF-8");
	assert_one(
		"{'instance': '${LATIN}'}", "instance", "cannot use the environment variable LATIN: it is not UTF-8");
	assert_one("{'instance': '${EMPTY}'}", "instance", "is empty (expected a string that is not empty)");
	/* All of one string. */
	assert_null(parse_quoted("{'instance': '${UNSET}${ALSO}'}"));
	assert_int_equal(report.count, 2);
	/* Keys are keys. */
	assert_null(parse_quoted("{'${HOSTNAME}': 1}"));
	assert_string_equal(report.items[0].path, "${HOSTNAME}");
}

/* --- secrets --- */

static void assert_not_told(const char *text)
{
	if (strstr(text, "hunter2") || strstr(text, "unter") || strstr(text, "s3cr"))
		print_error("%s\n", text);
	assert_null(strstr(text, "hunter2"));
	assert_null(strstr(text, "unter"));
	assert_null(strstr(text, "s3cr"));
}

static void no_secret_stands_in_a_mistake(void **state)
{
	static const char *const cases[] = {
		"{'log': {'level': '${file:/run/secrets/token}'}}",
		"{'shutdown': {'deadline': '${file:/run/secrets/token}'}}",
		"{'shutdown': {'deadline': '${SMTP_PASSWORD}'}}",
		"{'control': {'listen': '${file:/run/secrets/token}'}}",
		"{'control': {'token': 'hunter2' 'listen': 'none'}}",
		"{'control': {'token': 'hunter2\n'}}",
		"{'control': {'token': ['hunter2']}}",
		"{'postgres': {'m': {'dsn': {'hunter2': 1}}}}",
		"{" W ", 'instances': '${file:/run/secrets/token}'}}}",
		"{" W ", 'depends_on': ['postgres:${file:/run/secrets/token}', '${SMTP_PASSWORD}', "
		"'x:${file:/run/secrets/token}']}}}",
		"{" W ", 'readiness': {'http': '${file:/run/secrets/dsn}'}}}}",
		"{" W ", 'env': {'A_TOKEN': ['hunter2']}}}}",
	};
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_null(parse_quoted(cases[i]));
		assert_true(report.count > 0);
		for (size_t j = 0; j < report.count; j++)
			if (i != 7) /* there it is a key */
				assert_not_told(report.items[j].text);
	}
}

static void no_secret_is_printed(void **state)
{
	struct config *c = must_parse(
		"{'instance': 'x-${file:/run/secrets/token}', 'control': {'token': 'hunter2'}, 'volumes': {'v': "
		"{'path': "
		"'/v', 'size': '1Mi'}}, 'postgres': {'a': {'dsn': '${DATABASE_URL}'}, 'b': {'dsn': "
		"'${file:/run/secrets/dsn}'}, 'c': {'dsn': 'host=h password=hunter2'}}, 'browsers': {'b': {'volume': "
		"'v', "
		"'token': 'hunter2'}}, 'workers': {'w': {'command': ['x', '${SMTP_PASSWORD}', '--password=hunter2', "
		"'--api-token', 'hunter2', 'http://u:hunter2@h/'], 'env': {'DB_PASSWORD': 'hunter2', 'DATABASE_URL': "
		"'${DATABASE_URL}', 'X': '${file:/run/secrets/token}', 'PLAIN': 'seen'}, 'readiness': {'http': "
		"'http://u:hunter2@h/', 'headers': {'Authorization': 'Bearer hunter2'}}}}}");
	(void)state;
	char *text = config_print(c);
	assert_not_told(text);
	assert_non_null(strstr(text, "\"instance\": \"***\""));
	assert_non_null(strstr(text, "\"dsn\": \"postgres://u:***@db/backend\""));
	assert_non_null(strstr(text, "\"dsn\": \"***\""));
	assert_non_null(strstr(text, "\"dsn\": \"host=h password=***\""));
	assert_non_null(strstr(text, "\"DATABASE_URL\": \"postgres://u:***@db/backend\""));
	assert_non_null(strstr(text, "\"DB_PASSWORD\": \"***\""));
	assert_non_null(strstr(text, "\"PLAIN\": \"seen\""));
	assert_non_null(strstr(text, "\"http\": \"http://u:***@h/\""));
	assert_non_null(
		strstr(text, "[\"x\", \"***\", \"--password=***\", \"--api-token\", \"***\", \"http://u:***@h/\"]"));
	/* The configuration itself has the real ones. */
	assert_string_equal(c->postgres[1].dsn, "postgres://u:hunter2@db/backend");
	assert_string_equal(c->control.token, "hunter2");
	free(text);
	config_release(c);
}

static void passwords_are_masked_in_every_form_of_a_dsn(void **state)
{
	static const struct {
		const char *dsn, *masked;
	} cases[] = {{"postgres://db/x", "postgres://db/x"}, {"postgres://u@db/x", "postgres://u@db/x"},
		{"postgresql://u:s3cr@db:5432,db2/x?sslmode=require",
			"postgresql://u:***@db:5432,db2/x?sslmode=require"},
		{"postgres://u:s3c@r/s3cr@db/x", "postgres://u:***@db/x"},
		{"postgres://u:s3cr?s3cr@db/x", "postgres://u:***@db/x"}, {"postgres://:s3cr@db", "postgres://:***@db"},
		{"postgres://db/x?user=u&password=s3cr&sslpassword=s3cr&application_name=a",
			"postgres://db/x?user=u&password=***&sslpassword=***&application_name=a"},
		{"postgres://db/x?pass%77ord=s3cr", "postgres://db/x?pass%77ord=***"},
		{"host=db password=s3cr dbname=x", "host=db password=*** dbname=x"},
		{"host = db  password = 's3cr \\' s3cr' dbname=x", "host = db  password = *** dbname=x"},
		{"password=s3\\ s3cr host=db", "password=*** host=db"}, {"sslpassword=s3cr", "sslpassword=***"},
		{"scram_client_key=s3cr", "scram_client_key=***"}, {"PASSWORD=s3cr", "PASSWORD=***"},
		{"password='s3cr", "password=***"}, {"service=backend", "service=backend"},
		{"options='-c x=1' host=db", "options='-c x=1' host=db"}, {"s3cr", "***"}, {"=s3cr", "***"},
		{"host=db s3cr", "***"}, {"mysql://u:s3cr@db", "***"}, {"", ""}, {" ", " "}};
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char *masked = config_masked_dsn(cases[i].dsn);
		assert_string_equal(masked, cases[i].masked);
		free(masked);
	}
}

static void names_tell_what_is_secret(void **state)
{
	static const char *const secret[] = {"TOKEN", "API_TOKEN", "DB_PASSWORD", "PGPASSWORD", "AWS_SECRET_ACCESS_KEY",
		"Authorization", "Cookie", "SIGNING_KEY", "smtp_pass", "X-Api-Key", "PRIVATE_KEY_PEM", "MAIN_DSN"};
	static const char *const open[] = {"PATH", "PORT", "NODE_ENV", "HOME", "LANG", "KEYBOARD", "MONKEY", "PWD",
		"PASSAGE", "AUTHOR", "DATABASE_URL"};
	(void)state;
	for (size_t i = 0; i < COUNT(secret); i++)
		assert_true(config_name_is_secret(secret[i]));
	for (size_t i = 0; i < COUNT(open); i++)
		assert_false(config_name_is_secret(open[i]));
}

/* --- defaults, field by field --- */

static void an_empty_object_is_all_defaults(void **state)
{
	struct config *c = must_parse("{}");
	(void)state;
	assert_null(c->instance);
	assert_string_equal(c->control.listen, "0.0.0.0:9400");
	assert_string_equal(c->control.socket, "/run/podvisor/control.sock");
	assert_null(c->control.token);
	assert_int_equal(c->log.format, LOG_FORMAT_JSON);
	assert_int_equal(c->log.level, LOG_INFO);
	assert_int_equal(c->log.block, 0);
	assert_int_equal(c->log.buffer_bytes, 4 << 20);
	assert_int_equal(c->shutdown.deadline, 55000);
	assert_string_equal(c->shutdown.termination_log, "/dev/termination-log");
	assert_int_equal(c->memory.high_percent, 90);
	assert_false(c->leases.present);
	assert_int_equal(c->leases.backend, LEASE_BACKEND_POSTGRES);
	assert_null(c->leases.postgres);
	assert_string_equal(c->leases.schema, "podvisor");
	assert_int_equal(c->leases.ttl, 15000);
	assert_int_equal(c->leases.renew, 3000);
	assert_int_equal(c->leases.attempt, 2000);
	assert_int_equal(c->leases.drain_at, 9000);
	assert_int_equal(c->leases.kill_at, 12000);
	assert_int_equal(c->leases.prefer, LEASE_PREFER_NEWEST);
	assert_int_equal(c->n_volumes, 0);
	assert_int_equal(c->n_postgres, 0);
	assert_int_equal(c->n_browsers, 0);
	assert_int_equal(c->n_workers, 0);
	assert_false(c->gateway.present);
	assert_int_equal(c->gateway.n_routes, 0);
	config_release(c);
}

static void assert_default_check(const struct config_check *check)
{
	assert_false(check->present);
	assert_int_equal(check->kind, CHECK_NONE);
	assert_null(check->http);
	assert_int_equal(check->n_headers, 0);
	assert_int_equal(check->expect_status, 0);
	assert_null(check->tcp);
	assert_null(check->exec[0]);
	assert_null(check->file);
	assert_false(check->notify);
	assert_int_equal(check->initial_delay, 0);
	assert_int_equal(check->interval, 10000);
	assert_int_equal(check->timeout, 1000);
	assert_int_equal(check->success_threshold, 1);
	assert_int_equal(check->failure_threshold, 3);
}

static void a_worker_has_the_defaults_of_the_contract(void **state)
{
	struct config *c = must_parse("{'workers': {'a': {'command': ['x', '']}}}");
	const struct config_worker *w = &c->workers[0];
	(void)state;
	assert_string_equal(w->name, "a");
	assert_string_equal(w->command[0], "x");
	assert_string_equal(w->command[1], "");
	assert_null(w->command[2]);
	assert_null(w->cwd);
	assert_int_equal(w->n_env, 0);
	assert_null(w->env_files[0]);
	assert_int_equal(w->umask, -1);
	assert_null(w->user);
	assert_null(w->group);
	assert_int_equal(w->kind, WORKER_SERVICE);
	assert_null(w->schedule);
	assert_string_equal(w->timezone, "UTC");
	assert_int_equal(w->every, 0);
	assert_int_equal(w->deadline, 0);
	assert_int_equal(w->overlap, JOB_OVERLAP_SKIP);
	assert_int_equal(w->instances, 1);
	assert_null(w->depends_on_names[0]);
	assert_int_equal(w->n_depends_on, 0);
	assert_int_equal(w->on_dependency_loss, DEPENDENCY_LOSS_KEEP);
	assert_int_equal(w->grace, 0);
	assert_default_check(&w->readiness);
	assert_default_check(&w->liveness);
	assert_default_check(&w->startup);
	assert_false(w->progress.present);
	assert_int_equal(w->progress.action, PROGRESS_RESTART);
	assert_int_equal(w->restart.policy, RESTART_ALWAYS);
	assert_int_equal(w->restart.backoff.initial, 100);
	assert_int_equal(w->restart.backoff.factor_percent, 200);
	assert_int_equal(w->restart.backoff.max, 30000);
	assert_int_equal(w->restart.backoff.jitter_percent, 20);
	assert_int_equal(w->restart.backoff.reset_after, 60000);
	assert_int_equal(w->restart.limit.count, 10);
	assert_int_equal(w->restart.limit.window, 600000);
	assert_int_equal(w->restart.limit.action, RESTART_LIMIT_AUTO);
	assert_int_equal(w->stop.signal, SIGTERM);
	assert_int_equal(w->stop.timeout, 10000);
	assert_null(w->stop.command[0]);
	assert_int_equal(w->stop.phase, STOP_ON_TERM);
	assert_int_equal(w->limits.memory_bytes, 0);
	assert_int_equal(w->limits.open_files, -1);
	assert_int_equal(w->limits.core_bytes, -1);
	assert_int_equal(w->limits.cpu_seconds, -1);
	assert_int_equal(w->limits.nice, INT_MIN);
	assert_int_equal(w->limits.oom_score_adj, INT_MIN);
	assert_null(w->lease);
	assert_false(w->lease_spread);
	assert_false(w->standby_warm);
	assert_int_equal(w->on_database_loss, DATABASE_LOSS_STOP);
	assert_null(w->restart_with_names[0]);
	assert_false(w->critical);
	assert_int_equal(w->log.format, WORKER_LOG_AUTO);
	assert_int_equal(w->log.max_line_bytes, 16384);
	assert_int_equal(w->log.rate, 0);
	assert_null(w->log.multiline);
	assert_false(w->interactive);
	config_release(c);
}

static void volumes_and_databases_have_the_defaults_of_the_contract(void **state)
{
	struct config *c = must_parse(
		"{'volumes': {'v': {'path': '/v', 'size': '2Gi'}}, 'postgres': {'p': {'dsn': 'service=x'}}}");
	const struct config_volume *v = &c->volumes[0];
	const struct config_postgres *p = &c->postgres[0];
	(void)state;
	assert_string_equal(v->path, "/v");
	assert_int_equal(v->size_bytes, 2147483648);
	assert_int_equal(v->mount, VOLUME_MOUNT_EXPECT);
	assert_int_equal(v->mode, 01777);
	assert_null(v->owner);
	assert_int_equal(v->high_percent, 85);
	assert_int_equal(v->low_percent, 70);
	assert_null(v->purge[0]);
	assert_int_equal(v->min_age, 0);
	assert_null(v->on_full[0]);
	assert_true(v->clean_on_start);
	assert_string_equal(p->dsn, "service=x");
	assert_int_equal(p->interval, 5000);
	assert_int_equal(p->timeout, 2000);
	assert_int_equal(p->canary_interval, 60000);
	assert_int_equal(p->resolve_timeout, 2000);
	assert_int_equal(p->failure_threshold, 3);
	assert_int_equal(p->failure_time, 10000);
	assert_int_equal(p->success_threshold, 2);
	assert_int_equal(p->success_time, 2000);
	assert_int_equal(p->require, POSTGRES_READ_WRITE);
	assert_int_equal(p->slow, 500);
	assert_int_equal(p->max_replication_lag, 0);
	assert_int_equal(p->max_connections_used_percent, 90);
	assert_int_equal(p->max_transaction_age, 0);
	assert_int_equal(p->readiness, POSTGRES_READINESS_DEGRADE);
	assert_int_equal(p->unready_after, 60000);
	assert_int_equal(p->recovery_spread, 5000);
	config_release(c);
}

static void a_browser_has_the_defaults_of_the_contract(void **state)
{
	struct config *c =
		must_parse("{'volumes': {'v': {'path': '/v', 'size': '2Gi'}}, 'browsers': {'b': {'volume': 'v'}}}");
	const struct config_browser *b = &c->browsers[0];
	(void)state;
	assert_null(b->executable);
	assert_null(b->args[0]);
	assert_null(b->user);
	assert_int_equal(b->n_env, 0);
	assert_int_equal(b->sandbox, BROWSER_SANDBOX_AUTO);
	assert_string_equal(b->listen, "127.0.0.1:9222");
	assert_null(b->token);
	assert_null(b->allow_origins[0]);
	assert_string_equal(b->volume, "v");
	assert_int_equal(b->volume_ref.thing, THING_VOLUME);
	assert_int_equal(b->volume_ref.index, 0);
	assert_int_equal(b->health_browser.interval, 5000);
	assert_int_equal(b->health_browser.timeout, 2000);
	assert_int_equal(b->health_browser.failure_threshold, 3);
	assert_int_equal(b->health_renderer.interval, 15000);
	assert_int_equal(b->health_network.interval, 60000);
	assert_int_equal(b->recycle.age, 6 * 3600 * 1000);
	assert_int_equal(b->recycle.pages, 2000);
	assert_int_equal(b->recycle.sessions, 500);
	assert_int_equal(b->recycle.disk_percent, 40);
	assert_int_equal(b->recycle.disk_hard_percent, 85);
	assert_int_equal(b->recycle.memory_bytes, (int64_t)1200 << 20);
	assert_int_equal(b->recycle.memory_hard_bytes, (int64_t)1800 << 20);
	assert_int_equal(b->recycle.per_hour, 6);
	assert_int_equal(b->overlap_memory_bytes, (int64_t)600 << 20);
	assert_int_equal(b->overlap_disk_bytes, (int64_t)512 << 20);
	assert_int_equal(b->drain, 120000);
	assert_int_equal(b->max_sessions, 10);
	assert_int_equal(b->queue, 20);
	assert_int_equal(b->queue_timeout, 30000);
	assert_int_equal(b->janitor.idle, 600000);
	assert_int_equal(b->janitor.spin, 60000);
	assert_int_equal(b->client_close, BROWSER_CLOSE_DETACH);
	assert_false(b->critical);
	config_release(c);
}

static void a_gateway_has_the_defaults_of_the_contract(void **state)
{
	struct config *c = must_parse("{" G "}}");
	const struct config_gateway *g = &c->gateway;
	(void)state;
	assert_true(g->present);
	assert_string_equal(g->listen, "127.0.0.1:80");
	assert_int_equal(g->n_routes, 1);
	assert_null(g->routes[0].worker);
	assert_null(g->routes[0].rewrite);
	assert_int_equal(g->routes[0].drain_code, 0);
	assert_null(g->routes[0].drain_reason);
	assert_int_equal(g->forwarded, FORWARDED_APPEND);
	assert_string_equal(g->trusted[0], "10.0.0.0/8");
	assert_int_equal(g->max_connections, 65536);
	assert_int_equal(g->header_bytes, 16384);
	assert_int_equal(g->max_headers, 100);
	assert_int_equal(g->max_body_bytes, 0);
	assert_int_equal(g->requests_per_connection, 0);
	assert_int_equal(g->header_timeout, 10000);
	assert_int_equal(g->idle_timeout, 75000);
	assert_int_equal(g->connect_timeout, 1000);
	assert_int_equal(g->response_timeout, 60000);
	assert_int_equal(g->websocket_idle_timeout, 0);
	assert_int_equal(g->hold, 5000);
	assert_int_equal(g->hold_requests, 1024);
	assert_int_equal(g->drain.code, 1012);
	assert_string_equal(g->drain.reason, "service restart");
	assert_int_equal(g->drain.lame_duck, 5000);
	assert_int_equal(g->drain.http_grace, 20000);
	assert_int_equal(g->drain.spread, 20000);
	assert_int_equal(g->drain.message_wait, 2000);
	assert_int_equal(g->drain.boundary_wait, 5000);
	assert_int_equal(g->drain.close_timeout, 5000);
	assert_int_equal(g->drain.linger, 2000);
	config_release(c);
}

static void the_example_of_the_contract_is_read(void **state)
{
	struct config *c = parse_fixture("example.json");
	(void)state;
	assert_non_null(c);
	assert_string_equal(c->instance, "pod-7");
	assert_string_equal(c->postgres[0].dsn, "postgres://u:hunter2@db/backend");
	assert_int_equal(c->n_volumes, 2);
	assert_string_equal(c->volumes[0].name, "chrome"); /* in the order of the file */
	assert_int_equal(c->volumes[1].size_bytes, 1 << 30);
	assert_string_equal(c->browsers[0].executable, "/usr/bin/chromium");
	assert_int_equal(c->n_workers, 3);
	const struct config_worker *api = &c->workers[0], *valuation = &c->workers[2];
	assert_string_equal(api->name, "api");
	assert_true(api->critical);
	assert_int_equal(api->readiness.kind, CHECK_HTTP);
	assert_string_equal(api->readiness.http, "http://127.0.0.1:3000/healthz");
	assert_int_equal(api->stop.phase, STOP_AFTER_DRAIN);
	assert_int_equal(valuation->liveness.kind, CHECK_NOTIFY);
	assert_int_equal(valuation->liveness.timeout, 60000);
	assert_int_equal(valuation->n_depends_on, 3);
	assert_int_equal(valuation->depends_on[0].thing, THING_POSTGRES);
	assert_int_equal(valuation->depends_on[0].index, 0);
	assert_int_equal(valuation->depends_on[1].thing, THING_BROWSER);
	assert_int_equal(valuation->depends_on[2].thing, THING_VOLUME);
	assert_int_equal(valuation->depends_on[2].index, 1);
	assert_string_equal(c->gateway.routes[0].to, "127.0.0.1:3000");
	assert_int_equal(c->gateway.routes[0].worker_ref.thing, THING_WORKER);
	assert_int_equal(c->gateway.routes[0].worker_ref.index, 0);
	config_release(c);
}

static void what_is_set_arrives_in_its_field(void **state)
{
	struct config *c = parse_fixture("full.json");
	(void)state;
	assert_non_null(c);
	const struct config_worker *api = &c->workers[1], *other = &c->workers[2];
	assert_string_equal(c->instance, "pod-$1-pod-7");
	assert_null(c->control.listen);
	assert_null(c->shutdown.termination_log);
	assert_int_equal(c->volumes[0].size_bytes, 1610612736);
	assert_int_equal(c->volumes[0].mode, 0700);
	assert_string_equal(c->volumes[0].owner, "1000:1000");
	assert_false(c->volumes[0].clean_on_start);
	assert_int_equal(c->postgres[0].slow, 0);
	assert_int_equal(c->postgres[0].max_connections_used_percent, 100);
	assert_int_equal(c->postgres[0].readiness, POSTGRES_READINESS_STRICT);
	assert_int_equal(c->browsers[0].health_network.failure_threshold, 4);
	assert_int_equal(c->browsers[0].sandbox, BROWSER_SANDBOX_OFF);
	assert_int_equal(c->workers[0].kind, WORKER_TASK);
	assert_string_equal(api->command[2], "echo $HOME ${x} $$ \xC3\xA4");
	assert_int_equal(api->n_env, 3);
	assert_string_equal(api->env[1].name, "EMPTY");
	assert_string_equal(api->env[1].value, "");
	assert_int_equal(api->umask, 027);
	assert_int_equal(api->instances, 3);
	assert_int_equal(api->n_depends_on, 5);
	assert_int_equal(api->on_dependency_loss, DEPENDENCY_LOSS_PAUSE);
	assert_int_equal(api->readiness.expect_status, 204);
	assert_int_equal(api->readiness.n_headers, 2);
	assert_int_equal(api->startup.kind, CHECK_EXEC);
	assert_string_equal(api->startup.exec[2], "/tmp/ready");
	assert_int_equal(api->restart.policy, RESTART_ON_FAILURE);
	assert_int_equal(api->restart.backoff.factor_percent, 250);
	assert_int_equal(api->restart.limit.action, RESTART_LIMIT_EXIT);
	assert_int_equal(api->stop.signal, SIGUSR1);
	assert_int_equal(api->limits.core_bytes, 0);
	assert_int_equal(api->limits.nice, -5);
	assert_int_equal(api->log.format, WORKER_LOG_PASSTHROUGH);
	assert_int_equal(other->readiness.kind, CHECK_TCP);
	assert_int_equal(other->startup.kind, CHECK_FILE);
	assert_int_equal(other->stop.signal, 35);
	/* Longest path first, and each still with its own worker. */
	assert_string_equal(c->gateway.routes[0].path, "/api/v2");
	assert_string_equal(c->gateway.routes[1].path, "/api");
	assert_string_equal(c->gateway.routes[2].path, "/");
	assert_int_equal(c->gateway.routes[0].worker_ref.index, 2);
	assert_int_equal(c->gateway.routes[1].worker_ref.index, 1);
	assert_int_equal(c->gateway.routes[0].drain_code, 4000);
	assert_string_equal(c->gateway.drain.reason, "");
	assert_int_equal(c->gateway.forwarded, FORWARDED_REPLACE);
	assert_int_equal(c->gateway.idle_timeout, 0);
	config_release(c);
}

static void routes_of_one_length_stay_as_they_stand_in_the_file(void **state)
{
	struct config *c =
		must_parse("{'gateway': {'listen': '127.0.0.1:80', 'routes': [{'path': '/', 'to': 'a:1'}, {'path': "
			   "'/b', 'to': 'a:2'}, {'path': '/a', 'to': 'a:3'}]}}");
	(void)state;
	assert_string_equal(c->gateway.routes[0].path, "/b");
	assert_string_equal(c->gateway.routes[1].path, "/a");
	assert_string_equal(c->gateway.routes[2].path, "/");
	config_release(c);
}

static void a_command_alone_is_one_critical_worker(void **state)
{
	char program[] = "sleep", argument[] = "1";
	char *const argv[] = {program, argument, NULL};
	struct config *c = config_for_command(argv);
	(void)state;
	assert_non_null(c);
	assert_int_equal(c->n_workers, 1);
	const struct config_worker *w = &c->workers[0];
	assert_string_equal(w->name, "main");
	assert_string_equal(w->command[0], "sleep");
	assert_string_equal(w->command[1], "1");
	assert_null(w->command[2]);
	assert_ptr_not_equal(w->command[0], program);
	assert_true(w->critical);
	assert_true(w->interactive);
	assert_int_equal(w->restart.policy, RESTART_NEVER);
	assert_int_equal(w->stop.timeout, 10000);
	assert_int_equal(w->n_depends_on, 0);
	assert_null(c->control.listen);
	assert_int_equal(c->log.level, LOG_WARN);
	assert_string_equal(c->control.socket, "/run/podvisor/control.sock");
	assert_false(c->gateway.present);
	config_release(c);
}

/* --- print, schema, book --- */

static void what_is_printed_is_the_same_configuration(void **state)
{
	static const char *const names[] = {"full.json", "full-kubernetes.json", "example.json"};
	(void)state;
	for (size_t i = 0; i < COUNT(names); i++) {
		struct config *c = parse_fixture(names[i]);
		char *text = config_print(c);
		struct config *again = parse(text);
		assert_non_null(again);
		char *text_again = config_print(again);
		assert_string_equal(text, text_again);
		assert_int_equal(text[strlen(text) - 1], '\n');
		free(text);
		free(text_again);
		config_release(c);
		config_release(again);
	}
	/* Without secrets, equal in every field. */
	struct config *c = must_parse(
		"{'instance': '$$x', 'volumes': {'v': {'path': '/v', 'size': '4097'}}, 'postgres': {'p': "
		"{'dsn': 'service=x  connect_timeout = 3 '}}, 'browsers': {'b': {'volume': 'v'}}, " W
		", 'env': {'A': '${N}\\t\\u0001'}, 'liveness': {'notify': true}}}, " G ", 'drain': {'reason': ''}}}");
	char *text = config_print(c);
	struct config *again = parse(text);
	assert_non_null(again);
	assert_true(config_equal(c, again));
	again->workers[0].instances++;
	assert_false(config_equal(c, again));
	free(text);
	config_release(c);
	config_release(again);
}

/* What belongs to another backend is in a file of its own. */
static void assert_every_key(const json_t *properties, const char *const full[2])
{
	const char *name;
	json_t *property;
	json_object_foreach((json_t *)(uintptr_t)properties, name, property)
	{
		char quoted[64];
		const char *text = json_string_value(json_object_get(property, "description"));
		assert_non_null(text);
		assert_true(strlen(text) > 8);
		snprintf(quoted, sizeof(quoted), "\"%s\":", name);
		if (strncmp(text, "Not available", 13) == 0)
			continue;
		const char *found = strstr(full[0], quoted);
		found = found ? found : strstr(full[1], quoted);
		if (!found)
			print_error("%s is not in full.json\n", quoted);
		assert_non_null(found);
	}
}

static void the_schema_lists_every_key_and_the_full_example_sets_it(void **state)
{
	char *text = config_schema();
	json_t *schema = json_loads(text, 0, NULL), *definition;
	const char *name;
	size_t len;
	char *full[] = {read_file(FIXTURES "full.json", &len), read_file(FIXTURES "full-kubernetes.json", &len)};
	(void)state;
	assert_non_null(schema);
	assert_string_equal(
		json_string_value(json_object_get(schema, "$schema")), "http://json-schema.org/draft-07/schema#");
	assert_every_key(json_object_get(schema, "properties"), (const char *const *)full);
	size_t n = 0;
	json_object_foreach(json_object_get(schema, "definitions"), name, definition)
	{
		n++;
		assert_true(json_is_false(json_object_get(definition, "additionalProperties")));
		assert_every_key(json_object_get(definition, "properties"), (const char *const *)full);
	}
	assert_true(n >= 25);
	json_decref(schema);
	free(text);
	free(full[0]);
	free(full[1]);
}

/* PODVISOR_REGENERATE=1 in the environment writes the files anew instead. */
static void assert_generated(const char *path, char *text)
{
	const char *again = getenv("PODVISOR_REGENERATE");
	size_t len;
	assert_non_null(text);
	if (again && strcmp(again, "1") == 0) {
		FILE *f = fopen(path, "w");
		assert_non_null(f);
		fputs(text, f);
		assert_int_equal(fclose(f), 0);
	}
	char *there = read_file(path, &len);
	if (strcmp(there, text) != 0)
		print_error("%s is not what the table says: run this test with PODVISOR_REGENERATE=1\n", path);
	assert_true(strcmp(there, text) == 0);
	free(there);
	free(text);
}

static void the_schema_and_the_page_of_the_book_are_those_of_the_table(void **state)
{
	(void)state;
	assert_generated("config/podvisor.schema.json", config_schema());
	assert_generated("docs/configuration.md", config_reference());
}

/* --- what a reload compares --- */

static void only_what_differs_differs(void **state)
{
	static const struct {
		const char *a, *b;
		bool same;
	} cases[] = {{"", "", true}, {", 'env': {'A': '1', 'B': '2'}", ", 'env': {'B': '2', 'A': '1'}", true},
		{", 'env': {'A': '1'}", ", 'env': {'A': '2'}", false},
		{", 'env': {'A': '1'}", ", 'env': {'B': '1'}", false}, {", 'env': {'A': '1'}", "", false},
		{", 'cwd': '/a'", "", false}, {", 'cwd': '/a'", ", 'cwd': '/a'", true},
		{", 'stop': {'timeout': '30s'}", ", 'stop': {'timeout': '30000ms'}", true},
		{", 'stop': {'timeout': '10s'}", "", true}, /* a default, written out */
		{", 'stop': {'signal': 'INT'}", ", 'stop': {'signal': 2}", true}, {", 'critical': true", "", false},
		{", 'depends_on': ['b']", ", 'depends_on': ['b']", true}, {", 'depends_on': ['b']", "", false},
		{", 'readiness': {'file': '/x'}", ", 'liveness': {'file': '/x'}", false},
		{", 'limits': {'nice': 1}", ", 'limits': {'nice': 2}", false}};
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char text[256];
		snprintf(text, sizeof(text), "{'workers': {'a': {'command': ['x']%s}, 'b': {'command': ['x']}}}",
			cases[i].a);
		struct config *a = must_parse(text);
		/* Another place in the file means nothing. */
		snprintf(text, sizeof(text), "{'workers': {'b': {'command': ['x']}, 'a': {'command': ['x']%s}}}",
			cases[i].b);
		struct config *b = must_parse(text);
		assert_int_equal(config_worker_equal(&a->workers[0], &b->workers[1]), cases[i].same);
		assert_int_equal(config_worker_equal(&b->workers[1], &a->workers[0]), cases[i].same);
		assert_false(config_worker_equal(&a->workers[0], &b->workers[0]));
		config_release(a);
		config_release(b);
	}
}

static void parts_are_compared_with_all_that_is_in_them(void **state)
{
	struct config *a = parse_fixture("full.json"), *b = parse_fixture("full.json");
	(void)state;
	assert_true(config_equal(a, b));
	assert_true(config_browser_equal(&a->browsers[0], &b->browsers[0]));
	assert_true(config_postgres_equal(&a->postgres[0], &b->postgres[0]));
	assert_true(config_volume_equal(&a->volumes[0], &b->volumes[0]));
	assert_true(config_gateway_equal(&a->gateway, &b->gateway));
	assert_false(config_volume_equal(&a->volumes[0], &a->volumes[1]));
	b->browsers[0].health_network.interval++;
	b->postgres[0].dsn[0]++;
	b->volumes[0].clean_on_start = true;
	b->gateway.routes[1].drain_code = 4001;
	assert_false(config_browser_equal(&a->browsers[0], &b->browsers[0]));
	assert_false(config_postgres_equal(&a->postgres[0], &b->postgres[0]));
	assert_false(config_volume_equal(&a->volumes[0], &b->volumes[0]));
	assert_false(config_gateway_equal(&a->gateway, &b->gateway));
	assert_false(config_equal(a, b));
	config_release(a);
	config_release(b);
}

static void a_configuration_lives_as_long_as_someone_holds_it(void **state)
{
	struct config *c = must_parse("{'instance': 'x'}");
	(void)state;
	assert_ptr_equal(config_hold(c), c);
	config_release(c);
	assert_string_equal(c->instance, "x");
	config_release(c);
	config_release(NULL);
}

static void things_have_the_names_that_references_use(void **state)
{
	(void)state;
	assert_string_equal(thing_name(THING_WORKER), "worker");
	assert_string_equal(thing_name(THING_POSTGRES), "postgres");
	assert_string_equal(thing_name(THING_VOLUME), "volume");
	assert_string_equal(thing_name(THING_BROWSER), "browser");
	for (enum thing thing = 0; thing < THING_COUNT; thing++)
		assert_non_null(thing_name(thing));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_json_is_named_with_its_place),
		cmocka_unit_test(an_unknown_key_is_named_with_the_nearest_known_one),
		cmocka_unit_test(a_wrong_type_is_named_with_the_right_one),
		cmocka_unit_test(a_bad_unit_is_named_with_good_ones),
		cmocka_unit_test(a_cycle_is_spelled_out_where_it_begins),
		cmocka_unit_test(a_name_that_nothing_has_is_named_with_the_nearest),
		cmocka_unit_test(every_duplicate_key_is_named_with_the_first),
		cmocka_unit_test(lease_times_that_do_not_fit_are_named_with_the_figures),
		cmocka_unit_test(files_and_variables_that_are_not_there_are_named),
		cmocka_unit_test(an_empty_file_is_no_configuration),
		cmocka_unit_test(all_mistakes_of_a_file_are_named_in_its_order),
		cmocka_unit_test(columns_count_characters_and_lines_any_line_end),
		cmocka_unit_test(text_that_is_no_object_is_refused),
		cmocka_unit_test(nesting_without_end_is_refused),
		cmocka_unit_test(beyond_the_cap_mistakes_are_only_counted),
		cmocka_unit_test(long_paths_and_values_are_cut_and_control_characters_shown_as_marks),
		cmocka_unit_test(a_factor_may_have_decimals),
		cmocka_unit_test(a_startup_may_be_a_time_alone),
		cmocka_unit_test(a_check_checks_exactly_one_thing),
		cmocka_unit_test(addresses_and_urls_are_looked_at),
		cmocka_unit_test(networks_codes_and_reasons_are_looked_at),
		cmocka_unit_test(lease_times_are_compared_at_their_limits),
		cmocka_unit_test(each_backend_of_leases_has_its_own_keys_and_names),
		cmocka_unit_test(a_leased_worker_needs_to_know_where_leases_live),
		cmocka_unit_test(what_only_one_may_have_is_not_given_twice),
		cmocka_unit_test(no_more_restarts_are_counted_than_can_be_remembered),
		cmocka_unit_test(two_separate_cycles_are_both_named),
		cmocka_unit_test(progress_takes_its_number_from_one_place),
		cmocka_unit_test(restart_with_names_others_that_are_there),
		cmocka_unit_test(what_may_be_purged_lies_below_the_path),
		cmocka_unit_test(nothing_is_accepted_that_is_not_there),
		cmocka_unit_test(secret_values_are_concealed_wherever_they_come_back),
		cmocka_unit_test(a_socket_s_path_fits_into_its_address),
		cmocka_unit_test(a_path_is_measured_when_its_variables_are_replaced),
		cmocka_unit_test(the_host_s_name_stands_in_for_a_variable_that_shells_do_not_export),
		cmocka_unit_test(what_continues_a_line_is_a_word_or_a_pattern),
		cmocka_unit_test(variables_files_and_dollars_are_replaced),
		cmocka_unit_test(what_cannot_be_replaced_is_named),
		cmocka_unit_test(no_secret_stands_in_a_mistake),
		cmocka_unit_test(no_secret_is_printed),
		cmocka_unit_test(passwords_are_masked_in_every_form_of_a_dsn),
		cmocka_unit_test(names_tell_what_is_secret),
		cmocka_unit_test(an_empty_object_is_all_defaults),
		cmocka_unit_test(a_worker_has_the_defaults_of_the_contract),
		cmocka_unit_test(volumes_and_databases_have_the_defaults_of_the_contract),
		cmocka_unit_test(a_browser_has_the_defaults_of_the_contract),
		cmocka_unit_test(a_gateway_has_the_defaults_of_the_contract),
		cmocka_unit_test(the_example_of_the_contract_is_read),
		cmocka_unit_test(what_is_set_arrives_in_its_field),
		cmocka_unit_test(routes_of_one_length_stay_as_they_stand_in_the_file),
		cmocka_unit_test(a_command_alone_is_one_critical_worker),
		cmocka_unit_test(what_is_printed_is_the_same_configuration),
		cmocka_unit_test(the_schema_lists_every_key_and_the_full_example_sets_it),
		cmocka_unit_test(the_schema_and_the_page_of_the_book_are_those_of_the_table),
		cmocka_unit_test(only_what_differs_differs),
		cmocka_unit_test(parts_are_compared_with_all_that_is_in_them),
		cmocka_unit_test(a_configuration_lives_as_long_as_someone_holds_it),
		cmocka_unit_test(things_have_the_names_that_references_use),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
