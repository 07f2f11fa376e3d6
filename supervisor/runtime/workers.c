#include "podvisor/runtime/workers.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "activation.h"
#include "podvisor/io/ancestry.h"
#include "podvisor/io/deadline.h"
#include "podvisor/io/notify_socket.h"
#include "podvisor/io/outer_notify.h"
#include "podvisor/io/process.h"
#include "podvisor/model/lease_demand.h"
#include "podvisor/runtime/command.h"
#include "podvisor/runtime/environment.h"
#include "podvisor/wire/notify.h"

/* A look-up or a disk that takes longer hangs. */
#define PREPARE_MS 10000

/* One run of one worker, from the spawn until nothing of it is left. */
struct run {
	struct list node;
	struct workers *owner;
	struct command *command; /* until it is started */
	struct deadline deadline; /* of the preparation of its command */
	struct process process;
	struct notify_socket *notify;
	uid_t uid; /* of its main process */
	struct event heard; /* what it has told since the last event; bits 0: nothing */
	uint32_t slot;
	uint64_t run;
	bool interactive;
	char activation[PATH_MAX]; /* file of one that stands by warm, or did; "" */
};

struct workers {
	const struct context *context;
	struct commands *commands;
	struct deadlines *deadlines;
	struct process_port port;
	struct list runs;
};

static void post(const struct run *r, struct event *e)
{
	e->slot = r->slot;
	e->run = r->run;
	loop_post(r->owner->context->loop, e);
}

static void end_run(struct run *r)
{
	command_free(r->command);
	deadline_clear(r->owner->deadlines, &r->deadline);
	notify_socket_close(r->notify);
	activation_remove(r->activation);
	r->owner->context->output->ended(r->owner->context->output->ctx, r->run);
	list_remove(&r->node);
	free(r);
}

/* ---- what the process tells ---- */

static void on_started(void *ctx, struct process *p, pid_t pid)
{
	(void)ctx;
	struct event e = {.kind = EVENT_WORKER_STARTED, .pid = pid};
	post(p->data, &e);
}

static void on_exec_failed(void *ctx, struct process *p, int error, enum shim_step step)
{
	(void)ctx;
	struct run *r = p->data;
	struct event e = {.kind = EVENT_WORKER_UNSTARTABLE, .error = error};
	const struct worker *worker = &r->owner->context->world->workers[r->slot];
	command_explain(worker->run_config ? worker->run_config : worker->config, step, error, e.text, sizeof(e.text));
	post(r, &e);
	end_run(r);
}

/* What it sent before its end counts for this run, so it is taken first. */
static void on_exited(void *ctx, struct process *p, const struct process_exit *end)
{
	(void)ctx;
	struct run *r = p->data;
	notify_socket_take(r->notify);
	struct event e = {.kind = EVENT_WORKER_EXITED};
	e.exited.status = end->status;
	e.exited.cpu_us = end->cpu_us;
	e.exited.peak_bytes = end->peak_bytes;
	post(r, &e);
}

static void on_gone(void *ctx, struct process *p, int killed)
{
	(void)ctx;
	struct event e = {.kind = EVENT_WORKER_GONE, .killed = killed};
	post(p->data, &e);
	end_run(p->data);
}

/* ---- what the worker tells ---- */

static unsigned bits_of(const struct notify_message *m)
{
	return (m->ready ? NOTIFIED_READY : 0U) | (m->stopping ? NOTIFIED_STOPPING : 0U) |
	       (m->reloading ? NOTIFIED_RELOADING : 0U) | (m->watchdog ? NOTIFIED_WATCHDOG : 0U) |
	       (m->has_status ? NOTIFIED_STATUS : 0U) | (m->has_progress ? NOTIFIED_PROGRESS : 0U) |
	       (m->has_extend ? NOTIFIED_EXTEND : 0U) | (m->has_mainpid ? NOTIFIED_MAINPID : 0U) |
	       (m->has_errno ? NOTIFIED_ERRNO : 0U) | (m->has_watchdog_usec ? NOTIFIED_WATCHDOG_USEC : 0U) |
	       (m->watchdog_trigger ? NOTIFIED_TRIGGER : 0U) | (m->fdstore ? NOTIFIED_FDSTORE : 0U);
}

/* Messages count only from the worker's own processes: those that descend from its shim. Of a sender that is gone
 * already only its user is known, which has to be the worker's. One of another PID namespace, whose pid is told as
 * 0, cannot be told from a stranger. */
