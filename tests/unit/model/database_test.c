#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "podvisor/model/database.h"

struct bench {
	struct config_postgres config;
	struct database d;
	struct random random;
	struct journal journal;
	struct plan plan;
	uint64_t next_run;
	struct turn turn;
};

static int set_up(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	*state = b;
	b->config = (struct config_postgres){.name = (char *)(uintptr_t) "main",
		.interval = 5000,
		.timeout = 2000,
		.canary_interval = 60000,
		.resolve_timeout = 2000,
		.failure_threshold = 3,
		.failure_time = 10000,
		.success_threshold = 2,
		.success_time = 2000,
		.slow = 500,
		.max_connections_used_percent = 90,
		.unready_after = 60000};
	b->next_run = 1;
	b->turn = (struct turn){.now = 1000, .random = &b->random, .journal = &b->journal, .plan = &b->plan};
	plan_init(&b->plan);
	database_init(&b->d, &b->config, 3, 1000);
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;
	plan_fini(&b->plan);
	free(b);
	return 0;
}

static size_t plan(struct bench *b)
{
	plan_clear(&b->plan);
	database_plan(&b->d, true, &b->next_run, &b->turn);
	return b->plan.count;
}

static const struct effect *planned(struct bench *b, enum effect_kind kind)
{
	for (size_t i = 0; i < b->plan.count; i++)
		if (b->plan.effects[i].kind == kind)
			return &b->plan.effects[i];
	return NULL;
}

/* Virtual time up to the next check, which is then in flight. */
static void until_check(struct bench *b)
{
	plan(b);
	while (!planned(b, EFFECT_POSTGRES_CHECK)) {
		assert_true(b->plan.wake_at != CLOCK_NEVER);
		assert_true(b->plan.wake_at > b->turn.now);
		b->turn.now = b->plan.wake_at;
		plan(b);
	}
}

static struct event event(const struct bench *b, enum event_kind kind, bool canary)
{
	struct event e = {.kind = kind, .slot = 3, .run = canary ? b->d.canary_run : b->d.run};
	e.postgres.canary = canary;
	e.postgres.took_us = 1000;
	e.postgres.max_connections = 100;
	e.postgres.timeline = 1;
	return e;
}

static void answer(struct bench *b)
{
	until_check(b);
	struct event e = event(b, EVENT_POSTGRES_ANSWERED, false);
	database_apply(&b->d, &e, &b->turn);
}

static struct event failure(const struct bench *b, bool canary, enum postgres_reason reason, const char *sqlstate)
{
	struct event e = event(b, EVENT_POSTGRES_FAILED, canary);
	e.postgres.reason = reason;
	strcpy(e.postgres.sqlstate, sqlstate);
	strcpy(e.text, "127.0.0.1:5432: it went wrong");
	return e;
}

static void fail_because(struct bench *b, enum postgres_reason reason, const char *sqlstate, bool permanent)
{
	until_check(b);
	struct event e = failure(b, false, reason, sqlstate);
	e.postgres.permanent = permanent;
	database_apply(&b->d, &e, &b->turn);
}

static void refuse(struct bench *b)
{
	fail_because(b, POSTGRES_REASON_UNREACHABLE, "", false);
}

static void lose(struct bench *b)
{
	struct event e = event(b, EVENT_POSTGRES_LOST, false);
	strcpy(e.text, "the server closed the session");
	database_apply(&b->d, &e, &b->turn);
}

static const struct journal_entry *newest(const struct bench *b)
{
	return journal_get(&b->journal, b->journal.last_seq);
}

static void go_down(struct bench *b)
{
	answer(b);
	ms_t begun = b->turn.now + b->config.interval;
	while (b->d.state != DATABASE_DOWN) {
		refuse(b);
		assert_true(b->turn.now <= begun + b->config.failure_time);
	}
}

/* ---- start ---- */

static void the_first_success_makes_it_up_at_once(void **state)
{
	struct bench *b = *state;
	assert_int_equal(b->d.state, DATABASE_UNKNOWN);
	assert_false(database_is_available(&b->d));
	answer(b);
	assert_int_equal(b->d.state, DATABASE_UP);
	assert_true(b->d.ever_up);
	assert_true(database_is_available(&b->d));
	assert_int_equal(b->d.reconnects, 0);
	assert_string_equal(newest(b)->what, "up");
}

