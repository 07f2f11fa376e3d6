/* sim owns one simulated life of a pod: the world in virtual time, what its
 * effects have set off outside, what is under way to it, and the books that the
 * promises are checked by. Everything follows from one seed. */
#ifndef TESTS_SIM_SIM_H
#define TESTS_SIM_SIM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "podvisor/base/random.h"
#include "podvisor/model/reconcile.h"
#include "podvisor/model/world.h"

#define RUNS_MAX     16384 /* in one life, database sessions included */
#define ALIVE_MAX    64
#define PENDING_MAX  1024
#define NAMES_MAX    16 /* of workers, in all stacks together */
#define INSTANCES    8 /* of one worker, at the most; a power of two */
#define BOOKS        (NAMES_MAX * 2 * INSTANCES)
#define SLOTS_MAX    64
#define RESTARTS_MAX CONFIG_RESTARTS_MAX

#define WALL      INT64_C(1775001600000) /* 2026-04-01T00:00:00Z, when the monotonic clock began */
#define MINUTE_MS 60000

/* One run of a worker or browser, as the kernel has it. */
enum life { LIFE_NONE, LIFE_RUNS, LIFE_ENDED, LIFE_GONE };

struct run {
	enum life life;
	bool browser;
	uint32_t slot, book; /* book: of a worker */
	ms_t told_at; /* when its last fact arrives: the facts of one run arrive in order */
	/* of a browser, by facts and effects */
	unsigned rungs; /* bits: have answered */
	bool served, ending, killed; /* ending: asked to end, however */
	bool rushed; /* retired for room that it itself takes */
	ms_t retired_at; /* 0: it was not */
	int64_t sessions;
	ms_t measure_at; /* the next census */
};

/* What is known of one worker (name and instance) by the facts that were delivered to the world alone. */
enum { FACT_STARTED = 1, FACT_STARTUP = 2, FACT_READINESS = 4, FACT_NOTIFIED = 8, FACT_SUCCEEDED = 16 };

struct book {
	uint64_t alive; /* its run that is not known to be gone; 0: none */
	const struct config_worker *run_config; /* of the newest run */
	unsigned facts; /* of all its runs */
	bool main_ended, signalled, killed; /* of the run that is alive */
	ms_t started_at, main_ended_at; /* 0: not yet */
	/* the end that is wanted */
	ms_t end_wanted_at; /* CLOCK_NEVER: it is not */
	ms_t extended_until, start_extended_until; /* by EXTEND_TIMEOUT_USEC=: its stop, its start */
	/* the times of a job */
	int64_t covered; /* minute of the wall clock up to which its times have come */
	/* the way back */
	ms_t ended_at; /* its last run; 0: none */
	ms_t least, most; /* from there to the next start */
	ms_t due_at; /* since when nothing stands in its way; CLOCK_NEVER: something does */
	int streak;
	ms_t restarts[RESTARTS_MAX]; /* a ring */
	unsigned n_restarts;
};

/* How bad the surroundings of this life are, in percent. */
struct weather {
	int late, twice, lost; /* facts and answers */
	int bursts, leaps; /* of time; leaps per mille */
	int unstartable, stillborn, deaf, leftovers; /* processes */
	int misses; /* checks that fail */
	int reloads; /* of what disturbs */
};

struct pending {
	ms_t at;
	uint64_t seq; /* first come, first served */
	struct event event;
};

struct sim {
	uint64_t seed;
	struct random random;
	struct weather weather;
	struct world *world;
	struct plan plan;
	ms_t now;
	int64_t wall_ahead; /* of the clock on the wall before now; it errs */
	int64_t furthest; /* minute that it has ever shown */
	ms_t overslept; /* so much of it passed after the plan wanted to be woken */
	uint64_t steps;
	bool small; /* a stack of workers alone */
	bool roomy; /* memory and disk are never short */
	bool calm; /* no more faults */
	bool traced; /* every fact, effect and journal entry is printed */

	struct pending pending[PENDING_MAX];
	size_t n_pending;
	uint64_t seq;

	struct run runs[RUNS_MAX];
	uint64_t alive[ALIVE_MAX]; /* the runs that are not known to be gone */
	size_t n_alive;
	int spawn_error; /* all that is spawned fails with it ... */
	ms_t spawn_error_until; /* ... until then */
	ms_t mute_until; /* no browser answers before */
	bool database_up;

