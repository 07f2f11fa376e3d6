#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "podvisor/io/account.h"

static void without_names_it_is_podvisors_own(void **state)
{
	(void)state;
	struct account a;
	assert_int_equal(account_find(NULL, NULL, &a, NULL), 0);
	assert_int_equal(a.uid, getuid());
	assert_int_equal(a.gid, getgid());
}

static void a_name_gives_home_and_groups(void **state)
{
	(void)state;
	struct account a;
	assert_int_equal(account_find("root", NULL, &a, NULL), 0);
	assert_int_equal(a.uid, 0);
	assert_string_equal(a.name, "root");
	assert_string_equal(a.home, "/root");
	assert_true(a.n_groups >= 1);
}

static void a_number_needs_no_entry(void **state)
{
	(void)state;
	struct account a;
	assert_int_equal(account_find("3999999999", NULL, &a, NULL), 0);
	assert_true(a.uid == 3999999999 && a.gid == 3999999999);
	assert_int_equal(a.n_groups, 1);
	assert_true(a.groups[0] == 3999999999);
	assert_string_equal(a.name, "");
	assert_int_equal(account_find("3999999999", "77", &a, NULL), 0);
	assert_int_equal(a.gid, 77);
	assert_int_equal(a.groups[0], 77);
}

static void a_number_with_an_entry_is_that_user(void **state)
{
	(void)state;
	struct account a;
	assert_int_equal(account_find("0", "root", &a, NULL), 0);
	assert_string_equal(a.name, "root");
}

static void who_is_unknown_is_named_and_changes_nothing(void **state)
{
	(void)state;
	struct account a = {.uid = 5};
	struct err err;
	assert_int_equal(account_find("no-such-user", NULL, &a, &err), -ENOENT);
	assert_string_equal(err.text, "there is no user \"no-such-user\"");
	assert_int_equal(account_find("root", "no-such-group", &a, &err), -ENOENT);
	assert_string_equal(err.text, "there is no group \"no-such-group\"");
	assert_int_equal(account_find("4294967295", NULL, &a, &err), -ENOENT); /* -1 is nobody */
	assert_int_equal(account_find("12x", NULL, &a, &err), -ENOENT);
	assert_int_equal(a.uid, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_names_it_is_podvisors_own),
		cmocka_unit_test(a_name_gives_home_and_groups),
		cmocka_unit_test(a_number_needs_no_entry),
		cmocka_unit_test(a_number_with_an_entry_is_that_user),
		cmocka_unit_test(who_is_unknown_is_named_and_changes_nothing),
	};
	return cmocka_run_group_tests_name("account", tests, NULL, NULL);
}
