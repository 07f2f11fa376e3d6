#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "podvisor/model/worker_events.h"
#include "podvisor/model/worker_plan.h"

static struct config source = {.refs = 1000000};

struct bench {
	struct config_worker config;
	struct worker worker;
	struct worker_gate gate;
	struct random random;
	struct journal journal;
	struct plan plan;
	struct turn turn;
	uint64_t next_run;
};

static int set_up(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	b->config = (struct config_worker){.name = (char *)"w",
		.instances = 1,
		.restart = {.backoff = {.initial = 100,
				    .factor_percent = 200,
				    .max = 30000,
				    .jitter_percent = 0,
				    .reset_after = 60000},
			.limit = {.count = 3, .window = 600000}},
		.stop = {.signal = SIGTERM, .timeout = 10000},
		.grace = 2000};
	b->gate = (struct worker_gate){.may_start = true, .may_stop = true};
	b->next_run = 1;
	plan_init(&b->plan);
	b->turn = (struct turn){.now = 1000, .random = &b->random, .journal = &b->journal, .plan = &b->plan};
	worker_init(&b->worker, &source, &b->config, 0, 0, 1000);
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;
	worker_fini(&b->worker);
	plan_fini(&b->plan);
	free(b);
	return 0;
}

/* One turn; returns the only effect, or NULL when there is none. */
static const struct effect *plan(struct bench *b)
{
	plan_clear(&b->plan);
	worker_plan(&b->worker, &b->gate, &b->next_run, &b->turn);
	assert_true(b->plan.count <= 1);
	return b->plan.count ? &b->plan.effects[0] : NULL;
}

static void expect(struct bench *b, enum effect_kind kind)
{
	const struct effect *e = plan(b);
	assert_non_null(e);
	assert_string_equal(effect_name(e->kind), effect_name(kind));
	assert_int_equal(e->run, b->worker.run);
	ms_t wake_at = b->plan.wake_at;
	assert_null(plan(b));
	/* Nothing may depend on a second turn that nobody asked for. */
	assert_true(b->plan.wake_at >= wake_at);
}

static void tell(struct bench *b, struct event e)
{
	e.run = e.run ? e.run : b->worker.run;
	worker_apply(&b->worker, &e, &b->turn);
}

static void started(struct bench *b)
{
	expect(b, EFFECT_WORKER_SPAWN);
	tell(b, (struct event){.kind = EVENT_WORKER_STARTED, .pid = 42});
}

static void ended(struct bench *b, int status)
{
	struct event e = {.kind = EVENT_WORKER_EXITED};
	e.exited.status = status;
	tell(b, e);
	tell(b, (struct event){.kind = EVENT_WORKER_GONE});
}

static void checked(struct bench *b, enum probe probe, bool ok)
{
	struct event e = {.kind = EVENT_WORKER_CHECKED, .text = "refused"};
	e.checked.probe = probe;
	e.checked.ok = ok;
	tell(b, e);
}

static const struct event_inspection hung, starved = {.pressure_percent = 90};

/* It is looked at, and that is what is seen. */
static void inspected(struct bench *b, struct event_inspection facts)
{
	expect(b, EFFECT_WORKER_INSPECT);
	tell(b, (struct event){.kind = EVENT_WORKER_INSPECTED, .inspected = facts});
}

static void expect_state(const struct bench *b, enum worker_state state)
{
	assert_string_equal(worker_state_name(b->worker.state), worker_state_name(state));
}

/* ---- starting ---- */

static void it_waits_until_its_dependencies_are_there_and_says_for_what(void **state)
{
	struct bench *b = *state;
	b->gate.may_start = false;
	strcpy(b->gate.why, "postgres:main is down");
	assert_null(plan(b));
	expect_state(b, WORKER_WAITING);
	assert_string_equal(b->worker.reason, "postgres:main is down");
	const struct journal_entry *told = journal_get(&b->journal, b->journal.last_seq);
	assert_string_equal(told->text, "waiting: postgres:main is down");
	assert_int_equal(told->level, LOG_INFO);
	strcpy(b->gate.why, "worker:api is starting");
	assert_null(plan(b));
	assert_int_equal(journal_get(&b->journal, b->journal.last_seq)->level, LOG_DEBUG);
	b->gate.may_start = true;
	expect(b, EFFECT_WORKER_SPAWN);
	expect_state(b, WORKER_STARTING);
}

static void without_checks_it_is_ready_when_it_runs(void **state)
{
	struct bench *b = *state;
	started(b);
	expect_state(b, WORKER_READY);
	assert_int_equal(b->worker.pid, 42);
}

static void with_a_readiness_check_it_is_ready_only_after_a_hit(void **state)
{
	struct bench *b = *state;
	b->config.readiness = (struct config_check){
		.kind = CHECK_TCP, .interval = 1000, .success_threshold = 1, .failure_threshold = 3};
	started(b);
	expect_state(b, WORKER_RUNNING);
	expect(b, EFFECT_WORKER_CHECK);
	checked(b, PROBE_READINESS, true);
	expect_state(b, WORKER_READY);
}

static void losing_readiness_takes_it_back_to_running_without_a_restart(void **state)
{
	struct bench *b = *state;
	b->config.readiness = (struct config_check){
		.kind = CHECK_TCP, .interval = 1000, .success_threshold = 1, .failure_threshold = 2};
	started(b);
	checked(b, PROBE_READINESS, true);
	checked(b, PROBE_READINESS, false);
	expect_state(b, WORKER_READY);
	checked(b, PROBE_READINESS, false);
	expect_state(b, WORKER_RUNNING);
	assert_string_equal(b->worker.reason, "not ready: refused");
	assert_true(worker_is_up(&b->worker));
}

