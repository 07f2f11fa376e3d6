/* A job's whole life in a world of virtual time: the schedule and the worker together. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "podvisor/base/buf.h"
#include "podvisor/model/reconcile.h"
#include "podvisor/model/reload.h"
#include "podvisor/model/verdict.h"
#include "podvisor/model/world.h"

#define MINUTE ((ms_t)60 * 1000)
#define WALL   INT64_C(1775001600000) /* 2026-04-01T00:00:00Z */

struct bench {
	struct world *world;
	struct plan plan;
	ms_t now;
	int64_t wall_ms;
	int spawns, signals, kills;
};

static struct config *parse(const char *text)
{
	static struct config_report report;
	char copy[2048];
	struct config_source source = {0};
	snprintf(copy, sizeof(copy), "%s", text);
	for (char *c = copy; *c; c++)
		*c = *c == '\'' ? '"' : *c;
	struct config *config = config_parse(copy, strlen(copy), &source, &report);
	if (!config)
		fail_msg("%s: %s", report.items[0].path, report.items[0].text);
	return config;
}

static struct worker *job(const struct bench *b)
{
	int slot = world_find_worker(b->world, "job");
	assert_true(slot >= 0);
	return &b->world->workers[slot];
}

static void tell(struct bench *b, struct event e)
{
	world_apply(b->world, &e, b->now);
}

static void answer(struct bench *b, const struct effect *e)
{
	switch (e->kind) {
	case EFFECT_WORKER_SPAWN:
		b->spawns += e->slot == job(b)->slot;
		tell(b, (struct event){.kind = EVENT_WORKER_STARTED, .slot = e->slot, .run = e->run, .pid = 42});
		break;
	case EFFECT_WORKER_SIGNAL:
		b->signals++;
		break;
	case EFFECT_WORKER_KILL:
		b->kills++;
		break;
	default:
		break;
	}
}

/* Turns until nothing more is to be done now. */
static void turn(struct bench *b)
{
	do {
		reconcile(b->world, b->now, b->wall_ms, &b->plan);
		for (size_t i = 0; i < b->plan.count; i++)
			answer(b, &b->plan.effects[i]);
	} while (b->plan.count);
}

/* Time passes as it does in the program: from one wish to be woken to the next. */
static void pass(struct bench *b, ms_t span)
{
	ms_t until = b->now + span;
	turn(b);
	while (b->now < until) {
		ms_t next = b->plan.wake_at < until ? b->plan.wake_at : until;
		b->wall_ms += next - b->now;
		b->now = next;
		turn(b);
	}
}

static struct bench *open_bench(const char *config_text)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct config *config = parse(config_text);
	b->now = 1000;
	b->wall_ms = WALL;
	b->world = world_new(config, 1, b->now);
	config_release(config);
	plan_init(&b->plan);
	turn(b);
	return b;
}

/* The one job, with more keys. */
static struct bench *open_job(const char *keys)
{
	char text[1024];
	snprintf(text, sizeof(text), "{'workers': {'job': {'command': ['x'], 'kind': 'job', %s}}}", keys);
	return open_bench(text);
}

static void close_bench(struct bench *b)
{
	plan_fini(&b->plan);
	world_free(b->world);
	free(b);
}

static void end(struct bench *b, int status)
{
	struct event e = {.kind = EVENT_WORKER_EXITED, .slot = job(b)->slot, .run = job(b)->run};
	e.exited.status = status;
	tell(b, e);
	tell(b, (struct event){.kind = EVENT_WORKER_GONE, .slot = e.slot, .run = e.run});
	turn(b);
}

static void ask(struct bench *b, enum event_kind kind)
{
	tell(b, (struct event){.kind = kind, .slot = job(b)->slot});
	turn(b);
}

static void reload(struct bench *b, const char *text)
{
	struct config *config = parse(text);
	struct err err;
	if (reload_apply(b->world, config, b->now, &err) < 0)
		fail_msg("%s", err.text);
	config_release(config);
	turn(b);
}

static void expect(const struct bench *b, enum worker_state state, const char *reason)
{
	assert_string_equal(worker_state_name(job(b)->state), worker_state_name(state));
	if (reason)
		assert_string_equal(job(b)->reason, reason);
}

