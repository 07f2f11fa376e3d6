#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "podvisor/base/random.h"
#include "podvisor/wire/cdp_guard.h"
#include "podvisor/wire/cdp_watch.h"

#define ROOMY ((size_t)8 << 20)

struct told {
	struct buf passed;
	size_t commands, closes, deadly;
	char last_id[CDP_WORD_BYTES];
};

static void on_pass(void *ctx, struct span bytes)
{
	buf_put(&((struct told *)ctx)->passed, bytes.at, bytes.len);
}

static void on_command(void *ctx, enum cdp_kind kind, const struct cdp_scan *message)
{
	struct told *t = ctx;
	t->commands++;
	t->closes += kind == CDP_CLOSE;
	t->deadly += kind == CDP_DEADLY;
	memcpy(t->last_id, message->words[CDP_ID], sizeof(t->last_id));
}

static const struct cdp_guard_calls calls = {.pass = on_pass, .command = on_command};

/* ---- making ---- */

static void put_frame(struct buf *out, struct random *r, unsigned opcode, bool fin, const char *payload, size_t n)
{
	uint8_t key[4];
	char *copy = malloc(n + 1);
	for (int i = 0; i < 4; i++)
		key[i] = (uint8_t)random_below(r, 256);
	memcpy(copy, payload, n);
	websocket_mask(copy, n, key, 0);
	assert_int_equal(websocket_frame_head(out, (enum websocket_opcode)opcode, fin, n, key), 0);
	buf_put(out, copy, n);
	free(copy);
}

/* In up to four frames; some with a ping between them, which also goes into controls. */
static void put_message(struct buf *out, struct buf *controls, struct random *r, const char *text, size_t n)
{
	unsigned opcode = WEBSOCKET_TEXT;
	for (int left = (int)random_below(r, 4); left >= 0; left--) {
		size_t part = left ? (size_t)random_below(r, n + 1) : n;
		put_frame(out, r, opcode, left == 0, text, part);
		text += part;
		n -= part;
		opcode = WEBSOCKET_CONTINUATION;
		if (left && random_below(r, 3) == 0) {
			size_t before = out->len;
			put_frame(out, r, WEBSOCKET_PING, true, "ping", (size_t)random_below(r, 5));
			buf_put(controls, out->data + before, out->len - before);
		}
	}
}

static void feed(struct cdp_guard *g, struct told *t, const struct buf *bytes, struct random *r, size_t most)
{
	for (size_t at = 0, n; at < bytes->len; at += n) {
		n = 1 + (size_t)random_below(r, most);
		n = n < bytes->len - at ? n : bytes->len - at;
		char *copy = malloc(n); /* of its own, so that a read past it is seen by the sanitizers */
		memcpy(copy, bytes->data + at, n);
		cdp_guard_take(g, (struct span){copy, n}, &calls, t);
		free(copy);
	}
}

static size_t make_text(char *out, size_t size, struct random *r, int id, const char *method, size_t padding)
{
	char *pad = malloc(padding + 1);
	memset(pad, 'p', padding);
	pad[padding] = '\0';
	int form = (int)random_below(r, 3), n;
	if (form == 0)
		n = snprintf(out, size, "{\"id\":%d,\"method\":\"%s\",\"params\":{\"x\":\"%s\"}}", id, method, pad);
	else if (form == 1)
		n = snprintf(out, size, "{\"params\":{\"x\":\"%s\"},\"id\":%d,\"method\":\"%s\"}", pad, id, method);
	else
		n = snprintf(out, size,
			" { \"method\" : \"%s\" , \"sessionId\":\"AB\", /* } */ \"params\":{\"x\":[\"%s\"]},\"id\":%d "
			"}",
			method, pad, id);
	free(pad);
	assert_true(n > 0 && (size_t)n < size);
	return (size_t)n;
}

static void put_replacement(struct buf *out, const struct cdp_scan *s, bool close)
{
	char method[256];
	snprintf(method, sizeof(method),
		"%s: podvisor does not pass it on, it can end the Chrome of all (client_close)", s->words[CDP_METHOD]);
	assert_int_equal(cdp_guard_put_command(out, s->words[CDP_ID], s->words[CDP_SESSION],
				 close ? "Target.setDiscoverTargets" : method, close ? "{\"discover\":false}" : ""),
		0);
}

