#include "podvisor/model/world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "podvisor/model/worker_events.h"

/* ---- birth and death ---- */

int world_reserve_workers(struct world *w, size_t more)
{
	size_t cap = w->cap_workers ? w->cap_workers : 8;
	while (cap < w->n_workers + more)
		cap *= 2;
	if (cap == w->cap_workers)
		return 0;
	struct worker *workers = realloc(w->workers, cap * sizeof(*workers));
	if (!workers)
		return -ENOMEM;
	w->workers = workers;
	w->cap_workers = cap;
	return 0;
}

struct worker *world_add_worker(
	struct world *w, struct config *config, const struct config_worker *worker, int instance, ms_t now)
{
	uint32_t slot = 0;
	while (slot < w->n_workers && w->workers[slot].config)
		slot++;
	if (slot == w->n_workers && world_reserve_workers(w, 1) < 0)
		return NULL;
	if (slot == w->n_workers)
		w->n_workers++;
	worker_init(&w->workers[slot], config, worker, instance, slot, now);
	return &w->workers[slot];
}

static int add_workers(struct world *w, struct config *config, ms_t now)
{
	for (size_t i = 0; i < config->n_workers; i++)
		for (int k = 0; k < config->workers[i].instances; k++)
			if (!world_add_worker(w, config, &config->workers[i], k, now))
				return -ENOMEM;
	return 0;
}

static int add_parts(struct world *w, const struct config *config, ms_t now)
{
	w->volumes = calloc(config->n_volumes + 1, sizeof(*w->volumes));
	w->databases = calloc(config->n_postgres + 1, sizeof(*w->databases));
	w->browsers = calloc(config->n_browsers + 1, sizeof(*w->browsers));
	w->lost_at = calloc(config->n_postgres + 1, sizeof(*w->lost_at));
	w->back_at = calloc(config->n_postgres + 1, sizeof(*w->back_at));
	if (!w->volumes || !w->databases || !w->browsers || !w->lost_at || !w->back_at)
		return -ENOMEM;
	for (; w->n_volumes < config->n_volumes; w->n_volumes++)
		volume_init(&w->volumes[w->n_volumes], &config->volumes[w->n_volumes], (uint32_t)w->n_volumes, now);
	for (; w->n_databases < config->n_postgres; w->n_databases++)
		database_init(&w->databases[w->n_databases], &config->postgres[w->n_databases],
			(uint32_t)w->n_databases, now);
	for (; w->n_browsers < config->n_browsers; w->n_browsers++)
		browser_init(&w->browsers[w->n_browsers], w->config, &config->browsers[w->n_browsers],
			(uint32_t)w->n_browsers, now);
	return 0;
}

/* No two replicas, and no two starts of one, are to take each other's leases for their own. */
static void name_replica(struct world *w)
{
	char me[LEASE_HOLDER_MAX];
	snprintf(me, sizeof(me), "%.120s/%016llx", w->config->instance ? w->config->instance : "podvisor",
		(unsigned long long)random_next(&w->random));
	lease_book_init(&w->leases, &w->config->leases, me);
}

struct world *world_new(struct config *config, uint64_t seed, ms_t now)
{
	struct world *w = calloc(1, sizeof(*w));
	if (!w)
		return NULL;
	w->config = config_hold(config);
	w->random.state = seed;
	w->next_run = 1;
	w->death_slot = UINT32_MAX;
	name_replica(w);
	drain_init(&w->drain, now);
	memory_guard_init(&w->guard, now);
	if (add_parts(w, config, now) < 0 || add_workers(w, config, now) < 0) {
		world_free(w);
		return NULL;
	}
	return w;
}

void world_free(struct world *w)
{
	if (!w)
		return;
	for (size_t i = 0; i < w->n_workers; i++)
		if (w->workers[i].config)
			worker_fini(&w->workers[i]);
	for (size_t i = 0; i < w->n_browsers; i++)
		browser_fini(&w->browsers[i]);
	free(w->workers);
	free(w->volumes);
	free(w->databases);
	free(w->browsers);
	lease_book_fini(&w->leases);
	free(w->lost_at);
	free(w->back_at);
	config_release(w->config);
	free(w);
}

/* ---- looking ---- */

