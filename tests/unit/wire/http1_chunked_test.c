#include "podvisor/wire/http1_chunked.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "podvisor/base/buf.h"
#include "podvisor/base/random.h"

struct decoded {
	struct buf payload;
	size_t taken;
	int rc; /* 0 or what the decoder refused with */
	bool done;
	struct err err;
};

/* Feeds one piece, in a copy of exactly its size, until the decoder wants no more. */
static void feed(struct http1_chunked *c, struct decoded *d, const char *bytes, size_t len)
{
	char *copy = malloc(len ? len : 1);
	assert_non_null(copy);
	memcpy(copy, bytes, len);
	for (size_t at = 0; at < len && !http1_chunked_done(c) && d->rc == 0;) {
		struct span payload;
		ssize_t n = http1_chunked_feed(c, (struct span){copy + at, len - at}, &payload, &d->err);
		if (n < 0) {
			d->rc = (int)n;
			break;
		}
		assert_true(n > 0);
		buf_put(&d->payload, payload.at, payload.len);
		at += (size_t)n;
		d->taken += (size_t)n;
	}
	d->done = http1_chunked_done(c);
	free(copy);
}

/* Cut into pieces of 1..most bytes. */
static struct decoded decode(const char *bytes, size_t len, size_t most, struct random *r)
{
	struct http1_chunked c = {0};
	struct decoded d = {0};
	buf_init(&d.payload, 1 << 20);
	for (size_t at = 0, n; at < len && d.rc == 0 && !d.done; at += n) {
		n = 1 + (size_t)random_below(r, most);
		if (n > len - at)
			n = len - at;
		feed(&c, &d, bytes + at, n);
	}
	return d;
}

/* The same in one piece, byte by byte, and in pieces of all kinds. */
static struct decoded judge(const char *bytes, size_t len)
{
	static const size_t cuts[] = {1, 2, 3, 7, 50};
	struct random r = {.state = 1};
	struct decoded whole = {0};
	struct http1_chunked c = {0};
	buf_init(&whole.payload, 1 << 20);
	feed(&c, &whole, bytes, len);
	for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
		struct decoded d = decode(bytes, len, cuts[i], &r);
		assert_int_equal(d.rc, whole.rc);
		assert_int_equal(d.done, whole.done);
		assert_string_equal(d.err.text, whole.err.text);
		if (d.rc == 0) {
			assert_int_equal(d.taken, whole.taken);
			assert_int_equal(d.payload.len, whole.payload.len);
			assert_memory_equal(buf_str(&d.payload), buf_str(&whole.payload), d.payload.len);
		}
		buf_fini(&d.payload);
	}
	return whole;
}

static void decodes_to(const char *bytes, const char *payload, const char *rest)
{
	struct decoded d = judge(bytes, strlen(bytes));
	assert_int_equal(d.rc, 0);
	assert_true(d.done);
	assert_string_equal(buf_str(&d.payload), payload);
	assert_string_equal(bytes + d.taken, rest);
	buf_fini(&d.payload);
}

static void refused(const char *bytes, size_t len, const char *sentence)
{
	struct decoded d = judge(bytes, len);
	if (d.rc != -EBADMSG || !strstr(d.err.text, sentence))
		fail_msg("\"%.40s\" gave %d \"%s\", not \"%s\"", bytes, d.rc, d.err.text, sentence);
	buf_fini(&d.payload);
}

#define REFUSES(bytes, sentence) refused(bytes, sizeof(bytes) - 1, sentence)

static void chunks_are_joined_and_the_end_is_seen(void **state)
{
	(void)state;
	decodes_to("0\r\n\r\n", "", "");
	decodes_to("5\r\nhello\r\n0\r\n\r\n", "hello", "");
	decodes_to("5\r\nhello\r\n00A\r\n, \r\n0\r\n\r\nx\r\n00\r\n\r\nGET /", "hello, \r\n0\r\n\r\nx", "GET /");
}

static void a_body_that_is_cut_off_is_not_done(void **state)
{
	(void)state;
	static const char bytes[] = "5;a=b\r\nhello\r\n0\r\nA: b\r\n\r\n";
	for (size_t n = 0; n < sizeof(bytes) - 1; n++) {
		struct decoded d = judge(bytes, n);
		assert_int_equal(d.rc, 0);
		assert_int_equal(d.taken, n);
		assert_false(d.done);
		buf_fini(&d.payload);
	}
}

