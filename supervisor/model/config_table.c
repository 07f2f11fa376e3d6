#include "config_table.h"

#include <limits.h>

/* A key whose field is a member of a struct, with its default as one would write it. */
#define KEY(name_, type_, struct_, member_, fallback_, ...)                                           \
	{                                                                                             \
		.name = (name_), .type = CONFIG_##type_, .offset = offsetof(struct struct_, member_), \
		.width = sizeof(((struct struct_ *)0)->member_), .fallback = (fallback_), __VA_ARGS__ \
	}
/* A section without a struct of its own: its keys fill the one around it. */
#define WITHIN(name_, section_, ...)                                                       \
	{                                                                                  \
		.name = (name_), .type = CONFIG_SECTION, .section = &section_, __VA_ARGS__ \
	}
#define COUNTED(struct_, member_) .count_offset = offsetof(struct struct_, member_)
#define WORD(text_, value_)       .word = (text_), .word_value = (value_)
#define NONE                      WORD("none", 0)
#define A_THING(thing_)           .syntax = CONFIG_REFERENCE, .things = 1U << (thing_), .bare = (thing_)
#define DAY                       ((ms_t)24 * 3600 * 1000)
#define MILLION                   1000000

static const struct config_word words_log_format[] = {{.word = "json"}, {.word = "text"}, {0}};
static const struct config_word words_log_level[] = {
	{.word = "debug"}, {.word = "info"}, {.word = "warn"}, {.word = "error"}, {0}};
static const struct config_word words_mount[] = {{.word = "expect"}, {.word = "create"}, {.word = "any"}, {0}};
static const struct config_word words_guard[] = {{.word = "off"}, {.word = "on"}, {0}};
static const struct config_word words_require[] = {{.word = "read-write"}, {.word = "any"}, {0}};
static const struct config_word words_readiness[] = {{.word = "degrade"}, {.word = "strict"}, {.word = "ignore"}, {0}};
static const struct config_word words_lease_backend[] = {{.word = "postgres"}, {.word = "kubernetes"}, {0}};
static const struct config_word words_prefer[] = {{.word = "newest"}, {.word = "any"}, {0}};
static const struct config_word words_kind[] = {{.word = "service"}, {.word = "task"}, {.word = "job"}, {0}};
static const struct config_word words_overlap[] = {{.word = "skip"}, {.word = "queue"}, {.word = "replace"}, {0}};
static const struct config_word words_loss[] = {{.word = "keep"}, {.word = "pause"}, {.word = "restart"}, {0}};
static const struct config_word words_database_loss[] = {{.word = "stop"}, {.word = "keep"}, {0}};
static const struct config_word words_standby[] = {{.word = "cold"}, {.word = "warm"}, {0}};
static const struct config_word words_action[] = {{.word = "restart"}, {.word = "report"}, {0}};
static const struct config_word words_policy[] = {{.word = "always"}, {.word = "on-failure"}, {.word = "never"}, {0}};
static const struct config_word words_limit[] = {{.word = "auto"}, {.word = "fail"}, {.word = "exit"}, {0}};
static const struct config_word words_phase[] = {{.word = "on-term"}, {.word = "after-drain"}, {0}};
static const struct config_word words_worker_log[] = {
	{.word = "auto"}, {.word = "json"}, {.word = "text"}, {.word = "passthrough"}, {0}};
static const struct config_word words_sandbox[] = {{.word = "auto"}, {.word = "on"}, {.word = "off"}, {0}};
static const struct config_word words_client_close[] = {{.word = "detach"}, {.word = "allow"}, {0}};
static const struct config_word words_access_log[] = {{.word = "off"}, {.word = "errors"}, {.word = "all"}, {0}};
static const struct config_word words_forwarded[] = {{.word = "append"}, {.word = "replace"}, {.word = "off"}, {0}};

static const struct config_key control_keys[] = {
	KEY("listen", STRING, config_control, listen, "0.0.0.0:9400", .syntax = CONFIG_ADDRESS, WORD("none", 0),
		.text = "Address of probes, metrics, API and dashboard; `none` keeps only the Unix socket."),
	KEY("socket", STRING, config_control, socket, "/run/podvisor/control.sock", .syntax = CONFIG_SOCKET,
		.text = "Unix socket that the commands talk to."),
	KEY("token", STRING, config_control, token, NULL, .secret = true,
		.text = "Bearer token that allows actions over TCP; without it they are possible on the Unix socket "
			"only."),
	{0},
};
static const struct config_section section_control = {
	.name = "control", .text = "Where podvisor is asked: probes, metrics, API.", .keys = control_keys};

static const struct config_key log_keys[] = {
	KEY("format", CHOICE, config_log, format, "json", .words = words_log_format,
		.text = "Form of podvisor's output: one JSON object a line, or text for people."),
	KEY("level", CHOICE, config_log, level, "info", .words = words_log_level,
		.text = "The least important lines of podvisor's own that are written."),
	KEY("block", DURATION, config_log, block, "0s", .max = DAY,
		.text = "How much longer than one second a stdout that takes nothing may hold workers back, before "
			"they are read regardless and the oldest lines go."),
	KEY("buffer", SIZE, config_log, buffer_bytes, "4Mi", .min = 65536, .max = (int64_t)1 << 30,
		.text = "Cap of the buffer in front of a slow stdout. From half of it on workers are read at stdout's "
			"pace; beyond it the oldest lines go."),
	{0},
};
static const struct config_section section_log = {
	.name = "log", .text = "What podvisor writes to its stdout.", .keys = log_keys};

