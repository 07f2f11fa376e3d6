#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "podvisor/model/volume.h"

struct bench {
	struct config_volume config;
	struct volume v;
	struct random random;
	struct journal journal;
	struct plan plan;
	struct turn turn;
};

static int set_up(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	*state = b;
	b->config = (struct config_volume){.name = (char *)(uintptr_t) "tmp",
		.path = (char *)(uintptr_t) "/ram",
		.size_bytes = 1000,
		.high_percent = 85,
		.low_percent = 70};
	b->turn = (struct turn){.now = 1000, .random = &b->random, .journal = &b->journal, .plan = &b->plan};
	plan_init(&b->plan);
	volume_init(&b->v, &b->config, 2, 1000);
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;
	plan_fini(&b->plan);
	free(b);
	return 0;
}

static void apply(struct bench *b, enum event_kind kind, int64_t used_bytes, const char *text)
{
	struct event e = {.kind = kind, .slot = 2};
	if (kind != EVENT_VOLUME_REFUSED)
		e.volume.used_bytes = used_bytes, e.volume.size_bytes = 1000, e.volume.is_tmpfs = true;
	strcpy(e.text, text);
	volume_apply(&b->v, &e, &b->turn);
}

static enum effect_kind plan_one(struct bench *b, bool wanted)
{
	plan_clear(&b->plan);
	volume_plan(&b->v, wanted, &b->turn);
	assert_int_equal(b->plan.count, 1);
	assert_int_equal(b->plan.effects[0].slot, 2);
	return b->plan.effects[0].kind;
}

static void plan_nothing(struct bench *b, bool wanted)
{
	plan_clear(&b->plan);
	volume_plan(&b->v, wanted, &b->turn);
	assert_int_equal(b->plan.count, 0);
}

static void get_ready(struct bench *b)
{
	assert_int_equal(plan_one(b, true), EFFECT_VOLUME_PREPARE);
	apply(b, EVENT_VOLUME_PREPARED, 100, "/ram is a tmpfs");
	assert_int_equal(b->v.state, VOLUME_READY);
}

static const struct journal_entry *newest(const struct bench *b)
{
	return journal_get(&b->journal, b->journal.last_seq);
}

static void it_is_prepared_once_and_then_ready(void **state)
{
	struct bench *b = *state;
	assert_int_equal(plan_one(b, true), EFFECT_VOLUME_PREPARE);
	plan_nothing(b, true);
	assert_false(volume_is_closed(&b->v));
	apply(b, EVENT_VOLUME_PREPARED, 100, "/ram is a tmpfs");
	assert_int_equal(b->v.state, VOLUME_READY);
	assert_string_equal(newest(b)->text, "/ram is a tmpfs");
	assert_int_equal(b->v.used_bytes, 100);
}

static void it_is_measured_every_5_s(void **state)
{
	struct bench *b = *state;
	get_ready(b);
	plan_nothing(b, true);
	assert_int_equal(b->plan.wake_at, 6000);
	b->turn.now = 6000;
	assert_int_equal(plan_one(b, true), EFFECT_VOLUME_MEASURE);
	plan_nothing(b, true);
	apply(b, EVENT_VOLUME_MEASURED, 300, "");
	assert_int_equal(b->v.used_bytes, 300);
	assert_int_equal(volume_used_percent(&b->v), 30);
	plan_nothing(b, true);
	assert_int_equal(b->plan.wake_at, 11000);
}

static void a_refusal_is_final_and_keeps_its_reason(void **state)
{
	struct bench *b = *state;
	plan_one(b, true);
	apply(b, EVENT_VOLUME_REFUSED, 0, "/ram is not a tmpfs");
	assert_int_equal(b->v.state, VOLUME_REFUSED);
	assert_int_equal(newest(b)->level, LOG_ERROR);
	plan_nothing(b, true);
	plan_nothing(b, false);
	assert_int_equal(b->v.state, VOLUME_REFUSED);
	assert_string_equal(b->v.text, "/ram is not a tmpfs");
	assert_true(volume_is_closed(&b->v));
}

