/* closing owns how podvisor ends one proxied WebSocket without cutting a frame
 * (SPEC 8, RFC 6455 5.5.1 and 7.1.1):
 *
 *   open ──begin──► slot ──its time──► message ──message_wait──► frame ──boundary_wait──► done: unclean
 *                    │                    │ between messages       │ between frames
 *                    │                    └────────► Close ◄───────┘
 *                    │ a Close has passed              ▼
 *                    └─────────────────────────────► answer ──the client's Close has passed──► done: clean
 *                                                       │                                   or peer first
 *                                                       └──close_timeout──► done: client time-out
 *
 * From any state but open, the client's end leads to done. Whoever moves the
 * bytes calls closing_step after each of them that changes what it can see, and
 * at closing.at. Pure. */
#ifndef PODVISOR_MODEL_CLOSING_H
#define PODVISOR_MODEL_CLOSING_H

#include <stdbool.h>
#include <stdint.h>

#include "podvisor/base/clock.h"
#include "podvisor/base/random.h"
#include "podvisor/model/config.h"
#include "podvisor/model/snapshot.h"

enum closing_state {
	CLOSING_OPEN, /* nobody wants it closed */
	CLOSING_SLOT, /* waits for its turn */
	CLOSING_MESSAGE, /* waits for a message boundary from the backend */
	CLOSING_FRAME, /* takes any frame boundary */
	CLOSING_ANSWER, /* a Close is on its way; waits for the one that is missing */
	CLOSING_DONE,
	CLOSING_STATE_COUNT
};

/* What the bytes' mover has to do now. */
enum closing_action {
	CLOSING_WAIT, /* nothing */
	CLOSING_SEND, /* a Close to the client; what the backend sends from here on is dropped */
	CLOSING_FINISH, /* both sides have said goodbye: end both connections */
	CLOSING_CUT /* end both without the client's goodbye; the backend gets a masked Close if a frame of it fits */
};

/* What can be seen of the two directions. */
struct closing_view {
	bool at_message,
		at_frame; /* backend to client, and everything that it had finished before the slot has passed */
	bool sound; /* its framing can be trusted */
	bool backend_closed, client_closed; /* their Close has passed whole */
	bool backend_gone; /* its connection has ended */
	bool client_gone, client_broken; /* likewise; by an error */
};

struct closing {
	ms_t at; /* step again then; CLOCK_NEVER: no need */
	ms_t began_at; /* its slot */
	ms_t sent_at; /* its Close; 0: none was sent */
	uint8_t state; /* enum closing_state */
	uint8_t result; /* enum gateway_close, once done */
};

#define CLOSING_SLOT_MS 100 /* with few of them the window is that much for each: nobody waits for an empty one */

/* Which time from now is that of the i-th of n, in any order that is not their own: an n-th of the window for each, and
 * chance within it. */
ms_t closing_slot(size_t i, size_t n, ms_t window, struct random *random);

/* The state of a connection that nobody wants closed. */
void closing_init(struct closing *c);
/* Wanted: closed, from that time on. Nothing when it was begun before. */
void closing_begin(struct closing *c, ms_t slot);
/* Its slot, if that has not come yet, is now. False: it is none that waits for it. */
bool closing_hurry(struct closing *c, ms_t now);
/* Whatever it is waiting for: its connections are being cut. */
void closing_give_up(struct closing *c);
/* Not wanted any more. False when it is too late: a Close is on its way. */
bool closing_take_back(struct closing *c);
enum closing_action closing_step(
	struct closing *c, const struct closing_view *view, const struct config_drain *times, ms_t now);
/* It looks for a boundary: bytes have to be cut there. */
static inline bool closing_wants_boundary(const struct closing *c)
{
	return c->state == CLOSING_MESSAGE || c->state == CLOSING_FRAME;
}

#endif
