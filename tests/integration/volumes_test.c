#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "podvisor/io/loop.h"
#include "podvisor/io/tmpfs.h"
#include "podvisor/model/world.h"
#include "podvisor/runtime/volumes.h"

#define DEADLINE_MS 20000
#define MIB         (1024 * 1024)

/* Mounts need a mount namespace of our own: nothing of them is seen, or left, outside. */
static char why_not[128]; /* "": they are possible */

struct bench {
	struct loop loop;
	struct context context;
	struct world world;
	struct config config;
	struct volume volume;
	struct config_volume wanted;
	struct volumes *volumes;
	struct event event;
	bool answered;
	uv_timer_t deadline;
	char dir[64], path[96], socket[128];
};

static void collect(void *ctx)
{
	struct bench *b = ctx;
	while (loop_take(&b->loop, &b->event)) {
		assert_false(b->answered);
		b->answered = true;
		loop_stop(&b->loop);
	}
}

static void on_late(uv_timer_t *timer)
{
	struct bench *b = timer->data;
	loop_stop(&b->loop);
}

static int set_up(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct err err;
	*state = b;
	strcpy(b->dir, "/var/tmp/podvisor-volumes-XXXXXX"); /* on a disk; /tmp may be a RAM disk itself */
	if (!mkdtemp(b->dir) || loop_init(&b->loop, collect, b, &err) < 0)
		return -1;
	snprintf(b->path, sizeof(b->path), "%s/ram", b->dir);
	snprintf(b->socket, sizeof(b->socket), "%s/run/control.sock", b->path);
	b->wanted = (struct config_volume){.name = (char *)(uintptr_t) "tmp",
		.path = b->path,
		.size_bytes = 4 * MIB,
		.mode = 01777,
		.clean_on_start = true};
	b->volume.config = &b->wanted;
	b->world.config = &b->config;
	b->world.volumes = &b->volume;
	b->world.n_volumes = 1;
	b->context = (struct context){.loop = &b->loop, .world = &b->world, .control_socket = b->socket};
	uv_timer_init(&b->loop.uv, &b->deadline);
	b->deadline.data = b;
	return volumes_new(&b->volumes, &b->context, &err);
}

static int tear_down(void **state)
{
	struct bench *b = *state;
	char command[128];
	volumes_free(b->volumes);
	uv_close((uv_handle_t *)&b->deadline, NULL);
	loop_fini(&b->loop);
	while (umount2(b->path, MNT_DETACH) == 0)
		;
	snprintf(command, sizeof(command), "rm -rf %s", b->dir);
	int rc = system(command);
	free(b);
	return rc;
}

static const struct event *ask_for(struct bench *b, const struct effect *e)
{
	b->answered = false;
	volumes_do(b->volumes, e);
	uv_update_time(&b->loop.uv);
	uv_timer_start(&b->deadline, on_late, DEADLINE_MS, 0);
	loop_run(&b->loop);
	uv_timer_stop(&b->deadline);
	assert_true(b->answered);
	return &b->event;
}

static const struct event *ask(struct bench *b, enum effect_kind kind)
{
	struct effect e = {.kind = kind};
	return ask_for(b, &e);
}

/* All its slices. */
static const struct event *purge(struct bench *b, int64_t bytes)
{
	struct effect e = {.kind = EFFECT_VOLUME_PURGE, .value = bytes};
	struct event_purge sum = {0};
	do {
		const struct event *told = ask_for(b, &e);
		assert_int_equal(told->kind, EVENT_VOLUME_PURGED);
		sum.bytes += told->volume.purge.bytes;
		sum.files += told->volume.purge.files;
	} while (b->event.volume.purge.more);
	b->event.volume.purge.bytes = sum.bytes;
	b->event.volume.purge.files = sum.files;
	return &b->event;
}

static const struct event *prepare(struct bench *b)
{
	return ask(b, EFFECT_VOLUME_PREPARE);
}

static void must_mount(void)
{
	if (!why_not[0])
		return;
	print_message("skipped: %s\n", why_not);
	skip();
}

