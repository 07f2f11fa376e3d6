#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "podvisor/cli/glyph.h"
#include "podvisor/cli/table.h"

/* What a table prints, for free(). */
static char *printed(const struct table *t, bool coloured, int limit)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);
	assert_non_null(to);
	table_print(t, to, coloured, limit);
	fclose(to);
	return text;
}

static void check_fitted(struct table *t, int limit, const char *want)
{
	char *text = printed(t, false, limit);
	assert_string_equal(text, want);
	free(text);
}

static void check_printed(struct table *t, bool coloured, const char *want)
{
	char *text = printed(t, coloured, 0);
	assert_string_equal(text, want);
	free(text);
	table_fini(t);
}

static void put_cells(struct table *t, const char *const *cells, size_t n)
{
	for (size_t i = 0; i < n; i++)
		table_cell(t, cells[i]);
}

static void columns_line_up_and_lines_end_without_blanks(void **state)
{
	(void)state;
	const char *const cells[] = {"NAME", "STATE", "WHY", "a", "ready", "", "longer", "", "because"};
	struct table t;
	table_init(&t, 3);
	put_cells(&t, cells, 9);
	check_printed(&t, false,
		"NAME    STATE  WHY\n"
		"a       ready\n"
		"longer         because\n");
}

static void a_table_without_cells_prints_nothing(void **state)
{
	(void)state;
	struct table t;
	table_init(&t, 3);
	check_printed(&t, true, "");
}

static void a_row_that_is_not_full_still_ends(void **state)
{
	(void)state;
	struct table t;
	table_init(&t, 2);
	table_cell(&t, "alone");
	check_printed(&t, false, "alone\n");
}

static void letters_beyond_ascii_count_once(void **state)
{
	(void)state;
	const char *const cells[] = {"größe", "x", "abcde", "y"};
	struct table t;
	table_init(&t, 2);
	put_cells(&t, cells, 4);
	check_printed(&t, false, "größe  x\nabcde  y\n");
}

static void wide_characters_count_twice(void **state)
{
	(void)state;
	const char *const cells[] = {"日本", "x", "abcde", "y"};
	struct table t;
	table_init(&t, 2);
	put_cells(&t, cells, 4);
	check_printed(&t, false, "日本   x\nabcde  y\n");
}

#define REASON "because it is so, and for no other reason"

static void the_last_column_is_cut_first(void **state)
{
	(void)state;
	const char *const cells[] = {"api", "ready", REASON, "b", "x", "short"};
	struct table t;
	table_init(&t, 3);
	put_cells(&t, cells, 6);
	check_fitted(&t, 100, "api  ready  " REASON "\nb    x      short\n");
	check_fitted(&t, 53, "api  ready  " REASON "\nb    x      short\n");
	check_fitted(&t, 52, "api  ready  because it is so, and for no other reas…\nb    x      short\n");
	check_fitted(&t, 20, "api  ready  because…\nb    x      short\n");
	table_fini(&t);
}

static void lesser_columns_go_before_the_reason_is_unreadable(void **state)
{
	(void)state;
	const char *const cells[] = {"NAME", "PID", "CPU", "WHY", "api", "12345", "3h20m", REASON};
	struct table t;
	table_init(&t, 4);
	t.lesser = (const unsigned char *)"\2\1";
	put_cells(&t, cells, 8);
	check_fitted(&t, 50, "NAME  PID    CPU    WHY\napi   12345  3h20m  because it is so, and for no …\n");
	check_fitted(&t, 49, "NAME  PID    WHY\napi   12345  because it is so, and for no other …\n");
	check_fitted(&t, 40, "NAME  WHY\napi   because it is so, and for no othe…\n");
	table_fini(&t);
}

static void no_line_is_longer_than_the_limit_whatever_it_is(void **state)
{
	(void)state;
	const char *const cells[] = {
		"a-rather-long-name-日本語", "backoff", "1d2h", "12345", REASON, "x", "", "", "", ""};
	struct table t;
	table_init(&t, 5);
	put_cells(&t, cells, 10);
	for (int limit = 1; limit < 90; limit++) {
		char *text = printed(&t, false, limit);
		for (char *line = text, *end; *line; line = end + 1) {
			end = strchr(line, '\n');
			*end = '\0';
			assert_true(glyph_columns(line) <= limit);
		}
		free(text);
	}
	table_fini(&t);
}

