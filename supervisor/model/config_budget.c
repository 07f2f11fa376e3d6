#include "config_budget.h"

#include <stdlib.h>

#include "config_report.h"
#include "podvisor/base/buf.h"
#include "podvisor/base/units.h"
#include "podvisor/model/drain.h"

/* How one worker stops when everybody takes all his time. Counted from the signal. */
struct stop {
	ms_t begins, span;
	int after; /* the worker that depends on it and has to be down first; -1: none */
	bool late; /* it stops after the drain, or behind one that does */
};

static ms_t end_of(const struct stop *s)
{
	return s->begins + s->span;
}

/* A worker stops when nobody who depends on it is up. */
static bool push(struct stop *dependent, struct stop *s, int index, bool late_only)
{
	ms_t at = late_only && !dependent->late ? 0 : end_of(dependent);
	bool moved = at > s->begins || (dependent->late && !s->late);
	if (at > s->begins) {
		s->begins = at;
		s->after = index;
	}
	s->late |= dependent->late;
	return moved;
}

static bool push_on(const struct config *c, struct stop *stops, bool late_only)
{
	bool moved = false;
	for (size_t i = 0; i < c->n_workers; i++)
		for (size_t k = 0; k < c->workers[i].n_depends_on; k++) {
			struct config_ref ref = c->workers[i].depends_on[k];
			if (ref.thing == THING_WORKER)
				moved |= push(&stops[i], &stops[ref.index], (int)i, late_only);
		}
	return moved;
}

/* Dependencies have no circles, so this comes to an end. A task is over before those behind it run. */
static void work_out(const struct config *c, struct stop *stops, ms_t drain, bool late_only)
{
	for (size_t i = 0; i < c->n_workers; i++) {
		const struct config_worker *w = &c->workers[i];
		bool late = w->stop.phase == STOP_AFTER_DRAIN;
		stops[i] = (struct stop){late ? drain : 0, w->kind == WORKER_TASK ? 0 : w->stop.timeout, -1, late};
	}
	while (push_on(c, stops, late_only))
		;
}

/* What those that stop after the drain may need, one after another, before what is left is killed. */
static ms_t find_share(const struct config *c, struct stop *stops)
{
	ms_t share = 0;
	work_out(c, stops, 0, true);
	for (size_t i = 0; i < c->n_workers; i++)
		if (stops[i].late && end_of(&stops[i]) > share)
			share = end_of(&stops[i]);
	return share ? share + DRAIN_KILL_MARGIN_MS : 0;
}

/* ---- warnings ---- */

/* "drain 30s + api 10s + db 10s" */
static void put_sum(const struct config *c, const struct stop *stops, int at, struct buf *out)
{
	char text[UNITS_TEXT_MAX];
	if (stops[at].after >= 0)
		put_sum(c, stops, stops[at].after, out);
	else if (stops[at].begins)
		buf_printf(out, "drain %s", units_format_duration(stops[at].begins, text));
	buf_printf(out, "%s%s %s", out->len ? " + " : "", c->workers[at].name,
		units_format_duration(stops[at].span, text));
}

/* Where people would change it. */
static const struct config_node *place(const struct config_node *root, const char *name)
{
	const struct config_node *worker = config_node_get(config_node_get(root, "workers"), name);
	const struct config_node *stop = config_node_get(worker, "stop"), *timeout = config_node_get(stop, "timeout");
	return timeout ? timeout : stop ? stop : worker;
}

static void warn(const struct config *c, const struct config_node *root, const struct stop *stops, int at,
	struct config_report *report)
{
	char ends[UNITS_TEXT_MAX], deadline[UNITS_TEXT_MAX], timeout[UNITS_TEXT_MAX];
	struct buf sum;
	buf_init(&sum, 100);
	put_sum(c, stops, at, &sum);
	config_report_value(report, place(root, c->workers[at].name),
		"warning: it may be killed before its stop.timeout %s is over: %s%s = %s (expected to end a second "
		"before shutdown.deadline %s)",
		units_format_duration(stops[at].span, timeout), buf_str(&sum), sum.failed ? "..." : "",
		units_format_duration(end_of(&stops[at]), ends), units_format_duration(c->shutdown.deadline, deadline));
	buf_fini(&sum);
}

static void warn_of_workers(
	const struct config *c, const struct config_node *root, const struct stop *stops, struct config_report *report)
{
	ms_t limit = c->shutdown.deadline - DRAIN_KILL_MARGIN_MS;
	for (size_t i = 0; i < c->n_workers; i++) {
		int after = stops[i].after;
		bool told = after >= 0 && end_of(&stops[after]) > limit;
		if (end_of(&stops[i]) > limit && stops[i].span && !told)
			warn(c, root, stops, (int)i, report);
	}
}

static void warn_of_drain(
	const struct config *c, const struct config_node *root, ms_t left, struct config_report *report)
{
	char needed[UNITS_TEXT_MAX], rest[UNITS_TEXT_MAX], deadline[UNITS_TEXT_MAX];
	config_report_value(report, config_node_get(root, "gateway"),
		"warning: the drain is shortened: lame_duck, spread and close_timeout take %s (expected at most %s, "
		"which "
		"shutdown.deadline %s leaves beside the workers that stop after it)",
		units_format_duration(drain_needed(&c->gateway), needed), units_format_duration(left, rest),
		units_format_duration(c->shutdown.deadline, deadline));
}

bool config_budget_settle(struct config *c, const struct config_node *root, struct config_report *report)
{
	struct stop *stops = calloc(c->n_workers + 1, sizeof(*stops));
	if (!stops)
		return false;
	c->shutdown.stop_share = find_share(c, stops);
	ms_t needed = drain_needed(&c->gateway), left = drain_share(c);
	if (needed > left)
		warn_of_drain(c, root, left, report);
	work_out(c, stops, clock_earlier(needed, left), false);
	warn_of_workers(c, root, stops, report);
	free(stops);
	return true;
}
