#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "podvisor/io/orphans.h"

#define FOREIGN(literal) orphans_is_foreign(literal, sizeof(literal))

static void an_environment_without_the_marker_is_foreign(void **state)
{
	(void)state;
	assert_true(FOREIGN("HOME=/root"));
	assert_true(FOREIGN("HOME=/root\0PATH=/usr/bin:/bin\0EMPTY=\0_=/bin/sh"));
	assert_true(FOREIGN("BASH_FUNC_hi%%=() { :; }\0npm_config_x-y.z=1"));
	assert_true(FOREIGN("XPODVISOR_WORKER=api\0A=PODVISOR_WORKER=api"));
}

static void the_marker_anywhere_makes_it_ours(void **state)
{
	(void)state;
	assert_false(FOREIGN("PODVISOR_WORKER=api"));
	assert_false(FOREIGN("HOME=/root\0PODVISOR_WORKER=\0A=1"));
	assert_false(FOREIGN("HOME=/root\0A=1\0PODVISOR_WORKER=api.1"));
}

static void what_is_no_environment_proves_nothing(void **state)
{
	(void)state;
	assert_false(orphans_is_foreign("", 0));
	assert_false(FOREIGN(""));
	assert_false(FOREIGN("HOME=/root\0\0\0\0"));
	assert_false(FOREIGN("/usr/lib/chromium/chromium --type=renderer --lang=en"));
	assert_false(FOREIGN("--type=zygote"));
	assert_false(FOREIGN("postgres: checkpointer "));
	assert_false(FOREIGN("nginx: worker process=1"));
	assert_false(FOREIGN("=x"));
	assert_false(FOREIGN("HOME=/root\0half a word"));
}

static void an_environment_that_lacks_its_last_nul_is_read_to_its_end_only(void **state)
{
	(void)state;
	static const char bytes[] = {'A', '=', '1', 0, 'B', '=', 'x'};
	assert_true(orphans_is_foreign(bytes, sizeof(bytes)));
	assert_false(orphans_is_foreign(bytes, sizeof(bytes) - 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_environment_without_the_marker_is_foreign),
		cmocka_unit_test(the_marker_anywhere_makes_it_ours),
		cmocka_unit_test(what_is_no_environment_proves_nothing),
		cmocka_unit_test(an_environment_that_lacks_its_last_nul_is_read_to_its_end_only),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
