/* health owns the counting of one check, as Kubernetes counts: first after the
 * initial delay, then every interval, failure_threshold misses in a row turn it
 * bad and success_threshold hits in a row turn it good. Until the first hit it is
 * tried sooner than every interval (100 ms, doubling), so that what is up after
 * 80 ms is seen then and not after 10 s; such early misses do not count, so the
 * time until it turns bad stays interval * failure_threshold. */
#ifndef PODVISOR_MODEL_HEALTH_H
#define PODVISOR_MODEL_HEALTH_H

#include <stdbool.h>

#include "podvisor/base/clock.h"
#include "podvisor/model/config.h"

enum health_verdict { HEALTH_UNKNOWN, HEALTH_GOOD, HEALTH_BAD };

struct health {
	enum health_verdict verdict;
	ms_t due; /* of the next attempt */
	bool in_flight; /* one attempt at a time */
	int hits, misses;
	int early; /* attempts before the first hit */
	ms_t missed_at; /* of the last miss that counted */
	char text[160]; /* of the last failure */
};

/* Starts counting for a fresh run. */
void health_start(struct health *h, const struct config_check *check, ms_t now);
/* Whether an attempt is to be made now; the caller then marks it with health_sent. */
bool health_is_due(const struct health *h, const struct config_check *check, ms_t now);
void health_sent(struct health *h);
/* Folds an answer in. Returns whether the verdict changed. */
bool health_answered(struct health *h, const struct config_check *check, bool ok, const char *text, ms_t now);
/* Forgives the misses: it turns bad after as many as at the beginning. */
void health_excuse(struct health *h);
/* The attempt could not be made: it counts as neither, and the next one comes as if it had been. */
void health_skipped(struct health *h, const struct config_check *check, ms_t now);
/* When health_is_due next becomes true; CLOCK_NEVER while in flight or not configured. */
ms_t health_next(const struct health *h, const struct config_check *check);

#endif
