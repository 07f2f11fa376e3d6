/* Which promise is asked for at which moment. */
#include "promises.h"

void promises_of_effect(struct sim *s, const struct effect *e)
{
	if (s->traced)
		print_message("%10lld ms  %s %u run %llu: %s\n", (long long)s->now, effect_name(e->kind), e->slot,
			(unsigned long long)e->run, e->reason);
	promise_reason(s, e);
	promise_address(s, e);
	switch (e->kind) {
	case EFFECT_WORKER_SPAWN:
		promise_spawn(s, &s->world->workers[e->slot]);
		books_note_spawn(s, e);
		break;
	case EFFECT_WORKER_SIGNAL:
		promise_one_signal(s, e);
		promise_order(s, e);
		break;
	case EFFECT_WORKER_KILL:
		books_of_run(s, e->run)->killed = true;
		break;
	case EFFECT_BROWSER_LAUNCH:
		promise_places(s, e);
		books_note_browser(s, e);
		break;
	case EFFECT_BROWSER_SERVE:
		promise_proof(s, e);
		books_note_browser(s, e);
		break;
	case EFFECT_BROWSER_RETIRE:
		promise_swap(s, e);
		books_note_browser(s, e);
		break;
	case EFFECT_BROWSER_CLOSE:
	case EFFECT_BROWSER_SIGNAL:
	case EFFECT_BROWSER_KILL:
		promise_drain_time(s, e);
		books_note_browser(s, e);
		break;
	case EFFECT_POSTGRES_CHECK:
	case EFFECT_POSTGRES_CANARY:
		promise_single_check(s, e);
		break;
	default:
		break;
	}
}

static void promises_of_worker(struct sim *s, const struct worker *w)
{
	struct book *b = books_of(s, w);
	if (w->config->kind == WORKER_JOB) {
		promise_times(s, w, b);
		promise_run_time(s, w, b);
	}
	if (!w->run) {
		promise_return(s, w, b);
	} else if (w->run == b->alive) {
		promise_start(s, w, b);
		promise_end(s, w, b);
		promise_kill(s, w, b);
	}
}

void promises_after_turn(struct sim *s)
{
	promise_memory_step(s);
	books_note_losses(s);
	for (size_t i = 0; i < s->plan.count; i++)
		promise_loss(s, &s->plan.effects[i]);
	EACH_WORKER(s, w)
	promises_of_worker(s, w);
	promise_memory(s);
	if (s->world->n_browsers) {
		promise_browser_end(s);
		promise_browser_return(s);
	}
	promise_verdicts(s);
	promise_hurry(s);
	promise_deadline(s);
}

void promises_of_outcome(struct sim *s, const struct event *e)
{
	if (e->kind > EVENT_WORKER_STOP_COMMAND || e->slot >= s->world->n_workers)
		return;
	const struct worker *w = &s->world->workers[e->slot];
	bool ended = e->kind == EVENT_WORKER_GONE || e->kind == EVENT_WORKER_UNSTARTABLE;
	if (ended && w->config && w->state == WORKER_BACKOFF)
		promise_limit(s, w, books_of(s, w));
	if (ended && w->config && w->config->kind == WORKER_JOB)
		promise_queue(s, w);
	if (e->kind == EVENT_WORKER_EXITED && books_of_run(s, e->run))
		promise_count(s, w);
}
