/* world owns everything podvisor knows: what is wanted (the configuration and
 * what people asked), and what is (folded from events). It is the one consumer
 * of events. What follows from it is reconcile's; changing its configuration is
 * reload's. */
#ifndef PODVISOR_MODEL_WORLD_H
#define PODVISOR_MODEL_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "podvisor/base/random.h"
#include "podvisor/model/browser.h"
#include "podvisor/model/config.h"
#include "podvisor/model/database.h"
#include "podvisor/model/drain.h"
#include "podvisor/model/event.h"
#include "podvisor/model/journal.h"
#include "podvisor/model/lease_book.h"
#include "podvisor/model/memory_guard.h"
#include "podvisor/model/plan.h"
#include "podvisor/model/volume.h"
#include "podvisor/model/worker.h"

struct world {
	struct config *config; /* held */
	struct random random;
	int64_t wall_ahead_ms; /* of the wall clock before the monotonic one, as of the last turn */
	uint64_t next_run; /* run numbers are never used twice */
	struct worker *workers;
	size_t n_workers, cap_workers; /* a slot stays a worker's until it is removed and down */
	struct volume *volumes;
	size_t n_volumes;
	struct database *databases;
	size_t n_databases;
	struct browser *browsers;
	size_t n_browsers;
	struct lease_book leases;
	struct drain drain;
	struct memory_guard guard;
	bool all_ready_once; /* everything critical has been ready one time: /startupz */
	ms_t *lost_at, *back_at; /* by database: when it went away, when it came back; 0: never */
	bool exiting; /* EFFECT_EXIT was planned */
	bool left_behind; /* and something had not ended by then: podvisor waits for nothing any more */
	int exit_code;
	char death[512]; /* the cause of the pod's end, for the termination log; "" when ordered from outside */
	char held_up[300]; /* who used up shutdown.deadline, for the termination log; "": it was enough */
	uint32_t death_slot; /* the worker that caused it; UINT32_MAX: none did */
	struct journal journal;
};

/* A world that wants what config says. Holds the config. NULL: out of memory. */
struct world *world_new(struct config *config, uint64_t seed, ms_t now);
void world_free(struct world *w);

/* Folds one fact in. Facts of older runs and of unknown slots are ignored. */
void world_apply(struct world *w, const struct event *e, ms_t now);
/* Room for so many more, which then are added without fail. -ENOMEM. */
int world_reserve_workers(struct world *w, size_t more) MUST_CHECK;
/* Another instance of a worker, in a slot of its own. NULL: out of memory. */
struct worker *world_add_worker(
	struct world *w, struct config *config, const struct config_worker *worker, int instance, ms_t now);

/* Slot of a worker (or of all instances of a name: first of them) or browser; -1 when there is none. */
int world_find_worker(const struct world *w, const char *name);
int world_find_browser(const struct world *w, const char *name);
/* The thing that ref names in config (of which the world runs a part, be it the
 * current or an older one) is there; why (may be NULL) receives the reason when
 * it is not. */
bool world_is_available(
	const struct world *w, const struct config *config, struct config_ref ref, char *why, size_t size);

#endif
