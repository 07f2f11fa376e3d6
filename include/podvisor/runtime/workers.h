/* workers owns the runs of the workers: the shim of each, its output, its
 * notify socket. It starts and signals what the plan says and posts what
 * became of it. */
#ifndef PODVISOR_RUNTIME_WORKERS_H
#define PODVISOR_RUNTIME_WORKERS_H

#include <stdbool.h>

#include "podvisor/base/err.h"
#include "podvisor/model/plan.h"
#include "podvisor/runtime/context.h"

struct workers;

int workers_new(struct workers **out, const struct context *c, struct err *err) MUST_CHECK;
/* The EFFECT_WORKER_ family except the checks. */
void workers_do(struct workers *w, const struct effect *e);
/* Passes a signal on to the main process of every interactive worker (run -- COMMAND). False when there is none yet. */
bool workers_forward(struct workers *w, int signal);
/* NULL is fine. Whatever still runs is killed by its shim, which sees the socket close. */
void workers_free(struct workers *w);

#endif
