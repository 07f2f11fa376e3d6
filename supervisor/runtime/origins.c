#include "podvisor/runtime/origins.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- meters ---- */

static int make_room(struct meters *meters, uint32_t slot)
{
	if (slot == UINT32_MAX || slot < meters->n_logs)
		return 0;
	size_t n = slot + 16;
	struct log_meter *logs = realloc(meters->logs, n * sizeof(*logs));
	if (!logs)
		return -ENOMEM;
	memset(logs + meters->n_logs, 0, (n - meters->n_logs) * sizeof(*logs));
	meters->logs = logs;
	meters->n_logs = n;
	return 0;
}

/* A slot may be another worker's meanwhile, which counts anew. */
static int open_meter(struct meters *meters, const struct origin *of)
{
	if (make_room(meters, of->slot) < 0)
		return -ENOMEM;
	struct log_meter *m = of->slot < meters->n_logs ? &meters->logs[of->slot] : NULL;
	if (m && strcmp(m->worker, of->name) != 0) {
		*m = (struct log_meter){0};
		snprintf(m->worker, sizeof(m->worker), "%s", of->name);
	}
	return 0;
}

void origins_count(const struct origins *o, const struct origin *of, int stream, uint64_t lines, uint64_t dropped)
{
	const struct meters *meters = o->context->meters;
	struct log_meter *m = of->slot < meters->n_logs ? &meters->logs[of->slot] : NULL;
	if (!m || strcmp(m->worker, of->name) != 0)
		return;
	m->lines[stream % 2] += lines;
	m->dropped += dropped;
}

/* ---- who there is ---- */

struct origin *origins_find(const struct origins *o, const char *name)
{
	LIST_EACH (at, &o->all) {
		struct origin *of = LIST_ENTRY(at, struct origin, node);
		if (strcmp(of->name, name) == 0)
			return of;
	}
	return NULL;
}

static struct origin *add(struct origins *o, const char *name, uint32_t slot)
{
	struct origin *of = calloc(1, sizeof(*of));
	if (!of)
		return NULL;
	snprintf(of->name, sizeof(of->name), "%s", name);
	of->slot = slot;
	words_init(&of->words);
	list_append(&o->all, &of->node);
	recent_add(&o->recent, &of->ring, of->name);
	if (name[0])
		recent_add(&o->recent, &of->about, of->name);
	return of;
}

struct origin *origins_get(struct origins *o, const char *name, uint32_t slot)
{
	struct origin *of = origins_find(o, name);
	of = of ? of : add(o, name, slot);
	if (!of)
		return NULL;
	of->slot = slot;
	return open_meter(o->context->meters, of) < 0 ? NULL : of;
}

/* The worker whose output it is; NULL when it is gone, or never was one. */
static const struct worker *worker_of(const struct origins *o, const struct origin *of)
{
	const struct world *w = o->context->world;
	const struct worker *worker = of->slot < w->n_workers ? &w->workers[of->slot] : NULL;
	return worker && worker->config && strcmp(worker->name, of->name) == 0 ? worker : NULL;
}

static uint32_t slot_of(const struct origins *o, const char *name)
{
	const struct world *w = o->context->world;
	for (size_t i = 0; i < w->n_workers; i++)
		if (w->workers[i].config && strcmp(w->workers[i].name, name) == 0)
			return (uint32_t)i;
	return UINT32_MAX;
}

struct origin *origins_subject(struct origins *o, enum thing thing, const char *name)
{
	if ((thing != THING_WORKER && thing != THING_BROWSER) || !name[0])
		return NULL;
	struct origin *of = origins_find(o, name);
	if (of && (thing == THING_BROWSER || worker_of(o, of)))
		return of;
	uint32_t slot = thing == THING_WORKER ? slot_of(o, name) : UINT32_MAX;
	bool known = slot != UINT32_MAX || (thing == THING_BROWSER && world_find_browser(o->context->world, name) >= 0);
	if (of && known)
		of->slot = slot;
	return of || !known ? of : add(o, name, slot);
}

bool origins_means(const struct origins *o, const struct recent_ring *ring, const char *name)
{
	const struct worker *worker = worker_of(o, origin_of(ring));
	return strcmp(ring->name, name) == 0 || (worker && strcmp(worker->config->name, name) == 0);
}

static void drop(struct origins *o, struct origin *of)
{
	recent_drop(&o->recent, &of->ring);
	if (of != o->own)
		recent_drop(&o->recent, &of->about);
	list_remove(&of->node);
	words_fini(&of->words);
	free(of);
}

static bool is_gone(const struct origins *o, const struct origin *of)
{
	return of != o->own && of->sources == 0 && !worker_of(o, of) &&
	       world_find_browser(o->context->world, of->name) < 0;
}

void origins_forget_gone(struct origins *o)
{
	LIST_EACH (at, &o->all)
		if (is_gone(o, LIST_ENTRY(at, struct origin, node)))
			drop(o, LIST_ENTRY(at, struct origin, node));
}

/* ---- birth and end ---- */

/* Numbers begin with the time, so that a later life of podvisor has greater ones
 * than an earlier: 2^20 messages a millisecond are more than anybody writes. */
int origins_init(struct origins *o, const struct context *c)
{
	*o = (struct origins){.context = c};
	list_init(&o->all);
	recent_init(&o->recent, (uint64_t)loop_wall_ms() << 20);
	o->own = origins_get(o, "", UINT32_MAX);
	return o->own ? 0 : -ENOMEM;
}

void origins_fini(struct origins *o)
{
	struct meters *meters = o->context->meters;
	LIST_EACH (at, &o->all)
		drop(o, LIST_ENTRY(at, struct origin, node));
	free(meters->logs);
	meters->logs = NULL;
	meters->n_logs = 0;
}
