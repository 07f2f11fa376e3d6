/* progress_queries owns the asking of progress.sql (EFFECT_WORKER_PROGRESS): one
 * session a database, opened when the first worker asks, one query at a time, read
 * only and with the database's timeout. The number comes back as
 * EVENT_WORKER_PROGRESSED. */
#ifndef PODVISOR_RUNTIME_PROGRESS_QUERIES_H
#define PODVISOR_RUNTIME_PROGRESS_QUERIES_H

#include "podvisor/base/err.h"
#include "podvisor/runtime/context.h"

struct progress_queries;

int progress_queries_new(struct progress_queries **out, const struct context *c, struct err *err) MUST_CHECK;
void progress_queries_do(struct progress_queries *q, const struct effect *e);
/* Closes the session of a database, which is closing: whoever waits is told. */
void progress_queries_close(struct progress_queries *q, uint32_t database);
/* NULL is fine. */
void progress_queries_free(struct progress_queries *q);

#endif