static void a_size_is_hexadecimal_digits_alone(void **state)
{
	(void)state;
	REFUSES("\r\n", "hexadecimal");
	REFUSES(";a\r\n", "hexadecimal");
	REFUSES(" 5\r\nhello", "hexadecimal");
	REFUSES("5 \r\nhello", "hexadecimal");
	REFUSES("+5\r\nhello", "hexadecimal");
	REFUSES("-5\r\nhello", "hexadecimal");
	REFUSES("0x5\r\nhello", "hexadecimal");
	REFUSES("g\r\n", "hexadecimal");
	REFUSES("5\0\r\n", "hexadecimal");
	REFUSES("5,\r\n", "hexadecimal");
}

static void a_size_that_overflows_is_refused(void **state)
{
	(void)state;
	struct http1_chunked c = {0};
	struct span payload;
	struct span most = SPAN("7fffFFFFffffffff\r\nabc");
	assert_int_equal(http1_chunked_feed(&c, most, &payload, NULL), most.len);
	assert_int_equal(payload.len, 3);
	assert_true(c.left == INT64_MAX - 3);
	REFUSES("8000000000000000\r\n", "overflows");
	REFUSES("10000000000000005\r\nhello", "overflows");
	REFUSES("00000000000000005\r\nhello", "overflows");
}

static void every_line_ends_in_crlf(void **state)
{
	(void)state;
	REFUSES("5\nhello\r\n", "hexadecimal");
	REFUSES("5\rhello", "does not end in CRLF");
	REFUSES("5\r\r\nhello", "does not end in CRLF");
	REFUSES("5;a\nhello", "no name and value");
	REFUSES("5\r\nhello\n0\r\n\r\n", "does not end in CRLF");
	REFUSES("5\r\nhelloX", "does not end in CRLF");
	REFUSES("5\r\nhello\r0\r\n", "does not end in CRLF");
	REFUSES("0\r\n\n", "no field");
	REFUSES("0\r\n\rX", "does not end in CRLF");
	REFUSES("0\r\nA: b\n\r\n", "no field");
}

static void an_extension_of_256_bytes_is_skipped_and_a_longer_one_refused(void **state)
{
	(void)state;
	char bytes[600];
	memset(bytes, 'x', sizeof(bytes));
	memcpy(bytes, "1;", 2);
	strcpy(bytes + 2 + HTTP1_CHUNK_EXTENSION_BYTES, "\r\na\r\n1;x=\"y\"\r\nb\r\n0;z\r\n\r\n");
	decodes_to(bytes, "ab", "");
	memset(bytes + 2, 'x', HTTP1_CHUNK_EXTENSION_BYTES + 1);
	strcpy(bytes + 3 + HTTP1_CHUNK_EXTENSION_BYTES, "\r\na\r\n0\r\n\r\n");
	refused(bytes, strlen(bytes), "extensions of more than 256");
	memcpy(bytes, "1;a;", 4); /* together */
	refused(bytes, strlen(bytes), "extensions of more than 256");
	decodes_to("1;a;b=c;d=\"e; \\\"\t\\\\\xff\";f\r\na\r\n0;a=\"\"\r\n\r\nx", "a", "x");
	static const char *const bad[] = {"", ";", "a;", "=b", "a=", "a=;b", "a =b", "a= b", " a", "a ", "a=b ",
		"a=b\"c\"", "a=\"b", "a=\"b\"c", "a=\"b\" ", "a=\"\\", "a=\"b\n\"", "a(b)", "a=b=c", "a,b", "\xe9"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		snprintf(bytes, sizeof(bytes), "1;%s\r\na\r\n0\r\n\r\n", bad[i]);
		refused(bytes, strlen(bytes), "no name and value");
	}
	REFUSES("1;a\0b\r\n", "no name and value");
	REFUSES("1;a=\"\0\"\r\n", "no name and value");
}

