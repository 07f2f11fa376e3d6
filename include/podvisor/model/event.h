/* event owns the facts that travel from the ports to the world: small values
 * without pointers, so that they can be queued, journalled and replayed. This
 * is the only page of the model that io knows. */
#ifndef PODVISOR_MODEL_EVENT_H
#define PODVISOR_MODEL_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#define EVENT_TEXT_MAX 160

/* X(enumerator, name in journals and traces) */
#define EVENT_KINDS(X)                                              \
	/* workers: slot, run */                                    \
	X(EVENT_WORKER_STARTED, "worker-started")                   \
	X(EVENT_WORKER_UNSTARTABLE, "worker-unstartable")           \
	X(EVENT_WORKER_EXITED, "worker-exited")                     \
	X(EVENT_WORKER_GONE, "worker-gone")                         \
	X(EVENT_WORKER_NOTIFIED, "worker-notified")                 \
	X(EVENT_WORKER_CHECKED, "worker-checked")                   \
	X(EVENT_WORKER_PROGRESSED, "worker-progressed")             \
	X(EVENT_WORKER_MEASURED, "worker-measured")                 \
	X(EVENT_WORKER_INSPECTED, "worker-inspected")               \
	X(EVENT_WORKER_STOP_COMMAND, "worker-stop-command")         \
	/* volumes: slot */                                         \
	X(EVENT_VOLUME_PREPARED, "volume-prepared")                 \
	X(EVENT_VOLUME_REFUSED, "volume-refused")                   \
	X(EVENT_VOLUME_MEASURED, "volume-measured")                 \
	X(EVENT_VOLUME_PURGED, "volume-purged")                     \
	X(EVENT_VOLUME_RELEASED, "volume-released")                 \
	/* the pod's memory */                                      \
	X(EVENT_MEMORY_MEASURED, "memory-measured")                 \
	X(EVENT_MEMORY_WEIGHED, "memory-weighed")                   \
	/* databases: slot, run of the session */                   \
	X(EVENT_POSTGRES_ANSWERED, "postgres-answered")             \
	X(EVENT_POSTGRES_FAILED, "postgres-failed")                 \
	X(EVENT_POSTGRES_LOST, "postgres-lost")                     \
	X(EVENT_POSTGRES_CLOSED, "postgres-closed")                 \
	/* browsers: slot, run */                                   \
	X(EVENT_BROWSER_STARTED, "browser-started")                 \
	X(EVENT_BROWSER_UNSTARTABLE, "browser-unstartable")         \
	X(EVENT_BROWSER_ANSWERED, "browser-answered")               \
	X(EVENT_BROWSER_PAGE_LOST, "browser-page-lost")             \
	X(EVENT_BROWSER_SESSIONS, "browser-sessions")               \
	X(EVENT_BROWSER_MEASURED, "browser-measured")               \
	X(EVENT_BROWSER_TIDIED, "browser-tidied")                   \
	X(EVENT_BROWSER_EXITED, "browser-exited")                   \
	X(EVENT_BROWSER_GONE, "browser-gone")                       \
	X(EVENT_BROWSER_CLEANED, "browser-cleaned")                 \
	/* leases: slot of the lease, run: number of the request */ \
	X(EVENT_LEASE_ANSWERED, "lease-answered")                   \
	X(EVENT_LEASE_DENIED, "lease-denied")                       \
	X(EVENT_LEASE_FAILED, "lease-failed")                       \
	X(EVENT_LEASE_HINTED, "lease-hinted")                       \
	X(EVENT_LEASE_MEMBER, "lease-member")                       \
	X(EVENT_LEASE_MET, "lease-met")                             \
	X(EVENT_LEASE_CALLED, "lease-called")                       \
	/* gateway */                                               \
	X(EVENT_GATEWAY_LISTENING, "gateway-listening")             \
	X(EVENT_GATEWAY_FAILED, "gateway-failed")                   \
	X(EVENT_GATEWAY_EMPTY, "gateway-empty")                     \
	/* what people and signals ask for */                       \
	X(EVENT_ASKED_START, "asked-start")                         \
	X(EVENT_ASKED_STOP, "asked-stop")                           \
	X(EVENT_ASKED_RESTART, "asked-restart")                     \
	X(EVENT_ASKED_BROWSER_START, "asked-browser-start")         \
	X(EVENT_ASKED_BROWSER_STOP, "asked-browser-stop")           \
	X(EVENT_ASKED_BROWSER_RESTART, "asked-browser-restart")     \
	X(EVENT_ASKED_SHUTDOWN, "asked-shutdown")                   \
	X(EVENT_ASKED_DRAIN, "asked-drain")                         \
	X(EVENT_ASKED_UNDRAIN, "asked-undrain")

