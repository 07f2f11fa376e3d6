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

#define WALL INT64_C(1775001600000) /* 2026-04-01T00:00:00Z, when the monotonic clock began */

static struct config *parse(const char *text)
{
	static struct config_report report;
	struct config_source source = {0};
	struct config *config = config_parse(text, strlen(text), &source, &report);
	if (!config)
		fail_msg("%s: %s", report.items[0].path, report.items[0].text);
	return config;
}

static struct world *world_of(const char *text)
{
	struct config *config = parse(text);
	struct world *w = world_new(config, 1, 1);
	config_release(config);
	assert_non_null(w);
	return w;
}

/* Plans at now and answers every effect at once, until nothing more happens. */
static struct plan settle_plan;

static void answer(struct world *w, const struct effect *e, ms_t now)
{
	struct event event = {.slot = e->slot, .run = e->run};
	if (e->kind == EFFECT_WORKER_SPAWN) {
		event.kind = EVENT_WORKER_STARTED;
		event.pid = 100 + (int)e->run;
		world_apply(w, &event, now);
		if (w->workers[e->slot].config->kind != WORKER_TASK)
			return;
	} else if (e->kind != EFFECT_WORKER_SIGNAL && e->kind != EFFECT_WORKER_KILL) {
		return;
	}
	event = (struct event){.kind = EVENT_WORKER_EXITED, .slot = e->slot, .run = e->run};
	world_apply(w, &event, now);
	event.kind = EVENT_WORKER_GONE;
	event.killed = 0;
	world_apply(w, &event, now);
}

static bool settle(struct world *w, ms_t now)
{
	bool exit = false;
	plan_init(&settle_plan);
	do {
		reconcile(w, now, WALL + now, &settle_plan);
		for (size_t i = 0; i < settle_plan.count; i++) {
			exit |= settle_plan.effects[i].kind == EFFECT_EXIT;
			answer(w, &settle_plan.effects[i], now);
		}
	} while (settle_plan.count && !exit);
	plan_fini(&settle_plan);
	return exit;
}

static const struct worker *find(const struct world *w, const char *name)
{
	int slot = world_find_worker(w, name);
	assert_true(slot >= 0);
	return &w->workers[slot];
}

static void end(struct world *w, const char *name, int status, ms_t now)
{
	struct event e = {.kind = EVENT_WORKER_EXITED, .slot = find(w, name)->slot, .run = find(w, name)->run};
	e.exited.status = status;
	world_apply(w, &e, now);
	e = (struct event){.kind = EVENT_WORKER_GONE, .slot = e.slot, .run = e.run};
	world_apply(w, &e, now);
}

static bool ready(const struct world *w, ms_t now)
{
	struct verdict v;
	verdict_of(w, VERDICT_READY, NULL, now, &v);
	return v.ok;
}

static void plan_once(struct world *w, ms_t now)
{
	struct plan plan;
	plan_init(&plan);
	reconcile(w, now, WALL + now, &plan);
	plan_fini(&plan);
}

#define WORKERS(inside) "{\"workers\":{" inside "}}"

static void workers_start_behind_what_they_depend_on(void **state)
{
	(void)state;
	struct world *w = world_of(WORKERS("\"c\":{\"command\":[\"x\"],\"depends_on\":[\"b\"]},"
					   "\"b\":{\"command\":[\"x\"],\"kind\":\"task\",\"depends_on\":[\"a\"]},"
					   "\"a\":{\"command\":[\"x\"]}"));
	settle(w, 1);
	assert_true(worker_is_up(find(w, "a")));
	assert_int_equal(find(w, "b")->state, WORKER_SUCCEEDED);
	assert_int_equal(find(w, "c")->state, WORKER_READY);
	assert_true(find(w, "c")->run > find(w, "b")->history[0].run);
	assert_true(find(w, "b")->history[0].run > find(w, "a")->run);
	world_free(w);
}

static void instances_have_names_and_numbers_of_their_own(void **state)
{
	(void)state;
	struct world *w = world_of(WORKERS("\"a\":{\"command\":[\"x\"],\"instances\":3}"));
	assert_int_equal(w->n_workers, 3);
	assert_string_equal(w->workers[2].name, "a.2");
	assert_int_equal(world_find_worker(w, "a"), 0);
	assert_int_equal(world_find_worker(w, "a.1"), 1);
	assert_int_equal(world_find_worker(w, "b"), -1);
	world_free(w);
}

