/* A tracker ends in the same state however the stream is cut, and stops only where it says it does. */
#include "fuzz.h"

#include <string.h>

#include "podvisor/wire/websocket.h"

static void track_all(struct websocket_tracker *t, struct span bytes, size_t step)
{
	while (bytes.len) {
		size_t piece = bytes.len < step ? bytes.len : step;
		size_t taken = websocket_track(t, (struct span){bytes.at, piece}, WEBSOCKET_AT_NOTHING);
		PROMISE(taken == piece);
		bytes.at += piece;
		bytes.len -= piece;
	}
}

static void check_same(const struct websocket_tracker *a, const struct websocket_tracker *b)
{
	PROMISE(a->fault == b->fault);
	PROMISE(a->messages == b->messages && a->closed == b->closed);
	for (int place = WEBSOCKET_AT_FRAME; place < WEBSOCKET_AT_NOTHING; place++)
		PROMISE(websocket_is_at(a, (enum websocket_place)place) ==
			websocket_is_at(b, (enum websocket_place)place));
	PROMISE(!a->closed || a->fault || a->close_code == b->close_code);
}

static void stop_at_every_place(struct span bytes, enum websocket_sender sender, enum websocket_place place)
{
	struct websocket_tracker t;
	websocket_tracker_init(&t, sender);
	size_t at = websocket_track(&t, bytes, place);
	PROMISE(at <= bytes.len);
	PROMISE(at == bytes.len || websocket_is_at(&t, place));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span bytes = {(const char *)data, size};
	for (int sender = WEBSOCKET_CLIENT; sender <= WEBSOCKET_SERVER; sender++) {
		struct websocket_tracker whole, cut;
		websocket_tracker_init(&whole, (enum websocket_sender)sender);
		websocket_tracker_init(&cut, (enum websocket_sender)sender);
		track_all(&whole, bytes, size);
		track_all(&cut, bytes, size ? 1 + data[0] % 7 : 1);
		check_same(&whole, &cut);
		for (int place = WEBSOCKET_AT_FRAME; place <= WEBSOCKET_AT_NOTHING; place++)
			stop_at_every_place(bytes, (enum websocket_sender)sender, (enum websocket_place)place);
	}
	return 0;
}
