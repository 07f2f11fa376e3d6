#include "podvisor/runtime/exec_check.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "podvisor/base/list.h"
#include "podvisor/io/account.h"
#include "podvisor/io/process.h"
#include "podvisor/runtime/environment.h"

#define LINE_MAX_BYTES 96

struct exec_checks {
	const struct context *context;
	struct process_port port;
	struct list all;
	uv_timer_t last; /* closes after the processes' own handles */
	bool turned;
};

/* May be freed when the process is gone and the poll is closed. */
struct exec_check {
	struct list node; /* in exec_checks.all */
	struct exec_checks *owner;
	struct process process;
	void (*done)(void *ctx, const char *failure); /* NULL: answered or aborted */
	void *ctx;
	uv_poll_t output;
	int fd; /* read end of the command's stdout and stderr; -1: closed */
	bool gone, closed;
	char line[LINE_MAX_BYTES], fresh[LINE_MAX_BYTES]; /* the last whole line; the one being read */
	size_t n_fresh;
};

static void free_when_idle(struct exec_check *e)
{
	if (!e->gone || !e->closed)
		return;
	list_remove(&e->node);
	free(e);
}

/* ---- what it says ---- */

static void end_line(struct exec_check *e)
{
	if (e->n_fresh)
		snprintf(e->line, sizeof(e->line), "%.*s", (int)e->n_fresh, e->fresh);
	e->n_fresh = 0;
}

static void take_output(struct exec_check *e, const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)bytes[i];
		if (c == '\n' || c == '\r')
			end_line(e);
		else if (e->n_fresh < sizeof(e->fresh) - 1)
			e->fresh[e->n_fresh++] = c < ' ' || c == 0x7f ? ' ' : (char)c;
	}
}

static void on_output_closed(uv_handle_t *handle)
{
	struct exec_check *e = handle->data;
	e->closed = true;
	free_when_idle(e);
}

static void close_output(struct exec_check *e)
{
	if (e->fd < 0)
		return;
	uv_close((uv_handle_t *)&e->output, on_output_closed);
	close(e->fd);
	e->fd = -1;
}

/* At most so much a turn: a command that talks without end must not hold the loop. */
static bool drain_output(struct exec_check *e)
{
	char bytes[4096];
	for (int i = 0; i < 16; i++) {
		ssize_t n = read(e->fd, bytes, sizeof(bytes));
		if (n <= 0)
			return n == 0;
		take_output(e, bytes, (size_t)n);
	}
	return false;
}

static void on_output(uv_poll_t *handle, int status, int events)
{
	(void)status;
	(void)events;
	struct exec_check *e = handle->data;
	/* At its end it would be readable for ever. */
	if (drain_output(e))
		uv_poll_stop(handle);
}

/* ---- how it ends ---- */

static void answer(struct exec_check *e, const char *failure)
{
	void (*done)(void *, const char *) = e->done;
	e->done = NULL;
	if (done)
		done(e->ctx, failure);
}

static void on_started(void *ctx, struct process *p, pid_t pid)
{
	(void)ctx;
	(void)p;
	(void)pid;
}

static void on_exec_failed(void *ctx, struct process *p, int error, enum shim_step step)
{
	(void)ctx;
	(void)step;
	struct exec_check *e = p->data;
	char text[96];
	snprintf(text, sizeof(text), "cannot be run: %s", strerror(-error));
	answer(e, text);
	e->gone = true;
	close_output(e);
	free_when_idle(e);
}

static void on_exited(void *ctx, struct process *p, const struct process_exit *end)
{
	(void)ctx;
	struct exec_check *e = p->data;
	char text[160];
	if (!e->done)
		return;
	drain_output(e);
	end_line(e);
	const char *colon = e->line[0] ? ": " : "";
	if (WIFEXITED(end->status) && WEXITSTATUS(end->status) == 0)
		text[0] = '\0';
	else if (WIFEXITED(end->status))
		snprintf(text, sizeof(text), "exited with code %d%s%s", WEXITSTATUS(end->status), colon, e->line);
	else
		snprintf(
			text, sizeof(text), "killed by SIG%s%s%s", sigabbrev_np(WTERMSIG(end->status)), colon, e->line);
	answer(e, text);
}

static void on_gone(void *ctx, struct process *p, int killed)
{
	(void)ctx;
	(void)killed;
	struct exec_check *e = p->data;
	e->gone = true;
	close_output(e);
	free_when_idle(e);
}

/* ---- how it begins ---- */