static const struct config_key shutdown_keys[] = {
	KEY("deadline", DURATION, config_shutdown, deadline, "55s", .min = 1000, .max = DAY,
		.text = "Budget of the whole ordered stop, drain included; shorter than the pod's grace period. One "
			"second "
			"before it is over everything that still runs is killed; two seconds after it podvisor ends "
			"with code 1 "
			"and tells what it left, whatever hangs."),
	KEY("termination_log", STRING, config_shutdown, termination_log, "/dev/termination-log", .syntax = CONFIG_PATH,
		WORD("none", 0),
		.text = "File that is told why the pod ended, in at most 4096 bytes; made if it is not there, but for "
			"the "
			"default, which the kubelet makes. `none` writes nothing."),
	{0},
};
static const struct config_section section_shutdown = {
	.name = "shutdown", .text = "How podvisor ends.", .keys = shutdown_keys};

static const struct config_key memory_keys[] = {
	KEY("high", PERCENT, config_memory, high_percent, "90%", .min = 1, .max = 100,
		.text = "Share of the pod's memory limit above which RAM disks are purged, browsers recycled, workers "
			"restarted, one after the other, until use is below (ram-disks.md)."),
	KEY("guard", CHOICE, config_memory, guard, "on", .words = words_guard,
		.text = "`off`: use is shown, and nothing is done about it."),
	{0},
};
static const struct config_section section_memory = {
	.name = "memory", .text = "The memory limit that the whole pod shares.", .keys = memory_keys};

static const struct config_key volume_keys[] = {
	KEY("path", STRING, config_volume, path, NULL, .syntax = CONFIG_PATH, .required = true, .text = "Mount point."),
	KEY("size", SIZE, config_volume, size_bytes, NULL, .required = true, .min = 4096,
		.text = "How much is allowed."),
	KEY("mount", CHOICE, config_volume, mount, "expect", .words = words_mount,
		.text = "`expect`: must be a tmpfs, or podvisor refuses to start; `create`: mount a tmpfs if it is "
			"none (needs the capability); `any`: works on a disk too, and says so."),
	KEY("mode", MODE, config_volume, mode, "1777", .max = 07777,
		.text = "Permission bits of the mount point, octal."),
	KEY("owner", STRING, config_volume, owner, NULL, .fallback_text = "left as it is",
		.text = "Owner of the mount point: `user` or `user:group`, names or numbers."),
	KEY("high", PERCENT, config_volume, high_percent, "85%", .min = 1, .text = "Purge above this."),
	KEY("low", PERCENT, config_volume, low_percent, "70%", .text = "Purge until below this."),
	KEY("purge", STRINGS, config_volume, purge, "", .syntax = CONFIG_GLOB,
		.text = "What may be deleted: globs under `path`, oldest first, never a file that a process has open "
			"(ram-disks.md)."),
	KEY("min_age", DURATION, config_volume, min_age, "0s",
		.text = "Nothing younger is deleted; a file's age counts from the newest of mtime, ctime and atime."),
	KEY("on_full", STRINGS, config_volume, on_full, "", .syntax = CONFIG_REFERENCE,
		.things = 1U << THING_WORKER | 1U << THING_BROWSER, .bare = THING_WORKER,
		.text = "Workers (`NAME` or `worker:NAME`) and browsers (`browser:NAME`) to restart when it is still "
			"above `high` after a purge; not again within 10 minutes, and then ever more rarely."),
	KEY("clean_on_start", BOOL, config_volume, clean_on_start, "true", .text = "Start empty."),
	{0},
};
const struct config_section config_section_volume = {
	.name = "volume", .text = "A RAM disk.", .keys = volume_keys, .size = sizeof(struct config_volume)};

static const struct config_key postgres_keys[] = {
	KEY("dsn", STRING, config_postgres, dsn, NULL, .syntax = CONFIG_DSN, .required = true,
		.text = "Anything libpq takes: URI, key=value, service, several hosts, TLS. libpq judges it when the "
			"configuration is read. The password is shown nowhere."),
	KEY("interval", DURATION, config_postgres, interval, "5s", .min = 100,
		.text = "Between checks of the kept session."),
	KEY("timeout", DURATION, config_postgres, timeout, "2s", .min = 10, .text = "Until a check has failed."),
	KEY("canary_interval", DURATION, config_postgres, canary_interval, "60s", .min = 100,
		.text = "Between checks by a fresh connection (and one at every failure)."),
	KEY("resolve_timeout", DURATION, config_postgres, resolve_timeout, "2s", .min = 10,
		.text = "Until a name resolution has failed."),
	KEY("failure_threshold", NUMBER, config_postgres, failure_threshold, "3", .min = 1, .max = 1000,
		.text = "Down after so many failures in a row ..."),
	KEY("failure_time", DURATION, config_postgres, failure_time, "10s", .text = "... that took at least so long."),
	KEY("success_threshold", NUMBER, config_postgres, success_threshold, "2", .min = 1, .max = 1000,
		.text = "Up again after so many successes in a row ..."),
	KEY("success_time", DURATION, config_postgres, success_time, "2s", .text = "... that took at least so long."),
	KEY("require", CHOICE, config_postgres, require, "read-write", .words = words_require,
		.text = "Whether a server that cannot write counts as up (`any`) or not."),
	KEY("slow", DURATION, config_postgres, slow, "500ms", NONE, .text = "Degraded when a check takes longer."),
	KEY("max_replication_lag", DURATION, config_postgres, max_replication_lag, "none", NONE,
		.text = "Degraded when a standby is further behind."),
	KEY("max_connections_used", PERCENT, config_postgres, max_connections_used_percent, "90%", WORD("none", 100),
		.min = 1, .text = "Degraded when more of the server's connections are in use."),
	KEY("max_transaction_age", DURATION, config_postgres, max_transaction_age, "none", NONE, .planned = true,
		.text = "Degraded when a transaction is older."),
	KEY("readiness", CHOICE, config_postgres, readiness, "degrade", .words = words_readiness,
		.text = "`degrade`: the pod is unready before the first success, afterwards only when the database is "
			"away for `unready_after`; `strict`: unready whenever it is down; `ignore`: never."),
	KEY("unready_after", DURATION, config_postgres, unready_after, "60s",
		.text = "See `readiness`; plus up to 10s of jitter for each pod."),
	KEY("recovery_spread", DURATION, config_postgres, recovery_spread, "5s",
		.text = "When it returns, workers that wait for it start spread over this time."),
	{0},
};
const struct config_section config_section_postgres = {.name = "postgres",
	.text = "A PostgreSQL that is watched.",
	.keys = postgres_keys,
	.size = sizeof(struct config_postgres)};

