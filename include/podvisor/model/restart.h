/* restart owns the memory of a worker's failures: how long to wait before the
 * next start, and when enough is enough. The first restart is immediate; then
 * the delay grows exponentially with jitter; a run that lasted reset_after
 * forgives everything. */
#ifndef PODVISOR_MODEL_RESTART_H
#define PODVISOR_MODEL_RESTART_H

#include <stdbool.h>

#include "podvisor/base/clock.h"
#include "podvisor/base/random.h"
#include "podvisor/model/config.h"

struct restart {
	int streak; /* failures since the last run that lasted */
	ms_t at[CONFIG_RESTARTS_MAX];
	unsigned n; /* restarts ever; at[] is a ring */
};

void restart_forget(struct restart *r);
/* A run of that length ended and the worker is to be started again: returns the
 * delay in ms before it, or -1 when the limit within the window is reached. */
ms_t restart_after_exit(
	struct restart *r, const struct config_restart *config, ms_t ran, ms_t now, struct random *random);

#endif
