#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "podvisor/io/loop.h"
#include "podvisor/runtime/usage.h"

#define DEADLINE_MS 20000

/* A shell stands where the shim does; what it starts is the worker. */
struct bench {
	struct loop loop;
	struct worker workers[2];
	struct world world;
	struct meters meters;
	struct context context;
	struct usage *usage;
	pid_t shim;
	ms_t late_at;
};

static void turn(void *ctx)
{
	(void)ctx;
}

static pid_t first_child(pid_t pid)
{
	char path[64];
	int child = 0;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
	FILE *file = fopen(path, "re");
	if (file && fscanf(file, "%d", &child) != 1)
		child = 0;
	if (file)
		fclose(file);
	return child;
}

static void turn_loop(struct bench *b)
{
	if (loop_now() > b->late_at)
		fail_msg("the deadline of the test has passed");
	uv_run(&b->loop.uv, UV_RUN_NOWAIT);
	usleep(1000);
}

static int set_up(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct err err;
	char *argv[] = {(char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c",
		(char *)(uintptr_t) "exec 3</dev/null; sleep 100 & sleep 100 & wait", NULL};
	*state = b;
	b->late_at = loop_now() + DEADLINE_MS;
	if (loop_init(&b->loop, turn, b, &err) < 0 || posix_spawnp(&b->shim, "sh", NULL, NULL, argv, environ) != 0)
		return -1;
	while (!first_child(b->shim))
		turn_loop(b);
	b->workers[0] = (struct worker){.run = 7, .pid = first_child(b->shim), .state = WORKER_READY};
	b->world = (struct world){.workers = b->workers, .n_workers = 1};
	b->context = (struct context){.loop = &b->loop, .world = &b->world, .meters = &b->meters};
	return usage_new(&b->usage, &b->context, &err);
}

static int tear_down(void **state)
{
	struct bench *b = *state;
	usage_free(b->usage);
	loop_fini(&b->loop);
	for (pid_t child; (child = first_child(b->shim));) {
		kill(child, SIGKILL);
		usleep(1000);
	}
	kill(b->shim, SIGKILL);
	waitpid(b->shim, NULL, 0);
	free(b);
	return 0;
}

static void a_workers_whole_tree_is_measured_when_somebody_asks(void **state)
{
	struct bench *b = *state;
	usage_turned(b->usage);
	assert_int_equal(b->meters.n_usage, 1);
	assert_int_equal(b->meters.usage[0].memory_bytes, -1);
	for (int i = 0; i < 20; i++)
		turn_loop(b);
	assert_int_equal(b->meters.usage[0].memory_bytes, -1);
	usage_ask(b->usage);
	usage_ask(b->usage);
	while (b->meters.usage[0].memory_bytes < 0)
		turn_loop(b);
	assert_true(b->meters.usage[0].processes >= 1 && b->meters.usage[0].processes <= 2);
	assert_true(b->meters.usage[0].memory_bytes > 0);
	assert_true(b->meters.usage[0].open_fds >= 2);
}

static void what_ended_before_the_answer_is_not_counted_for_the_next_run(void **state)
{
	struct bench *b = *state;
	usage_ask(b->usage);
	b->workers[0].run = 8;
	for (int i = 0; i < 300; i++)
		turn_loop(b);
	assert_int_equal(b->meters.usage[0].memory_bytes, -1);
}

static void a_process_that_is_not_below_podvisor_is_not_measured(void **state)
{
	struct bench *b = *state;
	b->workers[0].pid = b->shim; /* its parent is this test, whose parent is a stranger */
	usage_ask(b->usage);
	for (int i = 0; i < 300; i++)
		turn_loop(b);
	assert_int_equal(b->meters.usage[0].memory_bytes, -1);
}

static void end_run(struct worker *w, uint64_t run, double seconds)
{
	w->history[w->n_runs++ % WORKER_HISTORY] = (struct worker_run){.run = run, .cpu_us = (int64_t)(seconds * 1e6)};
	w->run = 0;
}

static void ended_runs_add_up_and_the_counter_never_falls(void **state)
{
	struct bench *b = *state;
	struct worker *w = &b->workers[0];
	usage_turned(b->usage);
	end_run(w, 7, 1.5);
	usage_turned(b->usage);
	assert_true(b->meters.usage[0].cpu_seconds == 1.5);
	assert_int_equal(b->meters.usage[0].memory_bytes, 0);
	for (uint64_t run = 8; run < 60; run++) {
		end_run(w, run, 0.25);
		usage_turned(b->usage);
	}
	assert_true(b->meters.usage[0].cpu_seconds == 1.5 + 52 * 0.25);
	usage_turned(b->usage);
	assert_true(b->meters.usage[0].cpu_seconds == 1.5 + 52 * 0.25);
	b->world.n_workers = 2;
	usage_turned(b->usage);
	assert_int_equal(b->meters.n_usage, 2);
	assert_int_equal(b->meters.usage[1].memory_bytes, -1);
}

static void an_end_in_the_middle_of_a_measurement_is_harmless(void **state)
{
	struct bench *b = *state;
	struct err err;
	usage_ask(b->usage);
	usage_free(b->usage);
	for (int i = 0; i < 100; i++)
		turn_loop(b);
	assert_null(b->meters.usage);
	assert_int_equal(usage_new(&b->usage, &b->context, &err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_workers_whole_tree_is_measured_when_somebody_asks, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			what_ended_before_the_answer_is_not_counted_for_the_next_run, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_process_that_is_not_below_podvisor_is_not_measured, set_up, tear_down),
		cmocka_unit_test_setup_teardown(ended_runs_add_up_and_the_counter_never_falls, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_end_in_the_middle_of_a_measurement_is_harmless, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