/* ---- the promises ---- */

static const struct {
	const char *method;
	bool deadly;
} methods[] = {{"Runtime.evaluate", false}, {"Browser.getVersion", false}, {"Target.createTarget", false},
	{"Browser.close", true}, {"Browser\\u002eclose", true}, {"Browser.crash", true}};

static void one_random_life(uint64_t seed)
{
	static char text[80000];
	struct random r = {.state = seed};
	struct cdp_guard g;
	struct told t = {0};
	struct buf in, expected;
	size_t closes = 0;
	buf_init(&in, ROOMY);
	buf_init(&expected, ROOMY);
	buf_init(&t.passed, ROOMY);
	cdp_guard_init(&g);
	for (int id = 1, n = 1 + (int)random_below(&r, 12); id <= n; id++) {
		size_t which = (size_t)random_below(&r, 6), before = in.len;
		size_t padding = (size_t)random_below(&r, random_below(&r, 20) ? 200 : 60000);
		size_t len = make_text(text, sizeof(text), &r, id, methods[which].method, padding);
		struct buf controls;
		buf_init(&controls, ROOMY);
		put_message(&in, &controls, &r, text, len);
		struct cdp_scan s;
		cdp_scan_init(&s);
		cdp_scan_take(&s, (struct span){text, len});
		if (!methods[which].deadly)
			buf_put(&expected, in.data + before, in.len - before);
		else
			buf_put(&expected, controls.data, controls.len);
		if (methods[which].deadly)
			put_replacement(&expected, &s, cdp_scan_kind(&s) == CDP_CLOSE);
		closes += cdp_scan_kind(&s) == CDP_CLOSE;
		buf_fini(&controls);
	}
	feed(&g, &t, &in, &r, 1 + (size_t)random_below(&r, random_below(&r, 2) ? 40 : 70000));
	if (g.end || t.passed.len != expected.len || memcmp(t.passed.data, expected.data, expected.len) != 0)
		fail_msg("seed %llu: %s; %zu bytes, not %zu", (unsigned long long)seed, g.end ? g.end : "",
			t.passed.len, expected.len);
	assert_int_equal(t.closes, closes);
	assert_int_equal(g.held.len, 0);
	cdp_guard_fini(&g);
	buf_fini(&in);
	buf_fini(&expected);
	buf_fini(&t.passed);
}

static void everything_passes_as_it_is_but_what_ends_chrome(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 1500; seed++)
		one_random_life(seed);
}

/* Megabytes go through with 64 KiB held. */
static void a_long_message_streams(void **state)
{
	(void)state;
	struct random r = {.state = 7};
	size_t n = (size_t)3 << 20, len;
	char *text = malloc(n + 200);
	len = make_text(text, n + 200, &r, 1, "Runtime.evaluate", n);
	struct buf in;
	struct cdp_guard g;
	struct told t = {0};
	buf_init(&in, ROOMY);
	buf_init(&t.passed, ROOMY);
	cdp_guard_init(&g);
	put_frame(&in, &r, WEBSOCKET_TEXT, true, text, len);
	for (size_t at = 0; at < in.len; at += 65536) {
		size_t part = in.len - at < 65536 ? in.len - at : 65536;
		cdp_guard_take(&g, (struct span){in.data + at, part}, &calls, &t);
		assert_true(g.held.cap <= CDP_HELD_BYTES + 1);
		assert_true(t.passed.len + 2 * CDP_HELD_BYTES >= at);
	}
	assert_int_equal(t.passed.len, in.len);
	assert_memory_equal(t.passed.data, in.data, in.len);
	cdp_guard_fini(&g);
	buf_fini(&in);
	buf_fini(&t.passed);
	free(text);
}

