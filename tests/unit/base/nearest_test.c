#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "podvisor/base/nearest.h"

static const char *guess(const char *word)
{
	static const char *const known[] = {"command", "cwd", "env", "env_files", "depends_on", "readiness", "restart",
		"restart_with", "liveness", "timeout", "path"};
	struct nearest n;
	nearest_init(&n, word);
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		nearest_offer(&n, known[i]);
	return n.best;
}

static void slips_are_recognised(void **state)
{
	(void)state;
	assert_string_equal(guess("comand"), "command"); /* left out */
	assert_string_equal(guess("commmand"), "command"); /* twice */
	assert_string_equal(guess("commans"), "command"); /* beside */
	assert_string_equal(guess("restrat"), "restart"); /* swapped */
	assert_string_equal(guess("dependsOn"), "depends_on");
	assert_string_equal(guess("Timeout"), "timeout"); /* case counts as nothing */
	assert_string_equal(guess("restart_wiht"), "restart_with");
}

static void what_is_not_near_is_not_guessed(void **state)
{
	(void)state;
	assert_null(guess("xyzzy"));
	assert_null(guess("port")); /* two of four letters from path */
	assert_null(guess(""));
}

static void distances_count_edits(void **state)
{
	(void)state;
	assert_int_equal(nearest_distance("", ""), 0);
	assert_int_equal(nearest_distance("abc", "abc"), 0);
	assert_int_equal(nearest_distance("ABC", "abc"), 0);
	assert_int_equal(nearest_distance("", "abc"), 3);
	assert_int_equal(nearest_distance("kitten", "sitting"), 3);
	assert_int_equal(nearest_distance("ab", "ba"), 1);
	assert_int_equal(nearest_distance("ca", "abc"), 3); /* no edits between swapped letters */
}

static void long_words_are_neither_measured_nor_guessed(void **state)
{
	char word[NEAREST_WORD_MAX + 2];
	struct nearest n;
	(void)state;
	memset(word, 'a', sizeof(word));
	word[NEAREST_WORD_MAX + 1] = '\0';
	assert_true(nearest_distance(word, "a") == SIZE_MAX);
	nearest_init(&n, word);
	nearest_offer(&n, word);
	assert_null(n.best);
	word[NEAREST_WORD_MAX] = '\0';
	assert_int_equal(nearest_distance(word, word), 0);
}

static void of_equally_near_words_the_first_stays(void **state)
{
	struct nearest n;
	(void)state;
	nearest_init(&n, "cat");
	nearest_offer(&n, "bat");
	nearest_offer(&n, "hat");
	assert_string_equal(n.best, "bat");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slips_are_recognised),
		cmocka_unit_test(what_is_not_near_is_not_guessed),
		cmocka_unit_test(distances_count_edits),
		cmocka_unit_test(long_words_are_neither_measured_nor_guessed),
		cmocka_unit_test(of_equally_near_words_the_first_stays),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
