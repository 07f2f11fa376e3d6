#include "podvisor/model/reload.h"

#include <errno.h>
#include <string.h>

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

/* The parts that a running podvisor cannot exchange yet. */
static int check_reloadable(const struct config *a, const struct config *b, struct err *err)
{
	const char *name;
	if (!same_text(a->control.listen, b->control.listen) || !same_text(a->control.socket, b->control.socket))
		return err_set(err, -ENOTSUP, "control: its addresses cannot change while podvisor runs");
	if ((name = changed_volumes(a, b)))
		return err_set(err, -ENOTSUP, "volumes (%s): volumes cannot change while podvisor runs", name);
	if ((name = changed_postgres(a, b)))
		return err_set(err, -ENOTSUP, "postgres (%s): databases cannot change while podvisor runs", name);
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

int reload_apply(struct world *w, struct config *config, ms_t now, struct err *err)
{
	int rc = check_reloadable(w->config, config, err);
	if (rc < 0)
		return rc;
	struct turn t = {.now = now, .random = &w->random, .journal = &w->journal};
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
			if (!has_instance(w, &config->workers[i], k) &&
				!world_add_worker(w, config, &config->workers[i], k, now))
				return err_set(err, -ENOMEM, "out of memory");
	adopt_parts(w, config, &t);
	struct config *old = w->config;
	w->config = config_hold(config);
	config_release(old);
	journal_add(&w->journal, now, LOG_INFO, THING_POD, "", "reloaded", "the configuration was read again");
	return 0;
}

void reload_preview(const struct world *w, const struct config *config, struct buf *out)
{
	struct err err;
	if (check_reloadable(w->config, config, &err) < 0) {
		buf_printf(out, "refused: %s\n", err.text);
		return;
	}
	for (size_t i = 0; i < w->n_workers; i++) {
		const struct worker *worker = &w->workers[i];
		const struct config_worker *wanted = worker->config ? wanted_by(config, worker) : NULL;
		if (worker->config && !wanted)
			buf_printf(out, "worker %s: stop\n", worker->name);
		else if (wanted && !config_worker_equal(worker->config, wanted))
			buf_printf(out, "worker %s: restart\n", worker->name);
	}
	for (size_t i = 0; i < config->n_workers; i++)
		for (int k = 0; k < config->workers[i].instances; k++)
			if (!has_instance(w, &config->workers[i], k))
				buf_printf(out, "worker %s: start\n", config->workers[i].name);
	for (size_t i = 0; i < w->n_browsers; i++)
		if (!config_browser_equal(w->browsers[i].config, &config->browsers[i]))
			buf_printf(out, "browser %s: restart\n", config->browsers[i].name);
}
