#include "matrix.h"
#include "podvisor/model/memory_guard.h"

#define GIB ((int64_t)1 << 30)

struct bench {
	struct config_memory config;
	struct memory_guard g;
	struct around a;
};

static int set_up(void **state)
{
	static struct bench bench;
	struct bench *b = &bench;
	*state = b;
	b->config = (struct config_memory){.high_percent = 90, .guard = MEMORY_GUARD_ON};
	around_set(&b->a);
	memory_guard_init(&b->g, b->a.turn.now);
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;
	plan_fini(&b->a.plan);
	return 0;
}

static void plan(struct bench *b, bool weights, bool eager)
{
	plan_clear(&b->a.plan);
	memory_guard_measure(&b->g, &b->config, weights, eager, &b->a.turn);
}

static void measured(struct bench *b, struct event_memory memory)
{
	struct event e = {.kind = EVENT_MEMORY_MEASURED, .memory = memory};
	memory_guard_apply(&b->g, &b->config, &e, &b->a.turn);
}

/* It is asked, and this is the answer. */
static void measure(struct bench *b, int64_t used)
{
	b->a.turn.now = b->a.turn.now < b->g.due ? b->g.due : b->a.turn.now;
	plan(b, false, false);
	assert_int_equal(b->a.plan.count, 1);
	assert_int_equal(b->a.plan.effects[0].kind, EFFECT_MEMORY_MEASURE);
	measured(b, (struct event_memory){.limit_bytes = 4 * GIB, .used_bytes = used, .charged_bytes = used});
}

static const struct journal_entry *newest(const struct bench *b)
{
	return journal_get(&b->a.journal, b->a.journal.last_seq);
}

static void act(struct bench *b, enum memory_action action, uint32_t slot)
{
	struct memory_option o = {action, slot, 200 << 20};
	memory_guard_act(&b->g, &b->config, &o, "it", &b->a.turn);
}

static void the_nearer_the_limit_the_more_often_it_looks(void **state)
{
	struct bench *b = *state;
	static const struct {
		int64_t used;
		ms_t pause;
	} cases[] = {
		{GIB, MEMORY_FAR_MS}, {2 * GIB, MEMORY_NEAR_MS}, {3 * GIB, MEMORY_HIGH_MS}, {4 * GIB, MEMORY_HIGH_MS}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		measure(b, cases[i].used);
		plan(b, false, false);
		assert_int_equal(b->a.plan.count, 0);
		assert_int_equal(b->a.plan.wake_at, b->a.turn.now + cases[i].pause);
	}
}

static void without_a_limit_it_hardly_looks_and_never_acts(void **state)
{
	struct bench *b = *state;
	plan(b, true, false);
	assert_int_equal(b->a.plan.count, 1); /* and nothing is weighed */
	measured(b, (struct event_memory){.limit_bytes = -1, .used_bytes = 9 * GIB});
	assert_int_equal(b->g.due, b->a.turn.now + MEMORY_BLIND_MS);
	assert_int_equal(b->g.state, MEMORY_GUARD_BLIND);
	assert_false(memory_guard_wants(&b->g, &b->config));
	assert_int_equal(memory_guard_high_bytes(&b->g, &b->config), -1);
}

static void an_answer_that_is_lost_is_asked_for_again(void **state)
{
	struct bench *b = *state;
	plan(b, false, false);
	plan(b, false, false);
	assert_int_equal(b->a.plan.count, 0);
	b->a.turn.now += MEMORY_LOST_MS;
	plan(b, false, false);
	assert_int_equal(b->a.plan.count, 1);
}

static void an_answer_that_nobody_asked_for_is_ignored(void **state)
{
	struct bench *b = *state;
	measured(b, (struct event_memory){.limit_bytes = GIB, .used_bytes = GIB});
	assert_int_equal(b->g.state, MEMORY_GUARD_BLIND);
}

static void off_it_asks_and_does_nothing(void **state)
{
	struct bench *b = *state;
	b->config.guard = MEMORY_GUARD_OFF;
	plan(b, true, true);
	assert_int_equal(b->a.plan.count, 0);
	assert_int_equal(b->a.plan.wake_at, CLOCK_NEVER);
	b->g.state = MEMORY_GUARD_HIGH;
	b->g.above = 9;
	b->g.memory = (struct event_memory){.limit_bytes = GIB, .used_bytes = GIB};
	assert_false(memory_guard_wants(&b->g, &b->config));
}

