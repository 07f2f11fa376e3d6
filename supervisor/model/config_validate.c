#include "config_validate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_report.h"
#include "config_table.h"
#include "config_value.h"
#include "config_walk.h"
#include "podvisor/base/buf.h"
#include "podvisor/base/units.h"
#include "podvisor/model/order.h"
#include "podvisor/wire/logline_join.h"

struct validator {
	const struct config *config;
	const struct config_node *root;
	struct config_report *report;
	bool out_of_memory;
};

/* The node of the first key that is there, else the object itself. */
static const struct config_node *place(const struct config_node *object, const char *first, const char *second)
{
	const struct config_node *node = config_node_get(object, first);
	if (!node && second)
		node = config_node_get(object, second);
	return node ? node : object;
}

/* --- checks --- */

static void check_one(
	struct validator *v, const struct config_node *worker, const char *name, const struct config_check *check)
{
	static const char *const kinds[] = {"http", "tcp", "exec", "file"};
	const struct config_node *node = config_node_get(worker, name);
	if (!node || node->kind != CONFIG_NODE_OBJECT)
		return;
	size_t n = check->notify;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		n += config_node_get(node, kinds[i]) != NULL;
	bool startup = strcmp(name, "startup") == 0;
	if (n == 0 && check->kind != CHECK_DELAY)
		config_report_value(v->report, node,
			"checks nothing (expected one of \"http\", \"tcp\", \"exec\", \"file\", \"notify\"%s)",
			startup ? ", or \"initial_delay\" alone" : "");
	else if (n > 1)
		config_report_value(v->report, node,
			"checks more than one thing (expected only one of \"http\", \"tcp\", \"exec\", \"file\", "
			"\"notify\")");
	if (!config_node_get(node, "http") && (check->n_headers || check->expect_status))
		config_report_key(v->report, place(node, "headers", "expect_status"), "belongs to an \"http\" check");
}

static void check_progress(
	struct validator *v, const struct config_node *worker, const struct config_progress *progress)
{
	const struct config_node *node = config_node_get(worker, "progress");
	if (!progress->present || !node)
		return;
	bool sql = config_node_get(node, "sql") != NULL;
	if (sql == progress->notify)
		config_report_value(v->report, node, "takes its number from %s (expected one of \"sql\", \"notify\")",
			sql ? "two places" : "nowhere");
	if (sql && !config_node_get(node, "postgres"))
		config_report_missing(v->report, node, "postgres");
}

static void check_restart(struct validator *v, const struct config_node *worker, const struct config_restart *restart)
{
	char initial[UNITS_TEXT_MAX], max[UNITS_TEXT_MAX];
	const struct config_node *node = config_node_get(config_node_get(worker, "restart"), "backoff");
	if (node && restart->backoff.initial > restart->backoff.max)
		config_report_value(v->report, place(node, "max", "initial"), "initial %s is longer than max %s",
			units_format_duration(restart->backoff.initial, initial),
			units_format_duration(restart->backoff.max, max));
}

static void check_restart_with(struct validator *v, const struct config_node *node, const struct config_worker *w)
{
	for (char **text = w->restart_with_names; *text; text++)
		if (strcmp(*text, w->name) == 0 ||
			(strncmp(*text, "worker:", 7) == 0 && strcmp(*text + 7, w->name) == 0))
			config_report_value(v->report, place(node, "restart_with", NULL),
				"names the worker itself (expected others that it restarts with)");
}

static void check_log(struct validator *v, const struct config_node *worker, const struct config_worker_log *log)
{
	const struct config_node *node = config_node_get(config_node_get(worker, "log"), "multiline");
	struct pattern *pattern = NULL;
	struct err err = {0};
	if (node && log->multiline && logline_join_new(&pattern, log->multiline, &err) < 0)
		config_report_value(v->report, node, "is no pattern: %s", err.text);
	pattern_free(pattern);
}

/* "api" with three instances runs as api.0, api.1 and api.2; another worker may not have one of these names. */
static void check_instances(struct validator *v, const struct config_node *node, const struct config_worker *w)
{
	const char *dot = strrchr(w->name, '.');
	char base[CONFIG_NAME_MAX + 1];
	if (!dot || !dot[1] || strspn(dot + 1, "0123456789") != strlen(dot + 1) || strlen(dot + 1) > 5)
		return;
	if (dot[1] == '0' && dot[2]) /* api.01 is no instance's name */
		return;
	snprintf(base, sizeof(base), "%.*s", (int)(dot - w->name), w->name);
	int at = config_find(v->config, THING_WORKER, base);
	if (at >= 0 && v->config->workers[at].instances > 1 && atoi(dot + 1) < v->config->workers[at].instances)
		config_report_key(
			v->report, node, "\"%s\" is also the name of an instance of the worker \"%s\"", w->name, base);
}

