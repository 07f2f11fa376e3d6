#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "podvisor/io/remove_tree.h"
#include "podvisor/runtime/browser_launch.h"

static char base[64];
static char name[] = "chrome", shell[128];

static int make_base(void **state)
{
	(void)state;
	snprintf(base, sizeof(base), "/tmp/podvisor-launch-XXXXXX");
	if (!mkdtemp(base))
		return -1;
	snprintf(shell, sizeof(shell), "%s/my-headless-shell", base);
	int fd = open(shell, O_CREAT | O_WRONLY | O_CLOEXEC, 0755);
	return fd < 0 ? -1 : close(fd);
}

static int drop_base(void **state)
{
	(void)state;
	return remove_tree_now(base, NULL);
}

static struct config_browser configured(void)
{
	static char *none[] = {NULL};
	return (struct config_browser){.name = name, .executable = shell, .args = none};
}

static int place_of(const struct browser_launch *l, const char *flag)
{
	for (size_t i = 0; i < l->argc; i++)
		if (!strncmp(l->argv[i], flag, strlen(flag)))
			return (int)i;
	return -1;
}

static const char *variable(const struct browser_launch *l, const char *prefix)
{
	for (size_t i = 0; i < l->env.count; i++)
		if (!strncmp(l->env.vars[i], prefix, strlen(prefix)))
			return l->env.vars[i] + strlen(prefix);
	return NULL;
}

static void own_flags_come_last_and_everything_lies_in_the_generation(void **state)
{
	(void)state;
	struct browser_launch l;
	char extra[] = "--user-data-dir=/elsewhere", *args[] = {extra, NULL}, expected[128];
	struct config_browser config = configured();
	config.args = args;
	assert_int_equal(browser_launch_init(&l, &config, base, 7, false, NULL), 0);
	assert_string_equal(l.argv[0], shell);
	assert_null(l.argv[l.argc]);
	assert_int_equal(place_of(&l, "--headless"), -1); /* it is one */
	assert_true(place_of(&l, "--user-data-dir=/elsewhere") > place_of(&l, "--no-first-run"));
	snprintf(expected, sizeof(expected), "--user-data-dir=%s/chrome/chrome/g7/profile", base);
	assert_true(place_of(&l, expected) > place_of(&l, "--user-data-dir=/elsewhere"));
	assert_true(place_of(&l, "--remote-debugging-pipe") > 0);
	assert_true(place_of(&l, "--remote-debugging-port=0") > 0);
	assert_int_equal(place_of(&l, "--remote-debugging-address"), -1);
	assert_int_equal(place_of(&l, "--single-process"), -1);
	assert_non_null(strstr(variable(&l, "HOME="), "/g7/home"));
	assert_non_null(strstr(variable(&l, "TMPDIR="), "/g7/tmp"));
	browser_launch_fini(&l);
}

/* A socket that Chromium makes in TMPDIR has at most 107 bytes for its path. */
static void below_a_long_path_the_temporary_directory_has_a_short_name(void **state)
{
	(void)state;
	struct browser_launch l;
	struct config_browser config = configured();
	static const char behind[] = "/chrome/chrome/g1/tmp/org.chromium.Chromium.XXXXXX/SingletonSocket";
	char path[128];
	size_t fits = 107 - strlen(behind);
	memset(path, 'p', fits + 2);
	path[0] = '/';
	path[fits] = '\0';
	assert_int_equal(browser_launch_init(&l, &config, path, 1, false, NULL), 0);
	assert_int_equal(strncmp(variable(&l, "TMPDIR="), path, fits), 0);
	browser_launch_fini(&l);
	path[fits] = 'p';
	path[fits + 1] = '\0';
	assert_int_equal(browser_launch_init(&l, &config, path, 1, false, NULL), 0);
	assert_string_equal(variable(&l, "TMPDIR="), "/proc/self/cwd/tmp");
	assert_int_equal(strncmp(variable(&l, "HOME="), path, fits + 1), 0);
	browser_launch_fini(&l);
}

static void secrets_of_podvisor_do_not_reach_chrome(void **state)
{
	(void)state;
	struct browser_launch l;
	struct config_browser config = configured();
	char given[] = "GIVEN", value[] = "yes";
	struct config_pair pair = {given, value};
	config.env = &pair;
	config.n_env = 1;
	setenv("DATABASE_URL", "postgres://u:p@h/d", 1);
	assert_int_equal(browser_launch_init(&l, &config, base, 1, false, NULL), 0);
	assert_null(variable(&l, "DATABASE_URL="));
	assert_string_equal(variable(&l, "GIVEN="), "yes");
	assert_non_null(variable(&l, "PATH="));
	browser_launch_fini(&l);
	unsetenv("DATABASE_URL");
}

