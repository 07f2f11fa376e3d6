/* browser owns the life of one headless Chrome: launched, proven, watched on
 * the rungs of its ladder, and, when it is hung or gone, ended without a trace
 * before the next generation starts (SPEC 4).
 *
 *   stopped ──wanted──► waiting ──may run──► starting ──every rung once──► ready
 *      ▲                ▲     ▲                 │                            │
 *      │          at once│     └──backoff       │ late, crashed              │ hung, crashed,
 *      │                │            ▲          ▼                            ▼ asked
 *      └──not wanted── cleaning ◄──last process gone── stopping ◄────────────┘
 *                          └──► failed (cannot be started as configured)
 *
 * No launch before the last process (GONE) and the directory (CLEANED) of the
 * generation before are gone. Wanted is a field, not an event. */
#ifndef PODVISOR_MODEL_BROWSER_H
#define PODVISOR_MODEL_BROWSER_H

#include <stdbool.h>
#include <stdint.h>

#include "podvisor/base/histogram.h"
#include "podvisor/model/config.h"
#include "podvisor/model/event.h"
#include "podvisor/model/restart.h"
#include "podvisor/model/turn.h"

#define BROWSER_STATES(X)               \
	X(BROWSER_WAITING, "waiting")   \
	X(BROWSER_STARTING, "starting") \
	X(BROWSER_READY, "ready")       \
	X(BROWSER_STOPPING, "stopping") \
	X(BROWSER_CLEANING, "cleaning") \
	X(BROWSER_BACKOFF, "backoff")   \
	X(BROWSER_STOPPED, "stopped")   \
	X(BROWSER_FAILED, "failed")

enum browser_state {
#define BROWSER_ENUM(id, name) id,
	BROWSER_STATES(BROWSER_ENUM)
#undef BROWSER_ENUM
		BROWSER_STATE_COUNT
};
const char *browser_state_name(enum browser_state state);

/* Flag beside the rung in the value of EFFECT_BROWSER_PROBE: throw the scratch page away first. */
#define BROWSER_PROBE_FRESH 16

/* Limits of the stop ladder: Browser.close, SIGTERM, SIGKILL (asked for again until the last process is gone). */
#define BROWSER_CLOSE_MS 3000
#define BROWSER_TERM_MS  2000
#define BROWSER_KILL_MS  5000

enum browser_stop_step { BROWSER_STOP_CLOSE, BROWSER_STOP_TERM, BROWSER_STOP_KILL };

enum browser_recycle {
	RECYCLE_CRASHED,
	RECYCLE_HUNG, /* rung browser */
	RECYCLE_RENDERER, /* rung renderer */
	RECYCLE_NETWORK, /* rung network */
	RECYCLE_START, /* never got ready */
	RECYCLE_COMMAND,
	RECYCLE_RELOAD,
	RECYCLE_COUNT
};
const char *browser_recycle_name(enum browser_recycle reason);

struct browser_rung {
	ms_t due;
	bool in_flight;
	int misses;
	bool proven; /* answered at least once in this generation */
	struct histogram seconds;
};

struct browser {
	const struct config_browser *config;
	struct config *source; /* held */
	uint32_t slot;
	enum browser_state state;
	ms_t since;
	char reason[160];
	bool wanted, again;
	uint64_t run; /* 0: no process */
	uint64_t generation; /* counts launches */
	int pid, port;
	bool main_ended;
	ms_t started_at, ready_at, deadline, not_before;
	int stop_step; /* enum browser_stop_step */
	bool served; /* new sessions have been sent to it */
	bool step_asked; /* the effect of this step, or of cleaning, is under way */
	uint64_t last_run; /* the newest that has ended; 0: none */
	bool punish; /* the run ended by a fault: its successor may have to wait */
	bool hopeless; /* it cannot be started as configured */
	ms_t stopping_since, ran; /* ran: how long the run that ends was ready */
	char trouble[160]; /* what the last probe that failed said */
	struct browser_rung rungs[RUNG_COUNT];
	struct restart restart;
	enum browser_recycle cause;
	uint64_t recycles[RECYCLE_COUNT];
	uint64_t comebacks; /* runs that were ready, ended and are followed by another: takes its group along */
	bool owes_comeback; /* its last run ended for good, and still counts if another follows */
	uint64_t leftovers; /* processes that had to be killed after the browser was gone, ever */
	bool ever_ready;
	struct histogram kill_seconds;
};

void browser_init(
	struct browser *b, struct config *source, const struct config_browser *config, uint32_t slot, ms_t now);
void browser_fini(struct browser *b);
void browser_reconfigure(struct browser *b, struct config *source, const struct config_browser *config, struct turn *t);
void browser_apply(struct browser *b, const struct event *e, struct turn *t);
/* may_run: its volume is ready and the pod is not stopping. */
void browser_plan(struct browser *b, bool may_run, const char *why, uint64_t *next_run, struct turn *t);
/* A stop that is under way goes straight to SIGKILL: a third signal asked for it. */
void browser_hurry(struct browser *b, struct turn *t);
bool browser_is_available(const struct browser *b);
bool browser_is_up(const struct browser *b);

#endif