static void a_check_is_asked_once_and_repeated_after_the_interval(void **state)
{
	struct bench *b = *state;
	assert_int_equal(plan(b), 1);
	assert_int_equal(b->plan.effects[0].slot, 3);
	assert_int_equal(plan(b), 0);
	struct event e = event(b, EVENT_POSTGRES_ANSWERED, false);
	database_apply(&b->d, &e, &b->turn);
	uint64_t run = b->d.run;
	assert_int_equal(plan(b), 0);
	assert_int_equal(b->plan.wake_at, b->turn.now + 5000);
	until_check(b);
	assert_int_equal(planned(b, EFFECT_POSTGRES_CHECK)->run, run);
}

static void what_was_never_up_stays_unknown_and_is_tried_at_least_every_second(void **state)
{
	struct bench *b = *state;
	for (int i = 0; i < 50; i++) {
		ms_t before = b->turn.now;
		refuse(b);
		assert_int_equal(b->d.state, DATABASE_UNKNOWN);
		assert_int_equal(b->d.reason, POSTGRES_REASON_UNREACHABLE);
		assert_true(b->turn.now - before <= 1000);
	}
	/* Told once, not fifty times. */
	assert_int_equal(b->journal.last_seq, 1);
	assert_null(planned(b, EFFECT_POSTGRES_CANARY));
}

/* ---- down ---- */

static void it_is_down_after_enough_failures_for_long_enough(void **state)
{
	struct bench *b = *state;
	answer(b);
	refuse(b);
	ms_t first = b->turn.now;
	while (b->d.state == DATABASE_UP) {
		assert_true(b->d.failures < 3 || b->turn.now - first < 10000);
		refuse(b);
	}
	assert_int_equal(b->d.state, DATABASE_DOWN);
	assert_int_equal(b->turn.now, first + 10000);
	assert_true(b->d.failures >= 3);
	assert_int_equal(b->d.down_since, b->turn.now);
	assert_in_range(b->d.unready_at, b->turn.now + 60000, b->turn.now + 70000);
	assert_int_equal(newest(b)->level, LOG_ERROR);
	assert_non_null(strstr(newest(b)->text, "unreachable: 127.0.0.1:5432"));
}

static void long_but_few_failures_are_not_down(void **state)
{
	struct bench *b = *state;
	b->config.failure_threshold = 1000;
	answer(b);
	for (int i = 0; i < 20; i++)
		refuse(b);
	assert_int_equal(b->d.state, DATABASE_UP);
}

static void one_success_forgets_the_failures(void **state)
{
	struct bench *b = *state;
	answer(b);
	for (int i = 0; i < 10; i++) {
		refuse(b);
		answer(b);
		assert_int_equal(b->d.state, DATABASE_UP);
	}
	assert_int_equal(b->d.reconnects, 10);
}

static void the_back_off_grows_with_full_jitter_up_to_15_s(void **state)
{
	struct bench *b = *state;
	go_down(b);
	ms_t longest = 0, shortest = CLOCK_NEVER;
	for (int i = 0; i < 200; i++) {
		ms_t before = b->turn.now;
		refuse(b);
		ms_t waited = b->turn.now - before;
		longest = waited > longest ? waited : longest;
		shortest = waited < shortest ? waited : shortest;
	}
	assert_in_range(longest, 12000, 15000);
	assert_in_range(shortest, 0, 3000);
}

static void it_is_up_again_after_enough_successes_for_long_enough(void **state)
{
	struct bench *b = *state;
	go_down(b);
	answer(b);
	ms_t first = b->turn.now;
	assert_int_equal(b->d.state, DATABASE_DOWN);
	answer(b);
	assert_int_equal(b->turn.now - first, 2000);
	assert_int_equal(b->d.state, DATABASE_UP);
	assert_int_equal(b->d.down_since, 0);
	assert_int_equal(b->d.unready_at, 0);
}

static void a_failure_on_the_way_up_starts_the_count_again(void **state)
{
	struct bench *b = *state;
	go_down(b);
	answer(b);
	refuse(b);
	answer(b);
	assert_int_equal(b->d.state, DATABASE_DOWN);
	answer(b);
	assert_int_equal(b->d.state, DATABASE_UP);
}

/* ---- the end of a session ---- */

