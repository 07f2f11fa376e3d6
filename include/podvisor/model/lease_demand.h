/* lease_demand owns what the workers need of the leases, and what the leases allow the workers. */
#ifndef PODVISOR_MODEL_LEASE_DEMAND_H
#define PODVISOR_MODEL_LEASE_DEMAND_H

#include "podvisor/model/worker_plan.h"
#include "podvisor/model/world.h"

/* Tells the book what is needed this turn, and asks for what is due. */
void lease_demand_plan(struct world *w, struct turn *t);
/* Of the lease that an instance runs under; config has one. Into out, of LEASE_NAME_MAX. */
const char *lease_demand_name_of(const struct config_worker *config, int instance, char *out);
/* What its lease, if it has one, says to a worker this turn. */
void lease_demand_rule(const struct world *w, const struct worker *worker, ms_t now, struct worker_gate *gate);

#endif
