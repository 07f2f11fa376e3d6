#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "podvisor/base/json.h"

/* ---- writing ---- */

static void expect_bytes(const char *bytes, size_t n, const char *quoted)
{
	struct buf b;
	buf_init(&b, 4096);
	assert_int_equal(json_put_string(&b, bytes, n), 0);
	assert_string_equal(buf_str(&b), quoted);
	buf_fini(&b);
}

#define EXPECT(literal, quoted) expect_bytes(literal, sizeof(literal) - 1, quoted)

static void plain_text_is_quoted(void **state)
{
	(void)state;
	expect_bytes(NULL, 0, "\"\"");
	EXPECT("a", "\"a\"");
	EXPECT("listening on 0.0.0.0:3000", "\"listening on 0.0.0.0:3000\"");
	EXPECT("\x7f/", "\"\x7f/\"");
}

static void what_json_wants_escaped_is_escaped(void **state)
{
	(void)state;
	EXPECT("\"\\", "\"\\\"\\\\\"");
	EXPECT("\b\t\n\f\r", "\"\\b\\t\\n\\f\\r\"");
	EXPECT("\0\x01\x0b\x1f", "\"\\u0000\\u0001\\u000b\\u001f\"");
}

static void utf8_stays_and_what_is_none_is_replaced_byte_by_byte(void **state)
{
	(void)state;
	EXPECT("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"");
	EXPECT("a\xffz", "\"a\xef\xbf\xbdz\"");
	EXPECT("\xc0\xaf", "\"\xef\xbf\xbd\xef\xbf\xbd\"");
	EXPECT("\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
	EXPECT("\xf4\x90\x80\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
	EXPECT("\xe2\x82", "\"\xef\xbf\xbd\xef\xbf\xbd\"");
}

/* Eight bytes are looked at in one go: whatever stands where, it is found. */
static void a_special_byte_is_found_at_every_place(void **state)
{
	(void)state;
	for (int special = 0; special < 256; special++)
		for (size_t at = 0; at < 20; at++) {
			char text[20];
			struct buf b;
			memset(text, 'x', sizeof(text));
			text[at] = (char)special;
			buf_init(&b, 4096);
			assert_int_equal(json_put_string(&b, text, sizeof(text)), 0);
			json_t *read = json_loads(buf_str(&b), JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
			assert_non_null(read);
			const char *value = json_string_value(read);
			if (special < 0x80) {
				assert_int_equal(json_string_length(read), sizeof(text));
				assert_memory_equal(value, text, sizeof(text));
			} else {
				assert_int_equal(json_string_length(read), sizeof(text) + 2);
				assert_memory_equal(value + at, "\xef\xbf\xbd", 3);
			}
			json_decref(read);
			buf_fini(&b);
		}
}

static void a_full_buffer_is_told(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 5);
	assert_int_equal(json_put_string(&b, "1234", 4), -ENOSPC);
	assert_int_equal(b.failed, -ENOSPC);
	buf_fini(&b);
}

/* ---- looking ---- */

static bool is_object(const char *text)
{
	return json_check_object(span_of(text), NULL, NULL);
}

static void objects_are_objects(void **state)
{
	(void)state;
	static const char *const objects[] = {"{}", " {\t} \r\n", "{\"a\":1}", "{\"a\":-0.5e+10,\"b\":[]}",
		"{\"a\":[1,\"x\",true,false,null,{}]}", "{\"\\u00e4\\n\":\"\\\"\\\\\\/\"}", "{\"a\":0}",
		"{\"\xc3\xa4\":1e1}", "{\"a\":\"\\ud800\"}"};
	for (size_t i = 0; i < sizeof(objects) / sizeof(objects[0]); i++)
		if (!is_object(objects[i]))
			fail_msg("%s", objects[i]);
}

static void what_is_none_is_none(void **state)
{
	(void)state;
	static const char *const others[] = {"", " ", "1", "[]", "\"{}\"", "{", "}", "{}}", "{} {}", "{a:1}", "{\"a\"}",
		"{\"a\":}", "{\"a\":1,}", "{,\"a\":1}", "{\"a\":1 \"b\":2}", "{\"a\":01}", "{\"a\":1.}", "{\"a\":.5}",
		"{\"a\":+1}", "{\"a\":1e}", "{\"a\":-}", "{\"a\":tru}", "{\"a\":True}", "{\"a\":[1,]}", "{\"a\":[1 2]}",
		"{\"a\":\"\\x\"}", "{\"a\":\"\\u12g4\"}", "{\"a\":\"\\u12", "{\"a\":\"\\", "{\"a\":\"\t\"}",
		"{\"a\":\"\xff\"}", "{'a':1}", "{\"a\":1}/**/", "{\"a\":NaN}", "{\"a"};
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (is_object(others[i]))
			fail_msg("%s", others[i]);
	assert_false(json_check_object((struct span){0}, NULL, NULL));
	assert_false(json_check_object(SPAN("{\"a\":\"\\\0\"}"), NULL, NULL));
}

/* Nothing behind the end of a span that is no C string is read. */
static void a_cut_object_is_none_and_nothing_behind_it_is_read(void **state)
{
	(void)state;
	static const char whole[] = "{\"k\\u00e4y\":[-1.5e3,true,null,\"\\\"\xe2\x82\xac\"]}";
	for (size_t n = 0; n < sizeof(whole) - 1; n++) {
		char *cut = malloc(n + 1);
		assert_non_null(cut);
		memcpy(cut, whole, n);
		char *exact = realloc(cut, n ? n : 1);
		assert_false(json_check_object((struct span){exact, n}, NULL, NULL));
		free(exact);
	}
	assert_true(is_object(whole));
}

static bool is_nested(int depth)
{
	char text[512] = "{\"a\":";
	size_t len = strlen(text);
	for (int i = 1; i < depth; i++)
		text[len++] = '[';
	for (int i = 1; i < depth; i++)
		text[len++] = ']';
	text[len++] = '}';
	return depth == 1 ? is_object("{}") : json_check_object((struct span){text, len}, NULL, NULL);
}

static void sixty_four_levels_are_the_limit(void **state)
{
	(void)state;
	for (int depth = 1; depth <= 70; depth++)
		assert_int_equal(is_nested(depth), depth <= 64);
}

static void note(void *ctx, struct span key)
{
	struct buf *keys = ctx;
	buf_put(keys, key.at, key.len);
	buf_putc(keys, ',');
}

static void only_the_outermost_keys_are_shown_and_raw(void **state)
{
	(void)state;
	struct buf keys;
	buf_init(&keys, 100);
	assert_true(json_check_object(
		SPAN("{\"ts\":1, \"a\\n\":{\"inner\":[{\"deep\":1}]}, \"\":0, \"ts\":2}"), note, &keys));
	assert_string_equal(buf_str(&keys), "ts,a\\n,,ts,");
	buf_fini(&keys);
}

/* Wherever the one byte stands that does not, in texts of every length around a block's. */
static void what_stands_as_it_is_ends_at_the_very_byte(void **state)
{
	static const char bytes[] = {'"', '\\', '\n', '\0', '\x1f', '\xff'};
	char text[100];
	(void)state;
	for (size_t n = 0; n < sizeof(text); n++) {
		memset(text, '~', sizeof(text));
		assert_int_equal(json_plain(text, n), n);
		for (size_t i = 0; i < sizeof(bytes); i++)
			for (size_t at = 0; at < n; at++) {
				memset(text, ' ', sizeof(text));
				text[at] = bytes[i];
				assert_int_equal(json_plain(text, n), at);
			}
	}
	assert_int_equal(json_plain("0123456789012345678901234567890\xc3\xbc\"", 34), 33);
	assert_int_equal(json_plain("0123456789012345678901234567890\xc3\xbc\"", 32), 31);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_text_is_quoted),
		cmocka_unit_test(what_json_wants_escaped_is_escaped),
		cmocka_unit_test(utf8_stays_and_what_is_none_is_replaced_byte_by_byte),
		cmocka_unit_test(a_special_byte_is_found_at_every_place),
		cmocka_unit_test(a_full_buffer_is_told),
		cmocka_unit_test(objects_are_objects),
		cmocka_unit_test(what_is_none_is_none),
		cmocka_unit_test(a_cut_object_is_none_and_nothing_behind_it_is_read),
		cmocka_unit_test(sixty_four_levels_are_the_limit),
		cmocka_unit_test(only_the_outermost_keys_are_shown_and_raw),
		cmocka_unit_test(what_stands_as_it_is_ends_at_the_very_byte),
	};
	return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