static void mount_tmpfs(const struct bench *b, const char *options)
{
	mkdir(b->path, 0755);
	assert_int_equal(mount("test", b->path, "tmpfs", 0, options), 0);
}

static void put(const struct bench *b, const char *name, size_t size)
{
	char path[256];
	snprintf(path, sizeof(path), "%s/%s", b->path, name);
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	char *bytes = calloc(1, size + 1);
	assert_int_equal(write(fd, bytes, size), size);
	free(bytes);
	close(fd);
}

static bool exists(const struct bench *b, const char *name)
{
	char path[256];
	struct stat st;
	snprintf(path, sizeof(path), "%s/%s", b->path, name);
	return lstat(path, &st) == 0;
}

static void make_dir(const struct bench *b, const char *name)
{
	char path[256];
	snprintf(path, sizeof(path), "%s/%s", b->path, name);
	assert_int_equal(mkdir(path, 0755), 0);
}

static mode_t mode_of(const struct bench *b)
{
	struct stat st;
	assert_int_equal(stat(b->path, &st), 0);
	return st.st_mode & 07777;
}

/* ---- expect ---- */

static void a_directory_on_disk_is_refused_when_a_ram_disk_is_expected(void **state)
{
	struct bench *b = *state;
	mkdir(b->path, 0755);
	put(b, "precious", 10);
	const struct event *e = prepare(b);
	assert_int_equal(e->kind, EVENT_VOLUME_REFUSED);
	assert_true(e->error < 0);
	assert_non_null(strstr(e->text, "is not a tmpfs"));
	assert_true(exists(b, "precious"));
}

static void a_missing_directory_is_refused_when_a_ram_disk_is_expected(void **state)
{
	const struct event *e = prepare(*state);
	assert_int_equal(e->kind, EVENT_VOLUME_REFUSED);
	assert_non_null(strstr(e->text, "No such file"));
}

static void an_expected_ram_disk_is_ready_and_stays_mounted_when_released(void **state)
{
	struct bench *b = *state;
	must_mount();
	mount_tmpfs(b, "size=8m,mode=0755");
	const struct event *e = prepare(b);
	assert_int_equal(e->kind, EVENT_VOLUME_PREPARED);
	assert_true(e->volume.is_tmpfs);
	assert_false(e->volume.mounted_by_us);
	assert_int_equal(e->volume.size_bytes, 4 * MIB);
	assert_int_equal(mode_of(b), 01777);
	assert_int_equal(ask(b, EFFECT_VOLUME_RELEASE)->kind, EVENT_VOLUME_RELEASED);
	struct tmpfs_facts facts;
	assert_int_equal(tmpfs_look(b->path, &facts, NULL), 0);
	assert_true(facts.is_tmpfs);
}

static void a_ram_disk_smaller_than_configured_is_ready_and_told(void **state)
{
	struct bench *b = *state;
	must_mount();
	mount_tmpfs(b, "size=1m");
	const struct event *e = prepare(b);
	assert_int_equal(e->kind, EVENT_VOLUME_PREPARED);
	assert_int_equal(e->volume.size_bytes, MIB);
	assert_non_null(strstr(e->text, "a tmpfs of 1Mi, smaller than the 4Mi configured"));
}

/* ---- create ---- */

static void a_ram_disk_is_mounted_measured_and_unmounted(void **state)
{
	struct bench *b = *state;
	must_mount();
	b->wanted.mount = VOLUME_MOUNT_CREATE;
	b->wanted.mode = 0750;
	const struct event *e = prepare(b);
	assert_int_equal(e->kind, EVENT_VOLUME_PREPARED);
	assert_true(e->volume.is_tmpfs);
	assert_true(e->volume.mounted_by_us);
	assert_int_equal(e->volume.size_bytes, 4 * MIB);
	assert_int_equal(mode_of(b), 0750);
	put(b, "file", MIB);
	e = ask(b, EFFECT_VOLUME_MEASURE);
	assert_int_equal(e->kind, EVENT_VOLUME_MEASURED);
	assert_in_range(e->volume.used_bytes, MIB, MIB + 65536);
	assert_true(e->volume.used_inodes >= 1);
	assert_true(e->volume.mounted_by_us);
	e = ask(b, EFFECT_VOLUME_RELEASE);
	assert_int_equal(e->kind, EVENT_VOLUME_RELEASED);
	assert_non_null(strstr(e->text, "was unmounted"));
	/* The directory was podvisor's too. */
	assert_int_equal(access(b->path, F_OK), -1);
}

