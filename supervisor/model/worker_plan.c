#include "podvisor/model/worker_plan.h"

#include <stdarg.h>
#include <stdio.h>

#include "podvisor/base/units.h"

static void begin_run(struct worker *w, const struct worker_gate *gate, uint64_t *next_run, struct turn *t)
{
	w->run = (*next_run)++;
	w->run_config = w->config;
	w->run_source = config_hold(w->source);
	*worker_current_run(w) = (struct worker_run){.run = w->run, .number = worker_run_number(w)};
	w->main_ended = w->killing = w->notified_ready = w->notified_stopping = w->again = false;
	w->reloading = w->follow = w->triggered = w->watching = false;
	w->stop_step = WORKER_STOP_NONE;
	w->doubt = (struct doubt){0};
	w->progress = (struct progress){.due = CLOCK_NEVER};
	w->memory = (struct worker_memory){.due = CLOCK_NEVER};
	w->watchdog_span = 0;
	w->cause = CAUSE_NONE;
	w->pid = 0;
	w->warm = gate->leased && !gate->lease.run;
	w->lease_deadline = gate->leased && !w->warm ? gate->lease.deadline : CLOCK_NEVER;
	w->fencing_token = w->warm ? 0 : gate->token;
	w->started_at = w->ready_at = w->lost_at = w->spread_until = 0;
	for (int i = 0; i < PROBE_COUNT; i++)
		w->checks[i] = (struct health){.due = CLOCK_NEVER};
	if (w->config->kind == WORKER_JOB)
		schedule_began(&w->schedule, w->config, t);
	if (w->warm)
		worker_enter(w, WORKER_STANDBY, t, "%s", gate->lease_why);
	else
		worker_enter(w, WORKER_STARTING, t, "run %llu", (unsigned long long)worker_run_number(w));
	plan_add(t->plan, EFFECT_WORKER_SPAWN, w->slot, w->run, 0, w->warm ? "it stands by warm" : "it is wanted");
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
	w->stop_deadline = clock_after(t->now, worker_stop_of(w)->timeout);
	worker_enter(w, WORKER_STOPPING, t, "%s", why);
	char **command = worker_stop_of(w)->command;
	if (cause == CAUSE_LEASE && w->killing)
		return; /* no stop command is to run without the lease */
	if (command && command[0] && w->started_at && !w->warm) {
		w->stop_step = WORKER_STOP_COMMANDED;
		plan_add(t->plan, EFFECT_WORKER_STOP_COMMAND, w->slot, w->run, 0, "%s", why);
	} else {
		plan_add(t->plan, EFFECT_WORKER_SIGNAL, w->slot, w->run, worker_stop_of(w)->signal, "%s", why);
	}
	plan_wake(t->plan, w->stop_deadline);
}

