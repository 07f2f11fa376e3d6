/* volume owns what podvisor knows of one RAM disk: prepared or refused, how
 * full it is, and what is to be done when it is full.
 *
 *   pending ──prepared──► ready ──not wanted──► released
 *      ├──────refused──► refused                   ▲
 *      └──────not wanted───────────────────────────┘
 *
 * A refusal is final: the pod does not start with a RAM disk that is none.
 * Above `high` (bytes or inodes, whatever is more) it is purged until it is below
 * `low`; when it is above `high` after that, others have to make room: on_full. */
#ifndef PODVISOR_MODEL_VOLUME_H
#define PODVISOR_MODEL_VOLUME_H

#include <stdbool.h>
#include <stdint.h>

#include "podvisor/model/config.h"
#include "podvisor/model/event.h"
#include "podvisor/model/turn.h"

#define VOLUME_STATES(X)             \
	X(VOLUME_PENDING, "pending") \
	X(VOLUME_READY, "ready")     \
	X(VOLUME_REFUSED, "refused") \
	X(VOLUME_RELEASED, "released")

enum volume_state {
#define VOLUME_ENUM(id, name) id,
	VOLUME_STATES(VOLUME_ENUM)
#undef VOLUME_ENUM
		VOLUME_STATE_COUNT
};
const char *volume_state_name(enum volume_state state);

/* A purge that did not get it below `low` is tried again after so long: files come of age, and are closed. */
#define VOLUME_PURGE_PAUSE_MS 30000
/* Those in on_full are not restarted again earlier; doubled each time, as long as it does not help. */
#define VOLUME_FULL_PAUSE_MS     ((ms_t)10 * 60000)
#define VOLUME_FULL_PAUSE_MAX_MS ((ms_t)4 * 3600000)

/* One purge, all its slices together. */
struct volume_purge {
	ms_t at; /* its end; 0: there was none yet */
	int64_t bytes; /* that became free */
	int64_t files, directories; /* deleted */
	int open, young, failed, unseen; /* see struct event_purge */
};

struct volume {
	const struct config_volume *config;
	uint32_t slot;
	enum volume_state state;
	ms_t since;
	char text[160];
	bool asked; /* an effect is under way */
	bool cancelled; /* and was asked to end early */
	ms_t measure_due;
	bool above_high; /* told once, until it is below low */
	bool is_tmpfs, mounted_by_us;
	int64_t used_bytes, size_bytes, used_inodes, size_inodes;

	bool purging;
	int64_t relief_bytes; /* the purge is to free so much; 0: until below low */
	ms_t purge_due; /* no purge for its own sake earlier */
	struct volume_purge purge, last_purge; /* under way; the one before */
	char purge_text[256]; /* how the last one ended */
	int64_t purged_bytes, purged_files; /* ever */

	bool full; /* purging was not enough: on_full is to be restarted now */
	ms_t full_due, full_pause; /* not again earlier */
	uint64_t fulls; /* ever */
};

void volume_init(struct volume *v, const struct config_volume *config, uint32_t slot, ms_t now);
void volume_apply(struct volume *v, const struct event *e, struct turn *t);
/* wanted false: release it (unmount what podvisor mounted). */
void volume_plan(struct volume *v, bool wanted, struct turn *t);
/* Whether a purge for the pod's sake can begin. */
bool volume_can_relieve(const struct volume *v);
/* Begins one that is to free so many bytes. */
void volume_relieve(struct volume *v, int64_t bytes);
/* Nothing of it is mounted by podvisor, nor about to be. */
bool volume_is_closed(const struct volume *v);
/* Use in percent of what is allowed: of the bytes, and of bytes or inodes, whatever is more. */
int volume_used_percent(const struct volume *v);
int volume_fill_percent(const struct volume *v);

#endif
