#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "podvisor/runtime/recent.h"

enum { RINGS = 200 };

static struct recent recent;
static struct recent_ring rings[RINGS];
static char names[RINGS][8];

static void begin(int n)
{
	recent_init(&recent, 1000);
	for (int i = 0; i < n; i++) {
		snprintf(names[i], sizeof(names[i]), "w%d", i);
		recent_add(&recent, &rings[i], names[i]);
	}
}

static void put_text(int ring, const char *text)
{
	const struct recent_meta meta = {.wall_ms = 5, .level = 1, .stream = 1, .field = 2, .form = 3};
	recent_put(&recent, &rings[ring], &meta, SPAN(""), span_of(text));
}

static void put_number(int ring, int number, size_t padding)
{
	char text[4096];
	snprintf(text, sizeof(text), "%d%*s", number, (int)padding, "");
	put_text(ring, text);
}

static bool is_everybody(void *ctx, const struct recent_ring *ring)
{
	(void)ctx, (void)ring;
	return true;
}

static bool is_one(void *ctx, const struct recent_ring *ring)
{
	return ring == ctx;
}

static struct recent_list list_after(struct recent_ring *of, const struct recent_cursor *after, size_t max)
{
	const struct recent_query q = {
		.wanted = of ? is_one : is_everybody, .ctx = of, .after = after, .max = max, .max_bytes = 1 << 20};
	struct recent_list list;
	assert_int_equal(recent_list(&recent, &q, &list), 0);
	return list;
}

static void expect_list(const struct recent_list *list, const char *texts)
{
	char got[256] = "";
	for (size_t i = 0; i < list->n; i++)
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%s:%.*s", i ? " " : "",
			list->messages[i].ring->name, (int)list->messages[i].text.len, list->messages[i].text.at);
	assert_string_equal(got, texts);
}

static void expect(struct recent_ring *of, size_t max, const char *texts)
{
	struct recent_list list = list_after(of, NULL, max);
	expect_list(&list, texts);
	assert_false(list.more);
	assert_int_equal(list.missed, 0);
	recent_list_fini(&list);
}

/* ---- what is shown ---- */

static void the_newest_are_shown_in_the_order_in_which_they_came(void **state)
{
	(void)state;
	begin(3);
	expect(NULL, 10, "");
	put_text(0, "a");
	put_text(1, "b");
	put_text(0, "");
	put_text(2, "d");
	put_text(0, "e");
	expect(NULL, 10, "w0:a w1:b w0: w2:d w0:e");
	expect(NULL, 2, "w2:d w0:e");
	expect(NULL, 0, "");
	expect(&rings[0], 10, "w0:a w0: w0:e");
	expect(&rings[0], 2, "w0: w0:e");
	recent_fini(&recent);
}

static void what_was_given_with_a_message_comes_back(void **state)
{
	(void)state;
	begin(1);
	const struct recent_meta meta = {.wall_ms = 1795489845123, .level = 1, .stream = 2, .field = 3, .form = 4};
	recent_put(&recent, &rings[0], &meta, SPAN("api"), (struct span){"a\0b\nc", 5});
	struct recent_list list = list_after(NULL, NULL, 10);
	const struct recent_message *m = &list.messages[0];
	assert_int_equal(list.n, 1);
	assert_int_equal(m->seq, 1001);
	assert_ptr_equal(m->ring, &rings[0]);
	assert_memory_equal(&m->meta, &meta, sizeof(meta));
	assert_true(span_equals(m->subject, "api"));
	assert_int_equal(m->text.len, 5);
	assert_memory_equal(m->text.at, "a\0b\nc", 5);
	recent_list_fini(&list);
	recent_fini(&recent);
}

/* ---- going on ---- */

static void a_cursor_gives_what_is_newer_and_nothing_twice(void **state)
{
	(void)state;
	begin(2);
	put_text(0, "a");
	struct recent_list list = list_after(NULL, NULL, 0);
	struct recent_cursor at = list.next;
	recent_list_fini(&list);
	put_text(0, "same");
	put_text(1, "same");
	put_text(0, "same");
	list = list_after(NULL, &at, 10);
	expect_list(&list, "w0:same w1:same w0:same");
	assert_int_equal(list.missed, 0);
	assert_false(list.more);
	at = list.next;
	recent_list_fini(&list);
	list = list_after(NULL, &at, 10);
	expect_list(&list, "");
	assert_memory_equal(&list.next, &at, sizeof(at));
	recent_list_fini(&list);
	recent_fini(&recent);
}