static void plan_down(struct worker *w, const struct worker_gate *gate, uint64_t *next_run, struct turn *t)
{
	if (!w->wanted || w->removed || gate->shutdown) {
		if (!worker_is_final(w))
			worker_enter(w, WORKER_STOPPED, t, "%s",
				gate->shutdown ? "podvisor is stopping" : "nobody wants it");
		return;
	}
	if (worker_is_final(w))
		return;
	if (w->state == WORKER_BACKOFF && !clock_due(w->not_before, t->now)) {
		plan_wake(t->plan, w->not_before);
		return;
	}
	if (gate->leased && !gate->lease.run && (gate->may_start || w->config->kind == WORKER_JOB)) {
		w->spread_until = 0;
		if (w->config->standby_warm)
			begin_run(w, gate, next_run, t);
		else
			worker_enter(w, WORKER_STANDBY, t, "%s", gate->lease_why);
		return;
	}
	if (w->config->kind == WORKER_JOB && !w->schedule.owed) {
		char text[sizeof(w->reason)];
		worker_describe_rest(w, "", text, sizeof(text));
		worker_enter(w, WORKER_WAITING, t, "%s", text);
		return;
	}
	if (!gate->may_start) {
		w->spread_until = 0;
		worker_enter(w, w->state == WORKER_PAUSED ? WORKER_PAUSED : WORKER_WAITING, t, "%s", gate->why);
		return;
	}
	if (gate->spread && !w->spread_until)
		w->spread_until = clock_after(t->now, (ms_t)random_below(t->random, (uint64_t)gate->spread));
	if (w->spread_until > t->now) {
		plan_wake(t->plan, w->spread_until);
		return;
	}
	begin_run(w, gate, next_run, t);
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
	if (w->stop_step == WORKER_STOP_TO_SIGNAL) {
		w->stop_step = WORKER_STOP_NONE;
		plan_add(t->plan, EFFECT_WORKER_SIGNAL, w->slot, w->run, worker_stop_of(w)->signal,
			"its stop command has ended");
	}
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
	const struct config_check *check = worker_check_of(w, probe);
	if (health_is_due(h, check, t->now)) {
		health_sent(h);
		plan_add(t->plan, EFFECT_WORKER_CHECK, w->slot, w->run, probe, "%s check is due", probe_name(probe));
	}
	plan_wake(t->plan, health_next(h, check));
}

/* ---- faults ---- */

/* The most telling fault that it has now, with its sentence in why. */
static enum worker_cause find_fault(const struct worker *w, ms_t now, char *why, size_t size)
{
	if (w->triggered) {
		snprintf(why, size, "it asked for its end (WATCHDOG=trigger)");
		return CAUSE_LIVENESS;
	}
	if (clock_due(w->watchdog_at, now)) {
		snprintf(why, size, "no WATCHDOG=1 for %lld ms", (long long)w->watchdog_span);
		return CAUSE_LIVENESS;
	}
	if (w->checks[PROBE_LIVENESS].verdict == HEALTH_BAD) {
		snprintf(why, size, "its liveness check failed: %.100s", w->checks[PROBE_LIVENESS].text);
		return CAUSE_LIVENESS;
	}
	bool acts = w->config->progress.action == PROGRESS_RESTART;
	if (acts && progress_is_stalled(&w->progress, &w->config->progress, now, why, size))
		return CAUSE_PROGRESS;
	return CAUSE_NONE;
}

/* Each deadline that is over once more. */
static void postpone(struct worker *w, ms_t now)
{
	if (clock_due(w->watchdog_at, now))
		w->watchdog_at = clock_after(now, w->watchdog_span);
	if (w->checks[PROBE_LIVENESS].verdict == HEALTH_BAD)
		health_excuse(&w->checks[PROBE_LIVENESS]);
	progress_excuse(&w->progress, now);
}

static void condemn(struct worker *w, enum worker_cause cause, const char *why, struct turn *t)
{
	bool stopped = w->doubt.answered && w->doubt.facts.stopped;
	begin_stop(w, cause, t, "%s", why);
	if (stopped)
		plan_kill(w, t, "its main process is stopped and hears no signal");
}

/* Returns whether it is being ended. */
static bool plan_faults(struct worker *w, struct turn *t)
{
	char why[128], pressure[96];
	enum worker_cause cause = find_fault(w, t->now, why, sizeof(why));
	if (cause == CAUSE_NONE) {
		doubt_clear(&w->doubt, false);
		return false;
	}
	if (w->triggered)
		doubt_refuse(&w->doubt);
	switch (doubt_judge(&w->doubt, t->now)) {
	case DOUBT_ASK:
		plan_add(t->plan, EFFECT_WORKER_INSPECT, w->slot, w->run, 0, "%s", why);
		plan_wake(t->plan, w->doubt.until);
		return false;
	case DOUBT_WAIT:
		plan_wake(t->plan, w->doubt.until);
		return false;
	case DOUBT_STRETCH:
		doubt_describe(&w->doubt, pressure, sizeof(pressure));
		journal_add(t->journal, t->now, LOG_WARN, THING_WORKER, w->name, "stretched",
			"%s, but %s: it is given as long once more", why, pressure);
		postpone(w, t->now);
		return false;
	default:
		condemn(w, cause, why, t);
		return true;
	}
}

