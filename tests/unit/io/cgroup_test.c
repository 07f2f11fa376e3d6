#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "podvisor/io/cgroup.h"

/* A tree of files as the kernel shows them. */
struct tree {
	char root[64], listing[80];
};

static int set_up(void **state)
{
	struct tree *t = calloc(1, sizeof(*t));
	*state = t;
	strcpy(t->root, "/tmp/podvisor-cgroup-XXXXXX");
	if (!mkdtemp(t->root))
		return -1;
	snprintf(t->listing, sizeof(t->listing), "%s/listing", t->root);
	return 0;
}

static int tear_down(void **state)
{
	struct tree *t = *state;
	char command[128];
	snprintf(command, sizeof(command), "rm -rf %s", t->root);
	int rc = system(command);
	free(t);
	return rc;
}

static void put(const struct tree *t, const char *name, const char *text)
{
	char path[256];
	snprintf(path, sizeof(path), "%s/%s", t->root, name);
	for (char *at = path + strlen(t->root) + 1; (at = strchr(at, '/')); *at++ = '/') {
		*at = '\0';
		mkdir(path, 0755);
	}
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static struct cgroup_memory read_memory(const struct tree *t, int version)
{
	struct cgroup c;
	struct cgroup_memory memory;
	struct err err;
	assert_int_equal(cgroup_find(&c, t->root, t->listing, &err), 0);
	assert_int_equal(c.version, version);
	cgroup_read_memory(&c, &memory);
	return memory;
}

static void what_the_kernel_did_at_the_limit_is_counted(void **state)
{
	struct tree *t = *state;
	put(t, "listing", "0::/pod\n");
	put(t, "pod/memory.current", "3000\n");
	put(t, "pod/memory.max", "8000\n");
	put(t, "pod/memory.events", "low 0\nhigh 3\nmax 7\noom 2\noom_kill 1\noom_group_kill 0\n");
	struct cgroup_memory m = read_memory(t, 2);
	assert_int_equal(m.limit_hits, 7);
	assert_int_equal(m.oom_kills, 1);
	put(t, "listing", "4:memory:/pod\n");
	put(t, "memory/pod/memory.usage_in_bytes", "3000\n");
	put(t, "memory/pod/memory.failcnt", "9\n");
	put(t, "memory/pod/memory.oom_control", "oom_kill_disable 0\nunder_oom 1\noom_kill 4\n");
	m = read_memory(t, 1);
	assert_int_equal(m.limit_hits, 9);
	assert_int_equal(m.oom_kills, 4);
	assert_float_equal(m.pressure_ratio, 1, 1e-9); /* its tasks stand still */
	put(t, "memory/pod/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n");
	assert_float_equal(read_memory(t, 1).pressure_ratio, -1, 1e-9);
}

/* Two containers of a pod whose limit is theirs together. */
static void the_group_above_counts_when_it_is_nearer_to_its_limit(void **state)
{
	struct tree *t = *state;
	put(t, "listing", "0::/pod/one\n");
	put(t, "pod/memory.current", "9500\n");
	put(t, "pod/memory.max", "10000\n");
	put(t, "pod/memory.stat", "inactive_file 500\n");
	put(t, "pod/one/memory.current", "3000\n");
	put(t, "pod/one/memory.max", "8000\n");
	put(t, "pod/one/memory.stat", "inactive_file 0\n");
	struct cgroup_memory m = read_memory(t, 2);
	assert_int_equal(m.limit_bytes, 10000);
	assert_int_equal(m.charged_bytes, 9500);
	assert_int_equal(m.used_bytes, 9000);
	put(t, "pod/memory.current", "3500\n");
	m = read_memory(t, 2);
	assert_int_equal(m.limit_bytes, 8000);
	assert_int_equal(m.used_bytes, 3000);
}

static void version_2_tells_limit_use_and_pressure(void **state)
{
	struct tree *t = *state;
	put(t, "listing", "0::/kube/pod\n");
	put(t, "kube/pod/memory.current", "3000\n");
	put(t, "kube/pod/memory.max", "8000\n");
	put(t, "kube/pod/memory.stat", "anon 1500\nfile 1500\ninactive_file 1000\nactive_file 500\n");
	put(t, "kube/pod/memory.pressure", "some avg10=12.50 avg60=1.00 avg300=0.00 total=1\nfull avg10=3.00\n");
	struct cgroup_memory m = read_memory(t, 2);
	assert_int_equal(m.limit_bytes, 8000);
	assert_int_equal(m.charged_bytes, 3000);
	assert_int_equal(m.used_bytes, 2000);
	assert_float_equal(m.pressure_ratio, 0.125, 1e-9);
}

static void the_tightest_limit_above_counts(void **state)
{
	struct tree *t = *state;
	put(t, "listing", "0::/kube/pod\n");
	put(t, "kube/pod/memory.current", "3000\n");
	put(t, "kube/pod/memory.max", "max\n");
	put(t, "kube/memory.max", "7000\n");
	struct cgroup_memory m = read_memory(t, 2);
	assert_int_equal(m.limit_bytes, 7000);
	assert_int_equal(m.used_bytes, 3000);
	assert_float_equal(m.pressure_ratio, -1, 1e-9);
}

static void no_limit_is_minus_one(void **state)
{
	struct tree *t = *state;
	put(t, "listing", "0::/\n");
	put(t, "memory.current", "3000\n");
	put(t, "memory.max", "max\n");
	assert_int_equal(read_memory(t, 2).limit_bytes, -1);
}

static void a_path_of_the_host_that_is_not_visible_is_our_own_root(void **state)
{
	struct tree *t = *state;
	put(t, "listing", "0::/kubepods.slice/of/the/host\n");
	put(t, "memory.current", "3000\n");
	put(t, "memory.max", "9000\n");
	assert_int_equal(read_memory(t, 2).limit_bytes, 9000);
}

static void version_1_is_read_beside_an_empty_version_2(void **state)
{
	struct tree *t = *state;
	put(t, "listing", "8:pids:/\n4:memory:/docker/abc\n0::/\n");
	put(t, "memory/docker/abc/memory.usage_in_bytes", "5000\n");
	put(t, "memory/docker/abc/memory.limit_in_bytes", "6000\n");
	put(t, "memory/docker/abc/memory.stat", "inactive_file 7\ntotal_inactive_file 1000\n");
	put(t, "memory/memory.limit_in_bytes", "9223372036854771712\n");
	struct cgroup_memory m = read_memory(t, 1);
	assert_int_equal(m.limit_bytes, 6000);
	assert_int_equal(m.used_bytes, 4000);
	assert_float_equal(m.pressure_ratio, -1, 1e-9);
}

static void without_a_memory_group_it_says_so(void **state)
{
	struct tree *t = *state;
	struct cgroup c;
	struct err err;
	put(t, "listing", "8:pids:/\n");
	assert_int_equal(cgroup_find(&c, t->root, t->listing, &err), -ENOENT);
	assert_int_equal(cgroup_find(&c, t->root, "/nonexistent", &err), -ENOENT);
	assert_true(strlen(err.text) > 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(version_2_tells_limit_use_and_pressure),
		TEST(what_the_kernel_did_at_the_limit_is_counted),
		TEST(the_group_above_counts_when_it_is_nearer_to_its_limit),
		TEST(the_tightest_limit_above_counts),
		TEST(no_limit_is_minus_one),
		TEST(a_path_of_the_host_that_is_not_visible_is_our_own_root),
		TEST(version_1_is_read_beside_an_empty_version_2),
		TEST(without_a_memory_group_it_says_so),
	};
	return cmocka_run_group_tests_name("cgroup", tests, NULL, NULL);
}
