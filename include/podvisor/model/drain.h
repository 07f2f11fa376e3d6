/* drain owns the phases of a pod's end, one budget for all (SPEC 8):
 *
 *   serving ──asked──► lame-duck ──lame_duck over──► draining ──gateway empty──► stopping ──all down──► done
 *      ▲                   │  (a second SIGTERM skips what remains)   or its share of the budget over
 *      └──────undrain──────┘  (only a drain asked through the API can be taken back)
 *
 * When connections are still open as it begins to stop, they are told at once, and their answers have close_timeout
 * beside the stopping of the workers. */
#ifndef PODVISOR_MODEL_DRAIN_H
#define PODVISOR_MODEL_DRAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "podvisor/model/config.h"
#include "podvisor/model/event.h"
#include "podvisor/model/turn.h"

#define DRAIN_STATES(X)                 \
	X(DRAIN_SERVING, "serving")     \
	X(DRAIN_LAME_DUCK, "lame-duck") \
	X(DRAIN_DRAINING, "draining")   \
	X(DRAIN_STOPPING, "stopping")   \
	X(DRAIN_DONE, "done")

enum drain_state {
#define DRAIN_ENUM(id, name) id,
	DRAIN_STATES(DRAIN_ENUM)
#undef DRAIN_ENUM
		DRAIN_STATE_COUNT
};
const char *drain_state_name(enum drain_state state);

struct drain {
	enum drain_state state;
	ms_t since;
	bool asked; /* a drain was asked for */
	bool shutdown; /* and podvisor is to end after it */
	int signals; /* SIGTERMs and SIGINTs so far; three when it is overdue */
	bool overdue; /* shutdown.deadline is nearly over */
	bool by_api; /* begun without a signal: /readyz says 503 at once */
	ms_t began_at; /* 0: not yet */
	ms_t deadline; /* of everything; CLOCK_NEVER without shutdown */
	ms_t phase_until; /* of this state */
	bool gateway_listening, gateway_empty;
	bool gateway_closed; /* in the end, so that its summary is here */
	bool goodbyes; /* while stopping: connections were still open, and have until phase_until */
	bool listen_asked, drain_asked; /* effects under way: answered by an event */
	int listen_failures; /* in a row */
	ms_t listen_again_at; /* after a failure */
	bool hurried; /* a second signal came, or the budget is over: nothing is waited for any more */
	char why[240]; /* what began it, and what made it faster: "SIGTERM; then a second signal" */
	char summary[160]; /* how the connections ended: the gateway's words, "" before */
};

/* Before the deadline: what is still up is killed then, so that the end is in time. */
#define DRAIN_KILL_MARGIN_MS 1000
/* How long a drain takes that nothing shortens. */
ms_t drain_needed(const struct config_gateway *gateway);
/* What of shutdown.deadline is left for it beside shutdown.stop_share, which gets no more than half. */
ms_t drain_share(const struct config *config);

void drain_init(struct drain *d, ms_t now);
void drain_apply(struct drain *d, const struct event *e, struct turn *t);
/* Moves through the phases and asks the gateway for its part; also for its listening, again after a failure.
 * One second before the deadline it counts a third signal, so that everything is killed. busy: workers or
 * browsers are still up. */
void drain_plan(struct drain *d, const struct config *config, bool busy, struct turn *t);

/* Why everything that still runs is killed at once, or NULL: it is not. */
const char *drain_haste(const struct drain *d);
/* How a pod that was told to end has ended, for its last words. */
const char *drain_ending(const struct drain *d);

#endif