static void check_workers(struct validator *v)
{
	const struct config_node *workers = config_node_get(v->root, "workers");
	for (size_t i = 0; i < v->config->n_workers; i++) {
		const struct config_worker *w = &v->config->workers[i];
		const struct config_node *node = config_node_get(workers, w->name);
		check_one(v, node, "readiness", &w->readiness);
		check_one(v, node, "liveness", &w->liveness);
		check_one(v, node, "startup", &w->startup);
		check_progress(v, node, &w->progress);
		check_restart(v, node, &w->restart);
		check_restart_with(v, node, w);
		check_log(v, node, &w->log);
		check_instances(v, node, w);
	}
}

/* --- circles --- */

static void report_circle(void *ctx, const uint32_t *members, size_t count)
{
	struct validator *v = ctx;
	const struct config_node *workers = config_node_get(v->root, "workers");
	const struct config_worker *all = v->config->workers;
	struct buf names;
	buf_init(&names, 190);
	for (size_t i = 0; i < count; i++)
		buf_printf(&names, "%s -> ", all[members[i]].name);
	config_report_value(v->report, config_node_get(config_node_get(workers, all[members[0]].name), "depends_on"),
		"the workers wait for each other in a circle: %s%s%s", buf_str(&names), names.failed ? "... -> " : "",
		all[members[0]].name);
	buf_fini(&names);
}

static size_t edges_of(const struct config *c, uint32_t from, const struct config_key *key, struct order_edge *out)
{
	size_t n = 0;
	for (char **text = c->workers[from].depends_on_names; *text; text++) {
		enum thing thing;
		const char *name;
		int to = config_reference_split(key, *text, &thing, &name) && thing == THING_WORKER
				 ? config_find(c, thing, name)
				 : -1;
		if (to >= 0 && out)
			out[n] = (struct order_edge){from, (uint32_t)to};
		n += to >= 0;
	}
	return n;
}

static const struct config_key *depends_on_key(void)
{
	const struct config_key *key = config_section_worker.keys;
	while (strcmp(key->name, "depends_on") != 0)
		key++;
	return key;
}

static void check_circles(struct validator *v)
{
	const struct config *c = v->config;
	const struct config_key *key = depends_on_key();
	size_t room = 0, n = 0;
	for (size_t i = 0; i < c->n_workers; i++)
		for (char **text = c->workers[i].depends_on_names; *text; text++)
			room++;
	struct order_edge *edges = calloc(room + 1, sizeof(*edges));
	uint32_t *order = calloc(c->n_workers + 1, sizeof(*order));
	for (uint32_t i = 0; edges && i < c->n_workers; i++)
		n += edges_of(c, i, key, edges + n);
	if (!edges || !order || order_sort((uint32_t)c->n_workers, edges, n, order, report_circle, v) < 0)
		v->out_of_memory = true;
	free(edges);
	free(order);
}

/* --- volumes, browsers, addresses --- */

static void check_volumes(struct validator *v)
{
	const struct config_node *volumes = config_node_get(v->root, "volumes");
	for (size_t i = 0; i < v->config->n_volumes; i++) {
		const struct config_volume *one = &v->config->volumes[i];
		const struct config_node *node = config_node_get(volumes, one->name);
		if (one->low_percent >= one->high_percent)
			config_report_value(v->report, place(node, "low", "high"), "low %d%% is not below high %d%%",
				one->low_percent, one->high_percent);
		for (size_t j = 0; one->path && j < i; j++)
			if (v->config->volumes[j].path && strcmp(v->config->volumes[j].path, one->path) == 0)
				config_report_value(v->report, place(node, "path", NULL),
					"is also the path of the volume \"%s\"", v->config->volumes[j].name);
	}
}

static bool is_loopback(const char *address)
{
	char host[256];
	return config_address_host(address, host, sizeof(host)) &&
	       (strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0 || strcmp(host, "localhost") == 0);
}

