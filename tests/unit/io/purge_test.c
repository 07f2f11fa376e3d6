#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "podvisor/io/purge.h"

#define SIZE (64 << 10) /* of a file */
#define MANY ((int64_t)1 << 40)

struct bench {
	char dir[64], outside[80];
	int64_t newest_ns; /* of the file that was put last */
	struct purge_order order;
	struct purge_report report;
};

static int set_up(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	*state = b;
	strcpy(b->dir, "/tmp/podvisor-purge-XXXXXX");
	if (!mkdtemp(b->dir))
		return -1;
	snprintf(b->outside, sizeof(b->outside), "%s.outside", b->dir);
	static const char *const all[] = {"**", NULL};
	b->order = (struct purge_order){.path = b->dir, .globs = all, .bytes = MANY, .directory_age = 3600000};
	return mkdir(b->outside, 0755);
}

static int tear_down(void **state)
{
	struct bench *b = *state;
	char command[256];
	snprintf(command, sizeof(command), "rm -rf %s %s", b->dir, b->outside);
	int rc = system(command);
	free(b);
	return rc;
}

static const char *path_of(const struct bench *b, const char *name)
{
	static char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/%s", name[0] == '/' ? "" : b->dir, name);
	return path;
}

static bool exists(const struct bench *b, const char *name)
{
	struct stat st;
	return lstat(path_of(b, name), &st) == 0;
}

static int64_t ctime_of(const char *path)
{
	struct stat st;
	assert_int_equal(lstat(path, &st), 0);
	return (int64_t)st.st_ctim.tv_sec * 1000000000 + st.st_ctim.tv_nsec;
}

static void make_directories(const char *path)
{
	char part[PATH_MAX];
	snprintf(part, sizeof(part), "%s", path);
	for (char *at = part + 1; (at = strchr(at, '/')); *at++ = '/') {
		*at = '\0';
		mkdir(part, 0755);
	}
}

static void write_file(const char *path)
{
	static char bytes[SIZE];
	int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, SIZE), SIZE);
	close(fd);
}

/* Younger than the one before: files get their times from a clock that ticks slowly. */
static void put(struct bench *b, const char *name)
{
	const char *path = path_of(b, name);
	make_directories(path);
	do
		write_file(path);
	while (ctime_of(path) <= b->newest_ns);
	b->newest_ns = ctime_of(path);
}

/* The clock that files get their times from has gone on. */
static void let_time_pass(struct bench *b)
{
	char clock[160];
	snprintf(clock, sizeof(clock), "%s/clock", b->outside);
	put(b, clock);
	unlink(clock);
}

static struct purge *begin(struct bench *b)
{
	struct purge *p;
	struct err err;
	assert_int_equal(purge_new(&p, &b->order, &err), 0);
	return p;
}

static void go_on(struct bench *b, struct purge *p)
{
	struct err err = {0};
	int rc;
	while ((rc = purge_step(p, 1000, &err)) > 0)
		;
	if (rc < 0)
		fail_msg("%s", err.text);
	b->report = *purge_report(p);
	purge_free(p);
}

static void purge(struct bench *b)
{
	let_time_pass(b);
	go_on(b, begin(b));
}

static void the_oldest_go_first_and_only_until_it_is_enough(void **state)
{
	struct bench *b = *state;
	static const char *const names[] = {"c", "x/a", "b", "d", NULL};
	for (size_t i = 0; names[i]; i++)
		put(b, names[i]);
	b->order.bytes = SIZE + 1;
	purge(b);
	assert_false(exists(b, "c"));
	assert_false(exists(b, "x/a"));
	assert_true(exists(b, "b"));
	assert_true(exists(b, "d"));
	assert_int_equal(b->report.files, 2);
	assert_int_equal(b->report.bytes, 2 * SIZE);
}

static void inodes_are_freed_as_bytes_are(void **state)
{
	struct bench *b = *state;
	put(b, "a");
	put(b, "b");
	put(b, "c");
	b->order.bytes = 0;
	b->order.inodes = 2;
	purge(b);
	assert_int_equal(b->report.files, 2);
	assert_true(exists(b, "c"));
}

static void only_what_matches_goes(void **state)
{
	struct bench *b = *state;
	static const char *const globs[] = {"**/Cache/**", "*.log", NULL};
	b->order.globs = globs;
	put(b, "p/Default/Cache/Data/f");
	put(b, "p/Default/Cookies");
	put(b, "a.log");
	put(b, "p/a.log");
	purge(b);
	assert_false(exists(b, "p/Default/Cache/Data/f"));
	assert_false(exists(b, "a.log"));
	assert_true(exists(b, "p/Default/Cookies"));
	assert_true(exists(b, "p/a.log"));
}