static int fill_environment(struct environment *env, const struct worker *worker, struct err *err)
{
	const struct config_worker *config = worker->config;
	int rc = environment_inherit(env);
	for (char **file = config->env_files; rc == 0 && file && *file; file++)
		rc = environment_read_file(env, *file, err);
	if (rc == 0)
		rc = environment_set_pairs(env, config->env, config->n_env);
	if (rc == 0)
		rc = environment_set(env, "PODVISOR_WORKER", "%s", worker->name);
	if (rc == 0)
		rc = environment_set(env, "PODVISOR_INSTANCE_INDEX", "%d", worker->instance);
	if (rc == 0 && worker->pid)
		rc = environment_set(env, "MAINPID", "%d", worker->pid);
	if (rc < 0 && err && !err->text[0])
		err_set(err, rc, "no environment: %s", strerror(-rc));
	return rc;
}

static int spawn(struct exec_check *e, const struct worker *worker, char *const argv[], int output, struct err *err)
{
	const struct config_worker *config = worker->config;
	struct process_spec spec = PROCESS_SPEC;
	struct environment env;
	struct account account;
	environment_init(&env);
	int rc = fill_environment(&env, worker, err);
	if (rc == 0 && (config->user || config->group)) {
		rc = account_find(config->user, config->group, &account, err);
		spec.uid = account.uid;
		spec.gid = account.gid;
		spec.groups = account.groups;
		spec.n_groups = (size_t)account.n_groups;
	}
	spec.name = worker->name;
	spec.argv = argv;
	spec.env = env.vars;
	spec.cwd = config->cwd;
	spec.umask = config->umask < 0 ? PROCESS_INHERIT : config->umask;
	spec.stdio[1] = spec.stdio[2] = output;
	if (rc == 0)
		rc = process_spawn(&e->owner->port, &e->process, &spec, err);
	environment_fini(&env);
	return rc;
}

static int open_output(struct exec_check *e, int fds[2], struct err *err)
{
	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_set(err, -errno, "no pipe: %s", strerror(errno));
	/* Only our end: the command gets an ordinary, blocking pipe. */
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	int rc = uv_poll_init(&e->owner->context->loop->uv, &e->output, fds[0]);
	if (rc < 0) {
		close(fds[0]);
		close(fds[1]);
		return err_set(err, rc, "no pipe: %s", uv_strerror(rc));
	}
	e->fd = fds[0];
	e->output.data = e;
	uv_poll_start(&e->output, UV_READABLE, on_output);
	return 0;
}

int exec_check_start(struct exec_check **out, struct exec_checks *c, const struct worker *worker, char *const argv[],
	void (*done)(void *ctx, const char *failure), void *ctx, struct err *err)
{
	int fds[2];
	struct exec_check *e = calloc(1, sizeof(*e));
	if (!e)
		return err_set(err, -ENOMEM, "out of memory");
	e->owner = c;
	e->process.data = e;
	int rc = open_output(e, fds, err);
	if (rc < 0) {
		free(e);
		return rc;
	}
	list_append(&c->all, &e->node);
	rc = spawn(e, worker, argv, fds[1], err);
	close(fds[1]);
	if (rc < 0) {
		e->gone = true;
		close_output(e);
		return rc;
	}
	e->done = done;
	e->ctx = ctx;
	*out = e;
	return 0;
}

void exec_check_abort(struct exec_check *e)
{
	e->done = NULL;
	process_kill(&e->process);
}

/* ---- all of them ---- */

int exec_checks_new(struct exec_checks **out, const struct context *context, struct err *err)
{
	struct exec_checks *c = calloc(1, sizeof(*c));
	if (!c)
		return err_set(err, -ENOMEM, "out of memory");
	c->context = context;
	c->port = (struct process_port){.loop = &context->loop->uv,
		.reaper = context->reaper,
		.shim_path = context->shim_path,
		.ctx = c,
		.on_started = on_started,
		.on_exec_failed = on_exec_failed,
		.on_exited = on_exited,
		.on_gone = on_gone};
	process_port_init(&c->port);
	list_init(&c->all);
	uv_timer_init(&context->loop->uv, &c->last);
	uv_unref((uv_handle_t *)&c->last);
	c->last.data = c;
	*out = c;
	return 0;
}

/* The first close callback may run before those of the processes' handles in the
 * same turn; the second one cannot. */
static void on_last_closed(uv_handle_t *handle)
{
	struct exec_checks *c = handle->data;
	if (!c->turned) {
		c->turned = true;
		uv_timer_init(handle->loop, &c->last);
		uv_close(handle, on_last_closed);
		return;
	}
	LIST_EACH (at, &c->all)
		free(LIST_ENTRY(at, struct exec_check, node));
	free(c);
}

void exec_checks_free(struct exec_checks *c)
{
	if (!c)
		return;
	process_port_fini(&c->port);
	LIST_EACH (at, &c->all) {
		struct exec_check *e = LIST_ENTRY(at, struct exec_check, node);
		e->done = NULL;
		e->gone = false; /* whatever closes now, the memory stays until the end */
		close_output(e);
	}
	uv_close((uv_handle_t *)&c->last, on_last_closed);
}
