/* Two generations of one browser: green starts beside blue, takes over, and blue goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "podvisor/model/browser.h"

#define MIB ((int64_t)1 << 20)

static struct config source = {.refs = 1000000};
static char *none[] = {NULL};
static const struct config_browser config = {
	.name = (char *)"chrome",
	.args = none,
	.allow_origins = none,
	.health_browser = {.interval = 5000, .timeout = 2000, .failure_threshold = 1},
	.health_renderer = {.interval = 15000, .timeout = 2000, .failure_threshold = 3},
	.health_network = {.interval = 60000, .timeout = 5000, .failure_threshold = 1},
	.start_timeout = 30000,
	.recycle = {.age = 21600000,
		.pages = 2000,
		.sessions = 500,
		.memory_bytes = 1200 * MIB,
		.memory_hard_bytes = 1800 * MIB,
		.per_hour = 3,
		.disk_percent = 40,
		.disk_hard_percent = 85},
	.overlap_memory_bytes = 600 * MIB,
	.overlap_disk_bytes = 512 * MIB,
	.drain = 120000,
};

struct stage {
	struct browser b;
	struct turn t;
	struct random random;
	struct journal journal;
	struct plan plan;
	uint64_t next_run;
	struct browser_gate gate;
};

static void plan_now(struct stage *s)
{
	plan_clear(&s->plan);
	browser_plan(&s->b, &s->gate, &s->next_run, &s->t);
}

static void at(struct stage *s, ms_t now)
{
	s->t.now = now;
	plan_now(s);
}

static const struct effect *planned(const struct stage *s, enum effect_kind kind, uint64_t run)
{
	for (size_t i = 0; i < s->plan.count; i++)
		if (s->plan.effects[i].kind == kind && s->plan.effects[i].run == run)
			return &s->plan.effects[i];
	return NULL;
}

static void happens(struct stage *s, uint64_t run, struct event e)
{
	e.run = run;
	browser_apply(&s->b, &e, &s->t);
	plan_now(s);
}

static void simply(struct stage *s, uint64_t run, enum event_kind kind)
{
	happens(s, run, (struct event){.kind = kind});
}

static void proves_itself(struct stage *s, uint64_t run)
{
	happens(s, run, (struct event){.kind = EVENT_BROWSER_STARTED, .pid = 70 + (int)run});
	for (int rung = 0; rung < RUNG_COUNT; rung++)
		happens(s, run,
			(struct event){.kind = EVENT_BROWSER_ANSWERED,
				.browser = {.rung = (enum rung)rung, .ok = true, .port = 9}});
}

static void has_sessions(struct stage *s, uint64_t run, int64_t now)
{
	happens(s, run, (struct event){.kind = EVENT_BROWSER_SESSIONS, .sessions = {now, now}});
}

static void is_worn(struct stage *s, uint64_t run)
{
	happens(s, run, (struct event){.kind = EVENT_BROWSER_MEASURED, .census = {.pages = 2000, .room_bytes = -1}});
}

static void ends(struct stage *s, uint64_t run)
{
	simply(s, run, EVENT_BROWSER_EXITED);
	simply(s, run, EVENT_BROWSER_GONE);
	assert_non_null(planned(s, EFFECT_BROWSER_CLEAN, run));
	simply(s, run, EVENT_BROWSER_CLEANED);
}

/* Run 1 serves. */
static void stage_set(struct stage *s)
{
	*s = (struct stage){.next_run = 1, .random = {42}, .gate = {true, "", -1, -1}};
	s->t = (struct turn){.now = 1000, .random = &s->random, .journal = &s->journal, .plan = &s->plan};
	plan_init(&s->plan);
	browser_init(&s->b, &source, &config, 0, s->t.now);
	plan_now(s);
	proves_itself(s, 1);
	assert_int_equal(s->b.state, BROWSER_READY);
	assert_non_null(planned(s, EFFECT_BROWSER_SERVE, 1));
	has_sessions(s, 1, 2);
}

