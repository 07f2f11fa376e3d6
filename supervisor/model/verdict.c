#include "podvisor/model/verdict.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static bool is_excluded(const char *const *excluded, const char *name)
{
	for (; excluded && *excluded; excluded++)
		if (strcmp(*excluded, name) == 0)
			return true;
	return false;
}

static struct verdict_item *replaceable(struct verdict *out)
{
	size_t i = out->count - 1;
	while (i > 0 && !out->items[i].ok)
		i--;
	return &out->items[i];
}

PRINTF_LIKE(6, 7)
static void add(struct verdict *out, const char *const *excluded, const char *kind, const char *name, bool ok,
	const char *fmt, ...)
{
	/* When there are too many, what fails is told in place of the last that does not. */
	bool full = out->count == VERDICT_ITEMS_MAX;
	if (full && ok)
		return;
	struct verdict_item *item = full ? replaceable(out) : &out->items[out->count++];
	snprintf(item->name, sizeof(item->name), "%s%s%s", kind, name[0] ? ":" : "", name);
	item->ok = ok || is_excluded(excluded, item->name);
	va_list args;
	va_start(args, fmt);
	vsnprintf(item->text, sizeof(item->text), fmt, args);
	va_end(args);
	out->ok &= item->ok;
}

/* A job is down most of the time; what counts is how its last run went. */
static bool lets_be_ready(const struct worker *worker)
{
	/* Another replica does its work; else no rolling update could go on. */
	if (worker->state == WORKER_STANDBY)
		return true;
	return worker->config->kind == WORKER_JOB ? worker->schedule.result != JOB_FAILED : worker_is_available(worker);
}

static void judge_workers(const struct world *w, const char *const *excluded, struct verdict *out)
{
	for (size_t i = 0; i < w->n_workers; i++) {
		const struct worker *worker = &w->workers[i];
		if (worker_is_configured(worker) && worker->config->critical)
			add(out, excluded, "worker", worker->name, lets_be_ready(worker), "%s%s%s",
				worker_state_name(worker->state), worker->reason[0] ? ": " : "", worker->reason);
	}
}

static void judge_browsers(const struct world *w, const char *const *excluded, struct verdict *out)
{
	for (size_t i = 0; i < w->n_browsers; i++) {
		const struct browser *b = &w->browsers[i];
		if (b->config->critical)
			add(out, excluded, "browser", b->config->name, browser_is_available(b), "%s: %s",
				browser_state_name(b->state), b->reason);
	}
}

static bool database_lets_be_ready(const struct database *d, ms_t now)
{
	switch (d->config->readiness) {
	case POSTGRES_READINESS_IGNORE:
		return true;
	case POSTGRES_READINESS_STRICT:
		return database_is_available(d);
	default:
		return d->ever_up && !(d->state != DATABASE_UP && d->unready_at && clock_due(d->unready_at, now));
	}
}

static void judge_databases(const struct world *w, const char *const *excluded, ms_t now, struct verdict *out)
{
	for (size_t i = 0; i < w->n_databases; i++) {
		const struct database *d = &w->databases[i];
		bool ok = database_lets_be_ready(d, now);
		const char *reason = postgres_reason_name(d->reason);
		bool degraded = ok && d->state != DATABASE_UP && d->config->readiness != POSTGRES_READINESS_IGNORE;
		add(out, excluded, "postgres", d->config->name, ok, "%s%s%s%s", degraded ? "degraded: " : "",
			database_state_name(d->state), reason[0] ? ", " : "", reason);
	}
}

static void judge_gateway(const struct world *w, const char *const *excluded, struct verdict *out)
{
	if (w->config->gateway.present)
		add(out, excluded, "gateway", "", w->drain.gateway_listening, "%s",
			w->drain.gateway_listening ? "listening" : "not listening");
}

/* On SIGTERM the pod is already out of the ready endpoints; staying "ready"
 * keeps it serving as kube-proxy's last resort until the listener closes. */
static void judge_drain(const struct world *w, const char *const *excluded, struct verdict *out)
{
	const struct drain *d = &w->drain;
	if (d->state == DRAIN_SERVING)
		return;
	bool ok = d->state == DRAIN_LAME_DUCK && !d->by_api;
	add(out, excluded, "drain", "", ok, "draining (%s)", drain_state_name(d->state));
}

static void judge_volumes(const struct world *w, const char *const *excluded, struct verdict *out)
{
	for (size_t i = 0; i < w->n_volumes; i++) {
		const struct volume *v = &w->volumes[i];
		if (v->state != VOLUME_READY)
			add(out, excluded, "volume", v->config->name, v->state != VOLUME_REFUSED, "%s: %s",
				volume_state_name(v->state), v->text);
	}
}

void verdict_of(const struct world *w, enum verdict_question question, const char *const *excluded, ms_t now,
	struct verdict *out)
{
	out->ok = true;
	out->count = 0;
	switch (question) {
	case VERDICT_LIVE:
		add(out, excluded, "loop", "", true, "turning");
		break;
	case VERDICT_STARTUP:
		if (w->all_ready_once) {
			add(out, excluded, "started", "", true, "everything critical has been ready");
			break;
		}
		judge_workers(w, excluded, out);
		judge_browsers(w, excluded, out);
		judge_gateway(w, excluded, out);
		break;
	default:
		judge_workers(w, excluded, out);
		judge_browsers(w, excluded, out);
		judge_databases(w, excluded, now, out);
		judge_volumes(w, excluded, out);
		judge_gateway(w, excluded, out);
		judge_drain(w, excluded, out);
		break;
	}
}
