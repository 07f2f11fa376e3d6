#include "podvisor/wire/websocket.h"

#include <errno.h>
#include <string.h>

/* The frame of RFC 6455 5.2. */

static uint64_t big_endian(const char *at, size_t n)
{
	uint64_t value = 0;
	for (size_t i = 0; i < n; i++)
		value = value << 8 | (unsigned char)at[i];
	return value;
}

static void put_big_endian(char *at, size_t n, uint64_t value)
{
	while (n--) {
		at[n] = (char)(value & 0xff);
		value >>= 8;
	}
}

/* Bytes of the extended length field that the 7-bit length announces. */
static size_t extra_length_bytes(unsigned length7)
{
	return length7 == 127 ? 8 : length7 == 126 ? 2 : 0;
}

size_t websocket_frame_decode(struct websocket_frame *frame, struct span bytes)
{
	if (bytes.len < 2)
		return 0;
	unsigned first = (unsigned char)bytes.at[0], second = (unsigned char)bytes.at[1];
	bool masked = second & 0x80;
	size_t extra = extra_length_bytes(second & 0x7f);
	size_t len = 2 + extra + (masked ? 4 : 0);
	if (bytes.len < len)
		return 0;
	*frame = (struct websocket_frame){
		.fin = first & 0x80,
		.rsv = first >> 4 & 7,
		.opcode = first & 0xf,
		.masked = masked,
		.length = extra ? big_endian(bytes.at + 2, extra) : (second & 0x7f),
	};
	if (masked)
		memcpy(frame->key, bytes.at + 2 + extra, 4);
	return len;
}

int websocket_frame_head(struct buf *out, enum websocket_opcode opcode, bool fin, uint64_t length, const uint8_t key[4])
{
	char head[WEBSOCKET_HEAD_BYTES];
	unsigned length7 = length > 0xffff ? 127 : length > 125 ? 126 : (unsigned)length;
	size_t extra = extra_length_bytes(length7);
	head[0] = (char)((fin ? 0x80 : 0) | opcode);
	head[1] = (char)((key ? 0x80 : 0) | length7);
	put_big_endian(head + 2, extra, length);
	if (key)
		memcpy(head + 2 + extra, key, 4);
	return buf_put(out, head, 2 + extra + (key ? 4 : 0));
}

void websocket_mask(char *bytes, size_t len, const uint8_t key[4], uint64_t offset)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = (char)(bytes[i] ^ key[(offset + i) & 3]);
}

static bool may_be_sent(uint16_t code)
{
	return code >= 1000 && code <= 4999 && code != 1004 && code != 1005 && code != 1006 && code != 1015;
}

int websocket_close_frame(struct buf *out, uint16_t code, const char *reason, const uint8_t key[4])
{
	char payload[WEBSOCKET_CONTROL_BYTES];
	size_t reason_len = strlen(reason), len = 2 + reason_len, before = out->len;
	if (!may_be_sent(code) || reason_len > WEBSOCKET_REASON_BYTES)
		return -EINVAL;
	put_big_endian(payload, 2, code);
	memcpy(payload + 2, reason, reason_len);
	if (key)
		websocket_mask(payload, len, key, 0);
	int rc = websocket_frame_head(out, WEBSOCKET_CLOSE, true, len, key);
	if (rc == 0 && (rc = buf_put(out, payload, len)) < 0)
		out->len = before;
	return rc;
}

static const char *const fault_texts[WEBSOCKET_FAULTS] = {
	[WEBSOCKET_SOUND] = "",
	[WEBSOCKET_RESERVED_OPCODE] = "a reserved opcode",
	[WEBSOCKET_CONTROL_TOO_LONG] = "a control frame of more than 125 bytes",
	[WEBSOCKET_CONTROL_FRAGMENTED] = "a fragmented control frame",
	[WEBSOCKET_CONTROL_RSV] = "reserved bits on a control frame",
	[WEBSOCKET_WRONG_MASKING] = "a client's frame without a mask or a server's with one",
	[WEBSOCKET_LENGTH_TOP_BIT] = "a length beyond 2^63-1",
	[WEBSOCKET_CONTINUATION_WITHOUT_START] = "a continuation of no message",
	[WEBSOCKET_START_INSIDE_MESSAGE] = "a new message inside a fragmented one",
	[WEBSOCKET_AFTER_CLOSE] = "bytes after a Close",
};

const char *websocket_fault_text(enum websocket_fault fault)
{
	return (unsigned)fault < WEBSOCKET_FAULTS ? fault_texts[fault] : "";
}

void websocket_tracker_init(struct websocket_tracker *t, enum websocket_sender sender)
{
	*t = (struct websocket_tracker){.sender = (uint8_t)sender, .close_code = WEBSOCKET_NO_CODE};
}

static bool is_control(unsigned opcode)
{
	return opcode >= WEBSOCKET_CLOSE;
}

