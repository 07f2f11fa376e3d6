#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "podvisor/base/random.h"
#include "podvisor/wire/cdp.h"

#define ROOMY 4096

static struct span span_of_bytes(const struct buf *b)
{
	return (struct span){b->data, b->len};
}

/* Offers all of wire in chunks of at most step bytes (0: one chunk) and joins the messages with '|'. */
static void read_in_chunks(struct cdp_reader *r, struct span wire, struct random *random, size_t step, struct buf *out)
{
	while (wire.len) {
		size_t n = step ? 1 + (size_t)random_below(random, step) : wire.len;
		n = n > wire.len ? wire.len : n;
		char *copy = malloc(n); /* of its own, so that a read past the chunk is seen by the sanitizers */
		memcpy(copy, wire.at, n);
		struct span chunk = {copy, n}, message;
		while (cdp_reader_take(r, &chunk, &message)) {
			buf_put(out, message.at, message.len);
			buf_putc(out, '|');
		}
		free(copy);
		wire = (struct span){wire.at + n, wire.len - n};
	}
}

static void messages_are_the_same_in_any_chunking(void **state)
{
	(void)state;
	const struct span wire = SPAN("{\"id\":1,\"result\":{}}\0{\"method\":\"a\"}\0\0{\"id\":2}\0");
	for (uint64_t seed = 1; seed < 400; seed++) {
		struct random random = {seed};
		struct cdp_reader r;
		struct buf out;
		cdp_reader_init(&r, ROOMY);
		buf_init(&out, ROOMY);
		read_in_chunks(&r, wire, &random, seed % 40, &out);
		assert_string_equal(buf_str(&out), "{\"id\":1,\"result\":{}}|{\"method\":\"a\"}||{\"id\":2}|");
		assert_int_equal(r.skipped, 0);
		cdp_reader_fini(&r);
		buf_fini(&out);
	}
}

static void a_message_over_the_cap_is_skipped_and_the_next_one_is_read(void **state)
{
	(void)state;
	const struct span wire = SPAN("short\0this one is far too long\0next\0");
	for (size_t step = 0; step < 30; step++) {
		struct random random = {step + 7};
		struct cdp_reader r;
		struct buf out;
		cdp_reader_init(&r, 8);
		buf_init(&out, ROOMY);
		read_in_chunks(&r, wire, &random, step, &out);
		assert_string_equal(buf_str(&out), "short|next|");
		assert_int_equal(r.skipped, 1);
		cdp_reader_fini(&r);
		buf_fini(&out);
	}
}

static struct cdp_message parsed(const char *text)
{
	struct cdp_message m = {0};
	assert_int_equal(cdp_parse(span_of(text), &m), 0);
	return m;
}

static void a_reply_an_event_and_a_failure_are_told_apart(void **state)
{
	(void)state;
	struct cdp_message m = parsed("{\"id\":7,\"result\":{\"targetId\":\"T\"},\"sessionId\":\"S\"}");
	assert_int_equal(m.id, 7);
	assert_null(m.method);
	assert_null(m.error);
	assert_string_equal(m.session, "S");
	assert_string_equal(cdp_text(&m, "targetId"), "T");
	assert_null(cdp_text(&m, "other"));
	cdp_message_fini(&m);

	m = parsed("{\"method\":\"Target.targetCrashed\",\"params\":{\"targetId\":\"X\"}}");
	assert_int_equal(m.id, 0);
	assert_string_equal(m.method, "Target.targetCrashed");
	assert_string_equal(cdp_text(&m, "targetId"), "X");
	cdp_message_fini(&m);

	m = parsed("{\"id\":8,\"error\":{\"code\":-32000,\"message\":\"No target\"}}");
	assert_string_equal(m.error, "No target");
	assert_null(cdp_text(&m, "anything"));
	cdp_message_fini(&m);
}

static void what_is_no_message_is_refused(void **state)
{
	(void)state;
	static const char *const bad[] = {"", "{", "[]", "7", "{}", "{\"id\":0}", "{\"id\":-4,\"result\":{}}",
		"{\"id\":\"7\"}", "{\"method\":3}", "{\"id\":1} x"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct cdp_message m = {.id = 99};
		assert_true(cdp_parse(span_of(bad[i]), &m) < 0);
		assert_int_equal(m.id, 99);
	}
}

