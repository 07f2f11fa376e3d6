#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "podvisor/model/lease_spread.h"

enum { MOST = 64 };

static const struct lease_member all[] = {{.id = "a"}, {.id = "b"}, {.id = "c"}, {.id = "d"}, {.id = "e"}};

static void count(const size_t *owner, size_t n, size_t members, size_t *load)
{
	for (size_t m = 0; m < members; m++)
		load[m] = 0;
	for (size_t i = 0; i < n; i++) {
		assert_true(owner[i] < members);
		load[owner[i]]++;
	}
}

static void nobody_gets_more_than_one_more_than_another(void **state)
{
	(void)state;
	for (size_t n = 0; n <= MOST; n++)
		for (size_t members = 1; members <= 5; members++) {
			size_t owner[MOST], load[5];
			lease_spread("indexer", n, all, members, owner);
			count(owner, n, members, load);
			for (size_t m = 0; m < members; m++)
				assert_in_range(load[m], n / members, (n + members - 1) / members);
		}
}

static void the_order_of_the_members_does_not_matter(void **state)
{
	(void)state;
	const struct lease_member turned[] = {{.id = "c"}, {.id = "a"}, {.id = "b"}};
	size_t owner[16], other[16];
	lease_spread("indexer", 16, all, 3, owner);
	lease_spread("indexer", 16, turned, 3, other);
	for (size_t i = 0; i < 16; i++)
		assert_string_equal(all[owner[i]].id, turned[other[i]].id);
}

static void who_drains_gets_nothing_and_counts_for_nothing(void **state)
{
	(void)state;
	const struct lease_member members[] = {{.id = "a"}, {.id = "b", .draining = true}, {.id = "c"}};
	size_t owner[16], load[3];
	lease_spread("indexer", 16, members, 3, owner);
	count(owner, 16, 3, load);
	assert_int_equal(load[0], 8);
	assert_int_equal(load[1], 0);
	assert_int_equal(load[2], 8);
}

static void without_members_nobody_is_to_hold_anything(void **state)
{
	(void)state;
	const struct lease_member draining = {.id = "a", .draining = true};
	size_t owner[2];
	lease_spread("indexer", 2, &draining, 1, owner);
	assert_int_equal(owner[0], 1);
	assert_int_equal(owner[1], 1);
}

/* Not more than twice what an even share needs: the surplus of the others may be passed on. */
static void a_replica_more_moves_few(void **state)
{
	(void)state;
	for (size_t members = 1; members < 5; members++) {
		size_t before[MOST], after[MOST], moved = 0;
		lease_spread("indexer", MOST, all, members, before);
		lease_spread("indexer", MOST, all, members + 1, after);
		for (size_t i = 0; i < MOST; i++)
			moved += before[i] != after[i];
		assert_in_range(moved, MOST / (members + 1), 2 * (MOST / (members + 1) + 1));
	}
}

static void one_surplus_is_given_up_at_a_time(void **state)
{
	(void)state;
	const size_t owner[] = {0, 1, 1, 2};
	bool held[] = {true, true, true, false};
	assert_int_equal(lease_spread_surplus(owner, held, 4, 0, 3), 1);
	held[1] = false;
	assert_int_equal(lease_spread_surplus(owner, held, 4, 0, 3), 2);
	held[2] = false;
	assert_int_equal(lease_spread_surplus(owner, held, 4, 0, 3), 4);
}

static void what_nobody_is_to_hold_is_kept(void **state)
{
	(void)state;
	const size_t owner[] = {1};
	const bool held[] = {true};
	assert_int_equal(lease_spread_surplus(owner, held, 1, 0, 1), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_gets_more_than_one_more_than_another),
		cmocka_unit_test(the_order_of_the_members_does_not_matter),
		cmocka_unit_test(who_drains_gets_nothing_and_counts_for_nothing),
		cmocka_unit_test(without_members_nobody_is_to_hold_anything),
		cmocka_unit_test(a_replica_more_moves_few),
		cmocka_unit_test(one_surplus_is_given_up_at_a_time),
		cmocka_unit_test(what_nobody_is_to_hold_is_kept),
	};
	return cmocka_run_group_tests_name("lease spread", tests, NULL, NULL);
}
