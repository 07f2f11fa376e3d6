#include "podvisor/model/reload.h"

#include <errno.h>
#include <string.h>

#include "podvisor/model/config_diff.h"

#define UNCHANGED(part, n, equal)                                                                              \
	static const char *changed_##part(const struct config *a, const struct config *b)                      \
	{                                                                                                      \
		if (a->n != b->n)                                                                              \
			return #part;                                                                          \
		for (size_t i = 0; i < a->n; i++)                                                              \
			if (strcmp(a->part[i].name, b->part[i].name) != 0 || !equal(&a->part[i], &b->part[i])) \
				return b->part[i].name;                                                        \
		return NULL;                                                                                   \
	}
UNCHANGED(volumes, n_volumes, config_volume_equal)
UNCHANGED(postgres, n_postgres, config_postgres_equal)

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

/* What a running podvisor cannot exchange. Every other key counts from the reload on: the parts
 * read it where they need it, from the world's configuration. */
static int check_reloadable(const struct config *a, const struct config *b, struct err *err)
{
	const char *name;
	if (!same_text(a->instance, b->instance))
		return err_set(err, -ENOTSUP, "instance: it cannot change while podvisor runs");
	if (!same_text(a->control.listen, b->control.listen) || !same_text(a->control.socket, b->control.socket))
		return err_set(err, -ENOTSUP, "control: its addresses cannot change while podvisor runs");
	if ((name = changed_volumes(a, b)))
		return err_set(err, -ENOTSUP, "volumes (%s): volumes cannot change while podvisor runs", name);
	if ((name = changed_postgres(a, b)))
		return err_set(err, -ENOTSUP, "postgres (%s): databases cannot change while podvisor runs", name);
	if (!config_leases_equal(&a->leases, &b->leases))
		return err_set(err, -ENOTSUP, "leases: they cannot change while podvisor runs (those of workers can)");
	if (a->n_browsers != b->n_browsers)
		return err_set(err, -ENOTSUP, "browsers: none can be added or removed while podvisor runs");
	for (size_t i = 0; i < a->n_browsers; i++)
		if (strcmp(a->browsers[i].name, b->browsers[i].name) != 0)
			return err_set(err, -ENOTSUP, "browsers: none can be added or removed while podvisor runs");
	if (!config_gateway_equal(&a->gateway, &b->gateway))
		return err_set(err, -ENOTSUP, "gateway: it cannot change while podvisor runs");
	return 0;
}

static int find_in_config(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->n_workers; i++)
		if (strcmp(config->workers[i].name, name) == 0)
			return (int)i;
	return -1;
}

static const struct config_worker *wanted_by(const struct config *config, const struct worker *worker)
{
	int i = find_in_config(config, worker->config->name);
	/* A change from one instance to several also changes its name. */
	bool same_name = i >= 0 && (config->workers[i].instances > 1) == (worker->config->instances > 1);
	return same_name && worker->instance < config->workers[i].instances ? &config->workers[i] : NULL;
}

static bool has_instance(const struct world *w, const struct config_worker *config, int instance)
{
	for (size_t i = 0; i < w->n_workers; i++) {
		const struct worker *worker = &w->workers[i];
		if (worker->config && strcmp(worker->config->name, config->name) == 0 && worker->instance == instance &&
			(worker->config->instances > 1) == (config->instances > 1))
			return true;
	}
	return false;
}

/* Databases and volumes are unchanged, but their entries now live in the new configuration. */
static void adopt_parts(struct world *w, struct config *config, struct turn *t)
{
	for (size_t i = 0; i < w->n_volumes; i++)
		w->volumes[i].config = &config->volumes[i];
	for (size_t i = 0; i < w->n_databases; i++)
		w->databases[i].config = &config->postgres[i];
	for (size_t i = 0; i < w->n_browsers; i++)
		browser_reconfigure(&w->browsers[i], config, &config->browsers[i], t);
}

static size_t count_instances(const struct config *config)
{
	size_t n = 0;
	for (size_t i = 0; i < config->n_workers; i++)
		n += (size_t)config->workers[i].instances;
	return n;
}

/* A worker that is gone leaves its slot to a new one; whatever the end still says of the old one would be said of that.
 */
int reload_allowed(const struct world *w, struct err *err)
{
	return w->drain.shutdown ? err_set(err, -EBUSY, "podvisor is stopping: the configuration is not read again")
				 : 0;
}

