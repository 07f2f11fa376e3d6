#include "podvisor/model/worker_plan.h"

#include <stdarg.h>
#include <stdio.h>

static void begin_run(struct worker *w, uint64_t *next_run, struct turn *t)
{
	w->run = (*next_run)++;
	*worker_current_run(w) = (struct worker_run){.run = w->run};
	w->main_ended = w->killing = w->notified_ready = w->notified_stopping = w->again = false;
	w->cause = CAUSE_NONE;
	w->pid = 0;
	w->started_at = w->ready_at = w->lost_at = w->spread_until = 0;
	for (int i = 0; i < PROBE_COUNT; i++)
		w->checks[i] = (struct health){.due = CLOCK_NEVER};
	worker_enter(w, WORKER_STARTING, t, "run %llu", (unsigned long long)w->run);
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
	worker_enter(w, WORKER_STOPPING, t, "%s", why);
	plan_add(t->plan, EFFECT_WORKER_SIGNAL, w->slot, w->run, w->config->stop.signal, "%s", why);
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
	const struct config_check *check = worker_check_of(w, probe);
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