int world_find_worker(const struct world *w, const char *name)
{
	for (size_t i = 0; i < w->n_workers; i++)
		if (w->workers[i].config &&
			(strcmp(w->workers[i].name, name) == 0 || strcmp(w->workers[i].config->name, name) == 0))
			return (int)i;
	return -1;
}

int world_find_browser(const struct world *w, const char *name)
{
	for (size_t i = 0; i < w->n_browsers; i++)
		if (strcmp(w->browsers[i].config->name, name) == 0)
			return (int)i;
	return -1;
}

/* A worker is there when all its instances are. */
static bool is_worker_available(const struct world *w, const char *name, char *why, size_t size)
{
	for (size_t i = 0; i < w->n_workers; i++) {
		const struct worker *worker = &w->workers[i];
		if (!worker_is_configured(worker) || strcmp(worker->config->name, name) != 0 ||
			worker_is_available(worker))
			continue;
		if (why)
			snprintf(why, size, "worker:%s is %s", worker->name, worker_state_name(worker->state));
		return false;
	}
	return true;
}

bool world_is_available(
	const struct world *w, const struct config *config, struct config_ref ref, char *why, size_t size)
{
	const char *name = "", *state = "";
	bool there = false;
	switch (ref.thing) {
	case THING_WORKER:
		return is_worker_available(w, config->workers[ref.index].name, why, size);
	case THING_POSTGRES:
		name = config->postgres[ref.index].name;
		state = database_state_name(w->databases[ref.index].state);
		there = database_is_available(&w->databases[ref.index]);
		break;
	case THING_VOLUME:
		name = config->volumes[ref.index].name;
		state = volume_state_name(w->volumes[ref.index].state);
		there = w->volumes[ref.index].state == VOLUME_READY;
		break;
	case THING_BROWSER:
		name = config->browsers[ref.index].name;
		state = browser_state_name(w->browsers[ref.index].state);
		there = browser_is_available(&w->browsers[ref.index]);
		break;
	default:
		return true;
	}
	if (!there && why)
		snprintf(why, size, "%s:%s is %s", thing_name(ref.thing), name, state);
	return there;
}

/* ---- folding facts in ---- */

static void apply_to_worker(struct world *w, const struct event *e, struct turn *t)
{
	if (e->slot < w->n_workers && w->workers[e->slot].config)
		worker_apply(&w->workers[e->slot], e, t);
}

static void apply_to_volume(struct world *w, const struct event *e, struct turn *t)
{
	if (e->slot < w->n_volumes)
		volume_apply(&w->volumes[e->slot], e, t);
}

static void apply_to_database(struct world *w, const struct event *e, struct turn *t)
{
	if (e->slot >= w->n_databases)
		return;
	struct database *d = &w->databases[e->slot];
	bool was = database_is_available(d);
	database_apply(d, e, t);
	bool is = database_is_available(d);
	if (was && !is)
		w->lost_at[e->slot] = t->now;
	if (!was && is && w->lost_at[e->slot])
		w->back_at[e->slot] = t->now;
}

static void apply_to_browser(struct world *w, const struct event *e, struct turn *t)
{
	if (e->slot < w->n_browsers)
		browser_apply(&w->browsers[e->slot], e, t);
}

static void apply_to_drain(struct world *w, const struct event *e, struct turn *t)
{
	drain_apply(&w->drain, e, t);
}

static void apply_to_guard(struct world *w, const struct event *e, struct turn *t)
{
	memory_guard_apply(&w->guard, &w->config->memory, e, t);
}

static void apply_to_lease(struct world *w, const struct event *e, struct turn *t)
{
	lease_book_apply(&w->leases, e, t);
}

/* The run may be of an earlier configuration than the world is. */
static const struct config *source_of(const struct world *w, const struct event *e)
{
	if (e->kind < EVENT_KIND_COUNT && e->slot < w->n_workers && w->workers[e->slot].run_source)
		return w->workers[e->slot].run_source;
	return w->config;
}

/* Every sentence from outside passes here; what it says may hold what it was given. */
static void conceal(const struct world *w, struct event *e)
{
	/* The names of replicas are compared, and are no sentences. */
	if (!e->text[0] || e->kind == EVENT_LEASE_ANSWERED || e->kind == EVENT_LEASE_MEMBER)
		return;
	config_conceal(w->config, e->text);
	config_conceal(source_of(w, e), e->text);
}

