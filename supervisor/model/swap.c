#include "podvisor/model/swap.h"

#include <limits.h>
#include <stdio.h>

/* While blue serves there is no haste, and each try takes memory and CPU from it. */
static const struct config_restart policy = {
	.policy = RESTART_ALWAYS,
	.backoff = {.initial = 10000, .max = 600000, .reset_after = 60000, .factor_percent = 200, .jitter_percent = 20},
	.limit = {.count = INT_MAX, .window = 600000},
};

#define tell(name, t, level, what, ...) \
	journal_add((t)->journal, (t)->now, level, THING_BROWSER, name, what, __VA_ARGS__)

void swap_init(struct swap *s)
{
	*s = (struct swap){.wish = RECYCLE_NONE};
}

void swap_forget(struct swap *s)
{
	s->wish = RECYCLE_NONE;
	s->text[0] = '\0';
	s->held = false;
	s->since = 0;
}

void swap_forgive(struct swap *s)
{
	s->not_before = 0;
	restart_forget(&s->failures);
}

static void wish_for(struct swap *s, enum browser_recycle reason, const char *text)
{
	s->wish = reason;
	s->held = false;
	snprintf(s->text, sizeof(s->text), "%s", text);
}

static bool is_short(enum browser_recycle reason)
{
	return reason == RECYCLE_PRESSURE || reason == RECYCLE_FULL;
}

/* It does not pass by itself, and is not put off: whoever asks has a limit of its own. */
static bool is_asked(enum browser_recycle reason)
{
	return is_short(reason) || reason == RECYCLE_RELOAD || reason == RECYCLE_COMMAND;
}

bool swap_ask(struct swap *s, enum browser_recycle reason)
{
	static const char *const texts[RECYCLE_COUNT] = {
		[RECYCLE_PRESSURE] = "the pod's memory is short",
		[RECYCLE_FULL] = "a volume is full",
		[RECYCLE_RELOAD] = "its configuration changed",
	};
	if (s->since || is_short(s->wish))
		return false;
	wish_for(s, reason, texts[reason] ? texts[reason] : "somebody asked");
	return true;
}

/* What asked for it may have passed: memory was given back. */
static bool is_wished(struct swap *s, const struct generation *blue, const struct recycle_room *room, struct turn *t)
{
	char why[sizeof(s->text)];
	if (is_asked(s->wish))
		return true;
	enum browser_recycle reason = recycle_soft(&blue->facts, blue->config, room, t->now, why, sizeof(why));
	if (reason == RECYCLE_NONE)
		swap_forget(s);
	else if (reason != s->wish)
		wish_for(s, reason, why);
	return reason != RECYCLE_NONE;
}

static bool is_held(struct swap *s, const struct config_browser *config, struct turn *t)
{
	if (is_asked(s->wish))
		return false;
	ms_t next = recycle_hour_next(&s->hour, config->recycle.per_hour);
	if (next <= t->now)
		return false;
	plan_wake(t->plan, next);
	if (!s->held)
		tell(config->name, t, LOG_WARN, "recycle-held",
			"%s, but it was replaced %lld times in the last hour: it goes on", s->text,
			(long long)config->recycle.per_hour);
	s->held = true;
	return true;
}

static enum swap_way begin(struct swap *s, const struct generation *blue, bool beside, const char *lack, struct turn *t)
{
	const char *name = blue->config->name;
	unsigned long long number = blue->number;
	s->since = t->now;
	if (beside)
		tell(name, t, LOG_INFO, "recycle", "%s: another one starts beside generation %llu", s->text, number);
	else
		tell(name, t, LOG_INFO, "recycle", "%s: generation %llu drains before another one starts%s%s", s->text,
			number, lack[0] ? "; " : "", lack);
	return beside ? SWAP_BESIDE : SWAP_DRAIN_FIRST;
}

enum swap_way swap_decide(struct swap *s, const struct generation *blue, const struct config_browser *config,
	const struct recycle_room *room, struct turn *t)
{
	char lack[80] = "";
	if (s->since || !is_wished(s, blue, room, t) || is_held(s, config, t))
		return SWAP_NOT_NOW;
	bool beside = !is_short(s->wish) && recycle_has_room(config, room, lack, sizeof(lack));
	if (!beside || clock_due(s->not_before, t->now))
		return begin(s, blue, beside, lack, t);
	plan_wake(t->plan, s->not_before);
	return SWAP_NOT_NOW;
}

enum browser_recycle swap_retire(struct swap *s, struct generation *blue, struct turn *t)
{
	enum browser_recycle reason = s->wish == RECYCLE_NONE ? RECYCLE_AGE : s->wish;
	ms_t limit = blue->config->drain;
	if (is_short(reason))
		limit = clock_earlier(limit, BROWSER_SHORT_DRAIN_MS);
	recycle_hour_note(&s->hour, t->now);
	generation_drain(blue, limit, t, s->text[0] ? s->text : "another one serves");
	s->wish = RECYCLE_NONE;
	return reason;
}

void swap_put_off(struct swap *s, const struct config_browser *config, struct turn *t)
{
	ms_t delay = restart_after_exit(&s->failures, &policy, 0, t->now, t->random);
	delay = delay > 0 ? delay : policy.backoff.initial;
	s->not_before = clock_after(t->now, delay);
	s->since = 0;
	tell(config->name, t, LOG_WARN, "recycle",
		"the new one never got ready, the old one goes on; the next try is in %.1f s", (double)delay / 1000);
}

void swap_done(struct swap *s, struct turn *t)
{
	if (s->since)
		histogram_add(&s->seconds, (double)(t->now - s->since) / 1000);
	restart_forget(&s->failures);
	swap_forget(s);
}
