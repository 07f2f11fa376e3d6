/* lease_postgres owns the way to leases that are rows: one session with the PostgreSQL of `leases.postgres`, which
 * makes its tables, carries out requests one after the other, and listens for hand-overs. */
#ifndef PODVISOR_RUNTIME_LEASE_POSTGRES_H
#define PODVISOR_RUNTIME_LEASE_POSTGRES_H

#include "podvisor/model/plan.h"
#include "podvisor/runtime/context.h"

struct lease_postgres;

int lease_postgres_new(struct lease_postgres **out, const struct context *c, struct err *err) MUST_CHECK;
/* EFFECT_LEASE_ASK, _MEET. */
void lease_postgres_do(struct lease_postgres *l, const struct effect *e);
/* NULL is fine. */
void lease_postgres_free(struct lease_postgres *l);

#endif
