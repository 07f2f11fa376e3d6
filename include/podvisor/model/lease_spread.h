/* lease_spread owns who shall hold which of the leases of one worker with many instances: evenly
 * over the replicas that live and do not drain, by rendezvous hashing, so that every replica that
 * sees the same members comes to the same answer and a change of members moves few. It has no part in
 * safety: replicas that see different members want the same lease, and one of them gets it. */
#ifndef PODVISOR_MODEL_LEASE_SPREAD_H
#define PODVISOR_MODEL_LEASE_SPREAD_H

#include <stdbool.h>
#include <stddef.h>

struct lease_member {
	const char *id; /* borrowed; equal on every replica that names it */
	bool draining; /* it gets nothing, and counts for nothing */
};

/* Sets owner[i], for each of n_leases leases of that name, to the index of the member that shall hold it; n_members
 * when there is nobody. Nobody gets more than one more than another. Out of memory it ends podvisor. */
void lease_spread(
	const char *name, size_t n_leases, const struct lease_member *members, size_t n_members, size_t *owner);
/* Which one of the leases that I hold and shall not is to be given up now: one in a period, the lowest; n_leases: none.
 * A lease whose owner is nobody is kept. */
size_t lease_spread_surplus(const size_t *owner, const bool *held, size_t n_leases, size_t me, size_t n_members);

#endif
