/* config owns what the user wants: the validated, typed form of podvisor.json,
 * with every default filled in. Nothing outside it ever sees JSON. The keys,
 * their types, defaults and texts stand in one table (supervisor/model/
 * config_table.h) that feeds the parser, --print, the JSON Schema and the book.
 *
 * Strings are NUL-terminated, owned by the config, NULL when absent (no default).
 * String lists are NULL-terminated arrays, never NULL. Durations are ms_t, sizes
 * are bytes, ratios are whole percents. */
#ifndef PODVISOR_MODEL_CONFIG_H
#define PODVISOR_MODEL_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "podvisor/base/clock.h"
#include "podvisor/base/err.h"
#include "podvisor/wire/cron.h"

/* The things that have a name of their own in the configuration. */
enum thing {
	THING_WORKER,
	THING_POSTGRES,
	THING_VOLUME,
	THING_BROWSER,
	THING_GATEWAY,
	THING_LEASE,
	THING_POD,
	THING_COUNT
};
/* "worker", "postgres", ... as written before the colon in depends_on. */
const char *thing_name(enum thing thing);

/* A resolved reference such as "postgres:main": index into that thing's array. */
struct config_ref {
	enum thing thing;
	uint32_t index;
};

struct config_pair {
	char *name, *value;
};

enum log_format { LOG_FORMAT_JSON, LOG_FORMAT_TEXT };
enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct config_control {
	char *listen; /* host:port; NULL: no TCP endpoint */
	char *socket; /* path of the Unix socket */
	char *token; /* secret; allows POST over TCP */
};

struct config_log {
	enum log_format format;
	enum log_level level;
	ms_t block; /* how long a worker may be held back, 0: never */
	int64_t buffer_bytes; /* cap of the buffer in front of a slow stdout */
};

struct config_shutdown {
	ms_t deadline;
	ms_t stop_share; /* of it: what the workers that stop after the drain may need, one after another */
	char *termination_log;
};

enum memory_guard_mode { MEMORY_GUARD_OFF, MEMORY_GUARD_ON };

struct config_memory {
	int high_percent;
	enum memory_guard_mode guard;
};

enum volume_mount { VOLUME_MOUNT_EXPECT, VOLUME_MOUNT_CREATE, VOLUME_MOUNT_ANY };

struct config_volume {
	char *name, *path;
	int64_t size_bytes;
	enum volume_mount mount;
	int mode; /* permission bits of the mount point */
	char *owner; /* user[:group], names or numbers; NULL: leave */
	int high_percent, low_percent;
	char **purge;
	ms_t min_age;
	char **on_full;
	bool clean_on_start;
};

enum postgres_require { POSTGRES_READ_WRITE, POSTGRES_ANY };
enum postgres_readiness { POSTGRES_READINESS_DEGRADE, POSTGRES_READINESS_STRICT, POSTGRES_READINESS_IGNORE };

struct config_postgres {
	char *name;
	char *dsn; /* secret */
	ms_t interval, timeout, canary_interval, resolve_timeout;
	int failure_threshold, success_threshold;
	ms_t failure_time, success_time;
	enum postgres_require require;
	ms_t slow, max_replication_lag, max_transaction_age; /* 0: no limit */
	int max_connections_used_percent;
	enum postgres_readiness readiness;
	ms_t unready_after, recovery_spread;
};

enum lease_backend { LEASE_BACKEND_POSTGRES, LEASE_BACKEND_KUBERNETES };
enum lease_prefer { LEASE_PREFER_NEWEST, LEASE_PREFER_ANY };

#define CONFIG_LEASE_MAX 61 /* bytes of a lease's name, with its NUL */

struct config_leases {
	bool present;
	enum lease_backend backend;
	char *postgres, *schema;
	char *namespace, *service_account; /* of Kubernetes; NULL: the pod's own */
	ms_t ttl, renew, attempt, drain_at, kill_at;
	enum lease_prefer prefer;
};

