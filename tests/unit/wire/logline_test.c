#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "podvisor/wire/logline.h"

#define WALL 1795489845123

static const struct logline meta = {.level = "info", .name = "api", .field = "worker", .stream = "stdout"};
static struct logline_head head;

static int make_head(void **state)
{
	(void)state;
	return logline_head_init(&head, &meta);
}

static int drop_head(void **state)
{
	(void)state;
	logline_head_fini(&head);
	return 0;
}

static void expect(const char *text, bool as_json, const char *line)
{
	struct buf out;
	buf_init(&out, 4096);
	assert_int_equal(logline_put_json(&out, &head, WALL, span_of(text), as_json), 0);
	assert_string_equal(buf_str(&out), line);
	buf_fini(&out);
}

#define HEAD       "{\"ts\":\"2026-11-24T03:10:45.123Z\",\"level\":\"info\",\"worker\":\"api\",\"stream\":\"stdout\""
#define HEAD_LATER "{\"ts\":\"2026-11-24T03:10:45.124Z\",\"level\":\"info\",\"worker\":\"api\",\"stream\":\"stdout\""
#define PEOPLE     "2026-11-24T03:10:45.123Z info  api: "

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
	assert_int_equal(logline_put_json(&out, &head, WALL, SPAN("0123"), true), 0);
	size_t len = out.len;
	assert_int_equal(logline_put_json(&out, &head, WALL, SPAN("0123"), true), -ENOSPC);
	assert_int_equal(out.len, len);
	assert_int_equal(out.failed, 0);
	assert_int_equal(out.data[len - 1], '\n');
	buf_fini(&out);
}

static void each_line_has_its_own_time(void **state)
{
	(void)state;
	struct buf out;
	buf_init(&out, 4096);
	logline_put_json(&out, &head, WALL, SPAN("a"), true);
	logline_put_json(&out, &head, WALL + 1, SPAN("b"), true);
	logline_put_json(&out, &head, WALL + 1, SPAN("{\"c\":1}"), true);
	logline_put_json(&out, &head, WALL, SPAN("d"), true);
	assert_string_equal(buf_str(&out), HEAD ",\"msg\":\"a\"}\n" HEAD_LATER ",\"msg\":\"b\"}\n" HEAD_LATER
						",\"c\":1}\n" HEAD ",\"msg\":\"d\"}\n");
	buf_fini(&out);
}

static void what_is_not_known_of_a_line_is_left_out(void **state)
{
	(void)state;
	struct logline_head own;
	struct buf out;
	buf_init(&out, 4096);
	assert_int_equal(logline_head_init(&own, &(struct logline){.level = "warn", .name = "", .field = "pod"}), 0);
	logline_put_json(&out, &own, WALL, SPAN("x"), false);
	logline_put_json(&out, &own, WALL, SPAN("{\"level\":1,\"ts\":2}"), true);
	logline_put_text(&out, &own, WALL, SPAN("x"));
	assert_string_equal(buf_str(&out), "{\"ts\":\"2026-11-24T03:10:45.123Z\",\"level\":\"warn\",\"msg\":\"x\"}\n"
					   "{\"level\":1,\"ts\":2}\n2026-11-24T03:10:45.123Z warn  x\n");
	logline_head_fini(&own);
	buf_fini(&out);
}

static void a_piece_and_what_a_command_wrote_are_marked(void **state)
{
	(void)state;
	struct logline_head own;
	struct buf out;
	buf_init(&out, 4096);
	struct logline marked = meta;
	marked.command = "stop";
	marked.partial = true;
	assert_int_equal(logline_head_init(&own, &marked), 0);
	logline_put_json(&out, &own, WALL, SPAN("x"), true);
	logline_put_json(&out, &own, WALL, SPAN("{\"partial\":1,\"command\":\"mine\"}"), true);
	logline_put_text(&out, &own, WALL, SPAN("x"));
	assert_string_equal(buf_str(&out), HEAD ",\"command\":\"stop\",\"partial\":true,\"msg\":\"x\"}\n" HEAD
						",\"partial\":1,\"command\":\"mine\"}\n"
						"2026-11-24T03:10:45.123Z info  api (stop): x\n");
	logline_head_fini(&own);
	buf_fini(&out);
}

static void for_people_a_message_of_several_lines_is_as_many(void **state)
{
	(void)state;
	struct buf out;
	buf_init(&out, 4096);
	logline_put_text(&out, &head, WALL, SPAN("Error: x\n  at y\n"));
	assert_string_equal(buf_str(&out), PEOPLE "Error: x\n" PEOPLE "  at y\n" PEOPLE "\n");
	buf_clear(&out);
	logline_put_text(&out, &head, WALL, SPAN(""));
	assert_string_equal(buf_str(&out), PEOPLE "\n");
	buf_fini(&out);
}

static void a_message_of_several_lines_is_one_of_json(void **state)
{
	(void)state;
	expect("Error: x\n  at y", true, HEAD ",\"msg\":\"Error: x\\n  at y\"}\n");
}

static void a_json_object_is_told_from_what_looks_like_one(void **state)
{
	(void)state;
	assert_true(logline_is_json(SPAN(" {\"a\":[1]} ")));
	assert_true(logline_is_json(SPAN("{}")));
	assert_false(logline_is_json(SPAN("{\"a\":[1}")));
	assert_false(logline_is_json(SPAN("[1]")));
	assert_false(logline_is_json(SPAN("")));
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
		cmocka_unit_test(each_line_has_its_own_time),
		cmocka_unit_test(what_is_not_known_of_a_line_is_left_out),
		cmocka_unit_test(a_piece_and_what_a_command_wrote_are_marked),
		cmocka_unit_test(for_people_a_message_of_several_lines_is_as_many),
		cmocka_unit_test(a_message_of_several_lines_is_one_of_json),
		cmocka_unit_test(a_json_object_is_told_from_what_looks_like_one),
	};
	return cmocka_run_group_tests_name("logline", tests, make_head, drop_head);
}
