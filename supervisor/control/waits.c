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

/* The run that was asked for is over, and none follows it at once. */
static bool run_is_over(const struct wait *wait, const struct worker *w)
{
	const struct worker_run *last = worker_last_run(w);
	bool over = last && last->run >= wait->mark && !worker_is_up(w);
	return over && (!w->schedule.owed || worker_is_final(w));
}

static bool worker_is_done(const struct wait *wait, const struct worker *w)
{
	if (w->config->kind == WORKER_JOB && wait->kind != WAIT_STOP)
		return run_is_over(wait, w);
	bool settled = worker_is_available(w) || worker_is_final(w);
	switch (wait->kind) {
	case WAIT_START:
		return worker_is_available(w) || (settled && has_begun(w, wait->mark));
	case WAIT_RESTART:
		return settled && has_begun(w, wait->mark) && !w->again;
	default:
		return !w->wanted && !worker_is_up(w) && worker_is_final(w);
	}
}

static bool browser_is_done(const struct wait *wait, const struct browser *b)
{
	bool begun = b->run >= wait->mark, failed = b->state == BROWSER_FAILED;
	switch (wait->kind) {
	case WAIT_START:
		return browser_is_available(b) || (failed && begun);
	case WAIT_RESTART:
		return (browser_is_available(b) && begun && !b->again) || failed;
	default:
		return !b->wanted && !browser_is_up(b) && (b->state == BROWSER_STOPPED || failed);
	}
}

static bool asked_is_done(const struct wait *wait, const struct world *w)
{
	bool any = false;
	for (size_t i = 0; i < w->n_workers; i++) {
		if (!worker_is_configured(&w->workers[i]) || !waits_means_worker(w, i, wait->name))
			continue;
		any = true;
		if (!worker_is_done(wait, &w->workers[i]))
			return false;
	}
	int browser = any ? -1 : world_find_browser(w, wait->name);
	return browser < 0 || browser_is_done(wait, &w->browsers[browser]);
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
		return asked_is_done(wait, s->world);
	}
}
