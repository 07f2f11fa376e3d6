#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "podvisor/cli/screen.h"

static void check_lines(const char *text, int columns, const char *expected)
{
	char *written = NULL;
	size_t size;
	FILE *to = open_memstream(&written, &size);
	assert_non_null(to);
	screen_put_lines(to, text, columns);
	fclose(to);
	assert_string_equal(written, expected);
	free(written);
}

static void lines_are_cut_to_the_columns(void **state)
{
	(void)state;
	check_lines("", 5, "");
	check_lines("abcde\nabcdef\n\nx", 5, "abcde\nabcd…\n\nx\n");
	check_lines("日本語\n", 5, "日本…\n");
	check_lines("日本語\n", 4, "日…\n");
	check_lines("abcdef\n", 0, "abcdef\n");
}

static void colours_take_no_columns_and_end_with_a_line_that_is_cut(void **state)
{
	(void)state;
	check_lines("\033[31mabc\033[0m\n", 3, "\033[31mabc\033[0m\n");
	check_lines("\033[31mabcd\033[0m\n", 3, "\033[31mab…\033[0m\n");
	check_lines("\033[31mab\033[0mcd\n", 3, "\033[31mab\033[0m…\033[0m\n");
}

static void a_sequence_that_is_cut_off_does_not_reach_beyond_its_line(void **state)
{
	(void)state;
	check_lines("a\033[31\nm\n", 5, "a\033[31\nm\n");
	check_lines("abcd\033[31\nm\n", 3, "ab…\nm\n");
}

static void what_is_no_terminal_has_no_size(void **state)
{
	(void)state;
	FILE *to = tmpfile();
	assert_non_null(to);
	assert_int_equal(screen_columns(to), 0);
	assert_int_equal(screen_rows(to), 0);
	assert_false(screen_can_draw(to));
	fclose(to);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_cut_to_the_columns),
		cmocka_unit_test(colours_take_no_columns_and_end_with_a_line_that_is_cut),
		cmocka_unit_test(a_sequence_that_is_cut_off_does_not_reach_beyond_its_line),
		cmocka_unit_test(what_is_no_terminal_has_no_size),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
