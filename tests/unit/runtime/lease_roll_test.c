/* Who takes part, as it stands in an object. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "podvisor/runtime/lease_roll.h"

#define TTL 15000

struct stage {
	json_t *object;
	struct lease_roll roll;
};

static void set_stage(struct stage *s)
{
	*s = (struct stage){.object = lease_roll_new("podvisor")};
	assert_non_null(s->object);
}

static void strike_stage(struct stage *s)
{
	json_decref(s->object);
	lease_roll_fini(&s->roll);
}

/* A replica with eyes of its own signs in, or out. */
static void signs(struct stage *s, const char *me, const char *lease, bool leaving, ms_t now)
{
	json_t *leases = json_pack("[s]", lease);
	lease_roll_read(&s->roll, s->object, now);
	assert_true(lease_roll_sign(&s->roll, s->object, me, leases, leaving, TTL, now));
	lease_roll_read(&s->roll, s->object, now);
	json_decref(leases);
}

static int count_there(const struct stage *s, ms_t now)
{
	int n = 0;
	for (int i = 0; i < s->roll.n; i++)
		n += lease_roll_is_there(&s->roll.members[i], TTL, now);
	return n;
}

static void who_came_last_and_wants_it_is_the_newest(void **state)
{
	struct stage s;
	(void)state;
	set_stage(&s);
	signs(&s, "a/1", "indexer", false, 0);
	signs(&s, "b/1", "indexer", false, 0);
	signs(&s, "c/1", "other", false, 0);
	signs(&s, "a/1", "indexer", false, 1000);
	assert_string_equal(lease_roll_newest(&s.roll, "indexer", "a/1", TTL, 1000), "b/1");
	assert_string_equal(lease_roll_newest(&s.roll, "indexer", "b/1", TTL, 1000), "a/1");
	assert_string_equal(lease_roll_newest(&s.roll, "none", "a/1", TTL, 1000), "");
	strike_stage(&s);
}

static void who_counts_on_is_there_and_who_stands_still_for_a_term_is_not(void **state)
{
	struct stage s;
	(void)state;
	set_stage(&s);
	signs(&s, "a/1", "x", false, 0);
	signs(&s, "b/1", "x", false, 0);
	signs(&s, "a/1", "x", false, TTL - 1);
	assert_int_equal(count_there(&s, TTL - 1), 2);
	assert_int_equal(count_there(&s, TTL), 1);
	assert_string_equal(lease_roll_newest(&s.roll, "x", "a/1", TTL, TTL), "");
	assert_string_equal(lease_roll_newest(&s.roll, "x", "b/1", TTL, TTL), "a/1");
	strike_stage(&s);
}

static void who_leaves_is_struck_out_and_who_was_silent_for_long_too(void **state)
{
	struct stage s;
	(void)state;
	set_stage(&s);
	signs(&s, "a/1", "x", false, 0);
	signs(&s, "b/1", "x", false, 0);
	signs(&s, "a/1", "x", true, 1000);
	assert_int_equal(s.roll.n, 1);
	assert_string_equal(s.roll.members[0].id, "b/1");
	signs(&s, "c/1", "x", false, 20 * TTL - 1);
	assert_int_equal(s.roll.n, 2);
	signs(&s, "c/1", "x", false, 20 * TTL);
	assert_int_equal(s.roll.n, 1);
	assert_string_equal(s.roll.members[0].id, "c/1");
	strike_stage(&s);
}

static void a_list_that_is_none_is_empty_and_is_written_anew(void **state)
{
	static const char *const lists[] = {"", "5", "[5, null, {}, {\"id\": \"\"}]", "[{\"id\": 7}]", "["};
	struct stage s;
	(void)state;
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		set_stage(&s);
		json_t *notes = json_pack("{s:s}", "podvisor/replicas", lists[i]);
		json_object_set_new(json_object_get(s.object, "metadata"), "annotations", notes);
		lease_roll_read(&s.roll, s.object, 0);
		assert_int_equal(s.roll.n, 0);
		signs(&s, "a/1", "x", false, 0);
		assert_int_equal(s.roll.n, 1);
		strike_stage(&s);
	}
}

static void one_without_leases_counts_and_gets_nothing(void **state)
{
	struct stage s;
	(void)state;
	set_stage(&s);
	json_t *notes = json_pack("{s:s}", "podvisor/replicas", "[{\"id\": \"a/1\", \"leases\": 3}]");
	json_object_set_new(json_object_get(s.object, "metadata"), "annotations", notes);
	signs(&s, "b/1", "x", false, 0);
	assert_int_equal(count_there(&s, 0), 2);
	assert_string_equal(lease_roll_newest(&s.roll, "x", "b/1", TTL, 0), "");
	strike_stage(&s);
}

static void more_than_there_is_room_for_are_not_read(void **state)
{
	struct stage s;
	char name[16];
	(void)state;
	set_stage(&s);
	for (int i = 0; i < LEASE_MEMBERS_MAX + 3; i++) {
		snprintf(name, sizeof(name), "pod-%d/1", i);
		signs(&s, name, "x", false, 0);
	}
	assert_int_equal(s.roll.n, LEASE_MEMBERS_MAX);
	strike_stage(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_came_last_and_wants_it_is_the_newest),
		cmocka_unit_test(who_counts_on_is_there_and_who_stands_still_for_a_term_is_not),
		cmocka_unit_test(who_leaves_is_struck_out_and_who_was_silent_for_long_too),
		cmocka_unit_test(a_list_that_is_none_is_empty_and_is_written_anew),
		cmocka_unit_test(one_without_leases_counts_and_gets_nothing),
		cmocka_unit_test(more_than_there_is_room_for_are_not_read),
	};
	return cmocka_run_group_tests_name("lease_roll", tests, NULL, NULL);
}
