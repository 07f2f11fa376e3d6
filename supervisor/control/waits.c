#include "podvisor/control/waits.h"

#include <string.h>

bool waits_means_worker(const struct world *w, size_t slot, const char *name)
{
	const struct worker *worker = &w->workers[slot];
	return worker->config && (strcmp(worker->name, name) == 0 || strcmp(worker->config->name, name) == 0);
}

/* A run has begun since the request. */
static bool has_begun(const struct worker *w, uint64_t mark)
{
	const struct worker_run *last = worker_last_run(w);
	return w->run >= mark || (last && last->run >= mark);
}

/* An instance of that name that is not there. */
static const struct worker *find_absent(const struct world *w, const char *name)
{
	for (size_t i = 0; i < w->n_workers; i++) {
		const struct worker *worker = &w->workers[i];
		if (worker_is_configured(worker) && strcmp(worker->config->name, name) == 0 &&
			!worker_is_available(worker))
			return worker;
	}
	return NULL;
}

/* The worker that keeps it waiting, as its reason tells: that of its first dependency that is not there. */
static const struct worker *find_obstacle(const struct world *w, const struct worker *worker)
{
	for (size_t i = 0; i < worker->config->n_depends_on; i++) {
		struct config_ref ref = worker->config->depends_on[i];
		if (world_is_available(w, worker->source, ref, NULL, 0))
			continue;
		return ref.thing == THING_WORKER ? find_absent(w, worker->source->workers[ref.index].name) : NULL;
	}
	return NULL;
}

static bool is_waiting(const struct worker *w)
{
	return w->state == WORKER_WAITING || w->state == WORKER_PAUSED;
}

/* For one that does not come back by itself. */
static bool waits_in_vain(const struct world *w, const struct worker *worker)
{
	if (!is_waiting(worker))
		return false;
	for (size_t hops = 0; worker && is_waiting(worker) && hops < w->n_workers; hops++)
		worker = find_obstacle(w, worker);
	return worker && worker_is_final(worker);
}

/* The run that was asked for is over, and none follows it at once. */
static bool run_is_over(const struct wait *wait, const struct worker *w)
{
	const struct worker_run *last = worker_last_run(w);
	bool over = last && last->run >= wait->mark && !worker_is_up(w);
	return over && (!w->schedule.owed || worker_is_final(w));
}

static bool worker_is_done(const struct wait *wait, const struct snapshot *s, const struct worker *w)
{
	if (w->config->kind == WORKER_JOB && wait->kind != WAIT_STOP)
		return run_is_over(wait, w);
	bool settled = worker_is_available(w) || worker_is_final(w) || w->state == WORKER_BACKOFF;
	/* Another replica holds its lease: nobody knows for how long. */
	if (w->state == WORKER_STANDBY && wait->kind != WAIT_STOP)
		return true;
	bool vain = clock_due(wait->patient_until, s->now) && waits_in_vain(s->world, w);
	switch (wait->kind) {
	case WAIT_START:
		return worker_is_available(w) || vain || (settled && has_begun(w, wait->mark));
	case WAIT_RESTART:
		return !w->again && (vain || (settled && has_begun(w, wait->mark)));
	default:
		return !w->wanted && !worker_is_up(w) && worker_is_final(w);
	}
}

static bool browser_is_done(const struct wait *wait, const struct browser *b)
{
	bool begun = browser_lead(b)->run >= wait->mark || b->last_run >= wait->mark;
	bool failed = b->state == BROWSER_FAILED, settled = failed || b->state == BROWSER_BACKOFF;
	switch (wait->kind) {
	case WAIT_START:
		return browser_is_available(b) || (settled && begun);
	case WAIT_RESTART:
		return begun && !b->again && (browser_is_available(b) || settled);
	default:
		return !b->wanted && !browser_is_up(b) && (b->state == BROWSER_STOPPED || failed);
	}
}

static bool is_meant(const struct wait *wait, const struct world *w, size_t slot)
{
	return worker_is_configured(&w->workers[slot]) && waits_means_worker(w, slot, wait->name);
}

/* NULL: a worker has that name, or nobody. */
static const struct browser *find_browser(const struct wait *wait, const struct world *w)
{
	for (size_t i = 0; i < w->n_workers; i++)
		if (is_meant(wait, w, i))
			return NULL;
	int slot = world_find_browser(w, wait->name);
	return slot < 0 ? NULL : &w->browsers[slot];
}

static bool asked_is_done(const struct wait *wait, const struct snapshot *s)
{
	const struct world *w = s->world;
	for (size_t i = 0; i < w->n_workers; i++)
		if (is_meant(wait, w, i) && !worker_is_done(wait, s, &w->workers[i]))
			return false;
	const struct browser *b = find_browser(wait, w);
	return !b || browser_is_done(wait, b);
}

bool waits_is_kept(const struct wait *wait, const struct snapshot *s)
{
	const struct browser *b = wait->kind == WAIT_RESTART ? find_browser(wait, s->world) : NULL;
	return b && browser_is_available(b) && browser_lead(b)->run < wait->mark && b->last_run >= wait->mark;
}

static bool drained_is_done(const struct world *w)
{
	const struct drain *d = &w->drain;
	if (d->state == DRAIN_DRAINING)
		return d->gateway_empty || !w->config->gateway.present;
	return d->state == DRAIN_STOPPING || d->state == DRAIN_DONE;
}

bool waits_is_done(const struct wait *wait, const struct snapshot *s)
{
	switch (wait->kind) {
	case WAIT_EVENT:
		return s->world->journal.last_seq > wait->after;
	case WAIT_DRAINED:
		return drained_is_done(s->world);
	case WAIT_NONE:
		return true;
	default:
		return asked_is_done(wait, s);
	}
}