static void a_busy_ram_disk_is_unmounted_lazily_and_told(void **state)
{
	struct bench *b = *state;
	must_mount();
	b->wanted.mount = VOLUME_MOUNT_CREATE;
	prepare(b);
	put(b, "file", 10);
	int user = open(b->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const struct event *e = ask(b, EFFECT_VOLUME_RELEASE);
	assert_int_equal(e->kind, EVENT_VOLUME_RELEASED);
	assert_non_null(strstr(e->text, "lazily: something still uses it"));
	close(user);
}

static void what_is_a_ram_disk_already_is_not_mounted_again(void **state)
{
	struct bench *b = *state;
	must_mount();
	b->wanted.mount = VOLUME_MOUNT_CREATE;
	mount_tmpfs(b, "size=8m");
	assert_false(prepare(b)->volume.mounted_by_us);
}

static void a_ram_disk_left_by_a_killed_podvisor_is_taken_over_and_resized(void **state)
{
	struct bench *b = *state;
	must_mount();
	b->wanted.mount = VOLUME_MOUNT_CREATE;
	prepare(b);
	put(b, "file", 10);
	volumes_free(b->volumes);
	assert_int_equal(volumes_new(&b->volumes, &b->context, NULL), 0);
	b->wanted.size_bytes = 2 * MIB;
	const struct event *e = prepare(b);
	assert_true(e->volume.mounted_by_us);
	assert_int_equal(e->volume.size_bytes, 2 * MIB);
	assert_false(exists(b, "file"));
	assert_non_null(strstr(ask(b, EFFECT_VOLUME_RELEASE)->text, "was unmounted"));
}

/* ---- any ---- */

static void a_directory_on_disk_will_do_when_any_is_asked_for_and_is_told(void **state)
{
	struct bench *b = *state;
	b->wanted.mount = VOLUME_MOUNT_ANY;
	const struct event *e = prepare(b);
	assert_int_equal(e->kind, EVENT_VOLUME_PREPARED);
	if (!e->volume.is_tmpfs)
		assert_non_null(strstr(e->text, "is on disk, not a RAM disk; 4Mi are allowed"));
	make_dir(b, "deep");
	put(b, "deep/file", 300000);
	e = ask(b, EFFECT_VOLUME_MEASURE);
	assert_in_range(e->volume.used_bytes, 300000, 400000);
	assert_int_equal(e->volume.size_bytes, 4 * MIB);
	assert_int_equal(e->volume.used_inodes, 2);
}

static void a_directory_that_vanished_is_told_by_the_measurement(void **state)
{
	struct bench *b = *state;
	b->wanted.mount = VOLUME_MOUNT_ANY;
	prepare(b);
	assert_int_equal(rmdir(b->path), 0);
	const struct event *e = ask(b, EFFECT_VOLUME_MEASURE);
	assert_int_equal(e->kind, EVENT_VOLUME_MEASURED);
	assert_non_null(strstr(e->text, "No such file"));
}

/* ---- empty at the start ---- */

static void it_starts_empty_but_for_podvisors_own_files(void **state)
{
	struct bench *b = *state;
	b->wanted.mount = VOLUME_MOUNT_ANY;
	mkdir(b->path, 0755);
	make_dir(b, "old");
	make_dir(b, "old/older");
	put(b, "old/older/file", 10);
	put(b, ".hidden", 10);
	make_dir(b, "run");
	put(b, "run/control.sock", 0);
	put(b, "run/other", 10);
	assert_int_equal(prepare(b)->kind, EVENT_VOLUME_PREPARED);
	assert_false(exists(b, "old"));
	assert_false(exists(b, ".hidden"));
	assert_true(exists(b, "run/control.sock"));
	assert_false(exists(b, "run/other"));
}

static void emptying_does_not_follow_links(void **state)
{
	struct bench *b = *state;
	char precious[96], link[128];
	b->wanted.mount = VOLUME_MOUNT_ANY;
	mkdir(b->path, 0755);
	snprintf(precious, sizeof(precious), "%s/precious", b->dir);
	mkdir(precious, 0755);
	snprintf(link, sizeof(link), "%s/link", b->path);
	assert_int_equal(symlink(precious, link), 0);
	prepare(b);
	assert_false(exists(b, "link"));
	assert_int_equal(access(precious, F_OK), 0);
}

static void emptying_does_not_enter_other_mounts(void **state)
{
	struct bench *b = *state;
	char inner[128];
	must_mount();
	b->wanted.mount = VOLUME_MOUNT_ANY;
	mkdir(b->path, 0755);
	make_dir(b, "inner");
	snprintf(inner, sizeof(inner), "%s/inner", b->path);
	assert_int_equal(mount("test", inner, "tmpfs", 0, "size=1m"), 0);
	put(b, "inner/precious", 10);
	assert_int_equal(prepare(b)->kind, EVENT_VOLUME_PREPARED);
	assert_true(exists(b, "inner/precious"));
	umount2(inner, MNT_DETACH);
}

static void it_is_left_as_it_is_when_clean_on_start_is_off(void **state)
{
	struct bench *b = *state;
	b->wanted.mount = VOLUME_MOUNT_ANY;
	b->wanted.clean_on_start = false;
	mkdir(b->path, 0755);
	put(b, "file", 10);
	prepare(b);
	assert_true(exists(b, "file"));
}

/* ---- purging ---- */

static char *everything[] = {(char *)(uintptr_t) "**", NULL};

/* Seven files of 512Ki on 4Mi: 87%. */
static void fill(struct bench *b)
{
	b->wanted.mount = VOLUME_MOUNT_CREATE;
	b->wanted.purge = everything;
	b->wanted.high_percent = 85;
	b->wanted.low_percent = 70;
	assert_int_equal(prepare(b)->kind, EVENT_VOLUME_PREPARED);
	for (int i = 0; i < 7; i++) {
		char name[8];
		snprintf(name, sizeof(name), "f%d", i);
		put(b, name, MIB / 2);
	}
}

static void a_purge_goes_on_until_use_is_below_low(void **state)
{
	struct bench *b = *state;
	must_mount();
	fill(b);
	const struct event *e = purge(b, 0);
	assert_string_equal(e->text, "");
	assert_int_equal(e->volume.purge.files, 2);
	assert_in_range(e->volume.used_bytes, 5 * MIB / 2, 4 * MIB / 100 * 70);
	assert_true(exists(b, "f6"));
}

static void a_purge_for_the_pod_frees_what_was_asked_and_no_more(void **state)
{
	struct bench *b = *state;
	must_mount();
	fill(b);
	const struct event *e = purge(b, MIB + 1);
	assert_int_equal(e->volume.purge.files, 3);
	assert_int_equal(e->volume.purge.bytes, 3 * MIB / 2);
}

static void a_purge_does_not_enter_other_mounts(void **state)
{
	struct bench *b = *state;
	char inner[128];
	must_mount();
	fill(b);
	make_dir(b, "inner");
	snprintf(inner, sizeof(inner), "%s/inner", b->path);
	assert_int_equal(mount("test", inner, "tmpfs", 0, "size=1m"), 0);
	put(b, "inner/precious", 10);
	assert_int_equal(purge(b, 100 * MIB)->volume.purge.files, 7);
	assert_true(exists(b, "inner/precious"));
	umount2(inner, MNT_DETACH);
}

static void what_podvisor_keeps_there_is_not_purged(void **state)
{
	struct bench *b = *state;
	must_mount();
	fill(b);
	make_dir(b, "run");
	put(b, "run/control.sock", 10);
	purge(b, 100 * MIB);
	assert_true(exists(b, "run/control.sock"));
	assert_false(exists(b, "f6"));
}

static void a_directory_of_the_system_is_not_purged_either(void **state)
{
	struct bench *b = *state;
	must_mount();
	assert_int_equal(mount("test", "/mnt", "tmpfs", 0, "size=1m"), 0);
	strcpy(b->path, "/mnt");
	b->wanted.clean_on_start = false;
	b->wanted.purge = everything;
	assert_int_equal(prepare(b)->kind, EVENT_VOLUME_REFUSED);
}

static void a_release_in_the_middle_of_a_purge_leaves_nothing_busy(void **state)
{
	struct bench *b = *state;
	must_mount();
	fill(b);
	struct effect slice = {.kind = EFFECT_VOLUME_PURGE};
	assert_true(ask_for(b, &slice)->volume.purge.more); /* it has been walked, and nothing deleted */
	const struct event *e = ask(b, EFFECT_VOLUME_RELEASE);
	assert_non_null(strstr(e->text, "was unmounted"));
	assert_null(strstr(e->text, "lazily"));
}

static void one_that_is_given_up_in_the_middle_leaves_nothing(void **state)
{
	struct bench *b = *state;
	must_mount();
	fill(b);
	struct effect slice = {.kind = EFFECT_VOLUME_PURGE};
	ask_for(b, &slice);
	volumes_do(b->volumes, &slice); /* under way when volumes goes: see tear_down, and the sanitizers */
}

/* Asked, not tried: a test that fails must not empty the machine. */
static void a_directory_of_the_system_may_not_be_emptied(void **state)
{
	static const char *const paths[] = {"/", "/usr", "/etc", "/var/lib", "/home", "/usr/../usr/lib/"};
	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct err err = {0};
		assert_int_equal(tmpfs_check_emptiable(paths[i], &err), -EPERM);
		assert_non_null(strstr(err.text, "will not be emptied"));
	}
}

