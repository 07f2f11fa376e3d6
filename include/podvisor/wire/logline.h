/* logline owns the form of a line in podvisor's log (SPEC 9): one JSON object
 * with ts, level, worker, stream and msg, or a worker's own JSON object with
 * those that it lacks put in front of its fields. */
#ifndef PODVISOR_WIRE_LOGLINE_H
#define PODVISOR_WIRE_LOGLINE_H

#include <stdbool.h>
#include <stdint.h>

#include "podvisor/base/buf.h"
#include "podvisor/base/span.h"

/* What is known of a line beside its time and its text. */
struct logline {
	const char *level; /* "info" */
	const char *name; /* of the worker; "" or NULL: podvisor itself */
	const char *field; /* "worker", "browser", ... : under which key the name stands */
	const char *stream; /* "stdout", "stderr"; NULL: none */
	const char *command; /* "stop": the worker's stop command has written it; NULL: the worker */
	bool partial; /* a piece of a long line, which goes on in the next */
};

/* The fields that may stand in front of the text, in this order. */
enum logline_part {
	LOGLINE_TS,
	LOGLINE_LEVEL,
	LOGLINE_NAME,
	LOGLINE_STREAM,
	LOGLINE_COMMAND,
	LOGLINE_PARTIAL,
	LOGLINE_PARTS
};

/* The front of the lines of one origin, made once: a worker writes a million
 * lines, and only their time differs. */
struct logline_head {
	struct logline meta; /* its strings are borrowed */
	struct buf text; /* {"ts":"...","level":"info","worker":"api","stream":"stdout","msg": */
	size_t from[LOGLINE_PARTS], to[LOGLINE_PARTS]; /* where they stand in it; equal: nowhere */
	int64_t wall_ms; /* of the ts that stands in it */
};

/* 0 or -ENOMEM, and then nothing has to be freed. */
int logline_head_init(struct logline_head *h, const struct logline *meta);
void logline_head_fini(struct logline_head *h);

/* Appends the message and a newline; wall_ms: when it was written. as_json: keep
 * it when it is a JSON object. Nothing is appended when the buffer is full. */
int logline_put_json(struct buf *out, struct logline_head *h, int64_t wall_ms, struct span text, bool as_json);
/* For people: "2026-11-24T03:10:45.123Z info  api: text"; a message of several
 * lines becomes as many. */
int logline_put_text(struct buf *out, struct logline_head *h, int64_t wall_ms, struct span text);

/* Whether text is a JSON object, blanks around it aside. */
bool logline_is_json(struct span text);

#endif
