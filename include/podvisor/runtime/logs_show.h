/* logs_show owns what is shown of the lines that logs remembers, and the words in which a line's origin is named. */
#ifndef PODVISOR_RUNTIME_LOGS_SHOW_H
#define PODVISOR_RUNTIME_LOGS_SHOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "podvisor/base/buf.h"
#include "podvisor/runtime/origins.h"
#include "podvisor/runtime/outlet.h"
#include "podvisor/runtime/recent.h"

/* Those of a worker, and those of its stop command. */
enum logs_stream { LOGS_STDOUT, LOGS_STDERR, LOGS_STOP_STDOUT, LOGS_STOP_STDERR, LOGS_STREAMS };

/* "info"; "stdout", NULL of LOGS_STREAMS; "stop", NULL of what no stop command has written; "worker", "pod". */
const char *logs_show_level(enum log_level level);
const char *logs_show_stream(enum logs_stream stream);
const char *logs_show_command(enum logs_stream stream);
const char *logs_show_thing(enum thing thing);

/* Which of the remembered lines. */
struct logs_query {
	const char *const *names; /* workers, instances, browsers; NULL-terminated; none: everybody, podvisor too */
	const struct recent_cursor *after; /* NULL: the newest */
	size_t lines;
	bool plain; /* what was written, not what was logged */
};

struct logs_line {
	int64_t wall_ms;
	const char *thing, *name; /* "worker", "api.0"; podvisor's own: whom it is about, or "pod" and "" */
	const char *level, *stream; /* stream NULL: podvisor's own */
	const char *command; /* "stop": its stop command has written it; NULL: itself */
	struct span text; /* as logged, which may be several lines; without the last newline */
};

struct logs_answer {
	struct recent_cursor next;
	uint64_t missed;
	bool more;
};

/* Hands them to each, oldest first, in the form that outlet gives them. 0 or -ENOMEM. */
int logs_show_recent(const struct origins *origins, const struct outlet *outlet, const struct logs_query *q,
	void (*each)(void *ctx, const struct logs_line *line), void *ctx, struct logs_answer *out) MUST_CHECK;
/* The last lines of a worker as plain text (base/plain.h), in at most max_bytes, for the termination log. */
void logs_show_last_words(const struct origins *origins, const char *name, size_t max_bytes, struct buf *out);

#endif
