/* lease_kubernetes owns the way to leases that are Lease objects of Kubernetes: each request is a PUT of what was read,
 * with its resourceVersion, so that one of those who change an object at once does. A watch tells of hand-overs; who
 * takes part stands in one more object (lease_roll.h). */
#ifndef PODVISOR_RUNTIME_LEASE_KUBERNETES_H
#define PODVISOR_RUNTIME_LEASE_KUBERNETES_H

#include "podvisor/model/plan.h"
#include "podvisor/runtime/context.h"

struct lease_kubernetes;

int lease_kubernetes_new(struct lease_kubernetes **out, const struct context *c, struct err *err) MUST_CHECK;
/* EFFECT_LEASE_ASK, _MEET. */
void lease_kubernetes_do(struct lease_kubernetes *l, const struct effect *e);
/* Aborts what is under way. NULL is fine. */
void lease_kubernetes_free(struct lease_kubernetes *l);

#endif
