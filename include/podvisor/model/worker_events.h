/* worker_events owns what events mean to a worker: what ended, what was told,
 * what was asked, and whether an ended run is followed by another. */
#ifndef PODVISOR_MODEL_WORKER_EVENTS_H
#define PODVISOR_MODEL_WORKER_EVENTS_H

#include "podvisor/model/worker.h"

/* Folds one event in; those of older runs are ignored. */
void worker_apply(struct worker *w, const struct event *e, struct turn *t);

#endif
