/* worker_plan owns what is to be done about a worker, each turn anew from its
 * state alone: start, check, stop, kill. */
#ifndef PODVISOR_MODEL_WORKER_PLAN_H
#define PODVISOR_MODEL_WORKER_PLAN_H

#include "podvisor/model/lease.h"
#include "podvisor/model/worker.h"

/* What the world says about it this turn. */
struct worker_gate {
	bool may_start; /* every dependency is there */
	bool may_stop; /* nothing that depends on it is still up */
	bool shutdown; /* it is to end now for good */
	const char *kill; /* why it is killed at once, whatever it is doing; NULL: it is not */
	ms_t spread; /* start within that time, at a random point: a database came back for all */
	bool leased; /* it runs only under a lease, which permits this: */
	struct lease_permit lease;
	int64_t token;
	char lease_why[200]; /* why it does not permit to run; "" */
	char why[160]; /* what it waits for, e.g. "postgres:main is down"; "" */
};

/* next_run: the number a new run gets; the world's counter, counted up when used. */
void worker_plan(struct worker *w, const struct worker_gate *gate, uint64_t *next_run, struct turn *t);

#endif