static bool has_told(const struct bench *b, const char *what, const char *text)
{
	for (uint64_t seq = journal_oldest(&b->world->journal); seq <= b->world->journal.last_seq; seq++) {
		const struct journal_entry *e = journal_get(&b->world->journal, seq);
		if (e && strcmp(e->what, what) == 0 && strcmp(e->text, text) == 0)
			return true;
	}
	return false;
}

static bool is_ready(const struct bench *b)
{
	struct verdict v;
	verdict_of(b->world, VERDICT_READY, NULL, b->now, &v);
	return v.ok;
}

/* ---- its time ---- */

static void it_waits_for_its_time_runs_once_and_waits_again(void **state)
{
	(void)state;
	struct bench *b = open_job("'schedule': '30 2 * * *'");
	expect(b, WORKER_WAITING, "next run at 2026-04-01T02:30:00Z");
	pass(b, 150 * MINUTE - 1);
	assert_int_equal(b->spawns, 0);
	pass(b, 1);
	assert_int_equal(b->spawns, 1);
	expect(b, WORKER_RUNNING, "pid 42");
	assert_false(worker_is_available(job(b)));
	pass(b, 5 * MINUTE);
	end(b, 0);
	expect(b, WORKER_WAITING, "next run at 2026-04-02T02:30:00Z; last run: exited with code 0");
	assert_true(has_told(b, "waiting", "waiting: next run at 2026-04-02T02:30:00Z; last run: exited with code 0"));
	assert_true(worker_is_available(job(b)));
	pass(b, 24 * 60 * MINUTE);
	assert_int_equal(b->spawns, 2);
	close_bench(b);
}

static void an_interval_begins_with_the_start_of_the_run_before(void **state)
{
	(void)state;
	struct bench *b = open_job("'every': '10m'");
	expect(b, WORKER_WAITING, "next run at 2026-04-01T00:10:00Z");
	pass(b, 10 * MINUTE);
	assert_int_equal(b->spawns, 1);
	pass(b, 3 * MINUTE);
	end(b, 0);
	pass(b, 7 * MINUTE - 1);
	assert_int_equal(b->spawns, 1);
	pass(b, 1);
	assert_int_equal(b->spawns, 2);
	close_bench(b);
}

static void what_it_waits_for_is_told_once_and_not_each_turn(void **state)
{
	(void)state;
	struct bench *b = open_job("'every': '6h'");
	uint64_t told = b->world->journal.last_seq;
	pass(b, 300 * MINUTE);
	assert_int_equal(b->world->journal.last_seq, told);
	close_bench(b);
}

static void a_leap_of_the_clock_is_noticed_without_any_event(void **state)
{
	(void)state;
	struct bench *b = open_job("'schedule': '@daily'");
	b->wall_ms += 24 * 60 * MINUTE;
	pass(b, SCHEDULE_LOOK_MS);
	assert_int_equal(b->spawns, 1);
	close_bench(b);
}

/* ---- how it ends ---- */

static void a_run_that_failed_says_so_and_waits_for_its_next_time(void **state)
{
	(void)state;
	struct bench *b = open_job("'every': '10m'");
	pass(b, 10 * MINUTE);
	end(b, 3 << 8);
	expect(b, WORKER_WAITING, "next run at 2026-04-01T00:20:00Z; last run: exited with code 3");
	assert_true(has_told(b, "run-failed", "its run failed: exited with code 3 (exit)"));
	assert_int_equal(job(b)->schedule.result, JOB_FAILED);
	pass(b, 10 * MINUTE);
	assert_int_equal(b->spawns, 2);
	close_bench(b);
}

static void one_that_cannot_start_has_failed(void **state)
{
	(void)state;
	struct bench *b = open_job("'every': '10m'");
	pass(b, 10 * MINUTE - 1);
	b->now++;
	b->wall_ms++;
	reconcile(b->world, b->now, b->wall_ms, &b->plan);
	assert_int_equal(b->plan.effects[0].kind, EFFECT_WORKER_SPAWN);
	tell(b, (struct event){.kind = EVENT_WORKER_UNSTARTABLE,
			.run = b->plan.effects[0].run,
			.error = -ENOENT,
			.text = "no such file"});
	turn(b);
	expect(b, WORKER_WAITING, "next run at 2026-04-01T00:20:00Z; last run: could not start: no such file");
	assert_int_equal(job(b)->schedule.result, JOB_FAILED);
	close_bench(b);
}

