/* volume owns what podvisor knows of one RAM disk: prepared or refused, and how
 * full it is.
 *
 *   pending ──prepared──► ready ──not wanted──► released
 *      ├──────refused──► refused                   ▲
 *      └──────not wanted───────────────────────────┘
 *
 * A refusal is final: the pod does not start with a RAM disk that is none. */
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

struct volume {
	const struct config_volume *config;
	uint32_t slot;
	enum volume_state state;
	ms_t since;
	char text[160];
	bool asked; /* an effect is under way */
	ms_t measure_due;
	bool above_high; /* told once, until it is below low */
	bool is_tmpfs, mounted_by_us;
	int64_t used_bytes, size_bytes, used_inodes, size_inodes;
};

void volume_init(struct volume *v, const struct config_volume *config, uint32_t slot, ms_t now);
void volume_apply(struct volume *v, const struct event *e, struct turn *t);
/* wanted false: release it (unmount what podvisor mounted). */
void volume_plan(struct volume *v, bool wanted, struct turn *t);
/* Nothing of it is mounted by podvisor, nor about to be. */
bool volume_is_closed(const struct volume *v);
/* Use in percent of what is allowed. */
int volume_used_percent(const struct volume *v);

#endif
