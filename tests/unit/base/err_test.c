#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "podvisor/base/err.h"

static void a_failure_carries_its_code_and_its_sentence(void **state)
{
	(void)state;
	struct err err = {0};
	assert_int_equal(err_set(&err, -ENOENT, "no worker named %s", "api"), -ENOENT);
	assert_int_equal(err.code, -ENOENT);
	assert_string_equal(err.text, "no worker named api");
}

static void a_caller_without_interest_still_gets_the_code(void **state)
{
	(void)state;
	assert_int_equal(err_set(NULL, -EPERM, "nobody reads this"), -EPERM);
	err_prefix(NULL, "nor this");
}

static void a_long_sentence_is_cut_and_terminated(void **state)
{
	(void)state;
	char words[2 * ERR_TEXT_MAX];
	memset(words, 'x', sizeof(words));
	words[sizeof(words) - 1] = '\0';
	struct err err;
	err_set(&err, -EINVAL, "%s", words);
	assert_int_equal(strlen(err.text), ERR_TEXT_MAX - 1);
}

static void a_prefix_goes_in_front(void **state)
{
	(void)state;
	struct err err;
	err_set(&err, -EACCES, "permission denied");
	err_prefix(&err, "worker %s", "api");
	assert_string_equal(err.text, "worker api: permission denied");
	assert_int_equal(err.code, -EACCES);
}

static void a_prefix_before_a_full_sentence_is_cut_and_terminated(void **state)
{
	(void)state;
	char words[2 * ERR_TEXT_MAX];
	memset(words, 'x', sizeof(words));
	words[sizeof(words) - 1] = '\0';
	struct err err;
	err_set(&err, -EINVAL, "%s", words);
	err_prefix(&err, "front");
	assert_int_equal(strlen(err.text), ERR_TEXT_MAX - 1);
	assert_memory_equal(err.text, "front: xxx", 10);
	err_prefix(&err, "%s", words);
	assert_int_equal(strlen(err.text), ERR_TEXT_MAX - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_failure_carries_its_code_and_its_sentence),
		cmocka_unit_test(a_caller_without_interest_still_gets_the_code),
		cmocka_unit_test(a_long_sentence_is_cut_and_terminated),
		cmocka_unit_test(a_prefix_goes_in_front),
		cmocka_unit_test(a_prefix_before_a_full_sentence_is_cut_and_terminated),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