static const struct config_key leases_keys[] = {
	KEY("backend", CHOICE, config_leases, backend, "postgres", .words = words_lease_backend,
		.text = "Where leases live: rows in PostgreSQL, or Kubernetes Lease objects."),
	KEY("postgres", STRING, config_leases, postgres, NULL, A_THING(THING_POSTGRES),
		.fallback_text = "required by the backend `postgres`", .text = "Which entry of `postgres` holds them."),
	KEY("schema", STRING, config_leases, schema, "podvisor", .syntax = CONFIG_IDENTIFIER,
		.text = "Schema of podvisor's tables; names of Lease objects begin with it."),
	KEY("namespace", STRING, config_leases, namespace, NULL, .syntax = CONFIG_DNS_LABEL,
		.fallback_text = "the pod's own", .text = "Kubernetes: namespace of the Lease objects."),
	KEY("service_account", STRING, config_leases, service_account, NULL, .syntax = CONFIG_PATH,
		.fallback_text = "where Kubernetes puts it",
		.text = "Kubernetes: folder with `token`, `ca.crt` and `namespace`."),
	KEY("ttl", DURATION, config_leases, ttl, "15s", .min = 1000, .max = DAY, .text = "Term of a lease."),
	KEY("renew", DURATION, config_leases, renew, "3s", .min = 100, .max = DAY,
		.text = "Between renewals, give or take 10%."),
	KEY("attempt", DURATION, config_leases, attempt, "2s", .min = 100, .max = DAY,
		.text = "Deadline of one renewal."),
	KEY("drain_at", DURATION, config_leases, drain_at, "9s", .min = 100, .max = DAY,
		.text = "Since the last successful renewal: the worker gets SIGTERM."),
	KEY("kill_at", DURATION, config_leases, kill_at, "12s", .min = 100, .max = DAY,
		.text = "Since the last successful renewal: SIGKILL of all it started. Must hold: renew + attempt < "
			"drain_at < kill_at <= 80% of ttl."),
	KEY("prefer", CHOICE, config_leases, prefer, "newest", .words = words_prefer,
		.text = "Who gets a handed-over lease."),
	{0},
};
const struct config_section config_section_leases = {.name = "leases",
	.text = "Workers that run in one replica at a time.",
	.keys = leases_keys,
	.has_present = true,
	.present_offset = offsetof(struct config_leases, present)};

static const struct config_key check_keys[] = {
	KEY("http", STRING, config_check, http, NULL, .syntax = CONFIG_URL,
		.text = "A GET of this URL answers 2xx or 3xx."),
	KEY("headers", PAIRS, config_check, headers, NULL, .syntax = CONFIG_ANYTHING, COUNTED(config_check, n_headers),
		.text = "Header fields of the request."),
	KEY("expect_status", NUMBER, config_check, expect_status, "any", WORD("any", 0), .quiet = true, .min = 100,
		.max = 599, .text = "The one status that is good; `any`: each 2xx and 3xx."),
	KEY("tcp", STRING, config_check, tcp, NULL, .syntax = CONFIG_ADDRESS,
		.text = "A connection to this address succeeds."),
	KEY("exec", STRINGS, config_check, exec, NULL, .syntax = CONFIG_ANYTHING, .at_least_one = true,
		.text = "This command ends with code 0."),
	KEY("file", STRING, config_check, file, NULL, .syntax = CONFIG_PATH, .text = "This file exists."),
	KEY("notify", BOOL, config_check, notify, "false", .quiet = true,
		.text = "The worker says so itself (sd_notify): `READY=1` for readiness and startup, `WATCHDOG=1` "
			"within `timeout` for liveness. Startup fails when `READY=1` has not come within "
			"`initial_delay` + "
			"`interval` x `failure_threshold`, or as much later as the worker asks for by "
			"`EXTEND_TIMEOUT_USEC`."),
	KEY("initial_delay", DURATION, config_check, initial_delay, "0s",
		.text = "From the start of the worker to the first check."),
	KEY("interval", DURATION, config_check, interval, "10s", .min = 10, .text = "Between checks."),
	KEY("timeout", DURATION, config_check, timeout, "1s", .min = 1, .text = "Until a check has failed."),
	KEY("success_threshold", NUMBER, config_check, success_threshold, "1", .min = 1, .max = 1000,
		.text = "Good after so many in a row."),
	KEY("failure_threshold", NUMBER, config_check, failure_threshold, "3", .min = 1, .max = 1000,
		.text = "Bad after so many in a row."),
	{0},
};
static const struct config_section section_check = {.name = "check",
	.text = "A check: exactly one of `http`, `tcp`, `exec`, `file` and `notify`, and when it counts. `startup` may "
		"be a time "
		"instead, `initial_delay` alone: it has started when it has lasted so long.",
	.keys = check_keys,
	.has_present = true,
	.present_offset = offsetof(struct config_check, present)};

static const struct config_key progress_keys[] = {
	KEY("notify", BOOL, config_progress, notify, "false", .quiet = true,
		.text = "The number comes from the worker's `X_PROGRESS=` notification."),
	KEY("postgres", STRING, config_progress, postgres, NULL, A_THING(THING_POSTGRES),
		.text = "Where `sql` is asked."),
	KEY("sql", STRING, config_progress, sql, NULL,
		.text = "The number is this query's answer: one row, one column, read-only, within the database's "
			"`timeout`. While it cannot be read, nothing is held against the worker."),
	KEY("stalled_after", DURATION, config_progress, stalled_after, "5m", .min = 1000,
		.text = "Unchanged for so long is stalled."),
	KEY("max_age", DURATION, config_progress, max_age, "none", NONE,
		.text = "The query answers with an age in seconds instead: stalled when it has been greater than this "
			"for "
			"`stalled_after`."),
	KEY("interval", DURATION, config_progress, interval, "10s", .min = 100, .text = "Between queries."),
	KEY("action", CHOICE, config_progress, action, "restart", .words = words_action,
		.text = "What happens then: `restart` it, or only `report` it (log, event, metric)."),
	{0},
};
static const struct config_section section_progress = {.name = "progress",
	.text = "Work must move forward.",
	.keys = progress_keys,
	.has_present = true,
	.present_offset = offsetof(struct config_progress, present)};