static void trailers_are_checked_and_dropped(void **state)
{
	(void)state;
	decodes_to("1\r\na\r\n0\r\nA: b\r\nC:\r\n\r\nx", "a", "x");
	REFUSES("0\r\nA\r\n\r\n", "no field");
	REFUSES("0\r\nA : b\r\n\r\n", "no field");
	REFUSES("0\r\n: b\r\n\r\n", "no field");
	REFUSES("0\r\nA: b\r\n c\r\n\r\n", "no field");
	REFUSES("0\r\nA: \x01\r\n\r\n", "no field");
	REFUSES("0\r\nA: b\rc\r\n\r\n", "does not end in CRLF");
}

static void trailers_beyond_8_kib_are_refused(void **state)
{
	(void)state;
	struct buf bytes;
	buf_init(&bytes, 1 << 16);
	buf_puts(&bytes, "0000;an-extension-is-not-counted\r\nA: ");
	size_t value = HTTP1_TRAILER_BYTES - strlen("A: \r\r"); /* the LFs are not counted either */
	for (size_t i = 0; i < value; i++)
		buf_putc(&bytes, 'x');
	buf_puts(&bytes, "\r\n\r\n");
	decodes_to(buf_str(&bytes), "", "");
	bytes.len -= 4;
	buf_puts(&bytes, "x\r\n\r\n");
	refused(buf_str(&bytes), bytes.len, "more than 8 KiB");
	buf_fini(&bytes);
}

static void what_was_broken_stays_broken(void **state)
{
	(void)state;
	struct http1_chunked c = {0};
	struct span payload;
	assert_int_equal(http1_chunked_feed(&c, SPAN("x"), &payload, NULL), -EBADMSG);
	assert_int_equal(http1_chunked_feed(&c, SPAN("0\r\n\r\n"), &payload, NULL), -EBADMSG);
	assert_false(http1_chunked_done(&c));
}

/* Writes a random body, in chunks of random size with random extensions, through our own encoder. */
static void encode(struct buf *out, struct buf *payload, struct random *r)
{
	char head[HTTP1_CHUNK_HEAD_BYTES + 1];
	for (uint64_t chunks = random_below(r, 6); chunks--;) {
		size_t start = payload->len;
		for (uint64_t n = 1 + random_below(r, random_below(r, 8) ? 20 : 2000); n--;)
			buf_putc(payload, (char)random_next(r));
		size_t n = http1_chunk_head(head, payload->len - start);
		bool extended = random_below(r, 4) == 0;
		buf_put(out, head, extended ? n - 2 : n);
		if (extended)
			buf_puts(out, ";name=\"value\"\r\n");
		buf_put(out, payload->data + start, payload->len - start);
		buf_puts(out, "\r\n");
	}
	buf_puts(out, random_below(r, 4) ? HTTP1_CHUNK_LAST : "0\r\nA: b\r\nC: d\r\n\r\n");
}

static void random_bodies_in_random_pieces_come_out_as_they_went_in(void **state)
{
	(void)state;
	struct random r = {.state = 20240};
	for (int i = 0; i < 5000; i++) {
		struct buf out, payload;
		buf_init(&out, 1 << 20);
		buf_init(&payload, 1 << 20);
		encode(&out, &payload, &r);
		size_t body = out.len;
		buf_puts(&out, "next");
		struct decoded d = decode(out.data, out.len, 1 + random_below(&r, random_below(&r, 2) ? 3 : 300), &r);
		assert_int_equal(d.rc, 0);
		assert_true(d.done);
		assert_int_equal(d.taken, body);
		assert_int_equal(d.payload.len, payload.len);
		assert_memory_equal(buf_str(&d.payload), buf_str(&payload), payload.len);
		buf_fini(&d.payload);
		buf_fini(&payload);
		buf_fini(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chunks_are_joined_and_the_end_is_seen),
		cmocka_unit_test(a_body_that_is_cut_off_is_not_done),
		cmocka_unit_test(a_size_is_hexadecimal_digits_alone),
		cmocka_unit_test(a_size_that_overflows_is_refused),
		cmocka_unit_test(every_line_ends_in_crlf),
		cmocka_unit_test(an_extension_of_256_bytes_is_skipped_and_a_longer_one_refused),
		cmocka_unit_test(trailers_are_checked_and_dropped),
		cmocka_unit_test(trailers_beyond_8_kib_are_refused),
		cmocka_unit_test(what_was_broken_stays_broken),
		cmocka_unit_test(random_bodies_in_random_pieces_come_out_as_they_went_in),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