/* For those whose progress is reported only; the others are told when they are restarted. */
static void tell_stall(struct worker *w, struct turn *t)
{
	char why[128];
	const struct config_progress *c = &w->config->progress;
	if (c->action == PROGRESS_RESTART || w->progress.stalled ||
		!progress_is_stalled(&w->progress, c, t->now, why, sizeof(why)))
		return;
	w->progress.stalled = true;
	journal_add(t->journal, t->now, LOG_WARN, THING_WORKER, w->name, "stalled", "%s", why);
}

static void plan_progress(struct worker *w, struct turn *t)
{
	if (progress_is_due(&w->progress, t->now)) {
		progress_sent(&w->progress);
		plan_add(t->plan, EFFECT_WORKER_PROGRESS, w->slot, w->run, 0, "its progress is due");
	}
	tell_stall(w, t);
	ms_t next = progress_next(&w->progress, &w->config->progress);
	if (next > t->now)
		plan_wake(t->plan, next);
}

/* Returns whether it is being ended. */
static bool plan_memory(struct worker *w, struct turn *t)
{
	char used[UNITS_TEXT_MAX], limit[UNITS_TEXT_MAX];
	struct worker_memory *m = &w->memory;
	if (m->strikes >= WORKER_MEMORY_STRIKES) {
		begin_stop(w, CAUSE_MEMORY, t, "its processes use %s of memory, more than limits.memory %s",
			units_format_size(m->bytes >> 20 << 20, used),
			units_format_size(w->config->limits.memory_bytes, limit));
		return true;
	}
	if (m->in_flight)
		return false;
	if (!clock_due(m->due, t->now)) {
		plan_wake(t->plan, m->due);
		return false;
	}
	m->in_flight = true;
	plan_add(t->plan, EFFECT_WORKER_MEASURE, w->slot, w->run, 0, "limits.memory");
	return false;
}

static void plan_checks(struct worker *w, struct turn *t)
{
	if (w->state == WORKER_STARTING) {
		plan_check(w, PROBE_STARTUP, t);
		if (w->checks[PROBE_STARTUP].verdict == HEALTH_BAD)
			begin_stop(w, CAUSE_STARTUP, t, "its startup check failed: %s", w->checks[PROBE_STARTUP].text);
		else if (clock_due(w->start_deadline, t->now))
			begin_stop(
				w, CAUSE_STARTUP, t, "no READY=1 within %lld ms", (long long)(t->now - w->started_at));
		else
			plan_wake(t->plan, w->start_deadline);
		return;
	}
	plan_check(w, PROBE_READINESS, t);
	plan_check(w, PROBE_LIVENESS, t);
	/* The faults first: they may move the deadlines that the others wake up for. */
	if (plan_faults(w, t))
		return;
	plan_progress(w, t);
	if (plan_memory(w, t))
		return;
	if (!clock_due(w->watchdog_at, t->now))
		plan_wake(t->plan, w->watchdog_at);
}

/* Returns whether it is being ended. */
static bool plan_deadline(struct worker *w, struct turn *t)
{
	char text[UNITS_TEXT_MAX];
	if (!w->config->deadline)
		return false;
	ms_t at = clock_after(w->started_at, w->config->deadline);
	if (!clock_due(at, t->now)) {
		plan_wake(t->plan, at);
		return false;
	}
	begin_stop(w, CAUSE_DEADLINE, t, "it runs longer than its deadline of %s",
		units_format_duration(w->config->deadline, text));
	return true;
}

static const char *why_again(const struct worker *w)
{
	switch (w->cause) {
	case CAUSE_RELOAD:
		return "its configuration changed";
	case CAUSE_GROUP:
		return "a thing that it restarts with came back";
	case CAUSE_POD_MEMORY:
		return "the pod's memory is short, and it grew most";
	case CAUSE_VOLUME:
		return "a RAM disk stays full";
	default:
		return "somebody asked to restart it";
	}
}

