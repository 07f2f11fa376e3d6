#include "podvisor/wire/websocket.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "podvisor/base/random.h"

static const uint8_t key[4] = {0x37, 0xfa, 0x21, 0x3d};

/* A stream and, written down beside it as it is made and without the tracker's
 * help, what is true at each of its offsets. */
#define STREAM_MAX (1 << 18)
enum mark { AT_FRAME = 1, AT_MESSAGE = 2, AT_CLOSED = 4 };
struct stream {
	struct buf bytes;
	uint8_t marks[STREAM_MAX + 1];
	uint32_t messages[STREAM_MAX + 1]; /* that have passed whole at an offset where a frame ends */
	bool open; /* a fragmented message is */
	uint32_t count;
	enum websocket_sender sender;
};

static struct stream *stream_new(enum websocket_sender sender)
{
	struct stream *s = calloc(1, sizeof(*s));
	assert_non_null(s);
	buf_init(&s->bytes, STREAM_MAX);
	s->marks[0] = AT_FRAME | AT_MESSAGE;
	s->sender = sender;
	return s;
}

static void stream_free(struct stream *s)
{
	buf_fini(&s->bytes);
	free(s);
}

/* Written out by hand, so that the builder under test is not its own judge;
 * extra is the size of the length field: 0, 2 or 8 bytes. */
static void put_frame(struct stream *s, unsigned first, uint64_t length, unsigned extra, const char *payload)
{
	bool masked = s->sender == WEBSOCKET_CLIENT;
	unsigned opcode = first & 0xf, length7 = extra == 8 ? 127 : extra == 2 ? 126 : (unsigned)length;
	buf_putc(&s->bytes, (char)first);
	buf_putc(&s->bytes, (char)(length7 | (masked ? 0x80 : 0)));
	for (unsigned i = extra; i--;)
		buf_putc(&s->bytes, (char)(length >> (8 * i)));
	if (masked)
		buf_put(&s->bytes, key, 4);
	for (uint64_t i = 0; i < length; i++)
		buf_putc(&s->bytes, (char)(payload[i] ^ (masked ? key[i % 4] : 0)));
	assert_int_equal(s->bytes.failed, 0);
	if (opcode < 8) {
		s->open = !(first & 0x80);
		s->count += !s->open;
	}
	s->marks[s->bytes.len] = (uint8_t)(AT_FRAME | (s->open ? 0 : AT_MESSAGE) | (opcode == 8 ? AT_CLOSED : 0));
	s->messages[s->bytes.len] = s->count;
}

static size_t random_length(struct random *r)
{
	static const size_t edges[] = {0, 1, 2, 124, 125, 126, 127, 65535, 65536, 65537};
	switch (random_below(r, 12)) {
	case 0:
		return edges[random_below(r, 7)];
	case 1:
		return random_below(r, 40) ? 300 : edges[7 + random_below(r, 3)];
	default:
		return random_below(r, 30);
	}
}

static unsigned random_extra(struct random *r, size_t length)
{
	unsigned least = length > 0xffff ? 8 : length > 125 ? 2 : 0;
	return random_below(r, 10) ? least : least == 0 && random_below(r, 2) ? 2 : 8;
}

/* Whole messages, fragments with pings and pongs between them, reserved bits as
 * extensions set them, and perhaps a Close. */
static struct stream *random_stream(struct random *r)
{
	static char payload[65537];
	for (size_t i = 0; i < 64; i++)
		payload[random_below(r, sizeof(payload))] = (char)random_next(r);
	struct stream *s = stream_new(random_below(r, 2) ? WEBSOCKET_CLIENT : WEBSOCKET_SERVER);
	for (uint64_t frames = 1 + random_below(r, 12); frames--;) {
		size_t length = random_length(r);
		unsigned fin = random_below(r, 2) ? 0x80 : 0, rsv = random_below(r, 4) ? 0 : 0x40;
		if (s->bytes.len + length + WEBSOCKET_HEAD_BYTES > STREAM_MAX / 2)
			break;
		if (random_below(r, 3) == 0)
			put_frame(s, 0x80 | (9 + (unsigned)random_below(r, 2)), length % 126,
				random_extra(r, length % 126), payload);
		else
			put_frame(s, fin | rsv | (s->open ? 0 : 1 + (unsigned)random_below(r, 2)), length,
				random_extra(r, length), payload);
	}
	if (random_below(r, 2))
		put_frame(s, 0x88, random_below(r, 2) ? 2 + random_below(r, 100) : 0, 0,
			"\x03\xf4 bye and a long reason"
			"........................................................................................");
	return s;
}

