/* lease owns what one replica knows and claims of one lease: when it may be taken, until when
 * it is held, and what has to happen to the worker that runs under it (SPEC 7). It stands above
 * both backends, PostgreSQL rows and Kubernetes Lease objects, and knows neither.
 *
 *   off ──wanted──► standby ──free, or a term unchanged──► taking ──granted──► held
 *    ▲                 ▲  ▲                                  │                 │
 *    │                 │  └──────refused, no answer──────────┘                 │
 *    │                 │                                        drain_at, or not wanted
 *    │                 │                                                       ▼
 *    └─────────── releasing ◄──the tree is gone── killing ◄──kill_at, lost── draining
 *
 * The safety of it, in four rules:
 *   - A holder counts its term from before the send, a contender from the receipt, and only a
 *     (token, sequence) that stood unchanged for a whole term is taken. Only CLOCK_BOOTTIME counts.
 *   - Taking is a compare-and-set on all that was observed.
 *   - A lease that a replica does not hold, or no longer holds for sure, has no tree: the tree is killed
 *     at kill_at, well before the term ends, and the lease is released only when the tree is gone.
 *   - On a new timeline nothing is taken for a term (lease_epoch.h).
 *
 * What is wanted and whether there is a tree are told as they are, at each plan; the worker's machine
 * reads lease_permit() as it is, too. Nothing of that can be missed or come twice. */
#ifndef PODVISOR_MODEL_LEASE_H
#define PODVISOR_MODEL_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "podvisor/model/lease_epoch.h"
#include "podvisor/model/lease_row.h"
#include "podvisor/model/turn.h"

#define LEASE_STATES(X)                           \
	X(LEASE_OFF, "off") /* not wanted here */ \
	X(LEASE_STANDBY, "standby")               \
	X(LEASE_TAKING, "taking")                 \
	X(LEASE_HELD, "held")                     \
	X(LEASE_DRAINING, "draining")             \
	X(LEASE_KILLING, "killing")               \
	X(LEASE_RELEASING, "releasing")

enum lease_state {
#define LEASE_ENUM(id, name) id,
	LEASE_STATES(LEASE_ENUM)
#undef LEASE_ENUM
		LEASE_STATE_COUNT
};
const char *lease_state_name(enum lease_state state);

/* Why it moved: the reason label of lease_transitions_total, and the sentence. */
#define LEASE_REASONS(X)                                                        \
	X(LEASE_BORN, "start", "nothing was asked of it yet")                   \
	X(LEASE_WANTED, "wanted", "it is wanted here")                          \
	X(LEASE_UNWANTED, "unwanted", "it is not wanted here")                  \
	X(LEASE_FREE, "free", "it is free")                                     \
	X(LEASE_SILENT, "silent", "its holder is silent or gone")               \
	X(LEASE_BEATEN, "beaten", "another replica was faster")                 \
	X(LEASE_UNANSWERED, "unanswered", "there was no answer to the attempt") \
	X(LEASE_GRANTED, "granted", "it was granted")                           \
	X(LEASE_LATE, "late", "it could not be renewed by drain_at")            \
	X(LEASE_EXPIRED, "expired", "it could not be renewed by kill_at")       \
	X(LEASE_LOST, "lost", "it was lost: the renewal found another holder")  \
	X(LEASE_ENDED, "ended", "nothing runs under it any more")               \
	X(LEASE_RELEASED, "released", "it was released")                        \
	X(LEASE_GONE, "gone", "there was nothing to release")                   \
	X(LEASE_OVER, "over", "its term is over: there is nothing left to release")

enum lease_reason {
#define LEASE_ENUM(id, name, text) id,
	LEASE_REASONS(LEASE_ENUM)
#undef LEASE_ENUM
		LEASE_REASON_COUNT
};
const char *lease_reason_name(enum lease_reason reason);

