#include "podvisor/model/worker_events.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

static void set_watchdog(struct worker *w, ms_t span, struct turn *t)
{
	w->watchdog_span = span;
	w->watchdog_at = span ? clock_after(t->now, span) : CLOCK_NEVER;
}

/* It has started: from now on it is judged by what it does. */
static void begin_watch(struct worker *w, struct turn *t)
{
	if (w->watching || w->state == WORKER_STARTING)
		return;
	w->watching = true;
	if (w->config->liveness.kind == CHECK_NOTIFY)
		set_watchdog(w, w->config->liveness.timeout, t);
	if (w->config->limits.memory_bytes)
		w->memory.due = clock_after(t->now, WORKER_MEMORY_INTERVAL_MS);
	progress_start(&w->progress, &w->config->progress, t->now);
}

static bool is_ready(const struct worker *w)
{
	const struct config_check *readiness = &w->config->readiness;
	return readiness->kind == CHECK_NONE ||
	       (readiness->kind == CHECK_NOTIFY ? w->notified_ready
						: w->checks[PROBE_READINESS].verdict == HEALTH_GOOD);
}

/* Where a running worker stands, read off its checks. */
static void settle(struct worker *w, struct turn *t)
{
	const struct config_check *startup = &w->config->startup;
	if (!worker_is_running(w) || !w->started_at)
		return;
	bool started = startup->kind == CHECK_NONE || w->checks[PROBE_STARTUP].verdict == HEALTH_GOOD ||
		       (startup->kind == CHECK_NOTIFY && w->notified_ready);
	if (!started)
		return;
	if (w->state == WORKER_STARTING && w->config->liveness.kind != CHECK_NOTIFY)
		health_start(&w->checks[PROBE_LIVENESS], &w->config->liveness, t->now);
	if (w->config->kind != WORKER_SERVICE)
		worker_enter(w, WORKER_RUNNING, t, "pid %d", w->pid);
	else if (is_ready(w))
		worker_enter(w, WORKER_READY, t, "pid %d%s", w->pid, w->reloading ? ", reloading" : "");
	else if (w->checks[PROBE_READINESS].verdict == HEALTH_BAD)
		worker_enter(w, WORKER_RUNNING, t, "not ready: %s", w->checks[PROBE_READINESS].text);
	else
		worker_enter(w, WORKER_RUNNING, t, "pid %d, not ready yet", w->pid);
	if (w->state == WORKER_READY && !w->ready_at)
		w->ready_at = t->now;
	begin_watch(w, t);
}

/* What Kubernetes gives a startup probe that never succeeds. */
static ms_t start_span(const struct config_check *startup)
{
	return startup->initial_delay + startup->interval * startup->failure_threshold;
}

void worker_begin_work(struct worker *w, struct turn *t)
{
	health_start(&w->checks[PROBE_STARTUP], &w->config->startup, t->now);
	health_start(&w->checks[PROBE_READINESS], &w->config->readiness, t->now);
	if (w->config->startup.kind == CHECK_NOTIFY)
		w->start_deadline = clock_after(t->now, start_span(&w->config->startup));
	settle(w, t);
}

static void on_started(struct worker *w, const struct event *e, struct turn *t)
{
	if (w->started_at)
		return;
	if (w->pid)
		w->follow = w->pid != e->pid;
	else
		w->pid = worker_current_run(w)->pid = e->pid;
	w->started_at = worker_current_run(w)->started_at = t->now;
	if (!w->warm)
		worker_begin_work(w, t);
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

/* Its shim has killed it at the deadline, while podvisor slept. */
static bool was_fenced(const struct worker *w, int status, ms_t now)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && clock_due(w->lease_deadline, now);
}

static void on_exited(struct worker *w, const struct event *e, struct turn *t)
{
	struct worker_run *run = worker_current_run(w);
	if (w->main_ended)
		return;
	run->exited = true;
	run->status = e->exited.status;
	run->cpu_us = e->exited.cpu_us;
	run->peak_bytes = e->exited.peak_bytes;
	run->ended_at = t->now;
	w->main_ended = true;
	count_exit(w, run->status);
	if (w->state != WORKER_STOPPING)
		w->cause = was_fenced(w, run->status, t->now) ? CAUSE_LEASE
			   : WIFSIGNALED(run->status)         ? CAUSE_SIGNAL
							      : CAUSE_EXIT;
	char end[WORKER_END_SIZE];
	worker_describe_end(w, run, end, sizeof(end));
	worker_enter(w, WORKER_STOPPING, t, "%s", end);
}

