/* journal owns the bounded memory of what happened, in the order it happened,
 * each entry with its reason in words. The log, `podvisor events` and the API
 * all read it, so that they tell the same story. */
#ifndef PODVISOR_MODEL_JOURNAL_H
#define PODVISOR_MODEL_JOURNAL_H

#include <stddef.h>
#include <stdint.h>

#include "podvisor/base/clock.h"
#include "podvisor/base/err.h"
#include "podvisor/model/config.h"

#define JOURNAL_SIZE 512

struct journal_entry {
	uint64_t seq; /* counts from 1 */
	ms_t at; /* monotonic */
	enum log_level level;
	enum thing thing;
	char subject[64]; /* the worker's, browser's, ... name; "" for the pod */
	char what[32]; /* short, fixed word: "ready", "backoff", "drain" */
	char text[256]; /* the sentence */
};

struct journal {
	struct journal_entry entries[JOURNAL_SIZE];
	uint64_t last_seq; /* of the newest entry, 0 when there is none */
	/* Told each entry as it is made, or NULL: a single turn can make more than are kept. */
	void (*on_entry)(void *ctx, const struct journal_entry *e);
	void *ctx;
};

/* Adds an entry and tells it; the oldest gives way. */
void journal_add(struct journal *j, ms_t now, enum log_level level, enum thing thing, const char *subject,
	const char *what, const char *fmt, ...) PRINTF_LIKE(7, 8);
/* The entry of that number, or NULL when it is gone or not there yet. Borrowed. */
const struct journal_entry *journal_get(const struct journal *j, uint64_t seq);
/* The number of the oldest entry that is still there; last_seq + 1 when empty. */
uint64_t journal_oldest(const struct journal *j);

#endif
