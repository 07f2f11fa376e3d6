#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "podvisor/control/events.h"

static struct world *world;
static struct meters meters;
static struct snapshot now;
static struct buf body;
static struct answer answer;
static struct wait wait;

static void happen(int n)
{
	for (int i = 0; i < n; i++)
		journal_add(&world->journal, 500, LOG_WARN, THING_WORKER, "api", "test", "event %d", i);
}

static int set_up(void **state)
{
	(void)state;
	world = calloc(1, sizeof(*world));
	now = (struct snapshot){.world = world, .meters = &meters, .now = 1000, .wall_ms = 1700000000000};
	wait = (struct wait){0};
	buf_init(&body, 1 << 20);
	answer_init(&answer, &body);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	buf_fini(&body);
	free(world);
	return 0;
}

static json_t *ask(const char *const *args, size_t n)
{
	struct query q = {args, n};
	answer_init(&answer, &body);
	events_answer(&now, &q, &answer, &wait);
	return json_loadb(body.data ? body.data : "", body.len, 0, NULL);
}

static long long number(json_t *list, const char *key)
{
	return json_integer_value(json_object_get(list, key));
}

static size_t count(json_t *list)
{
	return json_array_size(json_object_get(list, "events"));
}

static void an_event_has_a_number_a_time_and_a_sentence(void **state)
{
	(void)state;
	happen(1);
	json_t *list = ask(NULL, 0);
	json_t *e = json_array_get(json_object_get(list, "events"), 0);
	assert_int_equal(number(e, "seq"), 1);
	assert_string_equal(json_string_value(json_object_get(e, "time")), "2023-11-14T22:13:19.500Z");
	assert_string_equal(json_string_value(json_object_get(e, "level")), "warn");
	assert_string_equal(json_string_value(json_object_get(e, "thing")), "worker");
	assert_string_equal(json_string_value(json_object_get(e, "subject")), "api");
	assert_string_equal(json_string_value(json_object_get(e, "text")), "event 0");
	json_decref(list);
}

static void after_and_limit_choose_the_newest(void **state)
{
	(void)state;
	happen(10);
	json_t *list = ask((const char *const[]){"after=7"}, 1);
	assert_int_equal(count(list), 3);
	assert_int_equal(number(list, "last"), 10);
	json_decref(list);
	list = ask((const char *const[]){"limit=2"}, 1);
	assert_int_equal(count(list), 2);
	assert_int_equal(number(json_array_get(json_object_get(list, "events"), 0), "seq"), 9);
	json_decref(list);
	list = ask((const char *const[]){"limit=0"}, 1);
	assert_int_equal(count(list), 0);
	json_decref(list);
	json_decref(ask((const char *const[]){"after=ten"}, 1));
	assert_int_equal(answer.status, 400);
}

static void what_is_forgotten_is_counted_as_missed(void **state)
{
	(void)state;
	happen(JOURNAL_SIZE + 10);
	json_t *list = ask((const char *const[]){"after=4"}, 1);
	assert_int_equal(count(list), JOURNAL_SIZE);
	assert_int_equal(number(list, "oldest"), 11);
	assert_int_equal(number(list, "missed"), 6);
	json_decref(list);
}

static void a_number_of_an_earlier_life_gets_everything(void **state)
{
	(void)state;
	happen(3);
	json_t *list = ask((const char *const[]){"after=99", "wait=30"}, 2);
	assert_int_equal(count(list), 3);
	json_decref(list);
}

static void only_who_has_everything_waits(void **state)
{
	(void)state;
	happen(3);
	assert_null(ask((const char *const[]){"after=3", "wait=30"}, 2));
	assert_int_equal(answer.status, 0);
	assert_int_equal(wait.kind, WAIT_EVENT);
	assert_int_equal(wait.until, now.now + 30000);
	assert_false(waits_is_done(&wait, &now));
	happen(1);
	assert_true(waits_is_done(&wait, &now));
	answer_init(&answer, &body);
	events_answer_waited(&now, &wait, &answer);
	assert_non_null(strstr(buf_str(&body), "\"seq\":4"));
	assert_null(strstr(buf_str(&body), "\"seq\":3"));
}

static bool next(uint64_t *cursor)
{
	buf_clear(&body);
	return events_next(&now, cursor, &body);
}

static void a_live_reader_gets_one_after_the_other(void **state)
{
	(void)state;
	uint64_t cursor;
	struct query none = {NULL, 0};
	happen(2);
	assert_true(events_begin(&now, &none, &cursor, &answer));
	assert_false(next(&cursor));
	happen(2);
	assert_true(next(&cursor));
	assert_non_null(strstr(buf_str(&body), "\"seq\":3"));
	assert_true(next(&cursor));
	assert_non_null(strstr(buf_str(&body), "\"seq\":4"));
	assert_false(next(&cursor));
}

static void a_slow_live_reader_is_told_once_what_it_missed(void **state)
{
	(void)state;
	uint64_t cursor = 2;
	happen(JOURNAL_SIZE + 5);
	assert_true(next(&cursor));
	assert_string_equal(buf_str(&body), "{\"missed\":3}\n");
	for (int i = 0; i < JOURNAL_SIZE; i++) {
		assert_true(next(&cursor));
		assert_non_null(strstr(buf_str(&body), "\"seq\""));
	}
	assert_false(next(&cursor));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_event_has_a_number_a_time_and_a_sentence, set_up, tear_down),
		cmocka_unit_test_setup_teardown(after_and_limit_choose_the_newest, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_forgotten_is_counted_as_missed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_number_of_an_earlier_life_gets_everything, set_up, tear_down),
		cmocka_unit_test_setup_teardown(only_who_has_everything_waits, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_live_reader_gets_one_after_the_other, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_slow_live_reader_is_told_once_what_it_missed, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
