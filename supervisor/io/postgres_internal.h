/* What the files of a connection to PostgreSQL know of each other:
 *
 *   postgres_library.c  libpq, loaded late
 *   postgres_life.c     birth and end, the poll handle and the deadline
 *   postgres_resolve.c  understanding the dsn, and names to addresses
 *   postgres_connect.c  one address after the other
 *   postgres_session.c  questions, answers and notifications
 *   postgres_failure.c  what a failure means, in words that hold no password
 */
#ifndef PODVISOR_IO_POSTGRES_INTERNAL_H
#define PODVISOR_IO_POSTGRES_INTERNAL_H

#if __has_include(<libpq-fe.h>)
#include <libpq-fe.h>
#else
#include <postgresql/libpq-fe.h>
#endif

#include "podvisor/io/postgres.h"

#define POSTGRES_CALLS(X)     \
	X(connectStartParams) \
	X(connectPoll)        \
	X(conninfo)           \
	X(conninfoFree)       \
	X(status)             \
	X(socket)             \
	X(errorMessage)       \
	X(finish)             \
	X(setErrorVerbosity)  \
	X(setNoticeReceiver)  \
	X(setnonblocking)     \
	X(sendQuery)          \
	X(sendQueryParams)    \
	X(notifies)           \
	X(freemem)            \
	X(flush)              \
	X(consumeInput)       \
	X(isBusy)             \
	X(getResult)          \
	X(clear)              \
	X(resultStatus)       \
	X(resultErrorField)   \
	X(ntuples)            \
	X(nfields)            \
	X(getvalue)           \
	X(getisnull)

extern struct postgres_library {
#define PQ_POINTER(name) __typeof__(PQ##name) *name;
	POSTGRES_CALLS(PQ_POINTER)
#undef PQ_POINTER
} postgres_pq;
#define pq postgres_pq

/* Addresses of one dsn that are tried: names times their addresses. */
#define CANDIDATES_MAX 16

enum stage {
	STAGE_PREPARING, /* in the pool: the library, the dsn and the files it names */
	STAGE_RESOLVING,
	STAGE_CONNECTING,
	STAGE_IDLE,
	STAGE_BUSY,
	STAGE_DEAD,
};

/* What of the dsn, the environment and the service file must be known. Owned strings, NULL when absent. */
struct wishes {
	char *host, *hostaddr, *port, *password, *application_name, *target_session_attrs, *tcp_user_timeout,
		*gssencmode;
};

struct candidate {
	char host[256], hostaddr[64], port[8]; /* "": leave to libpq */
	const char *attrs; /* target_session_attrs; NULL: the dsn's */
};

/* It may be freed when its pool work and its timer are done. */
struct postgres {
	struct loop *loop;
	char *dsn, *application_name;
	struct postgres_options options; /* its strings are the copies above */
	enum stage stage; /* set where a stage begins; only die ends one */
	uv_work_t prepare;
	uv_getaddrinfo_t resolve;
	bool working, resolving, closed, timer_closed;
	uv_timer_t deadline;
	struct wishes wishes;
	struct postgres_failure failure; /* of the pool, and the most telling of the candidates */
	const char *next_host, *next_port, *next_hostaddr; /* into wishes, while they are split */
	struct candidate resolved; /* host and port being resolved */
	struct candidate candidates[CANDIDATES_MAX];
	int n_candidates, next_candidate;
	uint64_t connect_by_ms; /* of the loop's clock */
	PGconn *conn;
	uv_poll_t *poll; /* its own memory, because closing takes a turn; NULL: none */
	int poll_fd;
	char notice[6]; /* SQLSTATE of the last notice: 57P01 comes as one when idle */
	int64_t call_max_us;
	PGresult *rows; /* last rows of the query under way */
	bool failed;
	ms_t query_timeout;
	void (*answered)(void *ctx, const struct postgres_rows *rows, const struct postgres_failure *why);
	void *answer_ctx;
};

/* ---- the library ---- */

/* Once, in the pool; then what came of it. */
int postgres_load(struct err *err) MUST_CHECK;

/* ---- failures ---- */

/* Sets reason and permanent, by the SQLSTATE or else by the words. */
void postgres_classify(struct postgres_failure *f, const char *words);
/* Sets the text; a password in it is hidden. */
void postgres_describe(const struct postgres *p, struct postgres_failure *f, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* "10.0.0.7:5432", "/run/postgresql:5432" */
const char *postgres_where(const struct candidate *c, char out[300]);
/* From libpq's message of a connection that failed. */
void postgres_read_message(struct postgres *p, const struct candidate *c, struct postgres_failure *f);

/* ---- life ---- */

void postgres_note_call(struct postgres *p, uint64_t begun_ns);
void postgres_drop_connection(struct postgres *p);
void postgres_free_when_idle(struct postgres *p);
/* It is dead; whoever waits for an answer is still to be told. */
void postgres_die(struct postgres *p);
/* It is dead, and its owner is told. */
void postgres_end(struct postgres *p, const struct postgres_failure *why);
bool postgres_start_poll(struct postgres *p, int events);
void postgres_set_deadline(struct postgres *p, ms_t span, uv_timer_cb on_deadline);

/* ---- the stages ---- */

/* In the pool, and what follows it. */
void postgres_understand(uv_work_t *work);
void postgres_on_understood(uv_work_t *work, int status);
void postgres_start_connecting(struct postgres *p);
void postgres_poll_connection(struct postgres *p);
void postgres_on_poll(uv_poll_t *handle, int status, int events);

#endif