/* CHECK_DELAY: of startup alone; initial_delay is over. */
enum check_kind { CHECK_NONE, CHECK_HTTP, CHECK_TCP, CHECK_EXEC, CHECK_FILE, CHECK_NOTIFY, CHECK_DELAY };

struct config_check {
	bool present;
	enum check_kind kind; /* CHECK_NONE: not configured */
	char *http; /* URL */
	struct config_pair *headers;
	size_t n_headers;
	int expect_status; /* 0: any 2xx or 3xx */
	char *tcp; /* host:port */
	char **exec;
	char *file; /* exists */
	bool notify;
	ms_t initial_delay, interval, timeout;
	int success_threshold, failure_threshold;
};

enum progress_action { PROGRESS_RESTART, PROGRESS_REPORT };

struct config_progress {
	bool present, notify;
	char *postgres, *sql;
	ms_t stalled_after, max_age, interval;
	enum progress_action action;
};

enum restart_policy { RESTART_ALWAYS, RESTART_ON_FAILURE, RESTART_NEVER };
/* RESTART_LIMIT_AUTO: fail, or exit for a critical worker. */
enum restart_limit_action { RESTART_LIMIT_AUTO, RESTART_LIMIT_FAIL, RESTART_LIMIT_EXIT };

/* restart.limit.count is at most this: so many restarts are remembered. */
#define CONFIG_RESTARTS_MAX 64

struct config_restart {
	enum restart_policy policy;
	struct {
		ms_t initial, max, reset_after;
		int factor_percent, jitter_percent;
	} backoff;
	struct {
		int count;
		ms_t window;
		enum restart_limit_action action;
	} limit;
};

enum stop_phase { STOP_ON_TERM, STOP_AFTER_DRAIN };

struct config_stop {
	int signal; /* number */
	ms_t timeout;
	char **command;
	enum stop_phase phase;
};

struct config_limits {
	int64_t memory_bytes; /* 0: none */
	int64_t open_files; /* -1: inherit */
	int64_t core_bytes; /* -1: inherit */
	int64_t cpu_seconds; /* -1: inherit */
	int nice; /* INT_MIN: inherit */
	int oom_score_adj; /* INT_MIN: inherit */
};

enum job_overlap { JOB_OVERLAP_SKIP, JOB_OVERLAP_QUEUE, JOB_OVERLAP_REPLACE };
enum database_loss { DATABASE_LOSS_STOP, DATABASE_LOSS_KEEP };
enum worker_kind { WORKER_SERVICE, WORKER_TASK, WORKER_JOB };
enum dependency_loss { DEPENDENCY_LOSS_KEEP, DEPENDENCY_LOSS_PAUSE, DEPENDENCY_LOSS_RESTART };
enum worker_log_format { WORKER_LOG_AUTO, WORKER_LOG_JSON, WORKER_LOG_TEXT, WORKER_LOG_PASSTHROUGH };

struct config_worker_log {
	enum worker_log_format format;
	int64_t max_line_bytes;
	int64_t rate; /* lines a second, 0: no limit */
	char *multiline;
};

struct config_worker {
	char *name;
	char **command;
	char *cwd;
	struct config_pair *env;
	size_t n_env;
	char **env_files;
	int umask; /* -1: inherit */
	char *user, *group;
	enum worker_kind kind;
	char *schedule, *timezone; /* jobs; schedule NULL: every */
	struct cron cron; /* schedule, as it is understood */
	struct tzif *zone; /* timezone's; NULL: UTC */
	ms_t every, deadline; /* jobs; 0: none */
	enum job_overlap overlap;
	int instances;
	char **depends_on_names;
	struct config_ref *depends_on; /* depends_on_names, resolved */
	size_t n_depends_on;
	enum dependency_loss on_dependency_loss;
	ms_t grace;
	struct config_check readiness, liveness, startup;
	struct config_progress progress;
	struct config_restart restart;
	struct config_stop stop;
	struct config_limits limits;
	char *lease;
	bool lease_spread, standby_warm;
	enum database_loss on_database_loss; /* of a leased worker */
	char **restart_with_names;
	struct config_ref *restart_with; /* restart_with_names, resolved */
	size_t n_restart_with;
	bool critical;
	struct config_worker_log log;
	bool interactive; /* run -- COMMAND: keeps podvisor's own stdin, stdout and stderr */
};

