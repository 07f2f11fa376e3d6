#include "podvisor/model/progress.h"

#include <math.h>
#include <stdio.h>

#include "podvisor/base/units.h"

void progress_start(struct progress *p, const struct config_progress *c, ms_t now)
{
	*p = (struct progress){.due = CLOCK_NEVER};
	if (!c->present)
		return;
	p->counting = true;
	p->since = now;
	if (!c->notify)
		p->due = now;
}

static bool same(double a, double b)
{
	return (isnan(a) && isnan(b)) || !(a < b || a > b || isnan(a) || isnan(b));
}

bool progress_told(struct progress *p, const struct config_progress *c, double value, ms_t now)
{
	if (!p->counting)
		return false;
	bool fresh = c->max_age ? value * 1000 <= (double)c->max_age : !p->known || !same(value, p->value);
	if (!c->notify) {
		p->in_flight = false;
		p->due = clock_after(now, c->interval);
		p->read_at = now;
	}
	p->trouble[0] = '\0';
	p->known = true;
	p->value = value;
	if (fresh)
		p->since = now;
	return fresh;
}

void progress_failed(struct progress *p, const struct config_progress *c, const char *text, ms_t now)
{
	p->in_flight = false;
	p->due = clock_after(now, c->interval);
	p->since = now;
	snprintf(p->trouble, sizeof(p->trouble), "%s", text);
}

bool progress_is_due(const struct progress *p, ms_t now)
{
	return p->counting && !p->in_flight && clock_due(p->due, now);
}

void progress_sent(struct progress *p)
{
	p->in_flight = true;
}

/* A query is judged at its answer: what it did not see cannot be said to have stood still. */
static ms_t seen_at(const struct progress *p, const struct config_progress *c, ms_t now)
{
	return c->notify ? now : p->read_at;
}

bool progress_is_stalled(const struct progress *p, const struct config_progress *c, ms_t now, char *why, size_t size)
{
	char span[UNITS_TEXT_MAX], limit[UNITS_TEXT_MAX];
	if (!p->counting || (!c->notify && !p->known) || seen_at(p, c, now) - p->since < c->stalled_after)
		return false;
	units_format_duration(c->stalled_after, span);
	if (!p->known)
		snprintf(why, size, "it has told no progress for %s", span);
	else if (isnan(p->value))
		snprintf(why, size, "its progress has been null for %s", span);
	else if (c->max_age)
		snprintf(why, size, "its progress is %.0f s old, more than %s", p->value,
			units_format_duration(c->max_age, limit));
	else
		snprintf(why, size, "its progress has stood at %.15g for %s", p->value, span);
	return true;
}

ms_t progress_next(const struct progress *p, const struct config_progress *c)
{
	if (!p->counting || p->in_flight)
		return CLOCK_NEVER;
	return c->notify ? clock_after(p->since, c->stalled_after) : p->due;
}

void progress_excuse(struct progress *p, ms_t now)
{
	p->since = now;
}