static void a_lost_session_is_an_immediate_check_and_no_change(void **state)
{
	struct bench *b = *state;
	answer(b);
	b->turn.now += 3000;
	ms_t now = b->turn.now;
	uint64_t run = b->d.run;
	lose(b);
	assert_int_equal(b->d.state, DATABASE_UP);
	assert_string_equal(newest(b)->what, "session-lost");
	until_check(b);
	assert_int_equal(b->turn.now, now);
	assert_true(b->d.run > run);
	struct event e = event(b, EVENT_POSTGRES_ANSWERED, false);
	database_apply(&b->d, &e, &b->turn);
	assert_int_equal(b->d.reconnects, 1);
	assert_int_equal(b->d.state, DATABASE_UP);
}

static void a_server_that_ends_sessions_at_once_is_not_hammered(void **state)
{
	struct bench *b = *state;
	answer(b);
	lose(b);
	answer(b);
	ms_t before = b->turn.now;
	lose(b);
	until_check(b);
	assert_int_equal(b->turn.now - before, 1000);
}

static void an_answer_of_an_older_session_is_ignored(void **state)
{
	struct bench *b = *state;
	until_check(b);
	struct event e = event(b, EVENT_POSTGRES_ANSWERED, false);
	e.run--;
	database_apply(&b->d, &e, &b->turn);
	assert_int_equal(b->d.state, DATABASE_UNKNOWN);
	assert_true(b->d.check_in_flight);
}

/* ---- misconfigured ---- */

static void wrong_credentials_are_misconfigured_at_once_and_retried_every_30_s(void **state)
{
	struct bench *b = *state;
	ms_t begun = b->turn.now;
	int tries = 0;
	while (b->turn.now < begun + 60000) {
		fail_because(b, POSTGRES_REASON_UNAUTHORIZED, "28P01", true);
		tries++;
	}
	assert_int_equal(tries, 3);
	assert_int_equal(b->d.state, DATABASE_MISCONFIGURED);
	assert_int_equal(b->d.reason, POSTGRES_REASON_UNAUTHORIZED);
	assert_string_equal(b->d.sqlstate, "28P01");
	assert_int_equal(b->d.failures_by_class[28], 3);
	answer(b);
	assert_int_equal(b->d.state, DATABASE_UP);
}

static void what_was_up_is_misconfigured_at_once_too(void **state)
{
	struct bench *b = *state;
	answer(b);
	fail_because(b, POSTGRES_REASON_NO_DATABASE, "3D000", true);
	assert_int_equal(b->d.state, DATABASE_MISCONFIGURED);
	assert_true(b->d.unready_at > b->turn.now);
	refuse(b);
	assert_int_equal(b->d.state, DATABASE_DOWN);
}

/* ---- degraded ---- */

static void answer_with(struct bench *b, struct event e)
{
	until_check(b);
	e.run = b->d.run;
	database_apply(&b->d, &e, &b->turn);
}

static void a_standby_is_degraded_when_writes_are_required(void **state)
{
	struct bench *b = *state;
	struct event e = event(b, EVENT_POSTGRES_ANSWERED, false);
	e.postgres.in_recovery = e.postgres.read_only = true;
	answer_with(b, e);
	assert_int_equal(b->d.state, DATABASE_DEGRADED);
	assert_int_equal(b->d.reason, POSTGRES_REASON_RECOVERING);
	assert_true(database_is_available(&b->d));
	answer(b);
	assert_int_equal(b->d.state, DATABASE_UP);
}

static void a_standby_is_up_when_any_will_do(void **state)
{
	struct bench *b = *state;
	b->config.require = POSTGRES_ANY;
	struct event e = event(b, EVENT_POSTGRES_ANSWERED, false);
	e.postgres.in_recovery = e.postgres.read_only = true;
	answer_with(b, e);
	assert_int_equal(b->d.state, DATABASE_UP);
	b->config.max_replication_lag = 1000;
	e.postgres.lag_ms = 1001;
	answer_with(b, e);
	assert_int_equal(b->d.reason, POSTGRES_REASON_LAGGING);
}

static void a_read_only_primary_is_degraded(void **state)
{
	struct bench *b = *state;
	struct event e = event(b, EVENT_POSTGRES_ANSWERED, false);
	e.postgres.read_only = true;
	answer_with(b, e);
	assert_int_equal(b->d.state, DATABASE_DEGRADED);
	assert_int_equal(b->d.reason, POSTGRES_REASON_READ_ONLY);
}

