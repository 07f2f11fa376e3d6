/* doubt owns the benefit of the doubt. A worker that missed a deadline (watchdog,
 * liveness, progress) is looked at before it is ended: who did not get the
 * processor is given the deadline once more, who is hung is not, and what its
 * threads were doing stands in the log by then.
 *
 *   clear ──fault──► asked ──answer: starved, first time──► stretched (until a sign of life)
 *     ▲                │
 *     └─ sign of life ─┴──answer, or none within DOUBT_PATIENCE_MS──► guilty */
#ifndef PODVISOR_MODEL_DOUBT_H
#define PODVISOR_MODEL_DOUBT_H

#include <stdbool.h>
#include <stddef.h>

#include "podvisor/base/clock.h"
#include "podvisor/model/event.h"

/* So long at the most for an answer: the machine may be as stuck as the worker. */
#define DOUBT_PATIENCE_MS 700
/* From these shares on the pod did not get the processor it wanted. */
#define DOUBT_THROTTLED_PERCENT 20
#define DOUBT_PRESSURE_PERCENT  25

enum doubt_verdict {
	DOUBT_ASK, /* look at it */
	DOUBT_WAIT, /* it is being looked at */
	DOUBT_STRETCH, /* give it the deadline once more */
	DOUBT_GUILTY, /* end it */
};

struct doubt {
	bool asked, answered;
	bool stretched; /* since the last sign of life */
	ms_t until; /* of the patience */
	struct event_inspection facts;
};

/* There is a fault: what follows from it. */
enum doubt_verdict doubt_judge(struct doubt *d, ms_t now);
void doubt_answered(struct doubt *d, const struct event_inspection *facts);
/* The fault is over. sign_of_life: by the worker's own doing. */
void doubt_clear(struct doubt *d, bool sign_of_life);
/* No benefit of the doubt: it asked for its end itself. */
void doubt_refuse(struct doubt *d);
/* "CPU throttled 43% of the time, pressure 81%"; for people. */
void doubt_describe(const struct doubt *d, char *out, size_t size);

#endif