static void readiness_by_notification_waits_for_READY(void **state)
{
	struct bench *b = *state;
	b->config.readiness.kind = CHECK_NOTIFY;
	started(b);
	expect_state(b, WORKER_RUNNING);
	struct event e = {.kind = EVENT_WORKER_NOTIFIED, .text = "warm"};
	e.notified.bits = NOTIFIED_READY | NOTIFIED_STATUS;
	tell(b, e);
	expect_state(b, WORKER_READY);
	assert_string_equal(b->worker.status_text, "warm");
}

static void extended(struct bench *b, int64_t extend_us)
{
	struct event e = {.kind = EVENT_WORKER_NOTIFIED};
	e.notified.bits = NOTIFIED_EXTEND;
	e.notified.extend_us = extend_us;
	tell(b, e);
}

static void start_by_notification(struct bench *b)
{
	b->config.startup = (struct config_check){
		.kind = CHECK_NOTIFY, .initial_delay = 500, .interval = 1000, .failure_threshold = 3};
	started(b);
	expect_state(b, WORKER_STARTING);
	assert_null(plan(b));
	assert_int_equal(b->plan.wake_at, 1000 + 3500);
}

static void a_start_that_is_never_told_ends_with_a_reason(void **state)
{
	struct bench *b = *state;
	start_by_notification(b);
	b->turn.now = 4499;
	assert_null(plan(b));
	b->turn.now = 4500;
	expect(b, EFFECT_WORKER_SIGNAL);
	expect_state(b, WORKER_STOPPING);
	assert_string_equal(b->worker.reason, "no READY=1 within 3500 ms");
	assert_int_equal(b->worker.cause, CAUSE_STARTUP);
	ended(b, 0);
	expect_state(b, WORKER_BACKOFF);
	assert_int_equal(b->worker.restarts[CAUSE_STARTUP], 1);
}

static void a_start_is_extended_as_often_as_the_worker_asks(void **state)
{
	struct bench *b = *state;
	start_by_notification(b);
	extended(b, 1000); /* sooner than it has anyway */
	assert_null(plan(b));
	assert_int_equal(b->plan.wake_at, 4500);
	b->turn.now = 4400;
	extended(b, 2000000);
	b->turn.now = 6300;
	assert_null(plan(b));
	extended(b, INT64_MAX);
	b->turn.now = (ms_t)1 << 40;
	assert_null(plan(b));
	struct event ready = {.kind = EVENT_WORKER_NOTIFIED};
	ready.notified.bits = NOTIFIED_READY;
	tell(b, ready);
	expect_state(b, WORKER_READY);
}

static void a_worker_without_a_startup_check_has_no_limit_to_extend(void **state)
{
	struct bench *b = *state;
	started(b);
	extended(b, 1);
	b->turn.now = 100000;
	assert_null(plan(b));
	expect_state(b, WORKER_READY);
}

static void liveness_is_not_asked_before_the_startup_check_has_passed(void **state)
{
	struct bench *b = *state;
	b->config.startup = b->config.liveness = (struct config_check){
		.kind = CHECK_TCP, .interval = 1000, .success_threshold = 1, .failure_threshold = 3};
	started(b);
	expect_state(b, WORKER_STARTING);
	expect(b, EFFECT_WORKER_CHECK);
	assert_int_equal(b->worker.checks[PROBE_STARTUP].in_flight, true);
	checked(b, PROBE_STARTUP, true);
	expect_state(b, WORKER_READY);
	const struct effect *e = plan(b);
	assert_int_equal(e->value, PROBE_LIVENESS);
}

static void an_unstartable_worker_says_why_and_backs_off(void **state)
{
	struct bench *b = *state;
	expect(b, EFFECT_WORKER_SPAWN);
	tell(b, (struct event){.kind = EVENT_WORKER_UNSTARTABLE,
			.error = -ENOENT,
			.text = "cannot execute nod: No such file"});
	expect_state(b, WORKER_BACKOFF);
	/* One sentence everywhere, and not what strerror knows of it. */
	const struct journal_entry *told = journal_get(&b->journal, b->journal.last_seq);
	char expected[300];
	assert_string_equal(b->worker.reason, "could not start: cannot execute nod: No such file; it will not start as "
					      "configured; starting again at once");
	snprintf(expected, sizeof(expected), "backoff: %s", b->worker.reason);
	assert_string_equal(told->text, expected);
	worker_describe_end(&b->worker, worker_last_run(&b->worker), expected, sizeof(expected));
	assert_string_equal(expected, "could not start: cannot execute nod: No such file");
	assert_int_equal(worker_exit_code(&b->worker), 127);
	assert_int_equal(b->worker.restarts[CAUSE_SPAWN], 1);
}

/* For want of memory, descriptors or processes: later it may go. */
static void what_may_go_later_is_not_called_hopeless(void **state)
{
	struct bench *b = *state;
	expect(b, EFFECT_WORKER_SPAWN);
	tell(b, (struct event){.kind = EVENT_WORKER_UNSTARTABLE, .error = -EAGAIN, .text = "cannot create a process"});
	assert_string_equal(b->worker.reason, "could not start: cannot create a process; starting again at once");
}

/* ---- ending by itself ---- */

static void a_crash_is_restarted_at_once_then_with_growing_delay_then_never(void **state)
{
	struct bench *b = *state;
	started(b);
	ended(b, 0x100);
	started(b);
	ended(b, 0x100);
	expect_state(b, WORKER_BACKOFF);
	assert_null(plan(b));
	assert_int_equal(b->plan.wake_at, 1100);
	b->turn.now = 1100;
	started(b);
	ended(b, SIGSEGV);
	b->turn.now = 1300;
	started(b);
	ended(b, 0x100);
	expect_state(b, WORKER_FAILED);
	assert_null(plan(b));
	assert_true(b->plan.wake_at == CLOCK_NEVER);
	assert_int_equal(b->worker.restarts[CAUSE_EXIT], 2);
	assert_int_equal(b->worker.restarts[CAUSE_SIGNAL], 1);
}