static const struct config_key backoff_keys[] = {
	KEY("initial", DURATION, config_restart, backoff.initial, "100ms", .min = 1, .text = "The first delay."),
	KEY("factor", FACTOR, config_restart, backoff.factor_percent, "2", .min = 100, .max = 10000,
		.text = "Each delay is so many times the one before; up to two decimals."),
	KEY("max", DURATION, config_restart, backoff.max, "30s", .min = 1, .text = "The longest delay."),
	KEY("jitter", PERCENT, config_restart, backoff.jitter_percent, "20%",
		.text = "Each delay is changed at random by up to so much."),
	KEY("reset_after", DURATION, config_restart, backoff.reset_after, "60s",
		.text = "A run that lasted so long was healthy: the next restart is immediate."),
	{0},
};
static const struct config_section section_backoff = {
	.name = "backoff", .text = "How long to wait before a restart.", .keys = backoff_keys};

static const struct config_key limit_keys[] = {
	KEY("count", NUMBER, config_restart, limit.count, "10", .min = 1, .max = CONFIG_RESTARTS_MAX,
		.text = "So many restarts ..."),
	KEY("window", DURATION, config_restart, limit.window, "10m", .min = 1000,
		.text = "... within this time are enough."),
	KEY("action", CHOICE, config_restart, limit.action, "auto", .words = words_limit,
		.text = "`fail`: it stays down until someone starts it; `exit`: podvisor stops in order and ends with "
			"the worker's code, so that Kubernetes takes over; `auto`: `exit` for a critical worker, else "
			"`fail`."),
	{0},
};
static const struct config_section section_limit = {
	.name = "limit", .text = "When restarting has no point any more.", .keys = limit_keys};

static const struct config_key restart_keys[] = {
	KEY("policy", CHOICE, config_restart, policy, "always", .words = words_policy,
		.text = "After which ends a worker is started again. A task that succeeded never is. A job's default "
			"is `never`: it waits for its next time; with `on-failure` a run that failed is tried again "
			"before."),
	WITHIN("backoff", section_backoff, .text = "Delay before a restart."),
	WITHIN("limit", section_limit, .text = "When to give up."),
	{0},
};
static const struct config_section section_restart = {
	.name = "restart", .text = "What happens when a worker ends by itself.", .keys = restart_keys};

static const struct config_key stop_keys[] = {
	KEY("signal", SIGNAL, config_stop, signal, "SIGTERM", .text = "Asks the worker to end."),
	KEY("timeout", DURATION, config_stop, timeout, "10s", .text = "Then SIGKILL to everything it started."),
	KEY("command", STRINGS, config_stop, command, NULL, .syntax = CONFIG_ANYTHING, .at_least_one = true,
		.text = "Runs first, as the worker's user and with `MAINPID` in its environment; the signal follows "
			"when it "
			"has ended. `timeout` is for both."),
	KEY("phase", CHOICE, config_stop, phase, "on-term", .words = words_phase,
		.text = "When it stops as the pod ends: at once, or after the gateway has drained."),
	{0},
};
static const struct config_section section_stop = {
	.name = "stop", .text = "How a worker is stopped.", .keys = stop_keys};

static const struct config_key limits_keys[] = {
	KEY("memory", SIZE, config_limits, memory_bytes, "none", NONE, .min = 1,
		.text = "Restarted in order when all its processes together (PSS) stay above: in three measurements in "
			"a "
			"row, one every 10 s."),
	KEY("open_files", NUMBER, config_limits, open_files, "inherit", WORD("inherit", -1), .min = 1,
		.max = (int64_t)1 << 30, .text = "RLIMIT_NOFILE."),
	KEY("core", SIZE, config_limits, core_bytes, "inherit", WORD("inherit", -1),
		.text = "RLIMIT_CORE: size of a core dump; \"0\" for none."),
	KEY("cpu_seconds", NUMBER, config_limits, cpu_seconds, "inherit", WORD("inherit", -1), .min = 1,
		.max = (int64_t)1 << 40, .text = "RLIMIT_CPU."),
	KEY("nice", NUMBER, config_limits, nice, "inherit", WORD("inherit", INT_MIN), .min = -20, .max = 19,
		.text = "Scheduling priority."),
	KEY("oom_score_adj", NUMBER, config_limits, oom_score_adj, "inherit", WORD("inherit", INT_MIN), .min = -1000,
		.max = 1000, .text = "Who goes first when memory is out: higher earlier."),
	{0},
};
static const struct config_section section_limits = {
	.name = "limits", .text = "Limits of a worker's processes.", .keys = limits_keys};

static const struct config_key worker_log_keys[] = {
	KEY("format", CHOICE, config_worker_log, format, "auto", .words = words_worker_log,
		.text = "What the worker writes: JSON objects whose fields are kept, text that is wrapped, `auto` "
			"looks at each line, `passthrough` leaves lines as they are."),
	KEY("max_line", SIZE, config_worker_log, max_line_bytes, "16Ki", .min = 256, .max = (int64_t)1 << 20,
		.text = "Longer lines are split into pieces of that size, all but the last marked by "
			"`\"partial\": true`. Joined lines are no longer either."),
	KEY("rate", NUMBER, config_worker_log, rate, "none", NONE, .min = 1, .max = MILLION,
		.text = "Lines a second, of which one second's worth may come at once; more are dropped, counted and "
			"told."),
	KEY("multiline", STRING, config_worker_log, multiline, NULL,
		.text = "What continues the line before and is joined to it: `java`, `python`, `go` and `node` know "
			"their stack traces; else a pattern (Perl-compatible regular expression)."),
	{0},
};
static const struct config_section section_worker_log = {
	.name = "worker_log", .text = "What becomes of a worker's output.", .keys = worker_log_keys};

