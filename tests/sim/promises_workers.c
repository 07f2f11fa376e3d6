/* What must hold of workers, whatever happens: each promise is a small function
 * that asks the books. */
#include "promises.h"

/* No worker is started while something that it depends on is not there, or never was. */
static void promise_dependencies(struct sim *s, const struct worker *w)
{
	for (size_t i = 0; i < w->config->n_depends_on; i++)
		CHECK(s, books_is_there(s, w, w->config->depends_on[i]), "%s is started, but %s is not there", w->name,
			w->config->depends_on_names[i]);
}

/* Nobody is paused or restarted for the loss of a dependency that is there. */
void promise_loss(struct sim *s, const struct effect *e)
{
	if (e->kind != EFFECT_WORKER_SIGNAL && e->kind != EFFECT_WORKER_STOP_COMMAND)
		return;
	const struct worker *w = &s->world->workers[e->slot];
	bool all = w->cause == CAUSE_DEPENDENCY;
	for (size_t i = 0; all && i < w->config->n_depends_on; i++)
		all = books_is_there(s, w, w->config->depends_on[i]);
	CHECK(s, !all, "%s is stopped (%s), but all that it depends on is there", w->name, e->reason);
}

/* Never two runs of one worker side by side, reloads or not: the tree of one is gone before the next is started. */
static void promise_single_worker(struct sim *s, const struct worker *w, const struct book *b)
{
	uint64_t other = b->alive ? b->alive : books_twin_of(s, w)->alive;
	CHECK(s, !other, "%s is started while its run %llu is still there", w->name, (unsigned long long)other);
}

/* What runs is not forgotten, not even when a reload has removed it. */
void promise_memory(struct sim *s)
{
	for (size_t i = 0; i < s->n_alive; i++) {
		const struct run *r = &s->runs[s->alive[i]];
		const struct worker *w = &s->world->workers[r->slot];
		CHECK(s, r->browser || (w->config && w->run == s->alive[i]), "run %llu was forgotten while it runs",
			(unsigned long long)s->alive[i]);
	}
}

/* What is done is done to the run that is there. */
void promise_address(struct sim *s, const struct effect *e)
{
	bool worker = e->kind >= EFFECT_WORKER_SIGNAL && e->kind <= EFFECT_WORKER_STOP_COMMAND;
	CHECK(s, !worker || books_of_run(s, e->run), "%s is for the run %llu, which is over", effect_name(e->kind),
		(unsigned long long)e->run);
}

/* Who is to say READY=1 has until startup.failure_threshold times its interval, or what EXTEND_TIMEOUT_USEC= has made
 * of it. */
void promise_start(struct sim *s, const struct worker *w, const struct book *b)
{
	const struct config_check *c = &b->run_config->startup;
	if (w->state != WORKER_STARTING || c->kind != CHECK_NOTIFY || !b->started_at)
		return;
	ms_t limit = b->started_at + c->initial_delay + c->interval * c->failure_threshold;
	limit = b->start_extended_until > limit ? b->start_extended_until : limit;
	CHECK(s, s->now < limit, "%s was to start by %lld ms", w->name, (long long)limit);
	promise_wake(s, limit, w->name);
}

/* An end counts once, however often it is told. */
void promise_count(struct sim *s, const struct worker *w)
{
	CHECK(s, books_count_exits(w) == s->exits, "%s has counted %llu exits instead of %llu", w->name,
		(unsigned long long)books_count_exits(w), (unsigned long long)s->exits);
}

/* No more than limit.count restarts within limit.window. */
void promise_limit(struct sim *s, const struct worker *w, const struct book *b)
{
	const struct config_restart *c = &w->config->restart;
	int within = 0;
	for (unsigned i = 0; i < b->n_restarts && i < RESTARTS_MAX; i++)
		within += s->now - b->restarts[i] < c->limit.window;
	CHECK(s, within <= c->limit.count, "%s is restarted %d times within %lld ms", w->name, within,
		(long long)c->limit.window);
}

/* The next start comes no earlier than the back-off has it. */
static void promise_patience(struct sim *s, const struct worker *w, const struct book *b)
{
	if (w->config->overlap == JOB_OVERLAP_REPLACE && promise_has_come(s, w))
		return; /* its next run takes the place of another try */
	CHECK(s, !b->ended_at || s->now - b->ended_at >= b->least,
		"%s is started %lld ms after its end; restart %d in a row waits for %lld ms at least", w->name,
		(long long)(s->now - b->ended_at), b->streak, (long long)b->least);
}

/* Of its group, somebody has to go down first. */
static bool waits_for_group(struct sim *s, const struct worker *w)
{
	EACH_WORKER(s, other)
	if (other != w && worker_is_up(other) && books_restarts_with(other, w->config->name) &&
		(other->state == WORKER_STOPPING || other->cause == CAUSE_GROUP))
		return true;
	return false;
}

