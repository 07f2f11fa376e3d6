#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "podvisor/base/buf.h"

static void an_empty_buffer_is_an_empty_string(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 10);
	assert_string_equal(buf_str(&b), "");
	assert_null(b.data);
	buf_fini(&b);
}

static void what_is_put_stands_in_order_and_terminated(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 100);
	assert_int_equal(buf_puts(&b, "worker "), 0);
	assert_int_equal(buf_put(&b, "api", 3), 0);
	assert_int_equal(buf_putc(&b, ':'), 0);
	assert_int_equal(buf_printf(&b, " %s %d", "exited with", 7), 0);
	assert_string_equal(buf_str(&b), "worker api: exited with 7");
	assert_int_equal(b.len, strlen("worker api: exited with 7"));
	buf_fini(&b);
}

static void the_cap_itself_fits_and_one_byte_more_does_not(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 4);
	assert_int_equal(buf_puts(&b, "four"), 0);
	assert_int_equal(buf_putc(&b, '!'), -ENOSPC);
	assert_string_equal(buf_str(&b), "four");
	buf_fini(&b);
}

static void a_failure_sticks_until_the_buffer_is_cleared(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 4);
	buf_puts(&b, "ab");
	assert_int_equal(buf_puts(&b, "too long"), -ENOSPC);
	assert_int_equal(buf_putc(&b, 'c'), -ENOSPC);
	assert_int_equal(b.failed, -ENOSPC);
	assert_string_equal(buf_str(&b), "ab");
	buf_clear(&b);
	assert_string_equal(buf_str(&b), "");
	assert_int_equal(buf_putc(&b, 'c'), 0);
	assert_string_equal(buf_str(&b), "c");
	buf_fini(&b);
}

static void a_print_that_passes_the_cap_adds_nothing(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 8);
	buf_puts(&b, "12345");
	assert_int_equal(buf_printf(&b, "%d", 1234), -ENOSPC);
	assert_string_equal(buf_str(&b), "12345");
	buf_fini(&b);
}

static void memory_never_grows_past_the_cap(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 1000);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(buf_putc(&b, 'x'), 0);
	assert_int_equal(b.cap, 1001);
	assert_int_equal(buf_putc(&b, 'x'), -ENOSPC);
	buf_fini(&b);
}

static void bytes_with_a_nul_inside_are_kept(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 16);
	buf_put(&b, "a\0b", 3);
	assert_int_equal(b.len, 3);
	assert_memory_equal(b.data, "a\0b", 4);
	buf_fini(&b);
}

static void reserved_room_can_be_filled_in_place(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 6);
	buf_puts(&b, "ab");
	char *at = buf_reserve(&b, 4);
	assert_non_null(at);
	assert_ptr_equal(at, b.data + 2);
	memcpy(at, "cdef", 4);
	b.len += 4;
	assert_memory_equal(b.data, "abcdef", 6);
	assert_null(buf_reserve(&b, 1));
	assert_int_equal(b.failed, -ENOSPC);
	buf_fini(&b);
}

static void consuming_moves_the_rest_to_the_front(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 16);
	buf_consume(&b, 0);
	buf_puts(&b, "line one");
	buf_consume(&b, 5);
	assert_string_equal(buf_str(&b), "one");
	buf_consume(&b, 3);
	assert_string_equal(buf_str(&b), "");
	assert_int_equal(b.len, 0);
	buf_fini(&b);
}

static void taken_bytes_belong_to_the_taker(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 16);
	buf_puts(&b, "mine");
	char *taken = buf_take(&b);
	assert_string_equal(taken, "mine");
	assert_null(b.data);
	assert_int_equal(buf_puts(&b, "new"), 0);
	assert_string_equal(taken, "mine");
	free(taken);
	buf_fini(&b);
}

static void taking_from_an_empty_buffer_gives_an_empty_string(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 16);
	char *taken = buf_take(&b);
	assert_string_equal(taken, "");
	free(taken);
}

static void a_failed_buffer_gives_nothing_away(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 2);
	buf_puts(&b, "ab");
	buf_putc(&b, 'c');
	assert_null(buf_take(&b));
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_buffer_is_an_empty_string),
		cmocka_unit_test(what_is_put_stands_in_order_and_terminated),
		cmocka_unit_test(the_cap_itself_fits_and_one_byte_more_does_not),
		cmocka_unit_test(a_failure_sticks_until_the_buffer_is_cleared),
		cmocka_unit_test(a_print_that_passes_the_cap_adds_nothing),
		cmocka_unit_test(memory_never_grows_past_the_cap),
		cmocka_unit_test(bytes_with_a_nul_inside_are_kept),
		cmocka_unit_test(reserved_room_can_be_filled_in_place),
		cmocka_unit_test(consuming_moves_the_rest_to_the_front),
		cmocka_unit_test(taken_bytes_belong_to_the_taker),
		cmocka_unit_test(taking_from_an_empty_buffer_gives_an_empty_string),
		cmocka_unit_test(a_failed_buffer_gives_nothing_away),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
