/* origins owns who writes lines: workers' instances, browsers and podvisor
 * itself, each with its limit, its numbers in the meters, and its recent words. */
#ifndef PODVISOR_RUNTIME_ORIGINS_H
#define PODVISOR_RUNTIME_ORIGINS_H

#include <stdbool.h>

#include "podvisor/base/rate.h"
#include "podvisor/runtime/context.h"
#include "podvisor/runtime/recent.h"
#include "podvisor/runtime/words.h"

struct origin {
	struct list node; /* in origins.all */
	struct recent_ring ring; /* what it has written */
	struct recent_ring about; /* what podvisor has said about it; podvisor itself has none */
	char name[64]; /* "": podvisor itself. The rings' name too */
	uint32_t slot; /* UINT32_MAX: not a worker's */
	int sources; /* that are open */
	int ending; /* of them, those of runs that are over */
	struct words words; /* about it, that wait for these */
	struct rate rate;
	char command_said[96]; /* the last line of its stop command */
	uint64_t untold; /* lines that it has dropped and that nobody was told of */
};

struct origins {
	const struct context *context;
	struct recent recent;
	struct list all;
	struct origin *own; /* podvisor itself */
};

int origins_init(struct origins *o, const struct context *c);
/* Frees them all, and the meters. */
void origins_fini(struct origins *o);

/* The one of that name, made if need be, with a place in the meters. NULL: out of memory. */
struct origin *origins_get(struct origins *o, const char *name, uint32_t slot);
/* The one of that name, NULL when there is none. */
struct origin *origins_find(const struct origins *o, const char *name);
/* The one that a line of podvisor's own is about: a worker's instance or a browser, made if need be. NULL: nobody's. */
struct origin *origins_subject(struct origins *o, enum thing thing, const char *name);
/* Forgets who writes nothing any more and is not configured either. */
void origins_forget_gone(struct origins *o);
/* By its own name, or by that of the worker that it is an instance of. */
bool origins_means(const struct origins *o, const struct recent_ring *ring, const char *name);
/* Counts lines of a stream, and how many of them were dropped. */
void origins_count(const struct origins *o, const struct origin *of, int stream, uint64_t lines, uint64_t dropped);

/* The origin that a ring belongs to, and whether it is of what that has written. */
static inline struct origin *origin_of(const struct recent_ring *ring)
{
	return LIST_ENTRY(ring->name, struct origin, name);
}
static inline bool origin_wrote(const struct recent_ring *ring)
{
	return ring == &origin_of(ring)->ring;
}

#endif
