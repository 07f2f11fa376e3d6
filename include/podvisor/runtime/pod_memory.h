/* pod_memory owns the measuring of the pod's cgroup: for the memory guard in
 * libuv's pool (reading memory.stat may make the kernel add up its counters), and
 * at once for who looks. */
#ifndef PODVISOR_RUNTIME_POD_MEMORY_H
#define PODVISOR_RUNTIME_POD_MEMORY_H

#include "podvisor/base/err.h"
#include "podvisor/io/cgroup.h"
#include "podvisor/model/plan.h"
#include "podvisor/runtime/context.h"

struct pod_memory;

/* cgroup NULL: there is none; everything is unknown then. */
int pod_memory_new(
	struct pod_memory **out, const struct context *c, const struct cgroup *cgroup, struct err *err) MUST_CHECK;
/* EFFECT_MEMORY_MEASURE → EVENT_MEMORY_MEASURED. */
void pod_memory_do(struct pod_memory *m, const struct effect *e);
/* context->meters->memory is what it is now. */
void pod_memory_look(const struct pod_memory *m);
/* NULL is fine. */
void pod_memory_free(struct pod_memory *m);

#endif