/* mtime says 1970, as of what was unpacked from an archive. */
static void what_is_new_here_is_young_however_old_it_says_to_be(void **state)
{
	struct bench *b = *state;
	struct timespec old[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
	put(b, "a");
	assert_int_equal(utimensat(AT_FDCWD, path_of(b, "a"), old, 0), 0);
	b->order.min_age = 3600000;
	purge(b);
	assert_true(exists(b, "a"));
	assert_int_equal(b->report.young, 1);
	assert_int_equal(b->report.files, 0);
}

static void what_is_in_use_stays(void **state)
{
	struct bench *b = *state;
	put(b, "held");
	put(b, "mapped");
	put(b, "free");
	int held = open(path_of(b, "held"), O_RDONLY | O_CLOEXEC);
	int mapped = open(path_of(b, "mapped"), O_RDONLY | O_CLOEXEC);
	void *map = mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE, mapped, 0);
	assert_true(held >= 0 && map != MAP_FAILED);
	close(mapped);
	purge(b);
	assert_true(exists(b, "held"));
	assert_true(exists(b, "mapped"));
	assert_false(exists(b, "free"));
	assert_int_equal(b->report.open, 2);
	munmap(map, SIZE);
	close(held);
	purge(b);
	assert_int_equal(b->report.files, 2);
}

/* What no process shows, the kernel knows all the same. */
static void what_only_a_message_in_flight_holds_stays(void **state)
{
	struct bench *b = *state;
	int pair[2], fd;
	put(b, "sent");
	fd = open(path_of(b, "sent"), O_RDONLY | O_CLOEXEC);
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {{0}};
	char byte = 'x';
	struct iovec data = {&byte, 1};
	struct msghdr message = {
		.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);
	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(head), &fd, sizeof(fd));
	assert_int_equal(sendmsg(pair[0], &message, 0), 1);
	close(fd);
	purge(b);
	assert_true(exists(b, "sent"));
	assert_int_equal(b->report.open, 1);
	close(pair[0]);
	close(pair[1]);
	purge(b);
	assert_false(exists(b, "sent"));
}

static void links_sockets_and_pipes_stay_and_lead_nowhere(void **state)
{
	struct bench *b = *state;
	char there[160];
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(there, sizeof(there), "%s/file", b->outside);
	put(b, there);
	assert_int_equal(symlink(b->outside, path_of(b, "dir")), 0);
	assert_int_equal(symlink(there, path_of(b, "link")), 0);
	assert_int_equal(mkfifo(path_of(b, "pipe"), 0600), 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%.60s/socket", b->dir);
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(s, (struct sockaddr *)&address, sizeof(address)), 0);
	purge(b);
	close(s);
	assert_true(exists(b, there));
	assert_true(exists(b, "dir") && exists(b, "link") && exists(b, "pipe") && exists(b, "socket"));
	assert_int_equal(b->report.files, 0);
}

/* Between finding and deleting somebody puts a link in the place of a directory. */
static void a_directory_that_becomes_a_link_leads_nowhere(void **state)
{
	struct bench *b = *state;
	char there[160], moved[160];
	struct err err;
	put(b, "d/file");
	let_time_pass(b);
	struct purge *p = begin(b);
	assert_int_equal(purge_step(p, 1000, &err), 1); /* found */
	snprintf(there, sizeof(there), "%s/d", b->outside);
	snprintf(moved, sizeof(moved), "%s/d", b->dir);
	assert_int_equal(rename(moved, there), 0); /* the very same file, by another way */
	assert_int_equal(symlink(there, moved), 0);
	go_on(b, p);
	assert_true(exists(b, "d/file"));
	assert_int_equal(b->report.files, 0);
}

static void what_was_touched_since_it_was_found_stays(void **state)
{
	struct bench *b = *state;
	struct err err;
	put(b, "a");
	put(b, "b");
	let_time_pass(b);
	struct purge *p = begin(b);
	assert_int_equal(purge_step(p, 1000, &err), 1);
	put(b, "a");
	go_on(b, p);
	assert_true(exists(b, "a"));
	assert_false(exists(b, "b"));
}

static void what_is_to_be_kept_stays_with_all_below(void **state)
{
	struct bench *b = *state;
	char dir[160], file[160];
	put(b, "run/a");
	put(b, "run/deep/b");
	put(b, "control.lock");
	put(b, "other");
	snprintf(dir, sizeof(dir), "%s/run", b->dir);
	snprintf(file, sizeof(file), "%s/control.lock", b->dir);
	const char *const keep[] = {dir, file, "/not/there", NULL};
	b->order.keep = keep;
	purge(b);
	assert_true(exists(b, "run/a") && exists(b, "run/deep/b") && exists(b, "control.lock"));
	assert_false(exists(b, "other"));
}

static void in_a_browsers_place_only_what_was_named_goes(void **state)
{
	struct bench *b = *state;
	static const char *const guarded[] = {"chrome/main", NULL};
	static const char *const globs[] = {"**", "chrome/**", "*/main/*/*", "**/Cache/**", NULL};
	b->order.guarded = guarded;
	b->order.globs = globs;
	put(b, "chrome/main/g1/profile/Default/Cookies");
	put(b, "chrome/main/g1/lock");
	put(b, "chrome/main/g1/profile/Default/Cache/f");
	put(b, "chrome/maintenance");
	put(b, "else");
	purge(b);
	assert_true(exists(b, "chrome/main/g1/profile/Default/Cookies") && exists(b, "chrome/main/g1/lock"));
	assert_false(exists(b, "chrome/main/g1/profile/Default/Cache/f"));
	assert_false(exists(b, "chrome/maintenance"));
	assert_false(exists(b, "else"));
}