static void a_title_with_a_nul_does_not_break_the_message(void **state)
{
	(void)state;
	struct cdp_message m = parsed("{\"method\":\"e\",\"params\":{\"title\":\"a\\u0000b\",\"targetId\":\"T\"}}");
	assert_string_equal(cdp_text(&m, "targetId"), "T");
	cdp_message_fini(&m);
}

static void an_evaluation_counts_only_as_the_number_it_is(void **state)
{
	(void)state;
	struct cdp_message m = parsed("{\"id\":1,\"result\":{\"result\":{\"type\":\"number\",\"value\":2}}}");
	assert_true(cdp_evaluated_to(&m, 2));
	assert_false(cdp_evaluated_to(&m, 3));
	cdp_message_fini(&m);
	m = parsed("{\"id\":1,\"result\":{\"result\":{\"type\":\"string\",\"value\":\"2\"}}}");
	assert_false(cdp_evaluated_to(&m, 2));
	cdp_message_fini(&m);
	m = parsed("{\"id\":1,\"error\":{\"message\":\"no\"}}");
	assert_false(cdp_evaluated_to(&m, 0));
	cdp_message_fini(&m);
}

static void the_version_is_read_and_cut_to_its_room(void **state)
{
	(void)state;
	struct cdp_version v;
	struct cdp_message m =
		parsed("{\"id\":1,\"result\":{\"protocolVersion\":\"1.3\",\"product\":\"HeadlessChrome/1\","
		       "\"revision\":\"@abc\",\"userAgent\":\"UA\",\"jsVersion\":\"15\"}}");
	assert_true(cdp_read_version(&m, &v));
	assert_string_equal(v.product, "HeadlessChrome/1");
	assert_string_equal(v.user_agent, "UA");
	cdp_message_fini(&m);
	m = parsed("{\"id\":1,\"result\":{}}");
	assert_false(cdp_read_version(&m, &v));
	cdp_message_fini(&m);
}

static void pages_of_clients_are_counted_and_our_own_are_not(void **state)
{
	(void)state;
	struct cdp_message m = parsed("{\"id\":1,\"result\":{\"targetInfos\":["
				      "{\"type\":\"page\",\"attached\":true,\"browserContextId\":\"C\"},"
				      "{\"type\":\"page\",\"attached\":false,\"browserContextId\":\"C\"},"
				      "{\"type\":\"page\",\"attached\":true,\"browserContextId\":\"OURS\"},"
				      "{\"type\":\"browser\",\"attached\":true},"
				      "{\"type\":\"page\",\"attached\":false}]}}");
	int64_t attached, detached;
	cdp_count_pages(&m, "OURS", &attached, &detached);
	assert_int_equal(attached, 1);
	assert_int_equal(detached, 2);
	cdp_count_pages(&m, NULL, &attached, &detached);
	assert_int_equal(attached, 2);
	cdp_message_fini(&m);
}

static void a_command_is_one_message_that_reads_back(void **state)
{
	(void)state;
	struct buf out;
	buf_init(&out, ROOMY);
	assert_int_equal(cdp_get_version(&out, 3), 0);
	assert_string_equal(out.data, "{\"id\":3,\"method\":\"Browser.getVersion\"}");
	assert_int_equal(out.data[out.len - 1], 0);
	buf_clear(&out);
	assert_int_equal(cdp_navigate(&out, 4, "S\"1", "http://a/?q=\"x\""), 0);
	struct cdp_message m = {0};
	assert_int_equal(cdp_parse((struct span){out.data, out.len - 1}, &m), 0);
	assert_int_equal(m.id, 4);
	assert_string_equal(m.session, "S\"1");
	const json_t *url = json_object_get(json_object_get(m.root, "params"), "url");
	assert_string_equal(json_string_value(url), "http://a/?q=\"x\"");
	cdp_message_fini(&m);
	buf_fini(&out);
}