static void what_is_too_much_at_once_goes_on_where_it_ended(void **state)
{
	(void)state;
	begin(2);
	struct recent_list list = list_after(NULL, NULL, 0);
	struct recent_cursor at = list.next;
	recent_list_fini(&list);
	for (int i = 0; i < 5; i++)
		put_number(i % 2, i, 0);
	static const char *const portions[] = {"w0:0 w1:1", "w0:2 w1:3", "w0:4"};
	for (int i = 0; i < 3; i++) {
		list = list_after(NULL, &at, 2);
		expect_list(&list, portions[i]);
		assert_int_equal(list.more, i < 2);
		assert_int_equal(list.missed, 0);
		at = list.next;
		recent_list_fini(&list);
	}
	recent_fini(&recent);
}

static void bytes_bound_a_list_too(void **state)
{
	(void)state;
	begin(1);
	struct recent_list list = list_after(NULL, NULL, 0);
	struct recent_cursor at = list.next;
	recent_list_fini(&list);
	for (int i = 0; i < 10; i++)
		put_number(0, i, 100);
	struct recent_query q = {.wanted = is_everybody, .after = &at, .max = 100, .max_bytes = 250};
	assert_int_equal(recent_list(&recent, &q, &list), 0);
	assert_int_equal(list.n, 3);
	assert_true(list.more);
	assert_int_equal(list.messages[0].text.at[0], '0');
	recent_list_fini(&list);
	q.after = NULL;
	assert_int_equal(recent_list(&recent, &q, &list), 0);
	assert_int_equal(list.n, 3);
	assert_int_equal(list.messages[2].text.at[0], '9');
	recent_list_fini(&list);
	recent_fini(&recent);
}

static void what_was_forgotten_meanwhile_is_counted(void **state)
{
	(void)state;
	begin(2);
	put_text(0, "before");
	put_text(1, "quiet");
	struct recent_list list = list_after(&rings[0], NULL, 0);
	struct recent_cursor at = list.next;
	recent_list_fini(&list);
	for (int i = 0; i < 10000; i++)
		put_number(0, i, 100);
	list = list_after(&rings[0], &at, 10000);
	assert_true(list.missed > 0);
	assert_int_equal(list.missed + list.n, 10000);
	assert_int_equal(atoi(list.messages[0].text.at), (int)list.missed);
	assert_int_equal(atoi(list.messages[list.n - 1].text.at), 9999);
	at = list.next;
	recent_list_fini(&list);
	put_number(0, 10000, 0);
	list = list_after(&rings[0], &at, 10000);
	assert_int_equal(list.missed, 0);
	assert_int_equal(list.n, 1);
	recent_list_fini(&list);
	recent_fini(&recent);
}

static void the_same_holds_in_portions(void **state)
{
	(void)state;
	begin(1);
	struct recent_list list = list_after(NULL, NULL, 0);
	struct recent_cursor at = list.next;
	recent_list_fini(&list);
	uint64_t missed = 0, seen = 0;
	int last = -1;
	for (int i = 0; i < 30000; i++) {
		put_number(0, i, 90);
		if (i % 97)
			continue;
		list = list_after(NULL, &at, 40);
		missed += list.missed;
		seen += list.n;
		assert_true(list.n && atoi(list.messages[0].text.at) == last + 1 + (int)list.missed);
		last = atoi(list.messages[list.n - 1].text.at);
		at = list.next;
		recent_list_fini(&list);
	}
	assert_true(missed > 0);
	assert_int_equal(missed + seen, last + 1);
	recent_fini(&recent);
}

static void a_cursor_of_another_life_begins_anew(void **state)
{
	(void)state;
	begin(1);
	put_text(0, "a");
	put_text(0, "b");
	static const struct recent_cursor strangers[] = {{999, 1}, {0, 0}, {5000, 70}, {UINT64_MAX, UINT64_MAX}};
	for (size_t i = 0; i < 4; i++) {
		struct recent_list list = list_after(NULL, &strangers[i], 10);
		expect_list(&list, "w0:a w0:b");
		assert_int_equal(list.missed, 0);
		recent_list_fini(&list);
	}
	recent_fini(&recent);
}

/* ---- memory ---- */

static void an_origin_that_is_dropped_takes_its_lines_along(void **state)
{
	(void)state;
	begin(2);
	put_text(0, "a");
	put_text(1, "b");
	struct recent_list list = list_after(NULL, NULL, 0);
	struct recent_cursor at = list.next;
	recent_list_fini(&list);
	recent_drop(&recent, &rings[0]);
	put_text(1, "c");
	expect(NULL, 10, "w1:b w1:c");
	list = list_after(NULL, &at, 10);
	expect_list(&list, "w1:c");
	assert_int_equal(list.missed, 0);
	recent_list_fini(&list);
	recent_drop(&recent, &rings[1]);
	assert_int_equal(recent.bytes, 0);
	recent_fini(&recent);
}