static unsigned marks_of(const struct websocket_tracker *t)
{
	return (websocket_is_at(t, WEBSOCKET_AT_FRAME) ? AT_FRAME : 0) |
	       (websocket_is_at(t, WEBSOCKET_AT_MESSAGE) ? AT_MESSAGE : 0) |
	       (websocket_is_at(t, WEBSOCKET_AT_CLOSED) ? AT_CLOSED : 0);
}

static void assert_marks(const struct stream *s, const struct websocket_tracker *t, size_t at)
{
	if (t->fault != WEBSOCKET_SOUND)
		fail_msg("%s at %zu of %zu", websocket_fault_text(t->fault), at, s->bytes.len);
	if (marks_of(t) != s->marks[at])
		fail_msg("marks %x, not %x, at %zu of %zu", marks_of(t), s->marks[at], at, s->bytes.len);
	if (s->marks[at] & AT_FRAME)
		assert_int_equal(t->messages, s->messages[at]);
}

/* The first offset from `from` on, up to `end`, with that mark; end when there is none. */
static size_t expected_stop(const struct stream *s, size_t from, size_t end, enum mark mark)
{
	while (from < end && !(s->marks[from] & mark))
		from++;
	return from;
}

static void assert_looks_ahead(const struct stream *s, const struct websocket_tracker *t, size_t at, struct span piece)
{
	static const struct {
		enum websocket_place place;
		enum mark mark;
	} kinds[] = {
		{WEBSOCKET_AT_FRAME, AT_FRAME}, {WEBSOCKET_AT_MESSAGE, AT_MESSAGE}, {WEBSOCKET_AT_CLOSED, AT_CLOSED}};
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct websocket_tracker ahead = *t;
		size_t stop = expected_stop(s, at, at + piece.len, kinds[i].mark);
		assert_int_equal(websocket_track(&ahead, piece, kinds[i].place), stop - at);
		assert_int_equal(websocket_is_at(&ahead, kinds[i].place), (s->marks[stop] & kinds[i].mark) != 0);
	}
}

/* Follows a stream in pieces of 1..most bytes and compares at each cut. */
static struct websocket_tracker follow(const struct stream *s, size_t most, struct random *r)
{
	struct websocket_tracker t;
	websocket_tracker_init(&t, s->sender);
	assert_marks(s, &t, 0);
	for (size_t at = 0, n; at < s->bytes.len; at += n) {
		n = 1 + (size_t)random_below(r, most);
		if (n > s->bytes.len - at)
			n = s->bytes.len - at;
		char *piece = malloc(n);
		assert_non_null(piece);
		memcpy(piece, s->bytes.data + at, n);
		assert_looks_ahead(s, &t, at, (struct span){piece, n});
		assert_int_equal(websocket_track(&t, (struct span){piece, n}, WEBSOCKET_AT_NOTHING), n);
		free(piece);
		assert_marks(s, &t, at + n);
	}
	return t;
}

static void random_streams_in_random_pieces_have_the_boundaries_they_were_made_with(void **state)
{
	(void)state;
	struct random r = {.state = 6455};
	static const size_t most[] = {1, 2, 5, 40, 4000, STREAM_MAX};
	for (int i = 0; i < 6000; i++) {
		struct stream *s = random_stream(&r);
		size_t cut = most[random_below(&r, sizeof(most) / sizeof(most[0]))];
		follow(s, s->bytes.len > 5000 && cut < 40 ? 40 : cut, &r);
		stream_free(s);
	}
}

static void long_frames_byte_by_byte_have_the_same_boundaries(void **state)
{
	(void)state;
	static char payload[70000];
	struct random r = {.state = 3};
	struct stream *s = stream_new(WEBSOCKET_CLIENT);
	put_frame(s, 0x02, 65536, 8, payload);
	put_frame(s, 0x89, 125, 0, payload);
	put_frame(s, 0x80, 70000, 8, payload);
	put_frame(s, 0x81, 65535, 2, payload);
	struct websocket_tracker t = follow(s, 1, &r);
	assert_int_equal(t.messages, 2);
	stream_free(s);
}

