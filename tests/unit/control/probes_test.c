#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "podvisor/control/probes.h"

static struct config config;
static struct config_worker api = {.name = (char *)(uintptr_t) "api", .critical = true};
static struct config_postgres main_db = {.name = (char *)(uintptr_t) "main"};
static struct worker worker;
static struct database database;
static struct world world;
static struct meters meters;
static struct snapshot now;
static struct buf body;
static struct answer answer;

static int set_up(void **state)
{
	(void)state;
	worker = (struct worker){.config = &api, .name = "api", .state = WORKER_READY};
	database = (struct database){.config = &main_db, .state = DATABASE_UP, .ever_up = true};
	world = (struct world){
		.config = &config, .workers = &worker, .n_workers = 1, .databases = &database, .n_databases = 1};
	now = (struct snapshot){.world = &world, .meters = &meters, .now = 1000};
	buf_init(&body, 65536);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	buf_fini(&body);
	return 0;
}

static void expect(enum verdict_question question, const char *arg, int status, const char *text)
{
	struct query q = {&arg, arg ? 1 : 0};
	answer_init(&answer, &body);
	probes_answer(&now, question, &q, &answer);
	assert_int_equal(answer.status, status);
	assert_string_equal(buf_str(&body), text);
}

static void a_good_answer_is_short_unless_more_is_asked_for(void **state)
{
	(void)state;
	expect(VERDICT_READY, NULL, 200, "ok\n");
	expect(VERDICT_READY, "verbose", 200,
		"[+]worker:api ok: ready\n[+]postgres:main ok: up\nreadyz check passed\n");
	expect(VERDICT_LIVE, "verbose=1", 200, "[+]loop ok: turning\nlivez check passed\n");
}

static void a_bad_answer_lists_every_check(void **state)
{
	(void)state;
	worker.state = WORKER_BACKOFF;
	strcpy(worker.reason, "exited with code 1");
	expect(VERDICT_READY, NULL, 503,
		"[-]worker:api failed: backoff: exited with code 1\n[+]postgres:main ok: up\nreadyz check failed\n");
	expect(VERDICT_STARTUP, NULL, 503,
		"[-]worker:api failed: backoff: exited with code 1\nstartupz check failed\n");
}

static void an_excluded_check_does_not_count(void **state)
{
	(void)state;
	worker.state = WORKER_BACKOFF;
	expect(VERDICT_READY, "exclude=worker:api", 200, "ok\n");
	expect(VERDICT_READY, "exclude=worker:ap", 503,
		"[-]worker:api failed: backoff\n[+]postgres:main ok: up\nreadyz check failed\n");
}

static void a_degraded_database_is_ready_with_a_remark(void **state)
{
	(void)state;
	database.state = DATABASE_DOWN;
	database.reason = POSTGRES_REASON_UNREACHABLE;
	expect(VERDICT_READY, NULL, 200, "ok\npostgres:main: degraded: down, unreachable\n");
}

static void draining_is_remarked_and_by_the_api_refused(void **state)
{
	(void)state;
	world.drain.state = DRAIN_LAME_DUCK;
	expect(VERDICT_READY, NULL, 200, "ok\ndrain: draining (lame-duck)\n");
	world.drain.by_api = true;
	expect(VERDICT_READY, NULL, 503,
		"[+]worker:api ok: ready\n[+]postgres:main ok: up\n[-]drain failed: draining (lame-duck)\n"
		"readyz check failed\n");
	expect(VERDICT_LIVE, NULL, 200, "ok\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_good_answer_is_short_unless_more_is_asked_for, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_bad_answer_lists_every_check, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_excluded_check_does_not_count, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_degraded_database_is_ready_with_a_remark, set_up, tear_down),
		cmocka_unit_test_setup_teardown(draining_is_remarked_and_by_the_api_refused, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
