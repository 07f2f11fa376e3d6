#include "podvisor/model/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

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
	[CAUSE_DEPENDENCY] = "dependency",
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
	return w->state == (w->config->kind == WORKER_TASK ? WORKER_SUCCEEDED : WORKER_READY);
}

bool worker_is_final(const struct worker *w)
{
	return w->state == WORKER_STOPPED || w->state == WORKER_SUCCEEDED || w->state == WORKER_FAILED;
}

static bool is_running(const struct worker *w)
{
	return w->state == WORKER_STARTING || w->state == WORKER_RUNNING || w->state == WORKER_READY;
}

static const struct config_check *check_of(const struct worker *w, enum probe probe)
{
	const struct config_check *checks[PROBE_COUNT] = {
		[PROBE_STARTUP] = &w->config->startup,
		[PROBE_READINESS] = &w->config->readiness,
		[PROBE_LIVENESS] = &w->config->liveness,
	};
	return checks[probe];
}

static struct worker_run *current_run(struct worker *w)
{
	return &w->history[w->n_runs % WORKER_HISTORY];
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

static const char *signal_name(int signal)
{
	const char *name = sigabbrev_np(signal);
	return name ? name : "?";
}

void worker_describe_end(const struct worker_run *run, char *out, size_t size)
{
	if (!run->exited)
		snprintf(out, size, "could not start: %s", strerror(-run->error));
	else if (WIFSIGNALED(run->status))
		snprintf(out, size, "killed by SIG%s", signal_name(WTERMSIG(run->status)));
	else
		snprintf(out, size, "exited with code %d", WEXITSTATUS(run->status));
}

/* The only place where a state changes: it is told to the journal here. */
PRINTF_LIKE(4, 5)
static void enter(struct worker *w, enum worker_state state, struct turn *t, const char *fmt, ...)
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
	w->watchdog_at = CLOCK_NEVER;
}

void worker_fini(struct worker *w)
{
	config_release(w->source);
	*w = (struct worker){0};
}

void worker_reconfigure(struct worker *w, struct config *source, const struct config_worker *config, struct turn *t)
{
	bool same = config_worker_equal(w->config, config);
	struct config *old = w->source;
	w->source = config_hold(source);
	w->config = config;
	config_release(old);
	/* It is configured again while it still stops because it was not. */
	if (w->removed && w->state == WORKER_STOPPING)
		w->again = true;
	w->removed = false;
	if (same)
		return;
	restart_forget(&w->restart);
	if (worker_is_up(w)) {
		w->again = true;
		w->cause = CAUSE_RELOAD;
	} else if (w->wanted && worker_is_final(w)) {
		enter(w, WORKER_WAITING, t, "its configuration changed");
	}
}

/* ---- what happened ---- */

/* Where a running worker stands, read off its checks. */
static void settle(struct worker *w, struct turn *t)
{
	const struct config_check *startup = &w->config->startup, *readiness = &w->config->readiness;
	if (!is_running(w) || !w->started_at)
		return;
	bool started = startup->kind == CHECK_NONE || w->checks[PROBE_STARTUP].verdict == HEALTH_GOOD ||
		       (startup->kind == CHECK_NOTIFY && w->notified_ready);
	if (!started)
		return;
	if (w->state == WORKER_STARTING && w->config->liveness.kind != CHECK_NOTIFY)
		health_start(&w->checks[PROBE_LIVENESS], &w->config->liveness, t->now);
	if (w->config->kind == WORKER_TASK)
		enter(w, WORKER_RUNNING, t, "pid %d", w->pid);
	else if (readiness->kind == CHECK_NONE)
		enter(w, WORKER_READY, t, "pid %d", w->pid);
	else if (readiness->kind == CHECK_NOTIFY ? w->notified_ready
						 : w->checks[PROBE_READINESS].verdict == HEALTH_GOOD)
		enter(w, WORKER_READY, t, "pid %d", w->pid);
	else if (w->checks[PROBE_READINESS].verdict == HEALTH_BAD)
		enter(w, WORKER_RUNNING, t, "not ready: %s", w->checks[PROBE_READINESS].text);
	else
		enter(w, WORKER_RUNNING, t, "pid %d, not ready yet", w->pid);
	if (w->state == WORKER_READY && !w->ready_at)
		w->ready_at = t->now;
}

