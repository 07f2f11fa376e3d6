#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "podvisor/model/drain.h"

static const struct config usual = {
	.shutdown = {.deadline = 55000},
	.gateway = {.present = true,
		.drain =
			{.code = 1012, .lame_duck = 5000, .http_grace = 20000, .spread = 20000, .close_timeout = 5000}},
};

/* A drain with everything around it. */
struct stage {
	struct drain d;
	struct config config;
	struct turn t;
	struct random random;
	struct journal journal;
	struct plan plan;
	bool busy;
};

static void plan_now(struct stage *s)
{
	plan_clear(&s->plan);
	drain_plan(&s->d, &s->config, s->busy, &s->t);
}

static void at(struct stage *s, ms_t now)
{
	s->t.now = now;
	plan_now(s);
}

static void happens(struct stage *s, enum event_kind kind, int count)
{
	drain_apply(&s->d, &(struct event){.kind = kind, .count = count}, &s->t);
	plan_now(s);
}

static const struct effect *planned(const struct stage *s, enum effect_kind kind)
{
	for (size_t i = 0; i < s->plan.count; i++)
		if (s->plan.effects[i].kind == kind)
			return &s->plan.effects[i];
	return NULL;
}

static int told(const struct stage *s, const char *what)
{
	int n = 0;
	for (uint64_t i = 1; i <= s->journal.last_seq; i++)
		n += strcmp(journal_get(&s->journal, i)->what, what) == 0;
	return n;
}

static int set_up(void **state)
{
	static struct stage s;
	s = (struct stage){.config = usual, .busy = true, .random = {1}};
	s.config.shutdown.stop_share = 10000;
	s.t = (struct turn){.now = 1000, .random = &s.random, .journal = &s.journal, .plan = &s.plan};
	plan_init(&s.plan);
	drain_init(&s.d, 1000);
	*state = &s;
	return 0;
}

static int tear_down(void **state)
{
	plan_fini(&((struct stage *)*state)->plan);
	return 0;
}

static void listens(struct stage *s)
{
	plan_now(s);
	assert_non_null(planned(s, EFFECT_GATEWAY_LISTEN));
	happens(s, EVENT_GATEWAY_LISTENING, 0);
	assert_true(s->d.gateway_listening);
}

static void the_gateway_is_asked_to_listen_once(void **state)
{
	struct stage *s = *state;
	listens(s);
	assert_int_equal(s->plan.count, 0);
	assert_int_equal(s->d.state, DRAIN_SERVING);
}

static void a_worker_behind_the_gateway_that_stops_too_early_is_remarked(void **state)
{
	struct stage *s = *state;
	struct config_worker workers[2] = {{.stop = {.phase = STOP_AFTER_DRAIN}}, {.stop = {.phase = STOP_ON_TERM}}};
	struct config_route routes[3] = {{.path = (char *)"/a", .worker = (char *)"good", .worker_ref = {.index = 0}},
		{.path = (char *)"/b", .worker = (char *)"early", .worker_ref = {.index = 1}}, {.path = (char *)"/c"}};
	s->config.workers = workers;
	s->config.n_workers = 2;
	s->config.gateway.routes = routes;
	s->config.gateway.n_routes = 3;
	listens(s);
	plan_now(s);
	assert_int_equal(told(s, "on-term"), 1);
}

static void listening_is_tried_again_after_a_failure_and_later_each_time(void **state)
{
	struct stage *s = *state;
	plan_now(s);
	ms_t last = 0;
	for (int i = 0; i < 8; i++) {
		assert_non_null(planned(s, EFFECT_GATEWAY_LISTEN));
		ms_t failed = s->t.now;
		happens(s, EVENT_GATEWAY_FAILED, 0);
		assert_null(planned(s, EFFECT_GATEWAY_LISTEN));
		ms_t wait = s->plan.wake_at - failed;
		assert_true(wait >= last && wait <= 15000 && wait > 0);
		last = wait;
		at(s, s->plan.wake_at);
	}
	assert_int_equal(last, 15000);
}

