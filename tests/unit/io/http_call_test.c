#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "podvisor/io/http_call.h"

static void what_may_not_stand_in_a_segment_is_escaped(void **state)
{
	(void)state;
	char target[64] = "/w/";
	assert_int_equal(http_call_escape(target, sizeof(target), "a-b.c_d~1/../ ?#%\xc3\xa9"), 0);
	assert_string_equal(target, "/w/a-b.c_d~1%2F..%2F%20%3F%23%25%C3%A9");
}

static void an_escaped_text_that_does_not_fit_is_refused(void **state)
{
	(void)state;
	char target[8] = "/";
	assert_int_equal(http_call_escape(target, sizeof(target), "////"), -ENAMETOOLONG);
	assert_true(strlen(target) < sizeof(target));
}

static void nobody_at_the_socket_is_told_by_the_errno_of_connect(void **state)
{
	(void)state;
	struct http_call call = {.method = "GET", .target = "/livez"};
	struct err err = {0};
	buf_init(&call.body, 100);
	assert_int_equal(http_call_all("/nonexistent/podvisor.sock", &call, 1, 1000, -1, &err), -ENOENT);
	assert_string_equal(err.text, "No such file or directory");
	buf_fini(&call.body);
}

static void a_socket_without_a_path_is_not_another_server(void **state)
{
	(void)state;
	struct http_call call = {.method = "GET", .target = "/livez"};
	struct err err = {0};
	buf_init(&call.body, 100);
	assert_int_equal(http_call_all("", &call, 1, 1000, -1, &err), -ENOENT);
	buf_fini(&call.body);
}

static void no_calls_are_done_at_once(void **state)
{
	(void)state;
	struct err err = {0};
	assert_int_equal(http_call_all("/nonexistent/podvisor.sock", NULL, 0, 1000, -1, &err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_may_not_stand_in_a_segment_is_escaped),
		cmocka_unit_test(an_escaped_text_that_does_not_fit_is_refused),
		cmocka_unit_test(nobody_at_the_socket_is_told_by_the_errno_of_connect),
		cmocka_unit_test(a_socket_without_a_path_is_not_another_server),
		cmocka_unit_test(no_calls_are_done_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