/* What ends it at once has to come after what replaces it in order. 0: that value is a mistake of its own. */
static void check_recycle(struct validator *v, const struct config_browser *b, const struct config_node *node)
{
	int64_t memory = b->recycle.memory_bytes, memory_hard = b->recycle.memory_hard_bytes;
	int disk = b->recycle.disk_percent, disk_hard = b->recycle.disk_hard_percent;
	char least[UNITS_TEXT_MAX], most[UNITS_TEXT_MAX];
	if (memory_hard > 0 && memory_hard <= memory)
		config_report_value(v->report, place(node, "memory_hard", "memory"),
			"memory_hard %s is not above memory %s", units_format_size(memory_hard, least),
			units_format_size(memory, most));
	if (disk_hard > 0 && disk_hard <= disk)
		config_report_value(v->report, place(node, "disk_hard", "disk"),
			"disk_hard %d%% is not above disk %d%%", disk_hard, disk);
}

static void check_browsers(struct validator *v)
{
	const struct config_node *browsers = config_node_get(v->root, "browsers");
	for (size_t i = 0; i < v->config->n_browsers; i++) {
		const struct config_browser *b = &v->config->browsers[i];
		const struct config_node *node = config_node_get(browsers, b->name);
		if (!b->token && !config_node_get(node, "token") && !is_loopback(b->listen))
			config_report_value(v->report, place(node, "listen", NULL),
				"is open to other hosts (expected a loopback address, or a \"token\")");
		check_recycle(v, b, config_node_get(node, "recycle"));
	}
}

struct listener {
	const char *address, *kind, *name;
};

/* at may lack: control has a default address, and it comes first. */
static void check_listener(
	struct validator *v, struct listener *all, size_t *n, struct listener one, const struct config_node *at)
{
	if (!one.address)
		return;
	for (size_t i = 0; i < *n; i++)
		if (strcmp(all[i].address, one.address) == 0) {
			config_report_value(v->report, place(at, "listen", NULL), "is also the address of %s%s%s",
				all[i].kind, *all[i].name ? "." : "", all[i].name);
			return;
		}
	all[(*n)++] = one;
}

static void check_listeners(struct validator *v)
{
	const struct config *c = v->config;
	const struct config_node *browsers = config_node_get(v->root, "browsers");
	const struct config_node *gateway = config_node_get(v->root, "gateway");
	struct listener *all = calloc(c->n_browsers + 2, sizeof(*all));
	size_t n = 0;
	if (!all) {
		v->out_of_memory = true;
		return;
	}
	check_listener(v, all, &n, (struct listener){c->control.listen, "control", ""}, NULL);
	for (size_t i = 0; i < c->n_browsers; i++)
		check_listener(v, all, &n, (struct listener){c->browsers[i].listen, "browsers", c->browsers[i].name},
			config_node_get(browsers, c->browsers[i].name));
	if (gateway)
		check_listener(v, all, &n, (struct listener){c->gateway.listen, "gateway", ""}, gateway);
	free(all);
}

static void check_routes(struct validator *v)
{
	const struct config_gateway *g = &v->config->gateway;
	const struct config_node *routes = config_node_get(config_node_get(v->root, "gateway"), "routes");
	const struct config_node *node = routes ? routes->children : NULL;
	for (size_t i = 0; i < g->n_routes && node; i++, node = node->next)
		for (size_t j = 0; g->routes[i].path && j < i; j++)
			if (g->routes[j].path && strcmp(g->routes[i].path, g->routes[j].path) == 0) {
				config_report_value(v->report, place(node, "path", NULL),
					"is also the path of another route (gateway.routes[%zu])", j);
				break;
			}
}

/* --- leases --- */

#define LEASE_RULE "expected renew + attempt < drain_at < kill_at <= 80% of ttl" /* an argument, never a format */

static void check_lease_times(struct validator *v, const struct config_node *node, const struct config_leases *l)
{
	char renew[UNITS_TEXT_MAX], attempt[UNITS_TEXT_MAX], drain[UNITS_TEXT_MAX], kill[UNITS_TEXT_MAX];
	char ttl[UNITS_TEXT_MAX], sum[UNITS_TEXT_MAX], most[UNITS_TEXT_MAX];
	units_format_duration(l->drain_at, drain);
	units_format_duration(l->kill_at, kill);
	if (l->renew + l->attempt >= l->drain_at)
		config_report_value(v->report,
			config_node_get(node, "drain_at") ? place(node, "drain_at", NULL)
							  : place(node, "renew", "attempt"),
			"renew %s + attempt %s = %s is not less than drain_at %s (%s)",
			units_format_duration(l->renew, renew), units_format_duration(l->attempt, attempt),
			units_format_duration(l->renew + l->attempt, sum), drain, LEASE_RULE);
	if (l->drain_at >= l->kill_at)
		config_report_value(v->report, place(node, "kill_at", "drain_at"),
			"drain_at %s is not less than kill_at %s (%s)", drain, kill, LEASE_RULE);
	if (l->kill_at * 10 > l->ttl * 8)
		config_report_value(v->report, place(node, "kill_at", "ttl"),
			"kill_at %s is more than 80%% of ttl %s = %s (%s)", kill, units_format_duration(l->ttl, ttl),
			units_format_duration(l->ttl * 8 / 10, most), LEASE_RULE);
}

