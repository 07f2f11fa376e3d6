/* remains owns the sentences about what has not ended although its time is over. */
#ifndef PODVISOR_MODEL_REMAINS_H
#define PODVISOR_MODEL_REMAINS_H

#include "podvisor/base/buf.h"
#include "podvisor/model/world.h"

/* Everything that is still there: "worker api (stopping), volume tmp (ready)". */
void remains_list(const struct world *w, struct buf *out);
/* Who has used up the time, those first who still stop: "worker api (stopping for 54s, its stop.timeout is 2m); worker
 * db had to wait". state: where the drain stood, which may itself be what took so long. */
void remains_blame(const struct world *w, enum drain_state state, ms_t now, struct buf *out);

#endif
