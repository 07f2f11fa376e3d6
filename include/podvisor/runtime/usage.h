/* usage owns the figures of what each worker uses: measured in the thread pool
 * when somebody asks, and at most every few seconds. Nothing is measured while
 * nobody looks, no worker has a memory limit and the memory guard has none to
 * restart. */
#ifndef PODVISOR_RUNTIME_USAGE_H
#define PODVISOR_RUNTIME_USAGE_H

#include "podvisor/base/err.h"
#include "podvisor/runtime/context.h"

#define USAGE_MAX_AGE_MS 5000

struct usage;

/* context->meters->usage is allocated and kept here. */
int usage_new(struct usage **out, const struct context *c, struct err *err) MUST_CHECK;
/* Somebody is looking: begins to measure, unless the figures are younger than
 * USAGE_MAX_AGE_MS or it is under way. The figures stand there a moment later.
 */
void usage_ask(struct usage *u);
/* EFFECT_WORKER_MEASURE: measures anew whatever the figures' age, and answers every
 * worker that has a memory limit with EVENT_WORKER_MEASURED. EFFECT_MEMORY_WEIGH: answers every worker that runs, and
 * then with EVENT_MEMORY_WEIGHED. */
void usage_do(struct usage *u, const struct effect *e);
/* After each turn of the world: adds up what runs used that have ended. */
void usage_turned(struct usage *u);
/* NULL is fine. */
void usage_free(struct usage *u);

#endif
