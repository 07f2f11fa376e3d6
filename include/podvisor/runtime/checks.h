/* checks owns the attempts of the workers' readiness, liveness and startup
 * checks: HTTP, TCP, a command, a file. It makes one attempt when the plan asks
 * for it and posts what came of it; counting and judging are the model's. */
#ifndef PODVISOR_RUNTIME_CHECKS_H
#define PODVISOR_RUNTIME_CHECKS_H

#include <stdbool.h>
#include <stdint.h>

#include "podvisor/base/err.h"
#include "podvisor/model/plan.h"
#include "podvisor/runtime/context.h"

struct checks;

int checks_new(struct checks **out, const struct context *c, struct err *err) MUST_CHECK;
/* EFFECT_WORKER_CHECK {slot, run, value: enum probe}: answered by exactly one
 * EVENT_WORKER_CHECKED, after the check's timeout at the latest, unless the
 * run is forgotten first. An attempt that is under way is not doubled. */
void checks_do(struct checks *c, const struct effect *e);
/* The run has ended: gives up its attempts, without events. */
void checks_forget(struct checks *c, uint32_t slot, uint64_t run);
/* podvisor is about to end: gives up all attempts. True: nothing that they ran is left; else the loop is asked for
 * a turn whenever less is. */
bool checks_end(struct checks *c);
/* Gives up all attempts. NULL is fine. */
void checks_free(struct checks *c);

#endif
