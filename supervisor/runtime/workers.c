#include "podvisor/runtime/workers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "podvisor/io/account.h"
#include "podvisor/io/ancestry.h"
#include "podvisor/io/notify_socket.h"
#include "podvisor/io/process.h"
#include "podvisor/runtime/environment.h"
#include "podvisor/wire/notify.h"

/* One run of one worker, from the spawn until nothing of it is left. */
struct run {
	struct list node;
	struct workers *owner;
	struct process process;
	struct notify_socket *notify;
	uid_t uid; /* of its main process */
	struct event heard; /* what it has told since the last event; bits 0: nothing */
	uint32_t slot;
	uint64_t run;
	bool interactive;
};

struct workers {
	const struct context *context;
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
	notify_socket_close(r->notify);
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
	if (step == SHIM_STEP_EXEC)
		snprintf(e.text, sizeof(e.text), "cannot execute %.80s: %s", worker->config->command[0],
			strerror(-error));
	else
		snprintf(e.text, sizeof(e.text), "cannot %s: %s", shim_step_text(step), strerror(-error));
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

static void on_heard(void *ctx, const struct notify_sender *from, const char *bytes, size_t n)
{
	struct run *r = ctx;
	struct notify_message m;
	if (!is_own(r, from) || notify_parse(bytes, n, &m) == 0)
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

static int fill_environment(const struct run *r, const struct worker *worker, const struct account *account,
	struct environment *env, struct err *err)
{
	const struct config_worker *config = worker->config;
	int rc = environment_inherit(env);
	if (rc == 0 && config->user && account->home[0])
		rc = environment_set(env, "HOME", "%s", account->home);
	if (rc == 0 && config->user && account->name[0])
		rc = environment_set(env, "USER", "%s", account->name);
	for (char **file = config->env_files; rc == 0 && *file; file++)
		rc = environment_read_file(env, *file, err);
	rc = rc ? rc : environment_set_pairs(env, config->env, config->n_env);
	rc = rc ? rc : environment_set(env, "PODVISOR_WORKER", "%s", worker->name);
	rc = rc ? rc : environment_set(env, "PODVISOR_INSTANCE_INDEX", "%d", worker->instance);
	if (rc == 0 && r->notify)
		rc = environment_set(env, "NOTIFY_SOCKET", "%s", notify_socket_name(r->notify));
	if (rc == 0 && config->liveness.kind == CHECK_NOTIFY)
		rc = environment_set(env, "WATCHDOG_USEC", "%lld", (long long)config->liveness.timeout * 1000);
	return rc == -ENOMEM ? err_set(err, rc, "out of memory") : rc;
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

static int spawn(struct run *r, const struct worker *worker, struct environment *env, struct err *err)
{
	const struct config_worker *config = worker->config;
	struct account account;
	int rc = account_find(config->user, config->group, &account, err);
	if (rc == 0)
		r->uid = account.uid;
	if (rc == 0 && !r->interactive)
		rc = notify_socket_open(&r->notify, r->owner->context->loop, &notify_ops, r, err);
	rc = rc ? rc : fill_environment(r, worker, &account, env, err);
	struct process_spec spec = PROCESS_SPEC;
	rc = rc ? rc : open_stdio(r, worker, spec.stdio, err);
	if (rc < 0) {
		close_stdio(r, spec.stdio);
		return rc;
	}
	spec.name = worker->name;
	spec.argv = config->command;
	spec.env = env->vars;
	spec.cwd = config->cwd;
	if (config->user || config->group) {
		spec.uid = account.uid;
		spec.gid = account.gid;
		spec.groups = account.groups;
		spec.n_groups = (size_t)account.n_groups;
	}
	spec.umask = config->umask < 0 ? PROCESS_INHERIT : config->umask;
	spec.nice = limit_or_inherit(config->limits.nice);
	spec.oom_score_adj = limit_or_inherit(config->limits.oom_score_adj);
	spec.open_files = config->limits.open_files;
	spec.core_bytes = config->limits.core_bytes;
	spec.cpu_seconds = config->limits.cpu_seconds;
	rc = process_spawn(&r->owner->port, &r->process, &spec, err);
	close_stdio(r, spec.stdio);
	return rc;
}

static void start(struct workers *w, const struct effect *e)
{
	const struct worker *worker = &w->context->world->workers[e->slot];
	struct run *r = calloc(1, sizeof(*r));
	struct err err = {0};
	struct environment env;
	environment_init(&env);
	int rc = -ENOMEM;
	if (r) {
		*r = (struct run){.owner = w,
			.slot = e->slot,
			.run = e->run,
			.interactive = worker->config->interactive,
			.heard = {.kind = EVENT_WORKER_NOTIFIED}};
		r->process.data = r;
		list_append(&w->runs, &r->node);
		rc = spawn(r, worker, &env, &err);
	}
	environment_fini(&env);
	if (rc == 0)
		return;
	struct event failed = {.kind = EVENT_WORKER_UNSTARTABLE, .slot = e->slot, .run = e->run, .error = rc};
	snprintf(failed.text, sizeof(failed.text), "%.150s", err.text[0] ? err.text : strerror(-rc));
	loop_post(w->context->loop, &failed);
	if (r)
		end_run(r);
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

void workers_do(struct workers *w, const struct effect *e)
{
	if (e->kind == EFFECT_WORKER_SPAWN) {
		start(w, e);
		return;
	}
	struct run *r = find_run(w, e->run);
	if (!r)
		return;
	/* A main process that has just ended needs no signal (-ESRCH); a shim that takes no
	 * more requests is dealt with by the stop's deadline. */
	if (e->kind == EFFECT_WORKER_SIGNAL)
		process_signal(&r->process, (int)e->value);
	else if (e->kind == EFFECT_WORKER_FOLLOW)
		process_follow(&r->process, (pid_t)e->value);
	else if (e->kind == EFFECT_WORKER_KILL)
		process_kill(&r->process);
}

void workers_forward(struct workers *w, int signal)
{
	LIST_EACH (at, &w->runs) {
		struct run *r = LIST_ENTRY(at, struct run, node);
		if (r->interactive)
			process_signal(&r->process, signal);
	}
}

void workers_free(struct workers *w)
{
	if (!w)
		return;
	process_port_fini(&w->port);
	LIST_EACH (at, &w->runs)
		notify_socket_close(LIST_ENTRY(at, struct run, node)->notify);
	/* In order nothing runs any more here; otherwise podvisor is about to end, and
	 * the processes' handles close later than this: their memory goes with it. */
	if (list_empty(&w->runs))
		free(w);
}
