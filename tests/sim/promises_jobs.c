/* What must hold of jobs, whatever happens and whatever the clock on the wall does. */
#include <stdlib.h>

#include "promises.h"

static uint64_t all_missed(const struct schedule *s)
{
	uint64_t n = 0;
	for (int i = 0; i < MISSED_COUNT; i++)
		n += s->missed[i];
	return n;
}

bool promise_has_come(const struct sim *s, const struct worker *w)
{
	return w->schedule.slots != s->was_scheduled[w->slot].slots;
}

/* Schedules of the stacks are "*" "/n * * * *": so many of their times lie behind up to one minute and from there to
 * another. */
static uint64_t times_between(const struct config_worker *c, int64_t from, int64_t to)
{
	int64_t step = strtoll(c->schedule + 2, NULL, 10);
	return to > from ? (uint64_t)(to / step - from / step) : 0;
}

/* Each of its times comes once: those between what the clock has shown before and what it shows now. */
static void promise_once(struct sim *s, const struct worker *w, struct book *b)
{
	const struct schedule *was = &s->was_scheduled[w->slot], *is = &w->schedule;
	int64_t minute = wall_ms(s) / MINUTE_MS;
	if (!was->armed && is->armed) {
		CHECK(s, is->taken_s >= was->taken_s, "%s takes back what has come", w->name);
		b->covered = is->taken_s / 60;
	}
	uint64_t came = is->slots - was->slots;
	uint64_t due = is->armed ? times_between(w->config, b->covered, minute) : 0;
	CHECK(s, came == due, "%llu times come to %s, but %llu are due", (unsigned long long)came, w->name,
		(unsigned long long)due);
	b->covered = is->armed && minute > b->covered ? minute : b->covered;
}

/* Nobody tells when the clock on the wall is set: it is looked at often enough. And an interval is never longer than it
 * is. */
static void promise_look(struct sim *s, const struct worker *w)
{
	const struct schedule *is = &w->schedule;
	if (!is->armed)
		return;
	promise_wake(s, s->now + SCHEDULE_LOOK_MS, w->name);
	CHECK(s, !w->config->every || (is->due > s->now && is->due <= s->now + w->config->every),
		"%s is due at %lld ms", w->name, (long long)is->due);
	if (w->config->every)
		promise_wake(s, is->due, w->name);
}

/* A time that comes is a run that is owed or waits, or it is missed and counted. */
void promise_times(struct sim *s, const struct worker *w, struct book *b)
{
	const struct schedule *was = &s->was_scheduled[w->slot], *is = &w->schedule;
	if (!w->config->every)
		promise_once(s, w, b);
	if (w->config->overlap == JOB_OVERLAP_REPLACE && promise_has_come(s, w))
		b->least = b->most = 0; /* its next run takes the place of another try */
	uint64_t came = is->slots - was->slots, missed = all_missed(is) - all_missed(was);
	bool taken = is->owed && (!was->owed || (is->queued && !was->queued) || w->run != s->was_run[w->slot]);
	CHECK(s, came == missed || (came == missed + 1 && taken),
		"of %llu times of %s %llu are missed, and no run is owed", (unsigned long long)came, w->name,
		(unsigned long long)missed);
	promise_look(s, w);
}

/* A job is started when one of its times has come, when somebody asked, and when a run failed; never by itself. */
void promise_due(struct sim *s, const struct worker *w)
{
	bool due = s->was_scheduled[w->slot].owed || promise_has_come(s, w);
	CHECK(s, w->config->kind != WORKER_JOB || due, "%s is started, but nothing is due", w->name);
}

/* What waited for the end of a run is not forgotten with it. */
void promise_queue(struct sim *s, const struct worker *w)
{
	bool wanted = w->wanted && !w->removed && !books_is_called_off(s, w);
	CHECK(s, !s->was_queued || !wanted || w->schedule.owed, "%s forgets the run that waited", w->name);
}

/* A run that takes longer than its deadline is ended. */
void promise_run_time(struct sim *s, const struct worker *w, const struct book *b)
{
	if (!w->config->deadline || !w->run || !b->started_at || books_is_called_off(s, w) || w->removed)
		return;
	ms_t limit = b->started_at + w->config->deadline;
	if (w->state != WORKER_STARTING && w->state != WORKER_RUNNING)
		return;
	CHECK(s, s->now < limit, "%s was to end by %lld ms and goes on", w->name, (long long)limit);
	promise_wake(s, limit, w->name);
}

void promise_jobs_run(struct sim *s, ms_t since)
{
	EACH_WORKER(s, w)
	CHECK(s, w->config->kind != WORKER_JOB || w->schedule.succeeded_at > since, "%s is %s (%s) and has not run",
		w->name, worker_state_name(w->state), w->reason);
}
