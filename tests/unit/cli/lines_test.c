#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "podvisor/cli/lines.h"

static size_t seen(const char *earlier, const char *later)
{
	return lines_seen(span_of(earlier), span_of(later));
}

static void a_window_that_grew_is_new_behind_what_was_seen(void **state)
{
	(void)state;
	assert_int_equal(seen("a\nb\n", "a\nb\nc\n"), 4);
	assert_int_equal(seen("a\nb\n", "a\nb\n"), 4);
	assert_int_equal(seen("", "a\n"), 0);
	assert_int_equal(seen("", ""), 0);
}

static void a_window_that_moved_on_is_new_behind_what_they_share(void **state)
{
	(void)state;
	assert_int_equal(seen("a\nb\nc\nd\n", "c\nd\ne\n"), 4);
	assert_int_equal(seen("a\nb\nc\nd\n", "d\n"), 2);
}

static void windows_that_share_nothing_are_all_new(void **state)
{
	(void)state;
	assert_int_equal(seen("a\nb\n", "x\ny\n"), 0);
	assert_int_equal(seen("a\nb\n", ""), 0);
}

static void only_whole_lines_are_shared(void **state)
{
	(void)state;
	assert_int_equal(seen("xa\n", "a\nb\n"), 0);
	assert_int_equal(seen("a\n", "ab\n"), 0);
}

static void equal_lines_are_new_when_the_window_grew(void **state)
{
	(void)state;
	assert_int_equal(seen("tick\ntick\n", "tick\ntick\ntick\n"), 10);
}

static void the_last_lines_of_a_window(void **state)
{
	(void)state;
	const char *text = "a\nbb\nc\n";
	const struct {
		size_t n;
		const char *want;
	} rows[] = {
		{0, ""}, {1, "c\n"}, {2, "bb\nc\n"}, {3, "a\nbb\nc\n"}, {9, "a\nbb\nc\n"}, {SIZE_MAX, "a\nbb\nc\n"}};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_true(span_equals(lines_last(span_of(text), rows[i].n), rows[i].want));
	assert_int_equal(lines_last(span_of(""), 3).len, 0);
}

static void check_merged(const char *a, const char *b, const char *want)
{
	struct buf out;
	const struct span windows[] = {span_of(a), span_of(b)};
	buf_init(&out, 4096);
	assert_int_equal(lines_merge(&out, windows, 2), 0);
	assert_string_equal(buf_str(&out), want);
	buf_fini(&out);
}

#define AT(second, what) "{\"ts\":\"2026-11-24T03:10:" second "Z\",\"msg\":\"" what "\"}\n"

static void lines_are_merged_in_the_order_of_their_stamps(void **state)
{
	(void)state;
	check_merged(AT("01.000", "a") AT("03.000", "a"), AT("02.000", "b"),
		AT("01.000", "a") AT("02.000", "b") AT("03.000", "a"));
	check_merged(AT("01.100", "a"), AT("01.099", "b"), AT("01.099", "b") AT("01.100", "a"));
	check_merged("2026-11-24T03:10:02.000Z info  a: x\n", "2026-11-24T03:10:01.000Z info  b: y\n",
		"2026-11-24T03:10:01.000Z info  b: y\n2026-11-24T03:10:02.000Z info  a: x\n");
}

static void equal_stamps_keep_the_order_of_the_windows(void **state)
{
	(void)state;
	check_merged(AT("01.000", "a"), AT("01.000", "b"), AT("01.000", "a") AT("01.000", "b"));
}

static void a_line_without_a_stamp_goes_with_the_line_before_it(void **state)
{
	(void)state;
	check_merged(AT("01.000", "a") "  at main\n" AT("05.000", "a"), AT("02.000", "b"),
		AT("01.000", "a") "  at main\n" AT("02.000", "b") AT("05.000", "a"));
	check_merged("first\n", AT("01.000", "b"), "first\n" AT("01.000", "b"));
}

static void short_and_almost_stamps_are_no_stamps(void **state)
{
	(void)state;
	check_merged("2026-11-24T03:10\n", AT("01.000", "b"), "2026-11-24T03:10\n" AT("01.000", "b"));
	check_merged("2026-11-24 03:10:09\n", AT("01.000", "b"), "2026-11-24 03:10:09\n" AT("01.000", "b"));
	check_merged("2026-11-24T03:10:09", AT("01.000", "b"), AT("01.000", "b") "2026-11-24T03:10:09");
}

static void a_merge_beyond_the_cap_says_so(void **state)
{
	(void)state;
	struct buf out;
	const struct span window = span_of(AT("01.000", "a"));
	buf_init(&out, 8);
	assert_int_equal(lines_merge(&out, &window, 1), -ENOSPC);
	buf_fini(&out);
}

static void as_json_every_line_is_an_object(void **state)
{
	(void)state;
	const char window[] = "{\"msg\":\"a\"}\nplain \"text\"\n[1]\n\xff\nlast";
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);
	assert_non_null(to);
	lines_print((struct span){window, sizeof(window) - 1}, true, to);
	fclose(to);
	assert_string_equal(text, "{\"msg\":\"a\"}\n{\"msg\":\"plain \\\"text\\\"\"}\n{\"msg\":\"[1]\"}\n"
				  "{\"msg\":\"?\"}\n{\"msg\":\"last\"}\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_window_that_grew_is_new_behind_what_was_seen),
		cmocka_unit_test(a_window_that_moved_on_is_new_behind_what_they_share),
		cmocka_unit_test(windows_that_share_nothing_are_all_new),
		cmocka_unit_test(only_whole_lines_are_shared),
		cmocka_unit_test(equal_lines_are_new_when_the_window_grew),
		cmocka_unit_test(the_last_lines_of_a_window),
		cmocka_unit_test(lines_are_merged_in_the_order_of_their_stamps),
		cmocka_unit_test(equal_stamps_keep_the_order_of_the_windows),
		cmocka_unit_test(a_line_without_a_stamp_goes_with_the_line_before_it),
		cmocka_unit_test(short_and_almost_stamps_are_no_stamps),
		cmocka_unit_test(a_merge_beyond_the_cap_says_so),
		cmocka_unit_test(as_json_every_line_is_an_object),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
