/* websocket owns the framing of RFC 6455. Its tracker follows the bytes of one
 * direction that somebody else passes on unchanged, and knows at each of them
 * whether a frame of our own could be put there; its builders make such frames.
 * Payloads, extensions and subprotocols are the two ends' business. */
#ifndef PODVISOR_WIRE_WEBSOCKET_H
#define PODVISOR_WIRE_WEBSOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "podvisor/base/buf.h"
#include "podvisor/base/err.h"
#include "podvisor/base/span.h"

#define WEBSOCKET_HEAD_BYTES    14 /* the longest frame head */
#define WEBSOCKET_CONTROL_BYTES 125 /* the longest payload of a control frame (5.5) */
#define WEBSOCKET_REASON_BYTES  123 /* the longest reason of a Close */

enum websocket_opcode {
	WEBSOCKET_CONTINUATION = 0,
	WEBSOCKET_TEXT = 1,
	WEBSOCKET_BINARY = 2,
	WEBSOCKET_CLOSE = 8,
	WEBSOCKET_PING = 9,
	WEBSOCKET_PONG = 10
};

/* Close codes that this program speaks of (7.4, and IANA's registry for 1012). */
enum websocket_code {
	WEBSOCKET_GOING_AWAY = 1001,
	WEBSOCKET_NO_CODE = 1005, /* a Close without one; never on the wire */
	WEBSOCKET_ABNORMAL = 1006, /* no Close at all; likewise */
	WEBSOCKET_SERVICE_RESTART = 1012
};

/* One frame's head, decoded. */
struct websocket_frame {
	uint64_t length; /* of the payload */
	uint8_t opcode; /* 0..15 */
	uint8_t rsv; /* the three reserved bits, 0..7 */
	bool fin, masked;
	uint8_t key[4]; /* when masked */
};

/* Decodes the head at the front of bytes: its length (2..14), or 0 when it is
 * not complete. Judges nothing. */
size_t websocket_frame_decode(struct websocket_frame *frame, struct span bytes);

/* Appends a frame's head with the shortest length field; key NULL: unmasked.
 * Returns 0, or what buf_put returns. */
int websocket_frame_head(
	struct buf *out, enum websocket_opcode opcode, bool fin, uint64_t length, const uint8_t key[4]) MUST_CHECK;

/* Masks or unmasks (it is the same) bytes that lie `offset` into the payload (5.3). */
void websocket_mask(char *bytes, size_t len, const uint8_t key[4], uint64_t offset);

/* Appends a whole Close frame; key NULL: unmasked, as a server sends it.
 * -EINVAL for a code that may not stand on the wire (outside 1000..4999, 1004,
 * 1005, 1006, 1015) or a reason above 123 bytes; else what buf_put returns.
 * On failure out holds what it held before. */
int websocket_close_frame(struct buf *out, uint16_t code, const char *reason, const uint8_t key[4]) MUST_CHECK;

/* Whose bytes are followed: a client's frames are masked, a server's are not. */
enum websocket_sender { WEBSOCKET_CLIENT, WEBSOCKET_SERVER };

/* Why the framing cannot be trusted any more. A length field longer than needed
 * is not among them: it leaves no doubt about where the frame ends. */
enum websocket_fault {
	WEBSOCKET_SOUND,
	WEBSOCKET_RESERVED_OPCODE,
	WEBSOCKET_CONTROL_TOO_LONG,
	WEBSOCKET_CONTROL_FRAGMENTED,
	WEBSOCKET_CONTROL_RSV,
	WEBSOCKET_WRONG_MASKING,
	WEBSOCKET_LENGTH_TOP_BIT,
	WEBSOCKET_CONTINUATION_WITHOUT_START,
	WEBSOCKET_START_INSIDE_MESSAGE,
	WEBSOCKET_AFTER_CLOSE,
	WEBSOCKET_FAULTS
};

/* Where to stop following. */
enum websocket_place {
	WEBSOCKET_AT_FRAME, /* between two frames */
	WEBSOCKET_AT_MESSAGE, /* between two frames, and no fragmented message is open */
	WEBSOCKET_AT_CLOSED, /* a Close frame has passed whole */
	WEBSOCKET_AT_NOTHING /* nowhere: follow all bytes */
};

/* A value: copy it to look ahead. Read its fields, let the calls write them. */
struct websocket_tracker {
	uint64_t messages; /* data messages that have passed whole */
	uint64_t left; /* payload bytes of the open frame still to come */
	uint16_t close_code; /* of the Close; WEBSOCKET_NO_CODE when it has none */
	uint8_t fault; /* enum websocket_fault, sticky */
	uint8_t sender; /* enum websocket_sender */
	bool closed; /* a Close frame has passed whole; nothing may follow it */
	bool fragmented; /* a message has begun whose last frame has not passed whole */
	bool in_payload; /* a head is complete, `left` more bytes belong to it */
	uint8_t have; /* bytes of the open head in head[] */
	uint8_t opcode; /* of the open frame */
	bool fin; /* of the open frame */
	char head[WEBSOCKET_HEAD_BYTES];
};

_Static_assert(sizeof(struct websocket_tracker) <= 64, "two of these live in every proxied connection");

void websocket_tracker_init(struct websocket_tracker *t, enum websocket_sender sender);

/* Follows bytes up to the first point, here or further on, that is such a
 * place, and returns how many bytes lie before it; all of them when the place
 * does not come in these bytes (websocket_is_at tells the two apart). After a
 * fault everything passes and no boundary comes any more. */
size_t websocket_track(struct websocket_tracker *t, struct span bytes, enum websocket_place place);

/* Is the next byte of the stream at such a place? After a Close both kinds of
 * boundary are true, yet nothing may be sent: look at `closed` too. */
bool websocket_is_at(const struct websocket_tracker *t, enum websocket_place place);

/* A few words for people; "" for WEBSOCKET_SOUND. */
const char *websocket_fault_text(enum websocket_fault fault);

#endif