static void stage_strike(struct stage *s)
{
	browser_fini(&s->b);
	plan_fini(&s->plan);
}

static const struct generation *run_of(const struct stage *s, uint64_t run)
{
	for (int i = 0; i < BROWSER_GENERATIONS; i++)
		if (s->b.generations[i].run == run)
			return &s->b.generations[i];
	return NULL;
}

static void green_takes_over_and_blue_goes_when_its_sessions_are_over(void **state)
{
	(void)state;
	struct stage s;
	stage_set(&s);
	is_worn(&s, 1);
	assert_non_null(planned(&s, EFFECT_BROWSER_LAUNCH, 2));
	assert_int_equal(planned(&s, EFFECT_BROWSER_LAUNCH, 2)->value, 2);
	assert_int_equal(s.b.state, BROWSER_READY);
	assert_true(browser_is_available(&s.b));
	s.t.now += 800;
	proves_itself(&s, 2);
	assert_non_null(planned(&s, EFFECT_BROWSER_SERVE, 2));
	assert_non_null(planned(&s, EFFECT_BROWSER_RETIRE, 1));
	assert_int_equal(browser_lead(&s.b)->run, 2);
	assert_int_equal(browser_other(&s.b)->state, GENERATION_DRAINING);
	assert_int_equal(s.b.state, BROWSER_READY);
	assert_int_equal(s.b.recycles[RECYCLE_PAGES], 1);
	assert_int_equal(s.b.swap.seconds.count, 1);
	assert_null(planned(&s, EFFECT_BROWSER_CLOSE, 1));
	s.t.now += 1000;
	has_sessions(&s, 1, 1);
	assert_null(planned(&s, EFFECT_BROWSER_CLOSE, 1));
	has_sessions(&s, 1, 0);
	assert_non_null(planned(&s, EFFECT_BROWSER_CLOSE, 1));
	ends(&s, 1);
	assert_null(browser_other(&s.b));
	assert_int_equal(s.b.state, BROWSER_READY);
	assert_int_equal(s.b.comebacks, 0); /* nobody was interrupted */
	stage_strike(&s);
}

static void a_session_in_the_turn_of_the_swap_is_waited_for(void **state)
{
	(void)state;
	struct stage s;
	stage_set(&s);
	has_sessions(&s, 1, 0);
	is_worn(&s, 1);
	proves_itself(&s, 2);
	assert_int_equal(run_of(&s, 1)->state, GENERATION_DRAINING);
	has_sessions(&s, 1, 1); /* it came before the swap, and is told after it */
	at(&s, s.t.now + 60000);
	assert_int_equal(run_of(&s, 1)->state, GENERATION_DRAINING);
	stage_strike(&s);
}

static void when_the_drain_is_over_blue_ends_with_what_is_left(void **state)
{
	(void)state;
	struct stage s;
	stage_set(&s);
	is_worn(&s, 1);
	proves_itself(&s, 2);
	ms_t begin = s.t.now;
	assert_true(s.plan.wake_at <= begin + 120000);
	at(&s, begin + 119999);
	assert_null(planned(&s, EFFECT_BROWSER_CLOSE, 1));
	at(&s, begin + 120000);
	assert_non_null(planned(&s, EFFECT_BROWSER_CLOSE, 1));
	assert_non_null(strstr(run_of(&s, 1)->reason, "2 sessions are cut"));
	at(&s, begin + 123000);
	assert_non_null(planned(&s, EFFECT_BROWSER_SIGNAL, 1));
	at(&s, begin + 125000);
	assert_non_null(planned(&s, EFFECT_BROWSER_KILL, 1));
	stage_strike(&s);
}

