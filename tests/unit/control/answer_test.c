#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "podvisor/control/answer.h"

static void text_that_is_no_utf8_becomes_a_string_all_the_same(void **state)
{
	(void)state;
	static const struct {
		const char *text, *string;
	} cases[] = {{"", ""}, {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"}, {"cut \xe2\x82", "cut "},
		{"cut \xf0\x9f\x98", "cut "}, {"a\xff z", "a? z"}, {"\x80", "?"}, {"\xff\x80 \xc3", "?? ?"}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *string = answer_string(cases[i].text);
		assert_non_null(string);
		assert_string_equal(json_string_value(string), cases[i].string);
		json_decref(string);
	}
}

static void numbers_are_shown_as_people_write_them(void **state)
{
	(void)state;
	struct answer a;
	struct buf body;
	buf_init(&body, 4096);
	answer_init(&a, &body);
	answer_json(&a, 200, json_pack("{s:f,s:f}", "a", 0.1, "b", 1234567.123));
	assert_string_equal(buf_str(&body), "{\"a\":0.1,\"b\":1234567.123}\n");
	assert_string_equal(a.type, "application/json");
	buf_fini(&body);
}

static void an_error_is_json_and_replaces_what_was_there(void **state)
{
	(void)state;
	struct answer a;
	struct buf body;
	buf_init(&body, 4096);
	answer_init(&a, &body);
	buf_puts(&body, "half of something");
	answer_error(&a, 404, "no \"%s\"", "x");
	assert_int_equal(a.status, 404);
	assert_string_equal(buf_str(&body), "{\"error\":\"no \\\"x\\\"\"}\n");
	buf_fini(&body);
}

static void json_that_could_not_be_made_is_a_500(void **state)
{
	(void)state;
	struct answer a;
	struct buf body;
	buf_init(&body, 4096);
	answer_init(&a, &body);
	answer_json(&a, 200, NULL);
	assert_int_equal(a.status, 500);
	assert_string_equal(buf_str(&body), "out of memory\n");
	buf_fini(&body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_that_is_no_utf8_becomes_a_string_all_the_same),
		cmocka_unit_test(numbers_are_shown_as_people_write_them),
		cmocka_unit_test(an_error_is_json_and_replaces_what_was_there),
		cmocka_unit_test(json_that_could_not_be_made_is_a_500),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
