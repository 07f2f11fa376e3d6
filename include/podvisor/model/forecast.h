/* forecast owns what can be said of the drain's end before it has come. Pure. */
#ifndef PODVISOR_MODEL_FORECAST_H
#define PODVISOR_MODEL_FORECAST_H

#include "podvisor/model/snapshot.h"

/* When the gateway will be empty, as it looks now; CLOCK_NEVER: nothing is being drained. */
ms_t forecast_drained_at(const struct snapshot *s);

#endif