static void a_critical_worker_that_ends_for_good_ends_the_pod_with_its_code(void **state)
{
	(void)state;
	struct world *w =
		world_of(WORKERS("\"a\":{\"command\":[\"x\"],\"critical\":true,\"restart\":{\"policy\":\"never\"}},"
				 "\"b\":{\"command\":[\"x\"]}"));
	settle(w, 1);
	end(w, "a", SIGSEGV, 10);
	assert_true(settle(w, 10));
	assert_int_equal(w->exit_code, 128 + SIGSEGV);
	assert_non_null(strstr(w->death, "worker a killed by SIGSEGV"));
	assert_int_equal(w->death_slot, find(w, "a")->slot);
	assert_false(worker_is_up(find(w, "b")));
	world_free(w);
}

static void an_uncritical_worker_that_fails_leaves_the_pod_alone(void **state)
{
	(void)state;
	struct world *w = world_of(
		WORKERS("\"a\":{\"command\":[\"x\"],\"restart\":{\"policy\":\"never\"}},\"b\":{\"command\":[\"x\"]}"));
	settle(w, 1);
	end(w, "a", 0x300, 10);
	assert_false(settle(w, 10));
	assert_int_equal(find(w, "a")->state, WORKER_FAILED);
	assert_int_equal(find(w, "b")->state, WORKER_READY);
	world_free(w);
}

static void limit_action_exit_ends_the_pod_for_an_uncritical_worker_too(void **state)
{
	(void)state;
	struct world *w = world_of(WORKERS("\"a\":{\"command\":[\"x\"],\"restart\":{\"limit\":{\"count\":1,\"window\":"
					   "\"1m\",\"action\":\"exit\"}}}"));
	settle(w, 1);
	end(w, "a", 0x500, 10);
	settle(w, 10);
	end(w, "a", 0x500, 20);
	assert_true(settle(w, 20));
	assert_int_equal(w->exit_code, 5);
	world_free(w);
}

static void somebody_stopping_a_critical_worker_does_not_end_the_pod(void **state)
{
	(void)state;
	struct world *w = world_of(WORKERS("\"a\":{\"command\":[\"x\"],\"critical\":true}"));
	settle(w, 1);
	struct event e = {.kind = EVENT_ASKED_STOP};
	world_apply(w, &e, 10);
	assert_false(settle(w, 10));
	assert_int_equal(find(w, "a")->state, WORKER_STOPPED);
	world_free(w);
}

static void a_refused_volume_ends_the_pod_with_78(void **state)
{
	(void)state;
	struct world *w = world_of("{\"volumes\":{\"v\":{\"path\":\"/v\",\"size\":\"1Mi\"}}}");
	settle(w, 1);
	struct event e = {.kind = EVENT_VOLUME_REFUSED, .text = "/v is no tmpfs"};
	world_apply(w, &e, 1);
	assert_true(settle(w, 1));
	assert_int_equal(w->exit_code, 78);
	assert_string_equal(w->death, "volume v: /v is no tmpfs");
	world_free(w);
}

/* Reconciles at now, answering nothing; the exit, when it is planned. */
static bool hangs(struct world *w, ms_t now, int64_t *code, ms_t *wake_at)
{
	struct plan plan;
	bool exit = false;
	plan_init(&plan);
	reconcile(w, now, WALL + now, &plan);
	for (size_t i = 0; i < plan.count; i++)
		if (plan.effects[i].kind == EFFECT_EXIT) {
			exit = true;
			*code = plan.effects[i].value;
		}
	*wake_at = plan.wake_at;
	plan_fini(&plan);
	return exit;
}

static void a_release_that_never_ends_does_not_hold_the_pod_beyond_its_deadline(void **state)
{
	(void)state;
	struct world *w = world_of("{\"volumes\":{\"v\":{\"path\":\"/v\",\"size\":\"1Mi\"}}}");
	int64_t code = -1;
	ms_t wake_at;
	hangs(w, 1, &code, &wake_at);
	struct event e = {.kind = EVENT_VOLUME_PREPARED};
	world_apply(w, &e, 1);
	e = (struct event){.kind = EVENT_ASKED_SHUTDOWN, .count = 1};
	world_apply(w, &e, 1000);
	assert_false(hangs(w, 1000, &code, &wake_at));
	ms_t last = 1000 + w->config->shutdown.deadline + 2000;
	for (int turns = 0; wake_at < last; turns++) {
		assert_true(turns < 100);
		assert_false(hangs(w, wake_at, &code, &wake_at));
	}
	assert_int_equal(wake_at, last);
	assert_true(hangs(w, last, &code, &wake_at));
	assert_int_equal(code, 1);
	assert_true(w->left_behind);
	assert_non_null(strstr(w->death, "volume v (ready)"));
	assert_non_null(strstr(journal_get(&w->journal, w->journal.last_seq)->text, "leaves behind volume v"));
	assert_false(hangs(w, last + 1, &code, &wake_at));
	world_free(w);
}