static void a_failed_worker_starts_again_when_somebody_asks(void **state)
{
	struct bench *b = *state;
	b->config.restart.limit.count = 0;
	started(b);
	ended(b, 0x100);
	expect_state(b, WORKER_FAILED);
	tell(b, (struct event){.kind = EVENT_ASKED_START});
	expect(b, EFFECT_WORKER_SPAWN);
}

static void policy_never_leaves_it_and_keeps_its_code(void **state)
{
	struct bench *b = *state;
	b->config.restart.policy = RESTART_NEVER;
	started(b);
	ended(b, 7 << 8);
	expect_state(b, WORKER_FAILED);
	assert_int_equal(worker_exit_code(&b->worker), 7);
	assert_null(plan(b));
}

static void policy_on_failure_lets_a_clean_exit_be(void **state)
{
	struct bench *b = *state;
	b->config.restart.policy = RESTART_ON_FAILURE;
	started(b);
	ended(b, 0);
	expect_state(b, WORKER_STOPPED);
	assert_null(plan(b));
}

static void a_task_that_ends_well_has_succeeded_and_runs_once(void **state)
{
	struct bench *b = *state;
	b->config.kind = WORKER_TASK;
	started(b);
	expect_state(b, WORKER_RUNNING);
	assert_false(worker_is_available(&b->worker));
	ended(b, 0);
	expect_state(b, WORKER_SUCCEEDED);
	assert_true(worker_is_available(&b->worker));
	assert_null(plan(b));
}

static void a_task_that_fails_is_tried_again(void **state)
{
	struct bench *b = *state;
	b->config.kind = WORKER_TASK;
	started(b);
	ended(b, 0x100);
	expect(b, EFFECT_WORKER_SPAWN);
}

static void nothing_is_started_before_the_last_of_the_old_run_is_gone(void **state)
{
	struct bench *b = *state;
	started(b);
	struct event e = {.kind = EVENT_WORKER_EXITED};
	e.exited.status = SIGKILL;
	tell(b, e);
	expect_state(b, WORKER_STOPPING);
	assert_null(plan(b));
	tell(b, (struct event){.kind = EVENT_WORKER_GONE, .killed = 3});
	expect(b, EFFECT_WORKER_SPAWN);
	assert_int_equal(worker_last_run(&b->worker)->killed, 3);
	assert_string_equal(worker_cause_name(worker_last_run(&b->worker)->cause), "signal");
}

/* ---- being ended ---- */

static void a_deaf_worker_is_killed_when_its_time_is_over(void **state)
{
	struct bench *b = *state;
	started(b);
	tell(b, (struct event){.kind = EVENT_ASKED_STOP});
	const struct effect *e = plan(b);
	assert_int_equal(e->kind, EFFECT_WORKER_SIGNAL);
	assert_int_equal(e->value, SIGTERM);
	b->turn.now += 9999;
	assert_null(plan(b));
	b->turn.now += 1;
	expect(b, EFFECT_WORKER_KILL);
	ended(b, SIGKILL);
	expect_state(b, WORKER_STOPPED);
	assert_null(plan(b));
}

static void a_restart_comes_back_without_delay(void **state)
{
	struct bench *b = *state;
	started(b);
	tell(b, (struct event){.kind = EVENT_ASKED_RESTART});
	expect(b, EFFECT_WORKER_SIGNAL);
	ended(b, 0);
	expect(b, EFFECT_WORKER_SPAWN);
	assert_int_equal(b->worker.restarts[CAUSE_COMMAND], 1);
	assert_int_equal(b->worker.restart.n, 0);
}

static void a_start_that_is_asked_for_while_it_stops_is_not_lost(void **state)
{
	struct bench *b = *state;
	started(b);
	tell(b, (struct event){.kind = EVENT_ASKED_STOP});
	expect(b, EFFECT_WORKER_SIGNAL);
	tell(b, (struct event){.kind = EVENT_ASKED_START});
	ended(b, 0);
	expect(b, EFFECT_WORKER_SPAWN);
}

static void a_stop_that_is_asked_for_during_back_off_holds(void **state)
{
	struct bench *b = *state;
	started(b);
	ended(b, 0x100);
	started(b);
	ended(b, 0x100);
	tell(b, (struct event){.kind = EVENT_ASKED_STOP});
	b->turn.now += 100000;
	assert_null(plan(b));
	expect_state(b, WORKER_STOPPED);
}

static void a_bad_liveness_check_restarts_it_even_when_it_exits_with_0(void **state)
{
	struct bench *b = *state;
	b->config.restart.policy = RESTART_ON_FAILURE;
	b->config.liveness = (struct config_check){
		.kind = CHECK_TCP, .interval = 1000, .success_threshold = 1, .failure_threshold = 1};
	started(b);
	expect(b, EFFECT_WORKER_CHECK);
	checked(b, PROBE_LIVENESS, false);
	inspected(b, hung);
	expect(b, EFFECT_WORKER_SIGNAL);
	ended(b, 0);
	expect(b, EFFECT_WORKER_SPAWN);
	assert_int_equal(b->worker.restarts[CAUSE_LIVENESS], 1);
}

static void notified(struct bench *b, unsigned bits)
{
	struct event e = {.kind = EVENT_WORKER_NOTIFIED};
	e.notified.bits = bits;
	tell(b, e);
}

static void a_check_that_podvisor_could_not_make_is_told_and_not_held_against_it(void **state)
{
	struct bench *b = *state;
	b->config.liveness = (struct config_check){
		.kind = CHECK_EXEC, .interval = 1000, .success_threshold = 1, .failure_threshold = 1};
	started(b);
	expect(b, EFFECT_WORKER_CHECK);
	struct event e = {.kind = EVENT_WORKER_CHECKED, .text = "no pipe: Too many open files"};
	e.checked.probe = PROBE_LIVENESS;
	e.checked.shortage = true;
	tell(b, e);
	expect_state(b, WORKER_READY);
	const struct journal_entry *told = journal_get(&b->journal, b->journal.last_seq);
	assert_string_equal(told->text, "its liveness check could not be made: no pipe: Too many open files");
	b->turn.now += 1000;
	expect(b, EFFECT_WORKER_CHECK);
}

