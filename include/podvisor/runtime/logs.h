/* logs owns every line that leaves podvisor on stdout: the workers' output and
 * podvisor's own, as JSON (SPEC 9), through one bounded buffer that never
 * blocks the loop; and the recent lines of each worker in memory. docs/logs.md. */
#ifndef PODVISOR_RUNTIME_LOGS_H
#define PODVISOR_RUNTIME_LOGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "podvisor/base/buf.h"
#include "podvisor/base/err.h"
#include "podvisor/model/config.h"
#include "podvisor/runtime/context.h"
#include "podvisor/runtime/logs_show.h"

struct logs;

/* Writes to fd (podvisor's stdout; its file status flags are left alone, they
 * are shared with others). context->meters->logs is allocated and kept here. */
int logs_new(struct logs **out, const struct context *c, int fd, struct err *err) MUST_CHECK;
/* After a reload of the world: another form, level, buffer and block; what is
 * remembered of those that are gone is forgotten. */
void logs_configure(struct logs *l, const struct config_log *config);
/* Podvisor is about to end: takes what the workers' pipes still hold and tells
 * what is still untold, waiting for stdout at most 1 s. */
void logs_finish(struct logs *l);
/* Finishes, if need be, and writes what the buffer holds within the same second; then closes. */
void logs_free(struct logs *l);

/* A line of podvisor's own. subject is the worker's (browser's, ...) name or
 * "". Also usable before the loop runs. */
void logs_say(struct logs *l, enum log_level level, enum thing thing, const char *subject, const char *fmt, ...)
	PRINTF_LIKE(5, 6);

/* A JSON object of podvisor's own, kept as it is behind ts and level; log.level does not matter to it, and it is not
 * remembered. Written by the next flush. */
void logs_record(struct logs *l, enum log_level level, enum thing thing, struct span object);
void logs_flush(struct logs *l);

/* A pipe for one stream of one run of a worker (or browser, exec check):
 * returns the write end, which the caller gives to the child and closes; a
 * negative errno otherwise. name labels the lines; slot counts them (UINT32_MAX:
 * uncounted). config may be NULL (auto). */
int logs_open(struct logs *l, const char *name, uint32_t slot, uint64_t run, enum logs_stream stream,
	const struct config_worker_log *config, struct err *err) MUST_CHECK;
/* The run is over and nothing of it is left: takes what the pipes still hold, to
 * EAGAIN and not to EOF (a stranger may hold the other end), and closes them; at
 * stdout's pace, so perhaps later. */
void logs_ended(struct logs *l, uint64_t run);

/* The last line that the stop command of that run has written and that was not blank, cut to fit a sentence, "" when
 * there is none. Valid until the next call of logs. */
const char *logs_command_said(struct logs *l, const char *name, uint64_t run);

/* As logs_show_recent. */
int logs_recent(const struct logs *l, const struct logs_query *q, void (*each)(void *ctx, const struct logs_line *line),
	void *ctx, struct logs_answer *out) MUST_CHECK;
/* As logs_show_last_words. */
void logs_last_words(const struct logs *l, const char *name, size_t max_bytes, struct buf *out);

#endif