static void a_command_that_does_not_fit_leaves_nothing_behind(void **state)
{
	(void)state;
	struct buf out;
	for (size_t max = 41; max < 110; max++) {
		buf_init(&out, max);
		assert_int_equal(cdp_get_version(&out, 3), 0);
		size_t before = out.len;
		if (cdp_get_targets(&out, 12345) < 0) {
			assert_int_equal(out.len, before);
			assert_true(out.failed < 0);
		}
		buf_fini(&out);
	}
}

static void the_version_document_names_the_virtual_browser(void **state)
{
	(void)state;
	struct buf out;
	buf_init(&out, ROOMY);
	struct cdp_version v = {.product = "Chrome/9", .protocol = "1.3", .revision = "@r", .js_version = "15.6"};
	assert_int_equal(cdp_version_document(&out, &v, "chrome.svc:9222", "stable", "?token=t"), 0);
	json_t *document = json_loadb(out.data, out.len, 0, NULL);
	assert_string_equal(json_string_value(json_object_get(document, "webSocketDebuggerUrl")),
		"ws://chrome.svc:9222/devtools/browser/stable?token=t");
	assert_string_equal(json_string_value(json_object_get(document, "WebKit-Version")), "537.36 (@r)");
	json_decref(document);
	buf_fini(&out);
}

static bool is_mine(void *ctx, const char *id)
{
	return strcmp(id, ctx) == 0;
}

static void hidden_targets_are_left_out_of_the_list(void **state)
{
	(void)state;
	struct buf out;
	char mine[] = "M";
	buf_init(&out, ROOMY);
	struct span list = SPAN("[{\"id\":\"M\"},{\"id\":\"A\"},{\"title\":\"no id\"},{\"id\":\"M\"}]");
	assert_int_equal(cdp_list_document(&out, list, is_mine, mine), 0);
	assert_string_equal(out.data, "[{\"id\":\"A\"},{\"title\":\"no id\"}]");
	assert_int_equal(cdp_list_document(&out, SPAN("{}"), is_mine, mine), -EBADMSG);
	buf_fini(&out);
}

static void new_pages_of_clients_are_told_from_own_ones_and_from_workers(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool counts;
	} cases[] = {
		{"{\"method\":\"Target.targetCreated\",\"params\":{\"targetInfo\":{\"type\":\"page\","
		 "\"browserContextId\":\"C\"}}}",
			true},
		{"{\"method\":\"Target.targetCreated\",\"params\":{\"targetInfo\":{\"type\":\"page\","
		 "\"browserContextId\":\"OWN\"}}}",
			false},
		{"{\"method\":\"Target.targetCreated\",\"params\":{\"targetInfo\":{\"type\":\"worker\"}}}", false},
		{"{\"method\":\"Target.targetCreated\",\"params\":{}}", false},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cdp_message m;
		assert_int_equal(cdp_parse(span_of(cases[i].text), &m), 0);
		assert_int_equal(cdp_is_new_page(&m, "OWN"), cases[i].counts);
		cdp_message_fini(&m);
	}
}

static void one_pixel_is_asked_for(void **state)
{
	(void)state;
	struct buf out;
	buf_init(&out, ROOMY);
	assert_int_equal(cdp_capture(&out, 7, "S"), 0);
	assert_non_null(strstr(out.data, "\"method\":\"Page.captureScreenshot\""));
	assert_non_null(strstr(out.data, "\"width\":1,\"height\":1"));
	buf_fini(&out);
}

static void every_occurrence_is_replaced(void **state)
{
	(void)state;
	struct buf out;
	buf_init(&out, ROOMY);
	assert_int_equal(cdp_replace(&out, SPAN("a:1 b a:1a:1 a:"), "a:1", "host"), 0);
	assert_string_equal(out.data, "host b hosthost a:");
	buf_clear(&out);
	assert_int_equal(cdp_replace(&out, span_of_bytes(&out), "x", "y"), 0);
	buf_fini(&out);
}