static void on_started(struct worker *w, const struct event *e, struct turn *t)
{
	w->pid = current_run(w)->pid = e->pid;
	w->started_at = current_run(w)->started_at = t->now;
	health_start(&w->checks[PROBE_STARTUP], &w->config->startup, t->now);
	health_start(&w->checks[PROBE_READINESS], &w->config->readiness, t->now);
	if (w->config->liveness.kind == CHECK_NOTIFY)
		w->watchdog_at = clock_after(t->now, w->config->liveness.timeout);
	settle(w, t);
}

static void count_exit(struct worker *w, int status)
{
	if (WIFSIGNALED(status))
		w->exits_signaled++;
	else if (WEXITSTATUS(status))
		w->exits_failed++;
	else
		w->exits_ok++;
}

static void on_exited(struct worker *w, const struct event *e, struct turn *t)
{
	struct worker_run *run = current_run(w);
	run->exited = true;
	run->status = e->exited.status;
	run->cpu_us = e->exited.cpu_us;
	run->peak_bytes = e->exited.peak_bytes;
	run->ended_at = t->now;
	w->main_ended = true;
	count_exit(w, run->status);
	if (w->state != WORKER_STOPPING)
		w->cause = WIFSIGNALED(run->status) ? CAUSE_SIGNAL : CAUSE_EXIT;
	char end[96];
	worker_describe_end(run, end, sizeof(end));
	enter(w, WORKER_STOPPING, t, "%s", end);
}

static bool ended_well(const struct worker_run *run)
{
	return run->exited && WIFEXITED(run->status) && WEXITSTATUS(run->status) == 0;
}

static bool is_to_restart(const struct worker *w, bool well)
{
	bool forced = w->cause == CAUSE_LIVENESS || w->cause == CAUSE_STARTUP;
	switch (w->config->restart.policy) {
	case RESTART_NEVER:
		return false;
	case RESTART_ON_FAILURE:
		return forced || !well;
	default:
		return true;
	}
}

/* A run ended that nobody asked to end: start again, later, or never. */
static void decide_restart(struct worker *w, const struct worker_run *run, struct turn *t)
{
	char end[96];
	worker_describe_end(run, end, sizeof(end));
	bool well = ended_well(run);
	if (w->config->kind == WORKER_TASK && well && w->cause == CAUSE_EXIT) {
		enter(w, WORKER_SUCCEEDED, t, "%s", end);
		return;
	}
	if (!is_to_restart(w, well)) {
		enter(w, well ? WORKER_STOPPED : WORKER_FAILED, t, "%s, and its restart policy leaves it so", end);
		return;
	}
	ms_t ran = run->started_at ? run->ended_at - run->started_at : 0;
	ms_t delay = restart_after_exit(&w->restart, &w->config->restart, ran, t->now, t->random);
	if (delay < 0) {
		enter(w, WORKER_FAILED, t, "%s; %d restarts within %lld s are its limit", end,
			w->config->restart.limit.count, (long long)w->config->restart.limit.window / 1000);
		return;
	}
	w->restarts[w->cause]++;
	w->not_before = clock_after(t->now, delay);
	enter(w, WORKER_BACKOFF, t, "%s; starting again in %lld ms", end, (long long)delay);
}