static enum websocket_fault judge_control(const struct websocket_frame *frame)
{
	if (frame->opcode > WEBSOCKET_PONG)
		return WEBSOCKET_RESERVED_OPCODE;
	if (!frame->fin)
		return WEBSOCKET_CONTROL_FRAGMENTED;
	if (frame->rsv)
		return WEBSOCKET_CONTROL_RSV;
	return frame->length > WEBSOCKET_CONTROL_BYTES ? WEBSOCKET_CONTROL_TOO_LONG : WEBSOCKET_SOUND;
}

static enum websocket_fault judge(const struct websocket_tracker *t, const struct websocket_frame *frame)
{
	if (frame->masked != (t->sender == WEBSOCKET_CLIENT))
		return WEBSOCKET_WRONG_MASKING;
	if (is_control(frame->opcode))
		return judge_control(frame);
	if (frame->opcode > WEBSOCKET_BINARY)
		return WEBSOCKET_RESERVED_OPCODE;
	if (frame->opcode == WEBSOCKET_CONTINUATION && !t->fragmented)
		return WEBSOCKET_CONTINUATION_WITHOUT_START;
	if (frame->opcode != WEBSOCKET_CONTINUATION && t->fragmented)
		return WEBSOCKET_START_INSIDE_MESSAGE;
	return frame->length >> 63 ? WEBSOCKET_LENGTH_TOP_BIT : WEBSOCKET_SOUND;
}

/* The last byte of a frame has passed. */
static void end_frame(struct websocket_tracker *t)
{
	t->in_payload = false;
	t->have = 0;
	if (t->opcode == WEBSOCKET_CLOSE)
		t->closed = true;
	if (is_control(t->opcode))
		return;
	t->fragmented = !t->fin;
	t->messages += t->fin;
}

static void begin_frame(struct websocket_tracker *t, const struct websocket_frame *frame)
{
	t->fault = (uint8_t)judge(t, frame);
	if (t->fault)
		return;
	t->opcode = frame->opcode;
	t->fin = frame->fin;
	t->left = frame->length;
	if (t->opcode == WEBSOCKET_CLOSE)
		t->close_code = t->left >= 2 ? 0 : WEBSOCKET_NO_CODE;
	t->in_payload = true;
	if (t->left == 0)
		end_frame(t);
}

/* Takes bytes for the open head until it is complete; at least one. */
static size_t follow_head(struct websocket_tracker *t, struct span bytes)
{
	struct websocket_frame frame;
	size_t taken = 0, len = 0;
	if (t->closed) {
		t->fault = WEBSOCKET_AFTER_CLOSE;
		return 0;
	}
	while (taken < bytes.len && len == 0) {
		t->head[t->have++] = bytes.at[taken++];
		len = websocket_frame_decode(&frame, (struct span){t->head, t->have});
	}
	if (len)
		begin_frame(t, &frame);
	return taken;
}

/* The first two payload bytes of a Close are its code (5.5.1), wherever the stream is cut. */
static void note_close_code(struct websocket_tracker *t, struct span piece)
{
	struct websocket_frame frame = {0};
	websocket_frame_decode(&frame, (struct span){t->head, t->have}); /* complete: the payload has begun */
	uint64_t offset = frame.length - t->left;
	for (size_t i = 0; i < piece.len && offset < 2 && frame.length >= 2; i++, offset++)
		t->close_code = (uint16_t)(t->close_code << 8 | ((unsigned char)piece.at[i] ^ frame.key[offset]));
}

static size_t follow_payload(struct websocket_tracker *t, struct span bytes)
{
	size_t taken = t->left < bytes.len ? (size_t)t->left : bytes.len;
	if (t->opcode == WEBSOCKET_CLOSE)
		note_close_code(t, (struct span){bytes.at, taken});
	t->left -= taken;
	if (t->left == 0)
		end_frame(t);
	return taken;
}

bool websocket_is_at(const struct websocket_tracker *t, enum websocket_place place)
{
	bool between = !t->fault && !t->in_payload && t->have == 0;
	switch (place) {
	case WEBSOCKET_AT_FRAME:
		return between;
	case WEBSOCKET_AT_MESSAGE:
		return between && !t->fragmented;
	case WEBSOCKET_AT_CLOSED:
		return t->closed;
	case WEBSOCKET_AT_NOTHING:
		break;
	}
	return false;
}

size_t websocket_track(struct websocket_tracker *t, struct span bytes, enum websocket_place place)
{
	size_t at = 0;
	while (at < bytes.len && !t->fault && !websocket_is_at(t, place)) {
		struct span rest = {bytes.at + at, bytes.len - at};
		at += t->in_payload ? follow_payload(t, rest) : follow_head(t, rest);
	}
	return t->fault ? bytes.len : at;
}
