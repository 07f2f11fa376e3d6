/* What wears a Chrome out: each limit alone, just below it and at it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "podvisor/model/recycle.h"

#define MIB ((int64_t)1 << 20)

static const struct config_browser config = {
	.recycle = {.age = 21600000,
		.pages = 2000,
		.sessions = 500,
		.memory_bytes = 1200 * MIB,
		.memory_hard_bytes = 1800 * MIB,
		.per_hour = 6,
		.disk_percent = 40,
		.disk_hard_percent = 85},
	.overlap_memory_bytes = 600 * MIB,
	.overlap_disk_bytes = 512 * MIB,
};

static const struct recycle_room plenty = {-1, -1, -1};

static char why[120];

static enum browser_recycle soft(const struct recycle_facts *f, const struct recycle_room *room, ms_t now)
{
	return recycle_soft(f, &config, room, now, why, sizeof(why));
}

static enum browser_recycle hard(const struct recycle_facts *f, const struct recycle_room *room)
{
	return recycle_hard(f, &config, room, why, sizeof(why));
}

static void measure(struct recycle_facts *f, ms_t now, int64_t memory, int64_t pages, int gpu, int network)
{
	struct event e = {.kind = EVENT_BROWSER_MEASURED,
		.census = {.memory_bytes = memory, .pages = pages, .gpu_exits = gpu, .network_exits = network}};
	recycle_facts_take(f, &e, now);
}

static void a_new_one_is_not_worn(void **state)
{
	(void)state;
	struct recycle_facts f;
	recycle_facts_init(&f);
	assert_int_equal(soft(&f, &plenty, 1000000000), RECYCLE_NONE);
	assert_int_equal(hard(&f, &plenty), RECYCLE_NONE);
}

static void its_age_is_over_within_a_tenth_of_what_is_configured(void **state)
{
	(void)state;
	ms_t least = CLOCK_NEVER, most = 0;
	for (uint64_t seed = 1; seed <= 200; seed++) {
		struct recycle_facts f;
		struct random random = {seed};
		recycle_facts_init(&f);
		recycle_facts_begin(&f, &config, &random, 5000);
		assert_int_equal(soft(&f, &plenty, f.old_at - 1), RECYCLE_NONE);
		assert_int_equal(soft(&f, &plenty, f.old_at), RECYCLE_AGE);
		least = f.old_at < least ? f.old_at : least;
		most = f.old_at > most ? f.old_at : most;
	}
	assert_true(least >= 5000 + 19440000 && most <= 5000 + 23760000);
	assert_true(most - least > 2000000); /* not all pods at once */
}

static void pages_sessions_and_memory_have_limits(void **state)
{
	(void)state;
	struct recycle_facts f;
	recycle_facts_init(&f);
	measure(&f, 0, 1200 * MIB, 1999, 0, 0);
	recycle_facts_take(&f, &(struct event){.kind = EVENT_BROWSER_SESSIONS, .sessions = {3, 499}}, 0);
	assert_int_equal(soft(&f, &plenty, 0), RECYCLE_NONE);
	measure(&f, 0, 1200 * MIB, 2000, 0, 0);
	assert_int_equal(soft(&f, &plenty, 0), RECYCLE_PAGES);
	measure(&f, 0, 1200 * MIB, 0, 0, 0);
	recycle_facts_take(&f, &(struct event){.kind = EVENT_BROWSER_SESSIONS, .sessions = {3, 500}}, 0);
	assert_int_equal(soft(&f, &plenty, 0), RECYCLE_SESSIONS);
	measure(&f, 0, 1201 * MIB, 0, 0, 0);
	assert_int_equal(soft(&f, &plenty, 0), RECYCLE_MEMORY);
	assert_string_equal(why, "its processes use 1201Mi of memory, the limit is 1200Mi");
	assert_int_equal(hard(&f, &plenty), RECYCLE_NONE);
	measure(&f, 0, 1801 * MIB, 0, 0, 0);
	assert_int_equal(hard(&f, &plenty), RECYCLE_MEMORY);
}

static void a_part_that_ends_three_times_in_two_minutes_is_at_fault(void **state)
{
	(void)state;
	struct recycle_facts f;
	recycle_facts_init(&f);
	measure(&f, 1000, -1, 0, 1, 0);
	measure(&f, 61000, -1, 0, 1, 0);
	assert_int_equal(soft(&f, &plenty, 61000), RECYCLE_NONE);
	measure(&f, 121001, -1, 0, 1, 0); /* a millisecond too late for the first */
	assert_int_equal(soft(&f, &plenty, 121001), RECYCLE_NONE);
	measure(&f, 122000, -1, 0, 1, 0);
	assert_int_equal(soft(&f, &plenty, 122000), RECYCLE_GPU);
	assert_int_equal(soft(&f, &plenty, 300000), RECYCLE_NONE); /* it has passed */
	measure(&f, 300000, -1, 0, 0, 3);
	assert_int_equal(soft(&f, &plenty, 300000), RECYCLE_NETWORK);
}