/* The deadline is the shim's before the process hears of it (runtime/workers). */
static void plan_warm(struct worker *w, const struct worker_gate *gate, struct turn *t)
{
	if (!gate->lease.run || !gate->may_start || !w->started_at) {
		worker_enter(w, WORKER_STANDBY, t, "%s", gate->lease.run ? gate->why : gate->lease_why);
		return;
	}
	w->warm = false;
	w->lease_deadline = gate->lease.deadline;
	w->fencing_token = gate->token;
	worker_enter(w, WORKER_STARTING, t, "its lease is held, and it is told so");
	plan_add(t->plan, EFFECT_WORKER_ACTIVATE, w->slot, w->run, 0, "its lease is held");
	worker_begin_work(w, t);
}

static void plan_running(struct worker *w, const struct worker_gate *gate, struct turn *t)
{
	if (gate->shutdown || w->removed) {
		if (gate->may_stop)
			begin_stop(w, w->removed ? CAUSE_RELOAD : CAUSE_SHUTDOWN, t, "%s",
				w->removed ? "it is no longer configured" : "podvisor is stopping");
		return;
	}
	if (gate->leased && !w->warm && gate->lease.stop)
		begin_stop(w, CAUSE_LEASE, t, "%s", gate->lease_why);
	else if (!w->wanted)
		begin_stop(w, CAUSE_COMMAND, t, "somebody asked to stop it");
	else if (w->again)
		begin_stop(w, w->cause, t, "%s", why_again(w));
	else if (w->started_at && (plan_deadline(w, t) || plan_dependency_loss(w, gate, t)))
		return;
	else if (w->warm)
		plan_warm(w, gate, t);
	else if (w->started_at)
		plan_checks(w, t);
}

/* The times of a job come while nothing keeps it from running, whether a run is there or not. */
static void plan_job(struct worker *w, const struct worker_gate *gate, struct turn *t)
{
	bool stands_by = gate->leased && !gate->lease.run && !worker_is_up(w);
	if (!w->wanted || w->removed || gate->shutdown || worker_is_final(w) || stands_by) {
		schedule_rest(&w->schedule);
		return;
	}
	bool busy = worker_is_up(w) || w->state == WORKER_BACKOFF;
	if (!schedule_turn(&w->schedule, w->config, w->name, busy, t))
		return;
	w->not_before = 0;
	if (worker_is_running(w))
		begin_stop(w, CAUSE_OVERLAP, t, "its next run takes its place");
}

/* Its shim is told of each renewal; a deadline only moves on. */
static void plan_lease(struct worker *w, const struct worker_gate *gate, struct turn *t)
{
	if (gate->lease.kill) {
		plan_kill(w, t, gate->lease_why);
	} else if (gate->lease.deadline > w->lease_deadline) {
		w->lease_deadline = gate->lease.deadline;
		plan_add(t->plan, EFFECT_WORKER_DEADLINE, w->slot, w->run, w->lease_deadline, "its lease was renewed");
	}
}

void worker_plan(struct worker *w, const struct worker_gate *gate, uint64_t *next_run, struct turn *t)
{
	if (w->config->kind == WORKER_JOB)
		plan_job(w, gate, t);
	if (!worker_is_up(w)) {
		plan_down(w, gate, next_run, t);
		return;
	}
	if (gate->kill)
		plan_kill(w, t, gate->kill);
	if (gate->leased && !w->warm)
		plan_lease(w, gate, t);
	if (w->follow) {
		w->follow = false;
		plan_add(t->plan, EFFECT_WORKER_FOLLOW, w->slot, w->run, w->pid, "it named its main process");
	}
	if (w->state == WORKER_STOPPING)
		plan_stopping(w, t);
	else
		plan_running(w, gate, t);
}
