#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "podvisor/cli/glyph.h"

static void columns_are_those_of_a_terminal(void **state)
{
	(void)state;
	const struct {
		const char *text;
		int columns;
	} rows[] = {{"", 0}, {"abc", 3}, {"größe", 5}, {"日本", 4}, {"한글", 4}, {"e\u0301", 1}, {"🚀", 2},
		{"a\u200bb", 2}, {"…", 1}, {"ｆｕ", 4}, {"→", 1}, {"│", 1}};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(glyph_columns(rows[i].text), rows[i].columns);
}

static void a_cut_never_splits_a_character_nor_passes_its_columns(void **state)
{
	(void)state;
	assert_int_equal(glyph_cut("日本", 0), 0);
	assert_int_equal(glyph_cut("日本", 1), 0);
	assert_int_equal(glyph_cut("日本", 2), 3);
	assert_int_equal(glyph_cut("日本", 3), 3);
	assert_int_equal(glyph_cut("日本", 9), 6);
	assert_int_equal(glyph_cut("e\u0301x", 1), 3);
	assert_int_equal(glyph_cut("abc", -1), 0);
}

static void check_clean(const char *text, const char *expected)
{
	char out[64];
	assert_int_equal(glyph_clean(out, text), strlen(expected));
	assert_string_equal(out, expected);
}

static void what_a_terminal_would_obey_becomes_a_question_mark(void **state)
{
	(void)state;
	check_clean("a\033[31m\nb\x7f", "a?[31m?b?");
	check_clean("\xc2\x9b"
		    "31m",
		"?31m"); /* CSI as one character */
	check_clean("a\u202eb\u2028c\u2066", "a?b?c?"); /* turns the direction, ends the line */
	check_clean("größe 日本", "größe 日本");
}

static void bytes_that_are_no_utf8_become_question_marks(void **state)
{
	(void)state;
	check_clean("\xff", "?");
	check_clean("a\xe6\x97", "a??"); /* cut off */
	check_clean("\xc0\xaf", "??"); /* overlong */
	check_clean("\xed\xa0\x80", "???"); /* a surrogate */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(columns_are_those_of_a_terminal),
		cmocka_unit_test(a_cut_never_splits_a_character_nor_passes_its_columns),
		cmocka_unit_test(what_a_terminal_would_obey_becomes_a_question_mark),
		cmocka_unit_test(bytes_that_are_no_utf8_become_question_marks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
