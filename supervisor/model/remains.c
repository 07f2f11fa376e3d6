#include "podvisor/model/remains.h"

#include <stdarg.h>
#include <stdio.h>

#include "podvisor/base/units.h"

PRINTF_LIKE(3, 4)
static void put(struct buf *out, const char *between, const char *fmt, ...)
{
	va_list args;
	char one[200];
	va_start(args, fmt);
	vsnprintf(one, sizeof(one), fmt, args);
	va_end(args);
	buf_printf(out, "%s%s", out->len ? between : "", one);
}

void remains_list(const struct world *w, struct buf *out)
{
	for (size_t i = 0; i < w->n_workers; i++)
		if (w->workers[i].config && worker_is_up(&w->workers[i]))
			put(out, ", ", "worker %s (%s)", w->workers[i].name, worker_state_name(w->workers[i].state));
	for (size_t i = 0; i < w->n_browsers; i++)
		if (browser_is_up(&w->browsers[i]))
			put(out, ", ", "browser %s (%s)", w->browsers[i].config->name,
				browser_state_name(w->browsers[i].state));
	for (size_t i = 0; i < w->n_databases; i++)
		if (!database_is_closed(&w->databases[i]))
			put(out, ", ", "postgres %s", w->databases[i].config->name);
	for (size_t i = 0; i < w->n_volumes; i++)
		if (!volume_is_closed(&w->volumes[i]))
			put(out, ", ", "volume %s (%s)", w->volumes[i].config->name,
				volume_state_name(w->volumes[i].state));
}

/* ---- who has used up the time ---- */

/* Whole seconds are exact enough for people. */
static const char *span(ms_t since, ms_t now, char out[UNITS_TEXT_MAX])
{
	return units_format_duration((now - since) / 1000 * 1000, out);
}

static void blame_drain(const struct world *w, enum drain_state state, ms_t now, struct buf *out)
{
	char text[UNITS_TEXT_MAX];
	if (state == DRAIN_LAME_DUCK || state == DRAIN_DRAINING)
		put(out, ", ", "the drain of the gateway (%s since %s)", drain_state_name(state),
			span(w->drain.began_at, now, text));
}

static bool is_stopping(const struct worker *w)
{
	return w->config && worker_is_up(w) && w->state == WORKER_STOPPING;
}

static void blame_worker(const struct worker *w, ms_t now, struct buf *out)
{
	char text[UNITS_TEXT_MAX], timeout[UNITS_TEXT_MAX];
	put(out, ", ", "worker %s (stopping for %s, its stop.timeout is %s)", w->name, span(w->since, now, text),
		units_format_duration(worker_stop_of(w)->timeout, timeout));
}

static bool is_leaving(const struct browser *b)
{
	return browser_is_up(b) && (b->state == BROWSER_STOPPING || b->state == BROWSER_CLEANING);
}

static void blame_browsers(const struct world *w, ms_t now, struct buf *out)
{
	char text[UNITS_TEXT_MAX];
	for (size_t i = 0; i < w->n_browsers; i++)
		if (is_leaving(&w->browsers[i]))
			put(out, ", ", "browser %s (%s for %s)", w->browsers[i].config->name,
				browser_state_name(w->browsers[i].state), span(w->browsers[i].since, now, text));
}

/* They stop when those that depend on them are down. */
static void name_victims(const struct world *w, struct buf *out)
{
	for (size_t i = 0; i < w->n_workers; i++)
		if (w->workers[i].config && worker_is_up(&w->workers[i]) && !is_stopping(&w->workers[i]))
			put(out, "; ", "worker %s had to wait", w->workers[i].name);
	for (size_t i = 0; i < w->n_browsers; i++)
		if (browser_is_up(&w->browsers[i]) && !is_leaving(&w->browsers[i]))
			put(out, "; ", "browser %s had to wait", w->browsers[i].config->name);
}

void remains_blame(const struct world *w, enum drain_state state, ms_t now, struct buf *out)
{
	blame_drain(w, state, now, out);
	for (size_t i = 0; i < w->n_workers; i++)
		if (is_stopping(&w->workers[i]))
			blame_worker(&w->workers[i], now, out);
	blame_browsers(w, now, out);
	name_victims(w, out);
	/* With everything down it waits for nothing but their answers. */
	if (!out->len)
		buf_puts(out, "the gateway's clients, who had not said goodbye");
}