static void on_failure_it_is_tried_again_before_its_next_time_up_to_its_limit(void **state)
{
	(void)state;
	struct bench *b = open_job("'schedule': '0 * * * *', 'restart': {'policy': 'on-failure', 'limit': {'count': 2},"
				   "'backoff': {'initial': '10s', 'jitter': '0%'}}");
	pass(b, 60 * MINUTE);
	end(b, 1 << 8); /* the first time again is at once */
	assert_int_equal(b->spawns, 2);
	end(b, 1 << 8);
	expect(b, WORKER_BACKOFF, NULL);
	pass(b, 10000);
	assert_int_equal(b->spawns, 3);
	end(b, 1 << 8);
	expect(b, WORKER_WAITING, "next run at 2026-04-01T02:00:00Z; last run: exited with code 1");
	pass(b, 60 * MINUTE);
	assert_int_equal(b->spawns, 4);
	end(b, 1 << 8);
	assert_int_equal(b->spawns, 5); /* each time has its own tries */
	end(b, 0);
	expect(b, WORKER_WAITING, "next run at 2026-04-01T03:00:00Z; last run: exited with code 0");
	close_bench(b);
}

static void a_limit_that_says_fail_keeps_it_down_until_somebody_starts_it(void **state)
{
	(void)state;
	struct bench *b = open_job("'schedule': '0 * * * *', 'restart': {'policy': 'on-failure', 'limit': {'count': 1, "
				   "'action': 'fail'}}");
	pass(b, 60 * MINUTE);
	end(b, 1 << 8);
	end(b, 1 << 8);
	expect(b, WORKER_FAILED, NULL);
	pass(b, 180 * MINUTE);
	assert_int_equal(b->spawns, 2);
	assert_int_equal(job(b)->schedule.missed[MISSED_WAITING], 0);
	ask(b, EVENT_ASKED_START);
	assert_int_equal(b->spawns, 3);
	end(b, 0);
	expect(b, WORKER_WAITING, "next run at 2026-04-01T05:00:00Z; last run: exited with code 0");
	close_bench(b);
}

static void beyond_its_deadline_it_is_stopped_in_order_and_has_failed(void **state)
{
	(void)state;
	struct bench *b = open_job("'every': '1h', 'deadline': '90s', 'stop': {'timeout': '5s'}");
	pass(b, 60 * MINUTE + 90000 - 1);
	expect(b, WORKER_RUNNING, NULL);
	pass(b, 1);
	expect(b, WORKER_STOPPING, "it runs longer than its deadline of 1m30s");
	assert_int_equal(b->signals, 1);
	pass(b, 5000);
	assert_int_equal(b->kills, 1);
	end(b, SIGKILL);
	expect(b, WORKER_WAITING, "next run at 2026-04-01T02:00:00Z; last run: killed by SIGKILL (deadline)");
	assert_int_equal(job(b)->schedule.result, JOB_FAILED);
	assert_int_equal(worker_last_run(job(b))->cause, CAUSE_DEADLINE);
	close_bench(b);
}

static void one_that_ends_well_when_stopped_at_its_deadline_has_failed_all_the_same(void **state)
{
	(void)state;
	struct bench *b = open_job("'every': '1h', 'deadline': '90s', 'restart': {'policy': 'on-failure'}");
	pass(b, 60 * MINUTE + 90000);
	end(b, 0);
	assert_int_equal(job(b)->schedule.result, JOB_FAILED);
	assert_int_equal(b->spawns, 2);
	assert_int_equal(job(b)->restarts[CAUSE_DEADLINE], 1);
	close_bench(b);
}

/* ---- overlap ---- */

static void skip_leaves_the_run_alone(void **state)
{
	(void)state;
	struct bench *b = open_job("'schedule': '*/10 * * * *'");
	pass(b, 35 * MINUTE);
	assert_int_equal(b->spawns, 1);
	assert_int_equal(b->signals, 0);
	assert_int_equal(job(b)->schedule.missed[MISSED_OVERLAP], 2);
	assert_true(has_told(b, "missed", "1 run left out: the run before still goes on"));
	end(b, 0);
	assert_int_equal(b->spawns, 1);
	pass(b, 5 * MINUTE);
	assert_int_equal(b->spawns, 2);
	close_bench(b);
}