static const struct config_key lease_keys[] = {
	KEY("name", STRING, config_worker, lease, NULL, .syntax = CONFIG_LABEL, .required = true,
		.text = "Name of the lease. Workers that name the same one run in the same replica."),
	KEY("spread", BOOL, config_worker, lease_spread, "false",
		.text = "Each instance has a lease of its own, shared evenly over the replicas."),
	{0},
};
static const struct config_section section_lease = {
	.name = "lease", .text = "Which lease a worker needs.", .keys = lease_keys, .shorthand = "name"};

static const struct config_key worker_keys[] = {
	KEY("command", STRINGS, config_worker, command, NULL, .syntax = CONFIG_ANYTHING, .required = true,
		.at_least_one = true, .text = "What runs: program and arguments, no shell in between."),
	KEY("cwd", STRING, config_worker, cwd, NULL, .syntax = CONFIG_PATH, .fallback_text = "podvisor's own",
		.text = "Where it runs."),
	KEY("env", PAIRS, config_worker, env, NULL, .syntax = CONFIG_ANYTHING, COUNTED(config_worker, n_env),
		.fallback_text = "podvisor's own", .text = "Environment variables, added to podvisor's own."),
	KEY("env_files", STRINGS, config_worker, env_files, "", .syntax = CONFIG_PATH,
		.text = "Files of `NAME=value` lines, read at each start; what `env` says wins over them."),
	KEY("umask", MODE, config_worker, umask, "inherit", WORD("inherit", -1), .max = 0777,
		.text = "File mode creation mask, octal."),
	KEY("user", STRING, config_worker, user, NULL, .fallback_text = "podvisor's own",
		.text = "Whom it runs as, name or number."),
	KEY("group", STRING, config_worker, group, NULL, .fallback_text = "the user's",
		.text = "Group it runs as, name or number."),
	KEY("kind", CHOICE, config_worker, kind, "service", .words = words_kind,
		.text = "`service`: kept running; `task`: runs once, and what depends on it waits for its success; "
			"`job`: runs on a schedule (jobs.md)."),
	KEY("schedule", STRING, config_worker, schedule, NULL, .syntax = CONFIG_CRON, .of_job = true,
		.text = "When a job runs: cron expression of five fields, or `@hourly`, `@daily`, `@weekly`, "
			"`@monthly`, `@yearly`. What becomes of it when clocks change is told in jobs.md."),
	KEY("every", DURATION, config_worker, every, "none", NONE, .min = 100, .of_job = true, .quiet = true,
		.text = "When a job runs: so long after the start of the run before, and the first time so long after "
			"podvisor's start."),
	KEY("timezone", STRING, config_worker, timezone, "UTC", .syntax = CONFIG_ZONE, .of_job = true,
		.text = "Time zone of `schedule`, a name of the tz database; all but `UTC` need the package tzdata."),
	KEY("overlap", CHOICE, config_worker, overlap, "skip", .words = words_overlap, .of_job = true,
		.text = "When a job is due while the run before still goes on: leave this one out, let one wait, or "
			"stop the old run in order and start anew."),
	KEY("deadline", DURATION, config_worker, deadline, "none", NONE, .min = 1, .of_job = true, .quiet = true,
		.text = "A job's run that takes longer is stopped in order and has failed."),
	KEY("instances", NUMBER, config_worker, instances, "1", .min = 1, .max = CONFIG_INSTANCES_MAX,
		.text = "So many copies, each with its `PODVISOR_INSTANCE_INDEX` from 0."),
	KEY("depends_on", STRINGS, config_worker, depends_on_names, "", .syntax = CONFIG_REFERENCE,
		.things = 1U << THING_WORKER | 1U << THING_POSTGRES | 1U << THING_VOLUME | 1U << THING_BROWSER,
		.bare = THING_WORKER,
		.text = "What it waits for: `worker:NAME` or just `NAME` (ready; a task: succeeded; a job: its last "
			"run "
			"succeeded), `postgres:NAME`, "
			"`volume:NAME`, `browser:NAME`."),
	KEY("on_dependency_loss", CHOICE, config_worker, on_dependency_loss, "keep", .words = words_loss,
		.text = "When one of them is lost: go on, stop until it is back, or restart; the latter two after "
			"`grace`."),
	KEY("grace", DURATION, config_worker, grace, "0s", .text = "How long a dependency may be lost before that."),
	KEY("readiness", SECTION, config_worker, readiness, NULL, .section = &section_check,
		.fallback_text = "ready when it runs", .text = "Whether it can do its work."),
	KEY("liveness", SECTION, config_worker, liveness, NULL, .section = &section_check,
		.text = "Whether it has to be restarted."),
	KEY("startup", SECTION, config_worker, startup, NULL, .section = &section_check,
		.text = "Whether it has started; the other checks wait for it."),
	KEY("progress", SECTION, config_worker, progress, NULL, .section = &section_progress,
		.text = "Whether its work moves forward."),
	KEY("restart", SECTION, config_worker, restart, NULL, .section = &section_restart,
		.text = "What happens when it ends by itself."),
	KEY("stop", SECTION, config_worker, stop, NULL, .section = &section_stop, .text = "How it is stopped."),
	KEY("limits", SECTION, config_worker, limits, NULL, .section = &section_limits,
		.text = "Limits of its processes."),
	WITHIN("lease", section_lease, .text = "Run only while this replica holds the lease of this name."),
	KEY("standby", CHOICE, config_worker, standby_warm, "cold", .words = words_standby,
		.text = "`warm`: the process is there before the lease is, and is told by SIGUSR1 when it may work "
			"(leases.md)."),
	KEY("on_database_loss", CHOICE, config_worker, on_database_loss, "stop", .words = words_database_loss,
		.text = "`keep`: goes on when the lease can no longer be renewed, because its work is harmless twice."),
	KEY("restart_with", STRINGS, config_worker, restart_with_names, "", .syntax = CONFIG_REFERENCE,
		.things = 1U << THING_WORKER | 1U << THING_BROWSER, .bare = THING_WORKER,
		.text = "Workers and browsers that take this one along: when one of them ends and comes back, by "
			"itself "
			"or because somebody stopped and started it, this one is stopped, and both start again when it "
			"is down."),
	KEY("critical", BOOL, config_worker, critical, "false",
		.text = "The pod is not ready without it, and when it has ended for good, podvisor ends with its "
			"code. With a critical job it is ready unless the job's last run failed."),
	KEY("log", SECTION, config_worker, log, NULL, .section = &section_worker_log,
		.text = "What becomes of its output."),
	{0},
};
const struct config_section config_section_worker = {.name = "worker",
	.text = "A command that podvisor keeps as configured.",
	.keys = worker_keys,
	.size = sizeof(struct config_worker)};

