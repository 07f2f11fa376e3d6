#include "podvisor/model/schedule.h"

#include <string.h>

/* Times that passed in one go are counted up to this number. */
#define LATE_MAX 1000
#define TELL_MS  60000

const char *missed_name(enum missed missed)
{
	static const char *const names[MISSED_COUNT] = {
		[MISSED_OVERLAP] = "overlap", [MISSED_WAITING] = "waiting", [MISSED_LATE] = "late"};
	return missed < MISSED_COUNT ? names[missed] : "unknown";
}

/* ---- the next time ---- */

static void expect_interval(struct schedule *s, ms_t due, const struct turn *t)
{
	s->due = due;
	s->next_ms = t->wall_ms + (due - t->now);
}

static void expect_after(struct schedule *s, const struct config_worker *c, int64_t unix_s)
{
	int64_t next_s = cron_next(&c->cron, c->zone, unix_s);
	s->due = CLOCK_NEVER;
	s->next_ms = next_s == CRON_NEVER ? CLOCK_NEVER : next_s * 1000;
}

static void arm(struct schedule *s, const struct config_worker *c, const struct turn *t)
{
	int64_t wall_s = t->wall_ms / 1000;
	s->armed = true;
	if (c->every) {
		expect_interval(s, clock_after(t->now, c->every), t);
		return;
	}
	s->taken_s = wall_s > s->taken_s ? wall_s : s->taken_s;
	expect_after(s, c, s->taken_s);
}

/* The clock was ahead by so much that waiting for it makes no sense: what it said does not count. */
static void notice_correction(struct schedule *s, const struct config_worker *c, const char *name, const struct turn *t)
{
	int64_t wall_s = t->wall_ms / 1000, between_s = s->next_ms / 1000 - s->taken_s;
	int64_t back_s = s->taken_s - wall_s;
	if (c->every || back_s <= SCHEDULE_BACK_MAX_S || back_s <= between_s)
		return;
	s->taken_s = wall_s;
	expect_after(s, c, wall_s);
	journal_add(t->journal, t->now, LOG_WARN, THING_WORKER, name, "clock",
		"the clock was set back by %lld s: its schedule begins anew", (long long)back_s);
}

/* For an interval the wall clock is only shown; a step of it must not leave what is shown behind. */
static void notice_step(struct schedule *s, const struct turn *t)
{
	int64_t shown = t->wall_ms + (s->due - t->now), off = shown - s->next_ms;
	if (off > 1000 || off < -1000)
		s->next_ms = shown;
}

static bool is_due(const struct schedule *s, const struct turn *t)
{
	return s->due == CLOCK_NEVER ? s->next_ms <= t->wall_ms : s->due <= t->now;
}

/* How many times have come, the next one being told anew. */
static uint64_t take_slots(struct schedule *s, const struct config_worker *c, const struct turn *t)
{
	uint64_t n = 0;
	if (c->every) {
		n = (uint64_t)((t->now - s->due) / c->every) + 1;
		expect_interval(s, s->due + (ms_t)n * c->every, t);
		return n;
	}
	for (; is_due(s, t) && n < LATE_MAX; n++) {
		s->taken_s = s->next_ms / 1000;
		expect_after(s, c, s->taken_s);
	}
	if (is_due(s, t)) {
		s->taken_s = t->wall_ms / 1000;
		expect_after(s, c, s->taken_s);
	}
	return n;
}

/* ---- what becomes of it ---- */

/* Each is counted at once, but told once a minute at most: a short interval must not
 * push everything else out of the journal. */
static void miss(struct schedule *s, enum missed why, uint64_t n, const char *name, const struct turn *t)
{
	static const char *const sentences[MISSED_COUNT] = {[MISSED_OVERLAP] = "left out: the run before still goes on",
		[MISSED_WAITING] = "left out: a run waits already for what it depends on",
		[MISSED_LATE] = "passed together with a later one: it runs once for all"};
	s->missed[why] += n;
	uint64_t untold = s->missed[why] - s->told[why];
	if (s->told[why] && t->now < clock_after(s->told_at[why], TELL_MS))
		return;
	s->told[why] = s->missed[why];
	s->told_at[why] = t->now;
	journal_add(t->journal, t->now, LOG_WARN, THING_WORKER, name, "missed", "%llu run%s %s",
		(unsigned long long)untold, untold == 1 ? "" : "s", sentences[why]);
}

static bool meet_run(struct schedule *s, const struct config_worker *c, const char *name, const struct turn *t)
{
	if (c->overlap == JOB_OVERLAP_SKIP || s->queued) {
		miss(s, MISSED_OVERLAP, 1, name, t);
	} else {
		s->queued = true;
		journal_add(t->journal, t->now, LOG_INFO, THING_WORKER, name, "queued", "a run waits until the %s",
			c->overlap == JOB_OVERLAP_QUEUE ? "run before is over" : "run before has been stopped");
	}
	return s->queued && c->overlap == JOB_OVERLAP_REPLACE;
}

static bool take_turn(struct schedule *s, const struct config_worker *c, const char *name, bool busy, struct turn *t)
{
	uint64_t n = take_slots(s, c, t);
	s->slots += n;
	if (n > 1)
		miss(s, MISSED_LATE, n - 1, name, t);
	if (s->owed && busy)
		return meet_run(s, c, name, t);
	if (s->owed)
		miss(s, MISSED_WAITING, 1, name, t);
	s->owed = true;
	return false;
}

/* Never asleep for long: nobody tells when the wall clock is set. */
static void wake(const struct schedule *s, struct turn *t)
{
	ms_t due = s->due;
	if (due == CLOCK_NEVER && s->next_ms != CLOCK_NEVER)
		due = clock_after(t->now, s->next_ms - t->wall_ms);
	plan_wake(t->plan, clock_earlier(due, clock_after(t->now, SCHEDULE_LOOK_MS)));
}

bool schedule_turn(struct schedule *s, const struct config_worker *c, const char *name, bool busy, struct turn *t)
{
	if (!s->armed)
		arm(s, c, t);
	else if (c->every)
		notice_step(s, t);
	else
		notice_correction(s, c, name, t);
	bool replace = is_due(s, t) && take_turn(s, c, name, busy, t);
	wake(s, t);
	return replace;
}

void schedule_rest(struct schedule *s)
{
	s->armed = s->owed = s->queued = false;
}

void schedule_ask(struct schedule *s)
{
	s->owed = true;
}

void schedule_began(struct schedule *s, const struct config_worker *c, const struct turn *t)
{
	s->owed = true;
	/* It is the one for which the run before was stopped. */
	if (c->overlap == JOB_OVERLAP_REPLACE)
		s->queued = false;
	if (c->every)
		expect_interval(s, clock_after(t->now, c->every), t);
}

void schedule_over(struct schedule *s)
{
	s->owed = s->queued;
	s->queued = false;
}

void schedule_note(struct schedule *s, enum job_result result, ms_t now)
{
	if (result == JOB_NONE)
		return;
	s->result = result;
	if (result == JOB_SUCCEEDED)
		s->succeeded_at = now;
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

void schedule_reconfigure(struct schedule *s, const struct config_worker *before, const struct config_worker *now)
{
	bool same = same_text(before->schedule, now->schedule) && same_text(before->timezone, now->timezone) &&
		    before->every == now->every;
	s->armed &= same;
}