	struct book books[BOOKS];
	bool was_available[SLOTS_MAX], browser_was_available; /* by worker slot; before this turn */
	struct schedule was_scheduled[SLOTS_MAX]; /* likewise */
	uint64_t was_run[SLOTS_MAX];
	bool was_queued; /* a run of the job that a fact is about, before it was told */
	bool database_answered, volume_prepared;
	uint64_t checks_under_way[2]; /* of the database: runs of the kept session's and the canary's; 0: none */
	ms_t browser_end_at; /* since when its end is wanted, by the clock of turns in time; CLOCK_NEVER: it is not */
	int64_t browser_generation; /* the newest that was launched */
	bool memory_above; /* measured, since the guard's last step */
	bool browser_was_free; /* to be recycled */
	bool purging, was_purging; /* the volume, by what was told; before this turn */
	struct memory_step step; /* the guard's last */
	uint64_t step_run, steps_seen, browser_was_run; /* the run that it was to end; how many steps there were */
	ms_t acted_at[MEMORY_ACTION_COUNT]; /* 0: never */
	int hunger; /* of the pod's limit, in percent: what is measured */
	uint64_t exits; /* that a worker has to have counted after an exit */
	uint64_t told_seq; /* of the newest entry in the journal */
	bool started_once;
	ms_t shutdown_at; /* 0: not yet */
	bool ended;
	int exit_code;
};

#define CHECK(sim, what, ...)                                                                                       \
	do {                                                                                                        \
		if (!(what)) {                                                                                      \
			print_error(                                                                                \
				"seed %llu, at %lld ms: ", (unsigned long long)(sim)->seed, (long long)(sim)->now); \
			fail_msg(__VA_ARGS__);                                                                      \
		}                                                                                                   \
	} while (0)

static inline bool chance(struct sim *s, int percent)
{
	return (int)random_below(&s->random, 100) < percent;
}

/* A fault: never when it is calm. */
static inline bool fault(struct sim *s, int percent)
{
	return percent && !s->calm && chance(s, percent);
}

static inline ms_t a_while(struct sim *s, ms_t max)
{
	return (ms_t)random_below(&s->random, (uint64_t)max + 1);
}

/* What the clock on the wall shows. */
static inline int64_t wall_ms(const struct sim *s)
{
	return s->now + s->wall_ahead;
}

/* ---- life.c: virtual time ---- */

struct sim *life_begin(uint64_t seed, bool rough, bool small);
void life_end(struct sim *s);
/* One turn: the world is reconciled, and what it asks for carried out. */
void life_step(struct sim *s);
void life_run_until(struct sim *s, ms_t until);
/* That happens now. */
void life_tell(struct sim *s, const struct event *e);
/* That will happen, unless the weather has it otherwise. */
void life_post(struct sim *s, ms_t delay, struct event e);

/* ---- outside.c: the kernel, Chrome and PostgreSQL, as chance has them ---- */

void outside_carry_out(struct sim *s, const struct effect *e);
/* A fact has been delivered; another may follow from it. */
void outside_hear(struct sim *s, const struct event *e);
/* Its main process ends by itself, or by what was done to it; the rest of its tree a little later. */
void outside_die(struct sim *s, uint64_t run, int status, ms_t delay);

/* ---- trouble.c: what people, reloads and bad luck bring ---- */

void trouble_set_weather(struct sim *s);
/* One disturbance, drawn by lot. */
void trouble_strike(struct sim *s);
/* Everything is put right, and everybody asked to start. */
void trouble_is_over(struct sim *s);

/* ---- stacks.c: the configurations between which lives reload ---- */

/* Small: workers alone, between which nothing else wakes anybody up. The first is the one that a life begins with.
 * Parsed once, kept until the program ends. */
size_t stacks_count(bool small);
struct config *stacks_get(bool small, size_t i);
void stacks_free(void);
/* The number of the worker's name and instance, the same in all stacks; "x" and "x.0" differ in the bit INSTANCES. */
uint32_t stacks_book(const struct config *source, const struct config_worker *worker, int instance);

#endif
