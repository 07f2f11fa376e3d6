/* logs owns every line that leaves podvisor on stdout: the workers' output and
 * podvisor's own, as JSON (SPEC 9), through one bounded buffer that never
 * blocks the loop; and the recent lines of each worker in memory. */
#ifndef PODVISOR_RUNTIME_LOGS_H
#define PODVISOR_RUNTIME_LOGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "podvisor/base/buf.h"
#include "podvisor/base/err.h"
#include "podvisor/model/config.h"
#include "podvisor/runtime/context.h"

enum logs_stream { LOGS_STDOUT, LOGS_STDERR, LOGS_STREAMS };

struct logs;

/* Writes to fd (podvisor's stdout; its file status flags are left alone, they
 * are shared with others). context->meters->logs is allocated and kept here. */
int logs_new(struct logs **out, const struct context *c, int fd, struct err *err) MUST_CHECK;
/* Takes another format and level after a reload. */
void logs_configure(struct logs *l, const struct config_log *config);
/* Writes what the buffer holds for at most 1 s if stdout takes it, then closes. */
void logs_free(struct logs *l);

/* A line of podvisor's own. subject is the worker's (browser's, ...) name or
 * "". Also usable before the loop runs. */
void logs_say(struct logs *l, enum log_level level, enum thing thing, const char *subject, const char *fmt, ...)
	PRINTF_LIKE(5, 6);

/* A pipe for one stream of one run of a worker (or browser, exec check):
 * returns the write end, which the caller gives to the child and closes; a
 * negative errno otherwise. name labels the lines; slot counts them (UINT32_MAX:
 * uncounted). config may be NULL (auto). */
int logs_open(struct logs *l, const char *name, uint32_t slot, uint64_t run, enum logs_stream stream,
	const struct config_worker_log *config, struct err *err) MUST_CHECK;
/* The run is over and nothing of it is left: takes what the pipes still hold, to
 * EAGAIN and not to EOF (a stranger may hold the other end), and closes them. */
void logs_ended(struct logs *l, uint64_t run);

/* The newest `lines` remembered lines of a worker (NULL: of all), oldest first,
 * newline-terminated, into out. */
void logs_recent(const struct logs *l, const char *name, size_t lines, struct buf *out);
/* The last lines of a worker as plain text, for the termination log. */
void logs_last_words(const struct logs *l, const char *name, size_t max_bytes, struct buf *out);

#endif
