/* memory_guard owns when something has to give way because the memory limit that
 * the whole pod shares is near, and how much of it is in use. What gives way is
 * chosen and asked by model/relief.
 *
 *   blind ──a limit is known──► calm ◄──────below the margin──────┐
 *     ▲                          │                                │
 *     └──no limit any more───────┴──above high──► high ──step──► acting
 *                                                  ▲               │
 *                                                  └──has settled──┘
 *
 * One step at a time: the next one only when the last has settled and a measurement
 * after that is still above `high`; none below `high`, whatever the state. What was
 * done to a thing is not done to it again for a while. */
#ifndef PODVISOR_MODEL_MEMORY_GUARD_H
#define PODVISOR_MODEL_MEMORY_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "podvisor/model/config.h"
#include "podvisor/model/event.h"
#include "podvisor/model/turn.h"

#define MEMORY_GUARD_STATES(X)         \
	X(MEMORY_GUARD_BLIND, "blind") \
	X(MEMORY_GUARD_CALM, "calm")   \
	X(MEMORY_GUARD_HIGH, "high")   \
	X(MEMORY_GUARD_ACTING, "acting")

enum memory_guard_state {
#define MEMORY_GUARD_ENUM(id, name) id,
	MEMORY_GUARD_STATES(MEMORY_GUARD_ENUM)
#undef MEMORY_GUARD_ENUM
		MEMORY_GUARD_STATE_COUNT
};
const char *memory_guard_state_name(enum memory_guard_state state);

/* In the order in which they are tried. */
#define MEMORY_ACTIONS(X)            \
	X(MEMORY_PURGE, "purge")     \
	X(MEMORY_RECYCLE, "recycle") \
	X(MEMORY_RESTART, "restart")

enum memory_action {
#define MEMORY_ACTION_ENUM(id, name) id,
	MEMORY_ACTIONS(MEMORY_ACTION_ENUM)
#undef MEMORY_ACTION_ENUM
		MEMORY_ACTION_COUNT
};
const char *memory_action_name(enum memory_action action);

/* Between measurements: far from `high`, nearer, near. */
#define MEMORY_FAR_MS  5000
#define MEMORY_NEAR_MS 2000
#define MEMORY_HIGH_MS 500
/* Without a limit, and an answer that does not come. */
#define MEMORY_BLIND_MS 30000
#define MEMORY_LOST_MS  10000
/* The workers' own use. */
#define MEMORY_WEIGH_CALM_MS 30000
#define MEMORY_WEIGH_HIGH_MS 3000
/* A step that has not settled by then is not waited for any longer. */
#define MEMORY_SETTLE_MS 60000
/* The state is calm again so far below `high`, in percent of the limit. */
#define MEMORY_MARGIN_PERCENT 5
/* So long nothing is done again to the same thing, by action. */
#define MEMORY_PURGE_AGAIN_MS   60000
#define MEMORY_RECYCLE_AGAIN_MS ((ms_t)5 * 60000)
#define MEMORY_RESTART_AGAIN_MS ((ms_t)5 * 60000)

#define MEMORY_STEPS_MAX 64

struct memory_step {
	enum memory_action action;
	uint32_t slot;
	ms_t at;
};

/* Something that could give way. */
struct memory_option {
	enum memory_action action;
	uint32_t slot;
	int64_t weight_bytes; /* how much it is thought to bring: the heaviest first */
};

struct memory_guard {
	enum memory_guard_state state;
	ms_t since;
	bool asked; /* a measurement is under way */
	ms_t due; /* of the next one, or when the answer is given up */
	ms_t weigh_asked, weighed_at; /* the workers; 0: never */

	struct event_memory memory; /* as last measured */
	int above; /* so many measurements in a row above high, since the last step settled */
	bool helpless; /* told that nothing is left to do */

	struct memory_step last; /* at 0: none yet */
	struct memory_step steps[MEMORY_STEPS_MAX]; /* a ring */
	uint64_t n_steps;
	uint64_t actions[MEMORY_ACTION_COUNT]; /* ever */
	char text[160]; /* the last step, in words */
};

void memory_guard_init(struct memory_guard *g, ms_t now);
/* EVENT_MEMORY_MEASURED and EVENT_MEMORY_WEIGHED. */
void memory_guard_apply(struct memory_guard *g, const struct config_memory *c, const struct event *e, struct turn *t);
/* Asks for what has to be measured now. wants_weights: some worker may have to give way. eager: one has not been
 * weighed yet since it is ready. */
void memory_guard_measure(
	struct memory_guard *g, const struct config_memory *c, bool wants_weights, bool eager, struct turn *t);
/* The thing of the last step does what it was asked for no more. */
void memory_guard_settle(struct memory_guard *g, bool settled, struct turn *t);
/* A step is to be taken now, if there is one. */
bool memory_guard_wants(const struct memory_guard *g, const struct config_memory *c);
/* Whether it may be this thing, which had its turn too lately otherwise. */
bool memory_guard_may(const struct memory_guard *g, enum memory_action action, uint32_t slot, ms_t now);
/* The better one of two; best may be NULL. */
const struct memory_option *memory_guard_prefer(const struct memory_option *best, const struct memory_option *other);
/* The step is taken; name is the thing's. */
void memory_guard_act(struct memory_guard *g, const struct config_memory *c, const struct memory_option *o,
	const char *name, struct turn *t);
/* There is none. */
void memory_guard_give_up(struct memory_guard *g, const struct config_memory *c, struct turn *t);

/* Use above which it acts, in bytes; -1: there is no limit. */
int64_t memory_guard_high_bytes(const struct memory_guard *g, const struct config_memory *c);
/* What has to become free so that use is below the margin. */
int64_t memory_guard_excess_bytes(const struct memory_guard *g, const struct config_memory *c);

#endif
