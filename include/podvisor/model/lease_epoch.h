/* lease_epoch owns what a replica knows of the history that its leases live in: which
 * database it is (system identifier) and on which timeline. After a failover that lost the
 * last writes, rows may say what was true before: an epoch says when they may be believed.
 * Of a Kubernetes Lease the history is its object's life, which ends when somebody deletes it. */
#ifndef PODVISOR_MODEL_LEASE_EPOCH_H
#define PODVISOR_MODEL_LEASE_EPOCH_H

#include <stdbool.h>
#include <stdint.h>

#include "podvisor/base/clock.h"

struct lease_epoch {
	/* Another system is the next history, as an object that was deleted is followed by one that is made anew; every
	 * answer is then of the newest. Else it is refused. */
	bool follows;
	uint64_t system; /* system identifier of the first answer; 0: none yet */
	int64_t timeline; /* the highest that was seen; 0: none yet */
	ms_t first_sight; /* of that timeline, counted from receipt */
};

enum lease_history {
	LEASE_HISTORY_SAME,
	LEASE_HISTORY_NEW, /* a timeline that was not seen before */
	LEASE_HISTORY_OLD, /* a timeline that is over: its server does not know yet that it was replaced */
	LEASE_HISTORY_FOREIGN, /* another database than before: its tokens mean nothing */
};

/* What an answer says of the history that it comes from. Of an old or foreign one nothing is noted,
 * and nothing else in the answer may be believed. */
enum lease_history lease_epoch_note(struct lease_epoch *e, uint64_t system, int64_t timeline, ms_t received);
/* When a row may be taken whose last grant was on that timeline: at once where it is the present one, for whoever was
 * granted it had waited; else a term after the first sight, when no holder of the lost writes can be left. */
ms_t lease_epoch_open_at(const struct lease_epoch *e, int64_t granted, ms_t ttl);

#endif
