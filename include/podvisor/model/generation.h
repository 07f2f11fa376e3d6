/* generation owns the life of one Chrome in its own directory: launched, proven on
 * every rung of the ladder, serving, and ended without a trace. When it is replaced,
 * and by what, is the browser's (model/browser.h). SPEC 4.
 *
 *   none ──launch──► starting ──every rung once──► ready ──another serves──► draining
 *    ▲                  │ late, crashed              │ hung, crashed, not wanted │ empty, over, hung, crashed
 *    │                  └────────────────────────────┼───────────────────────────┘
 *    └──CLEANED── cleaning ◄──GONE── stopping ◄──────┘
 *                    ▲──────────UNSTARTABLE
 */
#ifndef PODVISOR_MODEL_GENERATION_H
#define PODVISOR_MODEL_GENERATION_H

#include <stdbool.h>
#include <stdint.h>

#include "podvisor/model/config.h"
#include "podvisor/model/event.h"
#include "podvisor/model/recycle.h"
#include "podvisor/model/turn.h"

#define GENERATION_STATES(X)               \
	X(GENERATION_NONE, "none")         \
	X(GENERATION_STARTING, "starting") \
	X(GENERATION_READY, "ready")       \
	X(GENERATION_DRAINING, "draining") \
	X(GENERATION_STOPPING, "stopping") \
	X(GENERATION_CLEANING, "cleaning")

enum generation_state {
#define GENERATION_ENUM(id, name) id,
	GENERATION_STATES(GENERATION_ENUM)
#undef GENERATION_ENUM
		GENERATION_STATE_COUNT
};
const char *generation_state_name(enum generation_state state);

/* Flag beside the rung in the value of EFFECT_BROWSER_PROBE: throw the scratch page away first. */
#define BROWSER_PROBE_FRESH 16

/* Limits of the stop ladder: Browser.close, SIGTERM, SIGKILL (asked for again until the last process is gone). */
#define BROWSER_CLOSE_MS 3000
#define BROWSER_TERM_MS  2000
#define BROWSER_KILL_MS  5000

enum browser_stop_step { BROWSER_STOP_CLOSE, BROWSER_STOP_TERM, BROWSER_STOP_KILL };

struct generation_rung {
	ms_t due;
	bool in_flight;
	int misses;
	bool proven; /* answered at least once */
};

struct generation {
	const struct config_browser *config; /* what it was started with ... */
	struct config *source; /* ... held; NULL when there is none */
	uint32_t slot;
	enum generation_state state;
	ms_t since;
	char reason[160];
	uint64_t number, run; /* 0: there is none */
	int pid, port;
	ms_t started_at, ready_at, deadline;
	bool green; /* it was launched beside one that serves */
	bool replaced; /* its end was decided in order, because it is old, or worn */
	bool yields; /* and the next one starts when it is gone, not before */
	bool served, retired; /* new sessions have been sent to it, and sent away again */
	int stop_step; /* enum browser_stop_step */
	bool step_asked; /* the effect of this step, or of cleaning, is under way */
	bool failed; /* it ends by a fault: the next one may have to wait */
	bool hopeless; /* it cannot be started as configured */
	enum browser_recycle cause; /* of its end by a fault */
	ms_t stopping_since, ran; /* ran: how long it was ready when its end began */
	char trouble[160]; /* what the last probe that failed said */
	struct generation_rung rungs[RUNG_COUNT];
	struct recycle_facts facts;
};

bool generation_is_live(const struct generation *g); /* starting or ready */
bool generation_is_serving(const struct generation *g); /* ready */

/* g is none. Plans the launch. */
void generation_launch(struct generation *g, struct config *source, const struct config_browser *config, uint32_t slot,
	uint64_t number, uint64_t run, struct turn *t);
/* Something is wrong with it: it is killed, for its profile is thrown away anyway. */
void generation_fault(struct generation *g, enum browser_recycle cause, struct turn *t, const char *fmt, ...)
	PRINTF_LIKE(4, 5);
/* Somebody wants it down, or another one in its place: it ends in order. */
void generation_dismiss(struct generation *g, struct turn *t, const char *why);
/* It is ready; from now on it gets no new sessions and ends when those it has are over, at the latest after limit. */
void generation_drain(struct generation *g, ms_t limit, struct turn *t, const char *why);
/* A stop that is under way goes straight to SIGKILL. */
void generation_hurry(struct generation *g, struct turn *t);

/* Folds in a fact of its run. After CLEANED it is none, with its config released. */
void generation_apply(struct generation *g, const struct event *e, struct turn *t);
void generation_plan(struct generation *g, struct turn *t);
void generation_fini(struct generation *g);

#endif