/* The fault after these bytes, the same however they are cut. */
static enum websocket_fault fault_of(enum websocket_sender sender, const char *bytes, size_t len)
{
	struct websocket_tracker whole, single;
	websocket_tracker_init(&whole, sender);
	websocket_tracker_init(&single, sender);
	assert_int_equal(websocket_track(&whole, (struct span){bytes, len}, WEBSOCKET_AT_NOTHING), len);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(websocket_track(&single, (struct span){bytes + i, 1}, WEBSOCKET_AT_NOTHING), 1);
	assert_int_equal(whole.fault, single.fault);
	return whole.fault;
}

#define FAULT(sender, bytes) fault_of(WEBSOCKET_##sender, bytes, sizeof(bytes) - 1)
#define MASK                 "\x01\x02\x03\x04"

static void invalid_framing_is_named(void **state)
{
	(void)state;
	for (unsigned opcode = 3; opcode < 16; opcode++) {
		char frame[2] = {(char)(0x80 | opcode), 0};
		bool reserved = opcode < 8 || opcode > 10;
		assert_int_equal(
			fault_of(WEBSOCKET_SERVER, frame, 2), reserved ? WEBSOCKET_RESERVED_OPCODE : WEBSOCKET_SOUND);
	}
	assert_int_equal(FAULT(SERVER, "\x89\x7d"), WEBSOCKET_SOUND);
	assert_int_equal(FAULT(SERVER, "\x89\x7e\x00\x7e"), WEBSOCKET_CONTROL_TOO_LONG);
	assert_int_equal(FAULT(SERVER, "\x88\x7f\x00\x00\x00\x00\x00\x01\x00\x00"), WEBSOCKET_CONTROL_TOO_LONG);
	assert_int_equal(FAULT(SERVER, "\x09\x00"), WEBSOCKET_CONTROL_FRAGMENTED);
	assert_int_equal(FAULT(SERVER, "\x08\x00"), WEBSOCKET_CONTROL_FRAGMENTED);
	assert_int_equal(FAULT(SERVER, "\xc8\x00"), WEBSOCKET_CONTROL_RSV);
	assert_int_equal(FAULT(SERVER, "\x9a\x00"), WEBSOCKET_CONTROL_RSV);
	assert_int_equal(FAULT(SERVER, "\xc1\x00"), WEBSOCKET_SOUND);
	assert_int_equal(FAULT(SERVER, "\x81\x80" MASK), WEBSOCKET_WRONG_MASKING);
	assert_int_equal(FAULT(CLIENT, "\x81\x80" MASK), WEBSOCKET_SOUND);
	assert_int_equal(FAULT(CLIENT, "\x81\x00"), WEBSOCKET_WRONG_MASKING);
	assert_int_equal(FAULT(SERVER, "\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00"), WEBSOCKET_LENGTH_TOP_BIT);
	assert_int_equal(FAULT(SERVER, "\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff"), WEBSOCKET_SOUND);
	assert_int_equal(FAULT(SERVER, "\x80\x00"), WEBSOCKET_CONTINUATION_WITHOUT_START);
	assert_int_equal(FAULT(SERVER, "\x01\x00\x80\x00\x80\x00"), WEBSOCKET_CONTINUATION_WITHOUT_START);
	assert_int_equal(FAULT(SERVER, "\x01\x00\x81\x00"), WEBSOCKET_START_INSIDE_MESSAGE);
	assert_int_equal(FAULT(SERVER, "\x88\x00\x89\x00"), WEBSOCKET_AFTER_CLOSE);
	assert_int_equal(FAULT(SERVER, "GET / HTTP/1.1\r\n"), WEBSOCKET_RESERVED_OPCODE);
	for (int fault = 1; fault < WEBSOCKET_FAULTS; fault++)
		assert_true(strlen(websocket_fault_text(fault)) > 0);
}

