#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "podvisor/control/waits.h"

static struct config config;
static struct config_worker pool = {.name = (char *)(uintptr_t) "pool"};
static struct config_worker chain[3] = {{.name = (char *)(uintptr_t) "first"}, {.name = (char *)(uintptr_t) "second"},
	{.name = (char *)(uintptr_t) "third"}};
static struct config_ref links[] = {{.thing = THING_WORKER, .index = 1}, {.thing = THING_WORKER, .index = 2}};
static struct config_browser chrome = {.name = (char *)(uintptr_t) "chrome"};
static struct worker workers[3]; /* two of pool, and a slot that nobody has */
static struct browser browser;
static struct world world;
static struct snapshot now;
static struct wait wait;

static int set_up(void **state)
{
	(void)state;
	memset(workers, 0, sizeof(workers));
	memset(&world, 0, sizeof(world));
	browser = (struct browser){.config = &chrome};
	for (int i = 0; i < 2; i++) {
		workers[i].config = &pool;
		workers[i].state = WORKER_READY;
		workers[i].wanted = true;
		workers[i].run = (uint64_t)(5 + i);
		snprintf(workers[i].name, sizeof(workers[i].name), "pool.%d", i);
	}
	world.config = &config;
	world.workers = workers;
	world.n_workers = 3;
	world.browsers = &browser;
	world.n_browsers = 1;
	now = (struct snapshot){.world = &world};
	wait = (struct wait){.mark = 10, .name = "pool"};
	return 0;
}

static bool is_done(enum wait_kind kind)
{
	wait.kind = kind;
	return waits_is_done(&wait, &now);
}

static void standing_by_for_a_lease_is_all_that_can_be_waited_for(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		workers[i].state = WORKER_STANDBY;
		workers[i].run = 0;
	}
	assert_true(is_done(WAIT_START));
	assert_true(is_done(WAIT_RESTART));
	assert_false(is_done(WAIT_STOP));
}

static void a_restart_needs_a_new_run_of_every_instance(void **state)
{
	(void)state;
	assert_false(is_done(WAIT_RESTART));
	workers[0].run = 10;
	assert_false(is_done(WAIT_RESTART));
	workers[1].run = 11;
	assert_true(is_done(WAIT_RESTART));
	workers[1].state = WORKER_STARTING;
	assert_false(is_done(WAIT_RESTART));
	workers[1].state = WORKER_FAILED;
	assert_true(is_done(WAIT_RESTART));
}

static void one_instance_can_be_meant_alone(void **state)
{
	(void)state;
	strcpy(wait.name, "pool.1");
	workers[1].run = 10;
	assert_true(is_done(WAIT_RESTART));
	strcpy(wait.name, "pool.0");
	assert_false(is_done(WAIT_RESTART));
}

static void a_start_of_what_failed_before_does_not_count_the_old_failure(void **state)
{
	(void)state;
	assert_true(is_done(WAIT_START));
	workers[0] = (struct worker){.config = &pool, .name = "pool.0", .state = WORKER_FAILED, .n_runs = 1};
	workers[0].history[0].run = 9;
	assert_false(is_done(WAIT_START));
	workers[0].n_runs = 2;
	workers[0].history[1].run = 12;
	assert_true(is_done(WAIT_START));
}

static void a_worker_that_backs_off_is_waited_for_no_longer(void **state)
{
	(void)state;
	strcpy(wait.name, "pool.0");
	workers[0] = (struct worker){
		.config = &pool, .name = "pool.0", .state = WORKER_BACKOFF, .wanted = true, .n_runs = 1};
	workers[0].history[0].run = 9; /* from before the request */
	assert_false(is_done(WAIT_START));
	assert_false(is_done(WAIT_RESTART));
	workers[0].history[0].run = 10;
	assert_true(is_done(WAIT_START));
	assert_true(is_done(WAIT_RESTART));
	assert_false(is_done(WAIT_STOP));
}

/* first waits for second, which waits for third. */
static void set_chain(enum worker_state last)
{
	config.workers = chain;
	config.n_workers = 3;
	for (int i = 0; i < 3; i++) {
		workers[i] = (struct worker){.config = &chain[i],
			.source = &config,
			.state = WORKER_WAITING,
			.wanted = true,
			.slot = (uint32_t)i};
		snprintf(workers[i].name, sizeof(workers[i].name), "%s", chain[i].name);
		chain[i].depends_on = &links[i];
		chain[i].n_depends_on = i < 2;
	}
	workers[2].state = last;
	strcpy(wait.name, "first");
	wait.patient_until = now.now + 1000;
}

static void what_waits_for_a_worker_that_does_not_come_back_is_waited_for_no_longer(void **state)
{
	(void)state;
	static const struct {
		enum worker_state last;
		bool done;
	} cases[] = {{WORKER_FAILED, true}, {WORKER_STOPPED, true}, {WORKER_BACKOFF, false}, {WORKER_STARTING, false},
		{WORKER_WAITING, false}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		set_chain(cases[i].last);
		assert_false(is_done(WAIT_START)); /* who is asked for in the same breath has not heard of it yet */
		now.now = wait.patient_until;
		assert_int_equal(is_done(WAIT_START), cases[i].done);
		assert_int_equal(is_done(WAIT_RESTART), cases[i].done);
		workers[0].state = WORKER_STOPPED; /* as if it were not asked for yet */
		assert_false(is_done(WAIT_START));
	}
}

static void a_stop_is_done_when_nothing_runs_and_nothing_is_wanted(void **state)
{
	(void)state;
	strcpy(wait.name, "pool.0");
	assert_false(is_done(WAIT_STOP));
	workers[0].wanted = false;
	workers[0].state = WORKER_STOPPING;
	assert_false(is_done(WAIT_STOP));
	workers[0].run = 0;
	workers[0].state = WORKER_STOPPED;
	assert_true(is_done(WAIT_STOP));
	workers[0].wanted = true;
	assert_false(is_done(WAIT_STOP));
}

