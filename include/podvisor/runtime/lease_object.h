/* lease_object owns a lease as a Lease object of Kubernetes (coordination.k8s.io/v1): what in it is the row of
 * model/lease_row.h, and what a request makes of it.
 *
 *   spec.holderIdentity     the holder; "" or none: free
 *   spec.leaseTransitions   the token, one more with each grant
 *   metadata.resourceVersion, compared for being equal alone: the sequence
 *   metadata.uid            the history: an object that was deleted and made anew, from a copy perhaps, has another
 *   annotation podvisor/granted-on: the uid of the object that the last grant was made in
 *   annotation podvisor/next: whom the last release named
 *
 * The times in it are for people. */
#ifndef PODVISOR_RUNTIME_LEASE_OBJECT_H
#define PODVISOR_RUNTIME_LEASE_OBJECT_H

#include <jansson.h>

#include "podvisor/model/lease_row.h"

/* Of an object there is one timeline only; another object is another system. */
#define LEASE_OBJECT_TIMELINE 1
/* Of the leases of one schema: who watches asks for it. */
#define LEASE_OBJECT_LABEL "podvisor/leases"

struct lease_object {
	struct lease_row row;
	uint64_t system; /* of which object; never 0 */
	const char *next; /* borrowed from the JSON; "" when nobody is named */
};

struct lease_object_change {
	enum lease_request request;
	const char *schema;
	const char *next; /* RELEASE */
	int64_t ttl_ms, wall_ms;
};

/* False: it is no Lease that podvisor could use. */
bool lease_object_read(const json_t *object, struct lease_object *out);
/* Makes of an object that was read what the row is after the change. 0 or -ENOMEM. */
int lease_object_write(json_t *object, const struct lease_row *row, const struct lease_object_change *change);
/* One that nobody was granted yet; NULL: out of memory. Its first token is above the given one, and above the seconds
 * that have passed since 2024, so that it is above those of an object that was deleted. */
json_t *lease_object_new(const char *name, const char *schema, int64_t token, int64_t wall_ms);

#endif