static void a_zygote_that_is_gone_ends_it_at_once(void **state)
{
	(void)state;
	struct recycle_facts f;
	recycle_facts_init(&f);
	recycle_facts_take(&f, &(struct event){.kind = EVENT_BROWSER_MEASURED, .census = {.zygotes_lost = 1}}, 0);
	assert_int_equal(hard(&f, &plenty), RECYCLE_ZYGOTE);
	measure(&f, 5000, -1, 0, 0, 0); /* the next census does not bring it back */
	assert_int_equal(hard(&f, &plenty), RECYCLE_ZYGOTE);
}

static void a_disk_counts_that_it_has_filled_itself(void **state)
{
	(void)state;
	struct recycle_facts f;
	struct recycle_room room = {90, -1, -1};
	recycle_facts_init(&f);
	assert_int_equal(hard(&f, &room), RECYCLE_NONE); /* not known what was there before */
	f.disk_base = 86;
	assert_int_equal(hard(&f, &room), RECYCLE_NONE); /* another one would find it as full */
	assert_int_equal(soft(&f, &room, 0), RECYCLE_NONE);
	f.disk_base = 10;
	assert_int_equal(hard(&f, &room), RECYCLE_DISK);
	room.disk_percent = 84;
	assert_int_equal(hard(&f, &room), RECYCLE_NONE);
	assert_int_equal(soft(&f, &room, 0), RECYCLE_DISK);
	room.disk_percent = 39;
	assert_int_equal(soft(&f, &room, 0), RECYCLE_NONE);
}

static void two_need_room_in_memory_and_on_the_disk(void **state)
{
	(void)state;
	struct recycle_room room = {50, 512 * MIB, 600 * MIB};
	assert_true(recycle_has_room(&config, &plenty, NULL, 0));
	assert_true(recycle_has_room(&config, &room, NULL, 0));
	room.memory_free_bytes--;
	assert_false(recycle_has_room(&config, &room, why, sizeof(why)));
	assert_string_equal(why, "599Mi of the pod's memory is free, two side by side need 600Mi");
	room = (struct recycle_room){50, 100 * MIB, -1};
	assert_false(recycle_has_room(&config, &room, why, sizeof(why)));
	assert_string_equal(why, "100Mi of its volume is free, two side by side need 512Mi");
}

static void so_many_an_hour_and_no_more(void **state)
{
	(void)state;
	struct recycle_hour h = {0};
	for (int i = 0; i < 6; i++) {
		assert_int_equal(recycle_hour_next(&h, 6), 0);
		recycle_hour_note(&h, 1000 + i);
	}
	assert_int_equal(recycle_hour_next(&h, 6), 1000 + RECYCLE_HOUR_MS);
	recycle_hour_note(&h, 1000 + RECYCLE_HOUR_MS);
	assert_int_equal(recycle_hour_next(&h, 6), 1001 + RECYCLE_HOUR_MS);
	for (int i = 0; i < 1000; i++)
		recycle_hour_note(&h, 5000000 + i);
	assert_int_equal(recycle_hour_next(&h, RECYCLES_PER_HOUR), 5000940 + RECYCLE_HOUR_MS);
}

static void every_reason_has_a_name_of_its_own(void **state)
{
	(void)state;
	for (int i = 0; i < RECYCLE_COUNT; i++)
		for (int k = 0; k < i; k++)
			assert_string_not_equal(browser_recycle_name((enum browser_recycle)i),
				browser_recycle_name((enum browser_recycle)k));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_one_is_not_worn),
		cmocka_unit_test(its_age_is_over_within_a_tenth_of_what_is_configured),
		cmocka_unit_test(pages_sessions_and_memory_have_limits),
		cmocka_unit_test(a_part_that_ends_three_times_in_two_minutes_is_at_fault),
		cmocka_unit_test(a_zygote_that_is_gone_ends_it_at_once),
		cmocka_unit_test(a_disk_counts_that_it_has_filled_itself),
		cmocka_unit_test(two_need_room_in_memory_and_on_the_disk),
		cmocka_unit_test(so_many_an_hour_and_no_more),
		cmocka_unit_test(every_reason_has_a_name_of_its_own),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
