/* port owns what control asks of the one who wires it. */
#ifndef PODVISOR_CONTROL_PORT_H
#define PODVISOR_CONTROL_PORT_H

#include <stdbool.h>
#include <stddef.h>

#include "podvisor/base/buf.h"
#include "podvisor/base/err.h"
#include "podvisor/model/snapshot.h"
#include "podvisor/runtime/logs.h"

struct control_port {
	void *ctx;
	/* The picture of this turn. */
	void (*snapshot)(void *ctx, struct snapshot *out);
	/* Reads the configuration again; dry_run: only tells, one line a change, into
	 * out, and in warnings what check warns of. Refused: a negative errno, the sentence, and each mistake as a
	 * line in out. */
	int (*reload)(void *ctx, bool dry_run, struct buf *out, struct buf *warnings, struct err *err);
	/* Remembered lines; see logs_recent(). */
	int (*logs)(void *ctx, const struct logs_query *q, void (*each)(void *ctx, const struct logs_line *line),
		void *each_ctx, struct logs_answer *out);
	/* Posts an event to the world. */
	void (*post)(void *ctx, const struct event *e);
	/* A line of podvisor's own. NULL is fine. */
	void (*say)(void *ctx, enum log_level level, const char *text);
	/* Somebody looks at what workers use: measure it, if need be. NULL is fine.
	 */
	void (*measure)(void *ctx);
	const char *version; /* borrowed for good; NULL: "unknown" */
};

#endif
