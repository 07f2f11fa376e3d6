/* Virtual time: what is under way arrives late, twice, in bursts, after leaps of
 * the clock, but the facts of one run in the order in which they happened. */
#include <stdlib.h>
#include <string.h>

#include "promises.h"

/* ---- what is under way ---- */

static bool is_of_a_life(const struct event *e)
{
	return e->kind == EVENT_WORKER_STARTED || e->kind == EVENT_WORKER_UNSTARTABLE ||
	       e->kind == EVENT_WORKER_EXITED || e->kind == EVENT_WORKER_GONE || e->kind == EVENT_BROWSER_STARTED ||
	       e->kind == EVENT_BROWSER_UNSTARTABLE || e->kind == EVENT_BROWSER_EXITED || e->kind == EVENT_BROWSER_GONE;
}

static void put(struct sim *s, ms_t at, const struct event *e)
{
	CHECK(s, s->n_pending < PENDING_MAX, "too many facts are under way");
	s->pending[s->n_pending++] = (struct pending){at, s->seq++, *e};
}

void life_post(struct sim *s, ms_t delay, struct event e)
{
	ms_t at = s->now + delay + (fault(s, s->weather.late) ? a_while(s, 5000) : 0);
	if (is_of_a_life(&e)) {
		ms_t *told_at = &s->runs[e.run].told_at;
		*told_at = at = at > *told_at ? at : *told_at;
	}
	put(s, at, &e);
	if (fault(s, s->weather.twice))
		put(s, at + a_while(s, 10000), &e);
}

void life_tell(struct sim *s, const struct event *e)
{
	if (s->traced)
		print_message("%10lld ms  <- %s %u run %llu\n", (long long)s->now, event_name(e->kind), e->slot,
			(unsigned long long)e->run);
	books_note_fact(s, e);
	world_apply(s->world, e, s->now);
	books_note_outcome(s, e);
	promises_of_outcome(s, e);
	outside_hear(s, e);
}

/* The first that is due by then, or -1. */
static int find_next(const struct sim *s, ms_t by)
{
	int next = -1;
	for (size_t i = 0; i < s->n_pending; i++) {
		const struct pending *p = &s->pending[i], *first = next < 0 ? NULL : &s->pending[next];
		if (p->at <= by && (!first || p->at < first->at || (p->at == first->at && p->seq < first->seq)))
			next = (int)i;
	}
	return next;
}

static void deliver(struct sim *s, int i)
{
	struct event e = s->pending[i].event;
	s->pending[i] = s->pending[--s->n_pending];
	life_tell(s, &e);
}

/* ---- time ---- */

/* To the next thing that happens: a fact, or the time that the plan waits for. */
static void advance(struct sim *s, ms_t until)
{
	ms_t at = clock_earlier(s->plan.wake_at, until);
	int next = find_next(s, at);
	if (next >= 0)
		at = s->pending[next].at;
	bool burst = fault(s, s->weather.bursts);
	if (burst)
		at += a_while(s, 2000); /* the loop was held up */
	if (!s->calm && (int)random_below(&s->random, 1000) < s->weather.leaps)
		at += 60000 + a_while(s, 600000); /* the machine was asleep */
	s->now = at > s->now ? at : s->now;
	s->overslept += s->now > s->plan.wake_at ? s->now - s->plan.wake_at : 0;
	next = find_next(s, s->now);
	if (next >= 0)
		deliver(s, next);
	while (burst && (next = find_next(s, s->now)) >= 0)
		deliver(s, next);
}

static void check_idempotence(struct sim *s, ms_t wake_at)
{
	static struct plan again;
	reconcile(s->world, s->now, wall_ms(s), &again);
	CHECK(s, again.count == 0, "the same turn planned twice gives another effect: %s (%s)",
		effect_name(again.effects[0].kind), again.effects[0].reason);
	CHECK(s, again.wake_at >= wake_at,
		"the same turn planned twice asks to be woken earlier, at %lld instead of %lld",
		(long long)again.wake_at, (long long)wake_at);
	plan_fini(&again);
	CHECK(s, wake_at > s->now, "the plan asks to be woken in the past (%lld)", (long long)wake_at);
}

void life_step(struct sim *s)
{
	s->steps++;
	books_before_turn(s);
	reconcile(s->world, s->now, wall_ms(s), &s->plan);
	for (size_t i = 0; i < s->plan.count; i++)
		promises_of_effect(s, &s->plan.effects[i]);
	for (size_t i = 0; i < s->plan.count; i++)
		outside_carry_out(s, &s->plan.effects[i]);
	promises_after_turn(s);
	if (!s->ended)
		check_idempotence(s, s->plan.wake_at);
}

void life_run_until(struct sim *s, ms_t until)
{
	while (s->now < until && !s->ended) {
		life_step(s);
		if (!s->ended)
			advance(s, until);
	}
}

/* ---- birth and death ---- */

struct sim *life_begin(uint64_t seed, bool rough, bool small)
{
	struct sim *s = calloc(1, sizeof(*s));
	assert_non_null(s);
	s->seed = s->random.state = seed;
	s->database_up = true;
	s->now = 1000;
	s->wall_ahead = WALL;
	s->calm = !rough;
	s->small = small;
	s->roomy = seed % 2;
	s->traced = getenv("SIM_TRACE") != NULL;
	if (rough)
		trouble_set_weather(s);
	for (size_t i = 0; i < BOOKS; i++)
		s->books[i].end_wanted_at = CLOCK_NEVER;
	s->browser_end_at = CLOCK_NEVER;
	s->world = world_new(stacks_get(small, 0), seed, s->now);
	assert_non_null(s->world);
	s->world->journal.on_entry = promises_of_journal;
	s->world->journal.ctx = s;
	plan_init(&s->plan);
	return s;
}

void life_end(struct sim *s)
{
	plan_fini(&s->plan);
	world_free(s->world);
	free(s);
}
