/* recycle owns when a Chrome is to be replaced although it answers: what is known
 * of one generation's wear, the limits of the `recycle` key, and whether there is
 * room for two Chromes side by side. SPEC 4. */
#ifndef PODVISOR_MODEL_RECYCLE_H
#define PODVISOR_MODEL_RECYCLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "podvisor/base/clock.h"
#include "podvisor/base/random.h"
#include "podvisor/model/config.h"
#include "podvisor/model/event.h"

/* X(enumerator, name in the metric and the API) */
#define RECYCLE_REASONS(X)                                                                     \
	X(RECYCLE_CRASHED, "crashed")                                                          \
	X(RECYCLE_HUNG, "hung") /* rung browser */                                             \
	X(RECYCLE_RENDERER, "renderer") /* rung renderer, or a new page that does nothing */   \
	X(RECYCLE_NETWORK, "network") /* rung network, or its process ends again and again */  \
	X(RECYCLE_GPU, "gpu") /* its process ends again and again */                           \
	X(RECYCLE_ZYGOTE, "zygote") /* no new renderer can be made any more */                 \
	X(RECYCLE_START, "start") /* never got ready */                                        \
	X(RECYCLE_DISK, "disk") /* its volume fills up, or had no room for a start */          \
	X(RECYCLE_MEMORY, "memory")                                                            \
	X(RECYCLE_AGE, "age")                                                                  \
	X(RECYCLE_PAGES, "pages")                                                              \
	X(RECYCLE_SESSIONS, "sessions")                                                        \
	X(RECYCLE_PRESSURE, "pressure") /* the pod's memory is short, says the memory guard */ \
	X(RECYCLE_FULL, "full") /* a volume is full and names it in on_full */                 \
	X(RECYCLE_COMMAND, "command")                                                          \
	X(RECYCLE_RELOAD, "reload")

enum browser_recycle {
#define RECYCLE_ENUM(id, name) id,
	RECYCLE_REASONS(RECYCLE_ENUM)
#undef RECYCLE_ENUM
		RECYCLE_COUNT,
	RECYCLE_NONE = RECYCLE_COUNT
};
const char *browser_recycle_name(enum browser_recycle reason);

/* So many exits of the GPU process, or of the network service, within so long. */
#define RECYCLE_EXITS     3
#define RECYCLE_EXITS_MS  120000
#define RECYCLES_PER_HOUR 60 /* the most that per_hour can be */
#define RECYCLE_HOUR_MS   3600000

struct recycle_exits {
	ms_t at[RECYCLE_EXITS]; /* a ring */
	unsigned n;
};

/* The wear of one generation. */
struct recycle_facts {
	ms_t old_at; /* CLOCK_NEVER until it is ready */
	int64_t sessions, served, pages, memory_bytes; /* now; ever; ever; of its tree, -1: unknown */
	struct recycle_exits gpu, network;
	int zygotes_lost;
	int disk_base; /* percent of its volume when it was new and alone there; -1: not known yet */
};

/* What is around it. */
struct recycle_room {
	int disk_percent; /* of the volume; -1: unknown */
	int64_t disk_free_bytes, memory_free_bytes; /* -1: unknown, or without a limit */
};

void recycle_facts_init(struct recycle_facts *f);
/* It is ready: its age begins. */
void recycle_facts_begin(struct recycle_facts *f, const struct config_browser *c, struct random *random, ms_t now);
/* EVENT_BROWSER_MEASURED and EVENT_BROWSER_SESSIONS. */
void recycle_facts_take(struct recycle_facts *f, const struct event *e, ms_t now);

/* It has to go at once, or in order; why receives a sentence. RECYCLE_NONE: neither. */
enum browser_recycle recycle_hard(const struct recycle_facts *f, const struct config_browser *c,
	const struct recycle_room *room, char *why, size_t size);
enum browser_recycle recycle_soft(const struct recycle_facts *f, const struct config_browser *c,
	const struct recycle_room *room, ms_t now, char *why, size_t size);

/* Two may run side by side. why (may be NULL) receives what is missing. */
bool recycle_has_room(const struct config_browser *c, const struct recycle_room *room, char *why, size_t size);

/* Those of the last hour. */
struct recycle_hour {
	ms_t at[RECYCLES_PER_HOUR]; /* a ring */
	unsigned n;
};
void recycle_hour_note(struct recycle_hour *h, ms_t now);
/* From when on another one is within the limit. */
ms_t recycle_hour_next(const struct recycle_hour *h, int64_t per_hour);

#endif
