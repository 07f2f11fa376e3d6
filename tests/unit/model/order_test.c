#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "podvisor/base/random.h"
#include "podvisor/model/order.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The circles told, as "0>2>1 " each. */
static void note_circle(void *ctx, const uint32_t *members, size_t count)
{
	char *text = ctx;
	for (size_t i = 0; i < count; i++)
		sprintf(text + strlen(text), "%s%u", i ? ">" : "", members[i]);
	strcat(text, " ");
}

static void everyone_comes_after_what_it_waits_for(void **state)
{
	const struct order_edge edges[] = {{0, 3}, {1, 0}, {1, 2}, {2, 3}};
	uint32_t order[5];
	(void)state;
	assert_int_equal(order_sort(5, edges, COUNT(edges), order, NULL, NULL), 0);
	const uint32_t expected[] = {3, 0, 2, 1, 4};
	assert_memory_equal(order, expected, sizeof(expected));
}

static void nobody_and_nothing_is_an_order_too(void **state)
{
	uint32_t order[1];
	(void)state;
	assert_int_equal(order_sort(0, NULL, 0, order, NULL, NULL), 0);
	assert_int_equal(order_sort(1, NULL, 0, order, NULL, NULL), 0);
	assert_int_equal(order[0], 0);
}

static void a_circle_is_told_from_its_smallest_member_on(void **state)
{
	const struct order_edge edges[] = {{2, 1}, {1, 3}, {3, 2}, {0, 3}};
	uint32_t order[4];
	char told[64] = "";
	(void)state;
	assert_int_equal(order_sort(4, edges, COUNT(edges), order, note_circle, told), 1);
	assert_string_equal(told, "1>3>2 ");
}

static void who_waits_for_itself_is_a_circle(void **state)
{
	const struct order_edge edges[] = {{0, 0}};
	uint32_t order[1];
	char told[64] = "";
	(void)state;
	assert_int_equal(order_sort(1, edges, 1, order, note_circle, told), 1);
	assert_string_equal(told, "0 ");
}

static void separate_circles_are_told_each_and_a_repeated_edge_once(void **state)
{
	const struct order_edge edges[] = {{0, 1}, {1, 0}, {1, 0}, {2, 3}, {3, 2}};
	uint32_t order[4];
	char told[64] = "";
	(void)state;
	assert_int_equal(order_sort(4, edges, COUNT(edges), order, note_circle, told), 2);
	assert_string_equal(told, "0>1 2>3 ");
}

static void a_chain_of_any_length_is_sorted(void **state)
{
	enum { N = 100000 };
	struct order_edge *edges = calloc(N, sizeof(*edges));
	uint32_t *order = calloc(N, sizeof(*order));
	(void)state;
	for (uint32_t i = 0; i + 1 < N; i++)
		edges[i] = (struct order_edge){i, i + 1};
	assert_int_equal(order_sort(N, edges, N - 1, order, NULL, NULL), 0);
	assert_int_equal(order[0], N - 1);
	assert_int_equal(order[N - 1], 0);
	free(edges);
	free(order);
}

/* Random graphs: edges only to lower numbers never give a circle; order is a
 * permutation that respects them. With one edge back along a path there is one. */
static void random_graphs_without_a_circle_are_sorted_and_with_one_are_not(void **state)
{
	struct random random = {.state = 11};
	(void)state;
	for (int round = 0; round < 500; round++) {
		uint32_t n = 2 + (uint32_t)random_below(&random, 20), order[24], place[24];
		struct order_edge edges[64];
		size_t n_edges = random_below(&random, 60);
		for (size_t i = 0; i < n_edges; i++) {
			uint32_t from = 1 + (uint32_t)random_below(&random, n - 1);
			edges[i] = (struct order_edge){from, (uint32_t)random_below(&random, from)};
		}
		assert_int_equal(order_sort(n, edges, n_edges, order, NULL, NULL), 0);
		memset(place, 0xff, sizeof(place));
		for (uint32_t i = 0; i < n; i++)
			place[order[i]] = i;
		for (uint32_t i = 0; i < n; i++)
			assert_true(place[i] < n);
		for (size_t i = 0; i < n_edges; i++)
			assert_true(place[edges[i].to] < place[edges[i].from]);
		if (n_edges == 0)
			continue;
		edges[n_edges] = (struct order_edge){edges[0].to, edges[0].from};
		assert_true(order_sort(n, edges, n_edges + 1, order, NULL, NULL) >= 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everyone_comes_after_what_it_waits_for),
		cmocka_unit_test(nobody_and_nothing_is_an_order_too),
		cmocka_unit_test(a_circle_is_told_from_its_smallest_member_on),
		cmocka_unit_test(who_waits_for_itself_is_a_circle),
		cmocka_unit_test(separate_circles_are_told_each_and_a_repeated_edge_once),
		cmocka_unit_test(a_chain_of_any_length_is_sorted),
		cmocka_unit_test(random_graphs_without_a_circle_are_sorted_and_with_one_are_not),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
