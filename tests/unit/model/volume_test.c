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

static void what_is_being_prepared_is_cut_short_and_released_afterwards(void **state)
{
	struct bench *b = *state;
	plan_one(b, true);
	assert_int_equal(plan_one(b, false), EFFECT_VOLUME_CANCEL);
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

static void allow(struct bench *b, char **purge, char **on_full)
{
	b->config.purge = purge;
	b->config.on_full = on_full;
}

static char *everything[] = {(char *)(uintptr_t) "**", NULL};
static char *those[] = {(char *)(uintptr_t) "api", NULL};

static void purged(struct bench *b, int64_t used_bytes, struct event_purge purge, const char *failure)
{
	struct event e = {.kind = EVENT_VOLUME_PURGED, .slot = 2};
	e.volume.used_bytes = used_bytes, e.volume.size_bytes = 1000, e.volume.is_tmpfs = true, e.volume.purge = purge;
	strcpy(e.text, failure);
	volume_apply(&b->v, &e, &b->turn);
}

static void above_high_it_is_purged_in_slices_until_it_is_below_low(void **state)
{
	struct bench *b = *state;
	allow(b, everything, NULL);
	get_ready(b);
	apply(b, EVENT_VOLUME_MEASURED, 900, "");
	assert_int_equal(plan_one(b, true), EFFECT_VOLUME_PURGE);
	plan_nothing(b, true);
	purged(b, 800, (struct event_purge){.bytes = 100, .files = 2, .more = true}, "");
	assert_int_equal(plan_one(b, true), EFFECT_VOLUME_PURGE);
	purged(b, 690, (struct event_purge){.bytes = 110, .files = 1, .open = 4}, "");
	assert_string_equal(newest(b)->what, "purged");
	assert_string_equal(newest(b)->text, "3 files deleted, 210 freed, 69% used; of those that match, 4 in use");
	assert_int_equal(b->v.purged_bytes, 210);
	assert_int_equal(b->v.last_purge.files, 3);
	plan_nothing(b, true);
	b->turn.now += VOLUME_PURGE_PAUSE_MS;
	assert_int_equal(plan_one(b, true), EFFECT_VOLUME_MEASURE);
}

static void what_stays_above_low_is_purged_again_after_a_pause(void **state)
{
	struct bench *b = *state;
	allow(b, everything, NULL);
	get_ready(b);
	apply(b, EVENT_VOLUME_MEASURED, 900, "");
	plan_one(b, true);
	purged(b, 800, (struct event_purge){.bytes = 100, .files = 1}, "");
	plan_nothing(b, true);
	b->turn.now += VOLUME_PURGE_PAUSE_MS;
	assert_int_equal(plan_one(b, true), EFFECT_VOLUME_PURGE);
}

static void without_globs_nothing_is_purged(void **state)
{
	struct bench *b = *state;
	get_ready(b);
	apply(b, EVENT_VOLUME_MEASURED, 990, "");
	plan_nothing(b, true);
	assert_false(volume_can_relieve(&b->v));
}

static void inodes_count_as_much_as_bytes(void **state)
{
	struct bench *b = *state;
	allow(b, everything, NULL);
	get_ready(b);
	struct event e = {.kind = EVENT_VOLUME_MEASURED, .slot = 2};
	e.volume.used_bytes = 10, e.volume.size_bytes = 1000, e.volume.is_tmpfs = true;
	e.volume.used_inodes = 95, e.volume.size_inodes = 100;
	volume_apply(&b->v, &e, &b->turn);
	assert_int_equal(volume_fill_percent(&b->v), 95);
	assert_string_equal(newest(b)->text, "95% of its 100 inodes is used, above 85%");
	assert_int_equal(plan_one(b, true), EFFECT_VOLUME_PURGE);
}

static void a_purge_that_deletes_nothing_says_why_and_only_once(void **state)
{
	struct bench *b = *state;
	allow(b, everything, NULL);
	get_ready(b);
	apply(b, EVENT_VOLUME_MEASURED, 900, "");
	plan_one(b, true);
	purged(b, 900, (struct event_purge){.young = 7, .unseen = 2}, "");
	assert_int_equal(newest(b)->level, LOG_WARN);
	assert_string_equal(newest(b)->text,
		"0 files deleted, 0 freed, 90% used; of those that match, 7 younger than min_age; "
		"2 processes do not let podvisor see their files");
	uint64_t told = b->journal.last_seq;
	for (int i = 0; i < 3; i++) {
		b->turn.now += VOLUME_PURGE_PAUSE_MS;
		assert_int_equal(plan_one(b, true), EFFECT_VOLUME_PURGE);
		purged(b, 900, (struct event_purge){.young = 7, .unseen = 2}, "");
	}
	assert_int_equal(b->journal.last_seq, told);
	b->turn.now += VOLUME_PURGE_PAUSE_MS;
	plan_one(b, true);
	purged(b, 900, (struct event_purge){0}, "");
	assert_non_null(strstr(newest(b)->text, "no file matches purge"));
	b->turn.now += VOLUME_PURGE_PAUSE_MS;
	plan_one(b, true);
	purged(b, 0, (struct event_purge){0}, "/ram: Permission denied");
	assert_non_null(strstr(newest(b)->text, "Permission denied"));
}

static void when_purging_is_not_enough_others_are_to_make_room_ever_more_rarely(void **state)
{
	struct bench *b = *state;
	allow(b, everything, those);
	get_ready(b);
	ms_t pauses[] = {VOLUME_FULL_PAUSE_MS, 2 * VOLUME_FULL_PAUSE_MS, 4 * VOLUME_FULL_PAUSE_MS};
	apply(b, EVENT_VOLUME_MEASURED, 900, "");
	assert_false(b->v.full); /* the purge comes first */
	for (size_t i = 0; i < 3; i++) {
		ms_t until = b->turn.now + pauses[i];
		assert_int_equal(plan_one(b, true), EFFECT_VOLUME_PURGE);
		purged(b, 900, (struct event_purge){0}, "");
		assert_true(b->v.full);
		b->v.full = false;
		for (; b->turn.now + VOLUME_PURGE_PAUSE_MS < until; b->turn.now += VOLUME_PURGE_PAUSE_MS) {
			apply(b, EVENT_VOLUME_MEASURED, 900, "");
			assert_false(b->v.full);
		}
		b->turn.now = until;
	}
	assert_int_equal(b->v.fulls, 3);
}

static void without_globs_being_full_is_enough_for_on_full(void **state)
{
	struct bench *b = *state;
	allow(b, NULL, those);
	get_ready(b);
	apply(b, EVENT_VOLUME_MEASURED, 860, "");
	assert_true(b->v.full);
}

static void between_low_and_high_nobody_has_to_make_room(void **state)
{
	struct bench *b = *state;
	allow(b, everything, those);
	get_ready(b);
	apply(b, EVENT_VOLUME_MEASURED, 900, "");
	plan_one(b, true);
	purged(b, 800, (struct event_purge){.bytes = 100, .files = 1}, "");
	assert_false(b->v.full);
}

static void a_purge_for_the_pods_sake_frees_what_was_asked(void **state)
{
	struct bench *b = *state;
	allow(b, everything, NULL);
	get_ready(b);
	assert_true(volume_can_relieve(&b->v));
	volume_relieve(&b->v, 50);
	assert_false(volume_can_relieve(&b->v));
	assert_int_equal(plan_one(b, true), EFFECT_VOLUME_PURGE);
	assert_int_equal(b->plan.effects[0].value, 50);
	purged(b, 50, (struct event_purge){.bytes = 50, .files = 1}, "");
	plan_nothing(b, true);
	assert_true(volume_can_relieve(&b->v));
}

static void the_end_cuts_a_purge_short(void **state)
{
	struct bench *b = *state;
	allow(b, everything, NULL);
	get_ready(b);
	apply(b, EVENT_VOLUME_MEASURED, 900, "");
	plan_one(b, true);
	assert_int_equal(plan_one(b, false), EFFECT_VOLUME_CANCEL);
	plan_nothing(b, false);
	purged(b, 800, (struct event_purge){.more = true}, "");
	assert_int_equal(plan_one(b, false), EFFECT_VOLUME_RELEASE);
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
		TEST(what_is_being_prepared_is_cut_short_and_released_afterwards),
		TEST(getting_full_is_told_once_until_there_is_room_again),
		TEST(above_high_it_is_purged_in_slices_until_it_is_below_low),
		TEST(what_stays_above_low_is_purged_again_after_a_pause),
		TEST(without_globs_nothing_is_purged),
		TEST(inodes_count_as_much_as_bytes),
		TEST(a_purge_that_deletes_nothing_says_why_and_only_once),
		TEST(when_purging_is_not_enough_others_are_to_make_room_ever_more_rarely),
		TEST(without_globs_being_full_is_enough_for_on_full),
		TEST(between_low_and_high_nobody_has_to_make_room),
		TEST(a_purge_for_the_pods_sake_frees_what_was_asked),
		TEST(the_end_cuts_a_purge_short),
		TEST(a_measurement_that_fails_is_told_once),
		TEST(a_tmpfs_that_somebody_unmounted_is_told),
		TEST(a_measurement_that_failed_is_told_as_that_and_as_nothing_else),
	};
	return cmocka_run_group_tests_name("volume", tests, NULL, NULL);
}