/* Nothing of the run is left. */
static void end_run(struct worker *w, struct turn *t)
{
	const struct worker_run *run = current_run(w);
	current_run(w)->cause = w->cause;
	w->n_runs++;
	enum worker_cause cause = w->cause;
	w->run = 0;
	w->pid = 0;
	w->started_at = w->ready_at = 0;
	w->watchdog_at = CLOCK_NEVER;
	w->status_text[0] = '\0';
	if (w->again && w->wanted && !w->removed) {
		w->again = false;
		w->restarts[cause]++;
		w->not_before = 0;
		enter(w, WORKER_WAITING, t, "to be started again: %s", worker_cause_name(cause));
	} else if (cause == CAUSE_DEPENDENCY && w->wanted) {
		w->restarts[cause]++;
		enter(w, WORKER_PAUSED, t, "a thing that it depends on is gone");
	} else if (!w->wanted || w->removed || cause == CAUSE_SHUTDOWN || cause == CAUSE_COMMAND) {
		char end[96];
		worker_describe_end(run, end, sizeof(end));
		enter(w, WORKER_STOPPED, t, "%s", end);
	} else {
		decide_restart(w, run, t);
	}
	w->cause = CAUSE_NONE;
}

static void on_gone(struct worker *w, const struct event *e, struct turn *t)
{
	current_run(w)->killed = e->killed;
	if (e->killed > 0)
		journal_add(t->journal, t->now, LOG_WARN, THING_WORKER, w->name, "leftovers",
			"%d process%s that it left behind had to be killed", e->killed, e->killed == 1 ? "" : "es");
	end_run(w, t);
}

static void on_unstartable(struct worker *w, const struct event *e, struct turn *t)
{
	struct worker_run *run = current_run(w);
	run->error = e->error;
	run->ended_at = t->now;
	if (w->state != WORKER_STOPPING)
		w->cause = CAUSE_SPAWN;
	journal_add(
		t->journal, t->now, LOG_ERROR, THING_WORKER, w->name, "unstartable", "could not start: %s", e->text);
	end_run(w, t);
	/* The sentence of the port says more than strerror. */
	if (w->state == WORKER_BACKOFF || w->state == WORKER_FAILED)
		snprintf(w->reason, sizeof(w->reason), "could not start: %.*s", (int)sizeof(w->reason) - 20, e->text);
}

static void on_notified(struct worker *w, const struct event *e, struct turn *t)
{
	unsigned bits = e->notified.bits;
	if (bits & NOTIFIED_STATUS)
		snprintf(w->status_text, sizeof(w->status_text), "%s", e->text);
	if (bits & NOTIFIED_READY)
		w->notified_ready = true;
	if (bits & NOTIFIED_STOPPING)
		w->notified_stopping = true;
	if ((bits & NOTIFIED_WATCHDOG) && w->watchdog_at != CLOCK_NEVER)
		w->watchdog_at = clock_after(t->now, w->config->liveness.timeout);
	if ((bits & NOTIFIED_EXTEND) && w->state == WORKER_STOPPING) {
		ms_t until = clock_after(t->now, e->notified.extend_us / 1000);
		w->stop_deadline = until > w->stop_deadline ? until : w->stop_deadline;
	}
	settle(w, t);
}

static void on_checked(struct worker *w, const struct event *e, struct turn *t)
{
	enum probe probe = e->checked.probe;
	health_answered(&w->checks[probe], check_of(w, probe), e->checked.ok, e->text, t->now);
	settle(w, t);
}

static void on_asked(struct worker *w, const struct event *e, struct turn *t)
{
	if (e->kind == EVENT_ASKED_STOP) {
		w->wanted = w->again = false;
		return;
	}
	w->wanted = true;
	if (worker_is_up(w)) {
		bool leaving = w->state == WORKER_STOPPING;
		w->again |= leaving || e->kind == EVENT_ASKED_RESTART;
		w->cause = leaving ? w->cause : CAUSE_COMMAND;
		return;
	}
	restart_forget(&w->restart);
	w->not_before = 0;
	enter(w, WORKER_WAITING, t, "somebody asked for it");
}

