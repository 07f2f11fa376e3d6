#include "podvisor/model/lease_demand.h"

#include <stdio.h>
#include <string.h>

/* What runs keeps the lease that it was begun under, whatever a reload has said since. */
static const struct config_worker *config_of(const struct worker *worker)
{
	return worker->run_config ? worker->run_config : worker->config;
}

/* A drain hands leases over at once, of workers that stop on SIGTERM; the others keep theirs until they stop. */
static bool is_drained(const struct world *w, const struct worker *worker)
{
	enum drain_state from = worker_stop_of(worker)->phase == STOP_ON_TERM ? DRAIN_LAME_DUCK : DRAIN_STOPPING;
	return w->drain.state >= from;
}

/* Who could not start anyhow lets another replica have it. */
static bool could_run(const struct world *w, const struct worker *worker)
{
	const struct config_worker *config = worker->config;
	for (size_t i = 0; i < config->n_depends_on; i++)
		if (!world_is_available(w, worker->source, config->depends_on[i], NULL, 0))
			return false;
	return true;
}

/* What stands by warm does nothing yet. */
static bool holds_tree(const struct worker *worker)
{
	return worker_is_up(worker) && !worker->warm;
}

static bool wants(const struct world *w, const struct worker *worker)
{
	return worker_is_configured(worker) && worker->wanted && !worker_is_final(worker) && !is_drained(w, worker) &&
	       (holds_tree(worker) || could_run(w, worker));
}

static bool has_same_lease(const struct config_worker *a, const struct config_worker *b)
{
	return a->lease && strcmp(a->lease, b->lease) == 0 && a->lease_spread == b->lease_spread;
}

static void name_lease(struct world *w, const struct worker *worker, const struct config_worker *config, ms_t now)
{
	struct lease_need need = {.name = config->lease,
		.index = config->lease_spread ? worker->instance : 0,
		.shares = config->lease_spread ? config->instances : 0,
		.offered = wants(w, worker) && has_same_lease(worker->config, config),
		.tree = holds_tree(worker),
		.keep = config->on_database_loss == DATABASE_LOSS_KEEP};
	lease_book_name(&w->leases, &need, now);
}

const char *lease_demand_name_of(const struct config_worker *config, int instance, char *out)
{
	return lease_book_name_of(config->lease, instance, config->lease_spread ? config->instances : 0, out);
}

void lease_demand_plan(struct world *w, struct turn *t)
{
	lease_book_begin(&w->leases);
	for (size_t i = 0; i < w->n_workers; i++) {
		const struct worker *worker = &w->workers[i];
		const struct config_worker *config = worker->config ? config_of(worker) : NULL;
		if (config && config->lease)
			name_lease(w, worker, config, t->now);
	}
	lease_book_plan(&w->leases, w->drain.state != DRAIN_SERVING, t);
}

void lease_demand_rule(const struct world *w, const struct worker *worker, ms_t now, struct worker_gate *gate)
{
	const struct config_worker *config = config_of(worker);
	char name[LEASE_NAME_MAX];
	const struct lease_entry *e = NULL;
	if (config->lease)
		e = lease_book_find(&w->leases, lease_demand_name_of(config, worker->instance, name));
	gate->lease.deadline = CLOCK_NEVER;
	if (!e)
		return;
	struct lease_permit permit = lease_permit(&e->lease, now);
	gate->leased = true;
	gate->lease = permit;
	gate->token = lease_book_token(&w->leases, permit.timeline, permit.token);
	if (!permit.run)
		lease_book_describe(e, gate->lease_why, sizeof(gate->lease_why));
}