static void one_alone_has_its_limit(void **state)
{
	(void)state;
	begin(1);
	for (int i = 0; i < 20000; i++) {
		put_number(0, i, 100);
		assert_true(rings[0].bytes <= RECENT_ONE_BYTES);
	}
	assert_true(rings[0].bytes > RECENT_ONE_BYTES / 2);
	assert_int_equal(recent.bytes, rings[0].bytes);
	recent_fini(&recent);
}

static void one_that_says_little_takes_little(void **state)
{
	(void)state;
	begin(1);
	put_text(0, "hello");
	assert_true(rings[0].bytes <= 512);
	recent_fini(&recent);
}

static void all_together_have_their_limit_and_the_quiet_keep_their_words(void **state)
{
	(void)state;
	begin(RINGS);
	for (int i = 0; i < RINGS; i++)
		put_text(i, "my only word");
	for (int i = 0; i < 200000; i++) {
		put_number(i % 50, i, 200);
		assert_true(recent.bytes <= RECENT_ALL_BYTES);
	}
	assert_true(recent.bytes > RECENT_ALL_BYTES * 3 / 4);
	for (int i = 50; i < RINGS; i++) {
		struct recent_list list = list_after(&rings[i], NULL, 10);
		assert_int_equal(list.n, 1);
		recent_list_fini(&list);
	}
	/* And each of the others has about as much as its neighbours. */
	for (int i = 0; i < 50; i++)
		assert_in_range(rings[i].bytes, RECENT_ALL_BYTES / 50 / 2, RECENT_ALL_BYTES / 50 * 2);
	recent_fini(&recent);
}

static void a_newcomer_gets_its_room_from_the_largest(void **state)
{
	(void)state;
	begin(20);
	for (int i = 0; i < 100000; i++)
		put_number(i % 10, i, 200);
	size_t before = recent.bytes;
	for (int i = 0; i < 1000; i++)
		put_number(15, i, 200);
	assert_true(rings[15].bytes > 60 << 10);
	assert_true(recent.bytes <= RECENT_ALL_BYTES && before <= RECENT_ALL_BYTES);
	recent_fini(&recent);
}

static void a_message_that_is_too_large_is_counted_as_forgotten(void **state)
{
	(void)state;
	begin(1);
	char *large = calloc(1, RECENT_ONE_BYTES);
	assert_non_null(large);
	put_text(0, "a");
	struct recent_list list = list_after(NULL, NULL, 0);
	struct recent_cursor at = list.next;
	recent_list_fini(&list);
	recent_put(&recent, &rings[0], &(struct recent_meta){0}, SPAN(""), (struct span){large, RECENT_ONE_BYTES});
	put_text(0, "c");
	list = list_after(NULL, &at, 10);
	expect_list(&list, "w0:c");
	assert_int_equal(list.missed, 1);
	recent_list_fini(&list);
	expect(NULL, 10, "w0:a w0:c");
	/* One that just fits is alone there. */
	recent_put(
		&recent, &rings[0], &(struct recent_meta){0}, SPAN(""), (struct span){large, RECENT_ONE_BYTES - 100});
	list = list_after(NULL, NULL, 10);
	assert_int_equal(list.n, 1);
	assert_int_equal(list.messages[0].text.len, RECENT_ONE_BYTES - 100);
	recent_list_fini(&list);
	free(large);
	recent_fini(&recent);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_newest_are_shown_in_the_order_in_which_they_came),
		cmocka_unit_test(what_was_given_with_a_message_comes_back),
		cmocka_unit_test(a_cursor_gives_what_is_newer_and_nothing_twice),
		cmocka_unit_test(what_is_too_much_at_once_goes_on_where_it_ended),
		cmocka_unit_test(bytes_bound_a_list_too),
		cmocka_unit_test(what_was_forgotten_meanwhile_is_counted),
		cmocka_unit_test(the_same_holds_in_portions),
		cmocka_unit_test(a_cursor_of_another_life_begins_anew),
		cmocka_unit_test(an_origin_that_is_dropped_takes_its_lines_along),
		cmocka_unit_test(one_alone_has_its_limit),
		cmocka_unit_test(one_that_says_little_takes_little),
		cmocka_unit_test(all_together_have_their_limit_and_the_quiet_keep_their_words),
		cmocka_unit_test(a_newcomer_gets_its_room_from_the_largest),
		cmocka_unit_test(a_message_that_is_too_large_is_counted_as_forgotten),
	};
	return cmocka_run_group_tests_name("recent", tests, NULL, NULL);
}