static bool is_own(const struct run *r, const struct notify_sender *from)
{
	enum ancestry kin = from->pid > 0 ? ancestry_of(from->pid, process_shim_pid(&r->process)) : ANCESTRY_NO;
	return kin == ANCESTRY_YES || (kin == ANCESTRY_UNKNOWN && from->uid == r->uid);
}

/* Several messages that were read together become one event, in which the last word counts: whatever a worker
 * sends, it cannot flood the queue of events. */
static void merge(struct event *e, const struct notify_message *m)
{
	if (m->ready)
		e->notified.bits &= ~(unsigned)NOTIFIED_RELOADING;
	else if (m->reloading)
		e->notified.bits &= ~(unsigned)NOTIFIED_READY;
	e->notified.bits |= bits_of(m);
	if (m->has_watchdog_usec)
		e->notified.watchdog_us = m->watchdog_us;
	if (m->has_progress)
		e->notified.progress = m->progress;
	if (m->has_extend)
		e->notified.extend_us = m->extend_us;
	if (m->has_errno)
		e->notified.errno_value = m->errno_value;
	if (m->has_mainpid)
		e->notified.mainpid = m->mainpid;
	if (m->has_status)
		snprintf(e->text, sizeof(e->text), "%s", m->status);
}

/* A command that podvisor merely stands in front of speaks to podvisor's own supervisor as if it were not there. */
static void pass_on(const struct run *r, const char *bytes, size_t n)
{
	char text[NOTIFY_DATAGRAM_MAX];
	if (r->interactive && r->owner->context->outer && n <= sizeof(text))
		outer_notify_send(r->owner->context->outer, text, notify_pass_on(bytes, n, text));
}

static void on_heard(void *ctx, const struct notify_sender *from, const char *bytes, size_t n)
{
	struct run *r = ctx;
	struct notify_message m;
	if (!is_own(r, from))
		return;
	pass_on(r, bytes, n);
	if (notify_parse(bytes, n, &m) == 0)
		return;
	/* A stranger's process would be killed in the worker's place. */
	if (m.has_mainpid && ancestry_of(m.mainpid, process_shim_pid(&r->process)) != ANCESTRY_YES)
		m.has_mainpid = false;
	merge(&r->heard, &m);
}

static void on_paused(void *ctx)
{
	struct run *r = ctx;
	struct event e = r->heard;
	r->heard = (struct event){.kind = EVENT_WORKER_NOTIFIED};
	if (e.notified.bits)
		post(r, &e);
}

static const struct notify_socket_ops notify_ops = {.heard = on_heard, .paused = on_paused};

/* ---- starting ---- */

/* What stands by warm gets its token later. */
static int add_lease(const struct run *r, const struct worker *worker, struct environment *env)
{
	char name[LEASE_NAME_MAX];
	lease_demand_name_of(worker->run_config, worker->instance, name);
	int rc = environment_set(env, "PODVISOR_LEASE", "%s", name);
	if (!worker->warm)
		return rc ? rc
			  : environment_set(env, "PODVISOR_FENCING_TOKEN", "%lld", (long long)worker->fencing_token);
	rc = rc ? rc : environment_set(env, "PODVISOR_STANDBY", "1");
	return rc ? rc : environment_set(env, "PODVISOR_ACTIVATION_FILE", "%s", r->activation);
}

/* What podvisor tells its worker alone, and not its checks. */
static int add_environment(const struct run *r, const struct worker *worker, struct environment *env, struct err *err)
{
	const struct config_worker *config = worker->run_config;
	int rc = 0;
	if (r->notify)
		rc = environment_set(env, "NOTIFY_SOCKET", "%s", notify_socket_name(r->notify));
	const char *watchdog = r->interactive && r->owner->context->outer ? getenv("WATCHDOG_USEC") : NULL;
	if (rc == 0 && watchdog)
		rc = environment_set(env, "WATCHDOG_USEC", "%s", watchdog);
	if (rc == 0 && config->liveness.kind == CHECK_NOTIFY)
		rc = environment_set(env, "WATCHDOG_USEC", "%lld", (long long)config->liveness.timeout * 1000);
	if (rc == 0 && config->lease)
		rc = add_lease(r, worker, env);
	return rc < 0 ? err_set(err, rc, "out of memory") : 0;
}