enum event_kind {
#define EVENT_ENUM(id, name) id,
	EVENT_KINDS(EVENT_ENUM)
#undef EVENT_ENUM
		EVENT_KIND_COUNT
};

/* "worker-exited" and the like; never NULL. */
const char *event_name(enum event_kind kind);

/* Which check of a worker a result belongs to. */
enum probe { PROBE_STARTUP, PROBE_READINESS, PROBE_LIVENESS, PROBE_COUNT };
const char *probe_name(enum probe probe);

/* Which rung of the browser's ladder answered (SPEC 4). */
enum rung { RUNG_BROWSER, RUNG_RENDERER, RUNG_NETWORK, RUNG_COUNT };
const char *rung_name(enum rung rung);

/* What a rung failed at: what it is named after, or what it needs besides. */
enum rung_part { PART_NAMED, PART_PAGE, PART_GPU };

/* What kinds of processes a Chrome has, with their names in metrics. */
#define CHROME_TYPES(X)                \
	X(CHROME_BROWSER, "browser")   \
	X(CHROME_RENDERER, "renderer") \
	X(CHROME_GPU, "gpu")           \
	X(CHROME_ZYGOTE, "zygote")     \
	X(CHROME_NETWORK, "network")   \
	X(CHROME_STORAGE, "storage")   \
	X(CHROME_UTILITY, "utility")   \
	X(CHROME_CRASHPAD, "crashpad") \
	X(CHROME_OTHER, "other")

enum chrome_type {
#define CHROME_ENUM(id, name) id,
	CHROME_TYPES(CHROME_ENUM)
#undef CHROME_ENUM
		CHROME_TYPE_COUNT
};
const char *chrome_type_name(enum chrome_type type);

/* What the janitor closes, with their names in the metric. */
#define BROWSER_TIDIES(X)                      \
	X(TIDIED_IDLE_PAGE, "idle-page")       \
	X(TIDIED_IDLE_CONTEXT, "idle-context") \
	X(TIDIED_SPINNING_PAGE, "spinning-page")

enum browser_tidied {
#define TIDIED_ENUM(id, name) id,
	BROWSER_TIDIES(TIDIED_ENUM)
#undef TIDIED_ENUM
		TIDIED_COUNT
};
const char *browser_tidied_name(enum browser_tidied what);

/* Why a database check failed, told apart as SPEC 6 does. */
enum postgres_reason {
	POSTGRES_REASON_NONE,
	POSTGRES_REASON_STARTING,
	POSTGRES_REASON_RECOVERING,
	POSTGRES_REASON_READ_ONLY,
	POSTGRES_REASON_REFUSING,
	POSTGRES_REASON_UNAUTHORIZED,
	POSTGRES_REASON_NO_DATABASE,
	POSTGRES_REASON_TLS,
	POSTGRES_REASON_UNREACHABLE,
	POSTGRES_REASON_HUNG,
	POSTGRES_REASON_SLOW,
	POSTGRES_REASON_LAGGING,
	POSTGRES_REASON_OTHER,
	POSTGRES_REASON_COUNT
};
const char *postgres_reason_name(enum postgres_reason reason);

enum notify_bit {
	NOTIFIED_READY = 1,
	NOTIFIED_STOPPING = 2,
	NOTIFIED_RELOADING = 4,
	NOTIFIED_WATCHDOG = 8,
	NOTIFIED_STATUS = 16,
	NOTIFIED_PROGRESS = 32,
	NOTIFIED_EXTEND = 64,
	NOTIFIED_MAINPID = 128,
	NOTIFIED_ERRNO = 256,
	NOTIFIED_WATCHDOG_USEC = 512,
	NOTIFIED_TRIGGER = 1024,
	NOTIFIED_FDSTORE = 2048,
};

/* Why a worker may not have answered in time. */
struct event_inspection {
	bool stopped; /* its main process: by a signal or a debugger */
	int throttled_percent; /* of the time, by the cgroup's CPU limit; 0: not, or unknown */
	int pressure_percent; /* of the last 10 s in which somebody waited for a CPU (PSI); 0: none, or unknown */
};

