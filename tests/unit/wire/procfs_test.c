#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "podvisor/wire/procfs.h"

static size_t read_pids(const char *text, int32_t *pids, size_t max)
{
	struct procfs_pids list = {0};
	size_t n = 0;
	for (size_t i = 0; i <= strlen(text); i++) {
		int32_t pid = procfs_next_pid(&list, text[i] ? text[i] : '\n');
		if (pid && n < max)
			pids[n++] = pid;
	}
	return n;
}

static void each_pid_is_told_once_when_its_last_digit_was_read(void **state)
{
	(void)state;
	int32_t pids[8];
	assert_int_equal(read_pids("", pids, 8), 0);
	assert_int_equal(read_pids("7", pids, 8), 1);
	assert_int_equal(pids[0], 7);
	assert_int_equal(read_pids("12 4194304  99 ", pids, 8), 3);
	assert_int_equal(pids[0], 12);
	assert_int_equal(pids[1], 4194304);
	assert_int_equal(pids[2], 99);
}

static void a_number_that_is_no_pid_does_not_overflow(void **state)
{
	(void)state;
	int32_t pids[8];
	size_t n = read_pids("99999999999999999999 5", pids, 8);
	assert_true(n >= 1);
	assert_int_equal(pids[n - 1], 5);
	for (size_t i = 0; i < n; i++)
		assert_true(pids[i] > 0);
}

static void the_start_is_found_behind_any_name(void **state)
{
	(void)state;
	static const char rest[] =
		"S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20 21 22 23 24 25 26 27 28 29 30 31 32 33\n";
	static const char *const names[] = {"cat", "", "a b", ") S 1 2", "((", "x) y (z"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char line[256] = "42 (";
		uint64_t ticks = 0;
		strcat(strcat(strcat(line, names[i]), ") "), rest);
		assert_true(procfs_start_ticks(line, &ticks));
		assert_int_equal(ticks, 4711);
	}
}

static void a_line_cut_short_has_no_start(void **state)
{
	(void)state;
	static const char *const lines[] = {"", "42 (cat", "42 (cat)", "42 (cat) S 1 2 3",
		"42 (cat) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18",
		"42 (c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 x"};
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		uint64_t ticks = 99;
		assert_false(procfs_start_ticks(lines[i], &ticks));
		assert_int_equal(ticks, 99);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_pid_is_told_once_when_its_last_digit_was_read),
		cmocka_unit_test(a_number_that_is_no_pid_does_not_overflow),
		cmocka_unit_test(the_start_is_found_behind_any_name),
		cmocka_unit_test(a_line_cut_short_has_no_start),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
