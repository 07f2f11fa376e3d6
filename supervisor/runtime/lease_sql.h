/* lease_sql owns the statements of the PostgreSQL backend: the tables, and each request as one statement, which says
 * the same as lease_row_carry_out(). */
#ifndef PODVISOR_RUNTIME_LEASE_SQL_H
#define PODVISOR_RUNTIME_LEASE_SQL_H

#include "podvisor/base/buf.h"
#include "podvisor/model/lease_row.h"

/* One for all schemas of a database: the payload names its own. */
#define LEASE_SQL_CHANNEL "podvisor_lease"

/* Sets the session up; its one value says whether the tables are there. timeout_ms: of a statement. */
void lease_sql_open(struct buf *out, const char *schema, int64_t timeout_ms);
/* Makes the schema and the tables, in one transaction, one replica after the other. */
void lease_sql_make(struct buf *out, const char *schema);
/* $1: names of leases as a JSON array. */
void lease_sql_name(struct buf *out, const char *schema);
/* $1: this replica, $2: its leases as a JSON array, $3: it leaves, $4: ms without a sign of life after which one counts
 * no more. A row for each replica that takes part, by its id. */
void lease_sql_meet(struct buf *out, const char *schema);

/* Columns of the answer to a request; the row's are NULL when it was not as wanted. */
enum lease_column {
	LEASE_COLUMN_SYSTEM,
	LEASE_COLUMN_TIMELINE,
	LEASE_COLUMN_WALL_MS,
	LEASE_COLUMN_TOKEN,
	LEASE_COLUMN_SEQ,
	LEASE_COLUMN_GRANTED_ON,
	LEASE_COLUMN_RENEWED_MS,
	LEASE_COLUMN_HOLDER,
	LEASE_COLUMN_COUNT
};

/* $1: name. ACQUIRE: $2: this replica, $3 to $6: token, seq, holder and timeline as observed. RENEW: $2: this replica,
 * $3: token, $4: timeline of the grant. RELEASE: the same, and $5: ms as of lease_sql_meet, $6: "newest" or "any". */
void lease_sql_ask(struct buf *out, const char *schema, enum lease_request request);

#endif
