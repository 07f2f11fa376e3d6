#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "podvisor/base/span.h"

static void a_span_equals_a_string_of_the_same_bytes_only(void **state)
{
	(void)state;
	assert_true(span_equals(SPAN("chunked"), "chunked"));
	assert_false(span_equals(SPAN("chunked"), "chunke"));
	assert_false(span_equals(SPAN("chunked"), "chunked,"));
	assert_false(span_equals(SPAN("chunked"), "Chunked"));
	assert_true(span_equals((struct span){"chunked, gzip", 7}, "chunked"));
}

static void letters_compare_without_case_when_asked(void **state)
{
	(void)state;
	assert_true(span_equals_nocase(SPAN("Content-Length"), "content-length"));
	assert_false(span_equals_nocase(SPAN("Content-Length"), "content-lengt"));
	assert_false(span_equals_nocase(SPAN("Content_Length"), "content-length"));
}

static void an_empty_span_equals_the_empty_string(void **state)
{
	(void)state;
	assert_true(span_equals(span_of(""), ""));
	assert_true(span_equals_nocase(SPAN(""), ""));
	assert_false(span_equals(SPAN(""), "x"));
}

static void blanks_and_tabs_are_trimmed_at_both_ends_only(void **state)
{
	(void)state;
	assert_true(span_equals(span_trim(SPAN(" \t two words\t ")), "two words"));
	assert_true(span_equals(span_trim(SPAN("bare")), "bare"));
	assert_true(span_equals(span_trim(SPAN("\r\n")), "\r\n"));
}

static void nothing_but_blanks_trims_to_nothing(void **state)
{
	(void)state;
	assert_int_equal(span_trim(SPAN(" \t ")).len, 0);
	assert_int_equal(span_trim(SPAN("")).len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_span_equals_a_string_of_the_same_bytes_only),
		cmocka_unit_test(letters_compare_without_case_when_asked),
		cmocka_unit_test(an_empty_span_equals_the_empty_string),
		cmocka_unit_test(blanks_and_tabs_are_trimmed_at_both_ends_only),
		cmocka_unit_test(nothing_but_blanks_trims_to_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