static bool ended_well(const struct worker_run *run)
{
	return run->exited && WIFEXITED(run->status) && WEXITSTATUS(run->status) == 0;
}

/* What the end of a job's run says about its work; nothing when somebody or something else ended it. */
static enum job_result result_of(const struct worker *w, const struct worker_run *run)
{
	switch (w->cause) {
	case CAUSE_OVERLAP:
	case CAUSE_GROUP:
	case CAUSE_DEPENDENCY:
	case CAUSE_LEASE:
	case CAUSE_COMMAND:
	case CAUSE_RELOAD:
	case CAUSE_SHUTDOWN:
		return JOB_NONE;
	case CAUSE_EXIT:
		return ended_well(run) ? JOB_SUCCEEDED : JOB_FAILED;
	default:
		return JOB_FAILED;
	}
}

static void note_result(struct worker *w, const struct worker_run *run, struct turn *t)
{
	char end[WORKER_END_SIZE];
	enum job_result result = result_of(w, run);
	schedule_note(&w->schedule, result, t->now);
	if (result != JOB_FAILED)
		return;
	worker_describe_end(w, run, end, sizeof(end));
	journal_add(t->journal, t->now, LOG_WARN, THING_WORKER, w->name, "run-failed", "its run failed: %s (%s)", end,
		worker_cause_name(w->cause));
}

static bool is_to_restart(const struct worker *w, const struct worker_run *run)
{
	bool well = ended_well(run), job = w->config->kind == WORKER_JOB;
	/* A job's run is tried again because it failed, unless another one waits. */
	if (job && (w->schedule.queued || result_of(w, run) != JOB_FAILED))
		return false;
	switch (w->config->restart.policy) {
	case RESTART_NEVER:
		return false;
	case RESTART_ON_FAILURE:
		return !well || (w->cause != CAUSE_EXIT && w->cause != CAUSE_SIGNAL);
	default:
		return true;
	}
}

/* A job does not end for good, unless its limit says so: it waits for its next time. */
static bool rest(struct worker *w, struct turn *t)
{
	char text[sizeof(w->reason)];
	if (w->config->kind != WORKER_JOB)
		return false;
	schedule_over(&w->schedule);
	restart_forget(&w->restart);
	worker_describe_rest(w, "", text, sizeof(text));
	worker_enter(w, WORKER_WAITING, t, "%s", text);
	return true;
}

static void fail_at_limit(struct worker *w, const char *end, struct turn *t)
{
	int count = w->config->restart.limit.count;
	worker_enter(w, WORKER_FAILED, t, "%s; %d restart%s within %lld s %s its limit", end, count,
		count == 1 ? "" : "s", (long long)w->config->restart.limit.window / 1000, count == 1 ? "is" : "are");
}

/* What stands in the configuration is not there, or not allowed: tried again all the same, for a file may be mounted
 * later. */
static bool is_hopeless(const struct worker_run *run)
{
	static const int errors[] = {ENOENT, ENOTDIR, EISDIR, EACCES, EPERM, ENOEXEC, ELOOP, ENAMETOOLONG, EINVAL};
	for (size_t i = 0; !run->exited && i < sizeof(errors) / sizeof(errors[0]); i++)
		if (run->error == -errors[i])
			return true;
	return false;
}

static void back_off(struct worker *w, const struct worker_run *run, const char *end, ms_t delay, struct turn *t)
{
	const char *verdict = is_hopeless(run) ? "; it will not start as configured" : "";
	if (delay)
		worker_enter(w, WORKER_BACKOFF, t, "%s%s; starting again in %lld ms", end, verdict, (long long)delay);
	else
		worker_enter(w, WORKER_BACKOFF, t, "%s%s; starting again at once", end, verdict);
}

