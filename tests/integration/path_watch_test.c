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
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "podvisor/io/path_watch.h"

/* DIR/real/own/sock, watched by way of DIR/link, which leads to real. What the kernel tells stands in its queue before
 * the call that caused it returns: one round of the loop hears all. */
struct bench {
	struct loop loop;
	struct path_watch *watch;
	int touched, fd;
	char dir[64];
};

static void turn(void *ctx)
{
	(void)ctx;
}

static void on_touched(void *ctx)
{
	((struct bench *)ctx)->touched++;
}

static const char *at(const struct bench *b, const char *rest)
{
	static char paths[2][128];
	static int next;
	next = !next;
	snprintf(paths[next], sizeof(paths[next]), "%s/%s", b->dir, rest);
	return paths[next];
}

static void make_file(const struct bench *b, const char *rest)
{
	int fd = open(at(b, rest), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "text", 4), 4);
	close(fd);
}

static void set_up(struct bench *b)
{
	struct err err = {0};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	*b = (struct bench){.dir = "/tmp/podvisor-watch-XXXXXX"};
	assert_non_null(mkdtemp(b->dir));
	assert_int_equal(mkdir(at(b, "real"), 0700), 0);
	assert_int_equal(mkdir(at(b, "real/own"), 0700), 0);
	assert_int_equal(symlink(at(b, "real"), at(b, "link")), 0);
	b->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", at(b, "real/own/sock"));
	assert_int_equal(bind(b->fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(b->fd, 1), 0);
	assert_int_equal(loop_init(&b->loop, turn, b, &err), 0);
	if (path_watch_new(&b->watch, &b->loop, at(b, "link/own/sock"), on_touched, b, &err) < 0)
		fail_msg("%s", err.text);
}

static void tear_down(struct bench *b)
{
	char command[128];
	path_watch_free(b->watch);
	assert_true(loop_fini(&b->loop));
	close(b->fd);
	snprintf(command, sizeof(command), "rm -rf %s", b->dir);
	assert_int_equal(system(command), 0);
}

static bool hears(struct bench *b)
{
	b->touched = 0;
	uv_run(&b->loop.uv, UV_RUN_NOWAIT);
	return b->touched > 0;
}

static void what_goes_on_beside_the_path_is_not_heard(void **state)
{
	(void)state;
	struct bench b;
	set_up(&b);
	make_file(&b, "real/own/beside");
	assert_int_equal(chmod(at(&b, "real/own/beside"), 0644), 0);
	assert_int_equal(rename(at(&b, "real/own/beside"), at(&b, "real/beside")), 0);
	assert_int_equal(unlink(at(&b, "real/beside")), 0);
	assert_int_equal(mkdir(at(&b, "real/other"), 0700), 0);
	assert_int_equal(rmdir(at(&b, "real/other")), 0);
	assert_false(hears(&b));
	tear_down(&b);
}

static void a_connection_is_not_heard(void **state)
{
	(void)state;
	struct bench b;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	set_up(&b);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", at(&b, "link/own/sock"));
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	assert_false(hears(&b));
	tear_down(&b);
}

static void its_removal_is_heard(void **state)
{
	(void)state;
	struct bench b;
	set_up(&b);
	assert_int_equal(unlink(at(&b, "real/own/sock")), 0);
	assert_true(hears(&b));
	assert_false(hears(&b));
	tear_down(&b);
}

static void another_one_in_its_place_is_heard(void **state)
{
	(void)state;
	struct bench b;
	set_up(&b);
	make_file(&b, "real/own/new");
	assert_int_equal(rename(at(&b, "real/own/new"), at(&b, "real/own/sock")), 0);
	assert_true(hears(&b));
	tear_down(&b);
}

static void another_name_of_anything_on_the_way_is_heard(void **state)
{
	(void)state;
	static const char *const names[] = {"real/own/sock", "real/own", "real", "link"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct bench b;
		set_up(&b);
		assert_int_equal(rename(at(&b, names[i]), at(&b, "moved")), 0);
		assert_true(hears(&b));
		tear_down(&b);
	}
}

static void a_link_that_leads_elsewhere_is_heard(void **state)
{
	(void)state;
	struct bench b;
	set_up(&b);
	assert_int_equal(symlink("/nowhere", at(&b, "new")), 0);
	assert_int_equal(rename(at(&b, "new"), at(&b, "link")), 0);
	assert_true(hears(&b));
	tear_down(&b);
}

static void what_is_not_there_is_not_watched(void **state)
{
	(void)state;
	struct bench b;
	struct path_watch *other = NULL;
	struct err err = {0};
	set_up(&b);
	assert_int_equal(path_watch_new(&other, &b.loop, at(&b, "link/nothing"), on_touched, &b, &err), -ENOENT);
	assert_null(other);
	assert_non_null(strstr(err.text, "link/nothing: No such file or directory"));
	tear_down(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_goes_on_beside_the_path_is_not_heard),
		cmocka_unit_test(a_connection_is_not_heard),
		cmocka_unit_test(its_removal_is_heard),
		cmocka_unit_test(another_one_in_its_place_is_heard),
		cmocka_unit_test(another_name_of_anything_on_the_way_is_heard),
		cmocka_unit_test(a_link_that_leads_elsewhere_is_heard),
		cmocka_unit_test(what_is_not_there_is_not_watched),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
