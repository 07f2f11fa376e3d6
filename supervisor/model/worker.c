#include "podvisor/model/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "podvisor/base/signals.h"
#include "podvisor/base/wall.h"

static const char *const state_names[WORKER_STATE_COUNT] = {
#define WORKER_NAME(id, name) [id] = name,
	WORKER_STATES(WORKER_NAME)
#undef WORKER_NAME
};

static const char *const cause_names[CAUSE_COUNT] = {
	[CAUSE_NONE] = "none",
	[CAUSE_EXIT] = "exit",
	[CAUSE_SIGNAL] = "signal",
	[CAUSE_SPAWN] = "spawn",
	[CAUSE_STARTUP] = "startup",
	[CAUSE_LIVENESS] = "liveness",
	[CAUSE_PROGRESS] = "progress",
	[CAUSE_MEMORY] = "memory",
	[CAUSE_POD_MEMORY] = "pod_memory",
	[CAUSE_VOLUME] = "volume",
	[CAUSE_DEADLINE] = "deadline",
	[CAUSE_OVERLAP] = "overlap",
	[CAUSE_GROUP] = "restart_with",
	[CAUSE_DEPENDENCY] = "dependency",
	[CAUSE_LEASE] = "lease",
	[CAUSE_COMMAND] = "command",
	[CAUSE_RELOAD] = "reload",
	[CAUSE_SHUTDOWN] = "shutdown",
};

/* Level of the journal entry that entering a state makes. */
static const enum log_level state_levels[WORKER_STATE_COUNT] = {
	[WORKER_WAITING] = LOG_INFO,
	[WORKER_STANDBY] = LOG_INFO,
	[WORKER_STARTING] = LOG_INFO,
	[WORKER_RUNNING] = LOG_INFO,
	[WORKER_READY] = LOG_INFO,
	[WORKER_STOPPING] = LOG_INFO,
	[WORKER_BACKOFF] = LOG_WARN,
	[WORKER_PAUSED] = LOG_WARN,
	[WORKER_STOPPED] = LOG_INFO,
	[WORKER_SUCCEEDED] = LOG_INFO,
	[WORKER_FAILED] = LOG_ERROR,
};

const char *worker_state_name(enum worker_state state)
{
	return state < WORKER_STATE_COUNT ? state_names[state] : "unknown";
}

const char *worker_cause_name(enum worker_cause cause)
{
	return cause < CAUSE_COUNT ? cause_names[cause] : "unknown";
}

bool worker_is_up(const struct worker *w)
{
	return w->run != 0;
}

bool worker_is_available(const struct worker *w)
{
	switch (w->config->kind) {
	case WORKER_TASK:
		return w->state == WORKER_SUCCEEDED;
	case WORKER_JOB:
		return w->schedule.result == JOB_SUCCEEDED;
	default:
		return w->state == WORKER_READY;
	}
}

bool worker_is_final(const struct worker *w)
{
	return w->state == WORKER_STOPPED || w->state == WORKER_SUCCEEDED || w->state == WORKER_FAILED;
}

bool worker_is_running(const struct worker *w)
{
	return w->state == WORKER_STARTING || w->state == WORKER_RUNNING || w->state == WORKER_READY;
}

const struct config_check *worker_check_of(const struct worker *w, enum probe probe)
{
	const struct config_check *checks[PROBE_COUNT] = {
		[PROBE_STARTUP] = &w->config->startup,
		[PROBE_READINESS] = &w->config->readiness,
		[PROBE_LIVENESS] = &w->config->liveness,
	};
	return checks[probe];
}

struct worker_run *worker_current_run(struct worker *w)
{
	return &w->history[w->n_runs % WORKER_HISTORY];
}

uint64_t worker_run_number(const struct worker *w)
{
	return w->run ? w->n_runs + 1 : 0;
}

const struct worker_run *worker_last_run(const struct worker *w)
{
	return w->n_runs ? &w->history[(w->n_runs - 1) % WORKER_HISTORY] : NULL;
}

int worker_exit_code(const struct worker *w)
{
	const struct worker_run *run = worker_last_run(w);
	if (!run)
		return 0;
	if (!run->exited)
		return run->error == -ENOENT ? 127 : 126;
	return WIFSIGNALED(run->status) ? 128 + WTERMSIG(run->status) : WEXITSTATUS(run->status);
}

/* The sentence of the port says more than strerror, but only the last one is kept. */
static const char *why_unstartable(const struct worker *w, const struct worker_run *run)
{
	return run->run == w->unstartable_run && w->unstartable[0] ? w->unstartable : strerror(-run->error);
}

void worker_describe_end(const struct worker *w, const struct worker_run *run, char *out, size_t size)
{
	if (!run->exited)
		snprintf(out, size, "could not start: %s", why_unstartable(w, run));
	else
		signals_describe_end(run->status, out, size);
	size_t n = strlen(out);
	if (run->exited && run->said_errno && WIFEXITED(run->status))
		snprintf(out + n, size - n, ": %s", strerror(run->said_errno));
}

bool worker_is_resting(const struct worker *w)
{
	return w->config->kind == WORKER_JOB && w->state == WORKER_WAITING && !w->schedule.owed && w->schedule.armed;
}

