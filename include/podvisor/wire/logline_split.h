/* logline_split owns how the bytes of one stream become messages: they end at
 * newlines, a line longer than max_line leaves in pieces, and lines that continue
 * the one before are joined to it. Memory is bounded by twice max_line. */
#ifndef PODVISOR_WIRE_LOGLINE_SPLIT_H
#define PODVISOR_WIRE_LOGLINE_SPLIT_H

#include <stdbool.h>
#include <stdint.h>

#include "podvisor/base/buf.h"
#include "podvisor/base/clock.h"
#include "podvisor/base/span.h"
#include "podvisor/wire/logline_join.h"

#define LOGLINE_SPLIT_QUIET_MS   250 /* a message is over when nothing continued it for so long, ... */
#define LOGLINE_SPLIT_LONGEST_MS 2000 /* ... or when it began so long ago */

struct logline_split {
	size_t max_line; /* of a line, without its newline, and of a joined message */
	bool raw; /* a carriage return before the newline belongs to the line */
	bool as_json; /* a line that is a JSON object is a message of its own */
	struct pattern *continues; /* owned; NULL: every line is a message */
	/* text: for the time of the call. partial: a piece of a line that goes on in the next message. */
	void (*message)(void *ctx, struct span text, int64_t wall_ms, bool partial);
	void *ctx;

	struct buf carry; /* a line that has not ended; and one byte beyond max_line, which may be its '\r' */
	bool in_pieces; /* part of it has left already */
	struct buf held; /* a message that the next line may continue */
	bool holding;
	int64_t held_wall_ms;
	ms_t held_since, held_grew;
	ms_t now; /* of the bytes that are being taken */
	int64_t wall_ms;
};

/* Fills in what is private; the public fields are set before. */
void logline_split_init(struct logline_split *s);
void logline_split_fini(struct logline_split *s);
/* Takes what was read at that time. Returns how many lines ended in it. */
size_t logline_split_feed(struct logline_split *s, const char *bytes, size_t n, ms_t now, int64_t wall_ms);
/* When the message that is held has to leave at the latest; CLOCK_NEVER: none is. */
ms_t logline_split_due(const struct logline_split *s);
/* It leaves. A line that has not ended stays. */
void logline_split_settle(struct logline_split *s);
/* The stream is over: everything leaves. */
void logline_split_end(struct logline_split *s);

#endif