static void a_worker_that_nothing_kills_does_not_hold_the_pod_beyond_its_deadline(void **state)
{
	(void)state;
	struct world *w = world_of(WORKERS("\"a\":{\"command\":[\"x\"],\"critical\":true,\"restart\":"
					   "{\"policy\":\"never\"}},\"b\":{\"command\":[\"x\"]}"));
	settle(w, 1);
	int64_t code = -1;
	ms_t wake_at;
	end(w, "a", 0x700, 10);
	assert_false(hangs(w, 10, &code, &wake_at));
	ms_t last = 10 + w->config->shutdown.deadline + 2000;
	for (int turns = 0; wake_at < last; turns++) {
		assert_true(turns < 100);
		assert_false(hangs(w, wake_at, &code, &wake_at));
	}
	assert_true(hangs(w, last, &code, &wake_at));
	assert_int_equal(code, 7); /* the cause of the end stays the cause */
	assert_non_null(strstr(w->death, "worker a exited with code 7"));
	assert_non_null(strstr(w->death, "left behind: worker b (stopping)"));
	world_free(w);
}

static void who_used_up_the_deadline_is_told(void **state)
{
	(void)state;
	struct world *w =
		world_of(WORKERS("\"base\":{\"command\":[\"x\"]},\"deaf\":{\"command\":[\"x\"],\"depends_on\":"
				 "[\"base\"],\"stop\":{\"timeout\":\"2m\"}}"));
	settle(w, 1);
	int64_t code = -1;
	ms_t wake_at;
	struct event e = {.kind = EVENT_ASKED_SHUTDOWN, .count = 1};
	world_apply(w, &e, 1000);
	hangs(w, 1000, &code, &wake_at);
	hangs(w, 1000 + 54000, &code, &wake_at);
	assert_string_equal(
		w->held_up, "worker deaf (stopping for 54s, its stop.timeout is 2m); worker base had to wait");
	uint64_t told = w->journal.last_seq;
	hangs(w, 1000 + 54500, &code, &wake_at);
	assert_int_equal(w->journal.last_seq, told);
	world_free(w);
}

static void an_end_in_time_blames_nobody(void **state)
{
	(void)state;
	struct world *w = world_of(WORKERS("\"a\":{\"command\":[\"x\"]}"));
	settle(w, 1);
	struct event e = {.kind = EVENT_ASKED_SHUTDOWN, .count = 1};
	world_apply(w, &e, 1000);
	assert_true(settle(w, 1000));
	assert_string_equal(w->held_up, "");
	world_free(w);
}

/* Whatever a worker asks for by EXTEND_TIMEOUT_USEC. */
static void an_extended_stop_ends_with_the_budget_of_the_shutdown(void **state)
{
	(void)state;
	struct world *w = world_of(WORKERS("\"a\":{\"command\":[\"x\"]}"));
	int64_t code = -1;
	ms_t wake_at;
	settle(w, 1);
	struct event e = {.kind = EVENT_ASKED_SHUTDOWN, .count = 1};
	world_apply(w, &e, 1000);
	plan_once(w, 1000);
	assert_int_equal(find(w, "a")->state, WORKER_STOPPING);
	e = (struct event){.kind = EVENT_WORKER_NOTIFIED, .run = find(w, "a")->run};
	e.notified.bits = NOTIFIED_EXTEND;
	e.notified.extend_us = INT64_MAX;
	world_apply(w, &e, 1000);
	assert_false(hangs(w, 1000, &code, &wake_at));
	ms_t kill_at = 1000 + w->config->shutdown.deadline - 1000;
	assert_int_equal(wake_at, kill_at);
	assert_false(hangs(w, kill_at, &code, &wake_at));
	assert_true(find(w, "a")->killing);
	world_free(w);
}

static const char two[] = WORKERS("\"a\":{\"command\":[\"x\"]},\"b\":{\"command\":[\"y\"]}");

static void reload(struct world *w, const char *text, int expected)
{
	struct config *config = parse(text);
	struct err err;
	assert_int_equal(reload_apply(w, config, 100, &err), expected);
	config_release(config);
}

static void a_reload_comes_too_late_when_podvisor_stops(void **state)
{
	(void)state;
	struct world *w = world_of(two);
	struct event e = {.kind = EVENT_ASKED_SHUTDOWN, .count = 1};
	world_apply(w, &e, 50);
	reload(w, WORKERS("\"b\":{\"command\":[\"z\"]}"), -EBUSY);
	assert_int_equal(w->config->n_workers, 2);
	struct config *config = parse(WORKERS("\"b\":{\"command\":[\"z\"]}"));
	struct buf changes;
	struct err err;
	buf_init(&changes, 4096);
	assert_int_equal(reload_preview(w, config, &changes, &err), -EBUSY);
	assert_string_equal(err.text, "podvisor is stopping: the configuration is not read again");
	assert_int_equal(changes.len, 0);
	buf_fini(&changes);
	config_release(config);
	world_free(w);
}