static void a_ram_disk_on_a_directory_of_the_system_is_refused_and_left_alone(void **state)
{
	struct bench *b = *state;
	must_mount();
	assert_int_equal(mount("test", "/mnt", "tmpfs", 0, "size=1m"), 0);
	strcpy(b->path, "/mnt");
	assert_int_equal(chmod("/mnt", 0755), 0);
	put(b, "precious", 10);
	assert_int_equal(prepare(b)->kind, EVENT_VOLUME_REFUSED);
	assert_true(exists(b, "precious"));
	assert_int_equal(mode_of(b), 0755);
}

static void a_directory_of_the_system_that_is_used_as_it_is_keeps_its_mode_and_owner(void **state)
{
	struct bench *b = *state;
	struct stat st;
	must_mount();
	assert_int_equal(mount(b->dir, "/mnt", NULL, MS_BIND, NULL), 0);
	strcpy(b->path, "/mnt");
	assert_int_equal(chmod("/mnt", 0755), 0);
	b->wanted.mount = VOLUME_MOUNT_ANY;
	b->wanted.clean_on_start = false;
	b->wanted.owner = (char *)(uintptr_t) "12345:23456";
	const struct event *e = prepare(b);
	assert_int_equal(e->kind, EVENT_VOLUME_PREPARED);
	assert_non_null(strstr(e->text, "keeps its mode and owner"));
	assert_int_equal(mode_of(b), 0755);
	assert_int_equal(stat("/mnt", &st), 0);
	assert_int_equal(st.st_uid, getuid());
}

