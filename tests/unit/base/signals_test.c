#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>

#include "podvisor/base/signals.h"

static void a_signal_has_a_long_name_a_short_one_and_a_number(void **state)
{
	(void)state;
	assert_int_equal(signals_parse("SIGTERM"), SIGTERM);
	assert_int_equal(signals_parse("TERM"), SIGTERM);
	assert_int_equal(signals_parse("term"), SIGTERM);
	assert_int_equal(signals_parse("15"), SIGTERM);
	assert_int_equal(signals_parse("64"), 64);
	assert_string_equal(signals_name(SIGTERM), "SIGTERM");
	assert_null(signals_name(64));
	assert_null(signals_name(0));
	assert_null(signals_name(-1));
}

static void what_is_no_signal_is_refused(void **state)
{
	static const char *const wrong[] = {"", "0", "65", "-1", "15s", "SIG", "SIGFOO", "TERMX", "001", "SIGSIGTERM"};
	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(signals_parse(wrong[i]), -EINVAL);
}

static void every_name_leads_back_to_its_number(void **state)
{
	(void)state;
	for (int number = 1; number < 32; number++)
		if (signals_name(number))
			assert_int_equal(signals_parse(signals_name(number)), number);
	assert_non_null(signals_name(SIGSYS));
}

static void an_end_is_told_in_words(void **state)
{
	char text[32];
	(void)state;
	signals_describe_end(3 << 8, text, sizeof(text));
	assert_string_equal(text, "exited with code 3");
	signals_describe_end(SIGKILL, text, sizeof(text));
	assert_string_equal(text, "killed by SIGKILL");
	signals_describe_end(SIGSEGV | 0x80, text, sizeof(text)); /* with a core */
	assert_string_equal(text, "killed by SIGSEGV");
	signals_describe_end(34, text, sizeof(text)); /* a real-time signal has no name */
	assert_string_equal(text, "killed by signal 34");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_signal_has_a_long_name_a_short_one_and_a_number),
		cmocka_unit_test(what_is_no_signal_is_refused),
		cmocka_unit_test(an_end_is_told_in_words),
		cmocka_unit_test(every_name_leads_back_to_its_number),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
