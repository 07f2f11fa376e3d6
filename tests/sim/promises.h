/* promises owns what must hold, whatever happens: each is a small function with a
 * sentence that says what is promised, and asks the books. */
#ifndef TESTS_SIM_PROMISES_H
#define TESTS_SIM_PROMISES_H

#include "books.h"

/* For each effect of a turn, before any is carried out; after the turn; after a fact; at the end. */
void promises_of_effect(struct sim *s, const struct effect *e);
void promises_after_turn(struct sim *s);
void promises_of_outcome(struct sim *s, const struct event *e);
void promises_of_the_end(struct sim *s);
void promises_of_journal(void *sim, const struct journal_entry *e);

/* ---- promises_workers.c ---- */

void promise_spawn(struct sim *s, const struct worker *w);
void promise_memory(struct sim *s);
void promise_address(struct sim *s, const struct effect *e);
void promise_one_signal(struct sim *s, const struct effect *e);
void promise_order(struct sim *s, const struct effect *e);
void promise_loss(struct sim *s, const struct effect *e);
void promise_count(struct sim *s, const struct worker *w);
void promise_limit(struct sim *s, const struct worker *w, const struct book *b);
void promise_return(struct sim *s, const struct worker *w, struct book *b);
void promise_start(struct sim *s, const struct worker *w, const struct book *b);
void promise_end(struct sim *s, const struct worker *w, struct book *b);
void promise_kill(struct sim *s, const struct worker *w, const struct book *b);

/* ---- promises_jobs.c ---- */

/* A time has come in this turn. */
bool promise_has_come(const struct sim *s, const struct worker *w);
void promise_times(struct sim *s, const struct worker *w, struct book *b);
void promise_due(struct sim *s, const struct worker *w);
void promise_queue(struct sim *s, const struct worker *w);
void promise_run_time(struct sim *s, const struct worker *w, const struct book *b);
/* In quiet times each job runs, and succeeds. */
void promise_jobs_run(struct sim *s, ms_t since);

/* ---- promises_memory.c ---- */

/* What the memory guard did in this turn. */
void promise_memory_step(struct sim *s);

/* ---- promises_parts.c ---- */

/* What is to be done by then is not left to chance: the plan wants to be woken for it. */
void promise_wake(struct sim *s, ms_t by, const char *name);
void promise_places(struct sim *s, const struct effect *e);
void promise_swap(struct sim *s, const struct effect *e);
void promise_drain_time(struct sim *s, const struct effect *e);
void promise_proof(struct sim *s, const struct effect *e);
void promise_browser_end(struct sim *s);
void promise_browser_return(struct sim *s);
void promise_single_check(struct sim *s, const struct effect *e);
void promise_hurry(struct sim *s);
void promise_deadline(struct sim *s);
void promise_reason(struct sim *s, const struct effect *e);
void promise_verdicts(struct sim *s);

#endif