static void a_watchdog_that_is_not_fed_restarts_it(void **state)
{
	struct bench *b = *state;
	b->config.liveness = (struct config_check){.kind = CHECK_NOTIFY, .timeout = 5000};
	started(b);
	b->turn.now += 4000;
	notified(b, NOTIFIED_WATCHDOG);
	b->turn.now += 4999;
	assert_null(plan(b));
	assert_int_equal(b->plan.wake_at, b->turn.now + 1);
	b->turn.now += 1;
	inspected(b, hung);
	expect(b, EFFECT_WORKER_SIGNAL);
	assert_int_equal(b->worker.cause, CAUSE_LIVENESS);
	assert_string_equal(b->worker.reason, "no WATCHDOG=1 for 5000 ms");
}

static void a_ping_that_was_under_way_saves_it(void **state)
{
	struct bench *b = *state;
	b->config.liveness = (struct config_check){.kind = CHECK_NOTIFY, .timeout = 5000};
	started(b);
	b->turn.now += 5000;
	expect(b, EFFECT_WORKER_INSPECT);
	notified(b, NOTIFIED_WATCHDOG);
	struct event e = {.kind = EVENT_WORKER_INSPECTED, .inspected = hung};
	tell(b, e);
	assert_null(plan(b));
	expect_state(b, WORKER_READY);
}

static void a_starved_worker_s_watchdog_is_stretched_once_and_told(void **state)
{
	struct bench *b = *state;
	b->config.liveness = (struct config_check){.kind = CHECK_NOTIFY, .timeout = 5000};
	started(b);
	b->turn.now += 5000;
	inspected(b, starved);
	assert_null(plan(b));
	assert_string_equal(journal_get(&b->journal, b->journal.last_seq)->what, "stretched");
	b->turn.now += 4999;
	assert_null(plan(b));
	b->turn.now += 1;
	inspected(b, starved);
	expect(b, EFFECT_WORKER_SIGNAL);
}

static void a_stopped_worker_is_killed_at_once_for_it_hears_no_signal(void **state)
{
	struct bench *b = *state;
	b->config.liveness = (struct config_check){.kind = CHECK_NOTIFY, .timeout = 5000};
	started(b);
	b->turn.now += 5000;
	inspected(b, (struct event_inspection){.stopped = true, .pressure_percent = 100});
	plan_clear(&b->plan);
	worker_plan(&b->worker, &b->gate, &b->next_run, &b->turn);
	assert_int_equal(b->plan.count, 2);
	assert_int_equal(b->plan.effects[0].kind, EFFECT_WORKER_SIGNAL);
	assert_int_equal(b->plan.effects[1].kind, EFFECT_WORKER_KILL);
}

static void an_inspection_without_an_answer_does_not_save_it(void **state)
{
	struct bench *b = *state;
	b->config.liveness = (struct config_check){.kind = CHECK_NOTIFY, .timeout = 5000};
	started(b);
	b->turn.now += 5000;
	expect(b, EFFECT_WORKER_INSPECT);
	b->turn.now += DOUBT_PATIENCE_MS;
	expect(b, EFFECT_WORKER_SIGNAL);
}

static void its_watchdog_begins_when_it_has_started(void **state)
{
	struct bench *b = *state;
	b->config.liveness = (struct config_check){.kind = CHECK_NOTIFY, .timeout = 5000};
	b->config.startup = (struct config_check){
		.kind = CHECK_FILE, .interval = 10000, .success_threshold = 1, .failure_threshold = 9};
	started(b);
	expect(b, EFFECT_WORKER_CHECK);
	b->turn.now += 20000;
	assert_null(plan(b));
	checked(b, PROBE_STARTUP, true);
	assert_null(plan(b));
	assert_int_equal(b->plan.wake_at, b->turn.now + 5000);
}

static void it_may_change_its_watchdog_or_turn_it_off(void **state)
{
	struct bench *b = *state;
	started(b);
	struct event e = {.kind = EVENT_WORKER_NOTIFIED};
	e.notified.bits = NOTIFIED_WATCHDOG_USEC;
	e.notified.watchdog_us = 1500;
	tell(b, e);
	assert_int_equal(b->worker.watchdog_span, 2);
	e.notified.watchdog_us = 0;
	tell(b, e);
	b->turn.now += 100000;
	assert_null(plan(b));
	expect_state(b, WORKER_READY);
}

static void it_may_ask_for_its_end_as_a_watchdog_failure(void **state)
{
	struct bench *b = *state;
	started(b);
	notified(b, NOTIFIED_TRIGGER);
	inspected(b, starved);
	expect(b, EFFECT_WORKER_SIGNAL);
	assert_int_equal(b->worker.cause, CAUSE_LIVENESS);
}

static void a_worker_that_says_that_it_stops_gets_no_signal_but_a_deadline(void **state)
{
	struct bench *b = *state;
	started(b);
	notified(b, NOTIFIED_STOPPING);
	expect_state(b, WORKER_STOPPING);
	assert_null(plan(b));
	assert_int_equal(b->plan.wake_at, b->turn.now + 10000);
	b->turn.now += 10000;
	expect(b, EFFECT_WORKER_KILL);
	ended(b, SIGKILL);
	expect(b, EFFECT_WORKER_SPAWN);
	assert_int_equal(b->worker.restarts[CAUSE_EXIT], 1);
}

static void a_reload_of_its_own_is_shown_and_keeps_it_ready(void **state)
{
	struct bench *b = *state;
	started(b);
	notified(b, NOTIFIED_RELOADING);
	expect_state(b, WORKER_READY);
	assert_string_equal(b->worker.reason, "pid 42, reloading");
	notified(b, NOTIFIED_READY);
	assert_string_equal(b->worker.reason, "pid 42");
}