static void queue_begins_when_the_run_before_is_over(void **state)
{
	(void)state;
	struct bench *b = open_job("'schedule': '*/10 * * * *', 'overlap': 'queue'");
	pass(b, 35 * MINUTE);
	assert_int_equal(b->spawns, 1);
	assert_int_equal(job(b)->schedule.missed[MISSED_OVERLAP], 1);
	end(b, 1 << 8);
	assert_int_equal(b->spawns, 2);
	end(b, 0);
	assert_int_equal(b->spawns, 2);
	close_bench(b);
}

static void what_waits_takes_the_place_of_a_try_again(void **state)
{
	(void)state;
	struct bench *b =
		open_job("'schedule': '*/10 * * * *', 'overlap': 'queue', 'restart': {'policy': 'on-failure'}");
	pass(b, 20 * MINUTE);
	end(b, 1 << 8);
	assert_int_equal(b->spawns, 2);
	assert_int_equal(job(b)->restarts[CAUSE_EXIT], 0);
	end(b, 0);
	assert_int_equal(b->spawns, 2);
	close_bench(b);
}

static void replace_stops_the_old_run_in_order_and_then_begins(void **state)
{
	(void)state;
	struct bench *b =
		open_job("'schedule': '*/10 * * * *', 'overlap': 'replace', 'restart': {'policy': 'on-failure'}");
	pass(b, 20 * MINUTE);
	expect(b, WORKER_STOPPING, "its next run takes its place");
	assert_int_equal(b->signals, 1);
	assert_int_equal(b->spawns, 1);
	end(b, SIGTERM);
	assert_int_equal(b->spawns, 2);
	expect(b, WORKER_RUNNING, NULL);
	assert_int_equal(job(b)->schedule.result, JOB_NONE);
	assert_int_equal(worker_last_run(job(b))->cause, CAUSE_OVERLAP);
	assert_int_equal(job(b)->restarts[CAUSE_OVERLAP], 0);
	end(b, 0);
	assert_int_equal(b->spawns, 2);
	close_bench(b);
}

static void a_try_again_gives_way_to_a_run_that_replaces_it(void **state)
{
	(void)state;
	struct bench *b =
		open_job("'schedule': '*/10 * * * *', 'overlap': 'replace', 'restart': {'policy': 'on-failure',"
			 "'backoff': {'initial': '15m', 'max': '15m', 'jitter': '0%'}}");
	pass(b, 10 * MINUTE);
	end(b, 1 << 8);
	end(b, 1 << 8);
	expect(b, WORKER_BACKOFF, NULL);
	pass(b, 10 * MINUTE);
	assert_int_equal(b->spawns, 3);
	expect(b, WORKER_RUNNING, NULL);
	end(b, 0);
	assert_int_equal(b->spawns, 3);
	close_bench(b);
}

/* ---- what it depends on, and who depends on it ---- */

#define WITH_DATABASE                                                                                               \
	"{'postgres': {'main': {'dsn': 'host=h', 'recovery_spread': '0s'}}, 'workers': {'job': {'command': ['x'], " \
	"'kind': 'job', 'schedule': '*/10 * * * *', 'depends_on': ['postgres:main']}}}"

static void without_what_it_depends_on_one_run_waits_until_it_is_there(void **state)
{
	(void)state;
	struct bench *b = open_bench(WITH_DATABASE);
	expect(b, WORKER_WAITING, "next run at 2026-04-01T00:10:00Z");
	pass(b, 10 * MINUTE);
	expect(b, WORKER_WAITING, "postgres:main is unknown");
	pass(b, 20 * MINUTE);
	assert_int_equal(b->spawns, 0);
	assert_int_equal(job(b)->schedule.missed[MISSED_WAITING], 2);
	tell(b, (struct event){.kind = EVENT_POSTGRES_ANSWERED, .run = b->world->databases[0].run});
	turn(b);
	assert_int_equal(b->spawns, 1);
	end(b, 0);
	assert_int_equal(b->spawns, 1);
	close_bench(b);
}

