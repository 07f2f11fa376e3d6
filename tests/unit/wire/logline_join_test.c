#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "podvisor/wire/logline_join.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Traces as these languages print them; "+" marks the lines that continue. */
static const struct trace {
	const char *word, *lines;
} traces[] = {
	{"java", " 2026-11-24 03:10:45 ERROR c.e.App - request failed\n"
		 "+java.lang.IllegalStateException: no price\n"
		 "+\tat com.example.App$1.run(App.java:10)\n"
		 "+\tSuppressed: java.io.IOException: closed\n"
		 "+Caused by: java.util.NoSuchElementException\n"
		 "+\t... 12 more\n"
		 " 2026-11-24 03:10:46 INFO c.e.App - done\n"
		 " Caused by nothing\n"
		 " Exception handling is on\n"},
	{"python", " ERROR:root:request failed\n"
		   "+Traceback (most recent call last):\n"
		   "+  File \"app.py\", line 3, in <module>\n"
		   "+    f()\n"
		   "+ValueError: no price\n"
		   "+\n"
		   "+During handling of the above exception, another exception occurred:\n"
		   "+\n"
		   "+Traceback (most recent call last):\n"
		   "+  File \"app.py\", line 5, in <module>\n"
		   "+psycopg2.errors.UniqueViolation: duplicate key\n"
		   " INFO:root:done\n"
		   " Errors: 0\n"},
	{"go", " panic: no price\n"
	       "+\n"
	       "+goroutine 1 [running]:\n"
	       "+main.(*Server).price(0xc000010000, {0x1, 0x2})\n"
	       "+\t/app/main.go:10 +0x1d\n"
	       "+github.com/example/x%2ey.run[...](...)\n"
	       "+\t/app/x.go:3\n"
	       "+created by main.start in goroutine 5\n"
	       "+\t/app/main.go:7 +0x2b\n"
	       "+exit status 2\n"
	       " 2026/11/24 03:10:45 done (in 3 s)\n"},
	{"node", " Error: no price\n"
		 "+    at Server.price (/app/server.js:10:9)\n"
		 "+    at process.processTicksAndRejections (node:internal/process/task_queues:95:5) {\n"
		 "+  code: 'E_PRICE'\n"
		 "+}\n"
		 "+\n"
		 "+Node.js v20.11.0\n"
		 " Error: another\n"
		 " done\n"},
};

static void the_words_know_the_traces_of_their_language(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(traces); i++) {
		struct pattern *p = NULL;
		struct err err = {0};
		if (logline_join_new(&p, traces[i].word, &err) < 0)
			fail_msg("%s: %s", traces[i].word, err.text);
		for (const char *at = traces[i].lines; *at;) {
			struct span line = {at + 1, strcspn(at + 1, "\n")};
			if (logline_join_continues(p, line) != (*at == '+'))
				fail_msg("%s: \"%.*s\"", traces[i].word, (int)line.len, line.at);
			at += line.len + 2;
		}
		pattern_free(p);
	}
}

static void other_text_is_a_pattern(void **state)
{
	(void)state;
	struct pattern *p = NULL;
	struct err err = {0};
	assert_int_equal(logline_join_new(&p, "^(java|>)", &err), 0);
	assert_true(logline_join_continues(p, SPAN("> x")));
	assert_true(logline_join_continues(p, SPAN("java")));
	assert_false(logline_join_continues(p, SPAN("\tat x")));
	pattern_free(p);
	assert_true(logline_join_new(&p, "^(java", &err) < 0);
	assert_string_equal(err.text, "missing closing parenthesis (character 7)");
}

static void only_the_front_of_a_line_is_looked_at(void **state)
{
	(void)state;
	struct pattern *p = NULL;
	struct err err = {0};
	char line[LOGLINE_JOIN_LOOK_BYTES + 1];
	memset(line, '.', sizeof(line));
	assert_int_equal(logline_join_new(&p, "x", &err), 0);
	line[LOGLINE_JOIN_LOOK_BYTES] = 'x';
	assert_false(logline_join_continues(p, (struct span){line, sizeof(line)}));
	line[LOGLINE_JOIN_LOOK_BYTES - 1] = 'x';
	assert_true(logline_join_continues(p, (struct span){line, sizeof(line)}));
	pattern_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_words_know_the_traces_of_their_language),
		cmocka_unit_test(other_text_is_a_pattern),
		cmocka_unit_test(only_the_front_of_a_line_is_looked_at),
	};
	return cmocka_run_group_tests_name("logline_join", tests, NULL, NULL);
}