static bool is_free(struct sim *s, const struct worker *w, const struct book *b)
{
	if (!w->wanted || w->removed || worker_is_final(w) || books_is_called_off(s, w))
		return false;
	if (b->alive || books_twin_of(s, w)->alive)
		return false;
	if (w->config->kind == WORKER_JOB && !w->schedule.owed)
		return false;
	for (size_t i = 0; i < w->config->n_depends_on; i++)
		if (!books_is_there(s, w, w->config->depends_on[i]))
			return false;
	return !waits_for_group(s, w);
}

/* After a database came back, not all start at once. */
static ms_t spread_of(const struct sim *s, const struct worker *w)
{
	for (size_t i = 0; i < w->config->n_depends_on; i++)
		if (w->config->depends_on[i].thing == THING_POSTGRES)
			return s->world->databases[0].config->recovery_spread;
	return 0;
}

/* The next start comes in the first turn in which the back-off is over and nothing else stands in its way, or within
 * the spread from there. */
void promise_return(struct sim *s, const struct worker *w, struct book *b)
{
	ms_t back_off = b->ended_at + b->most, spread = spread_of(s, w);
	if (!is_free(s, w, b)) {
		b->due_at = CLOCK_NEVER;
		return;
	}
	if (s->now < back_off) {
		promise_wake(s, spread ? CLOCK_NEVER : back_off, w->name);
		return;
	}
	b->due_at = b->due_at == CLOCK_NEVER ? s->now : b->due_at;
	CHECK(s, s->now < b->due_at + spread, "%s is %s (%s), although nothing has held it back since %lld ms", w->name,
		worker_state_name(w->state), w->reason, (long long)b->due_at);
	promise_wake(s, b->due_at + spread, w->name);
}

/* Who comes back finds nobody of its group still up who was there before. */
static void promise_group(struct sim *s, const struct worker *w, const struct book *b)
{
	const struct worker_run *last = worker_last_run(w);
	bool comeback = b->started_at && w->config->kind != WORKER_JOB; /* of the run before */
	EACH_WORKER(s, other)
	CHECK(s,
		!comeback || !last || !worker_is_up(other) || other->run > last->run ||
			!books_restarts_with(other, w->config->name),
		"%s came back before %s was down", w->name, other->name);
}

static bool end_is_wanted(struct sim *s, const struct worker *w)
{
	bool off = books_is_called_off(s, w);
	return (!w->wanted || w->removed || off) && (!off || !books_is_needed(s, THING_WORKER, w->config->name));
}

/* A stop that is wanted begins at once, and SIGKILL comes when stop.timeout is over, or what
 * EXTEND_TIMEOUT_USEC= has made of it; unless the main process has ended before. */
void promise_end(struct sim *s, const struct worker *w, struct book *b)
{
	if (b->end_wanted_at == CLOCK_NEVER && end_is_wanted(s, w))
		b->end_wanted_at = s->now;
	if (b->end_wanted_at == CLOCK_NEVER || b->main_ended || b->killed)
		return;
	CHECK(s, w->state == WORKER_STOPPING, "%s is not wanted any more and is %s (%s)", w->name,
		worker_state_name(w->state), w->reason);
	ms_t limit = clock_after(b->end_wanted_at, b->run_config->stop.timeout);
	limit = b->extended_until > limit ? b->extended_until : limit;
	CHECK(s, s->now < limit, "%s was to end by %lld ms and was not killed then", w->name, (long long)limit);
	promise_wake(s, limit, w->name);
}

/* It is asked to end once, for a second SIGTERM means something else to many a program, and not after its end. */
void promise_one_signal(struct sim *s, const struct effect *e)
{
	struct book *b = books_of_run(s, e->run);
	CHECK(s, !b->signalled && !b->main_ended, "%s gets another signal (%s)", s->world->workers[e->slot].name,
		e->reason);
	b->signalled = true;
}

/* In a shutdown those that outlive the drain stop after it, and those that depend on others before them. */
void promise_order(struct sim *s, const struct effect *e)
{
	const struct worker *w = &s->world->workers[e->slot];
	if (w->cause != CAUSE_SHUTDOWN)
		return;
	CHECK(s, books_is_called_off(s, w), "%s is stopped too early (%s)", w->name,
		drain_state_name(s->world->drain.state));
	CHECK(s, s->world->drain.signals >= 3 || !books_is_needed(s, THING_WORKER, w->config->name),
		"%s is stopped before what depends on it", w->name);
}

/* During a shutdown nothing is started, but what outlives the drain is kept running until it is over. */
static void promise_no_start(struct sim *s, const struct worker *w)
{
	CHECK(s, !books_is_called_off(s, w), "%s is started during the shutdown (%s)", w->name,
		drain_state_name(s->world->drain.state));
}

/* A third signal, or a deadline that is nearly over, kills everything at once. */
void promise_kill(struct sim *s, const struct worker *w, const struct book *b)
{
	CHECK(s, s->world->drain.signals < 3 || b->killed, "%s is %s and was not killed at once", w->name,
		worker_state_name(w->state));
}

void promise_spawn(struct sim *s, const struct worker *w)
{
	struct book *b = books_of(s, w);
	promise_dependencies(s, w);
	promise_due(s, w);
	promise_single_worker(s, w, b);
	promise_patience(s, w, b);
	promise_no_start(s, w);
	promise_group(s, w, b);
}
