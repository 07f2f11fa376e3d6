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

static char base[64];

static int make_base(void **state)
{
	(void)state;
	snprintf(base, sizeof(base), "/tmp/podvisor-remove-XXXXXX");
	return mkdtemp(base) ? 0 : -1;
}

static int drop_base(void **state)
{
	(void)state;
	struct err err = {0};
	return remove_tree_now(base, &err);
}

static const char *below(const char *name)
{
	static char paths[4][512];
	static int next;
	char *path = paths[next++ % 4];
	snprintf(path, sizeof(paths[0]), "%s/%s", base, name);
	return path;
}

static void make_file(const char *name)
{
	int fd = open(below(name), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
}

static void make_directory(const char *name)
{
	assert_int_equal(mkdir(below(name), 0700), 0);
}

static bool exists(const char *name)
{
	struct stat st;
	return lstat(below(name), &st) == 0;
}

static void a_whole_tree_goes_and_what_its_links_point_to_stays(void **state)
{
	(void)state;
	struct err err = {0};
	make_directory("keep");
	make_file("keep/file");
	make_directory("tree");
	make_directory("tree/a");
	make_directory("tree/a/b");
	make_file("tree/a/b/file");
	make_file("tree/.hidden");
	assert_int_equal(symlink(below("keep"), below("tree/a/link")), 0);
	assert_int_equal(symlink("/nowhere", below("tree/SingletonLock")), 0);
	assert_int_equal(mkfifo(below("tree/fifo"), 0600), 0);
	assert_int_equal(remove_tree_now(below("tree"), &err), 0);
	assert_false(exists("tree"));
	assert_true(exists("keep/file"));
}

static void a_path_that_is_not_there_is_no_failure(void **state)
{
	(void)state;
	struct err err = {0};
	assert_int_equal(remove_tree_now(below("never"), &err), 0);
	assert_string_equal(err.text, "");
}

static void a_link_instead_of_a_directory_is_removed_itself(void **state)
{
	(void)state;
	struct err err = {0};
	make_directory("target");
	make_file("target/file");
	assert_int_equal(symlink(below("target"), below("tree")), 0);
	assert_int_equal(remove_tree_now(below("tree"), &err), 0);
	assert_false(exists("tree"));
	assert_true(exists("target/file"));
}

static void a_tree_that_is_too_deep_is_said_to_be_so(void **state)
{
	(void)state;
	struct err err = {0};
	int at = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < REMOVE_TREE_DEPTH + 5; i++) {
		assert_int_equal(mkdirat(at, "d", 0700), 0);
		int next = openat(at, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		close(at);
		at = next;
	}
	close(at);
	assert_int_equal(remove_tree_now(below("d"), &err), -ELOOP);
	assert_non_null(strstr(err.text, "cannot remove d"));
	/* The rest is short enough from further down. */
	char deeper[256] = "d";
	for (int i = 0; i < 20; i++)
		strcat(deeper, "/d");
	assert_int_equal(remove_tree_now(below(deeper), &err), 0);
}

/* ---- the remover ---- */

struct bench {
	struct loop loop;
	int done, failed;
	int wanted;
};

static void no_turn(void *ctx)
{
	(void)ctx;
}

static void on_done(void *ctx, const struct err *failure)
{
	struct bench *b = ctx;
	b->done++;
	b->failed += failure->code != 0;
	if (b->done == b->wanted)
		loop_stop(&b->loop);
}

static void many_removals_end_one_after_the_other_and_the_name_is_free(void **state)
{
	(void)state;
	struct bench b = {.wanted = 5};
	struct remover *r;
	assert_int_equal(loop_init(&b.loop, no_turn, NULL, NULL), 0);
	assert_int_equal(remover_new(&r, &b.loop, NULL), 0);
	for (int i = 0; i < 5; i++) {
		char name[16], trash[16];
		snprintf(name, sizeof(name), "g%d", i);
		snprintf(trash, sizeof(trash), "trash-g%d", i);
		if (i != 3) { /* one that is not there */
			make_directory(name);
			if (i == 0)
				make_file("g0/x");
		}
		assert_int_equal(remover_start(r, below(name), i % 2 ? below(trash) : NULL, on_done, &b), 0);
	}
	loop_run(&b.loop);
	assert_int_equal(b.failed, 0);
	for (int i = 0; i < 5; i++) {
		char name[16];
		snprintf(name, sizeof(name), "g%d", i);
		assert_false(exists(name));
	}
	assert_false(exists("trash-g1"));
	remover_free(r);
	loop_fini(&b.loop);
}

static void a_remover_that_is_freed_early_calls_nobody(void **state)
{
	(void)state;
	struct bench b = {.wanted = 99};
	struct remover *r;
	assert_int_equal(loop_init(&b.loop, no_turn, NULL, NULL), 0);
	assert_int_equal(remover_new(&r, &b.loop, NULL), 0);
	make_directory("g");
	assert_int_equal(remover_start(r, below("g"), NULL, on_done, &b), 0);
	assert_int_equal(remover_start(r, below("h"), NULL, on_done, &b), 0);
	remover_free(r);
	uv_run(&b.loop.uv, UV_RUN_ONCE); /* until the thread has come back */
	loop_fini(&b.loop);
	assert_int_equal(b.done, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_whole_tree_goes_and_what_its_links_point_to_stays, make_base, drop_base),
		cmocka_unit_test_setup_teardown(a_path_that_is_not_there_is_no_failure, make_base, drop_base),
		cmocka_unit_test_setup_teardown(a_link_instead_of_a_directory_is_removed_itself, make_base, drop_base),
		cmocka_unit_test_setup_teardown(a_tree_that_is_too_deep_is_said_to_be_so, make_base, drop_base),
		cmocka_unit_test_setup_teardown(
			many_removals_end_one_after_the_other_and_the_name_is_free, make_base, drop_base),
		cmocka_unit_test_setup_teardown(a_remover_that_is_freed_early_calls_nobody, make_base, drop_base),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