/* ---- owner ---- */

static void an_unknown_owner_is_told_and_no_refusal(void **state)
{
	struct bench *b = *state;
	b->wanted.mount = VOLUME_MOUNT_ANY;
	b->wanted.owner = (char *)(uintptr_t) "nobody-of-that-name";
	const struct event *e = prepare(b);
	assert_int_equal(e->kind, EVENT_VOLUME_PREPARED);
	assert_non_null(strstr(e->text, "nobody-of-that-name"));
}

static void an_owner_by_number_gets_it(void **state)
{
	struct bench *b = *state;
	struct stat st;
	if (getuid() != 0) {
		print_message("skipped: giving files away needs root\n");
		skip();
	}
	b->wanted.mount = VOLUME_MOUNT_ANY;
	b->wanted.owner = (char *)(uintptr_t) "12345:23456";
	assert_int_equal(prepare(b)->kind, EVENT_VOLUME_PREPARED);
	assert_int_equal(stat(b->path, &st), 0);
	assert_int_equal(st.st_uid, 12345);
	assert_int_equal(st.st_gid, 23456);
	assert_int_equal(mode_of(b), 01777);
}

static void a_job_that_is_under_way_may_outlive_its_part(void **state)
{
	struct bench *b = *state;
	struct err err;
	b->wanted.mount = VOLUME_MOUNT_ANY;
	struct effect e = {.kind = EFFECT_VOLUME_PREPARE};
	volumes_do(b->volumes, &e);
	volumes_free(b->volumes);
	assert_int_equal(volumes_new(&b->volumes, &b->context, &err), 0);
	assert_int_equal(ask(b, EFFECT_VOLUME_MEASURE)->kind, EVENT_VOLUME_MEASURED);
}

