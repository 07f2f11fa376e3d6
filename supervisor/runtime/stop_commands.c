#include "podvisor/runtime/stop_commands.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "podvisor/base/list.h"
#include "podvisor/runtime/exec_check.h"

struct stop_commands {
	const struct context *context;
	struct exec_checks *execs; /* NULL until the first one */
	struct list running;
};

struct stop_command {
	struct list node;
	struct stop_commands *owner;
	struct exec_check *exec;
	uint32_t slot;
	uint64_t run;
};

int stop_commands_new(struct stop_commands **out, const struct context *c, struct err *err)
{
	struct stop_commands *s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(err, -ENOMEM, "out of memory");
	s->context = c;
	list_init(&s->running);
	*out = s;
	return 0;
}

static void answer(struct stop_commands *s, uint32_t slot, uint64_t run, const char *failure)
{
	struct event e = {.kind = EVENT_WORKER_STOP_COMMAND, .slot = slot, .run = run, .done = !failure[0]};
	snprintf(e.text, sizeof(e.text), "%.150s", failure);
	loop_post(s->context->loop, &e);
}

static void drop(struct stop_command *c)
{
	list_remove(&c->node);
	free(c);
}

/* What it has said is in the log; of a failure, its last line is part of the sentence. */
static void on_done(void *ctx, const char *failure)
{
	struct stop_command *c = ctx;
	const struct context *context = c->owner->context;
	const char *said = failure[0] && context->output ? context->output->command_said(context->output->ctx,
								   context->world->workers[c->slot].name, c->run)
							 : "";
	char text[256];
	snprintf(text, sizeof(text), "%s%s%s", failure, said[0] ? ": " : "", said);
	answer(c->owner, c->slot, c->run, text);
	drop(c);
}

static int open_output(const struct context *c, const struct worker *worker, uint64_t run, int fds[2], struct err *err)
{
	for (int i = 0; i < 2; i++) {
		fds[i] = c->output->open(
			c->output->ctx, worker->name, worker->slot, run, 2 + i, &worker->config->log, err);
		if (fds[i] >= 0)
			continue;
		if (i > 0)
			close(fds[0]);
		return fds[i];
	}
	return 0;
}

static int start(struct stop_commands *s, struct stop_command *c, struct err *err)
{
	const struct worker *worker = &s->context->world->workers[c->slot];
	const struct context *context = s->context;
	int fds[2];
	int rc = s->execs ? 0 : exec_checks_new(&s->execs, context, err);
	if (rc == 0 && context->output)
		rc = open_output(context, worker, c->run, fds, err);
	if (rc < 0)
		return rc;
	return exec_check_start(&c->exec, s->execs, worker, worker_stop_of(worker)->command,
		context->output ? fds : NULL, on_done, c, err);
}

void stop_commands_do(struct stop_commands *s, const struct effect *e)
{
	struct err err = {.text = "out of memory"};
	struct stop_command *c = calloc(1, sizeof(*c));
	if (!c) {
		answer(s, e->slot, e->run, err.text);
		return;
	}
	*c = (struct stop_command){.owner = s, .slot = e->slot, .run = e->run};
	list_append(&s->running, &c->node);
	if (start(s, c, &err) < 0) {
		answer(s, e->slot, e->run, err.text);
		drop(c);
	}
}

void stop_commands_forget(struct stop_commands *s, uint32_t slot, uint64_t run)
{
	LIST_EACH (at, &s->running) {
		struct stop_command *c = LIST_ENTRY(at, struct stop_command, node);
		if (c->slot != slot || c->run != run)
			continue;
		exec_check_abort(c->exec);
		drop(c);
	}
}

bool stop_commands_end(struct stop_commands *s)
{
	LIST_EACH (at, &s->running)
		drop(LIST_ENTRY(at, struct stop_command, node));
	return exec_checks_end(s->execs);
}

void stop_commands_free(struct stop_commands *s)
{
	if (!s)
		return;
	LIST_EACH (at, &s->running)
		drop(LIST_ENTRY(at, struct stop_command, node));
	exec_checks_free(s->execs);
	free(s);
}