static int open_stdio(const struct run *r, const struct worker *worker, int stdio[3], struct err *err)
{
	const struct output *output = r->owner->context->output;
	if (r->interactive) {
		for (int fd = 0; fd < 3; fd++)
			stdio[fd] = fd;
		return 0;
	}
	for (int fd = 1; fd < 3; fd++) {
		stdio[fd] = output->open(output->ctx, worker->name, r->slot, r->run, fd - 1, &worker->config->log, err);
		if (stdio[fd] < 0)
			return stdio[fd];
	}
	return 0;
}

static void close_stdio(const struct run *r, const int stdio[3])
{
	for (int fd = 1; fd < 3 && !r->interactive; fd++)
		if (stdio[fd] >= 0)
			close(stdio[fd]);
}

static int limit_or_inherit(int value)
{
	return value == INT_MIN ? PROCESS_INHERIT : value;
}

static void set_limits(struct process_spec *spec, const struct config_limits *limits)
{
	spec->nice = limit_or_inherit(limits->nice);
	spec->oom_score_adj = limit_or_inherit(limits->oom_score_adj);
	spec->open_files = limits->open_files;
	spec->core_bytes = limits->core_bytes;
	spec->cpu_seconds = limits->cpu_seconds;
}

/* SIGUSR1 that comes before it has a handler is not to end it: it finds the file. */
static int prepare_warm(struct run *r, const struct worker *worker, struct process_spec *spec, struct err *err)
{
	if (!worker->warm)
		return 0;
	spec->ignore = SIGUSR1;
	return activation_prepare(
		r->owner->context->control_socket, r->run, r->uid, r->activation, sizeof(r->activation), err);
}

static int spawn(struct run *r, const struct worker *worker, struct environment *env, struct err *err)
{
	const struct config_worker *config = worker->run_config;
	struct process_spec spec = PROCESS_SPEC;
	r->uid = command_uid(r->command);
	int rc = notify_socket_open(&r->notify, r->owner->context->loop, &notify_ops, r, err);
	/* A single command is started as tini would, whatever podvisor lacks. */
	rc = r->interactive ? 0 : rc;
	rc = rc ? rc : command_describe(r->command, worker, env, &spec, err);
	rc = rc ? rc : prepare_warm(r, worker, &spec, err);
	rc = rc ? rc : add_environment(r, worker, env, err);
	rc = rc ? rc : open_stdio(r, worker, spec.stdio, err);
	if (rc == 0) {
		spec.env = env->vars;
		spec.argv = config->command;
		spec.terminal = r->interactive;
		spec.deadline = worker->lease_deadline;
		set_limits(&spec, &config->limits);
		rc = process_spawn(&r->owner->port, &r->process, &spec, err);
	}
	close_stdio(r, spec.stdio);
	return rc;
}

static void fail(struct run *r, int rc, const char *text)
{
	struct event e = {.kind = EVENT_WORKER_UNSTARTABLE, .error = rc};
	snprintf(e.text, sizeof(e.text), "%.150s", text[0] ? text : strerror(-rc));
	post(r, &e);
	end_run(r);
}

static void launch(struct run *r)
{
	struct environment env;
	struct err err = {0};
	environment_init(&env);
	deadline_clear(r->owner->deadlines, &r->deadline);
	int rc = spawn(r, &r->owner->context->world->workers[r->slot], &env, &err);
	environment_fini(&env);
	command_free(r->command);
	r->command = NULL;
	if (rc < 0)
		fail(r, rc, err.text);
}

static void on_prepared(void *ctx, int rc, const struct err *err)
{
	if (rc < 0)
		fail(ctx, rc, err->text);
	else
		launch(ctx);
}

static void on_overdue(struct deadline *d)
{
	struct run *r = LIST_ENTRY(d, struct run, deadline);
	fail(r, -ETIMEDOUT, "its user and its env_files could not be read in time");
}

static void start(struct workers *w, const struct effect *e)
{
	const struct worker *worker = &w->context->world->workers[e->slot];
	struct run *r = calloc(1, sizeof(*r));
	struct err err = {0};
	if (!r) {
		struct event failed = {
			.kind = EVENT_WORKER_UNSTARTABLE, .slot = e->slot, .run = e->run, .error = -ENOMEM};
		snprintf(failed.text, sizeof(failed.text), "out of memory");
		loop_post(w->context->loop, &failed);
		return;
	}
	*r = (struct run){.owner = w,
		.slot = e->slot,
		.run = e->run,
		.interactive = worker->config->interactive,
		.deadline = {.due = on_overdue},
		.heard = {.kind = EVENT_WORKER_NOTIFIED}};
	r->process.data = r;
	list_append(&w->runs, &r->node);
	int rc = command_prepare(&r->command, w->commands, worker, on_prepared, r, &err);
	if (rc < 0)
		fail(r, rc, err.text);
	else if (rc > 0)
		launch(r);
	else
		deadline_set(w->deadlines, &r->deadline, clock_after(deadlines_now(w->deadlines), PREPARE_MS));
}