static void sigterm_passes_through_all_phases(void **state)
{
	struct stage *s = *state;
	listens(s);
	happens(s, EVENT_ASKED_SHUTDOWN, 1);
	assert_int_equal(s->d.state, DRAIN_LAME_DUCK);
	assert_non_null(planned(s, EFFECT_GATEWAY_LAME_DUCK));
	assert_int_equal(s->d.deadline, 56000);
	assert_int_equal(s->plan.wake_at, 6000);
	at(s, 5999);
	assert_int_equal(s->d.state, DRAIN_LAME_DUCK);
	at(s, 6000);
	assert_int_equal(s->d.state, DRAIN_DRAINING);
	assert_int_equal(planned(s, EFFECT_GATEWAY_DRAIN)->value, 20000);
	assert_false(s->d.gateway_listening);
	at(s, 7000);
	assert_int_equal(s->plan.count, 0);
	happens(s, EVENT_GATEWAY_EMPTY, 0);
	assert_int_equal(s->d.state, DRAIN_STOPPING);
	s->busy = false;
	at(s, 8000);
	assert_int_equal(s->d.state, DRAIN_DONE);
	assert_non_null(planned(s, EFFECT_GATEWAY_CLOSE));
	at(s, 9000);
	assert_int_equal(s->plan.count, 0);
}

static void draining_ends_when_its_share_of_the_budget_is_over(void **state)
{
	struct stage *s = *state;
	listens(s);
	happens(s, EVENT_ASKED_SHUTDOWN, 1);
	at(s, 6000);
	assert_int_equal(s->plan.wake_at, 46000);
	at(s, 45999);
	assert_int_equal(s->d.state, DRAIN_DRAINING);
	at(s, 46000);
	assert_int_equal(s->d.state, DRAIN_STOPPING);
}

static void without_a_gateway_the_workers_stop_at_once(void **state)
{
	struct stage *s = *state;
	s->config.gateway.present = false;
	plan_now(s);
	assert_int_equal(s->plan.count, 0);
	happens(s, EVENT_ASKED_SHUTDOWN, 1);
	assert_int_equal(s->d.state, DRAIN_STOPPING);
	assert_int_equal(s->plan.count, 0);
	s->busy = false;
	at(s, 1001);
	assert_int_equal(s->d.state, DRAIN_DONE);
	assert_null(planned(s, EFFECT_GATEWAY_CLOSE));
}

static void a_gateway_that_does_not_listen_is_not_waited_for(void **state)
{
	struct stage *s = *state;
	plan_now(s);
	happens(s, EVENT_GATEWAY_FAILED, 0);
	happens(s, EVENT_ASKED_SHUTDOWN, 1);
	assert_int_equal(s->d.state, DRAIN_STOPPING);
	assert_null(planned(s, EFFECT_GATEWAY_DRAIN));
}

static void a_second_signal_skips_what_remains_of_the_lame_duck_and_the_drain(void **state)
{
	struct stage *s = *state;
	listens(s);
	happens(s, EVENT_ASKED_SHUTDOWN, 1);
	happens(s, EVENT_ASKED_SHUTDOWN, 2);
	assert_int_equal(s->d.state, DRAIN_STOPPING);
	assert_int_equal(planned(s, EFFECT_GATEWAY_DRAIN)->value, 0);
	assert_int_equal(told(s, "hurried"), 1);
	assert_int_equal(s->d.signals, 2);
	assert_string_equal(s->d.why, "podvisor was asked to stop; then a second signal");
	assert_null(drain_haste(&s->d));
	assert_string_equal(drain_ending(&s->d),
		"podvisor ended in order, without what remained of the drain: a second signal asked for it");
}

static void each_signal_is_told_once_and_the_third_kills(void **state)
{
	struct stage *s = *state;
	listens(s);
	for (int i = 1; i <= 5; i++)
		happens(s, EVENT_ASKED_SHUTDOWN, i);
	assert_int_equal(told(s, "hurried"), 2);
	assert_string_equal(s->d.why, "podvisor was asked to stop; then a second signal; then a third signal");
	assert_string_equal(drain_haste(&s->d), "a third signal asked for it");
	assert_string_equal(drain_ending(&s->d),
		"podvisor ended at once: a third signal asked for it, and what still ran was killed");
	s->busy = true;
	at(s, 60000);
	assert_int_equal(told(s, "overdue"), 0);
	assert_string_equal(drain_haste(&s->d), "a third signal asked for it");
}

static void a_second_signal_ends_draining_too(void **state)
{
	struct stage *s = *state;
	listens(s);
	happens(s, EVENT_ASKED_SHUTDOWN, 1);
	at(s, 6000);
	happens(s, EVENT_ASKED_SHUTDOWN, 2);
	assert_int_equal(s->d.state, DRAIN_STOPPING);
	assert_null(planned(s, EFFECT_GATEWAY_DRAIN));
}

