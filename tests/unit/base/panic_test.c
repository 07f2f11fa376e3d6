#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "podvisor/base/panic.h"

static jmp_buf out;
static const char *said;

static void on_panic(const char *why)
{
	said = why;
	longjmp(out, 1);
}

static void the_handler_is_told_why(void **state)
{
	(void)state;
	panic_handler = on_panic;
	if (setjmp(out) == 0)
		panic("out of memory");
	assert_string_equal(said, "out of memory");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_handler_is_told_why),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