/* As root with CAP_SYS_ADMIN that works, unless the root directory is no mount point (in a chroot). */
static void enter_namespace(void)
{
	if (unshare(CLONE_NEWNS) < 0)
		snprintf(why_not, sizeof(why_not), "no mount namespace: %s", strerror(errno));
	else if (mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0)
		snprintf(
			why_not, sizeof(why_not), "/ cannot be made private in a mount namespace: %s", strerror(errno));
}

int main(void)
{
	enter_namespace();
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_directory_on_disk_is_refused_when_a_ram_disk_is_expected),
		TEST(a_missing_directory_is_refused_when_a_ram_disk_is_expected),
		TEST(an_expected_ram_disk_is_ready_and_stays_mounted_when_released),
		TEST(a_ram_disk_smaller_than_configured_is_ready_and_told),
		TEST(a_ram_disk_is_mounted_measured_and_unmounted),
		TEST(a_busy_ram_disk_is_unmounted_lazily_and_told),
		TEST(what_is_a_ram_disk_already_is_not_mounted_again),
		TEST(a_ram_disk_left_by_a_killed_podvisor_is_taken_over_and_resized),
		TEST(a_directory_on_disk_will_do_when_any_is_asked_for_and_is_told),
		TEST(a_directory_that_vanished_is_told_by_the_measurement),
		TEST(it_starts_empty_but_for_podvisors_own_files),
		TEST(emptying_does_not_follow_links),
		TEST(emptying_does_not_enter_other_mounts),
		TEST(it_is_left_as_it_is_when_clean_on_start_is_off),
		TEST(a_purge_goes_on_until_use_is_below_low),
		TEST(a_purge_for_the_pod_frees_what_was_asked_and_no_more),
		TEST(a_purge_does_not_enter_other_mounts),
		TEST(what_podvisor_keeps_there_is_not_purged),
		TEST(a_directory_of_the_system_is_not_purged_either),
		TEST(a_release_in_the_middle_of_a_purge_leaves_nothing_busy),
		TEST(one_that_is_given_up_in_the_middle_leaves_nothing),
		TEST(a_directory_of_the_system_may_not_be_emptied),
		TEST(a_ram_disk_on_a_directory_of_the_system_is_refused_and_left_alone),
		TEST(a_directory_of_the_system_that_is_used_as_it_is_keeps_its_mode_and_owner),
		TEST(an_unknown_owner_is_told_and_no_refusal),
		TEST(an_owner_by_number_gets_it),
		TEST(a_job_that_is_under_way_may_outlive_its_part),
	};
	return cmocka_run_group_tests_name("volumes", tests, NULL, NULL);
}