static void one_slow_check_is_no_reason_but_two_of_twenty_are(void **state)
{
	struct bench *b = *state;
	struct event slow = event(b, EVENT_POSTGRES_ANSWERED, false);
	slow.postgres.took_us = 600000;
	answer(b);
	answer_with(b, slow);
	assert_int_equal(b->d.state, DATABASE_UP);
	answer_with(b, slow);
	assert_int_equal(b->d.state, DATABASE_DEGRADED);
	assert_int_equal(b->d.reason, POSTGRES_REASON_SLOW);
	for (int i = 0; i < 19; i++)
		answer(b);
	assert_int_equal(b->d.state, DATABASE_UP);
}

static void nearly_all_connections_in_use_are_degraded(void **state)
{
	struct bench *b = *state;
	struct event e = event(b, EVENT_POSTGRES_ANSWERED, false);
	e.postgres.connections = 90;
	answer_with(b, e);
	assert_int_equal(b->d.state, DATABASE_UP);
	e.postgres.connections = 91;
	answer_with(b, e);
	assert_int_equal(b->d.state, DATABASE_DEGRADED);
	assert_string_equal(b->d.text, "91 of 100 connections are used");
}

/* ---- canaries ---- */

/* Virtual time until a canary is in flight; checks on the way, and one due at the same time, are answered. */
static void until_canary(struct bench *b)
{
	for (;;) {
		plan(b);
		bool found = b->d.canary_in_flight;
		if (b->d.check_in_flight) {
			struct event e = event(b, EVENT_POSTGRES_ANSWERED, false);
			database_apply(&b->d, &e, &b->turn);
		} else if (!found) {
			b->turn.now = b->plan.wake_at;
		}
		if (found)
			return;
	}
}

static void a_canary_is_sent_every_canary_interval(void **state)
{
	struct bench *b = *state;
	answer(b);
	ms_t begun = b->turn.now;
	until_canary(b);
	assert_int_equal(b->turn.now, begun + 60000);
	assert_int_not_equal(b->d.canary_run, b->d.run);
	struct event e = event(b, EVENT_POSTGRES_ANSWERED, true);
	database_apply(&b->d, &e, &b->turn);
	until_canary(b);
	assert_int_equal(b->turn.now, begun + 120000);
	assert_int_equal(b->d.checks[DATABASE_CANARY][DATABASE_OK], 1);
	e = failure(b, true, POSTGRES_REASON_HUNG, "");
	database_apply(&b->d, &e, &b->turn);
	assert_int_equal(b->d.checks[DATABASE_CANARY][DATABASE_FAILED], 1);
	assert_int_equal(b->d.checks[DATABASE_CANARY][DATABASE_OK], 1);
}

static void a_refused_canary_degrades_while_the_kept_session_works(void **state)
{
	struct bench *b = *state;
	answer(b);
	until_canary(b);
	struct event e = failure(b, true, POSTGRES_REASON_REFUSING, "53300");
	database_apply(&b->d, &e, &b->turn);
	assert_int_equal(b->d.state, DATABASE_DEGRADED);
	assert_int_equal(b->d.reason, POSTGRES_REASON_REFUSING);
	assert_int_equal(b->d.failures_by_class[53], 1);
	answer(b);
	assert_int_equal(b->d.state, DATABASE_DEGRADED);
	/* The next one comes soon, and its success is the end of it. */
	ms_t failed_at = b->turn.now;
	until_canary(b);
	assert_true(b->turn.now - failed_at <= 5000);
	e = event(b, EVENT_POSTGRES_ANSWERED, true);
	database_apply(&b->d, &e, &b->turn);
	assert_int_equal(b->d.state, DATABASE_UP);
}

static void a_failed_session_sends_one_canary_at_once(void **state)
{
	struct bench *b = *state;
	answer(b);
	fail_because(b, POSTGRES_REASON_HUNG, "", false);
	ms_t now = b->turn.now;
	until_canary(b);
	assert_int_equal(b->turn.now, now);
	struct event e = failure(b, true, POSTGRES_REASON_HUNG, "");
	database_apply(&b->d, &e, &b->turn);
	assert_int_equal(b->d.state, DATABASE_UP);
	for (int i = 0; i < 10; i++) {
		refuse(b);
		assert_null(planned(b, EFFECT_POSTGRES_CANARY));
	}
}

/* ---- the end ---- */