static void it_tells_once_that_use_is_high_and_once_that_it_is_low_again(void **state)
{
	struct bench *b = *state;
	measure(b, GIB);
	uint64_t before = b->a.journal.last_seq;
	measure(b, 37 * GIB / 10);
	measure(b, 38 * GIB / 10);
	measure(b, 35 * GIB / 10); /* below high, within the margin */
	measure(b, 37 * GIB / 10);
	assert_int_equal(b->a.journal.last_seq, before + 1);
	assert_string_equal(newest(b)->what, "memory-high");
	assert_string_equal(newest(b)->text, "3788Mi of the pod's 4Gi memory is used, above 90%");
	measure(b, 3 * GIB);
	assert_int_equal(b->a.journal.last_seq, before + 2);
	assert_string_equal(newest(b)->what, "memory-low");
}

static void pressure_is_told_with_it(void **state)
{
	struct bench *b = *state;
	plan(b, false, false);
	measured(b, (struct event_memory){.limit_bytes = 4 * GIB, .used_bytes = 4 * GIB, .pressure_ratio = 0.25});
	assert_non_null(strstr(newest(b)->text, "and 25% of the time somebody waits for some"));
}

static void a_kill_by_the_kernel_is_told(void **state)
{
	struct bench *b = *state;
	plan(b, false, false);
	/* What was before podvisor's time is none of its news. */
	measured(b, (struct event_memory){.limit_bytes = 4 * GIB, .used_bytes = GIB, .oom_kills = 7});
	assert_int_equal(b->a.journal.last_seq, 0);
	b->a.turn.now = b->g.due;
	plan(b, false, false);
	measured(b, (struct event_memory){.limit_bytes = 4 * GIB, .used_bytes = GIB, .oom_kills = 9});
	assert_string_equal(newest(b)->what, "oom-kill");
	assert_non_null(strstr(newest(b)->text, "2 processes"));
}

static void purges_come_before_recycles_and_those_before_restarts(void **state)
{
	(void)state;
	const struct memory_option options[] = {{MEMORY_RESTART, 0, 900}, {MEMORY_RECYCLE, 0, 1}, {MEMORY_PURGE, 0, 5},
		{MEMORY_PURGE, 1, 8}, {MEMORY_PURGE, 2, 7}, {MEMORY_RESTART, 1, 1000}};
	const struct memory_option *best = NULL;
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		best = memory_guard_prefer(best, &options[i]);
	assert_ptr_equal(best, &options[3]);
	assert_ptr_equal(memory_guard_prefer(&options[0], &options[5]), &options[5]);
	assert_ptr_equal(memory_guard_prefer(&options[5], &options[0]), &options[5]);
	assert_ptr_equal(memory_guard_prefer(&options[1], &options[5]), &options[1]);
}

static void a_purge_may_come_at_the_first_look_an_end_only_at_the_second(void **state)
{
	struct bench *b = *state;
	measure(b, 4 * GIB);
	assert_true(memory_guard_wants(&b->g, &b->config));
	assert_true(memory_guard_may(&b->g, MEMORY_PURGE, 0, b->a.turn.now));
	assert_false(memory_guard_may(&b->g, MEMORY_RECYCLE, 0, b->a.turn.now));
	assert_false(memory_guard_may(&b->g, MEMORY_RESTART, 0, b->a.turn.now));
	measure(b, 4 * GIB);
	assert_true(memory_guard_may(&b->g, MEMORY_RESTART, 0, b->a.turn.now));
}

static void after_a_step_its_effect_is_measured_before_the_next(void **state)
{
	struct bench *b = *state;
	measure(b, 4 * GIB);
	act(b, MEMORY_PURGE, 0);
	assert_string_equal(newest(b)->what, "memory-step");
	assert_string_equal(newest(b)->text, "4Gi of the pod's 4Gi memory is used, above 90%: purging the volume it");
	assert_int_equal(b->g.actions[MEMORY_PURGE], 1);
	measure(b, 4 * GIB);
	assert_false(memory_guard_wants(&b->g, &b->config));
	b->a.turn.now = b->g.due;
	plan(b, false, false); /* asked for before the purge had ended: what it says is old */
	memory_guard_settle(&b->g, true, &b->a.turn);
	measured(b, (struct event_memory){.limit_bytes = 4 * GIB, .used_bytes = 4 * GIB});
	assert_false(memory_guard_wants(&b->g, &b->config));
	measure(b, 4 * GIB);
	assert_true(memory_guard_wants(&b->g, &b->config));
}

static void below_high_there_is_no_further_step(void **state)
{
	struct bench *b = *state;
	measure(b, 4 * GIB);
	act(b, MEMORY_PURGE, 0);
	memory_guard_settle(&b->g, true, &b->a.turn);
	measure(b, 35 * GIB / 10);
	measure(b, 35 * GIB / 10);
	assert_int_equal(b->g.state, MEMORY_GUARD_HIGH);
	assert_false(memory_guard_wants(&b->g, &b->config));
}

