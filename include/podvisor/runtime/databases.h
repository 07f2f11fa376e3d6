/* databases owns the sessions of the watch over PostgreSQL: for each database one
 * that is kept, whose end is noticed at once, and now and then a canary, a fresh
 * connection that asks the same and is closed. What the answers mean is the model's. */
#ifndef PODVISOR_RUNTIME_DATABASES_H
#define PODVISOR_RUNTIME_DATABASES_H

#include "podvisor/base/err.h"
#include "podvisor/model/plan.h"
#include "podvisor/runtime/context.h"

struct databases;

int databases_new(struct databases **out, const struct context *c, struct err *err) MUST_CHECK;
/* POSTGRES_CHECK {slot, run}: on the kept session of that run, which is connected first when there is
 * none → EVENT_POSTGRES_ANSWERED, or _FAILED after which there is no session.
 * POSTGRES_CANARY {slot, run}: the same on a fresh connection, marked canary.
 * POSTGRES_CLOSE {slot}: ends both, without answers → EVENT_POSTGRES_CLOSED.
 * Unasked, when the idle kept session ends: EVENT_POSTGRES_LOST. */
void databases_do(struct databases *d, const struct effect *e);
/* Ends every session. NULL is fine. */
void databases_free(struct databases *d);

#endif