static void another_main_process_is_followed(void **state)
{
	struct bench *b = *state;
	started(b);
	struct event e = {.kind = EVENT_WORKER_NOTIFIED};
	e.notified.bits = NOTIFIED_MAINPID;
	e.notified.mainpid = 43;
	tell(b, e);
	plan_clear(&b->plan);
	worker_plan(&b->worker, &b->gate, &b->next_run, &b->turn);
	assert_int_equal(b->plan.count, 1);
	assert_int_equal(b->plan.effects[0].kind, EFFECT_WORKER_FOLLOW);
	assert_int_equal(b->plan.effects[0].value, 43);
	assert_int_equal(b->worker.pid, 43);
	assert_null(plan(b));
}

/* A quick worker speaks before its shim has said that it runs. */
static void a_main_process_that_is_named_before_the_start_is_told_is_followed(void **state)
{
	struct bench *b = *state;
	expect(b, EFFECT_WORKER_SPAWN);
	struct event e = {.kind = EVENT_WORKER_NOTIFIED};
	e.notified.bits = NOTIFIED_MAINPID;
	e.notified.mainpid = 43;
	tell(b, e);
	assert_null(plan(b));
	tell(b, (struct event){.kind = EVENT_WORKER_STARTED, .pid = 42});
	const struct effect *follow = plan(b);
	assert_non_null(follow);
	assert_int_equal(follow->kind, EFFECT_WORKER_FOLLOW);
	assert_int_equal(follow->value, 43);
	assert_null(plan(b));
	assert_int_equal(b->worker.pid, 43);
	assert_string_equal(b->worker.reason, "pid 43");
}

static void its_errno_stands_in_how_it_ended(void **state)
{
	struct bench *b = *state;
	char text[96];
	started(b);
	struct event e = {.kind = EVENT_WORKER_NOTIFIED};
	e.notified.bits = NOTIFIED_ERRNO;
	e.notified.errno_value = ENOENT;
	tell(b, e);
	ended(b, 0x100);
	worker_describe_end(&b->worker, worker_last_run(&b->worker), text, sizeof(text));
	assert_string_equal(text, "exited with code 1: No such file or directory");
}

/* ---- progress and memory ---- */

static void work_that_stands_still_restarts_it(void **state)
{
	struct bench *b = *state;
	b->config.progress = (struct config_progress){.present = true, .notify = true, .stalled_after = 60000};
	started(b);
	struct event e = {.kind = EVENT_WORKER_NOTIFIED};
	e.notified.bits = NOTIFIED_PROGRESS;
	e.notified.progress = 7;
	b->turn.now += 59000;
	tell(b, e);
	b->turn.now += 59000;
	tell(b, e);
	assert_null(plan(b));
	b->turn.now += 1000;
	inspected(b, hung);
	expect(b, EFFECT_WORKER_SIGNAL);
	ended(b, 0);
	expect(b, EFFECT_WORKER_SPAWN);
	assert_int_equal(b->worker.restarts[CAUSE_PROGRESS], 1);
}

static void work_that_stands_still_may_be_reported_only(void **state)
{
	struct bench *b = *state;
	b->config.progress = (struct config_progress){
		.present = true, .notify = true, .stalled_after = 60000, .action = PROGRESS_REPORT};
	started(b);
	b->turn.now += 60000;
	assert_null(plan(b));
	assert_string_equal(journal_get(&b->journal, b->journal.last_seq)->what, "stalled");
	uint64_t told = b->journal.last_seq;
	b->turn.now += 60000;
	assert_null(plan(b));
	assert_int_equal(b->journal.last_seq, told);
	struct event e = {.kind = EVENT_WORKER_NOTIFIED};
	e.notified.bits = NOTIFIED_PROGRESS;
	tell(b, e);
	assert_string_equal(journal_get(&b->journal, b->journal.last_seq)->text, "its work moves forward again: 0");
	expect_state(b, WORKER_READY);
}

static void a_stall_that_was_stretched_is_looked_at_again_in_time(void **state)
{
	struct bench *b = *state;
	b->config.progress = (struct config_progress){.present = true, .notify = true, .stalled_after = 60000};
	started(b);
	b->turn.now += 60000;
	inspected(b, starved);
	assert_null(plan(b));
	assert_string_equal(journal_get(&b->journal, b->journal.last_seq)->what, "stretched");
	assert_int_equal(b->plan.wake_at, b->turn.now + 60000);
	b->turn.now = b->plan.wake_at;
	inspected(b, starved);
	expect(b, EFFECT_WORKER_SIGNAL);
}

static void progressed(struct bench *b, bool ok, double value)
{
	struct event e = {.kind = EVENT_WORKER_PROGRESSED, .text = "postgres:main is down"};
	e.progressed.ok = ok;
	e.progressed.value = value;
	tell(b, e);
}

static void its_query_is_asked_and_its_failures_are_told_once(void **state)
{
	struct bench *b = *state;
	b->config.progress = (struct config_progress){.present = true, .stalled_after = 60000, .interval = 10000};
	started(b);
	expect(b, EFFECT_WORKER_PROGRESS);
	progressed(b, false, 0);
	uint64_t told = b->journal.last_seq;
	assert_string_equal(journal_get(&b->journal, told)->text, "its progress cannot be read: postgres:main is down");
	b->turn.now += 10000;
	expect(b, EFFECT_WORKER_PROGRESS);
	progressed(b, false, 0);
	assert_int_equal(b->journal.last_seq, told);
	for (int i = 0; i < 7; i++) {
		b->turn.now += 10000;
		expect(b, EFFECT_WORKER_PROGRESS);
		progressed(b, true, 5);
		if (i < 6)
			assert_null(plan(b));
	}
	inspected(b, hung);
	expect(b, EFFECT_WORKER_SIGNAL);
}