static void the_same_thing_is_left_alone_for_a_while(void **state)
{
	struct bench *b = *state;
	static const ms_t pauses[] = {[MEMORY_PURGE] = MEMORY_PURGE_AGAIN_MS,
		[MEMORY_RECYCLE] = MEMORY_RECYCLE_AGAIN_MS,
		[MEMORY_RESTART] = MEMORY_RESTART_AGAIN_MS};
	for (int i = 0; i < MEMORY_ACTION_COUNT; i++) {
		enum memory_action action = (enum memory_action)i;
		act(b, action, 3);
		b->g.above = 2;
		ms_t at = b->a.turn.now;
		assert_false(memory_guard_may(&b->g, action, 3, at + pauses[i] - 1));
		assert_true(memory_guard_may(&b->g, action, 3, at + pauses[i]));
		assert_true(memory_guard_may(&b->g, action, 4, at));
	}
}

static void that_nothing_is_left_to_do_is_told_once(void **state)
{
	struct bench *b = *state;
	measure(b, 4 * GIB);
	uint64_t before = b->a.journal.last_seq;
	memory_guard_give_up(&b->g, &b->config, &b->a.turn); /* the second look may find something */
	assert_int_equal(b->a.journal.last_seq, before);
	measure(b, 4 * GIB);
	memory_guard_give_up(&b->g, &b->config, &b->a.turn);
	memory_guard_give_up(&b->g, &b->config, &b->a.turn);
	assert_int_equal(b->a.journal.last_seq, before + 1);
	assert_string_equal(newest(b)->what, "memory-helpless");
	act(b, MEMORY_PURGE, 0);
	memory_guard_settle(&b->g, true, &b->a.turn);
	measure(b, 4 * GIB);
	measure(b, 4 * GIB);
	memory_guard_give_up(&b->g, &b->config, &b->a.turn);
	assert_int_equal(b->a.journal.last_seq, before + 3);
}

static void weights_are_taken_more_often_when_one_may_have_to_go(void **state)
{
	struct bench *b = *state;
	measure(b, GIB);
	plan(b, true, false);
	assert_int_equal(b->a.plan.count, 1);
	assert_int_equal(b->a.plan.effects[0].kind, EFFECT_MEMORY_WEIGH);
	b->g.due = CLOCK_NEVER; /* nothing else is asked */
	b->a.turn.now += MEMORY_WEIGH_HIGH_MS;
	plan(b, true, false);
	assert_int_equal(b->a.plan.count, 0);
	plan(b, true, true); /* one became ready */
	assert_int_equal(b->a.plan.count, 1);
	b->a.turn.now += MEMORY_WEIGH_HIGH_MS - 1;
	plan(b, true, true);
	assert_int_equal(b->a.plan.count, 0);
	b->g.due = ++b->a.turn.now;
	measure(b, 4 * GIB); /* above: now, whenever they were taken */
	plan(b, true, false);
	assert_int_equal(b->a.plan.count, 1);
	struct event e = {.kind = EVENT_MEMORY_WEIGHED};
	memory_guard_apply(&b->g, &b->config, &e, &b->a.turn);
	assert_int_equal(b->g.weighed_at, b->a.turn.now);
}

static void a_purge_is_asked_for_what_leaves_a_margin(void **state)
{
	struct bench *b = *state;
	measure(b, 4 * GIB);
	assert_int_equal(memory_guard_excess_bytes(&b->g, &b->config) >> 20, 614); /* 15% of 4Gi */
	measure(b, GIB);
	assert_int_equal(memory_guard_excess_bytes(&b->g, &b->config), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(the_nearer_the_limit_the_more_often_it_looks),
		TEST(without_a_limit_it_hardly_looks_and_never_acts),
		TEST(an_answer_that_is_lost_is_asked_for_again),
		TEST(an_answer_that_nobody_asked_for_is_ignored),
		TEST(off_it_asks_and_does_nothing),
		TEST(it_tells_once_that_use_is_high_and_once_that_it_is_low_again),
		TEST(pressure_is_told_with_it),
		TEST(a_kill_by_the_kernel_is_told),
		TEST(purges_come_before_recycles_and_those_before_restarts),
		TEST(a_purge_may_come_at_the_first_look_an_end_only_at_the_second),
		TEST(after_a_step_its_effect_is_measured_before_the_next),
		TEST(below_high_there_is_no_further_step),
		TEST(the_same_thing_is_left_alone_for_a_while),
		TEST(that_nothing_is_left_to_do_is_told_once),
		TEST(weights_are_taken_more_often_when_one_may_have_to_go),
		TEST(a_purge_is_asked_for_what_leaves_a_margin),
	};
	return cmocka_run_group_tests_name("memory guard", tests, NULL, NULL);
}