void worker_apply(struct worker *w, const struct event *e, struct turn *t)
{
	static void (*const handlers[EVENT_KIND_COUNT])(struct worker *, const struct event *, struct turn *) = {
		[EVENT_WORKER_STARTED] = on_started,
		[EVENT_WORKER_UNSTARTABLE] = on_unstartable,
		[EVENT_WORKER_EXITED] = on_exited,
		[EVENT_WORKER_GONE] = on_gone,
		[EVENT_WORKER_NOTIFIED] = on_notified,
		[EVENT_WORKER_CHECKED] = on_checked,
		[EVENT_ASKED_START] = on_asked,
		[EVENT_ASKED_STOP] = on_asked,
		[EVENT_ASKED_RESTART] = on_asked,
	};
	bool asked = e->kind == EVENT_ASKED_START || e->kind == EVENT_ASKED_STOP || e->kind == EVENT_ASKED_RESTART;
	if (!handlers[e->kind] || (!asked && (e->run == 0 || e->run != w->run)))
		return;
	handlers[e->kind](w, e, t);
}

/* ---- what to do ---- */

static void begin_run(struct worker *w, uint64_t *next_run, struct turn *t)
{
	w->run = (*next_run)++;
	*current_run(w) = (struct worker_run){.run = w->run};
	w->main_ended = w->killing = w->notified_ready = w->notified_stopping = w->again = false;
	w->cause = CAUSE_NONE;
	w->pid = 0;
	w->started_at = w->ready_at = w->lost_at = w->spread_until = 0;
	for (int i = 0; i < PROBE_COUNT; i++)
		w->checks[i] = (struct health){.due = CLOCK_NEVER};
	enter(w, WORKER_STARTING, t, "run %llu", (unsigned long long)w->run);
	plan_add(t->plan, EFFECT_WORKER_SPAWN, w->slot, w->run, 0, "it is wanted");
}

PRINTF_LIKE(4, 5)
static void begin_stop(struct worker *w, enum worker_cause cause, struct turn *t, const char *fmt, ...)
{
	char why[128];
	va_list args;
	va_start(args, fmt);
	vsnprintf(why, sizeof(why), fmt, args);
	va_end(args);
	w->cause = cause;
	w->stop_deadline = clock_after(t->now, w->config->stop.timeout);
	enter(w, WORKER_STOPPING, t, "%s", why);
	plan_add(t->plan, EFFECT_WORKER_SIGNAL, w->slot, w->run, w->config->stop.signal, "%s", why);
	plan_wake(t->plan, w->stop_deadline);
}

static void plan_down(struct worker *w, const struct worker_gate *gate, uint64_t *next_run, struct turn *t)
{
	if (!w->wanted || w->removed || gate->shutdown) {
		if (!worker_is_final(w))
			enter(w, WORKER_STOPPED, t, "%s", gate->shutdown ? "podvisor is stopping" : "nobody wants it");
		return;
	}
	if (worker_is_final(w))
		return;
	if (w->state == WORKER_BACKOFF && !clock_due(w->not_before, t->now)) {
		plan_wake(t->plan, w->not_before);
		return;
	}
	if (!gate->may_start) {
		w->spread_until = 0;
		enter(w, w->state == WORKER_PAUSED ? WORKER_PAUSED : WORKER_WAITING, t, "%s", gate->why);
		return;
	}
	if (gate->spread && !w->spread_until)
		w->spread_until = clock_after(t->now, (ms_t)random_below(t->random, (uint64_t)gate->spread));
	if (w->spread_until > t->now) {
		plan_wake(t->plan, w->spread_until);
		return;
	}
	begin_run(w, next_run, t);
}

static void plan_kill(struct worker *w, struct turn *t, const char *why)
{
	if (w->killing)
		return;
	w->killing = true;
	journal_add(t->journal, t->now, LOG_WARN, THING_WORKER, w->name, "kill", "SIGKILL to everything it started: %s",
		why);
	plan_add(t->plan, EFFECT_WORKER_KILL, w->slot, w->run, 0, "%s", why);
}