static void what_is_wrong_is_known_from_its_state(void **state)
{
	(void)state;
	assert_int_equal(table_badness("ready"), 0);
	assert_int_equal(table_badness("stopped"), 0);
	assert_int_equal(table_badness("backoff"), 1);
	assert_int_equal(table_badness("failed"), 2);
	assert_int_equal(table_badness("sideways"), 0);
}

static void a_wish_for_colours_wins(void **state)
{
	(void)state;
	FILE *to = tmpfile();
	assert_non_null(to);
	setenv("NO_COLOR", "1", 1);
	assert_true(table_wants_colour(to, OPTIONS_COLOR_ALWAYS));
	assert_false(table_wants_colour(to, OPTIONS_COLOR_NEVER));
	assert_false(table_wants_colour(to, OPTIONS_COLOR_AUTO));
	unsetenv("NO_COLOR");
	assert_false(table_wants_colour(to, OPTIONS_COLOR_AUTO));
	fclose(to);
}

static void control_characters_become_question_marks(void **state)
{
	(void)state;
	struct table t;
	table_init(&t, 1);
	table_cell(&t, "a\033[31m\nb\x7f");
	check_printed(&t, true, "a?[31m?b?\n");
}

static void colours_do_not_count_as_width(void **state)
{
	(void)state;
	struct table t;
	table_init(&t, 2);
	table_state(&t, "ready");
	table_cell(&t, "x");
	table_state(&t, "failed");
	table_cell(&t, "y");
	check_printed(&t, true, "\033[32mready\033[0m   x\n\033[31mfailed\033[0m  y\n");
}

static void a_state_that_is_not_known_is_plain(void **state)
{
	(void)state;
	struct table t;
	table_init(&t, 1);
	table_state(&t, "sideways");
	table_state(&t, NULL);
	check_printed(&t, true, "sideways\n\n");
}

static void nothing_is_coloured_without_a_wish(void **state)
{
	(void)state;
	struct table t;
	table_init(&t, 1);
	table_state(&t, "failed");
	check_printed(&t, false, "failed\n");
}

static void spans_are_told_in_two_units(void **state)
{
	(void)state;
	const struct {
		double seconds;
		const char *want;
	} rows[] = {{0, "0s"}, {0.99, "0s"}, {59.9, "59s"}, {60, "1m"}, {61, "1m1s"}, {3599, "59m59s"}, {3600, "1h"},
		{3659, "1h"}, {3660, "1h1m"}, {86400, "1d"}, {90000, "1d1h"}, {86400 * 400.0, "400d"}, {-1, ""},
		{NAN, ""}, {INFINITY, ""}};
	char out[TABLE_TEXT_MAX];
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(table_span(rows[i].seconds, out), rows[i].want);
}

static void sizes_are_told_in_the_largest_unit(void **state)
{
	(void)state;
	const struct {
		double bytes;
		const char *want;
	} rows[] = {{0, "0B"}, {1023, "1023B"}, {1024, "1.0Ki"}, {1048575, "1.0Mi"}, {1610612736, "1.5Gi"},
		{9.3e18, "8260.1Pi"}, {-1, ""}, {NAN, ""}};
	char out[TABLE_TEXT_MAX];
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(table_size(rows[i].bytes, out), rows[i].want);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(columns_line_up_and_lines_end_without_blanks),
		cmocka_unit_test(a_table_without_cells_prints_nothing),
		cmocka_unit_test(a_row_that_is_not_full_still_ends),
		cmocka_unit_test(letters_beyond_ascii_count_once),
		cmocka_unit_test(wide_characters_count_twice),
		cmocka_unit_test(the_last_column_is_cut_first),
		cmocka_unit_test(lesser_columns_go_before_the_reason_is_unreadable),
		cmocka_unit_test(no_line_is_longer_than_the_limit_whatever_it_is),
		cmocka_unit_test(what_is_wrong_is_known_from_its_state),
		cmocka_unit_test(a_wish_for_colours_wins),
		cmocka_unit_test(control_characters_become_question_marks),
		cmocka_unit_test(colours_do_not_count_as_width),
		cmocka_unit_test(a_state_that_is_not_known_is_plain),
		cmocka_unit_test(nothing_is_coloured_without_a_wish),
		cmocka_unit_test(spans_are_told_in_two_units),
		cmocka_unit_test(sizes_are_told_in_the_largest_unit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
