/* logline owns the form of a line in podvisor's log (SPEC 9): one JSON object
 * with ts, level, worker, stream and msg, or a worker's own JSON object with
 * those of the five that it lacks put in front of its fields. */
#ifndef PODVISOR_WIRE_LOGLINE_H
#define PODVISOR_WIRE_LOGLINE_H

#include <stdbool.h>
#include <stdint.h>

#include "podvisor/base/buf.h"
#include "podvisor/base/span.h"

struct logline {
	int64_t wall_ms;
	const char *level; /* "info" */
	const char *name; /* of the worker; "" or NULL: podvisor itself */
	const char *field; /* "worker", "browser", ... : under which key the name stands */
	const char *stream; /* "stdout", "stderr"; NULL: none */
};

/* Appends the line and a newline. text is one line without its newline; as_json:
 * keep it when it is a JSON object. Nothing is appended when the buffer is full. */
int logline_put_json(struct buf *out, const struct logline *meta, struct span text, bool as_json);
/* For people: "2026-11-24T03:10:45.123Z info api: text". */
int logline_put_text(struct buf *out, const struct logline *meta, struct span text);

#endif
