/* Lease objects of Kubernetes: what is read of them, and what is written into them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "podvisor/runtime/lease_object.h"

#define WALL_MS 1767225600123 /* 2026-01-01T00:00:00.123Z */

static json_t *parse(const char *text)
{
	json_t *object = json_loads(text, 0, NULL);
	assert_non_null(object);
	return object;
}

static const char *text_at(const json_t *object, const char *part, const char *key, const char *deeper)
{
	const json_t *value = json_object_get(json_object_get(object, part), key);
	return json_string_value(deeper ? json_object_get(value, deeper) : value);
}

#define HELD                                                                                                    \
	"{\"metadata\": {\"name\": \"p.one\", \"uid\": \"u1\", \"resourceVersion\": \"42\", \"annotations\": {" \
	"\"podvisor/granted-on\": \"u1\", \"podvisor/next\": \"pod-c/1\", \"theirs\": \"kept\"}}, "             \
	"\"spec\": {\"holderIdentity\": \"pod-b/1\", \"leaseTransitions\": 7, \"strategy\": \"kept too\"}}"

static struct lease_object read_of(const char *text)
{
	struct lease_object o;
	json_t *object = parse(text);
	assert_true(lease_object_read(object, &o));
	o.next = "";
	json_decref(object);
	return o;
}

static void the_row_is_in_the_object(void **state)
{
	(void)state;
	struct lease_object o;
	json_t *object = parse(HELD);
	assert_true(lease_object_read(object, &o));
	assert_int_equal(o.row.token, 7);
	assert_int_equal(o.row.timeline, LEASE_OBJECT_TIMELINE);
	assert_string_equal(o.row.holder, "pod-b/1");
	assert_string_equal(o.next, "pod-c/1");
	json_decref(object);
}

static void what_others_have_made_of_it_is_free_and_was_never_granted(void **state)
{
	(void)state;
	struct lease_object o = read_of("{\"metadata\": {\"uid\": \"u1\", \"resourceVersion\": \"1\"}}");
	assert_int_equal(o.row.token, 0);
	assert_int_equal(o.row.timeline, 0);
	assert_string_equal(o.row.holder, "");
	o = read_of(
		"{\"metadata\": {\"uid\": \"u1\", \"resourceVersion\": \"1\"}, \"spec\": {\"holderIdentity\": null, "
		"\"leaseTransitions\": \"7\"}}");
	assert_int_equal(o.row.token, 0);
	assert_string_equal(o.row.holder, "");
}

static void a_grant_of_another_object_is_none(void **state)
{
	(void)state;
	struct lease_object o =
		read_of("{\"metadata\": {\"uid\": \"u2\", \"resourceVersion\": \"42\", \"annotations\": "
			"{\"podvisor/granted-on\": \"u1\"}}, \"spec\": {\"leaseTransitions\": 7}}");
	assert_int_equal(o.row.timeline, 0);
	assert_int_not_equal(o.system, read_of(HELD).system);
}

static void every_write_is_another_sequence_and_the_same_one_is_the_same(void **state)
{
	(void)state;
	int64_t seq = read_of("{\"metadata\": {\"uid\": \"u1\", \"resourceVersion\": \"42\"}}").row.seq;
	assert_int_equal(seq, read_of(HELD).row.seq);
	assert_int_not_equal(seq, read_of("{\"metadata\": {\"uid\": \"u1\", \"resourceVersion\": \"43\"}}").row.seq);
	assert_int_not_equal(seq, read_of("{\"metadata\": {\"uid\": \"u1\", \"resourceVersion\": \"x42\"}}").row.seq);
}

static void what_is_no_object_is_refused(void **state)
{
	(void)state;
	static const char *const bad[] = {"{}", "[]", "{\"metadata\": {\"uid\": \"u1\"}}",
		"{\"metadata\": {\"resourceVersion\": \"1\"}}", "{\"metadata\": {\"uid\": 1, \"resourceVersion\": 2}}"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct lease_object o;
		json_t *object = parse(bad[i]);
		assert_false(lease_object_read(object, &o));
		json_decref(object);
	}
	struct lease_object o;
	assert_false(lease_object_read(NULL, &o));
}

