/* snapshot owns the one picture that probes, metrics, the API and the dashboard
 * are drawn from: the world, and the meters of those parts whose bytes never
 * enter it. Everything in it is borrowed and valid for the current turn. */
#ifndef PODVISOR_MODEL_SNAPSHOT_H
#define PODVISOR_MODEL_SNAPSHOT_H

#include <stdint.h>

#include "podvisor/base/histogram.h"
#include "podvisor/model/world.h"

enum gateway_close {
	GATEWAY_CLEAN,
	GATEWAY_PEER_FIRST,
	GATEWAY_CLIENT_TIMEOUT,
	GATEWAY_UNCLEAN,
	GATEWAY_RESET,
	GATEWAY_CLOSE_COUNT
};
/* "clean", "peer_first", "client_timeout", "unclean_mid_frame", "reset" */
const char *gateway_close_name(enum gateway_close close);

#define METER_ROUTES_MAX  64
#define METER_CLOSE_CODES 16

/* Of the drain that is under way, or of the last one. */
struct gateway_drain {
	uint64_t results[GATEWAY_CLOSE_COUNT]; /* its WebSockets that have ended */
	uint64_t discarded_bytes, requests_cut;
	ms_t longest_handshake_ms;
	ms_t slots_until, requests_until; /* the last slot; when requests in flight are cut; 0: none began yet */
};

/* Filled by runtime/gateway. Index [0] client to backend, [1] backend to client. */
struct gateway_meter {
	int64_t http, idle, websocket; /* connections now */
	uint64_t requests[METER_ROUTES_MAX][6]; /* by route and class: 0 = no answer sent, 1xx .. 5xx */
	struct histogram request_seconds;
	uint64_t messages[2], bytes[2];
	uint64_t closes_by_client, closes_by_backend, closes_by_podvisor;
	uint64_t drained[GATEWAY_CLOSE_COUNT];
	uint64_t discarded_bytes;
	struct gateway_drain drain;
	struct histogram close_delay_seconds, handshake_seconds;
};

/* Filled by runtime/logs, by worker slot. */
struct log_meter {
	char worker[64]; /* whom it counts: the slot may have gone to another one meanwhile */
	uint64_t lines[2]; /* by stream: 0 stdout, 1 stderr */
	uint64_t dropped; /* of them, by its rate */
};

/* Filled by runtime/workers from /proc, a few seconds old at most. */
struct usage_meter {
	int64_t memory_bytes; /* PSS of the tree */
	int64_t open_fds;
	int64_t processes;
	double cpu_seconds; /* of the tree and of all ended runs */
};

/* Filled by runtime/browser. */
struct browser_meter {
	int64_t sessions, queued, pages_attached, pages_detached; /* of all its generations, like all of these */
	bool sandboxed; /* each of them */
	int64_t processes[CHROME_TYPE_COUNT], memory_bytes[CHROME_TYPE_COUNT];
};

struct meters {
	struct gateway_meter gateway;
	struct log_meter *logs; /* by worker slot; may be NULL */
	size_t n_logs;
	struct usage_meter *usage; /* by worker slot; may be NULL */
	size_t n_usage;
	struct browser_meter *browsers; /* by browser slot; may be NULL */
	size_t n_browsers;
	uint64_t log_dropped_lines; /* because stdout was slower */
	uint64_t orphans_reaped;
	struct histogram loop_lag_seconds;
	struct event_memory memory; /* of the pod's cgroup, filled by runtime/pod_memory */
};

struct snapshot {
	const struct world *world;
	const struct meters *meters;
	ms_t now; /* monotonic, as in the world */
	int64_t wall_ms; /* Unix time of now, so that points in time can be shown */
	ms_t started_at; /* when podvisor started */
};

/* Unix milliseconds of a point of the monotonic clock. */
static inline int64_t snapshot_wall_ms(const struct snapshot *s, ms_t at)
{
	return s->wall_ms - (s->now - at);
}

#endif
