#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "podvisor/io/open_files.h"

struct bench {
	char dir[64], file[96];
	struct stat of_dir, of_file;
	struct open_files found;
};

static int set_up(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	*state = b;
	strcpy(b->dir, "/tmp/podvisor-open-files-XXXXXX");
	if (!mkdtemp(b->dir))
		return -1;
	snprintf(b->file, sizeof(b->file), "%s/file", b->dir);
	int fd = open(b->file, O_CREAT | O_WRONLY | O_CLOEXEC, 0700);
	bool written = write(fd, "0123456789", 10) == 10;
	close(fd);
	return written && stat(b->file, &b->of_file) == 0 ? stat(b->dir, &b->of_dir) : -1;
}

static int tear_down(void **state)
{
	struct bench *b = *state;
	open_files_fini(&b->found);
	unlink(b->file);
	rmdir(b->dir);
	free(b);
	return 0;
}

static bool is_used(struct bench *b, ino_t inode)
{
	struct err err;
	open_files_fini(&b->found);
	assert_int_equal(open_files_read(&b->found, b->of_file.st_dev, &err), 0);
	return open_files_has(&b->found, inode);
}

static void what_nobody_uses_is_not_in_it(void **state)
{
	struct bench *b = *state;
	assert_false(is_used(b, b->of_file.st_ino));
	assert_false(is_used(b, b->of_dir.st_ino));
}

static void what_a_descriptor_holds_is_in_it(void **state)
{
	struct bench *b = *state;
	int fd = open(b->file, O_RDONLY | O_CLOEXEC);
	assert_true(is_used(b, b->of_file.st_ino));
	close(fd);
	assert_false(is_used(b, b->of_file.st_ino));
}

static void what_is_mapped_is_in_it(void **state)
{
	struct bench *b = *state;
	int fd = open(b->file, O_RDONLY | O_CLOEXEC);
	void *map = mmap(NULL, 10, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	assert_true(map != MAP_FAILED);
	assert_true(is_used(b, b->of_file.st_ino));
	munmap(map, 10);
	assert_false(is_used(b, b->of_file.st_ino));
}

/* Of another process: its working directory, its program, and a file that it has open. */
static void what_another_process_is_in_is_in_it(void **state)
{
	struct bench *b = *state;
	char command[256], program[96], *argv[] = {(char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c", command, NULL};
	char *none[] = {NULL};
	int ready[2];
	pid_t pid;
	char byte;
	assert_int_equal(pipe(ready), 0);
	snprintf(program, sizeof(program), "%s/sleep", b->dir);
	snprintf(command, sizeof(command), "cp /bin/sleep %s && cd %s && exec 3<file && echo >&%d && exec ./sleep 1000",
		program, b->dir, ready[1]);
	assert_int_equal(posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, none), 0);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_true(is_used(b, b->of_dir.st_ino));
	assert_true(is_used(b, b->of_file.st_ino));
	struct stat of_program;
	assert_int_equal(stat(program, &of_program), 0);
	while (!is_used(b, of_program.st_ino)) /* it is about to be executed */
		assert_int_equal(kill(pid, 0), 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	unlink(program);
	close(ready[0]);
	close(ready[1]);
	assert_false(is_used(b, b->of_dir.st_ino));
}

static void of_another_file_system_nothing_is_in_it(void **state)
{
	struct bench *b = *state;
	struct err err;
	assert_int_equal(open_files_read(&b->found, (dev_t)-2, &err), 0);
	assert_int_equal(b->found.n, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(what_nobody_uses_is_not_in_it),
		TEST(what_a_descriptor_holds_is_in_it),
		TEST(what_is_mapped_is_in_it),
		TEST(what_another_process_is_in_is_in_it),
		TEST(of_another_file_system_nothing_is_in_it),
	};
	return cmocka_run_group_tests_name("open files", tests, NULL, NULL);
}