static void a_drain_through_the_api_drains_and_stays(void **state)
{
	struct stage *s = *state;
	listens(s);
	happens(s, EVENT_ASKED_DRAIN, 0);
	assert_true(s->d.by_api);
	assert_int_equal(s->d.state, DRAIN_LAME_DUCK);
	at(s, 6000);
	assert_int_equal(planned(s, EFFECT_GATEWAY_DRAIN)->value, 20000);
	happens(s, EVENT_GATEWAY_EMPTY, 0);
	at(s, 10000000);
	assert_int_equal(s->d.state, DRAIN_DRAINING);
	assert_true(s->plan.wake_at == CLOCK_NEVER);
	happens(s, EVENT_ASKED_SHUTDOWN, 1);
	assert_int_equal(s->d.state, DRAIN_STOPPING);
	assert_int_equal(s->d.deadline, 10055000);
}

static void undrain_takes_a_lame_duck_back(void **state)
{
	struct stage *s = *state;
	listens(s);
	happens(s, EVENT_ASKED_DRAIN, 0);
	happens(s, EVENT_ASKED_UNDRAIN, 0);
	assert_int_equal(s->d.state, DRAIN_SERVING);
	assert_non_null(planned(s, EFFECT_GATEWAY_SERVE));
	assert_false(s->d.by_api);
	at(s, 100000);
	assert_int_equal(s->d.state, DRAIN_SERVING);
	assert_int_equal(s->plan.count, 0);
}

static void undrain_makes_a_drained_gateway_listen_again(void **state)
{
	struct stage *s = *state;
	listens(s);
	happens(s, EVENT_ASKED_DRAIN, 0);
	at(s, 6000);
	happens(s, EVENT_GATEWAY_EMPTY, 0);
	happens(s, EVENT_ASKED_UNDRAIN, 0);
	assert_non_null(planned(s, EFFECT_GATEWAY_SERVE));
	assert_null(planned(s, EFFECT_GATEWAY_LISTEN));
	happens(s, EVENT_GATEWAY_LISTENING, 0);
	assert_true(s->d.gateway_listening);
	happens(s, EVENT_ASKED_DRAIN, 0);
	assert_int_equal(s->d.state, DRAIN_LAME_DUCK);
}

static void a_shutdown_cannot_be_taken_back(void **state)
{
	struct stage *s = *state;
	listens(s);
	happens(s, EVENT_ASKED_DRAIN, 0);
	happens(s, EVENT_ASKED_SHUTDOWN, 1);
	happens(s, EVENT_ASKED_UNDRAIN, 0);
	assert_int_equal(s->d.state, DRAIN_LAME_DUCK);
	assert_int_equal(told(s, "undrain"), 1);
}

static void a_budget_that_is_too_small_shortens_the_phases_and_says_so_once(void **state)
{
	struct stage *s = *state;
	s->config.shutdown.deadline = 20000;
	listens(s);
	happens(s, EVENT_ASKED_SHUTDOWN, 1);
	at(s, 2000);
	assert_int_equal(told(s, "shortened"), 1);
	assert_int_equal(s->plan.wake_at, 1000 + 10000 / 3);
	at(s, s->plan.wake_at);
	assert_int_equal(s->d.state, DRAIN_DRAINING);
	assert_int_equal(planned(s, EFFECT_GATEWAY_DRAIN)->value, 10000 - 10000 / 3 - 5000);
	assert_int_equal(s->plan.wake_at, 11000);
	at(s, 11000);
	assert_int_equal(s->d.state, DRAIN_STOPPING);
	assert_int_equal(told(s, "shortened"), 1);
}

static void the_usual_budget_is_not_shortened(void **state)
{
	struct stage *s = *state;
	listens(s);
	happens(s, EVENT_ASKED_SHUTDOWN, 1);
	assert_int_equal(told(s, "shortened"), 0);
}

static void what_still_runs_at_the_deadline_is_killed(void **state)
{
	struct stage *s = *state;
	listens(s);
	happens(s, EVENT_ASKED_SHUTDOWN, 1);
	at(s, 6000);
	at(s, 46000);
	assert_int_equal(s->d.state, DRAIN_STOPPING);
	at(s, 51000); /* who was connected had their time to say goodbye */
	assert_int_equal(s->plan.wake_at, 55000);
	at(s, 55000);
	assert_int_equal(s->d.signals, 3);
	assert_string_equal(drain_haste(&s->d), "shutdown.deadline is nearly over");
	assert_non_null(strstr(drain_ending(&s->d), "shutdown.deadline was nearly over"));
	assert_string_equal(s->d.why, "podvisor was asked to stop; then shutdown.deadline was nearly over");
	assert_int_equal(told(s, "overdue"), 1);
	at(s, 55500);
	assert_int_equal(told(s, "overdue"), 1);
}