static void a_fault_stays_and_ends_all_boundaries(void **state)
{
	(void)state;
	struct websocket_tracker t;
	websocket_tracker_init(&t, WEBSOCKET_SERVER);
	struct span bytes = SPAN("\x81\x01x\x83\x00\x81\x00\x81\x00");
	assert_int_equal(websocket_track(&t, bytes, WEBSOCKET_AT_NOTHING), bytes.len);
	assert_int_equal(t.fault, WEBSOCKET_RESERVED_OPCODE);
	assert_int_equal(t.messages, 1);
	bytes = SPAN("\x81\x00");
	assert_int_equal(websocket_track(&t, bytes, WEBSOCKET_AT_FRAME), bytes.len);
	assert_false(websocket_is_at(&t, WEBSOCKET_AT_FRAME));
	assert_false(websocket_is_at(&t, WEBSOCKET_AT_MESSAGE));
}

static void a_stream_is_cut_where_a_close_fits(void **state)
{
	(void)state;
	struct websocket_tracker t;
	websocket_tracker_init(&t, WEBSOCKET_SERVER);
	struct span fragment = SPAN("\x01\x03"
				    "abc"
				    "\x89\x00"
				    "\x80\x01"
				    "d"
				    "\x81\x01"
				    "e");
	assert_int_equal(websocket_track(&t, fragment, WEBSOCKET_AT_FRAME), 0); /* it stands at one */
	struct websocket_tracker ahead = t;
	assert_int_equal(websocket_track(&ahead, (struct span){fragment.at, 4}, WEBSOCKET_AT_NOTHING), 4);
	struct span rest = {fragment.at + 4, fragment.len - 4};
	struct websocket_tracker frame = ahead, message = ahead;
	assert_int_equal(websocket_track(&frame, rest, WEBSOCKET_AT_FRAME), 1);
	assert_int_equal(websocket_track(&message, rest, WEBSOCKET_AT_MESSAGE), 6);
	assert_int_equal(message.messages, 1);
	assert_true(websocket_is_at(&message, WEBSOCKET_AT_MESSAGE));
}

static void the_code_of_a_close_is_read_wherever_it_is_cut(void **state)
{
	(void)state;
	struct buf out;
	buf_init(&out, 1024);
	for (int side = 0; side < 2; side++)
		for (size_t cut = 0; cut <= 16; cut++) {
			struct websocket_tracker t;
			buf_clear(&out);
			assert_int_equal(websocket_close_frame(&out, 1012, "service restart", side ? NULL : key), 0);
			websocket_tracker_init(&t, side ? WEBSOCKET_SERVER : WEBSOCKET_CLIENT);
			assert_int_equal(websocket_track(&t, (struct span){out.data, cut}, WEBSOCKET_AT_CLOSED), cut);
			assert_false(t.closed);
			struct span rest = {out.data + cut, out.len - cut};
			assert_int_equal(websocket_track(&t, rest, WEBSOCKET_AT_CLOSED), rest.len);
			assert_true(t.closed);
			assert_int_equal(t.close_code, 1012);
			assert_int_equal(t.messages, 0);
		}
	buf_fini(&out);
}

static void a_close_without_a_code_or_with_a_long_length_field_is_understood(void **state)
{
	(void)state;
	static const struct {
		struct span bytes;
		uint16_t code;
	} cases[] = {
		{{"\x88\x00", 2}, WEBSOCKET_NO_CODE},
		{{"\x88\x01x", 3}, WEBSOCKET_NO_CODE},
		{{"\x88\x02\x03\xe8", 4}, 1000},
		{{"\x88\x7e\x00\x04\x03\xe9yz", 8}, 1001},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct websocket_tracker t;
		websocket_tracker_init(&t, WEBSOCKET_SERVER);
		for (size_t at = 0; at < cases[i].bytes.len; at++)
			assert_int_equal(
				websocket_track(&t, (struct span){cases[i].bytes.at + at, 1}, WEBSOCKET_AT_NOTHING), 1);
		assert_true(t.closed);
		assert_int_equal(t.close_code, cases[i].code);
	}
}

