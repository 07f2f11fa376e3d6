#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "podvisor/control/shapes.h"

#define WALL INT64_C(1775001600000) /* 2026-04-01T00:00:00Z */
#define HOUR ((ms_t)3600 * 1000)

static struct config_worker report = {.name = (char *)(uintptr_t) "report", .kind = WORKER_JOB};
static struct worker worker;
static struct world world;
static struct meters meters;
static struct snapshot now;
static char *no_names[1];
static json_t *shape;

static int set_up(void **state)
{
	(void)state;
	report.depends_on_names = no_names;
	worker = (struct worker){
		.config = &report, .name = "report", .state = WORKER_WAITING, .reason = "for something"};
	world = (struct world){.workers = &worker, .n_workers = 1};
	now = (struct snapshot){.world = &world, .meters = &meters, .now = 1000, .wall_ms = WALL};
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	json_decref(shape);
	shape = NULL;
	return 0;
}

static void draw(void)
{
	json_decref(shape);
	shape = shapes_worker(&now, 0, false);
	assert_non_null(shape);
}

static const char *text(const char *key)
{
	return json_string_value(json_object_get(shape, key));
}

static void expect_reason(ms_t until, const char *reason)
{
	worker.schedule.next_ms = WALL + until;
	draw();
	assert_string_equal(text("reason"), reason);
}

static void a_job_that_rests_says_how_long_it_still_is(void **state)
{
	(void)state;
	worker.schedule = (struct schedule){.armed = true};
	expect_reason(3 * HOUR, "next run at 2026-04-01T03:00:00Z (in 3h)");
	expect_reason(90000 + 999, "next run at 2026-04-01T00:01:30Z (in 1m30s)");
	expect_reason(HOUR + 90000, "next run at 2026-04-01T01:01:30Z (in 1h1m)");
	expect_reason(49 * HOUR + 90000, "next run at 2026-04-03T01:01:30Z (in 49h)");
	expect_reason(0, "next run at 2026-04-01T00:00:00Z (in 0s)");
	worker.history[0] = (struct worker_run){.exited = true, .status = 1 << 8, .cause = CAUSE_EXIT};
	worker.n_runs = 1;
	expect_reason(HOUR, "next run at 2026-04-01T01:00:00Z (in 1h); last run: exited with code 1");
	worker.schedule.owed = true;
	expect_reason(HOUR, "for something");
}

static void a_job_has_its_next_run_its_last_result_and_what_it_missed(void **state)
{
	(void)state;
	draw();
	assert_true(json_is_null(json_object_get(shape, "next_run")));
	assert_true(json_is_null(json_object_get(shape, "last_result")));
	assert_int_equal(json_integer_value(json_object_get(shape, "missed_runs")), 0);
	worker.schedule = (struct schedule){.armed = true,
		.next_ms = WALL,
		.result = JOB_SUCCEEDED,
		.missed = {[MISSED_WAITING] = 2, [MISSED_LATE] = 3}};
	draw();
	assert_string_equal(text("next_run"), "2026-04-01T00:00:00.000Z");
	assert_string_equal(text("last_result"), "succeeded");
	assert_int_equal(json_integer_value(json_object_get(shape, "missed_runs")), 5);
	json_t *reasons = json_object_get(shape, "missed_runs_by_reason");
	assert_int_equal(json_object_size(reasons), 2);
	assert_int_equal(json_integer_value(json_object_get(reasons, "late")), 3);
	worker.schedule.result = JOB_FAILED;
	draw();
	assert_string_equal(text("last_result"), "failed");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_job_that_rests_says_how_long_it_still_is, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_job_has_its_next_run_its_last_result_and_what_it_missed, set_up, tear_down),
	};
	return cmocka_run_group_tests_name("shapes", tests, NULL, NULL);
}