static void what_the_janitor_asks_for_is_read(void **state)
{
	(void)state;
	struct cdp_message m =
		parsed("{\"id\":1,\"result\":{\"targetInfos\":[{\"targetId\":\"A\",\"type\":\"page\",\"url\":\"u\","
		       "\"attached\":true,\"browserContextId\":\"C\"},{},7]}}");
	struct cdp_target targets[4];
	assert_int_equal(cdp_read_targets(&m, targets, 4), 3);
	assert_true(targets[0].attached && !targets[1].attached);
	assert_string_equal(targets[0].id, "A");
	assert_string_equal(targets[0].type, "page");
	assert_string_equal(targets[0].url, "u");
	assert_string_equal(targets[0].context, "C");
	assert_string_equal(targets[2].id, "");
	assert_int_equal(cdp_read_targets(&m, targets, 1), 1);
	cdp_message_fini(&m);
	m = parsed("{\"id\":1,\"result\":{\"browserContextIds\":[\"B\",1,\"C\"]}}");
	const char *contexts[4];
	assert_int_equal(cdp_read_contexts(&m, contexts, 4), 2);
	assert_string_equal(contexts[1], "C");
	assert_int_equal(cdp_read_contexts(&m, contexts, 1), 1);
	cdp_message_fini(&m);
	m = parsed("{\"id\":1,\"result\":{\"processInfo\":[{\"type\":\"renderer\",\"id\":77,\"cpuTime\":1.5},{\"id\":"
		   "\"x\"}]}}");
	struct cdp_process processes[4];
	assert_int_equal(cdp_read_processes(&m, processes, 4), 2);
	assert_string_equal(processes[0].type, "renderer");
	assert_true(processes[0].pid == 77 && processes[0].cpu_seconds == 1.5 && processes[1].pid == 0);
	assert_int_equal(cdp_read_targets(&m, targets, 4), 0);
	cdp_message_fini(&m);
	m = parsed("{\"id\":1,\"result\":{\"metrics\":[{\"name\":\"A\",\"value\":2},{\"name\":\"B\",\"value\":0.5}]}}");
	assert_true(cdp_read_metric(&m, "B") == 0.5);
	assert_true(cdp_read_metric(&m, "C") == -1);
	cdp_message_fini(&m);
}

static void lists_of_pages_become_one(void **state)
{
	(void)state;
	struct buf out;
	buf_init(&out, ROOMY);
	assert_int_equal(cdp_list_append(&out, SPAN(" [ {\"id\":1} ] ")), 0);
	assert_int_equal(cdp_list_append(&out, SPAN("[]")), 0);
	assert_int_equal(cdp_list_append(&out, SPAN("[{\"id\":2},{}]")), 0);
	assert_string_equal(buf_str(&out), "[ {\"id\":1} ,{\"id\":2},{}]");
	assert_int_equal(cdp_list_append(&out, SPAN("[")), -EBADMSG);
	assert_int_equal(cdp_list_append(&out, SPAN("{}")), -EBADMSG);
	buf_clear(&out);
	assert_int_equal(cdp_list_append(&out, SPAN("[]")), 0);
	assert_int_equal(cdp_list_append(&out, SPAN("[7]")), 0);
	assert_string_equal(buf_str(&out), "[7]");
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_are_the_same_in_any_chunking),
		cmocka_unit_test(a_message_over_the_cap_is_skipped_and_the_next_one_is_read),
		cmocka_unit_test(a_reply_an_event_and_a_failure_are_told_apart),
		cmocka_unit_test(what_is_no_message_is_refused),
		cmocka_unit_test(a_title_with_a_nul_does_not_break_the_message),
		cmocka_unit_test(an_evaluation_counts_only_as_the_number_it_is),
		cmocka_unit_test(the_version_is_read_and_cut_to_its_room),
		cmocka_unit_test(pages_of_clients_are_counted_and_our_own_are_not),
		cmocka_unit_test(a_command_is_one_message_that_reads_back),
		cmocka_unit_test(a_command_that_does_not_fit_leaves_nothing_behind),
		cmocka_unit_test(the_version_document_names_the_virtual_browser),
		cmocka_unit_test(hidden_targets_are_left_out_of_the_list),
		cmocka_unit_test(new_pages_of_clients_are_told_from_own_ones_and_from_workers),
		cmocka_unit_test(one_pixel_is_asked_for),
		cmocka_unit_test(every_occurrence_is_replaced),
		cmocka_unit_test(what_the_janitor_asks_for_is_read),
		cmocka_unit_test(lists_of_pages_become_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
