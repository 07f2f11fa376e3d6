/* browser owns what is wanted of one headless Chrome: that a generation of it serves,
 * that the next one takes over before a worn one goes (blue/green), and that a hung
 * or dead one is followed at once (SPEC 4). The life of each generation is
 * model/generation.h's; what wears one out is model/recycle.h's, when and
 * how it is replaced then, model/swap.h's.
 *
 * It has two places for generations: one serves or is to serve, the other holds the
 * one that starts beside it (green) or that drains and ends (blue). Its own state is
 * that of the generation that matters most; with none of them it is
 *
 *   waiting (may not run yet) ◄──► backoff      stopped (not wanted)      failed (cannot be started)
 *
 * No launch while another generation ends, or without room for two beside one that
 * drains. Wanted is a field, not an event. */
#ifndef PODVISOR_MODEL_BROWSER_H
#define PODVISOR_MODEL_BROWSER_H

#include <stdbool.h>
#include <stdint.h>

#include "podvisor/base/histogram.h"
#include "podvisor/model/config.h"
#include "podvisor/model/event.h"
#include "podvisor/model/generation.h"
#include "podvisor/model/recycle.h"
#include "podvisor/model/restart.h"
#include "podvisor/model/swap.h"
#include "podvisor/model/turn.h"

#define BROWSER_STATES(X)               \
	X(BROWSER_WAITING, "waiting")   \
	X(BROWSER_STARTING, "starting") \
	X(BROWSER_READY, "ready")       \
	X(BROWSER_DRAINING, "draining") \
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

#define BROWSER_GENERATIONS 2
struct browser {
	const struct config_browser *config;
	struct config *source; /* held */
	uint32_t slot;
	enum browser_state state;
	ms_t since;
	char reason[160];
	bool wanted, again;
	struct generation generations[BROWSER_GENERATIONS];
	uint64_t generation; /* counts launches */
	uint64_t last_run; /* the newest that has ended; 0: none */
	ms_t not_before;
	struct restart restart;
	struct swap swap;
	struct recycle_room room;
	ms_t alone_since; /* one generation is ready and none beside it; CLOCK_NEVER: not so */
	enum browser_recycle cause; /* of the newest end by a fault */
	uint64_t recycles[RECYCLE_COUNT], tidied[TIDIED_COUNT];
	uint64_t comebacks; /* runs that were ready, ended and are followed by another: takes its group along */
	bool owes_comeback; /* its last run ended for good, and still counts if another follows */
	int leftovers; /* processes that the newest end has left, whatever was done; has to be 0 */
	bool ever_ready;
	struct histogram check_seconds[RUNG_COUNT], kill_seconds;
};

/* What is around it in this turn. */
struct browser_gate {
	bool may_run; /* its volume is ready and the pod is not stopping */
	const char *why; /* it may not */
	int disk_percent; /* of its volume; -1: unknown */
	int64_t disk_free_bytes; /* -1: unknown */
};

void browser_init(
	struct browser *b, struct config *source, const struct config_browser *config, uint32_t slot, ms_t now);
void browser_fini(struct browser *b);
void browser_reconfigure(struct browser *b, struct config *source, const struct config_browser *config, struct turn *t);
void browser_apply(struct browser *b, const struct event *e, struct turn *t);
void browser_plan(struct browser *b, const struct browser_gate *gate, uint64_t *next_run, struct turn *t);
/* Replace the one that serves, for RECYCLE_PRESSURE or RECYCLE_FULL: without overlap and with a short drain, for what
 * is short would become shorter; for another reason as that of wear. Carried out by the next plans. False when none
 * serves, or one is being replaced already. */
bool browser_ask_recycle(struct browser *b, enum browser_recycle reason);
/* A stop that is under way goes straight to SIGKILL: a third signal asked for it. */
void browser_hurry(struct browser *b, struct turn *t);
bool browser_is_available(const struct browser *b);
bool browser_is_up(const struct browser *b); /* something of a generation is left */
/* The generation that its state is drawn from; one with run 0 when there is none. */
const struct generation *browser_lead(const struct browser *b);
/* The one that is not the lead, when there is one; else NULL. */
const struct generation *browser_other(const struct browser *b);

#endif
