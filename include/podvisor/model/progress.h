/* progress owns the judging of whether a worker's work moves forward: a number
 * that has to change within stalled_after, or an age that has to stay below
 * max_age. Time in which the number cannot be read is held against nobody. */
#ifndef PODVISOR_MODEL_PROGRESS_H
#define PODVISOR_MODEL_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "podvisor/base/clock.h"
#include "podvisor/model/config.h"

struct progress {
	bool counting; /* the worker has started */
	bool known; /* value was told or read in this run */
	double value; /* the number, or the age in seconds; NAN: the query has no answer yet (null) */
	ms_t since; /* when it last moved, or counting began */
	ms_t read_at; /* of the last query that was answered */
	ms_t due; /* of the next query; CLOCK_NEVER without one */
	bool in_flight;
	bool stalled; /* has been told */
	char trouble[160]; /* why the last query failed, "" when it did not */
};

/* Begins to count, for a run that has started. */
void progress_start(struct progress *p, const struct config_progress *c, ms_t now);
/* The number, by notification or by query. Returns whether it moved. */
bool progress_told(struct progress *p, const struct config_progress *c, double value, ms_t now);
/* The query failed: counting begins anew. */
void progress_failed(struct progress *p, const struct config_progress *c, const char *text, ms_t now);
/* Whether a query is to be made now; the caller then marks it with progress_sent. */
bool progress_is_due(const struct progress *p, ms_t now);
void progress_sent(struct progress *p);
/* The work has stood still for too long. why receives a sentence. */
bool progress_is_stalled(const struct progress *p, const struct config_progress *c, ms_t now, char *why, size_t size);
/* When one of the two above may next become true; CLOCK_NEVER: not by time alone. */
ms_t progress_next(const struct progress *p, const struct config_progress *c);
/* Gives it as long as at the beginning once more. */
void progress_excuse(struct progress *p, ms_t now);

#endif
