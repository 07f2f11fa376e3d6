#include "config_job.h"

#include <stdlib.h>
#include <string.h>

#include "config_report.h"
#include "config_table.h"
#include "config_walk.h"
#include "podvisor/wire/tzif.h"

/* One worker, and where it stands in the file. */
struct place {
	const struct config *config;
	const struct config_source *source;
	struct config_report *report;
	struct config_worker *worker;
	const struct config_node *node;
};

static const char *quote(const struct place *p, const char *text, char out[CONFIG_QUOTE_MAX])
{
	return config_quote(text, config_is_secret(p->config, text), out);
}

/* A kind that is not known was told already; what belongs to it says nothing more. */
static bool kind_is_known(const struct place *p)
{
	const struct config_node *kind = config_node_get(p->node, "kind");
	return !kind || (kind->text && (strcmp(kind->text, "service") == 0 || strstr(kind->text, "${"))) ||
	       p->worker->kind != WORKER_SERVICE;
}

static void refuse_keys(const struct place *p)
{
	for (const struct config_key *key = config_section_worker.keys; kind_is_known(p) && key->name; key++) {
		const struct config_node *at = key->of_job ? config_node_get(p->node, key->name) : NULL;
		if (at)
			config_report_key(p->report, at, "belongs to a job (expected \"kind\": \"job\" beside it)");
	}
}

/* ---- when ---- */

static void read_schedule(const struct place *p)
{
	char quoted[CONFIG_QUOTE_MAX];
	struct err err = {0};
	const char *text = p->worker->schedule;
	if (text && cron_parse(text, &p->worker->cron, &err) < 0)
		config_report_value(
			p->report, config_node_get(p->node, "schedule"), "%s %s", quote(p, text, quoted), err.text);
}

/* What went wrong names the path, and so the zone: not when that is secret. */
static void refuse_zone(const struct place *p, const char *predicate, const char *why)
{
	char quoted[CONFIG_QUOTE_MAX];
	const char *name = p->worker->timezone;
	bool secret = config_is_secret(p->config, name);
	config_report_value(p->report, config_node_get(p->node, "timezone"),
		"%s %s%s%s (expected a name of the tz database, for instance \"Europe/Berlin\"; the package tzdata has "
		"it: install tzdata)",
		quote(p, name, quoted), predicate, secret ? "" : ": ", secret ? "" : why);
}

static void read_zone(const struct place *p)
{
	struct config_worker *w = p->worker;
	struct err err = {.text = "nobody reads time zones here"};
	size_t len = 0;
	if (!w->timezone || strcmp(w->timezone, "UTC") == 0 || strcmp(w->timezone, "Etc/UTC") == 0)
		return;
	void *bytes = p->source->zone ? p->source->zone(p->source->ctx, w->timezone, &len, &err) : NULL;
	if (!bytes) {
		refuse_zone(p, "is not there", err.text);
		return;
	}
	w->zone = tzif_parse(bytes, len, &err);
	free(bytes);
	if (!w->zone)
		refuse_zone(p, "is no time zone", err.text);
}

static void read_when(const struct place *p)
{
	const struct config_node *every = config_node_get(p->node, "every"),
				 *zone = config_node_get(p->node, "timezone");
	bool scheduled = config_node_get(p->node, "schedule") != NULL, interval = every && p->worker->every;
	if (!scheduled && !every)
		config_report_key(p->report, config_node_get(p->node, "kind"),
			"makes a job, which needs a time to run (expected \"schedule\" or \"every\" beside it)");
	else if (scheduled && interval)
		config_report_key(p->report, every, "stands beside \"schedule\" (expected only one of them)");
	else if (!scheduled && zone && strcmp(p->worker->timezone, "UTC") != 0)
		config_report_key(p->report, zone, "belongs to a \"schedule\"; an interval has no time zone");
	read_schedule(p);
	read_zone(p);
}

/* ---- how ---- */

static void check_instances(const struct place *p)
{
	if (p->worker->instances > 1)
		config_report_value(p->report, config_node_get(p->node, "instances"),
			"%d do not fit a job, which runs once at a time (expected 1)", p->worker->instances);
}

/* "always" is a worker's default, but a job is started again by its schedule. */
static void settle_policy(const struct place *p)
{
	const struct config_node *policy = config_node_get(config_node_get(p->node, "restart"), "policy");
	if (p->worker->restart.policy != RESTART_ALWAYS)
		return;
	if (policy)
		config_report_value(p->report, policy,
			"\"always\" does not fit a job, which its schedule starts again (expected \"on-failure\" or "
			"\"never\")");
	p->worker->restart.policy = RESTART_NEVER;
}

void config_job_settle(struct config *c, const struct config_node *root, const struct config_source *source,
	struct config_report *report)
{
	const struct config_node *workers = config_node_get(root, "workers");
	for (size_t i = 0; i < c->n_workers; i++) {
		struct config_worker *w = &c->workers[i];
		const struct place p = {c, source, report, w, config_node_get(workers, w->name)};
		if (w->kind != WORKER_JOB) {
			refuse_keys(&p);
			continue;
		}
		read_when(&p);
		check_instances(&p);
		settle_policy(&p);
	}
}