void world_apply(struct world *w, const struct event *told, ms_t now)
{
	struct event copy = *told, *e = &copy;
	conceal(w, e);
	typedef void (*folder)(struct world *, const struct event *, struct turn *);
	static const folder folders[EVENT_KIND_COUNT] = {
		[EVENT_WORKER_STARTED] = apply_to_worker,
		[EVENT_WORKER_UNSTARTABLE] = apply_to_worker,
		[EVENT_WORKER_EXITED] = apply_to_worker,
		[EVENT_WORKER_GONE] = apply_to_worker,
		[EVENT_WORKER_NOTIFIED] = apply_to_worker,
		[EVENT_WORKER_CHECKED] = apply_to_worker,
		[EVENT_WORKER_PROGRESSED] = apply_to_worker,
		[EVENT_WORKER_MEASURED] = apply_to_worker,
		[EVENT_WORKER_INSPECTED] = apply_to_worker,
		[EVENT_WORKER_STOP_COMMAND] = apply_to_worker,
		[EVENT_VOLUME_PREPARED] = apply_to_volume,
		[EVENT_VOLUME_REFUSED] = apply_to_volume,
		[EVENT_VOLUME_MEASURED] = apply_to_volume,
		[EVENT_VOLUME_PURGED] = apply_to_volume,
		[EVENT_VOLUME_RELEASED] = apply_to_volume,
		[EVENT_MEMORY_MEASURED] = apply_to_guard,
		[EVENT_MEMORY_WEIGHED] = apply_to_guard,
		[EVENT_POSTGRES_ANSWERED] = apply_to_database,
		[EVENT_POSTGRES_FAILED] = apply_to_database,
		[EVENT_POSTGRES_LOST] = apply_to_database,
		[EVENT_POSTGRES_CLOSED] = apply_to_database,
		[EVENT_BROWSER_STARTED] = apply_to_browser,
		[EVENT_BROWSER_UNSTARTABLE] = apply_to_browser,
		[EVENT_BROWSER_ANSWERED] = apply_to_browser,
		[EVENT_BROWSER_PAGE_LOST] = apply_to_browser,
		[EVENT_BROWSER_SESSIONS] = apply_to_browser,
		[EVENT_BROWSER_MEASURED] = apply_to_browser,
		[EVENT_BROWSER_TIDIED] = apply_to_browser,
		[EVENT_BROWSER_EXITED] = apply_to_browser,
		[EVENT_BROWSER_GONE] = apply_to_browser,
		[EVENT_BROWSER_CLEANED] = apply_to_browser,
		[EVENT_LEASE_ANSWERED] = apply_to_lease,
		[EVENT_LEASE_DENIED] = apply_to_lease,
		[EVENT_LEASE_FAILED] = apply_to_lease,
		[EVENT_LEASE_HINTED] = apply_to_lease,
		[EVENT_LEASE_MEMBER] = apply_to_lease,
		[EVENT_LEASE_MET] = apply_to_lease,
		[EVENT_LEASE_CALLED] = apply_to_lease,
		[EVENT_GATEWAY_LISTENING] = apply_to_drain,
		[EVENT_GATEWAY_FAILED] = apply_to_drain,
		[EVENT_GATEWAY_EMPTY] = apply_to_drain,
		[EVENT_ASKED_START] = apply_to_worker,
		[EVENT_ASKED_STOP] = apply_to_worker,
		[EVENT_ASKED_RESTART] = apply_to_worker,
		[EVENT_ASKED_BROWSER_START] = apply_to_browser,
		[EVENT_ASKED_BROWSER_STOP] = apply_to_browser,
		[EVENT_ASKED_BROWSER_RESTART] = apply_to_browser,
		[EVENT_ASKED_SHUTDOWN] = apply_to_drain,
		[EVENT_ASKED_DRAIN] = apply_to_drain,
		[EVENT_ASKED_UNDRAIN] = apply_to_drain,
	};
	struct turn t = {.now = now, .wall_ms = now + w->wall_ahead_ms, .random = &w->random, .journal = &w->journal};
	if (e->kind < EVENT_KIND_COUNT && folders[e->kind])
		folders[e->kind](w, e, &t);
}
