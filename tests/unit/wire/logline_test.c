#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "podvisor/wire/logline.h"

static const struct logline meta = {
	.wall_ms = 1795489845123, .level = "info", .name = "api", .field = "worker", .stream = "stdout"};

static void expect(const char *text, bool as_json, const char *line)
{
	struct buf out;
	buf_init(&out, 4096);
	assert_int_equal(logline_put_json(&out, &meta, span_of(text), as_json), 0);
	assert_string_equal(buf_str(&out), line);
	buf_fini(&out);
}

#define HEAD "{\"ts\":\"2026-11-24T03:10:45.123Z\",\"level\":\"info\",\"worker\":\"api\",\"stream\":\"stdout\""

static void text_becomes_msg(void **state)
{
	(void)state;
	expect("listening on \"3000\"\t\\", true, HEAD ",\"msg\":\"listening on \\\"3000\\\"\\t\\\\\"}\n");
}

static void a_workers_own_json_keeps_its_fields_and_gets_what_it_lacks(void **state)
{
	(void)state;
	expect("{\"msg\":\"hi\",\"n\":{\"a\":[1,2.50]}}", true, HEAD ",\"msg\":\"hi\",\"n\":{\"a\":[1,2.50]}}\n");
}

static void its_own_time_and_level_are_left_alone(void **state)
{
	(void)state;
	expect("{\"level\":\"error\",\"time\":17,\"msg\":\"x\"}", true,
		"{\"worker\":\"api\",\"stream\":\"stdout\",\"level\":\"error\",\"time\":17,\"msg\":\"x\"}\n");
}

static void an_object_that_has_everything_gets_no_stray_comma(void **state)
{
	(void)state;
	expect("{\"ts\":1,\"level\":2,\"worker\":3,\"stream\":4}", true,
		"{\"ts\":1,\"level\":2,\"worker\":3,\"stream\":4}\n");
	expect("{}", true, HEAD "}\n");
	expect("{ }", true, HEAD " }\n");
}

static void what_only_looks_like_json_is_text(void **state)
{
	(void)state;
	expect("{\"a\":1,}", true, HEAD ",\"msg\":\"{\\\"a\\\":1,}\"}\n");
	expect("{\"a\":01}", true, HEAD ",\"msg\":\"{\\\"a\\\":01}\"}\n");
	expect("{\"a\":1} x", true, HEAD ",\"msg\":\"{\\\"a\\\":1} x\"}\n");
}

static void format_text_takes_json_as_text(void **state)
{
	(void)state;
	expect("{}", false, HEAD ",\"msg\":\"{}\"}\n");
}

static void bytes_that_are_no_utf8_are_replaced(void **state)
{
	(void)state;
	expect("\xc3\xa4\xff\xed\xa0\x80.", true,
		HEAD ",\"msg\":\"\xc3\xa4\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd.\"}\n");
}

static void a_full_buffer_takes_a_whole_line_or_nothing(void **state)
{
	(void)state;
	struct buf out;
	buf_init(&out, 110);
	assert_int_equal(logline_put_json(&out, &meta, SPAN("0123"), true), 0);
	size_t len = out.len;
	assert_int_equal(logline_put_json(&out, &meta, SPAN("0123"), true), -ENOSPC);
	assert_int_equal(out.len, len);
	assert_int_equal(out.failed, 0);
	assert_int_equal(out.data[len - 1], '\n');
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_becomes_msg),
		cmocka_unit_test(a_workers_own_json_keeps_its_fields_and_gets_what_it_lacks),
		cmocka_unit_test(its_own_time_and_level_are_left_alone),
		cmocka_unit_test(an_object_that_has_everything_gets_no_stray_comma),
		cmocka_unit_test(what_only_looks_like_json_is_text),
		cmocka_unit_test(format_text_takes_json_as_text),
		cmocka_unit_test(bytes_that_are_no_utf8_are_replaced),
		cmocka_unit_test(a_full_buffer_takes_a_whole_line_or_nothing),
	};
	return cmocka_run_group_tests_name("logline", tests, NULL, NULL);
}