static void the_sandbox_goes_only_with_a_reason(void **state)
{
	(void)state;
	struct browser_launch l;
	struct config_browser config = configured();
	config.sandbox = BROWSER_SANDBOX_ON;
	assert_int_equal(browser_launch_init(&l, &config, base, 1, true, NULL), 0);
	assert_true(l.sandboxed && place_of(&l, "--no-sandbox") < 0);
	browser_launch_fini(&l);
	config.sandbox = BROWSER_SANDBOX_OFF;
	assert_int_equal(browser_launch_init(&l, &config, base, 1, false, NULL), 0);
	assert_true(!l.sandboxed && place_of(&l, "--no-sandbox") > 0);
	assert_string_equal(l.remark, "");
	browser_launch_fini(&l);
	config.sandbox = BROWSER_SANDBOX_AUTO;
	assert_int_equal(browser_launch_init(&l, &config, base, 1, true, NULL), 0);
	assert_true(!l.sandboxed && place_of(&l, "--no-sandbox") > 0);
	assert_non_null(strstr(l.remark, "WITHOUT its sandbox"));
	browser_launch_fini(&l);
}

static void what_cannot_be_started_is_said(void **state)
{
	(void)state;
	struct browser_launch l;
	struct config_browser config = configured();
	struct err err = {0};
	char missing[] = "/no/such/chrome", plain[] = "/etc/passwd", nowhere[] = "no-such-chrome",
	     user[] = "no-such-user";
	config.executable = missing;
	assert_int_equal(browser_launch_init(&l, &config, base, 1, false, &err), -ENOENT);
	assert_non_null(strstr(err.text, missing));
	config.executable = plain;
	assert_int_equal(browser_launch_init(&l, &config, base, 1, false, &err), -EACCES);
	config.executable = nowhere;
	assert_int_equal(browser_launch_init(&l, &config, base, 1, false, &err), -ENOENT);
	config.executable = shell;
	config.user = user;
	assert_int_equal(browser_launch_init(&l, &config, base, 1, false, &err), -EINVAL);
	assert_non_null(strstr(err.text, user));
}

static mode_t mode_of(const char *path)
{
	struct stat st;
	assert_int_equal(lstat(path, &st), 0);
	return st.st_mode & 07777;
}

static void directories_are_private_and_what_was_there_is_gone(void **state)
{
	(void)state;
	struct browser_launch l;
	struct config_browser config = configured();
	char path[256];
	assert_int_equal(browser_launch_init(&l, &config, base, 1, false, NULL), 0);
	assert_int_equal(browser_launch_make_directories(&l, true, NULL), 0);
	static const char *const names[] = {"", "/profile", "/tmp", "/home", "/cache"};
	for (size_t i = 0; i < 5; i++) {
		snprintf(path, sizeof(path), "%s/chrome/chrome/g1%s", base, names[i]);
		assert_int_equal(mode_of(path), 0700);
	}
	snprintf(path, sizeof(path), "%s/chrome/chrome/g1/profile/SingletonLock", base);
	assert_int_equal(symlink("oldpod-7", path), 0);
	snprintf(path, sizeof(path), "%s/chrome/chrome/g99", base);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(browser_launch_make_directories(&l, true, NULL), 0);
	assert_int_equal(access(path, F_OK), -1); /* of an earlier life */
	snprintf(path, sizeof(path), "%s/chrome/chrome/g1/profile/SingletonLock", base);
	struct stat st;
	assert_int_equal(lstat(path, &st), -1);
	browser_launch_fini(&l);
}

static void a_link_in_the_place_of_the_directory_is_not_followed(void **state)
{
	(void)state;
	struct browser_launch l;
	struct config_browser config = configured();
	struct err err = {0};
	char path[128];
	snprintf(path, sizeof(path), "%s/chrome", base);
	assert_int_equal(symlink("/tmp", path), 0);
	assert_int_equal(browser_launch_init(&l, &config, base, 1, false, NULL), 0);
	assert_int_equal(browser_launch_make_directories(&l, true, &err), -EIO);
	assert_non_null(strstr(err.text, "not a directory of podvisor's own"));
	browser_launch_fini(&l);
}

static void the_printed_command_can_be_pasted(void **state)
{
	(void)state;
	struct buf out;
	char extra[] = "--user-agent=it's me", *args[] = {extra, NULL};
	struct config_browser config = configured();
	config.args = args;
	buf_init(&out, 16384);
	assert_int_equal(browser_launch_print(&config, base, &out, NULL), 0);
	assert_non_null(strstr(out.data, " '--user-agent=it'\\''s me' "));
	assert_int_equal(strncmp(out.data, shell, strlen(shell)), 0);
	buf_fini(&out);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_base, drop_base)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(own_flags_come_last_and_everything_lies_in_the_generation),
		TEST(below_a_long_path_the_temporary_directory_has_a_short_name),
		TEST(secrets_of_podvisor_do_not_reach_chrome),
		TEST(the_sandbox_goes_only_with_a_reason),
		TEST(what_cannot_be_started_is_said),
		TEST(directories_are_private_and_what_was_there_is_gone),
		TEST(a_link_in_the_place_of_the_directory_is_not_followed),
		TEST(the_printed_command_can_be_pasted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