static void who_depends_on_a_job_waits_for_its_success(void **state)
{
	(void)state;
	struct bench *b = open_bench("{'workers': {'job': {'command': ['x'], 'kind': 'job', 'every': '10m'},"
				     "'after': {'command': ['y'], 'depends_on': ['job']}}}");
	const struct worker *after = &b->world->workers[world_find_worker(b->world, "after")];
	pass(b, 10 * MINUTE);
	end(b, 1 << 8);
	assert_false(worker_is_up(after));
	pass(b, 10 * MINUTE);
	end(b, 0);
	assert_int_equal(after->state, WORKER_READY);
	pass(b, 10 * MINUTE);
	assert_true(worker_is_up(job(b)));
	assert_int_equal(after->state, WORKER_READY);
	close_bench(b);
}

static void with_a_critical_job_the_pod_is_ready_unless_its_last_run_failed(void **state)
{
	(void)state;
	struct bench *b = open_job("'every': '10m', 'critical': true");
	assert_true(is_ready(b));
	pass(b, 10 * MINUTE);
	assert_true(is_ready(b));
	end(b, 1 << 8);
	assert_false(is_ready(b));
	assert_false(b->world->drain.shutdown);
	pass(b, 10 * MINUTE);
	assert_false(is_ready(b)); /* not before the next one has succeeded */
	end(b, 0);
	assert_true(is_ready(b));
	close_bench(b);
}

static void a_limit_that_says_exit_ends_the_pod_with_its_code(void **state)
{
	(void)state;
	struct bench *b = open_job(
		"'every': '10m', 'restart': {'policy': 'on-failure', 'limit': {'count': 1, 'action': 'exit'}}");
	pass(b, 10 * MINUTE);
	end(b, 1 << 8);
	end(b, 5 << 8);
	assert_true(b->world->drain.shutdown);
	assert_int_equal(b->world->exit_code, 5);
	close_bench(b);
}

static void its_runs_take_no_group_along(void **state)
{
	(void)state;
	struct bench *b = open_bench("{'workers': {'job': {'command': ['x'], 'kind': 'job', 'every': '10m'},"
				     "'other': {'command': ['y'], 'restart_with': ['job']}}}");
	const struct worker *other = &b->world->workers[world_find_worker(b->world, "other")];
	uint64_t run = other->run;
	pass(b, 10 * MINUTE);
	end(b, 0);
	pass(b, 10 * MINUTE);
	assert_int_equal(other->run, run);
	assert_int_equal(other->state, WORKER_READY);
	close_bench(b);
}

/* ---- asked ---- */

static void start_runs_it_now_and_its_times_stay(void **state)
{
	(void)state;
	struct bench *b = open_job("'schedule': '0 * * * *'");
	pass(b, 10 * MINUTE);
	ask(b, EVENT_ASKED_START);
	assert_int_equal(b->spawns, 1);
	ask(b, EVENT_ASKED_START);
	assert_int_equal(b->spawns, 1);
	assert_int_equal(b->signals, 0);
	end(b, 0);
	expect(b, WORKER_WAITING, "next run at 2026-04-01T01:00:00Z; last run: exited with code 0");
	close_bench(b);
}

static void stop_ends_its_run_and_its_schedule_rests_until_it_is_started(void **state)
{
	(void)state;
	struct bench *b = open_job("'schedule': '*/10 * * * *', 'overlap': 'queue'");
	pass(b, 25 * MINUTE);
	assert_true(job(b)->schedule.queued);
	ask(b, EVENT_ASKED_STOP);
	assert_int_equal(b->signals, 1);
	end(b, SIGTERM);
	expect(b, WORKER_STOPPED, "killed by SIGTERM");
	assert_int_equal(job(b)->schedule.result, JOB_NONE);
	pass(b, 60 * MINUTE);
	assert_int_equal(b->spawns, 1);
	ask(b, EVENT_ASKED_START);
	assert_int_equal(b->spawns, 2);
	end(b, 0);
	expect(b, WORKER_WAITING, "next run at 2026-04-01T01:30:00Z; last run: exited with code 0");
	close_bench(b);
}

