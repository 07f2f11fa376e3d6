/* websocket_reading owns a second, naive reading of RFC 6455's framing: always
 * from the first byte, all bytes at hand, and no state kept. What the tracker
 * says of a stream is held against it. */
#ifndef PODVISOR_TESTS_WEBSOCKET_READING_H
#define PODVISOR_TESTS_WEBSOCKET_READING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "podvisor/wire/websocket.h"

/* What is true behind the last of the bytes. */
struct websocket_reading {
	bool sound;
	bool between; /* two frames */
	bool within_message; /* a fragmented one */
	bool closed;
	uint64_t messages;
	size_t frames_end; /* where the last whole frame ends */
};

static inline bool websocket_head_is_sound(const uint8_t *head, uint64_t length, bool by_client, bool within_message)
{
	int opcode = head[0] % 16;
	if ((head[1] >= 128) != by_client || (opcode > 2 && opcode < 8) || opcode > 10 || length >= (uint64_t)1 << 63)
		return false;
	if (opcode >= 8)
		return head[0] >> 4 == 8 && length <= 125;
	return (opcode == 0) == within_message;
}

static inline struct websocket_reading websocket_read(const void *bytes, size_t n, bool by_client)
{
	const uint8_t *b = bytes;
	struct websocket_reading r = {.sound = true, .between = true};
	for (size_t at = 0; at < n;) {
		size_t left = n - at, extra = 0;
		r.sound = !r.closed;
		r.between = false;
		if (r.closed || left < 2)
			return r;
		uint64_t length = b[at + 1] % 128;
		extra = length == 127 ? 8 : length == 126 ? 2 : 0;
		size_t head = 2 + extra + (b[at + 1] >= 128 ? 4 : 0);
		if (left < head)
			return r;
		for (size_t i = 0; i < extra; i++)
			length = (i ? length * 256 : 0) + b[at + 2 + i];
		r.sound = websocket_head_is_sound(b + at, length, by_client, r.within_message);
		if (!r.sound || left - head < length)
			return r;
		if (b[at] % 16 < 8) {
			r.within_message = b[at] < 128;
			r.messages += !r.within_message;
		}
		r.closed = b[at] % 16 == 8;
		r.between = true;
		r.frames_end = at += head + length;
	}
	return r;
}

#endif