static void plan_stopping(struct worker *w, struct turn *t)
{
	if (w->main_ended || w->killing)
		return;
	if (!clock_due(w->stop_deadline, t->now)) {
		plan_wake(t->plan, w->stop_deadline);
		return;
	}
	plan_kill(w, t, "its stop time-out is over");
}

static bool plan_dependency_loss(struct worker *w, const struct worker_gate *gate, struct turn *t)
{
	if (gate->may_start || w->config->on_dependency_loss == DEPENDENCY_LOSS_KEEP) {
		w->lost_at = 0;
		return false;
	}
	if (!w->lost_at)
		w->lost_at = t->now;
	ms_t until = clock_after(w->lost_at, w->config->grace);
	if (!clock_due(until, t->now)) {
		plan_wake(t->plan, until);
		return false;
	}
	w->again = w->config->on_dependency_loss == DEPENDENCY_LOSS_RESTART;
	begin_stop(w, CAUSE_DEPENDENCY, t, "%s", gate->why);
	return true;
}

static void plan_check(struct worker *w, enum probe probe, struct turn *t)
{
	struct health *h = &w->checks[probe];
	const struct config_check *check = check_of(w, probe);
	if (health_is_due(h, check, t->now)) {
		health_sent(h);
		plan_add(t->plan, EFFECT_WORKER_CHECK, w->slot, w->run, probe, "%s check is due", probe_name(probe));
	}
	plan_wake(t->plan, health_next(h, check));
}

static void plan_checks(struct worker *w, struct turn *t)
{
	if (w->state == WORKER_STARTING) {
		plan_check(w, PROBE_STARTUP, t);
		if (w->checks[PROBE_STARTUP].verdict == HEALTH_BAD)
			begin_stop(w, CAUSE_STARTUP, t, "its startup check failed: %s", w->checks[PROBE_STARTUP].text);
		return;
	}
	plan_check(w, PROBE_READINESS, t);
	plan_check(w, PROBE_LIVENESS, t);
	if (w->checks[PROBE_LIVENESS].verdict == HEALTH_BAD)
		begin_stop(w, CAUSE_LIVENESS, t, "its liveness check failed: %s", w->checks[PROBE_LIVENESS].text);
	else if (clock_due(w->watchdog_at, t->now))
		begin_stop(w, CAUSE_LIVENESS, t, "no WATCHDOG=1 for %lld ms", (long long)w->config->liveness.timeout);
	else
		plan_wake(t->plan, w->watchdog_at);
}

static void plan_running(struct worker *w, const struct worker_gate *gate, struct turn *t)
{
	if (gate->shutdown || w->removed) {
		if (gate->may_stop)
			begin_stop(w, w->removed ? CAUSE_RELOAD : CAUSE_SHUTDOWN, t, "%s",
				w->removed ? "it is no longer configured" : "podvisor is stopping");
		return;
	}
	if (!w->wanted)
		begin_stop(w, CAUSE_COMMAND, t, "somebody asked to stop it");
	else if (w->again)
		begin_stop(w, w->cause, t, "%s",
			w->cause == CAUSE_RELOAD ? "its configuration changed" : "somebody asked to restart it");
	else if (w->started_at && !plan_dependency_loss(w, gate, t))
		plan_checks(w, t);
}

void worker_plan(struct worker *w, const struct worker_gate *gate, uint64_t *next_run, struct turn *t)
{
	if (!worker_is_up(w)) {
		plan_down(w, gate, next_run, t);
		return;
	}
	if (gate->kill)
		plan_kill(w, t, "a third signal asked for it");
	if (w->state == WORKER_STOPPING)
		plan_stopping(w, t);
	else
		plan_running(w, gate, t);
}