static void what_is_not_wanted_is_closed_once(void **state)
{
	struct bench *b = *state;
	answer(b);
	assert_false(database_is_closed(&b->d));
	plan_clear(&b->plan);
	database_plan(&b->d, false, &b->next_run, &b->turn);
	database_plan(&b->d, false, &b->next_run, &b->turn);
	assert_int_equal(b->plan.count, 1);
	assert_int_equal(b->plan.effects[0].kind, EFFECT_POSTGRES_CLOSE);
	assert_false(database_is_closed(&b->d));
	struct event e = event(b, EVENT_POSTGRES_CLOSED, false);
	database_apply(&b->d, &e, &b->turn);
	assert_true(database_is_closed(&b->d));
	plan_clear(&b->plan);
	database_plan(&b->d, false, &b->next_run, &b->turn);
	assert_int_equal(b->plan.count, 0);
}

static void what_was_never_opened_needs_no_closing(void **state)
{
	struct bench *b = *state;
	assert_true(database_is_closed(&b->d));
	database_plan(&b->d, false, &b->next_run, &b->turn);
	assert_int_equal(b->plan.count, 0);
}

/* Every state takes every event: nothing is asked twice, and it always goes on. */
static void random_walks_never_get_stuck(void **state)
{
	struct bench *b = *state;
	struct random dice = {7};
	for (int i = 0; i < 100000; i++) {
		plan(b);
		if (random_below(&dice, 40) == 0) {
			lose(b);
		} else if (b->d.check_in_flight && random_below(&dice, 3)) {
			bool ok = random_below(&dice, 3);
			struct event e = ok ? event(b, EVENT_POSTGRES_ANSWERED, false)
					    : failure(b, false, POSTGRES_REASON_UNREACHABLE, "");
			e.postgres.permanent = !ok && random_below(&dice, 10) == 0;
			database_apply(&b->d, &e, &b->turn);
		} else if (b->d.canary_in_flight) {
			struct event e = random_below(&dice, 2) ? event(b, EVENT_POSTGRES_ANSWERED, true)
								: failure(b, true, POSTGRES_REASON_HUNG, "");
			database_apply(&b->d, &e, &b->turn);
		} else if (!b->d.check_in_flight) {
			assert_true(b->plan.count || b->plan.wake_at != CLOCK_NEVER);
			b->turn.now = b->plan.count ? b->turn.now : b->plan.wake_at;
		}
		assert_true(!database_is_available(&b->d) || (!b->d.unready_at && !b->d.down_since));
		assert_true(b->d.state != DATABASE_DOWN || (b->d.unready_at && b->d.down_since && b->d.ever_up));
		assert_true(b->d.state != DATABASE_UNKNOWN || !b->d.ever_up);
	}
	assert_true(b->d.checks[DATABASE_KEPT][DATABASE_FAILED] > 1000);
	assert_true(b->d.checks[DATABASE_CANARY][DATABASE_FAILED] > 100);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(the_first_success_makes_it_up_at_once),
		TEST(a_check_is_asked_once_and_repeated_after_the_interval),
		TEST(what_was_never_up_stays_unknown_and_is_tried_at_least_every_second),
		TEST(it_is_down_after_enough_failures_for_long_enough),
		TEST(long_but_few_failures_are_not_down),
		TEST(one_success_forgets_the_failures),
		TEST(the_back_off_grows_with_full_jitter_up_to_15_s),
		TEST(it_is_up_again_after_enough_successes_for_long_enough),
		TEST(a_failure_on_the_way_up_starts_the_count_again),
		TEST(a_lost_session_is_an_immediate_check_and_no_change),
		TEST(a_server_that_ends_sessions_at_once_is_not_hammered),
		TEST(an_answer_of_an_older_session_is_ignored),
		TEST(wrong_credentials_are_misconfigured_at_once_and_retried_every_30_s),
		TEST(what_was_up_is_misconfigured_at_once_too),
		TEST(a_standby_is_degraded_when_writes_are_required),
		TEST(a_standby_is_up_when_any_will_do),
		TEST(a_read_only_primary_is_degraded),
		TEST(one_slow_check_is_no_reason_but_two_of_twenty_are),
		TEST(nearly_all_connections_in_use_are_degraded),
		TEST(a_canary_is_sent_every_canary_interval),
		TEST(a_refused_canary_degrades_while_the_kept_session_works),
		TEST(a_failed_session_sends_one_canary_at_once),
		TEST(what_is_not_wanted_is_closed_once),
		TEST(what_was_never_opened_needs_no_closing),
		TEST(random_walks_never_get_stuck),
	};
	return cmocka_run_group_tests_name("database", tests, NULL, NULL);
}
