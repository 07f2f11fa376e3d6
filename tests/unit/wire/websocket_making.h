/* websocket_making owns random streams of frames, out of a seed: most of them
 * as RFC 6455 has them, some broken at a byte. */
#ifndef PODVISOR_TESTS_WEBSOCKET_MAKING_H
#define PODVISOR_TESTS_WEBSOCKET_MAKING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "podvisor/base/random.h"

#define WEBSOCKET_STREAM_MAX (1 << 18)

/* A variable of the environment, for those who want more cases or others. */
static inline uint64_t chosen_number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	return text ? strtoull(text, NULL, 10) : otherwise;
}

/* Frames as they may be, now and then with a length field longer than needed or a length that never ends, and some
 * streams with a byte or two that should not be there. */
struct websocket_made_frame {
	unsigned first, extra;
	uint64_t length, told; /* of the payload; told: what its head says */
};

static inline uint64_t websocket_pick_length(struct random *r, bool control)
{
	static const uint64_t edges[] = {0, 1, 2, 124, 125, 126, 127, 255, 256, 300};
	uint64_t kind = random_below(r, 1000);
	if (control || kind < 800)
		return random_below(r, kind % 8 ? 8 : 126);
	return kind < 999 ? edges[random_below(r, 10)] : 65534 + random_below(r, 4);
}

static inline struct websocket_made_frame websocket_pick_frame(struct random *r, bool within_message)
{
	static const unsigned controls[] = {0x89, 0x8a, 0x89, 0x8a, 0x88};
	struct websocket_made_frame f = {0};
	bool control = random_below(r, 3) == 0;
	unsigned fin = random_below(r, 2) ? 0x80 : 0, rsv = random_below(r, 8) ? 0 : 0x40;
	f.first = control ? controls[random_below(r, 5)]
			  : fin | rsv | (within_message ? 0 : 1 + (unsigned)random_below(r, 2));
	f.length = f.told = websocket_pick_length(r, control);
	if (!control && random_below(r, 200) == 0)
		f.told = random_next(r) >> random_below(r, 40);
	f.extra = f.told > 65535 ? 8 : f.told > 125 ? 2 : 0;
	if (random_below(r, 20) == 0)
		f.extra = random_below(r, 2) || f.told > 65535 ? 8 : 2;
	return f;
}

static inline size_t websocket_put_frame(
	uint8_t *at, const struct websocket_made_frame *f, bool by_client, struct random *r)
{
	size_t n = 0;
	at[n++] = (uint8_t)f->first;
	at[n++] = (uint8_t)((by_client ? 128 : 0) + (f->extra == 8 ? 127 : f->extra ? 126 : f->told));
	for (unsigned i = f->extra; i-- > 0;)
		at[n++] = (uint8_t)(f->told >> (8 * i));
	for (size_t i = (by_client ? 4 : 0) + f->length; i > 0; i--)
		at[n++] = (uint8_t)random_next(r);
	return n;
}

/* Whole frames without a Close, at most that many; the length of all. */
static inline size_t websocket_make_sound_stream(uint8_t *out, uint64_t frames, bool by_client, struct random *r)
{
	size_t n = 0;
	bool within_message = false;
	while (frames > 0 && n < WEBSOCKET_STREAM_MAX / 2) {
		struct websocket_made_frame f = websocket_pick_frame(r, within_message);
		if ((f.first & 15) == 8 || f.told != f.length)
			continue;
		n += websocket_put_frame(out + n, &f, by_client, r);
		if ((f.first & 15) < 8)
			within_message = f.first < 128;
		frames--;
	}
	return n;
}

/* Its length. */
static inline size_t websocket_make_stream(uint8_t *out, bool by_client, struct random *r)
{
	size_t n = 0;
	bool within_message = false;
	for (uint64_t frames = random_below(r, 12); frames > 0 && n < WEBSOCKET_STREAM_MAX / 2; frames--) {
		struct websocket_made_frame f = websocket_pick_frame(r, within_message);
		n += websocket_put_frame(out + n, &f, by_client, r);
		if ((f.first & 15) < 8)
			within_message = f.first < 128;
	}
	if (n && random_below(r, 4) == 0)
		out[random_below(r, n)] = (uint8_t)random_next(r);
	if (random_below(r, 10) == 0)
		n -= random_below(r, n + 1);
	return n;
}

#endif
