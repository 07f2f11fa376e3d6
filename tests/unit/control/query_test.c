#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "podvisor/control/query.h"

static const char *const args[] = {
	"verbose", "exclude=a", "waiting=1", "wait=30", "exclude=b=c", "off=0", "no=false", "empty="};
static const struct query query = {args, sizeof(args) / sizeof(args[0])};

static void a_parameter_is_found_by_its_whole_name(void **state)
{
	(void)state;
	assert_string_equal(query_find(&query, "wait"), "30");
	assert_string_equal(query_find(&query, "verbose"), "");
	assert_string_equal(query_find(&query, "empty"), "");
	assert_null(query_find(&query, "verb"));
	assert_null(query_find(&query, "verboser"));
	assert_null(query_find(&(struct query){NULL, 0}, "wait"));
}

static void a_repeated_parameter_gives_all_its_values_up_to_the_room(void **state)
{
	(void)state;
	const char *values[4];
	query_all(&query, "exclude", values, 4);
	assert_string_equal(values[0], "a");
	assert_string_equal(values[1], "b=c");
	assert_null(values[2]);
	query_all(&query, "exclude", values, 2);
	assert_string_equal(values[0], "a");
	assert_null(values[1]);
}

static void a_flag_is_set_unless_it_says_no(void **state)
{
	(void)state;
	assert_true(query_is_set(&query, "verbose"));
	assert_true(query_is_set(&query, "wait"));
	assert_false(query_is_set(&query, "off"));
	assert_false(query_is_set(&query, "no"));
	assert_false(query_is_set(&query, "absent"));
}

static void a_number_is_whole_and_within_its_bounds(void **state)
{
	(void)state;
	static const char *const wrong[] = {
		"n=", "n", "n=x", "n=1x", "n= 1", "n=+1", "n=1.5", "n=11", "n=-1", "n=99999999999999999999", "n=0x5"};
	int64_t value = -5;
	struct err err = {0};
	assert_int_equal(query_number(&query, "wait", 1, 60, 0, &value, &err), 0);
	assert_int_equal(value, 30);
	assert_int_equal(query_number(&query, "absent", 1, 60, 7, &value, &err), 0);
	assert_int_equal(value, 7);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(query_number(&(struct query){&wrong[i], 1}, "n", 0, 10, 0, &value, &err), -EINVAL);
		assert_string_equal(err.text, "n is not a number from 0 to 10");
		assert_int_equal(value, 7);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_parameter_is_found_by_its_whole_name),
		cmocka_unit_test(a_repeated_parameter_gives_all_its_values_up_to_the_room),
		cmocka_unit_test(a_flag_is_set_unless_it_says_no),
		cmocka_unit_test(a_number_is_whole_and_within_its_bounds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
