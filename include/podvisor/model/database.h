/* database owns what podvisor believes of one PostgreSQL: a state with a reason,
 * moved by the kept session's checks and by fresh-connection canaries, with
 * hysteresis in both directions (SPEC 6).
 *
 *   unknown ──first success──► up ◄──nothing to object──► degraded
 *      │                       │ ▲                          │ ▲
 *      │                       │ └──enough successes, ──────┼─┘
 *      │                       ▼    for long enough         ▼
 *      │                      down ◄──enough failures, for long enough
 *      ▼                       ▼                            ▼
 *   misconfigured ◄──── credentials, database name, TLS, dsn: at once
 *
 * The end of the idle session is no state change but an immediate check. What was never
 * up stays unknown however often it fails: it may still be starting. */
#ifndef PODVISOR_MODEL_DATABASE_H
#define PODVISOR_MODEL_DATABASE_H

#include <stdbool.h>
#include <stdint.h>

#include "podvisor/base/histogram.h"
#include "podvisor/model/config.h"
#include "podvisor/model/event.h"
#include "podvisor/model/turn.h"

#define DATABASE_STATES(X)               \
	X(DATABASE_UNKNOWN, "unknown")   \
	X(DATABASE_UP, "up")             \
	X(DATABASE_DEGRADED, "degraded") \
	X(DATABASE_DOWN, "down")         \
	X(DATABASE_MISCONFIGURED, "misconfigured")

enum database_state {
#define DATABASE_ENUM(id, name) id,
	DATABASE_STATES(DATABASE_ENUM)
#undef DATABASE_ENUM
		DATABASE_STATE_COUNT
};
const char *database_state_name(enum database_state state);

/* Counters of checks. */
enum { DATABASE_KEPT, DATABASE_CANARY, DATABASE_PATHS };
enum { DATABASE_OK, DATABASE_FAILED, DATABASE_RESULTS };

/* Checks over which slow is judged. */
#define DATABASE_RECENT 20

struct database {
	const struct config_postgres *config;
	uint32_t slot;
	enum database_state state;
	enum postgres_reason reason;
	char sqlstate[6]; /* of the last failure, "" */
	char text[160]; /* of the last failure, without secrets */
	ms_t since; /* of the state */
	bool ever_up;
	ms_t down_since; /* 0: not down */
	uint64_t run; /* of the kept session */
	bool session, check_in_flight, canary_in_flight, closing;
	ms_t check_due, canary_due;
	int failures, successes;
	ms_t first_failure_at, first_success_at;
	int attempt; /* for the back-off */
	ms_t unready_at; /* readiness degrade: 503 from then on (jitter included) */
	/* last observations */
	bool in_recovery, read_only;
	int64_t connections, max_connections, timeline, lag_ms, call_max_us;
	uint64_t checks[DATABASE_PATHS][DATABASE_RESULTS];
	uint64_t reconnects;
	uint64_t failures_by_class[100]; /* by the two digits of SQLSTATE classes 00..99 where numeric */
	uint64_t failures_other;
	struct histogram check_seconds;
	uint64_t canary_run;
	ms_t lost_at; /* when the idle session last ended; 0: never */
	int64_t recent_us[DATABASE_RECENT]; /* of the kept session's checks, a ring */
	uint64_t n_recent;
	bool canary_bad; /* the newest canary failed; why, as above: */
	enum postgres_reason canary_reason;
	char canary_text[160];
};

void database_init(struct database *d, const struct config_postgres *config, uint32_t slot, ms_t now);
void database_apply(struct database *d, const struct event *e, struct turn *t);
/* wanted false: close the session, ask for nothing more. */
void database_plan(struct database *d, bool wanted, uint64_t *next_run, struct turn *t);
/* Workers that depend on it may run. */
bool database_is_available(const struct database *d);
/* Nothing of it is open any more. */
bool database_is_closed(const struct database *d);

#endif
