/* schedule owns when a job runs: which of its times have had their turn, what
 * becomes of one while a run is still owed, and how the last run went.
 *
 *            ┌──over──────────────────────────────┐
 *            ▼                                    │
 *         resting ──a time comes, or asked──► owed (waits to begin, or runs)
 *                                                 │ a time comes
 *                                                 ├── skip: missed
 *                                                 ├── queue: one waits behind it, more are missed
 *                                                 └── replace: one waits, and the run is to be stopped
 *
 * A time of a cron expression belongs to the wall clock and has its turn once,
 * whatever the clock does; an interval is measured on the monotonic clock, from
 * the start of the run before. Pure. */
#ifndef PODVISOR_MODEL_SCHEDULE_H
#define PODVISOR_MODEL_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "podvisor/model/config.h"
#include "podvisor/model/turn.h"

/* A leap of the wall clock is noticed within this time. */
#define SCHEDULE_LOOK_MS ((ms_t)30 * 1000)
/* Set back by more than this, and by more than lies between two times, the clock
 * was wrong before; less is made up by waiting, so that no time has two turns. */
#define SCHEDULE_BACK_MAX_S ((int64_t)3 * 3600)

/* Why a time had no run of its own: the reason label of missed_runs_total. */
enum missed {
	MISSED_OVERLAP, /* the run before still went on */
	MISSED_WAITING, /* a run already waited for what it depends on */
	MISSED_LATE, /* passed in one go with a later one: the clock leapt, or the machine stood still */
	MISSED_COUNT
};
const char *missed_name(enum missed missed);

enum job_result { JOB_NONE, JOB_SUCCEEDED, JOB_FAILED };

struct schedule {
	bool armed; /* the next time is known */
	bool owed; /* a run is to begin, or is under way */
	bool queued; /* and one more behind it */
	ms_t due; /* of an interval: the next time; CLOCK_NEVER: wall clock */
	int64_t taken_s; /* of an expression: Unix times up to this one have had their turn */
	int64_t next_ms; /* the next time as the wall clock has it; within a second for an interval */
	uint64_t slots; /* times that came, all of them */
	uint64_t missed[MISSED_COUNT];
	uint64_t told[MISSED_COUNT]; /* so many of them are in the journal ... */
	ms_t told_at[MISSED_COUNT]; /* ... the last of them since then */
	enum job_result result; /* of the last run that came to an end of its own */
	ms_t succeeded_at; /* the last time it did; 0: never */
};

/* A time that has come: whether the present run is to be stopped for it. What it
 * decides it tells in the journal under that name. busy: a run is there, or is
 * tried again; only what is owed and not busy waits to begin. */
bool schedule_turn(struct schedule *s, const struct config_worker *c, const char *name, bool busy, struct turn *t);
/* Nothing is wanted of it: no time comes until the next schedule_turn. */
void schedule_rest(struct schedule *s);
/* Somebody asks for a run now. */
void schedule_ask(struct schedule *s);
/* A run begins: an interval counts from here. */
void schedule_began(struct schedule *s, const struct config_worker *c, const struct turn *t);
/* A run ended; JOB_NONE: for a reason that says nothing about it. */
void schedule_note(struct schedule *s, enum job_result result, ms_t now);
/* And it is not tried again: what was owed is done, unless one more waits. */
void schedule_over(struct schedule *s);
/* Another configuration, from which the next time is told anew if it differs; no run comes of that. */
void schedule_reconfigure(struct schedule *s, const struct config_worker *before, const struct config_worker *now);

#endif