/* A run ended that nobody asked to end: start again, later, or never. */
static void decide_restart(struct worker *w, const struct worker_run *run, struct turn *t)
{
	char end[WORKER_END_SIZE];
	worker_describe_end(w, run, end, sizeof(end));
	bool well = ended_well(run);
	if (w->config->kind == WORKER_TASK && well && w->cause == CAUSE_EXIT) {
		worker_enter(w, WORKER_SUCCEEDED, t, "%s", end);
		return;
	}
	if (!is_to_restart(w, run)) {
		if (rest(w, t))
			return;
		worker_enter(
			w, well ? WORKER_STOPPED : WORKER_FAILED, t, "%s, and its restart policy leaves it so", end);
		return;
	}
	ms_t ran = run->started_at ? run->ended_at - run->started_at : 0;
	ms_t delay = restart_after_exit(&w->restart, &w->config->restart, ran, t->now, t->random);
	if (delay < 0) {
		if (w->config->restart.limit.action == RESTART_LIMIT_AUTO && rest(w, t))
			return;
		fail_at_limit(w, end, t);
		return;
	}
	w->restarts[w->cause]++;
	w->not_before = clock_after(t->now, delay);
	back_off(w, run, end, delay, t);
}

/* Nothing of the run is left. */
static void end_run(struct worker *w, struct turn *t)
{
	const struct worker_run *run = worker_current_run(w);
	worker_current_run(w)->cause = w->cause;
	w->n_runs++;
	enum worker_cause cause = w->cause;
	w->run = 0;
	w->run_config = NULL;
	config_release(w->run_source);
	w->run_source = NULL;
	w->pid = 0;
	w->warm = false;
	w->started_at = w->ready_at = 0;
	w->lease_deadline = CLOCK_NEVER;
	w->start_deadline = w->watchdog_at = w->memory.due = CLOCK_NEVER;
	w->progress = (struct progress){.due = CLOCK_NEVER};
	w->status_text[0] = '\0';
	if (w->config->kind == WORKER_JOB)
		note_result(w, run, t);
	if (w->again && w->wanted && !w->removed) {
		w->again = false;
		w->restarts[cause]++;
		w->not_before = 0;
		worker_enter(w, WORKER_WAITING, t, "to be started again: %s", worker_cause_name(cause));
	} else if (cause == CAUSE_DEPENDENCY && w->wanted) {
		w->restarts[cause]++;
		worker_enter(w, WORKER_PAUSED, t, "a thing that it depends on is gone");
	} else if (cause == CAUSE_LEASE && w->wanted && !w->removed) {
		w->restarts[cause]++;
		w->not_before = 0;
		worker_enter(w, WORKER_STANDBY, t, "its lease was given up or lost");
	} else if (!w->wanted || w->removed || cause == CAUSE_SHUTDOWN || cause == CAUSE_COMMAND) {
		char end[WORKER_END_SIZE];
		worker_describe_end(w, run, end, sizeof(end));
		worker_enter(w, WORKER_STOPPED, t, "%s", end);
	} else {
		decide_restart(w, run, t);
	}
	w->cause = CAUSE_NONE;
	w->owes_comeback |= run->started_at && w->config->kind != WORKER_JOB;
	if (!worker_is_final(w))
		worker_come_back(w);
}

static void on_gone(struct worker *w, const struct event *e, struct turn *t)
{
	worker_current_run(w)->killed = e->killed;
	if (e->killed > 0)
		journal_add(t->journal, t->now, LOG_WARN, THING_WORKER, w->name, "leftovers",
			"%d process%s that it left behind had to be killed", e->killed, e->killed == 1 ? "" : "es");
	end_run(w, t);
}

static void on_unstartable(struct worker *w, const struct event *e, struct turn *t)
{
	struct worker_run *run = worker_current_run(w);
	run->error = e->error;
	run->ended_at = t->now;
	w->unstartable_run = run->run;
	snprintf(w->unstartable, sizeof(w->unstartable), "%s", e->text);
	if (w->state != WORKER_STOPPING)
		w->cause = CAUSE_SPAWN;
	/* A stop that came before its start is no failure. */
	enum log_level level = e->error == -ECANCELED && w->state == WORKER_STOPPING ? LOG_INFO : LOG_ERROR;
	journal_add(t->journal, t->now, level, THING_WORKER, w->name, "unstartable", "could not start: %s", e->text);
	end_run(w, t);
}