static void a_reload_restarts_only_what_changed(void **state)
{
	(void)state;
	struct world *w = world_of(two);
	settle(w, 1);
	uint64_t a = find(w, "a")->run, b = find(w, "b")->run;
	reload(w, WORKERS("\"b\":{\"command\":[\"z\"]},\"a\":{\"command\":[\"x\"]}"), 0);
	settle(w, 100);
	assert_true(find(w, "a")->run == a);
	assert_true(find(w, "b")->run > b);
	assert_string_equal(find(w, "b")->config->command[0], "z");
	assert_int_equal(find(w, "b")->restarts[CAUSE_RELOAD], 1);
	world_free(w);
}

static void a_reload_stops_the_old_run_as_it_was_configured(void **state)
{
	(void)state;
#define STOPS(signal, timeout) \
	WORKERS("\"a\":{\"command\":[\"x\"],\"stop\":{\"signal\":\"" signal "\",\"timeout\":\"" timeout "\"}}")
	struct world *w = world_of(STOPS("SIGINT", "30s"));
	settle(w, 1);
	reload(w, STOPS("SIGQUIT", "1s"), 0);
	struct plan plan;
	plan_init(&plan);
	reconcile(w, 100, WALL + 100, &plan);
	assert_int_equal(plan.count, 1);
	assert_int_equal(plan.effects[0].kind, EFFECT_WORKER_SIGNAL);
	assert_int_equal(plan.effects[0].value, SIGINT);
	assert_int_equal(find(w, "a")->stop_deadline, 100 + 30000);
	plan_fini(&plan);
	end(w, "a", 0, 200);
	settle(w, 200);
	struct event stop = {.kind = EVENT_ASKED_STOP};
	world_apply(w, &stop, 300);
	plan_once(w, 300);
	assert_int_equal(find(w, "a")->stop_deadline, 300 + 1000);
	world_free(w);
}

static void a_reload_stops_what_is_gone_and_starts_what_is_new(void **state)
{
	(void)state;
	struct world *w = world_of(two);
	settle(w, 1);
	reload(w, WORKERS("\"b\":{\"command\":[\"y\"]},\"c\":{\"command\":[\"x\"],\"depends_on\":[\"b\"]}"), 0);
	settle(w, 100);
	assert_int_equal(world_find_worker(w, "a"), -1);
	assert_int_equal(find(w, "c")->state, WORKER_READY);
	reload(w, two, 0);
	settle(w, 200);
	assert_int_equal(find(w, "a")->state, WORKER_READY);
	world_free(w);
}

static void more_instances_start_and_fewer_stop(void **state)
{
	(void)state;
	struct world *w = world_of(WORKERS("\"a\":{\"command\":[\"x\"],\"instances\":2}"));
	settle(w, 1);
	uint64_t first = find(w, "a.0")->run;
	reload(w, WORKERS("\"a\":{\"command\":[\"x\"],\"instances\":4}"), 0);
	settle(w, 100);
	assert_int_equal(find(w, "a.3")->state, WORKER_READY);
	assert_true(find(w, "a.0")->run == first);
	reload(w, WORKERS("\"a\":{\"command\":[\"x\"],\"instances\":2}"), 0);
	settle(w, 200);
	assert_int_equal(world_find_worker(w, "a.3"), -1);
	assert_true(find(w, "a.0")->run == first);
	world_free(w);
}

static void instances_that_a_reload_removes_do_not_count_while_they_end(void **state)
{
	(void)state;
#define SCALED(n)                                                                                     \
	WORKERS("\"a\":{\"command\":[\"x\"],\"instances\":" n ",\"critical\":true},"                  \
		"\"b\":{\"command\":[\"y\"],\"depends_on\":[\"a\"],\"on_dependency_loss\":\"pause\"," \
		"\"grace\":\"0s\"}")
	struct world *w = world_of(SCALED("3"));
	settle(w, 1);
	reload(w, SCALED("2"), 0);
	plan_once(w, 100);
	assert_int_equal(find(w, "a.2")->state, WORKER_STOPPING);
	assert_true(ready(w, 100));
	plan_once(w, 200);
	assert_int_equal(find(w, "b")->state, WORKER_READY);
	world_free(w);
}

static void a_change_between_one_instance_and_several_starts_none_beside_its_predecessor(void **state)
{
	(void)state;
	struct world *w = world_of(WORKERS("\"a\":{\"command\":[\"x\"],\"instances\":2}"));
	settle(w, 1);
	reload(w, WORKERS("\"a\":{\"command\":[\"x\"]}"), 0);
	struct plan plan;
	plan_init(&plan);
	reconcile(w, 100, WALL + 100, &plan);
	for (size_t i = 0; i < plan.count; i++)
		assert_int_equal(plan.effects[i].kind, EFFECT_WORKER_SIGNAL);
	for (size_t i = 0; i < plan.count; i++)
		answer(w, &plan.effects[i], 100);
	plan_fini(&plan);
	settle(w, 100);
	assert_int_equal(world_find_worker(w, "a.0"), -1);
	assert_int_equal(find(w, "a")->state, WORKER_READY);
	world_free(w);
}