#define RUNG_KEYS(rung_, interval_, timeout_, threshold_)                                                            \
	KEY("interval", DURATION, config_browser, rung_.interval, interval_, .min = 100, .text = "Between checks."), \
		KEY("timeout", DURATION, config_browser, rung_.timeout, timeout_, .min = 10,                         \
			.text = "Until a check has failed."),                                                        \
		KEY("failure_threshold", NUMBER, config_browser, rung_.failure_threshold, threshold_, .min = 1,      \
			.max = 1000, .text = "Replaced after so many in a row."),                                    \
	{                                                                                                            \
		0                                                                                                    \
	}

static const struct config_key health_browser_keys[] = {RUNG_KEYS(health_browser, "5s", "2s", "3")};
static const struct config_key health_renderer_keys[] = {RUNG_KEYS(health_renderer, "15s", "5s", "3")};
static const struct config_key health_network_keys[] = {RUNG_KEYS(health_network, "60s", "10s", "3")};
static const struct config_section section_health_browser = {.name = "health_browser",
	.text = "The browser process answers on its control pipe.",
	.keys = health_browser_keys};
static const struct config_section section_health_renderer = {
	.name = "health_renderer", .text = "A scratch page evaluates.", .keys = health_renderer_keys};
static const struct config_section section_health_network = {.name = "health_network",
	.text = "A new page opens, loads podvisor's own loopback page and is drawn.",
	.keys = health_network_keys};

static const struct config_key health_keys[] = {
	WITHIN("browser", section_health_browser, .text = "The browser process answers on its control pipe."),
	WITHIN("renderer", section_health_renderer, .text = "A scratch page evaluates."),
	WITHIN("network", section_health_network,
		.text = "A new page opens, loads podvisor's own loopback page and is drawn."),
	{0},
};
static const struct config_section section_health = {
	.name = "health", .text = "The ladder of checks.", .keys = health_keys};

static const struct config_key recycle_keys[] = {
	KEY("age", DURATION, config_browser, recycle.age, "6h", .min = 1000,
		.text = "Replaced when so old, give or take 10%."),
	KEY("pages", NUMBER, config_browser, recycle.pages, "2000", .min = 1, .text = "Replaced after so many pages."),
	KEY("sessions", NUMBER, config_browser, recycle.sessions, "500", .min = 1,
		.text = "Replaced after so many sessions."),
	KEY("disk", PERCENT, config_browser, recycle.disk_percent, "40%", .min = 1,
		.text = "Replaced when its volume is fuller, and not only of what others have put there."),
	KEY("disk_hard", PERCENT, config_browser, recycle.disk_hard_percent, "85%", .min = 1,
		.text = "Replaced at once when its volume is as full, and not only of what others have put there."),
	KEY("memory", SIZE, config_browser, recycle.memory_bytes, "1200Mi", .min = 1,
		.text = "Replaced when its tree uses more (PSS)."),
	KEY("memory_hard", SIZE, config_browser, recycle.memory_hard_bytes, "1800Mi", .min = 1,
		.text = "Replaced at once when its tree uses more (PSS)."),
	KEY("per_hour", NUMBER, config_browser, recycle.per_hour, "6", .min = 1, .max = 60,
		.text = "At most so often in order; what has to be done at once is not put off."),
	{0},
};
static const struct config_section section_recycle = {
	.name = "recycle", .text = "When Chrome is replaced although it works.", .keys = recycle_keys};

static const struct config_key browser_overlap_keys[] = {
	KEY("memory", SIZE, config_browser, overlap_memory_bytes, "600Mi", .text = "Memory that must be free."),
	KEY("disk", SIZE, config_browser, overlap_disk_bytes, "512Mi", .text = "Room on the volume that must be free."),
	{0},
};
static const struct config_section section_browser_overlap = {.name = "overlap",
	.text = "Old and new Chrome side by side only with this much room.",
	.keys = browser_overlap_keys};

static const struct config_key janitor_keys[] = {
	KEY("idle", DURATION, config_browser, janitor.idle, "10m", NONE, .min = 1000,
		.text = "Pages without a session for so long are closed."),
	KEY("spin", DURATION, config_browser, janitor.spin, "60s", NONE, .min = 1000,
		.text = "Pages that use 90% of a CPU for so long and do not answer are closed."),
	{0},
};
static const struct config_section section_janitor = {
	.name = "janitor", .text = "Which pages are closed.", .keys = janitor_keys};

