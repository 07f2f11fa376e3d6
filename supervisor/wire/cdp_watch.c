#include "podvisor/wire/cdp_watch.h"

void cdp_watch_init(struct cdp_watch *w)
{
	*w = (struct cdp_watch){0};
	websocket_tracker_init(&w->tracker, WEBSOCKET_SERVER);
	cdp_scan_init(&w->scan);
}

/* A frame has begun: of a message that was not read from its start nothing is read. */
static void begin_frame(struct cdp_watch *w, bool awaits)
{
	const struct websocket_tracker *t = &w->tracker;
	if (t->opcode == WEBSOCKET_TEXT) {
		w->looks = awaits && t->left <= CDP_ANSWER_BYTES;
		cdp_scan_init(&w->scan);
	} else if (t->opcode != WEBSOCKET_CONTINUATION) {
		return;
	}
	w->looks &= t->left <= CDP_ANSWER_BYTES;
}

static size_t step(struct cdp_watch *w, struct span rest, bool awaits)
{
	struct websocket_tracker *t = &w->tracker;
	bool in_payload = t->in_payload;
	if (!in_payload)
		rest.len = 1;
	else if (t->left < rest.len)
		rest.len = (size_t)t->left;
	if (in_payload && w->looks && t->opcode <= WEBSOCKET_TEXT)
		cdp_scan_take(&w->scan, rest);
	websocket_track(t, rest, WEBSOCKET_AT_NOTHING);
	if (!in_payload && t->in_payload)
		begin_frame(w, awaits);
	return rest.len;
}

size_t cdp_watch_follow(struct cdp_watch *w, struct span bytes, bool awaits, const struct cdp_scan **answer)
{
	size_t at = 0;
	*answer = NULL;
	while (at < bytes.len && !w->tracker.fault) {
		uint64_t messages = w->tracker.messages;
		at += step(w, (struct span){bytes.at + at, bytes.len - at}, awaits);
		if (w->tracker.messages == messages || !w->looks)
			continue;
		w->looks = false;
		*answer = &w->scan;
		return at;
	}
	return w->tracker.fault ? bytes.len : at;
}
