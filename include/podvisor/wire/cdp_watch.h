/* cdp_watch owns a look at the WebSocket bytes that Chrome sends a client, which
 * somebody else passes on unchanged: while an answer is awaited it reads the ids
 * in short messages; all the others, screenshots above all, it only counts
 * through. */
#ifndef PODVISOR_WIRE_CDP_WATCH_H
#define PODVISOR_WIRE_CDP_WATCH_H

#include "podvisor/base/span.h"
#include "podvisor/wire/cdp_scan.h"
#include "podvisor/wire/websocket.h"

#define CDP_ANSWER_BYTES 4096 /* in a longer frame is no answer that anybody awaits */

struct cdp_watch {
	struct websocket_tracker tracker;
	struct cdp_scan scan; /* of the message that is open */
	bool looks; /* it is being read */
};

void cdp_watch_init(struct cdp_watch *w);
/* Follows the bytes up to the end of the first message that was read, and returns how many lie before it: its words
 * are in *answer then, until the next call. All of them and NULL: there is none. awaits: there is an answer to look
 * for. */
size_t cdp_watch_follow(struct cdp_watch *w, struct span bytes, bool awaits, const struct cdp_scan **answer);

#endif
