#include "podvisor/runtime/usage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "podvisor/io/ancestry.h"
#include "podvisor/io/tree_usage.h"

/* One worker of a measurement. */
struct target {
	uint32_t slot;
	uint64_t run;
	pid_t pid, shim;
	bool measured;
	struct tree_usage usage;
};

/* What is known of a slot's processor time beside the meter. */
struct tally {
	uint64_t runs_counted;
	double ended_seconds; /* of all ended runs */
};

struct usage {
	const struct context *context;
	uv_work_t work;
	struct target *targets; /* of the measurement under way */
	size_t n_targets;
	struct tally *tallies; /* by slot, as many as meters->n_usage */
	bool measuring, freed;
	bool asked_again; /* while one is under way, which may have begun before the run did */
	bool weighing, weigh_asked; /* the memory guard waits for the one under way; for the next one */
	ms_t measured_at; /* 0: never */
};

int usage_new(struct usage **out, const struct context *c, struct err *err)
{
	struct usage *u = calloc(1, sizeof(*u));
	if (!u)
		return err_set(err, -ENOMEM, "out of memory");
	u->context = c;
	u->work.data = u;
	*out = u;
	return 0;
}

static bool make_room(struct usage *u)
{
	struct meters *meters = u->context->meters;
	size_t have = meters->n_usage, want = u->context->world->n_workers;
	if (want <= have)
		return true;
	struct tally *tallies = realloc(u->tallies, want * sizeof(*tallies));
	if (tallies)
		u->tallies = tallies;
	struct usage_meter *usage = realloc(meters->usage, want * sizeof(*usage));
	if (usage)
		meters->usage = usage;
	if (!tallies || !usage)
		return false;
	memset(tallies + have, 0, (want - have) * sizeof(*tallies));
	for (size_t i = have; i < want; i++)
		usage[i] = (struct usage_meter){.memory_bytes = -1, .open_fds = -1, .processes = -1};
	meters->n_usage = want;
	return true;
}

/* A counter must not fall, although a tree's processes are counted while they
 * live and its main process' account only knows those it waited for. */
static void raise_cpu(struct usage_meter *meter, double seconds)
{
	if (seconds > meter->cpu_seconds)
		meter->cpu_seconds = seconds;
}

/* -1 stays for what is not known. */
static void empty_meter(struct usage_meter *meter)
{
	meter->memory_bytes = meter->open_fds = meter->processes = 0;
}

static void count_ended(const struct worker *w, struct tally *tally, struct usage_meter *meter)
{
	if (w->n_runs < tally->runs_counted) /* the slot is another worker's now */
		*tally = (struct tally){0};
	if (w->n_runs == tally->runs_counted)
		return;
	uint64_t first = w->n_runs > WORKER_HISTORY ? w->n_runs - WORKER_HISTORY : 0;
	for (uint64_t i = first > tally->runs_counted ? first : tally->runs_counted; i < w->n_runs; i++)
		tally->ended_seconds += (double)w->history[i % WORKER_HISTORY].cpu_us / 1e6;
	tally->runs_counted = w->n_runs;
	raise_cpu(meter, tally->ended_seconds);
	if (!w->run)
		empty_meter(meter);
}

void usage_turned(struct usage *u)
{
	const struct world *world = u->context->world;
	if (!make_room(u))
		return;
	for (size_t i = 0; i < world->n_workers; i++)
		count_ended(&world->workers[i], &u->tallies[i], &u->context->meters->usage[i]);
}

/* The shim stands between podvisor and the worker; everything hangs below it. A pid
 * that was reused in between does not descend from podvisor. */
static int by_shim(const void *a, const void *b)
{
	const struct target *x = a, *y = b;
	return x->shim < y->shim ? -1 : x->shim > y->shim;
}

/* The picture is taken once for all. */
static void measure_all(struct target *targets, size_t n, pid_t *shims, struct tree_usage *usages)
{
	for (size_t i = 0; i < n; i++)
		shims[i] = targets[i].shim;
	if (tree_usage_read(shims, n, usages) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		targets[i].measured = true;
		targets[i].usage = usages[i];
	}
}