static void measured(struct bench *b, int64_t bytes)
{
	struct event e = {.kind = EVENT_WORKER_MEASURED};
	b->turn.now += WORKER_MEMORY_INTERVAL_MS;
	expect(b, EFFECT_WORKER_MEASURE);
	e.memory_bytes = bytes;
	tell(b, e);
}

static void memory_that_stays_above_restarts_it_in_order(void **state)
{
	struct bench *b = *state;
	b->config.limits.memory_bytes = 512 << 20;
	started(b);
	measured(b, 600 << 20);
	measured(b, 600 << 20);
	measured(b, 500 << 20);
	measured(b, 600 << 20);
	measured(b, -1);
	measured(b, 600 << 20);
	assert_null(plan(b));
	measured(b, 600 << 20);
	expect(b, EFFECT_WORKER_SIGNAL);
	assert_string_equal(b->worker.reason, "its processes use 600Mi of memory, more than limits.memory 512Mi");
	ended(b, 0);
	assert_int_equal(b->worker.restarts[CAUSE_MEMORY], 1);
}

/* ---- stop.command ---- */

static char *stop_command[] = {(char *)"quit", NULL};

static void command_ended(struct bench *b, bool done)
{
	tell(b, (struct event){.kind = EVENT_WORKER_STOP_COMMAND, .done = done, .text = "exited with code 1"});
}

static void a_stop_command_runs_before_the_signal(void **state)
{
	struct bench *b = *state;
	b->config.stop.command = stop_command;
	started(b);
	tell(b, (struct event){.kind = EVENT_ASKED_STOP});
	expect(b, EFFECT_WORKER_STOP_COMMAND);
	command_ended(b, true);
	expect(b, EFFECT_WORKER_SIGNAL);
	ended(b, 0);
	expect_state(b, WORKER_STOPPED);
}

static void a_stop_command_that_fails_is_told_and_the_signal_follows(void **state)
{
	struct bench *b = *state;
	b->config.stop.command = stop_command;
	started(b);
	tell(b, (struct event){.kind = EVENT_ASKED_STOP});
	expect(b, EFFECT_WORKER_STOP_COMMAND);
	command_ended(b, false);
	assert_string_equal(
		journal_get(&b->journal, b->journal.last_seq)->text, "its stop command failed: exited with code 1");
	expect(b, EFFECT_WORKER_SIGNAL);
}

static void a_stop_command_that_hangs_does_not_delay_the_kill(void **state)
{
	struct bench *b = *state;
	b->config.stop.command = stop_command;
	started(b);
	tell(b, (struct event){.kind = EVENT_ASKED_STOP});
	expect(b, EFFECT_WORKER_STOP_COMMAND);
	b->turn.now += 9999;
	assert_null(plan(b));
	b->turn.now += 1;
	expect(b, EFFECT_WORKER_KILL);
	command_ended(b, true);
	assert_null(plan(b));
}

static void a_worker_that_its_stop_command_ended_needs_no_signal(void **state)
{
	struct bench *b = *state;
	b->config.stop.command = stop_command;
	started(b);
	tell(b, (struct event){.kind = EVENT_ASKED_RESTART});
	expect(b, EFFECT_WORKER_STOP_COMMAND);
	ended(b, 0);
	expect(b, EFFECT_WORKER_SPAWN);
}

static void a_single_command_that_says_it_stops_takes_as_long_as_it_likes(void **state)
{
	struct bench *b = *state;
	b->config.interactive = true;
	b->config.restart.policy = RESTART_NEVER;
	started(b);
	notified(b, NOTIFIED_STOPPING);
	expect_state(b, WORKER_STOPPING);
	b->turn.now += 24 * 3600 * 1000;
	assert_null(plan(b));
	ended(b, 0x500);
	expect_state(b, WORKER_FAILED);
}

/* ---- groups ---- */

static void it_restarts_when_one_of_its_group_comes_back_once(void **state)
{
	struct bench *b = *state;
	started(b);
	worker_follow_group(&b->worker, 0);
	assert_null(plan(b));
	worker_follow_group(&b->worker, 1);
	expect(b, EFFECT_WORKER_SIGNAL);
	worker_follow_group(&b->worker, 1);
	ended(b, 0);
	worker_follow_group(&b->worker, 1);
	expect(b, EFFECT_WORKER_SPAWN);
	tell(b, (struct event){.kind = EVENT_WORKER_STARTED, .pid = 43});
	worker_follow_group(&b->worker, 1);
	assert_null(plan(b));
	assert_int_equal(b->worker.restarts[CAUSE_GROUP], 1);
}

static void a_group_that_came_back_while_it_was_down_is_old_news(void **state)
{
	struct bench *b = *state;
	worker_follow_group(&b->worker, 3);
	started(b);
	worker_follow_group(&b->worker, 3);
	assert_null(plan(b));
	worker_follow_group(&b->worker, 2); /* one of them is no longer configured */
	assert_null(plan(b));
	expect_state(b, WORKER_READY);
}

static void only_an_end_that_is_followed_by_another_run_is_a_comeback(void **state)
{
	struct bench *b = *state;
	started(b);
	ended(b, SIGKILL);
	assert_int_equal(b->worker.comebacks, 1);
	started(b);
	tell(b, (struct event){.kind = EVENT_ASKED_STOP});
	expect(b, EFFECT_WORKER_SIGNAL);
	ended(b, 0);
	assert_int_equal(b->worker.comebacks, 1);
}

static void one_that_was_stopped_has_come_back_when_it_is_started_again(void **state)
{
	struct bench *b = *state;
	started(b);
	tell(b, (struct event){.kind = EVENT_ASKED_STOP});
	expect(b, EFFECT_WORKER_SIGNAL);
	ended(b, 0);
	assert_null(plan(b));
	assert_int_equal(b->worker.comebacks, 0);
	tell(b, (struct event){.kind = EVENT_ASKED_START});
	assert_int_equal(b->worker.comebacks, 1);
	expect(b, EFFECT_WORKER_SPAWN);
	tell(b, (struct event){.kind = EVENT_ASKED_START});
	assert_int_equal(b->worker.comebacks, 1);
}