struct lease_settings {
	ms_t ttl, renew, attempt, drain_at, kill_at;
	bool keep; /* on_database_loss: silence neither drains nor kills; a lost lease still does */
	/* Who this replica is: "pod UID/container/start". Another start of the same pod and container is its
	 * predecessor. */
	char me[LEASE_HOLDER_MAX];
	/* podvisor is process 1 of its PID namespace: the kernel killed all of its predecessor's processes before
	 * the namespace ended, and that is before this one began. Anywhere else a predecessor's shim may still be at
	 * its work, and its row is waited for like a stranger's. */
	bool predecessor_is_gone;
};

enum lease_event_kind {
	LEASE_ANSWERED, /* the row as it is after the request */
	LEASE_DENIED, /* the server answered, but no row was as the request wanted it */
	LEASE_FAILED, /* no answer, or an error: nobody knows whether it was carried out */
	LEASE_HINTED, /* a notification: the lease was released, the row as it was left */
	LEASE_EVENT_COUNT
};

struct lease_event {
	enum lease_event_kind kind;
	uint64_t id; /* of the request that it answers */
	ms_t sent, received; /* CLOCK_BOOTTIME, before the send and after the receipt */
	uint64_t system; /* history in which the answer was given */
	int64_t timeline;
	int64_t server_ms; /* its clock on the wall, for people */
	struct lease_row row;
	bool preferred; /* HINTED: the one who released wants it to be taken by this replica */
};

struct lease {
	const struct lease_settings *settings;
	struct lease_epoch *epoch; /* one for all leases of a backend */
	const char *name; /* borrowed */
	enum lease_state state;
	const char *reason; /* of the state, in words */
	uint64_t moves[LEASE_REASON_COUNT];
	uint64_t renewals[2]; /* well, and not */
	uint64_t kills; /* it ended at kill_at or was lost: what ran under it was killed */
	ms_t since;
	/* what was seen */
	bool known; /* there is a row, and this is it: */
	struct lease_row seen;
	ms_t seen_at; /* receipt of the first answer in which (token, seq) were these */
	/* what is claimed, from held to releasing */
	int64_t token, timeline;
	ms_t sent_at; /* before the last successful send */
	bool lost; /* the server said so */
	/* the request under way, one at a time */
	enum lease_request request;
	uint64_t id, last_id;
	ms_t answer_due; /* then it is given up */
	ms_t next_at; /* of the next request */
	ms_t not_before; /* of taking: somebody else is to be first */
};

/* What holds for the worker's tree at this time. */
struct lease_permit {
	bool run; /* it may be started, with this: */
	int64_t timeline, token;
	bool stop; /* no new work, SIGTERM */
	bool kill; /* the whole tree, now */
	ms_t deadline; /* the shim kills by itself then; CLOCK_NEVER: nothing to hold it to */
};

/* What is asked of a lease as it stands. */
struct lease_wish {
	bool wanted; /* this replica shall hold it: it is its share, and podvisor does not drain */
	bool tree; /* a process of the worker lives, or may live */
	bool together; /* another lease of the backend is renewed now: so is this, in the same request */
};

/* Settings, epoch and name are borrowed and must outlive it. */
void lease_init(
	struct lease *l, const struct lease_settings *settings, struct lease_epoch *epoch, const char *name, ms_t now);
void lease_apply(struct lease *l, const struct lease_event *e, struct turn *t);
/* Moves with the time and with what is wished, and says what to ask for; planned twice in a turn it asks once. */
struct lease_orders lease_plan(struct lease *l, struct lease_wish wish, struct turn *t);
struct lease_permit lease_permit(const struct lease *l, ms_t now);
/* It believes to hold, and the deadline that it set itself (kill_at) has not passed. */
bool lease_is_held(const struct lease *l, ms_t now);
/* It is in its renewal period: whoever renews another takes it along. */
bool lease_renewal_is_due(const struct lease *l, ms_t now);

#endif