static void a_green_that_never_gets_ready_leaves_blue_serving_and_the_next_waits(void **state)
{
	(void)state;
	struct stage s;
	stage_set(&s);
	ms_t waited = 0;
	is_worn(&s, 1);
	for (uint64_t run = 2; run < 8; run++) {
		assert_non_null(planned(&s, EFFECT_BROWSER_LAUNCH, run));
		at(&s, s.t.now + 30000);
		assert_non_null(planned(&s, EFFECT_BROWSER_KILL, run));
		ends(&s, run);
		assert_int_equal(s.b.state, BROWSER_READY);
		assert_int_equal(browser_lead(&s.b)->run, 1);
		assert_null(planned(&s, EFFECT_BROWSER_RETIRE, 1));
		waited = s.b.swap.not_before - s.t.now;
		at(&s, s.b.swap.not_before - 1);
		assert_null(planned(&s, EFFECT_BROWSER_LAUNCH, run + 1));
		at(&s, s.b.swap.not_before);
	}
	assert_true(waited >= 60000);
	assert_int_equal(s.b.recycles[RECYCLE_START], 6);
	assert_int_equal(s.b.recycles[RECYCLE_PAGES], 0);
	stage_strike(&s);
}

static void without_room_for_two_it_drains_first(void **state)
{
	(void)state;
	struct stage s;
	stage_set(&s);
	s.gate.disk_percent = 80;
	s.gate.disk_free_bytes = 400 * MIB;
	is_worn(&s, 1);
	assert_null(planned(&s, EFFECT_BROWSER_LAUNCH, 2));
	assert_non_null(planned(&s, EFFECT_BROWSER_RETIRE, 1));
	assert_int_equal(s.b.state, BROWSER_DRAINING);
	s.t.now += 1000;
	has_sessions(&s, 1, 0);
	assert_non_null(planned(&s, EFFECT_BROWSER_CLOSE, 1));
	simply(&s, 1, EVENT_BROWSER_EXITED);
	simply(&s, 1, EVENT_BROWSER_GONE);
	assert_null(planned(&s, EFFECT_BROWSER_LAUNCH, 2));
	simply(&s, 1, EVENT_BROWSER_CLEANED);
	assert_non_null(planned(&s, EFFECT_BROWSER_LAUNCH, 2));
	s.t.now += 500;
	proves_itself(&s, 2);
	assert_int_equal(s.b.recycles[RECYCLE_PAGES], 1);
	assert_int_equal(s.b.swap.seconds.count, 1);
	stage_strike(&s);
}

static void memory_that_is_short_is_no_room_for_two(void **state)
{
	(void)state;
	struct stage s;
	stage_set(&s);
	happens(&s, 1,
		(struct event){.kind = EVENT_BROWSER_MEASURED, .census = {.pages = 2000, .room_bytes = 599 * MIB}});
	assert_null(planned(&s, EFFECT_BROWSER_LAUNCH, 2));
	assert_non_null(planned(&s, EFFECT_BROWSER_RETIRE, 1));
	stage_strike(&s);
}

static void under_pressure_it_is_never_two_and_the_drain_is_short(void **state)
{
	(void)state;
	struct stage s;
	stage_set(&s);
	assert_true(browser_ask_recycle(&s.b, RECYCLE_PRESSURE));
	assert_false(browser_ask_recycle(&s.b, RECYCLE_FULL));
	plan_now(&s);
	assert_null(planned(&s, EFFECT_BROWSER_LAUNCH, 2));
	assert_non_null(planned(&s, EFFECT_BROWSER_RETIRE, 1));
	assert_false(browser_ask_recycle(&s.b, RECYCLE_PRESSURE)); /* under way */
	at(&s, s.t.now + BROWSER_SHORT_DRAIN_MS - 1);
	assert_null(planned(&s, EFFECT_BROWSER_CLOSE, 1));
	at(&s, s.t.now + 1);
	assert_non_null(planned(&s, EFFECT_BROWSER_CLOSE, 1));
	assert_int_equal(s.b.recycles[RECYCLE_PRESSURE], 1);
	stage_strike(&s);
}

