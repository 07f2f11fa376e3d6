/* worker owns the life of one worker (one instance): a state machine from
 * waiting for its dependencies to the last process gone.
 *
 *   stopped ──wanted──► waiting ──may start──► starting ──startup ok──► running ◄──► ready
 *      ▲                   ▲                      │                        │           │
 *      │                   │◄─────backoff◄────────┴──main ended────────────┴───────────┤
 *      │                   │                                                           │
 *      └──not wanted── stopping ◄──stop, restart, liveness, loss of a dependency───────┘
 *                          └──► succeeded (task) · failed (limit, policy never) · paused
 *                               · waiting, for its next time (job)
 *
 * Wanted is a field, not an event: what is asked while it stops is not lost.
 * What happened is folded in by worker_events, what to do is found by worker_plan;
 * here stands what it is, with the one setter of its state. */
#ifndef PODVISOR_MODEL_WORKER_H
#define PODVISOR_MODEL_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "podvisor/model/config.h"
#include "podvisor/model/doubt.h"
#include "podvisor/model/event.h"
#include "podvisor/model/health.h"
#include "podvisor/model/progress.h"
#include "podvisor/model/restart.h"
#include "podvisor/model/schedule.h"
#include "podvisor/model/turn.h"

/* X(enumerator, name in the status and in metrics) */
#define WORKER_STATES(X)                 \
	X(WORKER_WAITING, "waiting")     \
	X(WORKER_STANDBY, "standby")     \
	X(WORKER_STARTING, "starting")   \
	X(WORKER_RUNNING, "running")     \
	X(WORKER_READY, "ready")         \
	X(WORKER_STOPPING, "stopping")   \
	X(WORKER_BACKOFF, "backoff")     \
	X(WORKER_PAUSED, "paused")       \
	X(WORKER_STOPPED, "stopped")     \
	X(WORKER_SUCCEEDED, "succeeded") \
	X(WORKER_FAILED, "failed")

enum worker_state {
#define WORKER_ENUM(id, name) id,
	WORKER_STATES(WORKER_ENUM)
#undef WORKER_ENUM
		WORKER_STATE_COUNT
};
const char *worker_state_name(enum worker_state state);

/* Why a run ended or is being ended: the reason label of restarts_total. */
enum worker_cause {
	CAUSE_NONE,
	CAUSE_EXIT, /* it ended by itself */
	CAUSE_SIGNAL, /* it was killed by a signal that podvisor did not send */
	CAUSE_SPAWN, /* it could not be started */
	CAUSE_STARTUP, /* its startup check failed */
	CAUSE_LIVENESS, /* its liveness check failed */
	CAUSE_PROGRESS, /* its work stood still */
	CAUSE_MEMORY, /* its tree stayed above limits.memory */
	CAUSE_POD_MEMORY, /* the pod's memory is short, and of those that may go it grew most */
	CAUSE_VOLUME, /* a RAM disk that names it in on_full stays full */
	CAUSE_DEADLINE, /* a job took longer than its deadline */
	CAUSE_OVERLAP, /* a job's next run takes its place */
	CAUSE_GROUP, /* a thing that it restarts with came back */
	CAUSE_DEPENDENCY, /* a thing it depends on was lost */
	CAUSE_LEASE, /* the lease that it runs under was given up or lost */
	CAUSE_COMMAND, /* somebody asked */
	CAUSE_RELOAD, /* its configuration changed */
	CAUSE_SHUTDOWN, /* the pod stops */
	CAUSE_COUNT
};
const char *worker_cause_name(enum worker_cause cause);

#define WORKER_HISTORY 20

struct worker_run {
	uint64_t run; /* never used twice, by no worker */
	uint64_t number; /* as people count: the runs of this worker alone, from 1 */
	int pid;
	ms_t started_at, ended_at;
	bool exited; /* status is valid; false: could not be started */
	int status; /* as waitpid gives it */
	int error; /* negative errno when it could not be started */
	int killed; /* leftovers that had to be killed */
	int64_t cpu_us, peak_bytes;
	int said_errno; /* ERRNO= of sd_notify; 0: none */
	enum worker_cause cause;
};

/* Its tree's memory against limits.memory: above in so many measurements in a row is too much. */
#define WORKER_MEMORY_INTERVAL_MS 10000
#define WORKER_MEMORY_STRIKES     3

struct worker_memory {
	ms_t due; /* of the next measurement; CLOCK_NEVER without a limit */
	bool in_flight;
	int strikes;
	int64_t bytes; /* the last one */
	int64_t baseline_bytes; /* the first one since it is ready; 0: there was none */
};

/* It is weighed for its baseline so long after it became ready, or later. */
#define WORKER_BASELINE_MS 1000

/* Where stop.command stands. */
enum worker_stop { WORKER_STOP_NONE, WORKER_STOP_COMMANDED, WORKER_STOP_TO_SIGNAL };

struct worker {
	const struct config_worker *config; /* borrowed from source */
	struct config *source; /* held while this worker runs with it */
	uint32_t slot;
	int instance; /* 0 .. instances-1 */
	char name[64]; /* config's name, or NAME.INSTANCE when there are several */

	bool wanted; /* somebody wants it up */
	bool removed; /* no longer configured: forget it when it is down */
	bool again; /* start again when it is down, without back-off: restart, reload */
	enum worker_cause cause; /* why the current run is being ended */

	enum worker_state state;
	ms_t since;
	char reason[232]; /* of the state, for people */