static void a_close_frame_has_the_bytes_of_the_rfc(void **state)
{
	(void)state;
	struct buf out;
	buf_init(&out, 1024);
	assert_int_equal(websocket_close_frame(&out, 1001, "hi", NULL), 0);
	assert_int_equal(out.len, 6);
	assert_memory_equal(out.data, "\x88\x04\x03\xe9hi", 6);
	buf_clear(&out);
	assert_int_equal(websocket_close_frame(&out, 1001, "", key), 0);
	assert_int_equal(out.len, 8);
	assert_memory_equal(out.data, "\x88\x82\x37\xfa\x21\x3d\x34\x13", 8);
	buf_fini(&out);
}

static void a_close_that_may_not_be_sent_is_not_built(void **state)
{
	(void)state;
	static const uint16_t bad[] = {0, 999, 1004, 1005, 1006, 1015, 5000, 65535};
	char reason[126] = {0};
	struct buf out;
	buf_init(&out, 127);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(websocket_close_frame(&out, bad[i], "", NULL), -EINVAL);
	memset(reason, 'x', 124);
	assert_int_equal(websocket_close_frame(&out, 1012, reason, NULL), -EINVAL);
	assert_int_equal(out.len, 0);
	reason[123] = '\0';
	assert_int_equal(websocket_close_frame(&out, 1012, reason, NULL), 0);
	assert_int_equal(out.len, 127);
	assert_int_equal(websocket_close_frame(&out, 1012, "", NULL), -ENOSPC);
	assert_int_equal(out.len, 127);
	buf_fini(&out);
	buf_init(&out, 5); /* room for the head alone */
	assert_int_equal(websocket_close_frame(&out, 1012, "hello", NULL), -ENOSPC);
	assert_int_equal(out.len, 0);
	buf_fini(&out);
}

static void a_frame_head_decodes_to_what_was_built(void **state)
{
	(void)state;
	static const struct {
		uint64_t length;
		size_t head;
	} cases[] = {{0, 2}, {125, 2}, {126, 4}, {65535, 4}, {65536, 10}, {INT64_MAX, 10}};
	struct buf out;
	buf_init(&out, 64);
	for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		bool masked = i % 2, fin = i % 3 == 0;
		struct websocket_frame frame = {0};
		buf_clear(&out);
		assert_int_equal(
			websocket_frame_head(&out, WEBSOCKET_BINARY, fin, cases[i / 2].length, masked ? key : NULL), 0);
		assert_int_equal(out.len, cases[i / 2].head + (masked ? 4 : 0));
		for (size_t n = 0; n < out.len; n++)
			assert_int_equal(websocket_frame_decode(&frame, (struct span){out.data, n}), 0);
		assert_int_equal(websocket_frame_decode(&frame, (struct span){out.data, out.len}), out.len);
		assert_true(frame.length == cases[i / 2].length);
		assert_int_equal(frame.opcode, WEBSOCKET_BINARY);
		assert_int_equal(frame.fin, fin);
		assert_int_equal(frame.rsv, 0);
		assert_int_equal(frame.masked, masked);
		if (masked)
			assert_memory_equal(frame.key, key, 4);
	}
	buf_fini(&out);
}

static void masking_is_the_rfcs_example_in_any_pieces(void **state)
{
	(void)state;
	for (size_t cut = 0; cut <= 5; cut++) {
		char bytes[5] = {'H', 'e', 'l', 'l', 'o'};
		websocket_mask(bytes, cut, key, 0);
		websocket_mask(bytes + cut, 5 - cut, key, cut);
		assert_memory_equal(bytes, "\x7f\x9f\x4d\x51\x58", 5);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_streams_in_random_pieces_have_the_boundaries_they_were_made_with),
		cmocka_unit_test(long_frames_byte_by_byte_have_the_same_boundaries),
		cmocka_unit_test(invalid_framing_is_named),
		cmocka_unit_test(a_fault_stays_and_ends_all_boundaries),
		cmocka_unit_test(a_stream_is_cut_where_a_close_fits),
		cmocka_unit_test(the_code_of_a_close_is_read_wherever_it_is_cut),
		cmocka_unit_test(a_close_without_a_code_or_with_a_long_length_field_is_understood),
		cmocka_unit_test(a_close_frame_has_the_bytes_of_the_rfc),
		cmocka_unit_test(a_close_that_may_not_be_sent_is_not_built),
		cmocka_unit_test(a_frame_head_decodes_to_what_was_built),
		cmocka_unit_test(masking_is_the_rfcs_example_in_any_pieces),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
