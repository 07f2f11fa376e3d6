/* leases owns the way to where leases are kept, `leases.backend`: rows in PostgreSQL or objects in Kubernetes. What is
 * asked, when, and what an answer means is the model's (model/lease.h); a request that is over its time is dropped
 * unsent. */
#ifndef PODVISOR_RUNTIME_LEASES_H
#define PODVISOR_RUNTIME_LEASES_H

#include "podvisor/model/plan.h"
#include "podvisor/runtime/context.h"

struct leases;

int leases_new(struct leases **out, const struct context *c, struct err *err) MUST_CHECK;
/* EFFECT_LEASE_ASK, _MEET. */
void leases_do(struct leases *l, const struct effect *e);
void leases_free(struct leases *l);

#endif
