/* What must hold of the memory guard: each step is one that the order allows, for a
 * use that is above, on somebody who may go, and after the last one is over. */
#include "promises.h"

static uint64_t count_steps(const struct memory_guard *g)
{
	uint64_t sum = 0;
	for (int i = 0; i < MEMORY_ACTION_COUNT; i++)
		sum += g->actions[i];
	return sum;
}

/* Nobody is asked to make room while use is below. */
static void promise_need(struct sim *s)
{
	const struct memory_guard *g = &s->world->guard;
	CHECK(s,
		s->memory_above &&
			g->memory.used_bytes > g->memory.limit_bytes / 100 * s->world->config->memory.high_percent,
		"the memory guard acts (%s) although use is not above since its last step", g->text);
}

/* By the books: the purge has told its end, the browser and the worker have another run, or a minute is over. */
static bool is_over(struct sim *s)
{
	const struct memory_step *last = &s->step;
	if (!last->at || s->now - last->at >= MEMORY_SETTLE_MS)
		return true;
	if (last->action == MEMORY_PURGE)
		return !s->purging;
	for (size_t i = 0; i < s->n_alive; i++)
		if (s->alive[i] == s->step_run)
			return false;
	return true;
}

static void promise_one_at_a_time(struct sim *s)
{
	CHECK(s, is_over(s), "the memory guard acts (%s) before its last step is over", s->world->guard.text);
}

static bool had_its_turn(const struct sim *s, enum memory_action action, ms_t pause)
{
	return s->acted_at[action] && s->now - s->acted_at[action] < pause;
}

/* What hurts less has had its turn. */
static void promise_mildest(struct sim *s, enum memory_action action)
{
	const struct volume *v = &s->world->volumes[0];
	bool purgeable = s->world->n_volumes && s->volume_prepared && v->state == VOLUME_READY && v->is_tmpfs &&
			 v->used_bytes > 0 && !had_its_turn(s, MEMORY_PURGE, MEMORY_PURGE_AGAIN_MS) && !s->was_purging;
	bool recyclable = s->world->n_browsers && s->browser_was_free &&
			  !had_its_turn(s, MEMORY_RECYCLE, MEMORY_RECYCLE_AGAIN_MS);
	CHECK(s, action == MEMORY_PURGE || !purgeable, "the memory guard acts (%s) before the volume was purged",
		s->world->guard.text);
	CHECK(s, action != MEMORY_RESTART || !recyclable, "the memory guard acts (%s) before the browser was recycled",
		s->world->guard.text);
}

static void promise_never_critical(struct sim *s, const struct memory_step *step)
{
	const struct worker *w = &s->world->workers[step->slot];
	CHECK(s, step->action != MEMORY_RESTART || (!w->config->critical && w->config->kind != WORKER_TASK),
		"the memory guard ends %s, which is critical or a task", w->name);
}

static void promise_none_while_stopping(struct sim *s)
{
	CHECK(s, !s->world->drain.shutdown, "the memory guard acts (%s) while podvisor stops", s->world->guard.text);
}

static uint64_t run_of(const struct sim *s, const struct memory_step *step)
{
	return step->action == MEMORY_RESTART   ? s->was_run[step->slot]
	       : step->action == MEMORY_RECYCLE ? s->browser_was_run
						: 0;
}

void promise_memory_step(struct sim *s)
{
	const struct memory_guard *g = &s->world->guard;
	uint64_t steps = count_steps(g);
	CHECK(s, steps - s->steps_seen <= 1, "the memory guard takes %llu steps at once",
		(unsigned long long)(steps - s->steps_seen));
	if (steps == s->steps_seen)
		return;
	promise_none_while_stopping(s);
	promise_need(s);
	promise_one_at_a_time(s);
	promise_mildest(s, g->last.action);
	promise_never_critical(s, &g->last);
	s->steps_seen = steps;
	s->step = g->last;
	s->step_run = run_of(s, &g->last);
	s->acted_at[g->last.action] = s->now;
	s->memory_above = false;
	s->purging |= g->last.action == MEMORY_PURGE;
}