static void in_pool(uv_work_t *work)
{
	struct usage *u = work->data;
	pid_t self = getpid();
	size_t first = 0;
	for (size_t i = 0; i < u->n_targets; i++)
		u->targets[i].shim = ancestry_below(self, u->targets[i].pid);
	qsort(u->targets, u->n_targets, sizeof(*u->targets), by_shim);
	while (first < u->n_targets && !u->targets[first].shim)
		first++;
	size_t n = u->n_targets - first;
	pid_t *shims = calloc(n + 1, sizeof(*shims));
	struct tree_usage *usages = calloc(n + 1, sizeof(*usages));
	if (shims && usages)
		measure_all(u->targets + first, n, shims, usages);
	free(shims);
	free(usages);
}

/* The world asked for it, or a scrape did: it takes what it waits for. */
static void tell_memory(const struct usage *u, const struct target *t)
{
	struct event e = {.kind = EVENT_WORKER_MEASURED, .slot = t->slot, .run = t->run};
	e.memory_bytes = t->measured ? t->usage.memory_bytes : -1;
	loop_post(u->context->loop, &e);
}

static bool has_memory_limit(const struct usage *u, uint32_t slot)
{
	const struct world *world = u->context->world;
	return slot < world->n_workers && world->workers[slot].config &&
	       world->workers[slot].config->limits.memory_bytes;
}

static void take(struct usage *u, const struct target *t)
{
	const struct world *world = u->context->world;
	if (u->weighing || has_memory_limit(u, t->slot))
		tell_memory(u, t);
	if (!t->measured || t->slot >= world->n_workers || world->workers[t->slot].run != t->run)
		return;
	struct usage_meter *meter = &u->context->meters->usage[t->slot];
	meter->memory_bytes = t->usage.memory_bytes;
	meter->open_fds = t->usage.open_fds;
	meter->processes = t->usage.processes;
	raise_cpu(meter, u->tallies[t->slot].ended_seconds + t->usage.cpu_seconds);
}

static void begin(struct usage *u);

static void end_weighing(struct usage *u)
{
	struct event e = {.kind = EVENT_MEMORY_WEIGHED};
	if (u->weighing)
		loop_post(u->context->loop, &e);
	u->weighing = false;
}

static void on_measured(uv_work_t *work, int status)
{
	struct usage *u = work->data;
	u->measuring = false;
	for (size_t i = 0; status == 0 && !u->freed && i < u->n_targets; i++)
		take(u, &u->targets[i]);
	free(u->targets);
	u->targets = NULL;
	u->measured_at = loop_now();
	if (!u->freed)
		end_weighing(u);
	if (u->freed)
		free(u);
	else if (u->asked_again)
		begin(u);
}

static bool choose_targets(struct usage *u)
{
	const struct world *world = u->context->world;
	u->n_targets = 0;
	u->targets = calloc(world->n_workers ? world->n_workers : 1, sizeof(*u->targets));
	if (!u->targets)
		return false;
	for (size_t i = 0; i < world->n_workers; i++) {
		const struct worker *w = &world->workers[i];
		if (w->run && w->pid > 0 && !w->main_ended)
			u->targets[u->n_targets++] = (struct target){.slot = (uint32_t)i, .run = w->run, .pid = w->pid};
	}
	return u->n_targets > 0;
}

static void begin(struct usage *u)
{
	u->asked_again = false;
	u->weighing = u->weigh_asked;
	u->weigh_asked = false;
	if (make_room(u) && choose_targets(u) &&
		uv_queue_work(&u->context->loop->uv, &u->work, in_pool, on_measured) == 0) {
		u->measuring = true;
		return;
	}
	free(u->targets);
	u->targets = NULL;
	end_weighing(u);
}

void usage_ask(struct usage *u)
{
	if (!u->measuring && (!u->measured_at || loop_now() - u->measured_at >= USAGE_MAX_AGE_MS))
		begin(u);
}

void usage_do(struct usage *u, const struct effect *e)
{
	u->weigh_asked |= e->kind == EFFECT_MEMORY_WEIGH;
	if (u->measuring)
		u->asked_again = true;
	else
		begin(u);
}

void usage_free(struct usage *u)
{
	if (!u)
		return;
	struct meters *meters = u->context->meters;
	free(meters->usage);
	meters->usage = NULL;
	meters->n_usage = 0;
	free(u->tallies);
	u->tallies = NULL;
	u->freed = true;
	if (!u->measuring)
		free(u);
	else
		uv_cancel((uv_req_t *)&u->work); /* what has begun ends by itself */
}