	uint64_t run; /* 0: no process */
	const struct config_worker *run_config; /* what the run was begun with, and is ended with; NULL: no process */
	struct config *run_source; /* held while it runs */
	int pid;
	uint64_t unstartable_run; /* the last one that could not be started, ... */
	char unstartable[EVENT_TEXT_MAX]; /* ... and why */
	bool main_ended, notified_ready, notified_stopping, reloading, killing;
	bool warm; /* it stands by, without its lease: it is no tree of the lease's, and is judged by nothing */
	bool watching; /* it has started: watchdog, progress and memory count */
	bool follow; /* it named another main process: the shim has to be told */
	enum worker_stop stop_step;
	ms_t started_at, ready_at; /* of this run; 0: not yet */
	ms_t start_deadline; /* startup by notification: bad from then on; CLOCK_NEVER: no limit */
	ms_t stop_deadline; /* SIGKILL then */
	ms_t not_before; /* back-off: no start earlier */
	ms_t watchdog_at; /* liveness by notification: bad from then on; CLOCK_NEVER: off */
	ms_t watchdog_span; /* of this run: liveness.timeout, or what WATCHDOG_USEC= said; 0: off */
	bool triggered; /* WATCHDOG=trigger */
	struct doubt doubt;
	struct progress progress;
	struct worker_memory memory;
	ms_t spread_until; /* after a database came back: not all at once */
	struct health checks[PROBE_COUNT];
	struct restart restart;
	struct schedule schedule; /* of a job */
	char status_text[160]; /* STATUS= of sd_notify */

	struct worker_run history[WORKER_HISTORY]; /* ring, newest at (n_runs - 1) % WORKER_HISTORY */
	uint64_t n_runs;
	uint64_t restarts[CAUSE_COUNT];
	uint64_t exits_ok, exits_failed, exits_signaled; /* exits_total by kind of status */
	uint64_t comebacks; /* runs that ended and are followed by another: takes its group along */
	bool owes_comeback; /* its last run ended for good, and still counts if another follows */
	uint64_t partners_seen; /* comebacks of those in restart_with, as last looked at */
	bool ever_ready;
	ms_t lease_deadline; /* of this run: its shim kills it by itself then; CLOCK_NEVER: no lease */
	int64_t fencing_token; /* of this run */
	ms_t lost_at; /* since when a dependency is missing, for grace; 0: none is */
};

/* config is borrowed from source, which is held. */
void worker_init(struct worker *w, struct config *source, const struct config_worker *config, int instance,
	uint32_t slot, ms_t now);
void worker_fini(struct worker *w);
/* Takes another configuration; a running worker that differs is started anew, but a job's run goes on. */
void worker_reconfigure(struct worker *w, struct config *source, const struct config_worker *config, struct turn *t);

/* It runs, nobody ends it, and it is not to be started anew already. */
bool worker_can_renew(const struct worker *w);
/* Then it is ended in order and started again, without back-off. */
bool worker_renew(struct worker *w, enum worker_cause cause);
/* By how much its memory grew since it was ready; all of it while that is not known. */
int64_t worker_growth_bytes(const struct worker *w);

/* comebacks: of those that it restarts with, summed up; when there are more than
 * before and it runs, it is to be started anew. */
void worker_follow_group(struct worker *w, uint64_t comebacks);

/* The configuration has it: its slot is in use, and no reload has taken it out. Only such a one is asked whether
 * it is there; one that is taken out merely ends. */
static inline bool worker_is_configured(const struct worker *w)
{
	return w->config && !w->removed;
}

/* How its run, or the next one, is stopped: a reload changes nothing for the process that runs. */
static inline const struct config_stop *worker_stop_of(const struct worker *w)
{
	return w->run_config ? &w->run_config->stop : &w->config->stop;
}

/* A process of it exists, or may exist. */
bool worker_is_up(const struct worker *w);
/* Those who depend on it may run: ready, or a task that succeeded, or a job whose last run did. */
bool worker_is_available(const struct worker *w);
/* It will not come back by itself: failed, stopped, succeeded. */
bool worker_is_final(const struct worker *w);
/* As people count them: of the run that it is in, from 1; 0: no process. */
uint64_t worker_run_number(const struct worker *w);
/* The newest ended run, or NULL. */
const struct worker_run *worker_last_run(const struct worker *w);
/* The code that podvisor ends with on its behalf: exit code, 128+signal, 127/126 when it could not start. */
int worker_exit_code(const struct worker *w);
#define WORKER_END_SIZE 184
/* "exited with code 1", "killed by SIGKILL", "could not start: ..."; into out, for which WORKER_END_SIZE is enough. */
void worker_describe_end(const struct worker *w, const struct worker_run *run, char *out, size_t size);
/* Whether it is a job that waits for its next time. */
bool worker_is_resting(const struct worker *w);
/* "next run at 2026-11-24T03:00:00Z; last run: exited with code 0", with what
 * stands in `in` (" (in 3 h)", or "") behind the time; into out. */
void worker_describe_rest(const struct worker *w, const char *in, char *out, size_t size);

/* For worker_events and worker_plan only. */

/* The only place where a state changes: it is told to the journal there. */
void worker_enter(struct worker *w, enum worker_state state, struct turn *t, const char *fmt, ...) PRINTF_LIKE(4, 5);
/* It is there, and may work: its checks begin. */
void worker_begin_work(struct worker *w, struct turn *t);
/* Another run follows the one that ended. */
void worker_come_back(struct worker *w);
/* Its main process is there and nobody ends it. */
bool worker_is_running(const struct worker *w);
const struct config_check *worker_check_of(const struct worker *w, enum probe probe);
/* The place in the history that the run under way has, or the next one will have. */
struct worker_run *worker_current_run(struct worker *w);

#endif
