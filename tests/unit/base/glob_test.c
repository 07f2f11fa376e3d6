#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "podvisor/base/glob.h"

static void a_star_stays_within_a_name(void **state)
{
	(void)state;
	assert_true(glob_matches("*.log", "a.log"));
	assert_true(glob_matches("*", "anything"));
	assert_true(glob_matches("a*b*c", "aXbYbZc"));
	assert_true(glob_matches("cache/*/index", "cache/x/index"));
	assert_false(glob_matches("*", "a/b"));
	assert_false(glob_matches("*.log", "dir/a.log"));
	assert_false(glob_matches("a*b", "aXc"));
	assert_false(glob_matches("cache/*/index", "cache/x/y/index"));
}

static void a_question_mark_is_one_character(void **state)
{
	(void)state;
	assert_true(glob_matches("g?", "g1"));
	assert_true(glob_matches("caf?", "caf\xc3\xa9"));
	assert_false(glob_matches("g?", "g"));
	assert_false(glob_matches("g?", "g12"));
	assert_false(glob_matches("a?b", "a/b"));
}

static void two_stars_are_any_number_of_directories(void **state)
{
	(void)state;
	assert_true(glob_matches("**", "a"));
	assert_true(glob_matches("**", "a/b/c"));
	assert_true(glob_matches("**/x", "x"));
	assert_true(glob_matches("**/x", "a/b/x"));
	assert_true(glob_matches("a/**/x", "a/x"));
	assert_true(glob_matches("a/**/x", "a/b/c/x"));
	assert_true(glob_matches("**/a/**/b", "a/a/c/a/d/b"));
	assert_false(glob_matches("a/**/x", "b/x"));
	assert_false(glob_matches("**/x", "a/x/b"));
}

static void two_stars_at_the_end_are_what_lies_below_and_not_the_directory_itself(void **state)
{
	(void)state;
	assert_true(glob_matches("**/Cache/**", "profile/Default/Cache/Cache_Data/f_0001"));
	assert_true(glob_matches("**/Code Cache/**", "Code Cache/js/index"));
	assert_false(glob_matches("**/Cache/**", "profile/Cache"));
	assert_false(glob_matches("**/Cache/**", "profile/MyCache/f"));
	assert_false(glob_matches("**", ""));
}

static void what_has_no_wildcard_is_that_path_alone(void **state)
{
	(void)state;
	assert_true(glob_matches("a/b", "a/b"));
	assert_false(glob_matches("a/b", "a"));
	assert_false(glob_matches("a", "a/b"));
	assert_false(glob_matches("a", "A"));
}

/* A matcher that tries every way would take longer than the world stands. */
static void a_hostile_pattern_takes_no_time(void **state)
{
	(void)state;
	char pattern[1024] = "", path[4096] = "";
	for (int i = 0; i < 100; i++)
		strcat(pattern, "**/a*a*/");
	strcat(pattern, "b");
	for (int i = 0; i < 100; i++)
		strcat(path, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/");
	strcat(path, "c");
	assert_false(glob_matches(pattern, path));
}

static void what_is_no_pattern_is_known(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"", "/tmp/**", "a/", "a//b", "..", "a/../b", "./a", "a**", "**b/c", "*.[ch]", "{a,b}", "a\\*"};
	static const char *const good[] = {"**", "*", "a", "**/Cache/**", "a/*/b?", "...", "a..b", "Code Cache/**"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (glob_is_valid(bad[i]))
			fail_msg("\"%s\" is taken for a pattern", bad[i]);
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (!glob_is_valid(good[i]))
			fail_msg("\"%s\" is refused", good[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_star_stays_within_a_name),
		cmocka_unit_test(a_question_mark_is_one_character),
		cmocka_unit_test(two_stars_are_any_number_of_directories),
		cmocka_unit_test(two_stars_at_the_end_are_what_lies_below_and_not_the_directory_itself),
		cmocka_unit_test(what_has_no_wildcard_is_that_path_alone),
		cmocka_unit_test(a_hostile_pattern_takes_no_time),
		cmocka_unit_test(what_is_no_pattern_is_known),
	};
	return cmocka_run_group_tests_name("glob", tests, NULL, NULL);
}
