/* lease_roll owns who takes part in the leases of a schema, as it stands in an annotation of one Lease object: a list
 * of replicas in the order in which they came, each with a number that it counts up while it lives. Whoever reads it
 * judges by its own clock: a number that stood still for a term is of a replica that is gone. Nothing in it has a part
 * in safety. */
#ifndef PODVISOR_RUNTIME_LEASE_ROLL_H
#define PODVISOR_RUNTIME_LEASE_ROLL_H

#include <jansson.h>

#include "podvisor/base/clock.h"
#include "podvisor/model/lease_book.h"

struct lease_roll {
	struct lease_roll_member {
		char id[LEASE_HOLDER_MAX];
		json_int_t beat;
		ms_t since; /* receipt of the first list with that number */
		json_t *leases; /* owned: an array of names */
	} members[LEASE_MEMBERS_MAX]; /* in the order in which they came */
	int n;
};

void lease_roll_fini(struct lease_roll *r);
/* Takes note of the list in the object. */
void lease_roll_read(struct lease_roll *r, const json_t *object, ms_t now);
/* Signs this replica into the list of the object that was read, with the leases that it could run, or out of it, and
 * strikes out who has been silent for long. False: out of memory. */
bool lease_roll_sign(const struct lease_roll *r, json_t *object, const char *me, const json_t *leases, bool leaving,
	ms_t ttl, ms_t now);
json_t *lease_roll_new(const char *name);
/* It lives, as far as can be told. */
bool lease_roll_is_there(const struct lease_roll_member *m, ms_t ttl, ms_t now);
/* The newest of the others that wants the lease; "": nobody. */
const char *lease_roll_newest(const struct lease_roll *r, const char *lease, const char *me, ms_t ttl, ms_t now);

#endif
