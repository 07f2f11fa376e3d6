#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "podvisor/base/list.h"

struct thing {
	int id;
	struct list link;
};

static void collect(struct list *head, int *ids, size_t *n)
{
	*n = 0;
	LIST_EACH (at, head)
		ids[(*n)++] = LIST_ENTRY(at, struct thing, link)->id;
}

static void a_new_list_is_empty(void **state)
{
	(void)state;
	struct list head;
	list_init(&head);
	assert_true(list_empty(&head));
	int ids[1];
	size_t n;
	collect(&head, ids, &n);
	assert_int_equal(n, 0);
}

static void elements_are_walked_in_the_order_of_appending(void **state)
{
	(void)state;
	struct list head;
	list_init(&head);
	struct thing things[3] = {{.id = 1}, {.id = 2}, {.id = 3}};
	for (int i = 0; i < 3; i++)
		list_append(&head, &things[i].link);
	int ids[3];
	size_t n;
	collect(&head, ids, &n);
	assert_int_equal(n, 3);
	assert_int_equal(ids[0], 1);
	assert_int_equal(ids[1], 2);
	assert_int_equal(ids[2], 3);
	assert_false(list_empty(&head));
}

static void an_element_leaves_from_the_middle(void **state)
{
	(void)state;
	struct list head;
	list_init(&head);
	struct thing things[3] = {{.id = 1}, {.id = 2}, {.id = 3}};
	for (int i = 0; i < 3; i++)
		list_append(&head, &things[i].link);
	list_remove(&things[1].link);
	int ids[3];
	size_t n;
	collect(&head, ids, &n);
	assert_int_equal(n, 2);
	assert_int_equal(ids[0], 1);
	assert_int_equal(ids[1], 3);
}

static void removing_twice_is_harmless(void **state)
{
	(void)state;
	struct list head;
	list_init(&head);
	struct thing things[2] = {{.id = 1}, {.id = 2}};
	list_append(&head, &things[0].link);
	list_append(&head, &things[1].link);
	list_remove(&things[0].link);
	list_remove(&things[0].link);
	assert_true(list_empty(&things[0].link));
	int ids[2];
	size_t n;
	collect(&head, ids, &n);
	assert_int_equal(n, 1);
	assert_int_equal(ids[0], 2);
}

static void the_body_of_a_walk_may_remove_its_element(void **state)
{
	(void)state;
	struct list head;
	list_init(&head);
	struct thing things[4] = {{.id = 1}, {.id = 2}, {.id = 3}, {.id = 4}};
	for (int i = 0; i < 4; i++)
		list_append(&head, &things[i].link);
	int walked = 0;
	LIST_EACH (at, &head) {
		walked++;
		list_remove(at);
	}
	assert_int_equal(walked, 4);
	assert_true(list_empty(&head));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_list_is_empty),
		cmocka_unit_test(elements_are_walked_in_the_order_of_appending),
		cmocka_unit_test(an_element_leaves_from_the_middle),
		cmocka_unit_test(removing_twice_is_harmless),
		cmocka_unit_test(the_body_of_a_walk_may_remove_its_element),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