/* What a slice of a purge did, and what it found that stays. */
struct event_purge {
	int64_t bytes; /* that became free */
	int files, directories; /* deleted */
	int open, young, failed; /* files that match and stay; of the last look through all */
	int unseen; /* processes whose open files podvisor may not see */
	bool more; /* it is not over */
};

/* Of the pod's cgroup; -1: unknown. */
struct event_memory {
	int64_t limit_bytes; /* -1: or none */
	int64_t used_bytes; /* without page cache that the kernel drops first; RAM disks are in it */
	int64_t charged_bytes; /* everything */
	int64_t limit_hits, oom_kills; /* ever */
	double pressure_ratio; /* share of the last 10 s in which some task waited for memory */
};

struct event {
	enum event_kind kind;
	uint32_t slot; /* which worker, volume, database or browser: index into the world's array */
	uint64_t run; /* which run of it; an event of an older run is ignored */
	union {
		int pid; /* *_STARTED: the main process */
		int error; /* *_UNSTARTABLE, *_REFUSED: negative errno, sentence in text */
		struct {
			int status; /* as waitpid gives it */
			int64_t cpu_us, peak_bytes;
		} exited; /* *_EXITED */
		int killed; /* *_GONE: leftovers that had to be killed; BROWSER_CLEANED: that are there nevertheless */
		struct {
			unsigned bits; /* enum notify_bit */
			int64_t progress, extend_us, errno_value, watchdog_us;
			int mainpid; /* a process of the worker */
		} notified; /* status in text */
		struct {
			enum probe probe;
			bool ok;
			bool shortage; /* it could not be made, for podvisor lacked memory, descriptors or processes */
			int64_t took_us;
		} checked; /* sentence of a failure in text */
		struct {
			bool ok;
			double value; /* NAN: null */
		} progressed; /* sentence of a failure in text */
		int64_t memory_bytes; /* WORKER_MEASURED: PSS of the tree; -1: could not be measured */
		struct event_inspection inspected;
		bool done; /* WORKER_STOP_COMMAND: it ended well; else a sentence in text */
		struct {
			int64_t used_bytes, size_bytes;
			int64_t used_inodes, size_inodes;
			bool is_tmpfs, mounted_by_us;
			struct event_purge purge; /* VOLUME_PURGED; a failure in text */
		} volume;
		struct event_memory memory; /* MEMORY_MEASURED; MEMORY_WEIGHED: every WORKER_MEASURED has been told */
		struct {
			enum postgres_reason reason;
			bool canary, in_recovery, read_only;
			bool permanent; /* retrying soon is useless: credentials, database name, TLS */
			char sqlstate[6];
			int64_t took_us, connections, max_connections, timeline, lag_ms, call_max_us;
		} postgres;
		struct {
			enum rung rung;
			bool ok;
			enum rung_part part; /* not ok: what did not answer */
			int64_t took_us;
			int port;
			bool own; /* BROWSER_PAGE_LOST: podvisor's scratch page, not a client's */
		} browser;
		struct {
			int64_t now, ever;
		} sessions; /* BROWSER_SESSIONS: of this generation */
		enum browser_tidied tidied; /* BROWSER_TIDIED; sentence in text */
		struct {
			int64_t memory_bytes; /* PSS of the tree; -1: unknown */
			int64_t pages; /* opened by clients so far */
			int64_t room_bytes; /* of the pod's memory; -1: unknown, or without a limit */
			int gpu_exits, network_exits, zygotes_lost; /* since the last one */
		} census; /* BROWSER_MEASURED */
		/* LEASE_*: the row as it is, its holder in text; times are CLOCK_BOOTTIME */
		struct {
			uint64_t system;
			int64_t timeline, server_ms;
			int64_t token, seq, granted_on, renewed_ms;
			int64_t sent, received;
			bool preferred; /* HINTED: this replica is to be first */
		} lease;
		int count; /* ASKED_SHUTDOWN: which signal it is, 1 = first; LEASE_MET: replicas that take part;
			      LEASE_MEMBER: number of one of them, from 0, its name in text */
	};
	char text[EVENT_TEXT_MAX]; /* a sentence for people, "" when there is none */
};

#endif
