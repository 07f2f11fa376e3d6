/* Any bytes as one direction of a WebSocket: what the tracker says must not
 * depend on how they are cut, where it stops is where it says it stands, and a
 * naive reader of the same bytes finds the same. */
#include <string.h>

#include "../unit/wire/websocket_reading.h"
#include "fuzz.h"
#include "podvisor/wire/websocket.h"

static bool same_place(const struct websocket_tracker *a, const struct websocket_tracker *b)
{
	for (int place = WEBSOCKET_AT_FRAME; place <= WEBSOCKET_AT_NOTHING; place++)
		if (websocket_is_at(a, place) != websocket_is_at(b, place))
			return false;
	return a->fault == b->fault && a->messages == b->messages && a->closed == b->closed &&
	       (a->fault || (a->left == b->left && a->have == b->have && a->close_code == b->close_code));
}

static void check_naively(const struct websocket_tracker *t, const char *bytes, size_t n)
{
	struct websocket_reading r = websocket_read(bytes, n, t->sender == WEBSOCKET_CLIENT);
	PROMISE(r.sound == (t->fault == WEBSOCKET_SOUND) && r.messages == t->messages && r.closed == t->closed);
	PROMISE(websocket_is_at(t, WEBSOCKET_AT_FRAME) == (r.sound && r.between));
	PROMISE(websocket_is_at(t, WEBSOCKET_AT_MESSAGE) == (r.sound && r.between && !r.within_message));
}

/* Goes from boundary to boundary; the bytes between them must be whole frames. */
static struct websocket_tracker hop(struct websocket_tracker t, struct span bytes, enum websocket_place place)
{
	while (bytes.len) {
		size_t n = websocket_track(&t, (struct span){bytes.at, 1}, WEBSOCKET_AT_NOTHING);
		PROMISE(n == 1);
		bytes = (struct span){bytes.at + 1, bytes.len - 1};
		n = websocket_track(&t, bytes, place);
		PROMISE(n <= bytes.len && (n == bytes.len || websocket_is_at(&t, place)));
		bytes = (struct span){bytes.at + n, bytes.len - n};
	}
	return t;
}

/* The first byte chooses whose bytes they are and in pieces of which size. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	struct websocket_tracker start, whole, pieces;
	websocket_tracker_init(&start, data[0] & 1 ? WEBSOCKET_SERVER : WEBSOCKET_CLIENT);
	whole = pieces = start;
	struct span bytes = {(const char *)data + 1, size - 1};
	size_t step = 1 + (data[0] >> 1);
	PROMISE(websocket_track(&whole, bytes, WEBSOCKET_AT_NOTHING) == bytes.len);
	for (size_t at = 0, n; at < bytes.len; at += n) {
		n = bytes.len - at < step ? bytes.len - at : step;
		PROMISE(websocket_track(&pieces, (struct span){bytes.at + at, n}, WEBSOCKET_AT_NOTHING) == n);
		check_naively(&pieces, bytes.at, at + n);
	}
	PROMISE(same_place(&whole, &pieces));
	for (int place = WEBSOCKET_AT_FRAME; place < WEBSOCKET_AT_CLOSED; place++) {
		struct websocket_tracker hopped = hop(start, bytes, place);
		PROMISE(same_place(&whole, &hopped));
	}
	return 0;
}
