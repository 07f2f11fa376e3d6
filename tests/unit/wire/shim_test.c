#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "podvisor/wire/shim.h"

static void every_step_has_words_of_its_own(void **state)
{
	(void)state;
	for (uint32_t a = 0; a < SHIM_STEP_COUNT; a++) {
		assert_non_null(shim_step_text(a));
		for (uint32_t b = 0; b < a; b++)
			assert_string_not_equal(shim_step_text(a), shim_step_text(b));
	}
}

static void a_step_from_elsewhere_still_has_words(void **state)
{
	(void)state;
	assert_string_equal(shim_step_text(SHIM_STEP_COUNT), "start");
	assert_string_equal(shim_step_text(UINT32_MAX), "start");
}

/* Padding would carry bytes of podvisor's memory to another process. */
static void the_records_have_no_holes(void **state)
{
	(void)state;
	assert_int_equal(sizeof(struct shim_request), 4 + 4 + 8);
	assert_int_equal(sizeof(struct shim_report), 6 * 4 + 2 * 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_step_has_words_of_its_own),
		cmocka_unit_test(a_step_from_elsewhere_still_has_words),
		cmocka_unit_test(the_records_have_no_holes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
