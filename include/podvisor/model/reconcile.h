/* reconcile owns the comparison of what is wanted with what is: once a turn it
 * asks every machine of the world for its next steps and returns them as a plan. */
#ifndef PODVISOR_MODEL_RECONCILE_H
#define PODVISOR_MODEL_RECONCILE_H

#include "podvisor/model/plan.h"
#include "podvisor/model/world.h"

/* Fills p (cleared first) with effects and the time to look again. The same turn
 * reconciled twice gives no effect the second time. wall_ms: the Unix time of now,
 * which may leap; only schedules go by it. */
void reconcile(struct world *w, ms_t now, int64_t wall_ms, struct plan *p);
/* Of a shutdown: when podvisor ends at the latest, whatever hangs. */
ms_t reconcile_last_resort(const struct world *w);

#endif