static json_t *changed(const char *text, const struct lease_object_change *change, const struct lease_row *row)
{
	json_t *object = parse(text);
	assert_int_equal(lease_object_write(object, row, change), 0);
	return object;
}

static void a_grant_names_the_object_and_forgets_who_was_to_be_next(void **state)
{
	(void)state;
	struct lease_row row = {.token = 8, .timeline = 1, .holder = "pod-a/2"};
	json_t *o = changed(HELD,
		&(struct lease_object_change){
			.request = LEASE_ACQUIRE, .schema = "p", .ttl_ms = 15001, .wall_ms = WALL_MS},
		&row);
	assert_string_equal(text_at(o, "spec", "holderIdentity", NULL), "pod-a/2");
	assert_int_equal(json_integer_value(json_object_get(json_object_get(o, "spec"), "leaseTransitions")), 8);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(o, "spec"), "leaseDurationSeconds")), 16);
	assert_string_equal(text_at(o, "spec", "acquireTime", NULL), "2026-01-01T00:00:00.123000Z");
	assert_string_equal(text_at(o, "spec", "renewTime", NULL), "2026-01-01T00:00:00.123000Z");
	assert_string_equal(text_at(o, "metadata", "annotations", "podvisor/granted-on"), "u1");
	assert_null(text_at(o, "metadata", "annotations", "podvisor/next"));
	assert_string_equal(text_at(o, "metadata", "labels", LEASE_OBJECT_LABEL), "p");
	assert_string_equal(text_at(o, "metadata", "annotations", "theirs"), "kept");
	assert_string_equal(text_at(o, "spec", "strategy", NULL), "kept too");
	json_decref(o);
}

static void a_release_names_who_is_to_be_next(void **state)
{
	(void)state;
	struct lease_row row = {.token = 7, .timeline = 1};
	struct lease_object_change change = {
		.request = LEASE_RELEASE, .schema = "p", .next = "pod-d/1", .ttl_ms = 1, .wall_ms = WALL_MS};
	json_t *o = changed(HELD, &change, &row);
	assert_string_equal(text_at(o, "spec", "holderIdentity", NULL), "");
	assert_string_equal(text_at(o, "metadata", "annotations", "podvisor/next"), "pod-d/1");
	assert_null(text_at(o, "spec", "acquireTime", NULL));
	json_decref(o);
}

static int64_t first_token(int64_t token, int64_t wall_ms)
{
	json_t *o = lease_object_new("p.one", "p", token, wall_ms);
	assert_non_null(o);
	int64_t first = json_integer_value(json_object_get(json_object_get(o, "spec"), "leaseTransitions"));
	json_decref(o);
	return first;
}

static void a_new_object_begins_above_the_tokens_of_one_that_was_deleted(void **state)
{
	(void)state;
	assert_int_equal(first_token(0, WALL_MS), 1767225600 - 1704067200);
	assert_int_equal(first_token(1700000000, WALL_MS), 1700000000);
	assert_int_equal(first_token(0, 0), 0); /* a clock that was never set */
	assert_int_equal(first_token((int64_t)1 << 40, WALL_MS), INT32_MAX - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_row_is_in_the_object),
		cmocka_unit_test(what_others_have_made_of_it_is_free_and_was_never_granted),
		cmocka_unit_test(a_grant_of_another_object_is_none),
		cmocka_unit_test(every_write_is_another_sequence_and_the_same_one_is_the_same),
		cmocka_unit_test(what_is_no_object_is_refused),
		cmocka_unit_test(a_grant_names_the_object_and_forgets_who_was_to_be_next),
		cmocka_unit_test(a_release_names_who_is_to_be_next),
		cmocka_unit_test(a_new_object_begins_above_the_tokens_of_one_that_was_deleted),
	};
	return cmocka_run_group_tests_name("lease_object", tests, NULL, NULL);
}