/* The method behind megabytes: what went on is not completed, so that Chrome never carries it out. */
static void a_command_at_the_end_of_a_long_message_is_withheld(void **state)
{
	(void)state;
	for (int first = 0; first < 2; first++) {
		struct random r = {.state = 9};
		size_t n = (size_t)1 << 20;
		char *text = malloc(n + 200);
		memset(text, ' ', n);
		size_t at = (size_t)sprintf(text, first ? "{\"id\":1,\"method\":\"Browser.close\"," : "{\"id\":1,");
		text[at] = ' ';
		size_t len = n + (size_t)sprintf(text + n, first ? "\"x\":1}" : "\"method\":\"Browser.close\"}");
		struct buf in;
		struct cdp_guard g;
		struct told t = {0};
		buf_init(&in, ROOMY);
		buf_init(&t.passed, ROOMY);
		cdp_guard_init(&g);
		put_frame(&in, &r, WEBSOCKET_TEXT, true, text, len);
		feed(&g, &t, &in, &r, 65536);
		struct websocket_tracker follower;
		websocket_tracker_init(&follower, WEBSOCKET_CLIENT);
		websocket_track(&follower, (struct span){t.passed.data, t.passed.len}, WEBSOCKET_AT_NOTHING);
		if (first) { /* it was known in time, and replaced */
			assert_null(g.end);
			assert_int_equal(follower.messages, 1);
			assert_true(t.passed.len < 300);
			assert_int_equal(t.closes, 1);
		} else {
			assert_non_null(g.end);
			assert_int_equal(follower.messages, 0);
		}
		cdp_guard_fini(&g);
		buf_fini(&in);
		buf_fini(&t.passed);
		free(text);
	}
}

static void expect_end(const char *bytes, size_t n)
{
	struct cdp_guard g;
	struct told t = {0};
	buf_init(&t.passed, ROOMY);
	cdp_guard_init(&g);
	cdp_guard_take(&g, (struct span){bytes, n}, &calls, &t);
	assert_non_null(g.end);
	cdp_guard_take(&g, SPAN("\x81\x80\0\0\0\0"), &calls, &t);
	assert_int_equal(t.passed.len, 0);
	cdp_guard_fini(&g);
	buf_fini(&t.passed);
}

static void frames_that_cannot_be_followed_end_the_session(void **state)
{
	(void)state;
	expect_end("\x81\x02{}", 4); /* without a mask */
	expect_end("\xc1\x82\0\0\0\0{}", 8); /* compressed, though nobody agreed to it */
	expect_end("\x80\x82\0\0\0\0{}", 8); /* continues nothing */
}

static void an_answer_is_found_among_what_chrome_sends(void **state)
{
	(void)state;
	static const char answers[] = "\x81\x22{\"id\":7,\"result\":{\"targetId\":\"T\"}}";
	struct buf wire;
	struct cdp_watch w;
	const struct cdp_scan *answer;
	char *shot = calloc(1, 100000);
	buf_init(&wire, ROOMY);
	memset(shot, 'x', 100000);
	assert_int_equal(websocket_frame_head(&wire, WEBSOCKET_TEXT, true, 100000, NULL), 0);
	buf_put(&wire, shot, 100000);
	buf_put(&wire, answers, sizeof(answers) - 1);
	size_t first = wire.len;
	buf_put(&wire, answers, sizeof(answers) - 1);
	for (size_t step = 1; step < 200000; step = step * 3 + 1) {
		size_t found = 0;
		cdp_watch_init(&w);
		for (size_t at = 0; at < wire.len;) {
			size_t n = wire.len - at < step ? wire.len - at : step;
			at += cdp_watch_follow(&w, (struct span){wire.data + at, n}, true, &answer);
			if (!answer)
				continue;
			found++;
			assert_string_equal(answer->words[CDP_ID], "7");
			assert_string_equal(answer->words[CDP_TARGET], "T");
			assert_int_equal(at, found == 1 ? first : wire.len);
		}
		assert_int_equal(found, 2);
	}
	cdp_watch_init(&w);
	assert_int_equal(cdp_watch_follow(&w, (struct span){wire.data, wire.len}, false, &answer), wire.len);
	assert_null(answer);
	assert_true(websocket_is_at(&w.tracker, WEBSOCKET_AT_MESSAGE));
	buf_fini(&wire);
	free(shot);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_passes_as_it_is_but_what_ends_chrome),
		cmocka_unit_test(a_long_message_streams),
		cmocka_unit_test(a_command_at_the_end_of_a_long_message_is_withheld),
		cmocka_unit_test(frames_that_cannot_be_followed_end_the_session),
		cmocka_unit_test(an_answer_is_found_among_what_chrome_sends),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
