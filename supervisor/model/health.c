#include "podvisor/model/health.h"

#include <stdio.h>

enum { EARLY_MS = 100 };

static bool is_polled(const struct config_check *check)
{
	return check->kind != CHECK_NONE && check->kind != CHECK_NOTIFY;
}

void health_start(struct health *h, const struct config_check *check, ms_t now)
{
	*h = (struct health){.due = is_polled(check) ? clock_after(now, check->initial_delay) : CLOCK_NEVER};
}

bool health_is_due(const struct health *h, const struct config_check *check, ms_t now)
{
	return is_polled(check) && !h->in_flight && clock_due(h->due, now);
}

void health_sent(struct health *h)
{
	h->in_flight = true;
}

static enum health_verdict judge(const struct health *h, const struct config_check *check)
{
	if (h->hits >= check->success_threshold)
		return HEALTH_GOOD;
	if (h->misses >= check->failure_threshold)
		return HEALTH_BAD;
	return h->verdict;
}

static ms_t pause_before_next(struct health *h, const struct config_check *check)
{
	if (h->verdict != HEALTH_UNKNOWN || h->hits)
		return check->interval;
	ms_t early = (ms_t)EARLY_MS << (h->early < 8 ? h->early++ : 8);
	return clock_earlier(early, check->interval);
}

static void count(struct health *h, const struct config_check *check, bool ok, ms_t now)
{
	if (ok) {
		h->hits++;
		h->misses = 0;
		return;
	}
	h->hits = 0;
	bool early = h->verdict == HEALTH_UNKNOWN && h->misses && now - h->missed_at < check->interval;
	if (early)
		return;
	h->misses++;
	h->missed_at = now;
}

bool health_answered(struct health *h, const struct config_check *check, bool ok, const char *text, ms_t now)
{
	enum health_verdict before = h->verdict;
	h->in_flight = false;
	count(h, check, ok, now);
	if (!ok)
		snprintf(h->text, sizeof(h->text), "%s", text);
	h->verdict = judge(h, check);
	h->due = clock_after(now, pause_before_next(h, check));
	return h->verdict != before;
}

void health_excuse(struct health *h)
{
	h->misses = 0;
	h->verdict = HEALTH_GOOD;
}

void health_skipped(struct health *h, const struct config_check *check, ms_t now)
{
	h->in_flight = false;
	h->due = clock_after(now, pause_before_next(h, check));
}

ms_t health_next(const struct health *h, const struct config_check *check)
{
	return is_polled(check) && !h->in_flight ? h->due : CLOCK_NEVER;
}
