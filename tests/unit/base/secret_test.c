#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "podvisor/base/secret.h"

static void only_the_very_same_bytes_match(void **state)
{
	(void)state;
	assert_true(secret_matches(SPAN("s3cret"), "s3cret"));
	assert_false(secret_matches(SPAN("s3cre"), "s3cret"));
	assert_false(secret_matches(SPAN("s3crets"), "s3cret"));
	assert_false(secret_matches(SPAN("s3crets3cret"), "s3cret"));
	assert_false(secret_matches(SPAN("S3cret"), "s3cret"));
	assert_false(secret_matches(SPAN("s3cret\0"), "s3cret"));
}

static void nothing_matches_an_empty_secret(void **state)
{
	(void)state;
	assert_false(secret_matches(SPAN(""), ""));
	assert_false(secret_matches(SPAN("x"), ""));
	assert_false(secret_matches(SPAN(""), "x"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_the_very_same_bytes_match),
		cmocka_unit_test(nothing_matches_an_empty_secret),
	};
	return cmocka_run_group_tests_name("secret", tests, NULL, NULL);
}