/* Of a run that did not end by itself the cause says more than the signal. */
static const char *cause_beside(const struct worker_run *run)
{
	bool itself = run->cause == CAUSE_EXIT || run->cause == CAUSE_SIGNAL || run->cause == CAUSE_SPAWN;
	return itself ? "" : worker_cause_name(run->cause);
}

void worker_describe_rest(const struct worker *w, const char *in, char *out, size_t size)
{
	const struct worker_run *last = worker_last_run(w);
	char next[WALL_SIZE], end[WORKER_END_SIZE];
	wall_format(w->schedule.next_ms, next);
	snprintf(next + 19, sizeof(next) - 19, "Z"); /* whole seconds */
	bool armed = w->schedule.armed;
	size_t n = (size_t)snprintf(out, size, "%s%s%s", armed ? "next run at " : "its schedule is at rest",
		armed ? next : "", armed ? in : "");
	if (!last || n >= size)
		return;
	worker_describe_end(w, last, end, sizeof(end));
	const char *cause = cause_beside(last);
	snprintf(out + n, size - n, "; last run: %s%s%s%s", end, cause[0] ? " (" : "", cause, cause[0] ? ")" : "");
}

/* The only place where a state changes: it is told to the journal here. */
void worker_enter(struct worker *w, enum worker_state state, struct turn *t, const char *fmt, ...)
{
	char reason[sizeof(w->reason)];
	va_list args;
	va_start(args, fmt);
	vsnprintf(reason, sizeof(reason), fmt, args);
	va_end(args);
	bool moved = state != w->state;
	if (!moved && strcmp(reason, w->reason) == 0)
		return;
	if (moved)
		w->since = t->now;
	bool refined = !moved && w->reason[0];
	w->state = state;
	memcpy(w->reason, reason, sizeof(reason));
	w->ever_ready |= state == WORKER_READY || state == WORKER_SUCCEEDED;
	/* run -- COMMAND is to be as quiet as the command itself. */
	enum log_level level = w->config->interactive ? LOG_INFO : state_levels[state];
	/* That it waits is told; what for then changes with every step of the others. */
	if (refined && (state == WORKER_WAITING || state == WORKER_PAUSED))
		level = LOG_DEBUG;
	journal_add(t->journal, t->now, level, THING_WORKER, w->name, worker_state_name(state), "%s%s%s",
		worker_state_name(state), reason[0] ? ": " : "", reason);
}

void worker_init(struct worker *w, struct config *source, const struct config_worker *config, int instance,
	uint32_t slot, ms_t now)
{
	*w = (struct worker){.config = config, .source = config_hold(source), .slot = slot, .instance = instance};
	if (config->instances > 1)
		snprintf(w->name, sizeof(w->name), "%.50s.%d", config->name, instance);
	else
		snprintf(w->name, sizeof(w->name), "%s", config->name);
	w->wanted = true;
	w->state = WORKER_WAITING;
	w->since = now;
	w->start_deadline = w->watchdog_at = w->lease_deadline = CLOCK_NEVER;
}

void worker_fini(struct worker *w)
{
	config_release(w->source);
	config_release(w->run_source);
	*w = (struct worker){0};
}

void worker_come_back(struct worker *w)
{
	w->comebacks += w->owes_comeback;
	w->owes_comeback = false;
}

bool worker_can_renew(const struct worker *w)
{
	return worker_is_running(w) && w->wanted && !w->removed && !w->again;
}

bool worker_renew(struct worker *w, enum worker_cause cause)
{
	if (!worker_can_renew(w))
		return false;
	w->again = true;
	w->cause = cause;
	if (w->config->kind == WORKER_JOB)
		schedule_ask(&w->schedule);
	return true;
}

int64_t worker_growth_bytes(const struct worker *w)
{
	return w->memory.bytes - w->memory.baseline_bytes;
}

void worker_follow_group(struct worker *w, uint64_t comebacks)
{
	bool more = comebacks > w->partners_seen;
	w->partners_seen = comebacks;
	if (!more || !w->run || w->state == WORKER_STOPPING)
		return;
	w->again = true;
	w->cause = CAUSE_GROUP;
}

void worker_reconfigure(struct worker *w, struct config *source, const struct config_worker *config, struct turn *t)
{
	bool same = config_worker_equal(w->config, config);
	bool stays_job = w->config->kind == WORKER_JOB && config->kind == WORKER_JOB;
	struct config *old = w->source;
	if (stays_job)
		schedule_reconfigure(&w->schedule, w->config, config);
	else
		w->schedule = (struct schedule){0};
	w->source = config_hold(source);
	w->config = config;
	config_release(old);
	/* It is configured again while it still stops because it was not. */
	if (w->removed && w->state == WORKER_STOPPING && config->kind != WORKER_JOB)
		w->again = true;
	w->removed = false;
	if (same)
		return;
	restart_forget(&w->restart);
	w->spread_until = 0;
	/* A job's run goes on; the next one is of the new configuration. */
	if (worker_is_up(w) && !stays_job) {
		w->again = true;
		w->cause = CAUSE_RELOAD;
	} else if (w->wanted && (worker_is_final(w) || w->state == WORKER_BACKOFF)) {
		worker_come_back(w);
		worker_enter(w, WORKER_WAITING, t, "its configuration changed");
	}
}