static void one_that_never_ran_does_not_come_back(void **state)
{
	struct bench *b = *state;
	tell(b, (struct event){.kind = EVENT_ASKED_STOP});
	assert_null(plan(b));
	tell(b, (struct event){.kind = EVENT_ASKED_START});
	assert_int_equal(b->worker.comebacks, 0);
	expect(b, EFFECT_WORKER_SPAWN);
}

static void a_stopping_worker_may_ask_for_more_time(void **state)
{
	struct bench *b = *state;
	started(b);
	tell(b, (struct event){.kind = EVENT_ASKED_STOP});
	expect(b, EFFECT_WORKER_SIGNAL);
	struct event more = {.kind = EVENT_WORKER_NOTIFIED};
	more.notified.bits = NOTIFIED_EXTEND;
	more.notified.extend_us = 20000000;
	tell(b, more);
	b->turn.now += 19999;
	assert_null(plan(b));
	b->turn.now += 1;
	expect(b, EFFECT_WORKER_KILL);
}

static void in_a_shutdown_it_stops_only_when_nobody_needs_it_any_more(void **state)
{
	struct bench *b = *state;
	started(b);
	b->gate.shutdown = true;
	b->gate.may_stop = false;
	assert_null(plan(b));
	b->gate.may_stop = true;
	expect(b, EFFECT_WORKER_SIGNAL);
	ended(b, 0);
	expect_state(b, WORKER_STOPPED);
	assert_null(plan(b));
}

static void a_lost_dependency_pauses_it_after_the_grace_and_it_comes_back(void **state)
{
	struct bench *b = *state;
	b->config.on_dependency_loss = DEPENDENCY_LOSS_PAUSE;
	started(b);
	b->gate.may_start = false;
	assert_null(plan(b));
	b->turn.now += 1999;
	assert_null(plan(b));
	b->turn.now += 1;
	expect(b, EFFECT_WORKER_SIGNAL);
	ended(b, 0);
	assert_null(plan(b));
	expect_state(b, WORKER_PAUSED);
	b->gate.may_start = true;
	expect(b, EFFECT_WORKER_SPAWN);
}

static void a_dependency_that_is_back_within_the_grace_changes_nothing(void **state)
{
	struct bench *b = *state;
	b->config.on_dependency_loss = DEPENDENCY_LOSS_PAUSE;
	started(b);
	b->gate.may_start = false;
	assert_null(plan(b));
	b->turn.now += 1500;
	b->gate.may_start = true;
	assert_null(plan(b));
	b->gate.may_start = false;
	b->turn.now += 1500;
	assert_null(plan(b));
	expect_state(b, WORKER_READY);
}

static void by_default_it_outlives_its_dependencies(void **state)
{
	struct bench *b = *state;
	started(b);
	b->gate.may_start = false;
	b->turn.now += 1000000;
	assert_null(plan(b));
	expect_state(b, WORKER_READY);
}

static void after_a_database_came_back_the_start_is_spread(void **state)
{
	struct bench *b = *state;
	b->gate.spread = 5000;
	assert_null(plan(b));
	assert_in_range(b->plan.wake_at, 1001, 6000);
	b->turn.now = b->plan.wake_at;
	expect(b, EFFECT_WORKER_SPAWN);
}

/* ---- every pair ---- */

static void a_start_that_is_told_twice_is_one_start(void **state)
{
	struct bench *b = *state;
	b->config.readiness = (struct config_check){.kind = CHECK_TCP, .interval = 1000, .success_threshold = 1};
	started(b);
	expect(b, EFFECT_WORKER_CHECK);
	checked(b, PROBE_READINESS, true);
	b->turn.now += 500;
	tell(b, (struct event){.kind = EVENT_WORKER_STARTED, .pid = 42});
	expect_state(b, WORKER_READY);
	assert_int_equal(b->worker.started_at, b->turn.now - 500);
}

static void an_end_that_is_told_twice_is_one_end(void **state)
{
	struct bench *b = *state;
	started(b);
	b->turn.now += 1000;
	struct event e = {.kind = EVENT_WORKER_EXITED};
	e.exited.status = 0x100;
	tell(b, e);
	b->turn.now += 60000; /* what is left of it takes its time */
	tell(b, e);
	assert_int_equal(b->worker.exits_failed, 1);
	tell(b, (struct event){.kind = EVENT_WORKER_GONE});
	const struct worker_run *run = worker_last_run(&b->worker);
	assert_int_equal(run->ended_at - run->started_at, 1000);
}

static void an_event_of_an_older_run_changes_nothing(void **state)
{
	struct bench *b = *state;
	started(b);
	ended(b, 0x100);
	started(b);
	struct worker before = b->worker;
	for (int kind = EVENT_WORKER_STARTED; kind <= EVENT_WORKER_CHECKED; kind++)
		tell(b, (struct event){.kind = (enum event_kind)kind, .run = 1});
	assert_memory_equal(&before, &b->worker, sizeof(before));
}

/* Whatever comes in whatever state: a run is ended only when it is gone, and
 * nothing is spawned beside it. */