static void a_start_while_it_is_being_stopped_is_not_lost(void **state)
{
	(void)state;
	struct bench *b = open_job("'schedule': '*/10 * * * *'");
	pass(b, 10 * MINUTE);
	ask(b, EVENT_ASKED_STOP);
	ask(b, EVENT_ASKED_START);
	assert_int_equal(b->spawns, 1);
	end(b, SIGTERM);
	assert_int_equal(b->spawns, 2);
	close_bench(b);
}

static void restart_stops_its_run_and_begins_another(void **state)
{
	(void)state;
	struct bench *b = open_job("'schedule': '*/10 * * * *'");
	pass(b, 10 * MINUTE);
	ask(b, EVENT_ASKED_RESTART);
	end(b, SIGTERM);
	assert_int_equal(b->spawns, 2);
	assert_int_equal(job(b)->restarts[CAUSE_COMMAND], 1);
	end(b, 0);
	assert_int_equal(b->spawns, 2);
	ask(b, EVENT_ASKED_RESTART);
	assert_int_equal(b->spawns, 3);
	close_bench(b);
}

static void when_the_pod_stops_its_run_is_stopped_and_no_time_comes(void **state)
{
	(void)state;
	struct bench *b = open_job("'schedule': '* * * * *', 'overlap': 'queue', 'stop': {'timeout': '45s'}");
	pass(b, MINUTE);
	tell(b, (struct event){.kind = EVENT_ASKED_SHUTDOWN, .count = 1});
	pass(b, 40000);
	assert_int_equal(b->signals, 1);
	end(b, SIGTERM);
	pass(b, MINUTE);
	assert_int_equal(b->spawns, 1);
	expect(b, WORKER_STOPPED, NULL);
	assert_true(b->world->exiting);
	close_bench(b);
}

/* ---- configured anew ---- */

#define JOB(keys) "{'workers': {'job': {'command': ['x'], 'kind': 'job', " keys "}}}"

static void another_schedule_takes_effect_at_once_without_a_run(void **state)
{
	(void)state;
	struct bench *b = open_bench(JOB("'schedule': '0 3 * * *'"));
	pass(b, 60 * MINUTE);
	reload(b, JOB("'schedule': '30 * * * *'"));
	expect(b, WORKER_WAITING, "next run at 2026-04-01T01:30:00Z");
	reload(b, JOB("'every': '5m'"));
	expect(b, WORKER_WAITING, "next run at 2026-04-01T01:05:00Z");
	assert_int_equal(b->spawns, 0);
	close_bench(b);
}

static void a_reload_lets_a_run_go_on_and_the_next_one_is_new(void **state)
{
	(void)state;
	struct bench *b = open_bench(JOB("'every': '10m'"));
	pass(b, 10 * MINUTE);
	struct buf preview;
	struct err err;
	struct config *config = parse(JOB("'every': '10m', 'deadline': '8m'"));
	buf_init(&preview, 1000);
	assert_int_equal(reload_preview(b->world, config, &preview, &err), 0);
	assert_string_equal(buf_str(&preview), "~ worker job: deadline none -> 8m; from its next run on\n");
	buf_fini(&preview);
	config_release(config);
	reload(b, JOB("'every': '10m', 'deadline': '8m'"));
	expect(b, WORKER_RUNNING, NULL);
	assert_int_equal(b->signals, 0);
	pass(b, 8 * MINUTE); /* but its deadline counts */
	expect(b, WORKER_STOPPING, NULL);
	close_bench(b);
}

static void a_service_that_becomes_a_job_is_stopped_and_waits_for_its_time(void **state)
{
	(void)state;
	struct bench *b = open_bench("{'workers': {'job': {'command': ['x']}}}");
	expect(b, WORKER_READY, NULL);
	reload(b, JOB("'every': '10m'"));
	expect(b, WORKER_STOPPING, NULL);
	end(b, SIGTERM);
	expect(b, WORKER_WAITING, NULL);
	assert_int_equal(b->spawns, 1);
	reload(b, "{'workers': {'job': {'command': ['x']}}}");
	expect(b, WORKER_READY, NULL);
	assert_int_equal(b->spawns, 2);
	close_bench(b);
}