static void a_blue_that_crashes_while_green_starts_is_followed_by_it(void **state)
{
	(void)state;
	struct stage s;
	stage_set(&s);
	is_worn(&s, 1);
	simply(&s, 1, EVENT_BROWSER_EXITED);
	assert_non_null(planned(&s, EFFECT_BROWSER_KILL, 1));
	assert_int_equal(s.b.state, BROWSER_STARTING);
	assert_int_equal(browser_lead(&s.b)->run, 2);
	simply(&s, 1, EVENT_BROWSER_GONE);
	simply(&s, 1, EVENT_BROWSER_CLEANED);
	assert_null(planned(&s, EFFECT_BROWSER_LAUNCH, 3));
	assert_int_equal(s.b.comebacks, 1); /* its sessions were cut, and another one follows */
	proves_itself(&s, 2);
	assert_int_equal(s.b.state, BROWSER_READY);
	assert_int_equal(s.b.recycles[RECYCLE_CRASHED], 1);
	assert_int_equal(s.b.recycles[RECYCLE_PAGES], 0);
	stage_strike(&s);
}

static void a_green_that_crashes_after_the_swap_is_followed_beside_the_draining_blue(void **state)
{
	(void)state;
	struct stage s;
	stage_set(&s);
	is_worn(&s, 1);
	proves_itself(&s, 2);
	simply(&s, 2, EVENT_BROWSER_EXITED);
	simply(&s, 2, EVENT_BROWSER_GONE);
	assert_null(planned(&s, EFFECT_BROWSER_LAUNCH, 3));
	simply(&s, 2, EVENT_BROWSER_CLEANED);
	assert_non_null(planned(&s, EFFECT_BROWSER_LAUNCH, 3));
	assert_int_equal(run_of(&s, 1)->state, GENERATION_DRAINING);
	proves_itself(&s, 3);
	assert_int_equal(s.b.state, BROWSER_READY);
	assert_int_equal(run_of(&s, 1)->state, GENERATION_DRAINING);
	stage_strike(&s);
}

static void a_blue_that_hangs_while_it_drains_is_killed_and_blames_nobody(void **state)
{
	(void)state;
	struct stage s;
	stage_set(&s);
	is_worn(&s, 1);
	proves_itself(&s, 2);
	at(&s, s.t.now + 5000);
	assert_non_null(planned(&s, EFFECT_BROWSER_PROBE, 1));
	happens(&s, 1, (struct event){.kind = EVENT_BROWSER_ANSWERED, .browser = {.rung = RUNG_BROWSER}});
	assert_non_null(planned(&s, EFFECT_BROWSER_KILL, 1));
	assert_int_equal(s.b.recycles[RECYCLE_HUNG], 0);
	ends(&s, 1);
	assert_int_equal(s.b.state, BROWSER_READY);
	assert_int_equal(browser_lead(&s.b)->run, 2);
	stage_strike(&s);
}

static void a_stop_ends_both(void **state)
{
	(void)state;
	struct stage s;
	stage_set(&s);
	is_worn(&s, 1);
	proves_itself(&s, 2);
	browser_apply(&s.b, &(struct event){.kind = EVENT_ASKED_BROWSER_STOP}, &s.t);
	plan_now(&s);
	assert_non_null(planned(&s, EFFECT_BROWSER_CLOSE, 1));
	assert_non_null(planned(&s, EFFECT_BROWSER_CLOSE, 2));
	ends(&s, 2);
	assert_int_equal(s.b.state, BROWSER_STOPPING); /* of the other one */
	ends(&s, 1);
	assert_int_equal(s.b.state, BROWSER_STOPPED);
	assert_false(browser_is_up(&s.b));
	stage_strike(&s);
}