static void every_event_in_every_state_keeps_one_run_at_a_time(void **state)
{
	struct bench *b = *state;
	b->config.restart.limit.count = 60;
	b->config.liveness = b->config.readiness = (struct config_check){
		.kind = CHECK_TCP, .interval = 1000, .success_threshold = 1, .failure_threshold = 2};
	b->random.state = 7;
	bool alive = false, exited = false;
	for (int i = 0; i < 200000; i++) {
		b->turn.now += (ms_t)random_below(&b->random, 300);
		plan_clear(&b->plan);
		worker_plan(&b->worker, &b->gate, &b->next_run, &b->turn);
		for (size_t k = 0; k < b->plan.count; k++) {
			bool spawn = b->plan.effects[k].kind == EFFECT_WORKER_SPAWN;
			assert_int_equal(alive, !spawn);
			alive = true;
			exited = exited && !spawn;
		}
		struct event e = {.kind = (enum event_kind)random_below(&b->random, EVENT_KIND_COUNT)};
		if (e.kind == EVENT_WORKER_GONE && !exited)
			continue;
		if ((e.kind == EVENT_WORKER_EXITED && exited) ||
			(e.kind == EVENT_WORKER_UNSTARTABLE && b->worker.started_at))
			continue;
		if ((e.kind == EVENT_WORKER_STARTED || e.kind == EVENT_WORKER_EXITED) && !alive)
			continue;
		if (e.kind == EVENT_WORKER_CHECKED)
			e.checked.probe = (enum probe)random_below(&b->random, PROBE_COUNT);
		exited |= e.kind == EVENT_WORKER_EXITED;
		if (e.kind == EVENT_WORKER_GONE || e.kind == EVENT_WORKER_UNSTARTABLE)
			alive = exited = false;
		tell(b, e);
		assert_int_equal(alive, worker_is_up(&b->worker));
	}
	assert_true(b->worker.n_runs > 1000);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(it_waits_until_its_dependencies_are_there_and_says_for_what),
		TEST(without_checks_it_is_ready_when_it_runs),
		TEST(with_a_readiness_check_it_is_ready_only_after_a_hit),
		TEST(losing_readiness_takes_it_back_to_running_without_a_restart),
		TEST(readiness_by_notification_waits_for_READY),
		TEST(a_start_that_is_never_told_ends_with_a_reason),
		TEST(a_start_is_extended_as_often_as_the_worker_asks),
		TEST(a_worker_without_a_startup_check_has_no_limit_to_extend),
		TEST(liveness_is_not_asked_before_the_startup_check_has_passed),
		TEST(an_unstartable_worker_says_why_and_backs_off),
		TEST(what_may_go_later_is_not_called_hopeless),
		TEST(a_crash_is_restarted_at_once_then_with_growing_delay_then_never),
		TEST(a_failed_worker_starts_again_when_somebody_asks),
		TEST(policy_never_leaves_it_and_keeps_its_code),
		TEST(policy_on_failure_lets_a_clean_exit_be),
		TEST(a_task_that_ends_well_has_succeeded_and_runs_once),
		TEST(a_task_that_fails_is_tried_again),
		TEST(nothing_is_started_before_the_last_of_the_old_run_is_gone),
		TEST(a_deaf_worker_is_killed_when_its_time_is_over),
		TEST(a_restart_comes_back_without_delay),
		TEST(a_start_that_is_asked_for_while_it_stops_is_not_lost),
		TEST(a_stop_that_is_asked_for_during_back_off_holds),
		TEST(a_bad_liveness_check_restarts_it_even_when_it_exits_with_0),
		TEST(a_check_that_podvisor_could_not_make_is_told_and_not_held_against_it),
		TEST(a_watchdog_that_is_not_fed_restarts_it),
		TEST(a_ping_that_was_under_way_saves_it),
		TEST(a_starved_worker_s_watchdog_is_stretched_once_and_told),
		TEST(a_stall_that_was_stretched_is_looked_at_again_in_time),
		TEST(a_stopped_worker_is_killed_at_once_for_it_hears_no_signal),
		TEST(an_inspection_without_an_answer_does_not_save_it),
		TEST(its_watchdog_begins_when_it_has_started),
		TEST(it_may_change_its_watchdog_or_turn_it_off),
		TEST(it_may_ask_for_its_end_as_a_watchdog_failure),
		TEST(a_worker_that_says_that_it_stops_gets_no_signal_but_a_deadline),
		TEST(a_reload_of_its_own_is_shown_and_keeps_it_ready),
		TEST(another_main_process_is_followed),
		TEST(a_main_process_that_is_named_before_the_start_is_told_is_followed),
		TEST(its_errno_stands_in_how_it_ended),
		TEST(work_that_stands_still_restarts_it),
		TEST(work_that_stands_still_may_be_reported_only),
		TEST(its_query_is_asked_and_its_failures_are_told_once),
		TEST(memory_that_stays_above_restarts_it_in_order),
		TEST(a_stop_command_runs_before_the_signal),
		TEST(a_stop_command_that_fails_is_told_and_the_signal_follows),
		TEST(a_stop_command_that_hangs_does_not_delay_the_kill),
		TEST(a_worker_that_its_stop_command_ended_needs_no_signal),
		TEST(a_single_command_that_says_it_stops_takes_as_long_as_it_likes),
		TEST(it_restarts_when_one_of_its_group_comes_back_once),
		TEST(a_group_that_came_back_while_it_was_down_is_old_news),
		TEST(only_an_end_that_is_followed_by_another_run_is_a_comeback),
		TEST(one_that_was_stopped_has_come_back_when_it_is_started_again),
		TEST(one_that_never_ran_does_not_come_back),
		TEST(a_stopping_worker_may_ask_for_more_time),
		TEST(in_a_shutdown_it_stops_only_when_nobody_needs_it_any_more),
		TEST(a_lost_dependency_pauses_it_after_the_grace_and_it_comes_back),
		TEST(a_dependency_that_is_back_within_the_grace_changes_nothing),
		TEST(by_default_it_outlives_its_dependencies),
		TEST(after_a_database_came_back_the_start_is_spread),
		TEST(a_start_that_is_told_twice_is_one_start),
		TEST(an_end_that_is_told_twice_is_one_end),
		TEST(an_event_of_an_older_run_changes_nothing),
		TEST(every_event_in_every_state_keeps_one_run_at_a_time),
	};
	return cmocka_run_group_tests_name("worker", tests, NULL, NULL);
}
