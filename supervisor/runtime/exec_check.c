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
#include "podvisor/base/signals.h"
#include "podvisor/io/process.h"
#include "podvisor/runtime/command.h"
#include "podvisor/runtime/environment.h"

#define LINE_MAX_BYTES 96
#define HANGING_MAX    3 /* look-ups of one worker at a time: one for each of its checks */

struct exec_checks {
	const struct context *context;
	struct commands *commands;
	struct process_port port;
	struct list all;
	uv_timer_t last; /* closes after the processes' own handles */
	bool turned;
	bool ending; /* somebody waits until all are gone */
};

/* May be freed when the process is gone and the poll is closed. */
struct exec_check {
	struct list node; /* in exec_checks.all */
	struct exec_checks *owner;
	uint32_t slot; /* of the worker */
	char *const *argv; /* borrowed from its configuration */
	struct config *source; /* held until it is started */
	struct command *command; /* until it is started */
	int child_fds[2]; /* until then: its stdout and stderr, perhaps the same; -1 */
	struct process process;
	void (*done)(void *ctx, const char *failure); /* NULL: answered or aborted */
	void *ctx;
	uv_poll_t output;
	int fd; /* read end of both; -1: closed, or not ours to read */
	bool gone, closed;
	char line[LINE_MAX_BYTES], fresh[LINE_MAX_BYTES]; /* the last whole line; the one being read */
	size_t n_fresh;
};

/* Nothing of it is left. */
static void be_gone(struct exec_check *e)
{
	e->gone = true;
	if (e->owner->ending)
		loop_ask(e->owner->context->loop);
}

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
	for (int i = 0; i < 16 && e->fd >= 0; i++) {
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
	be_gone(e);
	close_output(e);
	free_when_idle(e);
}

static void on_exited(void *ctx, struct process *p, const struct process_exit *end)
{
	(void)ctx;
	struct exec_check *e = p->data;
	char text[160], how[32];
	if (!e->done)
		return;
	drain_output(e);
	end_line(e);
	signals_describe_end(end->status, how, sizeof(how));
	const char *colon = e->line[0] ? ": " : "";
	if (WIFEXITED(end->status) && WEXITSTATUS(end->status) == 0)
		text[0] = '\0';
	else
		snprintf(text, sizeof(text), "%s%s%s", how, colon, e->line);
	answer(e, text);
}

static void on_gone(void *ctx, struct process *p, int killed)
{
	(void)ctx;
	(void)killed;
	struct exec_check *e = p->data;
	be_gone(e);
	close_output(e);
	free_when_idle(e);
}

/* ---- how it begins ---- */

static int spawn(struct exec_check *e, struct environment *env, struct err *err)
{
	const struct worker *worker = &e->owner->context->world->workers[e->slot];
	struct process_spec spec = PROCESS_SPEC;
	int rc = command_describe(e->command, worker, env, &spec, err);
	if (rc == 0 && worker->pid)
		rc = environment_set(env, "MAINPID", "%d", worker->pid);
	if (rc < 0)
		return err->text[0] ? rc : err_set(err, rc, "no environment: %s", strerror(-rc));
	spec.env = env->vars;
	spec.argv = e->argv;
	spec.stdio[1] = e->child_fds[0];
	spec.stdio[2] = e->child_fds[1];
	return process_spawn(&e->owner->port, &e->process, &spec, err);
}

static void close_both(int fds[2])
{
	if (fds[0] >= 0)
		close(fds[0]);
	if (fds[1] >= 0 && fds[1] != fds[0])
		close(fds[1]);
	fds[0] = fds[1] = -1;
}

static void forget_preparation(struct exec_check *e)
{
	command_free(e->command);
	e->command = NULL;
	config_release(e->source);
	e->source = NULL;
	close_both(e->child_fds);
}

/* Nothing of it runs, nor ever will. */
static void end_unstarted(struct exec_check *e)
{
	forget_preparation(e);
	e->gone = true;
	close_output(e);
	free_when_idle(e);
}

static int launch(struct exec_check *e, struct err *err)
{
	struct environment env;
	environment_init(&env);
	int rc = spawn(e, &env, err);
	environment_fini(&env);
	forget_preparation(e);
	return rc;
}

static void on_prepared(void *ctx, int rc, const struct err *err)
{
	struct exec_check *e = ctx;
	struct err failed = *err;
	if (rc == 0)
		rc = launch(e, &failed);
	if (rc == 0)
		return;
	answer(e, failed.text[0] ? failed.text : strerror(-rc));
	end_unstarted(e);
}

static int open_output(struct exec_check *e, struct err *err)
{
	int fds[2];
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
	e->child_fds[0] = e->child_fds[1] = fds[1];
	e->output.data = e;
	uv_poll_start(&e->output, UV_READABLE, on_output);
	return 0;
}

static int take_output_fds(struct exec_check *e, const int output[2], struct err *err)
{
	if (!output)
		return open_output(e, err);
	e->child_fds[0] = output[0];
	e->child_fds[1] = output[1];
	e->closed = true;
	return 0;
}

static int make(struct exec_check **out, struct exec_checks *c, const struct worker *worker, const int output[2],
	struct err *err)
{
	struct exec_check *e = calloc(1, sizeof(*e));
	if (!e)
		return err_set(err, -ENOMEM, "out of memory");
	*e = (struct exec_check){.owner = c,
		.slot = worker->slot,
		.child_fds = {-1, -1},
		.fd = -1,
		.source = worker->source ? config_hold(worker->source) : NULL};
	e->process.data = e;
	int rc = take_output_fds(e, output, err);
	if (rc < 0) {
		config_release(e->source);
		free(e);
		return rc;
	}
	list_append(&c->all, &e->node);
	*out = e;
	return 0;
}

int exec_check_start(struct exec_check **out, struct exec_checks *c, const struct worker *worker, char *const argv[],
	const int output[2], void (*done)(void *ctx, const char *failure), void *ctx, struct err *err)
{
	struct exec_check *e = NULL;
	int rc = make(&e, c, worker, output, err);
	if (rc < 0 || !e) {
		if (output)
			close_both((int[2]){output[0], output[1]});
		return rc;
	}
	e->argv = argv;
	rc = command_prepare(&e->command, c->commands, worker, on_prepared, e, err);
	if (rc > 0)
		rc = launch(e, err);
	if (rc < 0) {
		end_unstarted(e);
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
	if (e->command)
		end_unstarted(e);
	else
		process_kill(&e->process);
}

/* ---- all of them ---- */

bool exec_checks_end(struct exec_checks *c)
{
	bool gone = true;
	if (!c)
		return true;
	c->ending = true;
	LIST_EACH (at, &c->all) {
		struct exec_check *e = LIST_ENTRY(at, struct exec_check, node);
		bool runs = !e->gone && !e->command;
		if (!e->gone)
			exec_check_abort(e); /* one that does not run may be freed with it */
		gone = gone && !runs;
	}
	return gone;
}

int exec_checks_new(struct exec_checks **out, const struct context *context, struct err *err)
{
	struct exec_checks *c = calloc(1, sizeof(*c));
	if (!c)
		return err_set(err, -ENOMEM, "out of memory");
	c->context = context;
	int rc = commands_new(&c->commands, context, HANGING_MAX, err);
	if (rc < 0) {
		free(c);
		return rc;
	}
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
		forget_preparation(e);
		e->done = NULL;
		e->gone = false; /* whatever closes now, the memory stays until the end */
		close_output(e);
	}
	commands_free(c->commands);
	uv_close((uv_handle_t *)&c->last, on_last_closed);
}
