/* ws owns the frames of RFC 6455 as ws_peer speaks them: written and read on
 * their own, so that what judges the gateway shares no line with it. A message
 * is one binary frame: who (4 bytes), its number (4 bytes), and then the low
 * byte of that number over and over, so that a byte that is lost or comes
 * twice is seen. */
#ifndef PODVISOR_BENCH_WS_H
#define PODVISOR_BENCH_WS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define WS_HEAD_BYTES    14
#define WS_MESSAGE_BYTES 8 /* the least that a message has */

enum ws_opcode { WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };

/* The reader of one direction: what is known of the frame that is open. */
struct ws_reader {
	uint64_t length, at; /* of its payload; how much of that has come */
	unsigned char head[WS_HEAD_BYTES];
	unsigned char first[WS_MESSAGE_BYTES]; /* of its payload, unmasked */
	unsigned char key[4];
	uint8_t have; /* bytes of the head */
	uint8_t opcode;
	bool from_client; /* its frames have to be masked */
	bool in_payload;
	bool torn; /* a payload is not what was written */
};

enum ws_result { WS_MORE, WS_FRAME, WS_BROKEN };

static inline uint64_t ws_number(const unsigned char *at, size_t n)
{
	uint64_t value = 0;
	for (size_t i = 0; i < n; i++)
		value = value << 8 | at[i];
	return value;
}

static inline void ws_put_number(unsigned char *at, size_t n, uint64_t value)
{
	while (n--) {
		at[n] = (unsigned char)value;
		value >>= 8;
	}
}

/* Writes a head with the shortest length; key NULL: a server's. Returns its bytes. */
static inline size_t ws_head(unsigned char *out, unsigned opcode, uint64_t length, const unsigned char *key)
{
	size_t extra = length > 0xffff ? 8 : length > 125 ? 2 : 0;
	out[0] = (unsigned char)(0x80 | opcode);
	out[1] = (unsigned char)((key ? 0x80 : 0) | (extra == 8 ? 127 : extra == 2 ? 126 : length));
	ws_put_number(out + 2, extra, length);
	if (key)
		memcpy(out + 2 + extra, key, 4);
	return 2 + extra + (key ? 4 : 0);
}

static inline void ws_mask(unsigned char *bytes, size_t n, const unsigned char *key, uint64_t offset)
{
	for (size_t i = 0; key && i < n; i++)
		bytes[i] ^= key[(offset + i) & 3];
}

/* A whole message of that payload; out has room for it and its head. */
static inline size_t ws_message(
	unsigned char *out, uint32_t who, uint32_t number, size_t length, const unsigned char *key)
{
	size_t n = ws_head(out, WS_BINARY, length, key);
	ws_put_number(out + n, 4, who);
	ws_put_number(out + n + 4, 4, number);
	memset(out + n + WS_MESSAGE_BYTES, (int)(number & 0xff), length - WS_MESSAGE_BYTES);
	ws_mask(out + n, length, key, 0);
	return n + length;
}

static inline bool ws_head_is_whole(const struct ws_reader *r)
{
	size_t length7 = r->head[1] & 0x7f;
	return r->have >= 2 && r->have == (size_t)2 +
						  (length7 == 127          ? 8
							  : length7 == 126 ? 2
									   : 0) +
						  (r->from_client ? 4 : 0);
}

/* Only whole messages and control frames are spoken here: anything else is broken. */
static inline enum ws_result ws_begin(struct ws_reader *r)
{
	size_t length7 = r->head[1] & 0x7f, extra = length7 == 127 ? 8 : length7 == 126 ? 2 : 0;
	bool control = (r->head[0] & 8) != 0;
	r->opcode = r->head[0] & 0xf;
	r->length = extra ? ws_number(r->head + 2, extra) : length7;
	memcpy(r->key, r->head + 2 + extra, 4);
	r->at = 0;
	r->in_payload = true;
	if ((r->head[0] & 0xf0) != 0x80 || ((r->head[1] & 0x80) != 0) != r->from_client)
		return WS_BROKEN;
	if (control)
		return r->opcode > WS_PONG || r->length > 125 ? WS_BROKEN : WS_MORE;
	return r->opcode != WS_BINARY || r->length < WS_MESSAGE_BYTES ? WS_BROKEN : WS_MORE;
}

static inline void ws_look(struct ws_reader *r, unsigned char *bytes, size_t n)
{
	const unsigned char *key = r->from_client ? r->key : NULL;
	ws_mask(bytes, n, key, r->at);
	for (; n && r->at < WS_MESSAGE_BYTES; n--)
		r->first[r->at++] = *bytes++;
	if (n && r->opcode == WS_BINARY)
		r->torn |= bytes[0] != r->first[7] || memcmp(bytes, bytes + 1, n - 1) != 0;
	r->at += n;
}

/* Takes bytes (and unmasks them in place) up to the end of a frame at most; *taken: how many. */
static inline enum ws_result ws_read(struct ws_reader *r, unsigned char *bytes, size_t n, size_t *taken)
{
	*taken = 0;
	while (!r->in_payload && *taken < n) {
		r->head[r->have++] = bytes[(*taken)++];
		if (ws_head_is_whole(r) && ws_begin(r) == WS_BROKEN)
			return WS_BROKEN;
	}
	if (!r->in_payload)
		return WS_MORE;
	size_t some = n - *taken < r->length - r->at ? n - *taken : (size_t)(r->length - r->at);
	ws_look(r, bytes + *taken, some);
	*taken += some;
	if (r->at < r->length)
		return WS_MORE;
	r->in_payload = false;
	r->have = 0;
	return WS_FRAME;
}

static inline bool ws_between(const struct ws_reader *r)
{
	return !r->in_payload && r->have == 0;
}

static inline uint32_t ws_who(const struct ws_reader *r)
{
	return (uint32_t)ws_number(r->first, 4);
}

static inline uint32_t ws_its_number(const struct ws_reader *r)
{
	return (uint32_t)ws_number(r->first + 4, 4);
}

/* Of the Close that was read; 1005: it has none. */
static inline uint16_t ws_code(const struct ws_reader *r)
{
	return r->length >= 2 ? (uint16_t)ws_number(r->first, 2) : 1005;
}

#endif
