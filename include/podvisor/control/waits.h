/* waits owns the question whether what somebody waits for has come about. A
 * wait is a value and is judged against the picture of each turn anew. */
#ifndef PODVISOR_CONTROL_WAITS_H
#define PODVISOR_CONTROL_WAITS_H

#include <stdbool.h>
#include <stdint.h>

#include "podvisor/model/snapshot.h"

enum wait_kind { WAIT_NONE, WAIT_START, WAIT_STOP, WAIT_RESTART, WAIT_DRAINED, WAIT_EVENT };

struct wait {
	enum wait_kind kind;
	ms_t until;
	char name[64]; /* START, STOP, RESTART: a worker, an instance, or a browser */
	uint64_t mark; /* runs from this number on are newer than the request */
	ms_t patient_until; /* START, RESTART: what it depends on may be asked for in the same breath */
	uint64_t after; /* EVENT: one newer than that */
};

/* Whether slot is meant by name: its own name, or the name it is an instance
 * of. */
bool waits_means_worker(const struct world *w, size_t slot, const char *name);
/* Whether it has come about, or does not without more ado: a worker that failed, or backs off, or waits for another
 * that does not come back by itself, is waited for no longer, and neither is what a reload removed. */
bool waits_is_done(const struct wait *wait, const struct snapshot *s);
/* A restart of a browser has come to this: the new one never got ready, and the old one goes on. */
bool waits_is_kept(const struct wait *wait, const struct snapshot *s);

#endif