/* Whoever names the same lease shares its fate. */
static void check_partner(struct validator *v, const struct config_node *node, const struct config_worker *w,
	const struct config_worker *other)
{
	if (!other->lease || strcmp(other->lease, w->lease) != 0)
		return;
	if (other->on_database_loss != w->on_database_loss)
		config_report_value(v->report, place(node, "on_database_loss", "lease"),
			"differs from that of worker %s, which has the same lease", other->name);
	if (other->lease_spread != w->lease_spread || (w->lease_spread && other->instances != w->instances))
		config_report_value(v->report, place(node, "lease", NULL),
			"is not spread as that of worker %s, which has the same name", other->name);
}

static void check_leased_worker(struct validator *v, size_t i)
{
	const struct config_worker *w = &v->config->workers[i];
	const struct config_node *node = config_node_get(config_node_get(v->root, "workers"), w->name);
	if (w->standby_warm && (!w->lease || w->kind != WORKER_SERVICE))
		config_report_key(v->report, place(node, "standby", NULL), "belongs to a service with a \"lease\"");
	if (!w->lease) {
		if (w->on_database_loss == DATABASE_LOSS_KEEP)
			config_report_key(v->report, place(node, "on_database_loss", NULL),
				"belongs to a worker with a \"lease\"");
		return;
	}
	if (!v->config->leases.present)
		config_report_value(v->report, place(node, "lease", NULL),
			"needs to know where leases live (expected a section \"leases\")");
	for (size_t j = 0; j < i; j++)
		check_partner(v, node, w, &v->config->workers[j]);
}

/* A Lease object is "SCHEMA.NAME", or "SCHEMA.NAME.INDEX": a dot within a name would make two leases one object. */
static void check_object_names(struct validator *v, const struct config_node *node)
{
	const struct config_leases *l = &v->config->leases;
	const struct config_node *workers = config_node_get(v->root, "workers");
	const char *expected = config_syntax_expected(CONFIG_DNS_LABEL);
	if (!config_syntax_fits(CONFIG_DNS_LABEL, l->schema))
		config_report_value(v->report, place(node, "schema", "backend"),
			"\"%s\" cannot begin the name of a Lease object (expected %s)", l->schema, expected);
	for (size_t i = 0; i < v->config->n_workers; i++) {
		const struct config_worker *w = &v->config->workers[i];
		if (w->lease && !config_syntax_fits(CONFIG_DNS_LABEL, w->lease))
			config_report_value(v->report, place(config_node_get(workers, w->name), "lease", NULL),
				"\"%s\" cannot be in the name of a Lease object (expected %s)", w->lease, expected);
	}
}

static void check_other_backend(struct validator *v, const struct config_node *node, const char *key, const char *other)
{
	const struct config_node *at = config_node_get(node, key);
	if (at)
		config_report_key(v->report, at, "belongs to the backend \"%s\"", other);
}

static void check_backend(struct validator *v, const struct config_node *node)
{
	if (v->config->leases.backend == LEASE_BACKEND_KUBERNETES) {
		check_other_backend(v, node, "postgres", "postgres");
		check_object_names(v, node);
		return;
	}
	check_other_backend(v, node, "namespace", "kubernetes");
	check_other_backend(v, node, "service_account", "kubernetes");
	if (!config_node_get(node, "postgres"))
		config_report_missing(v->report, node, "postgres");
}

static void check_leases(struct validator *v)
{
	for (size_t i = 0; i < v->config->n_workers; i++)
		check_leased_worker(v, i);
	const struct config_leases *l = &v->config->leases;
	const struct config_node *node = config_node_get(v->root, "leases");
	if (!l->present || !node)
		return;
	check_backend(v, node);
	check_lease_times(v, node, l);
}

bool config_validate(const struct config *c, const struct config_node *root, struct config_report *report)
{
	struct validator v = {.config = c, .root = root, .report = report};
	check_workers(&v);
	check_circles(&v);
	check_volumes(&v);
	check_browsers(&v);
	check_listeners(&v);
	check_routes(&v);
	check_leases(&v);
	return !v.out_of_memory;
}