static void a_gateway_that_began_to_listen_too_late_is_drained_all_the_same(void **state)
{
	struct stage *s = *state;
	plan_now(s);
	happens(s, EVENT_ASKED_DRAIN, 0);
	assert_int_equal(s->d.state, DRAIN_DRAINING);
	happens(s, EVENT_GATEWAY_LISTENING, 0);
	assert_non_null(planned(s, EFFECT_GATEWAY_DRAIN));
	assert_false(s->d.gateway_listening);
}

static void while_it_stops_those_still_connected_are_told_and_may_answer(void **state)
{
	struct stage *s = *state;
	listens(s);
	happens(s, EVENT_ASKED_SHUTDOWN, 1);
	at(s, 6000);
	happens(s, EVENT_ASKED_SHUTDOWN, 2);
	assert_non_null(planned(s, EFFECT_GATEWAY_HURRY));
	s->busy = false;
	at(s, 6100);
	assert_int_equal(s->d.state, DRAIN_STOPPING);
	assert_int_equal(s->plan.wake_at, 11000);
	happens(s, EVENT_GATEWAY_EMPTY, 0);
	assert_int_equal(s->d.state, DRAIN_DONE);
}

static void those_who_do_not_answer_are_cut_off_after_close_timeout(void **state)
{
	struct stage *s = *state;
	listens(s);
	happens(s, EVENT_ASKED_SHUTDOWN, 1);
	at(s, 6000);
	happens(s, EVENT_ASKED_SHUTDOWN, 2);
	at(s, 11000); /* workers may need longer */
	assert_int_equal(s->d.state, DRAIN_STOPPING);
	assert_true(s->plan.wake_at > 11000);
	s->busy = false;
	at(s, 11001);
	assert_int_equal(s->d.state, DRAIN_DONE);
	assert_non_null(planned(s, EFFECT_GATEWAY_CLOSE));
	assert_false(s->d.gateway_closed);
	drain_apply(&s->d, &(struct event){.kind = EVENT_GATEWAY_EMPTY, .count = 3, .text = "clean 1"}, &s->t);
	assert_true(s->d.gateway_closed);
	assert_string_equal(s->d.summary, "clean 1");
	assert_int_equal(told(s, "drained"), 1);
}

static void what_was_told_of_an_empty_gateway_is_not_told_again_at_its_close(void **state)
{
	struct stage *s = *state;
	sigterm_passes_through_all_phases(state);
	assert_false(s->d.gateway_closed);
	drain_apply(&s->d, &(struct event){.kind = EVENT_GATEWAY_EMPTY, .text = "again"}, &s->t);
	assert_true(s->d.gateway_closed);
	assert_int_equal(told(s, "drained"), 1);
	assert_string_equal(s->d.summary, "");
}

static void a_third_signal_waits_for_no_goodbye(void **state)
{
	struct stage *s = *state;
	listens(s);
	happens(s, EVENT_ASKED_SHUTDOWN, 1);
	at(s, 6000);
	s->busy = false;
	happens(s, EVENT_ASKED_SHUTDOWN, 3);
	assert_int_equal(s->d.state, DRAIN_DONE);
}

static void a_deadline_before_the_first_slot_leaves_a_quarter_of_what_there_is(void **state)
{
	struct stage *s = *state;
	s->config.shutdown.deadline = 2000;
	s->config.shutdown.stop_share = 0;
	listens(s);
	happens(s, EVENT_ASKED_SHUTDOWN, 1);
	assert_int_equal(s->plan.wake_at, 1000 + 2000 / 3);
	at(s, 1000 + 2000 / 3);
	assert_int_equal(planned(s, EFFECT_GATEWAY_DRAIN)->value, (2000 - 2000 / 3) / 4);
}

/* The pod's node was suspended: the clock that never steps back makes one step. */
static void a_clock_that_leaps_over_the_deadline_ends_it_in_one_turn(void **state)
{
	struct stage *s = *state;
	listens(s);
	happens(s, EVENT_ASKED_SHUTDOWN, 1);
	s->busy = false;
	at(s, 3600000);
	assert_int_equal(s->d.state, DRAIN_DONE);
	assert_int_equal(planned(s, EFFECT_GATEWAY_DRAIN)->value, 0);
	assert_non_null(planned(s, EFFECT_GATEWAY_HURRY));
	assert_non_null(planned(s, EFFECT_GATEWAY_CLOSE));
}

