/* inspections owns the looks at workers that do not answer, before they are ended
 * (EFFECT_WORKER_INSPECT): in the thread pool, the threads' states and stacks into
 * the log, the facts back as EVENT_WORKER_INSPECTED. */
#ifndef PODVISOR_RUNTIME_INSPECTIONS_H
#define PODVISOR_RUNTIME_INSPECTIONS_H

#include "podvisor/base/err.h"
#include "podvisor/io/cgroup.h"
#include "podvisor/runtime/context.h"

struct inspections;

/* cgroup is borrowed and may be NULL. */
int inspections_new(
	struct inspections **out, const struct context *c, const struct cgroup *cgroup, struct err *err) MUST_CHECK;
void inspections_do(struct inspections *i, const struct effect *e);
/* NULL is fine. What is under way ends by itself. */
void inspections_free(struct inspections *i);

#endif
