/* books owns what is known of each worker, of the browser, the database and the
 * volume by the facts and effects alone, as an outsider sees them. */
#ifndef TESTS_SIM_BOOKS_H
#define TESTS_SIM_BOOKS_H

#include "sim.h"

#define EACH_WORKER(s, w)                                                                                  \
	for (struct worker *w = (s)->world->workers; w < (s)->world->workers + (s)->world->n_workers; w++) \
		if (w->config)

struct book *books_of(struct sim *s, const struct worker *w);
/* Of the same instance under its other name: "x" and "x.0". */
struct book *books_twin_of(struct sim *s, const struct worker *w);
/* Of a fact or effect about a worker's run. NULL: it is about something else, or the run is over. */
struct book *books_of_run(struct sim *s, uint64_t run);

bool books_restarts_with(const struct worker *w, const char *name);
/* Some worker that depends on it is up. */
bool books_is_needed(struct sim *s, enum thing thing, const char *name);
/* Shutdown has come to those of its phase. */
bool books_is_called_off(const struct sim *s, const struct worker *w);
/* What ref names is there, and has told so itself at least once. Before books_note_losses: was there before this
 * turn; after it: and still is. */
bool books_is_there(struct sim *s, const struct worker *w, struct config_ref ref);

/* Each rung has answered once in this run of the browser. */
bool books_is_proven(const struct sim *s, uint64_t run);
/* It is retired because the pod's memory or a volume is short of room: then no other starts beside it. */
bool books_is_rushed(const struct effect *e);
/* Of the run that an effect is about. */
void books_note_browser(struct sim *s, const struct effect *e);

void books_before_turn(struct sim *s);
void books_note_spawn(struct sim *s, const struct effect *e);
/* What goes away in this turn holds those back that are planned after it. */
void books_note_losses(struct sim *s);
/* Before the world has taken the fact in, and what became of it afterwards. */
void books_note_fact(struct sim *s, const struct event *e);
void books_note_outcome(struct sim *s, const struct event *e);
/* As the worker counts them. */
uint64_t books_count_exits(const struct worker *w);
/* Before it is applied. */
void books_note_reload(struct sim *s, const struct config *config);
/* A job whose run is over and not tried again. */
bool books_has_rested(const struct worker *w);
/* Its failures are forgotten: it may be started at once. */
void books_forgive(struct book *b);

#endif