static const struct config_key browser_keys[] = {
	KEY("executable", STRING, config_browser, executable, NULL,
		.fallback_text = "chromium-headless-shell, else chromium", .text = "Path or name of Chrome."),
	KEY("args", STRINGS, config_browser, args, "", .text = "Extra flags, after podvisor's own."),
	KEY("user", STRING, config_browser, user, NULL, .fallback_text = "podvisor's own",
		.text = "Whom it runs as, name or number."),
	KEY("env", PAIRS, config_browser, env, NULL, .syntax = CONFIG_ANYTHING, COUNTED(config_browser, n_env),
		.text = "Environment variables, added to podvisor's own."),
	KEY("sandbox", CHOICE, config_browser, sandbox, "auto", .words = words_sandbox,
		.text = "Chrome's own sandbox; `auto`: on where user namespaces allow it, else off, and said loudly."),
	KEY("listen", STRING, config_browser, listen, "127.0.0.1:9222", .syntax = CONFIG_ADDRESS,
		.text = "Where clients connect; loopback unless a token is set."),
	KEY("token", STRING, config_browser, token, NULL, .secret = true, .text = "What clients have to know."),
	KEY("allow_origins", STRINGS, config_browser, allow_origins, "", .text = "Web origins that may connect."),
	KEY("volume", STRING, config_browser, volume, NULL, A_THING(THING_VOLUME), .required = true,
		.text = "The RAM disk that holds profile, cache, HOME and TMPDIR of each generation."),
	WITHIN("health", section_health, .text = "The ladder of checks."),
	KEY("start_timeout", DURATION, config_browser, start_timeout, "30s", .min = 100,
		.text = "From its start until it has proven itself on every rung."),
	WITHIN("recycle", section_recycle, .text = "When Chrome is replaced although it works."),
	WITHIN("overlap", section_browser_overlap,
		.text = "Old and new side by side only with this much room; else drain first."),
	KEY("drain", DURATION, config_browser, drain, "120s",
		.text = "How long old sessions may go on beside the new Chrome."),
	KEY("max_sessions", NUMBER, config_browser, max_sessions, "10", .min = 1, .max = MILLION,
		.text = "Sessions at a time."),
	KEY("queue", NUMBER, config_browser, queue, "20", .max = MILLION, .text = "How many wait for one ..."),
	KEY("queue_timeout", DURATION, config_browser, queue_timeout, "30s",
		.text = "... and how long, for one or for a Chrome; then 503."),
	WITHIN("janitor", section_janitor, .text = "Which pages are closed."),
	KEY("client_close", CHOICE, config_browser, client_close, "detach", .words = words_client_close,
		.text = "`detach`: a client's Browser.close ends its own session, not the Chrome of all; `allow`: it "
			"does what it says."),
	KEY("critical", BOOL, config_browser, critical, "false", .text = "The pod is not ready without it."),
	{0},
};
const struct config_section config_section_browser = {.name = "browser",
	.text = "Headless Chrome, kept healthy behind one address.",
	.keys = browser_keys,
	.size = sizeof(struct config_browser)};

static const struct config_key route_drain_keys[] = {
	KEY("code", CLOSE_CODE, config_route, drain_code, "inherit", WORD("inherit", 0),
		.text = "Code of the Close frame; `inherit`: the gateway's."),
	KEY("reason", STRING, config_route, drain_reason, NULL, .syntax = CONFIG_REASON,
		.fallback_text = "the gateway's", .text = "Reason in the Close frame."),
	{0},
};
static const struct config_section section_route_drain = {
	.name = "route_drain", .text = "What WebSockets of this route are told.", .keys = route_drain_keys};

static const struct config_key route_keys[] = {
	KEY("path", STRING, config_route, path, NULL, .syntax = CONFIG_PREFIX, .required = true,
		.text = "Prefix of the request's path; the longest that fits counts."),
	KEY("worker", STRING, config_route, worker, NULL, A_THING(THING_WORKER),
		.text = "Whose route it is: requests wait while it restarts."),
	KEY("to", STRING, config_route, to, NULL, .syntax = CONFIG_TARGET, .required = true,
		.text = "Where requests go: `host:port` or `unix:PATH`."),
	KEY("rewrite", STRING, config_route, rewrite, NULL, .syntax = CONFIG_PREFIX,
		.text = "Takes the place of the prefix."),
	WITHIN("drain", section_route_drain, .text = "What WebSockets of this route are told."),
	{0},
};
static const struct config_section section_route = {
	.name = "route", .text = "Which requests go where.", .keys = route_keys, .size = sizeof(struct config_route)};

static const struct config_key gateway_limits_keys[] = {
	KEY("connections", NUMBER, config_gateway, max_connections, "65536", .min = 1, .max = 10 * MILLION,
		.text = "Clients at a time."),
	KEY("header_bytes", SIZE, config_gateway, header_bytes, "16Ki", .min = 1024, .max = (int64_t)1 << 20,
		.text = "Size of a message's head."),
	KEY("headers", NUMBER, config_gateway, max_headers, "100", .min = 8, .max = 128,
		.text = "Header fields of a message."),
	KEY("body", SIZE, config_gateway, max_body_bytes, "none", NONE, .min = 1, .text = "Size of a request's body."),
	KEY("body_rate", SIZE, config_gateway, body_rate, "none", NONE, .min = 1, .max = (int64_t)1 << 30,
		.text = "The least that a client has to send of a request's body in a second, from its first byte on; "
			"it may be five seconds behind."),
	KEY("requests_per_connection", NUMBER, config_gateway, requests_per_connection, "none", NONE, .min = 1,
		.text = "Then the connection closes."),
	{0},
};
static const struct config_section section_gateway_limits = {
	.name = "gateway_limits", .text = "What a client may ask for.", .keys = gateway_limits_keys};

