#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "podvisor/wire/notify.h"

static struct notify_message parse(const char *text, int understood)
{
	struct notify_message m;
	assert_int_equal(notify_parse(text, strlen(text), &m), understood);
	return m;
}

static void several_assignments_in_one_datagram_all_count(void **state)
{
	(void)state;
	struct notify_message m = parse("READY=1\nSTATUS=serving 3 markets\nMAINPID=77\nX_PROGRESS=1200000000001", 4);
	assert_true(m.ready && m.has_status && m.has_mainpid && m.has_progress);
	assert_string_equal(m.status, "serving 3 markets");
	assert_int_equal(m.mainpid, 77);
	assert_true(m.progress == 1200000000001);
}

static void a_trailing_newline_is_fine(void **state)
{
	(void)state;
	assert_true(parse("READY=1\n", 1).ready);
}

static void unknown_names_are_ignored(void **state)
{
	(void)state;
	assert_true(parse("X_OTHER=1\nREADY=1\nnonsense\n=\n", 1).ready);
}

static void flags_count_only_with_the_value_1(void **state)
{
	(void)state;
	assert_false(parse("READY=0\nSTOPPING=yes", 0).ready);
}

static void a_watchdog_is_fed_or_triggered(void **state)
{
	(void)state;
	assert_true(parse("WATCHDOG=1", 1).watchdog);
	struct notify_message m = parse("WATCHDOG=trigger", 1);
	assert_true(m.watchdog_trigger && !m.watchdog);
}

static void numbers_that_are_none_are_skipped(void **state)
{
	(void)state;
	static const char *const bad[] = {"MAINPID=-1", "MAINPID=", "MAINPID=12x", "MAINPID= 12", "MAINPID=99999999999",
		"EXTEND_TIMEOUT_USEC=1e6", "ERRNO=-2", "X_PROGRESS=99999999999999999999999"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		parse(bad[i], 0);
}

static void a_long_status_is_cut_and_control_characters_become_blanks(void **state)
{
	(void)state;
	char text[400] = "STATUS=a\tb\x7f";
	memset(text + 11, 'x', 379);
	struct notify_message m;
	assert_int_equal(notify_parse(text, 390, &m), 1);
	assert_int_equal(strlen(m.status), sizeof(m.status) - 1);
	assert_memory_equal(m.status, "a b x", 5);
}

static void a_span_is_never_negative_and_never_wraps(void **state)
{
	(void)state;
	parse("EXTEND_TIMEOUT_USEC=-9223372036854775807\nWATCHDOG_USEC=-1\nEXTEND_TIMEOUT_USEC=", 0);
	assert_true(parse("EXTEND_TIMEOUT_USEC=18446744073709551615", 1).extend_us == INT64_MAX);
	assert_true(parse("EXTEND_TIMEOUT_USEC=9223372036854775807", 1).extend_us == INT64_MAX);
	assert_true(parse("WATCHDOG_USEC=30000000", 1).watchdog_us == 30000000);
}

static void an_empty_datagram_means_nothing(void **state)
{
	(void)state;
	parse("", 0);
}

static void what_is_passed_on_is_all_but_processes_and_descriptors(void **state)
{
	(void)state;
	static const struct {
		const char *in, *out;
	} cases[] = {
		{"READY=1", "READY=1"},
		{"READY=1\nMAINPID=12\nSTATUS=a b=c", "READY=1\nSTATUS=a b=c"},
		{"MAINPID=12\nREADY=1\n", "READY=1"},
		{"BARRIER=1", ""},
		{"FDSTORE=1\nFDNAME=x\nFDPOLL=0", ""},
		{"FDSTOREREMOVE=1\nFDNAME=x", ""},
		{"\n\nWATCHDOG=1\n\nX_MINE=1\n", "WATCHDOG=1\nX_MINE=1"},
		{"MAINPIDS=1", "MAINPIDS=1"},
		{"", ""},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t n = strlen(cases[i].in);
		char *in = malloc(n + 1), *out = malloc(n + 1); /* of their exact sizes */
		memcpy(in, cases[i].in, n);
		size_t passed = notify_pass_on(in, n, out);
		assert_int_equal(passed, strlen(cases[i].out));
		assert_memory_equal(out, cases[i].out, passed);
		free(in);
		free(out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(several_assignments_in_one_datagram_all_count),
		cmocka_unit_test(a_trailing_newline_is_fine),
		cmocka_unit_test(unknown_names_are_ignored),
		cmocka_unit_test(flags_count_only_with_the_value_1),
		cmocka_unit_test(a_watchdog_is_fed_or_triggered),
		cmocka_unit_test(numbers_that_are_none_are_skipped),
		cmocka_unit_test(a_long_status_is_cut_and_control_characters_become_blanks),
		cmocka_unit_test(a_span_is_never_negative_and_never_wraps),
		cmocka_unit_test(an_empty_datagram_means_nothing),
		cmocka_unit_test(what_is_passed_on_is_all_but_processes_and_descriptors),
	};
	return cmocka_run_group_tests_name("notify", tests, NULL, NULL);
}