/* ---- the part ---- */

static struct run *find_run(struct workers *w, uint64_t run)
{
	LIST_EACH (at, &w->runs) {
		struct run *r = LIST_ENTRY(at, struct run, node);
		if (r->run == run)
			return r;
	}
	return NULL;
}

int workers_new(struct workers **out, const struct context *c, struct err *err)
{
	struct workers *w = calloc(1, sizeof(*w));
	if (!w)
		return err_set(err, -ENOMEM, "out of memory");
	w->context = c;
	list_init(&w->runs);
	w->deadlines = deadlines_new(c->loop);
	int rc = w->deadlines ? commands_new(&w->commands, c, 1, err) : err_set(err, -ENOMEM, "out of memory");
	if (rc < 0) {
		deadlines_free(w->deadlines);
		free(w);
		return rc;
	}
	w->port = (struct process_port){.loop = &c->loop->uv,
		.reaper = c->reaper,
		.shim_path = c->shim_path,
		.ctx = w,
		.on_started = on_started,
		.on_exec_failed = on_exec_failed,
		.on_exited = on_exited,
		.on_gone = on_gone};
	process_port_init(&w->port);
	*out = w;
	return 0;
}

/* The shim has the deadline before the process has the token: what cannot be held to it must not work. */
static void activate(struct run *r)
{
	const struct output *output = r->owner->context->output;
	const struct worker *worker = &r->owner->context->world->workers[r->slot];
	char line[160];
	int rc = process_set_deadline(&r->process, worker->lease_deadline);
	rc = rc ? rc : activation_write(r->activation, worker->fencing_token);
	if (rc == 0) {
		process_signal(&r->process, SIGUSR1);
		return;
	}
	int n = snprintf(
		line, sizeof(line), "it cannot be told that it holds its lease, and is killed: %s", strerror(-rc));
	output->say(output->ctx, LOG_ERROR, THING_WORKER, worker->name, line, (size_t)n);
	process_kill(&r->process);
}

void workers_do(struct workers *w, const struct effect *e)
{
	if (e->kind == EFFECT_WORKER_SPAWN) {
		start(w, e);
		return;
	}
	struct run *r = find_run(w, e->run);
	if (!r)
		return;
	if (r->command && e->kind == EFFECT_WORKER_DEADLINE)
		return; /* it is started with it */
	if (r->command) {
		fail(r, -ECANCELED, "it was stopped before it had been started");
		return;
	}
	/* A main process that has just ended needs no signal (-ESRCH); a shim that takes no
	 * more requests is dealt with by the stop's deadline. */
	if (e->kind == EFFECT_WORKER_SIGNAL)
		process_signal(&r->process, (int)e->value);
	else if (e->kind == EFFECT_WORKER_FOLLOW)
		process_follow(&r->process, (pid_t)e->value);
	else if (e->kind == EFFECT_WORKER_DEADLINE)
		process_set_deadline(&r->process, e->value);
	else if (e->kind == EFFECT_WORKER_ACTIVATE)
		activate(r);
	else if (e->kind == EFFECT_WORKER_KILL)
		process_kill(&r->process);
}

bool workers_forward(struct workers *w, int signal)
{
	bool found = false;
	LIST_EACH (at, &w->runs) {
		struct run *r = LIST_ENTRY(at, struct run, node);
		if (r->interactive) {
			process_signal(&r->process, signal);
			found = true;
		}
	}
	return found;
}

void workers_free(struct workers *w)
{
	if (!w)
		return;
	process_port_fini(&w->port);
	LIST_EACH (at, &w->runs) {
		struct run *r = LIST_ENTRY(at, struct run, node);
		notify_socket_close(r->notify);
		command_free(r->command);
	}
	commands_free(w->commands);
	deadlines_free(w->deadlines);
	/* In order nothing runs any more here; otherwise podvisor is about to end, and
	 * the processes' handles close later than this: their memory goes with it. */
	if (list_empty(&w->runs))
		free(w);
}