static void what_is_ready_is_released_once(void **state)
{
	struct bench *b = *state;
	get_ready(b);
	assert_int_equal(plan_one(b, false), EFFECT_VOLUME_RELEASE);
	plan_nothing(b, false);
	assert_false(volume_is_closed(&b->v));
	apply(b, EVENT_VOLUME_RELEASED, 0, "/ram was unmounted");
	assert_int_equal(b->v.state, VOLUME_RELEASED);
	assert_true(volume_is_closed(&b->v));
	plan_nothing(b, false);
}

static void what_was_never_prepared_needs_no_release(void **state)
{
	struct bench *b = *state;
	plan_nothing(b, false);
	assert_int_equal(b->v.state, VOLUME_RELEASED);
}

static void what_is_being_prepared_is_released_afterwards(void **state)
{
	struct bench *b = *state;
	plan_one(b, true);
	plan_nothing(b, false);
	apply(b, EVENT_VOLUME_PREPARED, 0, "/ram is a tmpfs");
	assert_int_equal(plan_one(b, false), EFFECT_VOLUME_RELEASE);
}

static void getting_full_is_told_once_until_there_is_room_again(void **state)
{
	struct bench *b = *state;
	get_ready(b);
	uint64_t before = b->journal.last_seq;
	apply(b, EVENT_VOLUME_MEASURED, 850, "");
	assert_int_equal(b->journal.last_seq, before);
	apply(b, EVENT_VOLUME_MEASURED, 870, "");
	apply(b, EVENT_VOLUME_MEASURED, 990, "");
	apply(b, EVENT_VOLUME_MEASURED, 800, "");
	assert_int_equal(b->journal.last_seq, before + 1);
	assert_string_equal(newest(b)->what, "high");
	apply(b, EVENT_VOLUME_MEASURED, 600, "");
	assert_int_equal(b->journal.last_seq, before + 2);
	assert_string_equal(newest(b)->what, "low");
}

static void a_measurement_that_fails_is_told_once(void **state)
{
	struct bench *b = *state;
	get_ready(b);
	uint64_t before = b->journal.last_seq;
	apply(b, EVENT_VOLUME_MEASURED, 100, "/ram: Permission denied");
	apply(b, EVENT_VOLUME_MEASURED, 100, "/ram: Permission denied");
	assert_int_equal(b->journal.last_seq, before + 1);
	assert_int_equal(b->v.state, VOLUME_READY);
}

static void a_tmpfs_that_somebody_unmounted_is_told(void **state)
{
	struct bench *b = *state;
	get_ready(b);
	struct event e = {.kind = EVENT_VOLUME_MEASURED, .slot = 2};
	volume_apply(&b->v, &e, &b->turn);
	assert_string_equal(newest(b)->what, "lost");
	assert_int_equal(newest(b)->level, LOG_ERROR);
}

static void a_measurement_that_failed_is_told_as_that_and_as_nothing_else(void **state)
{
	struct bench *b = *state;
	struct event e = {.kind = EVENT_VOLUME_MEASURED, .slot = 2, .text = "it could not be measured: EIO"};
	get_ready(b);
	uint64_t before = b->journal.last_seq;
	volume_apply(&b->v, &e, &b->turn);
	assert_int_equal(b->journal.last_seq, before + 1);
	assert_string_equal(newest(b)->text, "it could not be measured: EIO");
	assert_true(b->v.is_tmpfs);
	assert_int_equal(b->v.used_bytes, 100);
	volume_apply(&b->v, &e, &b->turn);
	assert_int_equal(b->journal.last_seq, before + 1);
	b->turn.now = b->v.measure_due;
	assert_int_equal(plan_one(b, true), EFFECT_VOLUME_MEASURE);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(it_is_prepared_once_and_then_ready),
		TEST(it_is_measured_every_5_s),
		TEST(a_refusal_is_final_and_keeps_its_reason),
		TEST(what_is_ready_is_released_once),
		TEST(what_was_never_prepared_needs_no_release),
		TEST(what_is_being_prepared_is_released_afterwards),
		TEST(getting_full_is_told_once_until_there_is_room_again),
		TEST(a_measurement_that_fails_is_told_once),
		TEST(a_tmpfs_that_somebody_unmounted_is_told),
		TEST(a_measurement_that_failed_is_told_as_that_and_as_nothing_else),
	};
	return cmocka_run_group_tests_name("volume", tests, NULL, NULL);
}