/* It ends by itself: as a stop without a signal, for as long as a stop may take. A single command (run -- COMMAND)
 * takes as long as it likes, as under any other init. */
static void begin_leaving(struct worker *w, struct turn *t)
{
	w->notified_stopping = true;
	if (!worker_is_running(w) || !w->started_at)
		return;
	w->cause = CAUSE_EXIT;
	w->stop_step = WORKER_STOP_NONE;
	w->stop_deadline = w->config->interactive ? CLOCK_NEVER : clock_after(t->now, worker_stop_of(w)->timeout);
	worker_enter(w, WORKER_STOPPING, t, "it says that it is stopping");
}

static void take_watchdog(struct worker *w, const struct event *e, struct turn *t)
{
	unsigned bits = e->notified.bits;
	if (bits & NOTIFIED_WATCHDOG_USEC)
		set_watchdog(w, e->notified.watchdog_us > 0 ? (e->notified.watchdog_us + 999) / 1000 : 0, t);
	if (bits & NOTIFIED_WATCHDOG && w->watchdog_span) {
		w->watchdog_at = clock_after(t->now, w->watchdog_span);
		doubt_clear(&w->doubt, true);
	}
	w->triggered |= (bits & NOTIFIED_TRIGGER) != 0;
}

/* The runtime has seen that the process is one of its own. A quick worker may say so before its shim has told that it
 * has started, which could not follow anybody yet. */
static void take_main(struct worker *w, int pid)
{
	if (pid == w->pid || w->main_ended)
		return;
	w->pid = worker_current_run(w)->pid = pid;
	w->follow = w->started_at != 0;
}

static void take_progress(struct worker *w, double value, struct turn *t)
{
	if (!progress_told(&w->progress, &w->config->progress, value, t->now))
		return;
	if (w->progress.stalled)
		journal_add(t->journal, t->now, LOG_INFO, THING_WORKER, w->name, "progress",
			"its work moves forward again: %.15g", value);
	w->progress.stalled = false;
	doubt_clear(&w->doubt, true);
}

/* As systemd has it: longer, never shorter, as often as it is asked for (sd_notify(3)). At shutdown the pod's
 * deadline ends it all the same. */
static void extend(struct worker *w, ms_t until)
{
	ms_t *deadline = w->state == WORKER_STOPPING ? &w->stop_deadline : &w->start_deadline;
	bool limited = w->state == WORKER_STOPPING || (w->state == WORKER_STARTING && *deadline != CLOCK_NEVER);
	if (limited && until > *deadline)
		*deadline = until;
}

/* sd_notify(3), as systemd takes it. */
static void on_notified(struct worker *w, const struct event *e, struct turn *t)
{
	unsigned bits = e->notified.bits;
	if (bits & NOTIFIED_STATUS)
		snprintf(w->status_text, sizeof(w->status_text), "%s", e->text);
	if (bits & NOTIFIED_ERRNO)
		worker_current_run(w)->said_errno = (int)e->notified.errno_value;
	if (bits & NOTIFIED_MAINPID)
		take_main(w, e->notified.mainpid);
	if (bits & (NOTIFIED_READY | NOTIFIED_RELOADING)) {
		w->notified_ready |= (bits & NOTIFIED_READY) != 0;
		w->reloading = (bits & NOTIFIED_READY) == 0;
	}
	take_watchdog(w, e, t);
	if (bits & NOTIFIED_PROGRESS && w->config->progress.notify)
		take_progress(w, (double)e->notified.progress, t);
	if (bits & NOTIFIED_EXTEND)
		extend(w, clock_after(t->now, e->notified.extend_us > 0 ? e->notified.extend_us / 1000 : 0));
	if (bits & NOTIFIED_FDSTORE)
		journal_add(t->journal, t->now, LOG_WARN, THING_WORKER, w->name, "fdstore",
			"it wants file descriptors kept (FDSTORE=1); podvisor keeps none and has closed them");
	if (bits & NOTIFIED_STOPPING)
		begin_leaving(w, t);
	settle(w, t);
}

