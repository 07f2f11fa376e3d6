/* lease_row owns what a lease is where it is kept, and what each request does to it. A backend
 * that can compare only in C (a Kubernetes Lease, read, changed and put with its resourceVersion) calls
 * lease_row_carry_out(); the SQL of the PostgreSQL backend says the same in one statement. */
#ifndef PODVISOR_MODEL_LEASE_ROW_H
#define PODVISOR_MODEL_LEASE_ROW_H

#include <stdbool.h>
#include <stdint.h>

#define LEASE_HOLDER_MAX 160

struct lease_row {
	int64_t token, seq; /* token grows with each grant, seq with each write */
	int64_t timeline; /* of the last grant; 0: never granted. A row is made with 0. */
	int64_t renewed_ms; /* by the server's clock on the wall, for people: nothing is decided by it */
	char holder[LEASE_HOLDER_MAX]; /* "": free */
};

enum lease_request {
	LEASE_NOTHING,
	LEASE_OBSERVE, /* read the row and the history */
	LEASE_ACQUIRE, /* where all is as expected: holder = me, token+1, seq+1 */
	LEASE_RENEW, /* where token, timeline and holder are those of my grant: seq+1 */
	LEASE_RELEASE, /* where they are the same three: holder = "", seq+1; and a notification */
	LEASE_REQUEST_COUNT
};
const char *lease_request_name(enum lease_request request);

/* What there is to ask the backend for. */
struct lease_orders {
	enum lease_request request;
	uint64_t id;
	struct lease_row expected; /* ACQUIRE: as observed */
	uint64_t system; /* ACQUIRE: the history as observed; a backend whose answers may be of another compares it */
	int64_t timeline; /* ACQUIRE: of the history, as observed; RENEW, RELEASE: of my grant */
	int64_t token; /* RENEW, RELEASE: of my grant */
	const char *reason;
};

/* Changes the row as ordered, on the timeline that the server is on and at its time. False: the row is not as the
 * orders want it, and is left alone. */
bool lease_row_carry_out(
	struct lease_row *row, const struct lease_orders *o, const char *me, int64_t timeline, int64_t wall_ms);

#endif
