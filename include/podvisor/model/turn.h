/* turn owns what every state machine gets as its surroundings: the time, the
 * dice, the journal to tell in and the plan to ask in. Machines keep none. */
#ifndef PODVISOR_MODEL_TURN_H
#define PODVISOR_MODEL_TURN_H

#include "podvisor/base/clock.h"
#include "podvisor/base/random.h"
#include "podvisor/model/journal.h"
#include "podvisor/model/plan.h"

struct turn {
	ms_t now;
	int64_t wall_ms; /* Unix time of now, for what goes by the clock on the wall; it may leap */
	struct random *random;
	struct journal *journal;
	struct plan *plan;
};

#endif
