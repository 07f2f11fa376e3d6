/* announcer owns what podvisor with a configuration says of itself to whoever supervises it (sd_notify): that it is up,
 * that it reads its configuration again, that it stops. */
#ifndef PODVISOR_RUNTIME_ANNOUNCER_H
#define PODVISOR_RUNTIME_ANNOUNCER_H

#include <stdbool.h>

#include "podvisor/io/outer_notify.h"
#include "podvisor/model/world.h"

/* All zero is one that has said nothing yet. */
struct announcer {
	struct outer_notify *to; /* borrowed; NULL: there is nobody */
	bool ready, stopping; /* said */
};

/* After each turn of the world. */
void announcer_turned(struct announcer *a, const struct world *w);
/* Before and after the configuration is read again. */
void announcer_reloading(struct announcer *a);
void announcer_reloaded(struct announcer *a);

#endif