/* Everything that can fail comes first: a reload is applied whole or not at all. */
int reload_apply(struct world *w, struct config *config, ms_t now, struct err *err)
{
	int rc = reload_allowed(w, err);
	rc = rc ? rc : check_reloadable(w->config, config, err);
	if (rc < 0)
		return rc;
	if (world_reserve_workers(w, count_instances(config)) < 0)
		return err_set(err, -ENOMEM, "out of memory");
	struct turn t = {.now = now, .wall_ms = now + w->wall_ahead_ms, .random = &w->random, .journal = &w->journal};
	for (size_t i = 0; i < w->n_workers; i++) {
		struct worker *worker = &w->workers[i];
		const struct config_worker *wanted = worker->config ? wanted_by(config, worker) : NULL;
		if (wanted)
			worker_reconfigure(worker, config, wanted, &t);
		else if (worker->config)
			worker->removed = true;
	}
	for (size_t i = 0; i < config->n_workers; i++)
		for (int k = 0; k < config->workers[i].instances; k++)
			if (!has_instance(w, &config->workers[i], k))
				world_add_worker(w, config, &config->workers[i], k, now);
	adopt_parts(w, config, &t);
	struct config *old = w->config;
	w->config = config_hold(config);
	config_release(old);
	journal_add(&w->journal, now, LOG_INFO, THING_POD, "", "reloaded", "the configuration was read again");
	return 0;
}

/* ---- what it would do ---- */

/* worker_reconfigure gives those that failed, finished or back off another try. */
static bool any_instance_starts(const struct world *w, const char *name)
{
	for (size_t i = 0; i < w->n_workers; i++) {
		const struct worker *worker = &w->workers[i];
		if (worker->config && strcmp(worker->config->name, name) == 0 && worker->wanted &&
			(worker_is_final(worker) || worker->state == WORKER_BACKOFF))
			return true;
	}
	return false;
}

static bool any_instance_is_up(const struct world *w, const char *name)
{
	for (size_t i = 0; i < w->n_workers; i++)
		if (w->workers[i].config && strcmp(w->workers[i].config->name, name) == 0 &&
			worker_is_up(&w->workers[i]))
			return true;
	return false;
}

/* Of one instance and of several the names differ, so that one becomes the other by going and coming. */
static bool restarts(const struct config_worker *a, const struct config_worker *b)
{
	return !config_worker_equal(a, b) || (a->instances > 1) != (b->instances > 1);
}

/* What becomes of the one that is there. */
static const char *consequence(const struct world *w, const struct config_worker *a, const struct config_worker *b)
{
	if (!restarts(a, b))
		return "";
	if (a->kind == WORKER_JOB && b->kind == WORKER_JOB)
		return "; from its next run on";
	if (any_instance_is_up(w, a->name))
		return "; restarts";
	return any_instance_starts(w, a->name) ? "; starts again" : "; does not run now";
}

static void preview_changed(const struct world *w, const struct config_worker *a, const struct config *config,
	const struct config_worker *b, struct buf *out)
{
	if (!restarts(a, b) && a->instances == b->instances)
		return;
	buf_printf(out, "~ worker %s: ", b->name);
	config_diff_worker(w->config, a, config, b, out);
	buf_printf(out, "%s\n", consequence(w, a, b));
}

static void preview_workers(const struct world *w, const struct config *config, struct buf *out)
{
	const struct config *old = w->config;
	for (size_t i = 0; i < config->n_workers; i++) {
		const struct config_worker *b = &config->workers[i];
		int was = find_in_config(old, b->name);
		if (was >= 0)
			preview_changed(w, &old->workers[was], config, b, out);
		else if (b->instances > 1)
			buf_printf(out, "+ worker %s: %d instances\n", b->name, b->instances);
		else
			buf_printf(out, "+ worker %s\n", b->name);
	}
	for (size_t i = 0; i < old->n_workers; i++)
		if (find_in_config(config, old->workers[i].name) < 0)
			buf_printf(out, "- worker %s\n", old->workers[i].name);
}

static void preview_browsers(const struct world *w, const struct config *config, struct buf *out)
{
	for (size_t i = 0; i < w->n_browsers; i++) {
		const struct config_browser *a = w->browsers[i].config, *b = &config->browsers[i];
		if (config_browser_equal(a, b))
			continue;
		buf_printf(out, "~ browser %s: ", b->name);
		config_diff_browser(w->config, a, config, b, out);
		buf_puts(out, browser_is_up(&w->browsers[i]) ? "; another one takes over\n" : "; does not run now\n");
	}
}

static void preview_parts(const struct config *a, const struct config *b, struct buf *out)
{
	static const char *const parts[] = {"instance", "control", "log", "shutdown", "memory", "leases"};
	struct buf changes;
	buf_init(&changes, 4096);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		buf_clear(&changes);
		config_diff_part(a, b, parts[i], &changes);
		if (changes.len)
			buf_printf(out, "~ %s: %s\n", parts[i], buf_str(&changes));
	}
	buf_fini(&changes);
}

int reload_preview(const struct world *w, const struct config *config, struct buf *out, struct err *err)
{
	int rc = reload_allowed(w, err);
	rc = rc ? rc : check_reloadable(w->config, config, err);
	if (rc < 0)
		return rc;
	preview_workers(w, config, out);
	preview_browsers(w, config, out);
	preview_parts(w->config, config, out);
	return 0;
}