static void a_changed_configuration_starts_the_next_one_beside_it(void **state)
{
	(void)state;
	struct stage s;
	stage_set(&s);
	struct config_browser changed = config;
	changed.drain = 1000;
	browser_reconfigure(&s.b, &source, &changed, &s.t);
	plan_now(&s);
	assert_non_null(planned(&s, EFFECT_BROWSER_LAUNCH, 2));
	assert_ptr_equal(run_of(&s, 2)->config, &changed);
	assert_ptr_equal(run_of(&s, 1)->config, &config);
	browser_reconfigure(&s.b, &source, &config, &s.t); /* and again, before it has started */
	plan_now(&s);
	assert_non_null(planned(&s, EFFECT_BROWSER_SIGNAL, 2));
	ends(&s, 2);
	assert_non_null(planned(&s, EFFECT_BROWSER_LAUNCH, 3));
	assert_ptr_equal(run_of(&s, 3)->config, &config);
	proves_itself(&s, 3);
	assert_int_equal(s.b.recycles[RECYCLE_RELOAD], 1);
	stage_strike(&s);
}

static void asks(struct stage *s, enum event_kind kind)
{
	happens(s, 0, (struct event){.kind = kind});
}

static void a_restart_cuts_nobody_and_takes_the_group_along(void **state)
{
	(void)state;
	struct stage s;
	stage_set(&s);
	asks(&s, EVENT_ASKED_BROWSER_RESTART);
	assert_non_null(planned(&s, EFFECT_BROWSER_LAUNCH, 2));
	assert_int_equal(browser_lead(&s.b)->run, 1);
	assert_true(browser_is_available(&s.b));
	assert_int_equal(s.b.comebacks, 0);
	proves_itself(&s, 2);
	assert_int_equal(run_of(&s, 1)->state, GENERATION_DRAINING);
	assert_int_equal(browser_lead(&s.b)->run, 2);
	assert_int_equal(s.b.recycles[RECYCLE_COMMAND], 1);
	assert_int_equal(s.b.comebacks, 1);
	at(&s, s.t.now + 120000);
	ends(&s, 1);
	assert_int_equal(s.b.comebacks, 1);
	stage_strike(&s);
}

static void a_restart_in_a_swap_is_followed_by_one_that_starts_after_it(void **state)
{
	(void)state;
	struct stage s;
	stage_set(&s);
	is_worn(&s, 1);
	asks(&s, EVENT_ASKED_BROWSER_RESTART);
	assert_int_equal(run_of(&s, 2)->state, GENERATION_STOPPING);
	ends(&s, 2);
	assert_non_null(planned(&s, EFFECT_BROWSER_LAUNCH, 3));
	at(&s, s.t.now + 30000); /* it never gets ready */
	ends(&s, 3);
	assert_true(s.b.swap.not_before > s.t.now);
	asks(&s, EVENT_ASKED_BROWSER_RESTART);
	assert_non_null(planned(&s, EFFECT_BROWSER_LAUNCH, 4)); /* somebody asked: now */
	proves_itself(&s, 4);
	assert_int_equal(s.b.recycles[RECYCLE_COMMAND], 1);
	stage_strike(&s);
}

static void a_restart_without_room_for_two_drains_first(void **state)
{
	(void)state;
	struct stage s;
	stage_set(&s);
	s.gate.disk_percent = 80;
	s.gate.disk_free_bytes = 400 * MIB;
	asks(&s, EVENT_ASKED_BROWSER_RESTART);
	assert_int_equal(s.b.state, BROWSER_DRAINING);
	asks(&s, EVENT_ASKED_BROWSER_RESTART); /* is on its way already */
	at(&s, s.t.now + 1000);
	has_sessions(&s, 1, 0);
	ends(&s, 1);
	assert_non_null(planned(&s, EFFECT_BROWSER_LAUNCH, 2));
	assert_int_equal(s.b.comebacks, 1);
	proves_itself(&s, 2);
	assert_int_equal(s.b.comebacks, 1);
	assert_int_equal(s.b.recycles[RECYCLE_COMMAND], 1);
	stage_strike(&s);
}

