#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "podvisor/runtime/environment.h"

static struct environment env;
static struct err err;

static int set_up(void **state)
{
	(void)state;
	environment_init(&env);
	err = (struct err){0};
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	environment_fini(&env);
	return 0;
}

static const char *find(const char *name)
{
	size_t n = strlen(name);
	for (size_t i = 0; i < env.count; i++)
		if (strncmp(env.vars[i], name, n) == 0 && env.vars[i][n] == '=')
			return env.vars[i] + n + 1;
	return NULL;
}

static int take(const char *bytes, size_t n)
{
	struct buf text;
	buf_init(&text, 1 << 16);
	assert_int_equal(buf_put(&text, bytes, n), 0);
	int rc = environment_take_file(&env, &text, "f.env", &err);
	buf_fini(&text);
	return rc;
}

#define TAKE(literal) take(literal, sizeof(literal) - 1)

static void podvisors_own_is_inherited_without_what_is_podvisors_alone(void **state)
{
	(void)state;
	setenv("TEST_INHERITED", "a=b", 1);
	setenv("NOTIFY_SOCKET", "/run/systemd/notify", 1);
	setenv("LISTEN_FDS", "3", 1);
	assert_int_equal(environment_inherit(&env), 0);
	assert_string_equal(find("TEST_INHERITED"), "a=b");
	assert_null(find("NOTIFY_SOCKET"));
	assert_null(find("LISTEN_FDS"));
	assert_null(env.vars[env.count]);
}

static void later_settings_win(void **state)
{
	(void)state;
	assert_int_equal(environment_set(&env, "A", "%d", 1), 0);
	assert_int_equal(environment_set(&env, "AB", "x"), 0);
	assert_int_equal(TAKE("A=2\n"), 0);
	assert_int_equal(env.count, 2);
	assert_string_equal(find("A"), "2");
	assert_string_equal(find("AB"), "x");
}

static void a_file_has_comments_quotes_and_exports(void **state)
{
	(void)state;
	assert_int_equal(TAKE("# comment\n\n  A=1\nexport B='two words'\nC=\"x\"\r\nD=\nE=a#b \nF='open"), 0);
	assert_string_equal(find("A"), "1");
	assert_string_equal(find("B"), "two words");
	assert_string_equal(find("C"), "x");
	assert_string_equal(find("D"), "");
	assert_string_equal(find("E"), "a#b ");
	assert_string_equal(find("F"), "'open");
	assert_int_equal(env.count, 6);
}

static void an_empty_file_is_fine(void **state)
{
	(void)state;
	assert_int_equal(TAKE(""), 0);
	assert_int_equal(TAKE("\n"), 0);
	assert_int_equal(env.count, 0);
}

static void a_line_that_is_none_is_named(void **state)
{
	(void)state;
	assert_int_equal(TAKE("A=1\nnonsense\n"), -EINVAL);
	assert_non_null(strstr(err.text, "f.env:2: no NAME=value"));
	assert_int_equal(TAKE("=1\n"), -EINVAL);
}

static void nothing_is_cut_in_silence(void **state)
{
	(void)state;
	assert_int_equal(TAKE("A=1\nSECRET=ab\0cd\n"), -EINVAL);
	assert_non_null(strstr(err.text, "f.env:2: a NUL byte"));
	assert_null(strstr(err.text, "ab"));
	assert_int_equal(TAKE("A=1\rB=2\n"), -EINVAL);
	assert_non_null(strstr(err.text, "f.env:1: a carriage return"));
}

static void what_cannot_be_read_is_told(void **state)
{
	(void)state;
	char dir[] = "/tmp/podvisor-env-XXXXXX", path[64];
	struct buf text;
	assert_int_equal(environment_read_file("/nonexistent", &text, &err), -ENOENT);
	assert_string_equal(err.text, "env file: /nonexistent: No such file or directory");
	assert_int_equal(environment_read_file("/tmp", &text, &err), -EISDIR);
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/fifo", dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(environment_read_file(path, &text, &err), -ESPIPE); /* and does not hang */
	unlink(path);
	rmdir(dir);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(podvisors_own_is_inherited_without_what_is_podvisors_alone),
		TEST(later_settings_win),
		TEST(a_file_has_comments_quotes_and_exports),
		TEST(an_empty_file_is_fine),
		TEST(a_line_that_is_none_is_named),
		TEST(nothing_is_cut_in_silence),
		TEST(what_cannot_be_read_is_told),
	};
	return cmocka_run_group_tests_name("environment", tests, NULL, NULL);
}