enum browser_sandbox { BROWSER_SANDBOX_AUTO, BROWSER_SANDBOX_ON, BROWSER_SANDBOX_OFF };
enum browser_client_close { BROWSER_CLOSE_DETACH, BROWSER_CLOSE_ALLOW };

struct config_rung {
	ms_t interval, timeout;
	int failure_threshold;
};

struct config_browser {
	char *name, *executable; /* executable NULL: the first of the known ones */
	char **args;
	char *user;
	struct config_pair *env;
	size_t n_env;
	enum browser_sandbox sandbox;
	char *listen, *token; /* token is a secret */
	char **allow_origins;
	char *volume;
	struct config_ref volume_ref;
	struct config_rung health_browser, health_renderer, health_network;
	ms_t start_timeout;
	struct {
		ms_t age;
		int64_t pages, sessions, memory_bytes, memory_hard_bytes, per_hour;
		int disk_percent, disk_hard_percent;
	} recycle;
	int64_t overlap_memory_bytes, overlap_disk_bytes;
	ms_t drain;
	struct {
		ms_t idle, spin;
	} janitor; /* 0: off */
	int64_t max_sessions, queue;
	ms_t queue_timeout;
	enum browser_client_close client_close;
	bool critical;
};

struct config_route {
	char *path;
	char *worker;
	struct config_ref worker_ref; /* valid when worker is set */
	char *to; /* host:port or unix:PATH */
	char *rewrite;
	int drain_code; /* 0: the gateway's */
	char *drain_reason; /* NULL: the gateway's */
};

enum access_log { ACCESS_LOG_OFF, ACCESS_LOG_ERRORS, ACCESS_LOG_ALL };
enum forwarded_mode { FORWARDED_APPEND, FORWARDED_REPLACE, FORWARDED_OFF };

struct config_drain {
	int code;
	char *reason;
	ms_t lame_duck, http_grace, spread, message_wait, boundary_wait, close_timeout, linger;
};

struct config_gateway {
	bool present;
	char *listen;
	struct config_route *routes; /* sorted: longest path first */
	size_t n_routes;
	enum forwarded_mode forwarded;
	enum access_log access_log;
	char **trusted; /* CIDR networks */
	int64_t max_connections, header_bytes, max_headers, max_body_bytes, body_rate,
		requests_per_connection; /* 0: none */
	ms_t header_timeout, idle_timeout, connect_timeout, response_timeout, websocket_idle_timeout; /* 0: none */
	ms_t hold;
	int64_t hold_requests;
	struct config_drain drain;
};

/* Immutable once loaded. Counted: the world keeps an old one alive for as long
 * as a worker still runs with it. */
struct config {
	int refs;
	char *schema; /* "$schema", for editors; means nothing here */
	char *instance;
	struct config_control control;
	struct config_log log;
	struct config_shutdown shutdown;
	struct config_memory memory;
	struct config_leases leases;
	struct config_volume *volumes;
	size_t n_volumes;
	struct config_postgres *postgres;
	size_t n_postgres;
	struct config_browser *browsers;
	size_t n_browsers;
	struct config_worker *workers;
	size_t n_workers;
	struct config_gateway gateway;
	/* Strings above, by address, that came from ${file:} or from a variable
	 * whose name tells that it is secret. They are shown nowhere. */
	const char **secrets;
	size_t n_secrets;
	/* What is secret in them, the longest first; owned. */
	char **secret_values;
	size_t n_secret_values;
};

