#include <errno.h>
#include <fcntl.h>
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

#include "podvisor/base/buf.h"
#include "podvisor/runtime/termination.h"

static char path[64];
static struct buf text;

static int set_up(void **state)
{
	(void)state;
	strcpy(path, "/tmp/podvisor-termination-XXXXXX");
	int fd = mkstemp(path);
	buf_init(&text, 1 << 20);
	if (fd < 0 || write(fd, "of an earlier life, and longer", 30) != 30)
		return -1;
	return close(fd);
}

static int tear_down(void **state)
{
	(void)state;
	buf_fini(&text);
	unlink(path);
	return 0;
}

static int put(const char *at)
{
	return termination_write(at, (struct span){buf_str(&text), text.len}, NULL);
}

static size_t written(char *out, size_t size)
{
	FILE *f = fopen(path, "re");
	size_t n = fread(out, 1, size - 1, f);
	out[n] = '\0';
	fclose(f);
	return n;
}

static void what_was_there_before_is_replaced(void **state)
{
	(void)state;
	char out[8192];
	buf_puts(&text, "in order\n");
	assert_int_equal(put(path), 0);
	written(out, sizeof(out));
	assert_string_equal(out, "in order\n");
}

/* Kubernetes keeps so much, and cuts anywhere. */
static void what_is_too_long_is_cut_behind_a_line(void **state)
{
	(void)state;
	char out[8192];
	while (text.len < 5000)
		buf_puts(&text, "a line of thirty characters ..\n");
	assert_int_equal(put(path), 0);
	size_t n = written(out, sizeof(out));
	assert_true(n <= TERMINATION_MAX && n > TERMINATION_MAX - 31);
	assert_int_equal(out[n - 1], '\n');
}

static void one_endless_line_is_cut_as_well(void **state)
{
	(void)state;
	char out[8192];
	while (text.len < 5000)
		buf_putc(&text, 'x');
	assert_int_equal(put(path), 0);
	assert_int_equal(written(out, sizeof(out)), TERMINATION_MAX);
}

static void nothing_to_say_empties_it(void **state)
{
	(void)state;
	char out[64];
	assert_int_equal(put(path), 0);
	assert_int_equal(written(out, sizeof(out)), 0);
}

static void a_file_that_is_not_there_is_made(void **state)
{
	(void)state;
	char out[64];
	unlink(path);
	buf_puts(&text, "the end\n");
	assert_int_equal(put(path), 0);
	assert_int_equal(written(out, sizeof(out)), 8);
}

static void a_look_at_it_changes_nothing(void **state)
{
	(void)state;
	char out[64];
	buf_puts(&text, "an earlier end\n");
	assert_int_equal(put(path), 0);
	assert_int_equal(termination_check(path, NULL), 0);
	assert_int_equal(written(out, sizeof(out)), 15);
}

static void what_cannot_be_written_is_told_beforehand(void **state)
{
	(void)state;
	struct err err;
	assert_int_equal(termination_check("/nowhere/at/all", &err), -ENOENT);
	assert_string_equal(err.text, "/nowhere/at/all cannot be written: its directory is not there");
}

/* Outside Kubernetes there is no such file. */
static void nothing_is_put_into_dev(void **state)
{
	(void)state;
	if (access(TERMINATION_KUBERNETES, F_OK) == 0)
		skip();
	struct err err;
	unsetenv("KUBERNETES_SERVICE_HOST");
	assert_int_equal(termination_check(TERMINATION_KUBERNETES, &err), 1);
	assert_non_null(strstr(err.text, "is made by Kubernetes alone"));
	setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1", 1);
	assert_int_equal(termination_check(TERMINATION_KUBERNETES, &err), -ENOENT);
	assert_non_null(strstr(err.text, "terminationMessagePath"));
	unsetenv("KUBERNETES_SERVICE_HOST");
	assert_int_equal(put(TERMINATION_KUBERNETES), 0);
	assert_int_equal(access(TERMINATION_KUBERNETES, F_OK), -1);
}

/* Where others may write as well, one could lead podvisor, which may be root, to any file. */
static void a_link_is_not_followed(void **state)
{
	(void)state;
	char link[80], target[80];
	struct err err;
	snprintf(link, sizeof(link), "%s.link", path);
	snprintf(target, sizeof(target), "%s.new", path);
	buf_puts(&text, "the end\n");
	for (int dangling = 0; dangling < 2; dangling++) {
		assert_int_equal(symlink(dangling ? target : path, link), 0);
		assert_int_equal(termination_check(link, &err), -ELOOP);
		assert_non_null(strstr(err.text, "it is a symbolic link"));
		assert_int_equal(put(link), -ELOOP);
		unlink(link);
	}
	assert_int_equal(access(target, F_OK), -1);
	char out[64];
	assert_int_equal(written(out, sizeof(out)), 30);
}

/* The file may be a mount of its own, which rename(2) would lose. */
static void it_is_written_in_place(void **state)
{
	(void)state;
	struct stat before, after;
	assert_int_equal(stat(path, &before), 0);
	buf_puts(&text, "the end\n");
	assert_int_equal(put(path), 0);
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	unlink(path);
	umask(022);
	assert_int_equal(put(path), 0);
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(after.st_mode & 07777, 0644);
}

static void a_full_disk_is_told(void **state)
{
	(void)state;
	struct err err;
	assert_int_equal(termination_write("/dev/full", SPAN("the end\n"), &err), -ENOSPC);
	assert_string_equal(err.text, "/dev/full cannot be written: No space left on device");
}

static void a_fifo_that_nobody_reads_does_not_hang(void **state)
{
	(void)state;
	struct err err;
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(termination_write(path, SPAN("the end\n"), &err), -ENXIO);
	assert_true(strncmp(err.text, path, strlen(path)) == 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(what_was_there_before_is_replaced),
		TEST(what_is_too_long_is_cut_behind_a_line),
		TEST(one_endless_line_is_cut_as_well),
		TEST(nothing_to_say_empties_it),
		TEST(a_file_that_is_not_there_is_made),
		TEST(a_look_at_it_changes_nothing),
		TEST(what_cannot_be_written_is_told_beforehand),
		TEST(nothing_is_put_into_dev),
		TEST(a_link_is_not_followed),
		TEST(it_is_written_in_place),
		TEST(a_full_disk_is_told),
		TEST(a_fifo_that_nobody_reads_does_not_hang),
	};
	return cmocka_run_group_tests_name("termination", tests, NULL, NULL);
}
