/* cdp_guard owns what of a client's WebSocket bytes goes on to Chrome when
 * client_close is detach: everything as it came, but that a command which would
 * end the Chrome of all becomes another one with the same id, which Chrome
 * itself answers in its turn: Browser.close one that has no effect beyond the
 * session, the others one that does not exist. It looks at messages, however they
 * are masked, cut into frames and written. A message is held back until it is
 * known; one longer than CDP_HELD_BYTES passes while it is looked at, and when
 * its end turns out to be deadly, that end is withheld. */
#ifndef PODVISOR_WIRE_CDP_GUARD_H
#define PODVISOR_WIRE_CDP_GUARD_H

#include "podvisor/base/buf.h"
#include "podvisor/base/span.h"
#include "podvisor/wire/cdp_scan.h"
#include "podvisor/wire/websocket.h"

#define CDP_HELD_BYTES ((size_t)64 * 1024)

struct cdp_guard_calls {
	/* Goes to Chrome next. Borrowed. */
	void (*pass)(void *ctx, struct span bytes);
	/* A message that is worth it (not CDP_OTHER) is passed after this; CDP_CLOSE and CDP_DEADLY: in its other form.
	 */
	void (*command)(void *ctx, enum cdp_kind kind, const struct cdp_scan *message);
};

/* Read end; the calls write the rest. */
struct cdp_guard {
	struct websocket_tracker tracker;
	struct cdp_scan scan; /* of the message that is open */
	struct buf held; /* its frames, as they came */
	bool passes; /* it was too long to hold */
	bool drops; /* it will be replaced; what it still brings is not kept */
	const char *end; /* why nothing more is passed, a few words; NULL: all is well */
};

void cdp_guard_init(struct cdp_guard *g);
void cdp_guard_fini(struct cdp_guard *g);
/* The bytes of the client that come next; calls are made until all of them are taken. Out of memory and faults of
 * the framing set end: the session is to be ended. */
void cdp_guard_take(struct cdp_guard *g, struct span bytes, const struct cdp_guard_calls *calls, void *ctx);

/* Appends a command as a client's frame: method with a params object ("" for none), id as it stands in JSON, session ""
 * for the browser's. 0 or the buffer's failure. */
int cdp_guard_put_command(struct buf *out, const char *id, const char *session, const char *method, const char *params);

#endif
