#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "podvisor/io/file.h"

static char dir[64], path[96];

static int set_up(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/podvisor-file-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/file", dir);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

static void make_file(size_t n)
{
	FILE *f = fopen(path, "we");
	for (size_t i = 0; i < n; i++)
		fputc("abc\0"[i % 4], f);
	assert_int_equal(fclose(f), 0);
}

static void a_file_of_exactly_the_largest_size_is_read(void **state)
{
	(void)state;
	struct buf out;
	static const size_t sizes[] = {0, 1, 4095, 4096, 4097, 8192};
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		make_file(sizes[i]);
		assert_int_equal(file_read(path, sizes[i], 0, &out, NULL), 0);
		assert_int_equal(out.len, sizes[i]);
		buf_fini(&out);
	}
}

static void one_byte_more_is_refused(void **state)
{
	(void)state;
	struct buf out;
	struct err err;
	make_file(4097);
	assert_int_equal(file_read(path, 4096, 0, &out, &err), -EFBIG);
	assert_non_null(strstr(err.text, ": larger than 4 KiB"));
	assert_null(out.data);
}

static void what_is_no_file_is_told(void **state)
{
	(void)state;
	struct buf out;
	struct err err;
	assert_int_equal(file_read(path, 10, 0, &out, &err), -ENOENT);
	assert_true(strncmp(err.text, path, strlen(path)) == 0);
	assert_int_equal(file_read("/tmp", 10, 0, &out, &err), -EISDIR);
	assert_int_equal(file_read("/dev/null", 10, 1000, &out, &err), -ENOTSUP);
	assert_non_null(strstr(err.text, "not a regular file"));
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(file_read(path, 10, 0, &out, &err), -ESPIPE);
	assert_non_null(strstr(err.text, "a pipe (a file that can be read again was expected)"));
}

/* As <(command) gives it. */
static void a_pipe_is_read_to_its_end(void **state)
{
	(void)state;
	int ends[2];
	char name[32];
	struct buf out;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	snprintf(name, sizeof(name), "/dev/fd/%d", ends[0]);
	assert_int_equal(write(ends[1], "{}", 2), 2);
	close(ends[1]);
	assert_int_equal(file_read(name, 100, 10000, &out, NULL), 0);
	assert_string_equal(buf_str(&out), "{}");
	buf_fini(&out);
	close(ends[0]);
}

static void a_pipe_without_an_end_is_given_up(void **state)
{
	(void)state;
	struct buf out;
	struct err err;
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(file_read(path, 10, 1, &out, &err), -ETIMEDOUT); /* nobody writes */
	int fd = open(path, O_RDWR | O_CLOEXEC);
	assert_int_equal(write(fd, "{", 1), 1);
	assert_int_equal(file_read(path, 10, 1, &out, &err), -ETIMEDOUT); /* and nobody ends */
	assert_null(out.data);
	close(fd);
}

static void a_blocked_stop_signal_ends_the_wait_for_a_pipe(void **state)
{
	(void)state;
	struct buf out;
	sigset_t set, before;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, &before);
	raise(SIGTERM);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(file_read(path, 10, 600000, &out, NULL), -EINTR);
	int taken;
	assert_int_equal(sigwait(&set, &taken), 0);
	sigprocmask(SIG_SETMASK, &before, NULL);
}

static void a_small_file_is_cut_to_its_room(void **state)
{
	(void)state;
	char text[4] = "old";
	make_file(10);
	assert_int_equal(file_read_small(path, text, sizeof(text)), 3);
	assert_string_equal(text, "abc");
	assert_int_equal(file_read_small("/nonexistent", text, sizeof(text)), -ENOENT);
	assert_string_equal(text, "");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_file_of_exactly_the_largest_size_is_read),
		TEST(one_byte_more_is_refused),
		TEST(what_is_no_file_is_told),
		TEST(a_pipe_is_read_to_its_end),
		TEST(a_pipe_without_an_end_is_given_up),
		TEST(a_blocked_stop_signal_ends_the_wait_for_a_pipe),
		TEST(a_small_file_is_cut_to_its_room),
	};
	return cmocka_run_group_tests_name("file", tests, NULL, NULL);
}