/* Any sequence of events and waits: a shutdown always reaches the end, in time, and effects are not repeated. */
static void random_lives_end_in_time(void **state)
{
	struct stage *s = *state;
	static const enum event_kind kinds[] = {EVENT_ASKED_SHUTDOWN, EVENT_ASKED_DRAIN, EVENT_ASKED_UNDRAIN};
	struct random random = {99};
	for (int life = 0; life < 3000; life++) {
		drain_init(&s->d, s->t.now);
		s->busy = true;
		int signals = 0;
		ms_t asked_at = CLOCK_NEVER;
		bool listening = false, emptying = false;
		while (s->d.state != DRAIN_DONE) {
			at(s, s->t.now + (ms_t)random_below(&random, 3000));
			for (size_t i = 0; i < s->plan.count; i++) {
				enum effect_kind kind = s->plan.effects[i].kind;
				assert_true(kind != EFFECT_GATEWAY_LISTEN || !listening);
				assert_true(kind != EFFECT_GATEWAY_DRAIN || listening);
				if (kind == EFFECT_GATEWAY_LISTEN || kind == EFFECT_GATEWAY_SERVE)
					listening = random_below(&random, 4) != 0;
				assert_true(kind != EFFECT_GATEWAY_HURRY || emptying);
				if (kind == EFFECT_GATEWAY_DRAIN)
					emptying = !(listening = false);
				if (kind == EFFECT_GATEWAY_LISTEN || kind == EFFECT_GATEWAY_SERVE)
					drain_apply(&s->d,
						&(struct event){.kind = listening ? EVENT_GATEWAY_LISTENING
										  : EVENT_GATEWAY_FAILED},
						&s->t);
			}
			if (emptying && random_below(&random, 4) == 0) {
				emptying = false;
				drain_apply(&s->d, &(struct event){.kind = EVENT_GATEWAY_EMPTY}, &s->t);
			}
			if (random_below(&random, 3) == 0) {
				enum event_kind kind = kinds[random_below(&random, 3)];
				signals += kind == EVENT_ASKED_SHUTDOWN;
				if (kind == EVENT_ASKED_SHUTDOWN && asked_at == CLOCK_NEVER)
					asked_at = s->t.now;
				drain_apply(&s->d, &(struct event){.kind = kind, .count = signals}, &s->t);
			}
			if (s->d.state == DRAIN_STOPPING && (s->d.signals >= 3 || random_below(&random, 6) == 0))
				s->busy = false;
			assert_true(asked_at == CLOCK_NEVER || s->t.now <= asked_at + 55000 + 2 * 3000);
		}
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(the_gateway_is_asked_to_listen_once),
		TEST(a_worker_behind_the_gateway_that_stops_too_early_is_remarked),
		TEST(listening_is_tried_again_after_a_failure_and_later_each_time),
		TEST(sigterm_passes_through_all_phases),
		TEST(draining_ends_when_its_share_of_the_budget_is_over),
		TEST(without_a_gateway_the_workers_stop_at_once),
		TEST(a_gateway_that_does_not_listen_is_not_waited_for),
		TEST(a_second_signal_skips_what_remains_of_the_lame_duck_and_the_drain),
		TEST(each_signal_is_told_once_and_the_third_kills),
		TEST(a_second_signal_ends_draining_too),
		TEST(a_drain_through_the_api_drains_and_stays),
		TEST(undrain_takes_a_lame_duck_back),
		TEST(undrain_makes_a_drained_gateway_listen_again),
		TEST(a_shutdown_cannot_be_taken_back),
		TEST(a_budget_that_is_too_small_shortens_the_phases_and_says_so_once),
		TEST(the_usual_budget_is_not_shortened),
		TEST(what_still_runs_at_the_deadline_is_killed),
		TEST(a_gateway_that_began_to_listen_too_late_is_drained_all_the_same),
		TEST(while_it_stops_those_still_connected_are_told_and_may_answer),
		TEST(those_who_do_not_answer_are_cut_off_after_close_timeout),
		TEST(what_was_told_of_an_empty_gateway_is_not_told_again_at_its_close),
		TEST(a_third_signal_waits_for_no_goodbye),
		TEST(a_deadline_before_the_first_slot_leaves_a_quarter_of_what_there_is),
		TEST(a_clock_that_leaps_over_the_deadline_ends_it_in_one_turn),
		TEST(random_lives_end_in_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