static void a_worker_whose_configuration_was_mended_does_not_wait_for_its_back_off(void **state)
{
	(void)state;
	struct world *w = world_of(WORKERS("\"a\":{\"command\":[\"x\"]}"));
	settle(w, 1);
	end(w, "a", 0x100, 10);
	settle(w, 10);
	end(w, "a", 0x100, 20);
	settle(w, 20);
	assert_int_equal(find(w, "a")->state, WORKER_BACKOFF);
	reload(w, WORKERS("\"a\":{\"command\":[\"y\"]}"), 0);
	settle(w, 20);
	assert_int_equal(find(w, "a")->state, WORKER_READY);
	world_free(w);
}

static void ask(struct world *w, const char *name, enum event_kind kind, ms_t now)
{
	struct event e = {.kind = kind, .slot = find(w, name)->slot};
	world_apply(w, &e, now);
}

static void who_is_stopped_and_started_takes_its_group_along(void **state)
{
	(void)state;
	struct world *w = world_of(WORKERS("\"a\":{\"command\":[\"x\"]},"
					   "\"b\":{\"command\":[\"x\"],\"restart_with\":[\"a\"]}"));
	settle(w, 1);
	uint64_t b = find(w, "b")->run;
	ask(w, "a", EVENT_ASKED_STOP, 10);
	settle(w, 10);
	assert_int_equal(find(w, "a")->state, WORKER_STOPPED);
	assert_int_equal(find(w, "b")->run, b);
	ask(w, "a", EVENT_ASKED_START, 20);
	plan_once(w, 20);
	assert_int_equal(find(w, "b")->state, WORKER_STOPPING);
	assert_false(worker_is_up(find(w, "a")));
	end(w, "b", 0, 20);
	settle(w, 20);
	assert_int_equal(find(w, "a")->state, WORKER_READY);
	assert_int_equal(find(w, "b")->state, WORKER_READY);
	assert_int_equal(find(w, "b")->restarts[CAUSE_GROUP], 1);
	world_free(w);
}

static void who_is_mended_after_it_had_failed_takes_its_group_along(void **state)
{
	(void)state;
	static const char after[] = ",\"restart\":{\"policy\":\"never\"}},"
				    "\"b\":{\"command\":[\"x\"],\"restart_with\":[\"a\"]}}}";
	char before[200], mended[200];
	snprintf(before, sizeof(before), "{\"workers\":{\"a\":{\"command\":[\"x\"]%s", after);
	snprintf(mended, sizeof(mended), "{\"workers\":{\"a\":{\"command\":[\"y\"]%s", after);
	struct world *w = world_of(before);
	settle(w, 1);
	end(w, "a", 0x100, 10);
	settle(w, 10);
	assert_int_equal(find(w, "a")->state, WORKER_FAILED);
	reload(w, mended, 0);
	settle(w, 100);
	assert_int_equal(find(w, "a")->state, WORKER_READY);
	assert_int_equal(find(w, "b")->restarts[CAUSE_GROUP], 1);
	world_free(w);
}

static void a_partner_that_stops_is_no_dependency_that_is_lost(void **state)
{
	(void)state;
	struct world *w = world_of(WORKERS("\"a\":{\"command\":[\"x\"],\"on_dependency_loss\":\"pause\"},"
					   "\"b\":{\"command\":[\"x\"],\"restart_with\":[\"a\"]}"));
	settle(w, 1);
	struct event stop = {.kind = EVENT_ASKED_STOP, .slot = find(w, "b")->slot};
	world_apply(w, &stop, 10);
	struct plan plan;
	plan_init(&plan);
	reconcile(w, 10, WALL + 10, &plan);
	reconcile(w, 10, WALL + 10, &plan);
	plan_fini(&plan);
	assert_int_equal(find(w, "b")->state, WORKER_STOPPING);
	assert_int_equal(find(w, "a")->state, WORKER_READY);
	world_free(w);
}

static const struct effect *find_effect(const struct plan *plan, enum effect_kind kind)
{
	for (size_t i = 0; i < plan->count; i++)
		if (plan->effects[i].kind == kind)
			return &plan->effects[i];
	return NULL;
}

