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

#include "podvisor/io/runtime_dir.h"

static char dir[64];

static int set_up(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/podvisor-runtime-XXXXXX");
	return mkdtemp(dir) ? setenv("XDG_RUNTIME_DIR", dir, 1) : -1;
}

static int tear_down(void **state)
{
	(void)state;
	char own[96];
	snprintf(own, sizeof(own), "%s/podvisor", dir);
	rmdir(own);
	snprintf(own, sizeof(own), "%s/made", dir);
	rmdir(own);
	return rmdir(dir);
}

static void the_configured_place_comes_first_and_its_directory_is_made(void **state)
{
	(void)state;
	char wanted[96], out[108];
	struct stat st;
	snprintf(wanted, sizeof(wanted), "%s/made/control.sock", dir);
	assert_int_equal(runtime_dir_choose(wanted, out, sizeof(out), NULL), 0);
	assert_string_equal(out, wanted);
	*strrchr(wanted, '/') = '\0';
	assert_int_equal(stat(wanted, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
}

static void what_cannot_be_made_is_passed_over(void **state)
{
	(void)state;
	char expected[96], out[108];
	snprintf(expected, sizeof(expected), "%s/podvisor/control.sock", dir);
	assert_int_equal(runtime_dir_choose("/proc/nothing/control.sock", out, sizeof(out), NULL), 0);
	assert_string_equal(out, expected);
}

/* Somebody else could put a socket of his own there. */
static void a_shared_place_must_be_ours_alone(void **state)
{
	(void)state;
	char own[96], out[108];
	snprintf(own, sizeof(own), "%s/podvisor", dir);
	assert_int_equal(mkdir(own, 0700), 0);
	assert_int_equal(chmod(own, 0777), 0);
	assert_int_equal(runtime_dir_choose("/proc/nothing/control.sock", out, sizeof(out), NULL), 0);
	assert_null(strstr(out, own));
	assert_int_equal(chmod(own, 0755), 0);
	assert_int_equal(runtime_dir_choose("/proc/nothing/control.sock", out, sizeof(out), NULL), 0);
	assert_non_null(strstr(out, own));
}

static void a_link_is_no_directory_of_ours(void **state)
{
	(void)state;
	char own[96], out[108];
	snprintf(own, sizeof(own), "%s/podvisor", dir);
	assert_int_equal(symlink("/tmp", own), 0);
	assert_int_equal(runtime_dir_choose("/proc/nothing/control.sock", out, sizeof(out), NULL), 0);
	assert_null(strstr(out, own));
	unlink(own);
}

static void the_candidates_have_an_end_and_a_length(void **state)
{
	(void)state;
	char out[108], small[8];
	for (int i = 0; i < RUNTIME_DIR_CANDIDATES; i++)
		assert_int_equal(runtime_dir_candidate(i, "/run/x.sock", out, sizeof(out)), 0);
	assert_int_equal(runtime_dir_candidate(RUNTIME_DIR_CANDIDATES, "/run/x.sock", out, sizeof(out)), -ENOENT);
	assert_int_equal(runtime_dir_candidate(0, "/run/x.sock", small, sizeof(small)), -ENOENT);
	setenv("XDG_RUNTIME_DIR", "relative", 1);
	assert_int_equal(runtime_dir_candidate(1, "/run/x.sock", out, sizeof(out)), -ENOENT);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(the_configured_place_comes_first_and_its_directory_is_made),
		TEST(what_cannot_be_made_is_passed_over),
		TEST(a_shared_place_must_be_ours_alone),
		TEST(a_link_is_no_directory_of_ours),
		TEST(the_candidates_have_an_end_and_a_length),
	};
	return cmocka_run_group_tests_name("runtime_dir", tests, NULL, NULL);
}
