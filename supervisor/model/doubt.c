#include "podvisor/model/doubt.h"

#include <stdio.h>

/* A stopped process is not helped by more time, whatever the pod's trouble. */
static bool is_starved(const struct event_inspection *facts)
{
	return !facts->stopped && (facts->throttled_percent >= DOUBT_THROTTLED_PERCENT ||
					  facts->pressure_percent >= DOUBT_PRESSURE_PERCENT);
}

enum doubt_verdict doubt_judge(struct doubt *d, ms_t now)
{
	if (!d->asked) {
		d->asked = true;
		d->until = clock_after(now, DOUBT_PATIENCE_MS);
		return DOUBT_ASK;
	}
	if (!d->answered && !clock_due(d->until, now))
		return DOUBT_WAIT;
	if (!d->answered || d->stretched || !is_starved(&d->facts))
		return DOUBT_GUILTY;
	d->stretched = true;
	d->asked = d->answered = false;
	return DOUBT_STRETCH;
}

void doubt_answered(struct doubt *d, const struct event_inspection *facts)
{
	if (!d->asked)
		return;
	d->answered = true;
	d->facts = *facts;
}

void doubt_clear(struct doubt *d, bool sign_of_life)
{
	d->asked = d->answered = false;
	if (sign_of_life)
		d->stretched = false;
}

void doubt_refuse(struct doubt *d)
{
	d->stretched = true;
}

void doubt_describe(const struct doubt *d, char *out, size_t size)
{
	snprintf(out, size, "the CPU was throttled for %d%% of the time, its pressure is %d%%",
		d->facts.throttled_percent, d->facts.pressure_percent);
}
