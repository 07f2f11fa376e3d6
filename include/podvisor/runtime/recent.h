/* recent owns the newest messages of every origin (a worker's instance, a
 * browser, podvisor itself), kept in a bounded memory: what `podvisor logs`
 * shows, and the last words of a worker. What an origin has written is kept as
 * it came, not as it was logged. One that writes much takes memory from itself
 * before it takes any from others. */
#ifndef PODVISOR_RUNTIME_RECENT_H
#define PODVISOR_RUNTIME_RECENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "podvisor/base/err.h"
#include "podvisor/base/list.h"
#include "podvisor/base/span.h"

#define RECENT_ALL_BYTES (2 << 20) /* of all origins together */
#define RECENT_ONE_BYTES (256 << 10) /* of one */

struct recent_chunk;

/* Of one origin. The name is its owner's. */
struct recent_ring {
	struct list node;
	const char *name;
	struct recent_chunk *oldest, *newest;
	size_t bytes;
	uint64_t total; /* messages ever put */
};

struct recent {
	struct list rings;
	size_t n_rings, bytes, max_bytes, max_one;
	uint64_t first_seq, last_seq; /* every message has its number, whoever wrote it */
};

/* What is remembered beside the text; the meaning is the caller's. */
struct recent_meta {
	int64_t wall_ms;
	uint8_t level, stream, field, form, partial;
};

struct recent_message {
	uint64_t seq;
	const struct recent_ring *ring;
	struct recent_meta meta;
	struct span subject, text; /* subject: empty, or whom a message of podvisor's own is about */
};

/* A place between messages: all with a greater number are newer. total counts
 * those of the origins in question that are older, so that it can be told how
 * many were forgotten. */
struct recent_cursor {
	uint64_t seq, total;
};

/* seq: the number before the first message's. A later life of podvisor has to
 * begin with a greater one than an earlier has reached. */
void recent_init(struct recent *r, uint64_t seq);
/* Rings that were not dropped are emptied. */
void recent_fini(struct recent *r);
/* A ring that is empty; name is borrowed until it is dropped. */
void recent_add(struct recent *r, struct recent_ring *ring, const char *name);
void recent_drop(struct recent *r, struct recent_ring *ring);

/* Remembers a message. One that does not fit is counted as forgotten. */
void recent_put(struct recent *r, struct recent_ring *ring, const struct recent_meta *meta, struct span subject,
	struct span text);

struct recent_query {
	bool (*wanted)(void *ctx, const struct recent_ring *ring);
	void *ctx; /* of wanted */
	const struct recent_cursor *after; /* NULL: the newest; else the oldest that are newer */
	size_t max; /* so many messages at the most ... */
	size_t max_bytes; /* ... and no further one once their texts are so long together */
};

struct recent_list {
	struct recent_message *messages; /* by number; their texts are valid until the next put or drop */
	size_t n;
	struct recent_cursor next; /* behind the last of them */
	uint64_t missed; /* behind `after`, but forgotten */
	bool more; /* wanted and newer than these; only with `after` */
};

/* 0 or -ENOMEM; the list is then empty. */
int recent_list(const struct recent *r, const struct recent_query *q, struct recent_list *out) MUST_CHECK;
void recent_list_fini(struct recent_list *list);

#endif