/* What the configuration needs from outside, so that this room stays pure. */
struct config_source {
	void *ctx;
	/* Value of an environment variable, NULL when unset. Borrowed. */
	const char *(*variable)(void *ctx, const char *name);
	const char *host; /* what ${HOSTNAME} is where the environment has none: shells do not export theirs; NULL:
			     nothing */
	/* Contents of the file of ${file:PATH}, malloc'ed, or NULL with a sentence in err that names the path. */
	char *(*file)(void *ctx, const char *path, struct err *err);
	/* Contents of the tz database's file of that name ("Europe/Berlin"), malloc'ed and len
	 * bytes long, or NULL with a sentence in err that names the path. */
	void *(*zone)(void *ctx, const char *name, size_t *len, struct err *err);
	/* Whether libpq takes that connection string: 0, or negative with a sentence in err that shows nothing of it.
	 * NULL: it is not asked. */
	int (*dsn)(void *ctx, const char *dsn, struct err *err);
};

/* One mistake; line and column count from 1. */
struct config_mistake {
	int line, column;
	char path[160]; /* "workers.api.stop.timeout" */
	char text[256]; /* what is wrong (what was expected) */
};

/* All mistakes of one run; beyond the cap they are only counted. */
#define CONFIG_MISTAKES_MAX 200
struct config_report {
	struct config_mistake items[CONFIG_MISTAKES_MAX];
	size_t count; /* items filled; beside a configuration they are warnings */
	size_t more; /* found beyond the cap */
};

/* Parses and validates text. NULL when there is any mistake; they are all in
 * report (caller's memory, filled anew), in the order of the file. Beside a
 * configuration it holds warnings instead: what is allowed, but hardly meant. */
struct config *config_parse(
	const char *text, size_t len, const struct config_source *source, struct config_report *report);
/* A configuration of defaults with one critical worker "main" that is never
 * restarted, as `podvisor run -- COMMAND` wants it. NULL: out of memory. */
struct config *config_for_command(char *const argv[]);

struct config *config_hold(struct config *c);
void config_release(struct config *c); /* NULL is fine */

/* The effective configuration as JSON, defaults filled in, secrets "***".
 * malloc'ed; NULL: out of memory. */
char *config_print(const struct config *c);
/* JSON Schema (draft-07) of the table, for editors; ends with a newline, as
 * config_print and config_reference do. malloc'ed. */
char *config_schema(void);
/* The page of the book that lists every key, in Markdown. malloc'ed. */
char *config_reference(void);
/* What libpq takes, with its passwords replaced by "***": both of a URI and of
 * key=value pairs. malloc'ed; NULL: out of memory. */
char *config_masked_dsn(const char *dsn);
/* Puts "***" in the place of every secret value of c in text, which does not grow. A beginning of one at
 * the very end counts, for a sentence may have been cut there. Values of less than CONFIG_CONCEAL_LEAST
 * bytes stay: they are in every sentence. */
#define CONFIG_CONCEAL_LEAST 4
void config_conceal(const struct config *c, char *text);
/* A copy of the words of a command as they may be shown: "***" is in the place of what is secret in them, and of
 * the word behind a "--password". For config_strings_free; NULL: out of memory. */
char **config_shown_strings(const struct config *c, char *const strings[]);
void config_strings_free(char **strings); /* NULL is fine */
/* Whether a variable, header or option of that name holds a secret: TOKEN, DB_PASSWORD, Authorization. */
bool config_name_is_secret(const char *name);

/* Whether two entries are the same as far as running them goes; a reload
 * restarts only what differs. */
bool config_equal(const struct config *a, const struct config *b);
bool config_worker_equal(const struct config_worker *a, const struct config_worker *b);
bool config_browser_equal(const struct config_browser *a, const struct config_browser *b);
bool config_postgres_equal(const struct config_postgres *a, const struct config_postgres *b);
bool config_leases_equal(const struct config_leases *a, const struct config_leases *b);
bool config_volume_equal(const struct config_volume *a, const struct config_volume *b);
bool config_gateway_equal(const struct config_gateway *a, const struct config_gateway *b);

#endif