static void on_progressed(struct worker *w, const struct event *e, struct turn *t)
{
	struct progress *p = &w->progress;
	if (e->progressed.ok) {
		take_progress(w, e->progressed.value, t);
		return;
	}
	if (!p->trouble[0])
		journal_add(t->journal, t->now, LOG_WARN, THING_WORKER, w->name, "progress",
			"its progress cannot be read: %s", e->text);
	progress_failed(p, &w->config->progress, e->text, t->now);
}

static void on_measured(struct worker *w, const struct event *e, struct turn *t)
{
	struct worker_memory *m = &w->memory;
	bool awaited = m->in_flight, known = e->memory_bytes >= 0;
	if (known)
		m->bytes = e->memory_bytes;
	if (known && w->ready_at && !m->baseline_bytes)
		m->baseline_bytes = e->memory_bytes;
	if (!awaited) /* the memory guard's */
		return;
	m->in_flight = false;
	m->due = clock_after(t->now, WORKER_MEMORY_INTERVAL_MS);
	if (known)
		m->strikes = m->bytes > w->config->limits.memory_bytes ? m->strikes + 1 : 0;
}

static void on_inspected(struct worker *w, const struct event *e, struct turn *t)
{
	(void)t;
	doubt_answered(&w->doubt, &e->inspected);
}

static void on_stop_command(struct worker *w, const struct event *e, struct turn *t)
{
	if (w->stop_step != WORKER_STOP_COMMANDED)
		return;
	if (!e->done)
		journal_add(t->journal, t->now, LOG_WARN, THING_WORKER, w->name, "stop-command",
			"its stop command failed: %s", e->text);
	w->stop_step = WORKER_STOP_TO_SIGNAL;
}

static void on_checked(struct worker *w, const struct event *e, struct turn *t)
{
	enum probe probe = e->checked.probe;
	if (e->checked.shortage) {
		journal_add(t->journal, t->now, LOG_WARN, THING_WORKER, w->name, "check",
			"its %s check could not be made: %s", probe_name(probe), e->text);
		health_skipped(&w->checks[probe], worker_check_of(w, probe), t->now);
		return;
	}
	health_answered(&w->checks[probe], worker_check_of(w, probe), e->checked.ok, e->text, t->now);
	if (probe == PROBE_LIVENESS && e->checked.ok)
		doubt_clear(&w->doubt, true);
	settle(w, t);
}

static void on_asked(struct worker *w, const struct event *e, struct turn *t)
{
	if (e->kind == EVENT_ASKED_STOP) {
		w->wanted = w->again = false;
		return;
	}
	w->wanted = true;
	if (w->config->kind == WORKER_JOB)
		schedule_ask(&w->schedule);
	if (worker_is_up(w)) {
		bool leaving = w->state == WORKER_STOPPING;
		w->again |= leaving || e->kind == EVENT_ASKED_RESTART;
		w->cause = leaving ? w->cause : CAUSE_COMMAND;
		return;
	}
	restart_forget(&w->restart);
	w->not_before = 0;
	worker_come_back(w);
	worker_enter(w, WORKER_WAITING, t, "somebody asked for it");
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
		[EVENT_WORKER_PROGRESSED] = on_progressed,
		[EVENT_WORKER_MEASURED] = on_measured,
		[EVENT_WORKER_INSPECTED] = on_inspected,
		[EVENT_WORKER_STOP_COMMAND] = on_stop_command,
		[EVENT_ASKED_START] = on_asked,
		[EVENT_ASKED_STOP] = on_asked,
		[EVENT_ASKED_RESTART] = on_asked,
	};
	bool asked = e->kind == EVENT_ASKED_START || e->kind == EVENT_ASKED_STOP || e->kind == EVENT_ASKED_RESTART;
	if (!handlers[e->kind] || (!asked && (e->run == 0 || e->run != w->run)))
		return;
	handlers[e->kind](w, e, t);
}