static void a_job_that_was_a_service_meanwhile_owes_nothing(void **state)
{
	(void)state;
	struct bench *b = open_bench(JOB("'every': '10m'"));
	pass(b, 10 * MINUTE);
	reload(b, "{'workers': {'job': {'command': ['x']}}}");
	end(b, SIGTERM);
	expect(b, WORKER_READY, NULL);
	reload(b, JOB("'every': '10m'"));
	end(b, SIGTERM);
	assert_int_equal(b->spawns, 2);
	expect(b, WORKER_WAITING, NULL);
	close_bench(b);
}

static void a_job_that_is_gone_and_back_while_it_stops_is_not_run_for_that(void **state)
{
	(void)state;
	struct bench *b = open_bench(JOB("'every': '10m', 'restart': {'policy': 'on-failure'}"));
	pass(b, 10 * MINUTE);
	struct worker *was = job(b);
	reload(b, "{}");
	assert_int_equal(was->state, WORKER_STOPPING);
	reload(b, JOB("'every': '10m', 'restart': {'policy': 'on-failure'}"));
	end(b, SIGTERM);
	assert_int_equal(b->spawns, 1);
	assert_int_equal(job(b)->restarts[CAUSE_RELOAD], 0);
	expect(b, WORKER_WAITING, "next run at 2026-04-01T00:20:00Z; last run: killed by SIGTERM (reload)");
	close_bench(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_waits_for_its_time_runs_once_and_waits_again),
		cmocka_unit_test(an_interval_begins_with_the_start_of_the_run_before),
		cmocka_unit_test(what_it_waits_for_is_told_once_and_not_each_turn),
		cmocka_unit_test(a_leap_of_the_clock_is_noticed_without_any_event),
		cmocka_unit_test(a_run_that_failed_says_so_and_waits_for_its_next_time),
		cmocka_unit_test(one_that_cannot_start_has_failed),
		cmocka_unit_test(on_failure_it_is_tried_again_before_its_next_time_up_to_its_limit),
		cmocka_unit_test(a_limit_that_says_fail_keeps_it_down_until_somebody_starts_it),
		cmocka_unit_test(beyond_its_deadline_it_is_stopped_in_order_and_has_failed),
		cmocka_unit_test(one_that_ends_well_when_stopped_at_its_deadline_has_failed_all_the_same),
		cmocka_unit_test(skip_leaves_the_run_alone),
		cmocka_unit_test(queue_begins_when_the_run_before_is_over),
		cmocka_unit_test(what_waits_takes_the_place_of_a_try_again),
		cmocka_unit_test(replace_stops_the_old_run_in_order_and_then_begins),
		cmocka_unit_test(a_try_again_gives_way_to_a_run_that_replaces_it),
		cmocka_unit_test(without_what_it_depends_on_one_run_waits_until_it_is_there),
		cmocka_unit_test(who_depends_on_a_job_waits_for_its_success),
		cmocka_unit_test(with_a_critical_job_the_pod_is_ready_unless_its_last_run_failed),
		cmocka_unit_test(a_limit_that_says_exit_ends_the_pod_with_its_code),
		cmocka_unit_test(its_runs_take_no_group_along),
		cmocka_unit_test(start_runs_it_now_and_its_times_stay),
		cmocka_unit_test(stop_ends_its_run_and_its_schedule_rests_until_it_is_started),
		cmocka_unit_test(a_start_while_it_is_being_stopped_is_not_lost),
		cmocka_unit_test(restart_stops_its_run_and_begins_another),
		cmocka_unit_test(when_the_pod_stops_its_run_is_stopped_and_no_time_comes),
		cmocka_unit_test(another_schedule_takes_effect_at_once_without_a_run),
		cmocka_unit_test(a_reload_lets_a_run_go_on_and_the_next_one_is_new),
		cmocka_unit_test(a_service_that_becomes_a_job_is_stopped_and_waits_for_its_time),
		cmocka_unit_test(a_job_that_was_a_service_meanwhile_owes_nothing),
		cmocka_unit_test(a_job_that_is_gone_and_back_while_it_stops_is_not_run_for_that),
	};
	return cmocka_run_group_tests_name("job", tests, NULL, NULL);
}