static void empty_directories_go_when_they_are_old_and_match(void **state)
{
	struct bench *b = *state;
	static const char *const globs[] = {"x/**", NULL};
	b->order.globs = globs;
	make_directories(path_of(b, "x/a/b/"));
	make_directories(path_of(b, "y/a/"));
	put(b, "x/c/file.held");
	int held = open(path_of(b, "x/c/file.held"), O_RDONLY | O_CLOEXEC);
	purge(b);
	assert_true(exists(b, "x/a/b")); /* too young */
	b->order.directory_age = 0;
	purge(b);
	close(held);
	assert_false(exists(b, "x/a"));
	assert_true(exists(b, "x") && exists(b, "x/c") && exists(b, "y/a"));
	assert_int_equal(b->report.directories, 2);
}

static void a_directory_that_somebody_works_in_stays(void **state)
{
	struct bench *b = *state;
	char here[PATH_MAX];
	make_directories(path_of(b, "x/here/"));
	b->order.directory_age = 0;
	assert_non_null(getcwd(here, sizeof(here)));
	assert_int_equal(chdir(path_of(b, "x/here")), 0);
	purge(b);
	assert_int_equal(chdir(here), 0);
	assert_true(exists(b, "x/here"));
	purge(b);
	assert_false(exists(b, "x"));
}

/* More than are remembered at a time, in slices that end as soon as they may. */
static void many_files_go_in_several_walks_and_slices(void **state)
{
	struct bench *b = *state;
	struct err err = {0};
	enum { COUNT = 1000, REMEMBER = 300 };
	int dir = open(b->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), steps = 0, rc;
	for (int i = 0; i < COUNT; i++) {
		char name[16];
		snprintf(name, sizeof(name), "%d", i);
		close(openat(dir, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	}
	close(dir);
	let_time_pass(b);
	b->order.remember = REMEMBER;
	struct purge *p = begin(b);
	while ((rc = purge_step(p, 0, &err)) > 0)
		steps++;
	assert_int_equal(rc, 0);
	assert_int_equal(purge_report(p)->files, COUNT);
	assert_true(steps > COUNT / 64);
	purge_free(p);
}

/* Of many the oldest are remembered, in whatever order they are found. */
static void what_is_remembered_are_the_oldest(void **state)
{
	struct bench *b = *state;
	static const char *const names[] = {"e", "b", "h", "a", "g", "c", "f", "d"};
	for (size_t i = 0; i < 8; i++)
		put(b, names[i]);
	b->order.remember = 3;
	b->order.bytes = 5 * SIZE;
	purge(b);
	assert_int_equal(b->report.files, 5);
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(exists(b, names[i]), i >= 5);
}

static void one_may_be_given_up_at_any_step(void **state)
{
	struct bench *b = *state;
	struct err err;
	for (int i = 0; i < 300; i++) {
		char name[32];
		snprintf(name, sizeof(name), "d%d/f", i);
		make_directories(path_of(b, name));
		close(open(path_of(b, name), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	}
	for (int steps = 0; steps < 6; steps++) {
		struct purge *p = begin(b);
		for (int i = 0; i < steps; i++)
			assert_true(purge_step(p, 0, &err) >= 0);
		purge_free(p);
	}
}

static void a_path_that_is_not_there_is_told(void **state)
{
	struct bench *b = *state;
	struct purge *p;
	struct err err;
	b->order.path = "/not/there";
	assert_true(purge_new(&p, &b->order, &err) < 0);
	assert_non_null(strstr(err.text, "/not/there"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(the_oldest_go_first_and_only_until_it_is_enough),
		TEST(inodes_are_freed_as_bytes_are),
		TEST(only_what_matches_goes),
		TEST(what_is_new_here_is_young_however_old_it_says_to_be),
		TEST(what_is_in_use_stays),
		TEST(what_only_a_message_in_flight_holds_stays),
		TEST(links_sockets_and_pipes_stay_and_lead_nowhere),
		TEST(a_directory_that_becomes_a_link_leads_nowhere),
		TEST(what_was_touched_since_it_was_found_stays),
		TEST(what_is_to_be_kept_stays_with_all_below),
		TEST(in_a_browsers_place_only_what_was_named_goes),
		TEST(empty_directories_go_when_they_are_old_and_match),
		TEST(a_directory_that_somebody_works_in_stays),
		TEST(many_files_go_in_several_walks_and_slices),
		TEST(what_is_remembered_are_the_oldest),
		TEST(one_may_be_given_up_at_any_step),
		TEST(a_path_that_is_not_there_is_told),
	};
	return cmocka_run_group_tests_name("purge", tests, NULL, NULL);
}