static void no_more_than_per_hour_and_it_is_told_once(void **state)
{
	(void)state;
	struct stage s;
	stage_set(&s);
	ms_t first = 0;
	for (uint64_t run = 1; run <= 3; run++) {
		is_worn(&s, run);
		assert_non_null(planned(&s, EFFECT_BROWSER_LAUNCH, run + 1));
		proves_itself(&s, run + 1);
		first = first ? first : s.t.now;
		s.t.now += 1000;
		has_sessions(&s, run, 0);
		ends(&s, run);
	}
	uint64_t told = s.journal.last_seq;
	is_worn(&s, 4);
	assert_int_equal(s.plan.count, 0);
	assert_int_equal(s.journal.last_seq, told + 1);
	at(&s, first + 3599999);
	assert_null(planned(&s, EFFECT_BROWSER_LAUNCH, 5));
	assert_int_equal(s.journal.last_seq, told + 1);
	assert_true(s.plan.wake_at <= first + 3600000);
	at(&s, first + 3600000);
	assert_non_null(planned(&s, EFFECT_BROWSER_LAUNCH, 5));
	stage_strike(&s);
}

static void what_asked_for_it_may_pass(void **state)
{
	(void)state;
	struct stage s;
	stage_set(&s);
	s.b.swap.not_before = s.t.now + 60000; /* a green has failed before */
	is_worn(&s, 1);
	assert_null(planned(&s, EFFECT_BROWSER_LAUNCH, 2));
	happens(&s, 1, (struct event){.kind = EVENT_BROWSER_MEASURED, .census = {.pages = 10, .room_bytes = -1}});
	at(&s, s.t.now + 60000);
	assert_null(planned(&s, EFFECT_BROWSER_LAUNCH, 2));
	stage_strike(&s);
}

static void the_disk_that_fills_after_it_was_ready_is_its_own(void **state)
{
	(void)state;
	struct stage s;
	stage_set(&s);
	s.gate.disk_percent = 30;
	s.gate.disk_free_bytes = 4096 * MIB;
	at(&s, s.t.now + 6000);
	assert_int_equal(browser_lead(&s.b)->facts.disk_base, 30);
	s.gate.disk_percent = 41;
	at(&s, s.t.now + 1000);
	assert_non_null(planned(&s, EFFECT_BROWSER_LAUNCH, 2));
	s.gate.disk_percent = 86;
	at(&s, s.t.now + 1000);
	assert_non_null(planned(&s, EFFECT_BROWSER_KILL, 1)); /* at once, whatever is under way */
	assert_int_equal(s.b.recycles[RECYCLE_DISK], 1);
	stage_strike(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(green_takes_over_and_blue_goes_when_its_sessions_are_over),
		cmocka_unit_test(a_session_in_the_turn_of_the_swap_is_waited_for),
		cmocka_unit_test(when_the_drain_is_over_blue_ends_with_what_is_left),
		cmocka_unit_test(a_green_that_never_gets_ready_leaves_blue_serving_and_the_next_waits),
		cmocka_unit_test(without_room_for_two_it_drains_first),
		cmocka_unit_test(memory_that_is_short_is_no_room_for_two),
		cmocka_unit_test(under_pressure_it_is_never_two_and_the_drain_is_short),
		cmocka_unit_test(a_blue_that_crashes_while_green_starts_is_followed_by_it),
		cmocka_unit_test(a_green_that_crashes_after_the_swap_is_followed_beside_the_draining_blue),
		cmocka_unit_test(a_blue_that_hangs_while_it_drains_is_killed_and_blames_nobody),
		cmocka_unit_test(a_stop_ends_both),
		cmocka_unit_test(a_changed_configuration_starts_the_next_one_beside_it),
		cmocka_unit_test(a_restart_cuts_nobody_and_takes_the_group_along),
		cmocka_unit_test(a_restart_in_a_swap_is_followed_by_one_that_starts_after_it),
		cmocka_unit_test(a_restart_without_room_for_two_drains_first),
		cmocka_unit_test(no_more_than_per_hour_and_it_is_told_once),
		cmocka_unit_test(what_asked_for_it_may_pass),
		cmocka_unit_test(the_disk_that_fills_after_it_was_ready_is_its_own),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