static void a_third_signal_kills_a_browser_that_a_worker_still_needs(void **state)
{
	(void)state;
	struct world *w = world_of("{\"volumes\":{\"v\":{\"path\":\"/v\",\"size\":\"1Mi\"}},"
				   "\"browsers\":{\"c\":{\"volume\":\"v\"}},"
				   "\"workers\":{\"a\":{\"command\":[\"x\"],\"depends_on\":[\"browser:c\"]}}}");
	struct plan plan;
	plan_init(&plan);
	struct event e = {.kind = EVENT_VOLUME_PREPARED};
	world_apply(w, &e, 1);
	reconcile(w, 1, WALL + 1, &plan);
	e = (struct event){.kind = EVENT_BROWSER_STARTED, .run = browser_lead(&w->browsers[0])->run, .pid = 7};
	world_apply(w, &e, 1);
	for (int rung = 0; rung < RUNG_COUNT; rung++) {
		e = (struct event){.kind = EVENT_BROWSER_ANSWERED, .run = browser_lead(&w->browsers[0])->run};
		e.browser.rung = (enum rung)rung;
		e.browser.ok = true;
		e.browser.port = 9;
		world_apply(w, &e, 1);
	}
	settle(w, 1);
	assert_true(worker_is_up(find(w, "a")));
	for (int i = 1; i <= 3; i++) {
		e = (struct event){.kind = EVENT_ASKED_SHUTDOWN, .count = i};
		world_apply(w, &e, 10);
	}
	reconcile(w, 10, WALL + 10, &plan);
	assert_non_null(find_effect(&plan, EFFECT_WORKER_KILL));
	assert_non_null(find_effect(&plan, EFFECT_BROWSER_KILL));
	plan_fini(&plan);
	world_free(w);
}

static void a_critical_worker_that_a_reload_removes_does_not_end_the_pod(void **state)
{
	(void)state;
	struct world *w = world_of(WORKERS("\"a\":{\"command\":[\"x\"]},"
					   "\"b\":{\"command\":[\"x\"],\"critical\":true}"));
	settle(w, 1);
	reload(w, WORKERS("\"a\":{\"command\":[\"x\"]}"), 0);
	assert_false(settle(w, 100));
	assert_int_equal(world_find_worker(w, "b"), -1);
	assert_false(w->drain.shutdown);
	world_free(w);
}

static void a_worker_that_is_configured_again_while_it_stops_comes_back(void **state)
{
	(void)state;
	struct world *w = world_of(two);
	settle(w, 1);
	uint64_t b = find(w, "b")->run;
	reload(w, WORKERS("\"a\":{\"command\":[\"x\"]}"), 0);
	plan_once(w, 100);
	assert_int_equal(find(w, "b")->state, WORKER_STOPPING);
	reload(w, two, 0);
	end(w, "b", 0, 110);
	settle(w, 110);
	assert_int_equal(find(w, "b")->state, WORKER_READY);
	assert_true(find(w, "b")->run > b);
	world_free(w);
}

static void a_reload_that_cannot_be_done_changes_nothing(void **state)
{
	(void)state;
	struct world *w = world_of(two);
	settle(w, 1);
	uint64_t a = find(w, "a")->run;
	struct config *before = w->config;
	reload(w, "{\"volumes\":{\"v\":{\"path\":\"/v\",\"size\":\"1Mi\"}},\"workers\":{\"a\":{\"command\":[\"q\"]}}}",
		-ENOTSUP);
	settle(w, 100);
	assert_ptr_equal(w->config, before);
	assert_true(find(w, "a")->run == a);
	world_free(w);
}

static void no_key_is_ignored_by_a_reload(void **state)
{
	(void)state;
	static const char *const refused[] = {
		"\"instance\":\"other\"", "\"control\":{\"listen\":\"none\"}", "\"control\":{\"socket\":\"/x\"}"};
	struct world *w = world_of("{\"instance\":\"i\"}");
	char text[128];
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		snprintf(text, sizeof(text), "{%s%s}", i ? "\"instance\":\"i\"," : "", refused[i]);
		reload(w, text, -ENOTSUP);
	}
	reload(w, "{\"instance\":\"i\",\"control\":{\"token\":\"t\"}}", 0);
	assert_string_equal(w->config->control.token, "t");
	world_free(w);
}

/* What reload_preview says between two configurations, the first of which runs. */
static void check_preview(const char *before, const char *after, const char *expected)
{
	struct world *w = world_of(before);
	settle(w, 1);
	struct config *config = parse(after);
	struct buf out;
	struct err err;
	buf_init(&out, 4096);
	assert_int_equal(reload_preview(w, config, &out, &err), 0);
	assert_string_equal(buf_str(&out), expected);
	buf_fini(&out);
	config_release(config);
	world_free(w);
}

