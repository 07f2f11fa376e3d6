/* events owns how the journal is read from outside: as a list, and one message
 * after the other, live. The journal itself is the bounded queue between the
 * pod and its readers; a reader that is too slow is told what it missed. */
#ifndef PODVISOR_CONTROL_EVENTS_H
#define PODVISOR_CONTROL_EVENTS_H

#include "podvisor/control/answer.h"
#include "podvisor/control/query.h"
#include "podvisor/control/waits.h"
#include "podvisor/model/snapshot.h"

#define EVENTS_WAIT_MAX_S 60

/* Answers ?after=, ?limit=; when it is to wait for the first one, fills in wait
 * instead and leaves a unanswered. */
void events_answer(const struct snapshot *s, const struct query *q, struct answer *a, struct wait *wait);
/* The answer after having waited. */
void events_answer_waited(const struct snapshot *s, const struct wait *wait, struct answer *a);
/* Where a live reader begins; false, and a is answered, when ?after= is no
 * number. */
bool events_begin(const struct snapshot *s, const struct query *q, uint64_t *cursor, struct answer *a);
/* The next message of a live reader, who has had everything up to *cursor;
 * false: nothing new. */
bool events_next(const struct snapshot *s, uint64_t *cursor, struct buf *out);

#endif
