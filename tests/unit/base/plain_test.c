#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "podvisor/base/plain.h"

static void expect(const char *text, const char *plain)
{
	struct buf out;
	buf_init(&out, 4096);
	assert_int_equal(plain_put(&out, span_of(text)), 0);
	assert_string_equal(buf_str(&out), plain);
	buf_fini(&out);
}

static void text_stays_as_it_is(void **state)
{
	(void)state;
	expect("a \xc3\xbc \xf0\x9f\x98\x80\n\tb~", "a \xc3\xbc \xf0\x9f\x98\x80\n\tb~");
	expect("", "");
}

static void colours_are_left_out(void **state)
{
	(void)state;
	expect("\033[31mred\033[0m \033[1;38;5;196mx\033[m", "red x");
	expect("\033[2J\033[Hx", "x");
}

static void what_a_terminal_would_obey_is_not_shown(void **state)
{
	(void)state;
	expect("\033]0;title\7x", "?]0;title?x");
	expect("a\rb\bc\x7f", "a?b?c?");
	expect("\xc2\x9b"
	       "31m \xc2\xa0.",
		"?31m \xc2\xa0.");
	expect("\033[31", "?[31");
	expect("\033", "?");
	expect("\033[\xc3\xbc", "?[\xc3\xbc");
}

static void what_is_no_utf8_is_marked(void **state)
{
	(void)state;
	expect("a\xff\xed\xa0\x80"
	       "b\xe2\x82",
		"a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
		"b\xef\xbf\xbd\xef\xbf\xbd");
	struct buf out;
	buf_init(&out, 16);
	assert_int_equal(plain_put(&out, (struct span){"a\0b", 3}), 0);
	assert_string_equal(buf_str(&out), "a?b");
	buf_fini(&out);
}

static void a_full_buffer_is_told(void **state)
{
	struct buf out;
	(void)state;
	buf_init(&out, 2);
	assert_int_equal(plain_put(&out, SPAN("abc")), -ENOSPC);
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_stays_as_it_is),
		cmocka_unit_test(colours_are_left_out),
		cmocka_unit_test(what_a_terminal_would_obey_is_not_shown),
		cmocka_unit_test(what_is_no_utf8_is_marked),
		cmocka_unit_test(a_full_buffer_is_told),
	};
	return cmocka_run_group_tests_name("plain", tests, NULL, NULL);
}