static void the_preview_tells_what_a_reload_would_do(void **state)
{
	(void)state;
	check_preview(two, two, "");
	check_preview(two,
		WORKERS("\"b\":{\"command\":[\"z\"],\"stop\":{\"timeout\":\"3s\"}},\"c\":{\"command\":[\"x\"]}"),
		"~ worker b: command, stop.timeout 10s -> 3s; restarts\n+ worker c\n- worker a\n");
	check_preview("{\"log\":{\"level\":\"info\"}}",
		"{\"log\":{\"level\":\"debug\"},\"shutdown\":{\"deadline\":\"30s\"},"
		"\"control\":{\"token\":\"sesame\"}}",
		"~ control: token\n"
		"~ log: level info -> debug\n"
		"~ shutdown: deadline 55s -> 30s\n");
}

static void the_preview_of_more_instances_restarts_nobody(void **state)
{
	(void)state;
	check_preview(WORKERS("\"a\":{\"command\":[\"x\"],\"instances\":2}"),
		WORKERS("\"a\":{\"command\":[\"x\"],\"instances\":4},\"b\":{\"command\":[\"x\"],\"instances\":2}"),
		"~ worker a: instances 2 -> 4\n+ worker b: 2 instances\n");
	check_preview(WORKERS("\"a\":{\"command\":[\"x\"]}"), WORKERS("\"a\":{\"command\":[\"x\"],\"instances\":2}"),
		"~ worker a: instances 1 -> 2; restarts\n");
}

static void the_preview_of_what_cannot_be_done_is_refused_as_the_reload_is(void **state)
{
	(void)state;
	struct world *w = world_of(two);
	struct config *config = parse("{\"volumes\":{\"v\":{\"path\":\"/v\",\"size\":\"1Mi\"}}}");
	struct buf out;
	struct err err;
	buf_init(&out, 4096);
	assert_int_equal(reload_preview(w, config, &out, &err), -ENOTSUP);
	assert_non_null(strstr(err.text, "volumes"));
	assert_int_equal(out.len, 0);
	config_release(config);
	world_free(w);
}

/* ---- verdicts ---- */

static const char stack[] =
	"{\"postgres\":{\"main\":{\"dsn\":\"host=h\"}},"
	"\"gateway\":{\"listen\":\"127.0.0.1:80\",\"routes\":[{\"path\":\"/"
	"\",\"worker\":\"a\",\"to\":\"127.0.0.1:1\"}]},"
	"\"workers\":{\"a\":{\"command\":[\"x\"],\"critical\":true,\"stop\":{\"phase\":\"after-drain\"}},"
	"\"b\":{\"command\":[\"x\"]}}}";

static struct world *ready_stack(void)
{
	struct world *w = world_of(stack);
	settle(w, 1);
	assert_false(ready(w, 1));
	struct event e = {.kind = EVENT_GATEWAY_LISTENING};
	world_apply(w, &e, 1);
	assert_false(ready(w, 1));
	e = (struct event){.kind = EVENT_POSTGRES_ANSWERED, .run = w->databases[0].run};
	world_apply(w, &e, 1);
	settle(w, 1);
	assert_true(ready(w, 1));
	return w;
}

static void ready_needs_critical_workers_the_gateway_and_a_first_answer_of_the_database(void **state)
{
	(void)state;
	struct world *w = ready_stack();
	end(w, "b", 0, 1);
	assert_true(ready(w, 1));
	end(w, "a", 0, 1);
	assert_false(ready(w, 1));
	world_free(w);
}

static void one_failing_thing_behind_very_many_good_ones_is_told(void **state)
{
	(void)state;
	char *text = malloc(64 << 10), *at = text + sprintf(text, "{\"workers\":{");
	for (int i = 0; i < VERDICT_ITEMS_MAX + 10; i++)
		at += sprintf(at, "\"w%d\":{\"command\":[\"x\"],\"critical\":true},", i);
	strcpy(at - 1, "}}");
	struct world *w = world_of(text);
	free(text);
	settle(w, 1);
	assert_true(ready(w, 1));
	w->workers[VERDICT_ITEMS_MAX + 5].state = WORKER_BACKOFF;
	struct verdict v;
	verdict_of(w, VERDICT_READY, NULL, 1, &v);
	assert_false(v.ok);
	assert_int_equal(v.count, VERDICT_ITEMS_MAX);
	assert_string_equal(v.items[VERDICT_ITEMS_MAX - 1].name, "worker:w133");
	assert_false(v.items[VERDICT_ITEMS_MAX - 1].ok);
	world_free(w);
}

static void an_excluded_name_does_not_count(void **state)
{
	(void)state;
	struct world *w = ready_stack();
	end(w, "a", 0, 1);
	struct verdict v;
	verdict_of(w, VERDICT_READY, (const char *const[]){"worker:a", NULL}, 1, &v);
	assert_true(v.ok);
	world_free(w);
}

