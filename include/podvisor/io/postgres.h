/* postgres owns one connection to a PostgreSQL server, from the resolving of its
 * name to its last byte, all of it on the loop: names and files are read in
 * libuv's pool, the rest is libpq's non-blocking interface (libpq 34.2) on a
 * poll handle. libpq is loaded when the first connection is opened.
 *
 *   opening ──resolved──► connecting ──ready──► idle ◄──answer── busy
 *      │                    │  ▲ │               │ └────query─────►│
 *      │                    │  └─┘ next address  │ lost            │ failed
 *      └────────failed──────┴────────────────────┴─────────────────┴──► dead
 *
 * Each step has a deadline; what misses it is dropped with PQfinish, never with
 * PQcancel, which blocks. Exactly one of the calls below ends each step. */
#ifndef PODVISOR_IO_POSTGRES_H
#define PODVISOR_IO_POSTGRES_H

#include <stdbool.h>
#include <stdint.h>

#include "podvisor/base/clock.h"
#include "podvisor/base/err.h"
#include "podvisor/io/loop.h"
#include "podvisor/model/event.h"

struct postgres;

/* Why it did not work, told apart as SPEC 6 does. */
struct postgres_failure {
	enum postgres_reason reason;
	bool permanent; /* trying again soon is useless */
	char sqlstate[6]; /* "" when there is none */
	char text[EVENT_TEXT_MAX]; /* for people; never holds a password */
};

/* Rows of an answer; valid within the call only. */
struct postgres_rows;
int postgres_count(const struct postgres_rows *rows);
int postgres_columns(const struct postgres_rows *rows);
/* NULL for a NULL. Borrowed. */
const char *postgres_value(const struct postgres_rows *rows, int row, int column);

struct postgres_options {
	const char *dsn; /* anything libpq takes; copied */
	const char *application_name; /* unless the dsn names one; copied */
	ms_t resolve_timeout, connect_timeout;
	void *ctx;
	/* The session stands, and may be asked (also from within the call). */
	void (*opened)(void *ctx);
	/* Opening failed, or the session ended while nothing was asked: it is dead. */
	void (*ended)(void *ctx, const struct postgres_failure *why);
	/* Somebody notified a channel that the session listens to; NULL: nobody cares. */
	void (*notified)(void *ctx, const char *payload);
};

/* Begins to open a connection. No call is made from within; none after
 * postgres_close. */
int postgres_open(struct postgres **out, struct loop *l, const struct postgres_options *o, struct err *err) MUST_CHECK;
/* Asks, when idle; sql may hold several statements, whose last rows are the
 * answer. answered gets rows, or NULL and why; when the server merely disliked
 * the statement the session stays idle, else it is dead (postgres_is_alive) and
 * ended is not called. -EBUSY when not idle, -ENOTCONN when it cannot be sent:
 * it is dead then. */
int postgres_query(struct postgres *p, const char *sql, ms_t timeout,
	void (*answered)(void *ctx, const struct postgres_rows *rows, const struct postgres_failure *why), void *ctx,
	struct err *err) MUST_CHECK;
/* The same for one statement with n values in the place of $1, $2, ..., each text or NULL. */
int postgres_query_with(struct postgres *p, const char *sql, const char *const *values, int n, ms_t timeout,
	void (*answered)(void *ctx, const struct postgres_rows *rows, const struct postgres_failure *why), void *ctx,
	struct err *err) MUST_CHECK;
bool postgres_is_alive(const struct postgres *p);
/* Ends it whatever it is doing; p is gone for the caller. NULL is fine. May be
 * called from within any of the calls. */
void postgres_close(struct postgres *p);

/* The longest single libpq call of this connection on the loop, in
 * microseconds: the proof that nothing blocks. */
int64_t postgres_call_max_us(const struct postgres *p);

#endif
