#include "podvisor/runtime/pod_memory.h"

#include <errno.h>
#include <stdlib.h>

struct pod_memory {
	const struct context *context;
	const struct cgroup *cgroup; /* NULL: there is none */
	struct reading *reading; /* under way; NULL: none */
};

/* It outlives pod_memory when that goes first. */
struct reading {
	uv_work_t work;
	struct pod_memory *owner; /* NULL: nobody waits any more */
	struct cgroup cgroup;
	struct event_memory memory;
};

static struct event_memory read_now(const struct cgroup *cgroup)
{
	struct cgroup_memory m;
	cgroup_read_memory(cgroup, &m);
	return (struct event_memory){.limit_bytes = m.limit_bytes,
		.used_bytes = m.used_bytes,
		.charged_bytes = m.charged_bytes,
		.limit_hits = m.limit_hits,
		.oom_kills = m.oom_kills,
		.pressure_ratio = m.pressure_ratio};
}

static struct event_memory unknown(void)
{
	return (struct event_memory){-1, -1, -1, -1, -1, -1};
}

static void in_pool(uv_work_t *work)
{
	struct reading *r = work->data;
	r->memory = read_now(&r->cgroup);
}

static void answer(struct pod_memory *m, struct event_memory memory)
{
	struct event e = {.kind = EVENT_MEMORY_MEASURED, .memory = memory};
	m->context->meters->memory = memory;
	loop_post(m->context->loop, &e);
}

static void on_read(uv_work_t *work, int status)
{
	struct reading *r = work->data;
	if (r->owner)
		r->owner->reading = NULL;
	if (r->owner && status == 0)
		answer(r->owner, r->memory);
	free(r);
}

void pod_memory_do(struct pod_memory *m, const struct effect *e)
{
	(void)e;
	struct reading *r = m->cgroup && !m->reading ? calloc(1, sizeof(*r)) : NULL;
	if (!r) {
		if (!m->reading)
			answer(m, unknown());
		return;
	}
	r->owner = m;
	r->cgroup = *m->cgroup;
	r->work.data = r;
	m->reading = r;
	if (uv_queue_work(&m->context->loop->uv, &r->work, in_pool, on_read) == 0)
		return;
	m->reading = NULL;
	free(r);
}

void pod_memory_look(const struct pod_memory *m)
{
	m->context->meters->memory = m->cgroup ? read_now(m->cgroup) : unknown();
}

int pod_memory_new(struct pod_memory **out, const struct context *c, const struct cgroup *cgroup, struct err *err)
{
	struct pod_memory *m = calloc(1, sizeof(*m));
	if (!m)
		return err_set(err, -ENOMEM, "out of memory");
	m->context = c;
	m->cgroup = cgroup;
	c->meters->memory = unknown();
	*out = m;
	return 0;
}

void pod_memory_free(struct pod_memory *m)
{
	if (!m)
		return;
	if (m->reading) {
		m->reading->owner = NULL;
		uv_cancel((uv_req_t *)&m->reading->work);
	}
	free(m);
}