static void on_sigterm_it_stays_ready_until_the_listener_closes(void **state)
{
	(void)state;
	struct world *w = ready_stack();
	struct event e = {.kind = EVENT_ASKED_SHUTDOWN, .count = 1};
	world_apply(w, &e, 10);
	settle(w, 10);
	assert_int_equal(w->drain.state, DRAIN_LAME_DUCK);
	assert_true(ready(w, 10));
	settle(w, 10 + w->config->gateway.drain.lame_duck);
	assert_int_equal(w->drain.state, DRAIN_DRAINING);
	assert_false(ready(w, 10000));
	world_free(w);
}

static void a_drain_asked_for_through_the_api_is_unready_at_once(void **state)
{
	(void)state;
	struct world *w = ready_stack();
	struct event e = {.kind = EVENT_ASKED_DRAIN};
	world_apply(w, &e, 10);
	settle(w, 10);
	assert_false(ready(w, 10));
	struct verdict v;
	verdict_of(w, VERDICT_LIVE, NULL, 10, &v);
	assert_true(v.ok);
	world_free(w);
}

static void startup_stays_good_once_it_was(void **state)
{
	(void)state;
	struct world *w = ready_stack();
	end(w, "a", 0, 1);
	struct verdict v;
	verdict_of(w, VERDICT_STARTUP, NULL, 1, &v);
	assert_true(v.ok);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(workers_start_behind_what_they_depend_on),
		cmocka_unit_test(instances_have_names_and_numbers_of_their_own),
		cmocka_unit_test(a_critical_worker_that_ends_for_good_ends_the_pod_with_its_code),
		cmocka_unit_test(an_uncritical_worker_that_fails_leaves_the_pod_alone),
		cmocka_unit_test(limit_action_exit_ends_the_pod_for_an_uncritical_worker_too),
		cmocka_unit_test(somebody_stopping_a_critical_worker_does_not_end_the_pod),
		cmocka_unit_test(a_refused_volume_ends_the_pod_with_78),
		cmocka_unit_test(a_release_that_never_ends_does_not_hold_the_pod_beyond_its_deadline),
		cmocka_unit_test(a_worker_that_nothing_kills_does_not_hold_the_pod_beyond_its_deadline),
		cmocka_unit_test(who_used_up_the_deadline_is_told),
		cmocka_unit_test(an_end_in_time_blames_nobody),
		cmocka_unit_test(an_extended_stop_ends_with_the_budget_of_the_shutdown),
		cmocka_unit_test(a_reload_comes_too_late_when_podvisor_stops),
		cmocka_unit_test(a_reload_restarts_only_what_changed),
		cmocka_unit_test(a_reload_stops_the_old_run_as_it_was_configured),
		cmocka_unit_test(a_reload_stops_what_is_gone_and_starts_what_is_new),
		cmocka_unit_test(more_instances_start_and_fewer_stop),
		cmocka_unit_test(instances_that_a_reload_removes_do_not_count_while_they_end),
		cmocka_unit_test(a_change_between_one_instance_and_several_starts_none_beside_its_predecessor),
		cmocka_unit_test(a_worker_whose_configuration_was_mended_does_not_wait_for_its_back_off),
		cmocka_unit_test(who_is_stopped_and_started_takes_its_group_along),
		cmocka_unit_test(who_is_mended_after_it_had_failed_takes_its_group_along),
		cmocka_unit_test(a_partner_that_stops_is_no_dependency_that_is_lost),
		cmocka_unit_test(a_third_signal_kills_a_browser_that_a_worker_still_needs),
		cmocka_unit_test(a_critical_worker_that_a_reload_removes_does_not_end_the_pod),
		cmocka_unit_test(a_worker_that_is_configured_again_while_it_stops_comes_back),
		cmocka_unit_test(a_reload_that_cannot_be_done_changes_nothing),
		cmocka_unit_test(no_key_is_ignored_by_a_reload),
		cmocka_unit_test(the_preview_tells_what_a_reload_would_do),
		cmocka_unit_test(the_preview_of_more_instances_restarts_nobody),
		cmocka_unit_test(the_preview_of_what_cannot_be_done_is_refused_as_the_reload_is),
		cmocka_unit_test(ready_needs_critical_workers_the_gateway_and_a_first_answer_of_the_database),
		cmocka_unit_test(one_failing_thing_behind_very_many_good_ones_is_told),
		cmocka_unit_test(an_excluded_name_does_not_count),
		cmocka_unit_test(on_sigterm_it_stays_ready_until_the_listener_closes),
		cmocka_unit_test(a_drain_asked_for_through_the_api_is_unready_at_once),
		cmocka_unit_test(startup_stays_good_once_it_was),
	};
	return cmocka_run_group_tests_name("world", tests, NULL, NULL);
}
