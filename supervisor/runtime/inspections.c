#include "podvisor/runtime/inspections.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "podvisor/base/list.h"
#include "podvisor/io/ancestry.h"
#include "podvisor/io/inspection.h"

#define TEXT_MAX_BYTES (64 << 10)

struct inspections {
	const struct context *context;
	const struct cgroup *cgroup;
	struct list looks;
};

/* One look; it outlives inspections when that goes first. */
struct look {
	struct list node;
	struct inspections *owner; /* NULL: nobody waits any more */
	uv_work_t work;
	uint32_t slot;
	uint64_t run;
	pid_t main_pid;
	struct cgroup cgroup;
	bool has_cgroup;
	char name[64];
	struct buf lines;
	struct event_inspection facts;
};

int inspections_new(struct inspections **out, const struct context *c, const struct cgroup *cgroup, struct err *err)
{
	struct inspections *i = calloc(1, sizeof(*i));
	if (!i)
		return err_set(err, -ENOMEM, "out of memory");
	i->context = c;
	i->cgroup = cgroup;
	list_init(&i->looks);
	*out = i;
	return 0;
}

static void in_pool(uv_work_t *work)
{
	struct look *l = work->data;
	pid_t shim = ancestry_below(getpid(), l->main_pid);
	if (shim)
		inspection_make(shim, l->main_pid, l->has_cgroup ? &l->cgroup : NULL, &l->lines, &l->facts);
}

static void say_lines(const struct look *l)
{
	const struct output *output = l->owner->context->output;
	const char *at = buf_str(&l->lines);
	for (size_t n; *at; at += n + (at[n] == '\n')) {
		n = strcspn(at, "\n");
		output->say(output->ctx, LOG_WARN, THING_WORKER, l->name, at, n);
	}
}

static void on_done(uv_work_t *work, int status)
{
	(void)status;
	struct look *l = work->data;
	if (l->owner) {
		struct event e = {
			.kind = EVENT_WORKER_INSPECTED, .slot = l->slot, .run = l->run, .inspected = l->facts};
		list_remove(&l->node);
		say_lines(l);
		loop_post(l->owner->context->loop, &e);
	}
	buf_fini(&l->lines);
	free(l);
}

/* Without an answer the world's patience ends, so nothing has to be told when there is none. */
void inspections_do(struct inspections *i, const struct effect *e)
{
	const struct worker *w = &i->context->world->workers[e->slot];
	struct look *l = calloc(1, sizeof(*l));
	if (!l)
		return;
	*l = (struct look){.owner = i, .slot = e->slot, .run = e->run, .main_pid = w->pid};
	if (i->cgroup) {
		l->has_cgroup = true;
		l->cgroup = *i->cgroup;
	}
	snprintf(l->name, sizeof(l->name), "%s", w->name);
	buf_init(&l->lines, TEXT_MAX_BYTES);
	l->work.data = l;
	if (uv_queue_work(&i->context->loop->uv, &l->work, in_pool, on_done) < 0) {
		free(l);
		return;
	}
	list_append(&i->looks, &l->node);
}

void inspections_free(struct inspections *i)
{
	if (!i)
		return;
	LIST_EACH (at, &i->looks) {
		struct look *l = LIST_ENTRY(at, struct look, node);
		l->owner = NULL;
		uv_cancel((uv_req_t *)&l->work);
	}
	free(i);
}
