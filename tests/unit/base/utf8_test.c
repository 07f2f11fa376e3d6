#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "podvisor/base/utf8.h"

static size_t encode(uint32_t c, char out[4])
{
	if (c < 0x80)
		return out[0] = (char)c, 1;
	if (c < 0x800)
		return out[0] = (char)(0xc0 | c >> 6), out[1] = (char)(0x80 | (c & 63)), 2;
	out[0] = (char)(0xe0 | c >> 12);
	out[1] = (char)(0x80 | (c >> 6 & 63));
	out[2] = (char)(0x80 | (c & 63));
	if (c < 0x10000)
		return 3;
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 63));
	out[2] = (char)(0x80 | (c >> 6 & 63));
	out[3] = (char)(0x80 | (c & 63));
	return 4;
}

static void every_character_is_one_and_its_beginning_is_none(void **state)
{
	(void)state;
	for (uint32_t c = 0; c < 0x110000; c++) {
		char text[4];
		size_t n = encode(c, text);
		bool surrogate = c >= 0xd800 && c < 0xe000;
		assert_int_equal(utf8_length(text, n), surrogate ? 0 : n);
		for (size_t cut = 1; cut < n; cut++)
			assert_int_equal(utf8_length(text, cut), 0);
	}
}

static void what_is_overlong_or_beyond_the_last_character_is_none(void **state)
{
	(void)state;
	static const char *const none[] = {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xe0\x9f\xbf",
		"\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\xc3(",
		"\xe2(\xac", "\xe2\x82("};
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		assert_int_equal(utf8_length(none[i], strlen(none[i])), 0);
}

static void a_cut_never_falls_inside_a_character(void **state)
{
	(void)state;
	static const char text[] = "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z";
	static const size_t cuts[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11};
	for (size_t n = 0; n <= 11; n++)
		assert_int_equal(utf8_cut(text, n), cuts[n]);
	assert_int_equal(utf8_cut("\x80\x80\x80\x80\x80", 5), 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_character_is_one_and_its_beginning_is_none),
		cmocka_unit_test(what_is_overlong_or_beyond_the_last_character_is_none),
		cmocka_unit_test(a_cut_never_falls_inside_a_character),
	};
	return cmocka_run_group_tests_name("utf8", tests, NULL, NULL);
}