static const struct config_key timeouts_keys[] = {
	KEY("header", DURATION, config_gateway, header_timeout, "10s", .min = 10,
		.text = "From a request's first byte to the end of its head."),
	KEY("idle", DURATION, config_gateway, idle_timeout, "75s", NONE, .min = 10,
		.text = "Between requests of a connection, and between two pieces of a body."),
	KEY("connect", DURATION, config_gateway, connect_timeout, "1s", .min = 10, .text = "To the worker."),
	KEY("response", DURATION, config_gateway, response_timeout, "60s", NONE, .min = 10,
		.text = "From the end of a request to the head of its response."),
	KEY("websocket_idle", DURATION, config_gateway, websocket_idle_timeout, "none", NONE, .min = 10,
		.text = "A WebSocket that is silent in both directions."),
	{0},
};
static const struct config_section section_timeouts = {
	.name = "timeouts", .text = "How long the gateway waits.", .keys = timeouts_keys};

static const struct config_key drain_keys[] = {
	KEY("code", CLOSE_CODE, config_drain, code, "1012", .text = "Code of the Close frame (RFC 6455 7.4)."),
	KEY("reason", STRING, config_drain, reason, "service restart", .syntax = CONFIG_REASON,
		.text = "Reason in the Close frame, at most 123 bytes."),
	KEY("lame_duck", DURATION, config_drain, lame_duck, "5s",
		.text = "Everything is still accepted, and responses say `Connection: close`."),
	KEY("http_grace", DURATION, config_drain, http_grace, "20s", .text = "For requests in flight."),
	KEY("spread", DURATION, config_drain, spread, "20s",
		.text = "WebSockets are closed one by one over this window, or N/10 seconds when they are few."),
	KEY("message_wait", DURATION, config_drain, message_wait, "2s",
		.text = "A WebSocket's turn: so long for the end of a message ..."),
	KEY("boundary_wait", DURATION, config_drain, boundary_wait, "5s",
		.text = "... then so long for the end of a frame."),
	KEY("close_timeout", DURATION, config_drain, close_timeout, "5s",
		.text = "For the client's answer to the Close."),
	KEY("linger", DURATION, config_drain, linger, "2s",
		.text = "For reading on after the last byte was sent, so that it arrives."),
	{0},
};
static const struct config_section section_drain = {
	.name = "drain", .text = "How the gateway empties.", .keys = drain_keys};

static const struct config_key gateway_keys[] = {
	KEY("listen", STRING, config_gateway, listen, NULL, .syntax = CONFIG_ADDRESS, .required = true,
		.text = "Where clients connect."),
	KEY("routes", ROWS, config_gateway, routes, NULL, COUNTED(config_gateway, n_routes), .section = &section_route,
		.required = true, .at_least_one = true, .text = "Which requests go where."),
	KEY("forwarded", CHOICE, config_gateway, forwarded, "append", .words = words_forwarded,
		.text = "X-Forwarded-For, -Proto, -Host and Forwarded towards the worker."),
	KEY("trusted", STRINGS, config_gateway, trusted,
		"10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,100.64.0.0/10,127.0.0.0/8,169.254.0.0/16,fc00::/7,fe80::/"
		"10,::1/128",
		.syntax = CONFIG_NETWORK, .fallback_text = "private networks",
		.text = "Whose forwarding fields are believed."),
	WITHIN("limits", section_gateway_limits, .text = "What a client may ask for."),
	WITHIN("timeouts", section_timeouts, .text = "How long the gateway waits."),
	KEY("hold", DURATION, config_gateway, hold, "5s",
		.text = "How long a request waits while its worker restarts, instead of a 502."),
	KEY("hold_requests", NUMBER, config_gateway, hold_requests, "1024", .max = MILLION, .text = "So many at most."),
	KEY("access_log", CHOICE, config_gateway, access_log, "off", .words = words_access_log,
		.text = "One JSON line in the log for each request and each WebSocket: for none, for those that "
			"failed, "
			"for all."),
	KEY("drain", SECTION, config_gateway, drain, NULL, .section = &section_drain,
		.text = "How the gateway empties before the worker stops."),
	{0},
};
const struct config_section config_section_gateway = {.name = "gateway",
	.text = "Fronts the backend's HTTP and WebSocket traffic.",
	.keys = gateway_keys,
	.size = sizeof(struct config_gateway),
	.has_present = true,
	.present_offset = offsetof(struct config_gateway, present)};

static const struct config_key root_keys[] = {
	KEY("$schema", STRING, config, schema, NULL,
		.text = "Where editors find the schema; means nothing to podvisor."),
	KEY("instance", STRING, config, instance, NULL, .fallback_text = "the host's name",
		.text = "Name of this pod, for logs and leases."),
	KEY("control", SECTION, config, control, NULL, .section = &section_control, .text = "Where podvisor is asked."),
	KEY("log", SECTION, config, log, NULL, .section = &section_log, .text = "What podvisor writes to its stdout."),
	KEY("shutdown", SECTION, config, shutdown, NULL, .section = &section_shutdown, .text = "How podvisor ends."),
	KEY("memory", SECTION, config, memory, NULL, .section = &section_memory,
		.text = "The memory limit that the whole pod shares."),
	KEY("volumes", ENTRIES, config, volumes, NULL, COUNTED(config, n_volumes), .section = &config_section_volume,
		.text = "RAM disks, by name."),
	KEY("postgres", ENTRIES, config, postgres, NULL, COUNTED(config, n_postgres),
		.section = &config_section_postgres, .text = "Databases, by name."),
	KEY("leases", SECTION, config, leases, NULL, .section = &config_section_leases,
		.text = "Workers that run in one replica at a time."),
	KEY("browsers", ENTRIES, config, browsers, NULL, COUNTED(config, n_browsers),
		.section = &config_section_browser, .text = "Headless Chromes, by name."),
	KEY("workers", ENTRIES, config, workers, NULL, COUNTED(config, n_workers), .section = &config_section_worker,
		.text = "Workers, by name."),
	KEY("gateway", SECTION, config, gateway, NULL, .section = &config_section_gateway,
		.text = "Fronts the backend's HTTP and WebSocket traffic."),
	{0},
};
const struct config_section config_root = {
	.name = "podvisor", .text = "Configuration of podvisor.", .keys = root_keys, .size = sizeof(struct config)};