static void a_job_is_waited_for_until_the_run_that_was_asked_for_is_over(void **state)
{
	(void)state;
	static struct config_worker report = {.name = (char *)(uintptr_t) "report", .kind = WORKER_JOB};
	struct worker *w = &workers[0];
	strcpy(wait.name, "report");
	*w = (struct worker){.config = &report, .name = "report", .state = WORKER_WAITING, .wanted = true, .n_runs = 1};
	w->history[0].run = 9;
	assert_false(is_done(WAIT_START)); /* it has not begun */
	w->run = 10;
	w->state = WORKER_RUNNING;
	w->schedule.owed = true;
	assert_false(is_done(WAIT_START));
	w->run = 0;
	w->history[w->n_runs++].run = 10;
	w->state = WORKER_BACKOFF; /* tried again */
	assert_false(is_done(WAIT_START));
	assert_false(is_done(WAIT_RESTART));
	w->state = WORKER_FAILED;
	assert_true(is_done(WAIT_START));
	w->state = WORKER_WAITING;
	w->schedule.owed = false;
	assert_true(is_done(WAIT_START));
	assert_true(is_done(WAIT_RESTART));
	assert_false(is_done(WAIT_STOP));
}

static void what_a_reload_removed_is_not_waited_for(void **state)
{
	(void)state;
	strcpy(wait.name, "gone");
	assert_true(is_done(WAIT_START));
}

static void browsers_are_waited_for_as_workers_are(void **state)
{
	(void)state;
	strcpy(wait.name, "chrome");
	browser.state = BROWSER_READY;
	browser.wanted = true;
	browser.generations[0] = (struct generation){.run = 9, .state = GENERATION_READY};
	assert_true(is_done(WAIT_START));
	assert_false(is_done(WAIT_RESTART));
	assert_false(is_done(WAIT_STOP));
	browser.generations[0].run = 10;
	assert_true(is_done(WAIT_RESTART));
	browser.state = BROWSER_BACKOFF;
	browser.generations[0] = (struct generation){0};
	browser.last_run = 9;
	assert_false(is_done(WAIT_START));
	assert_false(is_done(WAIT_RESTART));
	browser.last_run = 10;
	assert_true(is_done(WAIT_START));
	assert_true(is_done(WAIT_RESTART));
	browser.state = BROWSER_FAILED;
	assert_true(is_done(WAIT_START));
	assert_true(is_done(WAIT_RESTART));
	browser.wanted = false;
	browser.state = BROWSER_CLEANING;
	assert_false(is_done(WAIT_STOP));
	browser.state = BROWSER_STOPPED;
	assert_true(is_done(WAIT_STOP));
}

static void a_new_browser_that_never_got_ready_has_left_the_old_one(void **state)
{
	(void)state;
	strcpy(wait.name, "chrome");
	browser.state = BROWSER_READY;
	browser.wanted = true;
	browser.generations[0] = (struct generation){.run = 9, .state = GENERATION_READY};
	browser.generations[1] = (struct generation){.run = 10, .state = GENERATION_STARTING};
	assert_false(is_done(WAIT_RESTART));
	assert_false(waits_is_kept(&wait, &now));
	browser.generations[1] = (struct generation){0};
	browser.last_run = 10;
	assert_true(is_done(WAIT_RESTART));
	assert_true(waits_is_kept(&wait, &now));
	assert_true(is_done(WAIT_START));
	assert_false(waits_is_kept(&wait, &now));
	wait.kind = WAIT_RESTART;
	browser.generations[1] = (struct generation){.run = 11, .state = GENERATION_READY};
	browser.generations[0] = (struct generation){0};
	assert_false(waits_is_kept(&wait, &now));
}

static void a_drain_is_done_when_the_gateway_is_empty(void **state)
{
	(void)state;
	config.gateway.present = true;
	assert_false(is_done(WAIT_DRAINED));
	world.drain.state = DRAIN_LAME_DUCK;
	assert_false(is_done(WAIT_DRAINED));
	world.drain.state = DRAIN_DRAINING;
	assert_false(is_done(WAIT_DRAINED));
	world.drain.gateway_empty = true;
	assert_true(is_done(WAIT_DRAINED));
	world.drain.state = DRAIN_STOPPING;
	world.drain.gateway_empty = false;
	assert_true(is_done(WAIT_DRAINED));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_restart_needs_a_new_run_of_every_instance, set_up),
		cmocka_unit_test_setup(one_instance_can_be_meant_alone, set_up),
		cmocka_unit_test_setup(a_start_of_what_failed_before_does_not_count_the_old_failure, set_up),
		cmocka_unit_test_setup(a_worker_that_backs_off_is_waited_for_no_longer, set_up),
		cmocka_unit_test_setup(what_waits_for_a_worker_that_does_not_come_back_is_waited_for_no_longer, set_up),
		cmocka_unit_test_setup(a_stop_is_done_when_nothing_runs_and_nothing_is_wanted, set_up),
		cmocka_unit_test_setup(a_job_is_waited_for_until_the_run_that_was_asked_for_is_over, set_up),
		cmocka_unit_test_setup(what_a_reload_removed_is_not_waited_for, set_up),
		cmocka_unit_test_setup(standing_by_for_a_lease_is_all_that_can_be_waited_for, set_up),
		cmocka_unit_test_setup(browsers_are_waited_for_as_workers_are, set_up),
		cmocka_unit_test_setup(a_new_browser_that_never_got_ready_has_left_the_old_one, set_up),
		cmocka_unit_test_setup(a_drain_is_done_when_the_gateway_is_empty, set_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
