/* The books: what is known of each worker, of the browser, the database and the
 * volume by the facts and effects alone, as an outsider sees them. */
#include <string.h>

#include "books.h"

/* ---- who is who ---- */

struct book *books_of(struct sim *s, const struct worker *w)
{
	return &s->books[stacks_book(w->source, w->config, w->instance)];
}

/* Of the same instance under its other name: "x" and "x.0". */
struct book *books_twin_of(struct sim *s, const struct worker *w)
{
	return &s->books[stacks_book(w->source, w->config, w->instance) ^ INSTANCES];
}

/* Of a fact or effect about a worker's run. NULL: it is about something else, or the run is over. */
struct book *books_of_run(struct sim *s, uint64_t run)
{
	if (run >= RUNS_MAX || s->runs[run].browser)
		return NULL;
	struct book *b = &s->books[s->runs[run].book];
	return run && b->alive == run ? b : NULL;
}

static const char *name_of(const struct worker *w, struct config_ref ref)
{
	return w->source->workers[ref.index].name;
}

static bool depends_on(const struct worker *w, enum thing thing, const char *name)
{
	for (size_t i = 0; i < w->config->n_depends_on; i++) {
		struct config_ref ref = w->config->depends_on[i];
		if (ref.thing != thing)
			continue;
		const char *other = thing == THING_WORKER ? name_of(w, ref) : w->source->browsers[ref.index].name;
		if (strcmp(other, name) == 0)
			return true;
	}
	return false;
}

bool books_restarts_with(const struct worker *w, const char *name)
{
	for (size_t i = 0; i < w->config->n_restart_with; i++) {
		struct config_ref ref = w->config->restart_with[i];
		if (ref.thing == THING_WORKER && strcmp(name_of(w, ref), name) == 0)
			return true;
	}
	return false;
}

bool books_is_needed(struct sim *s, enum thing thing, const char *name)
{
	EACH_WORKER(s, other)
	if (worker_is_up(other) && depends_on(other, thing, name))
		return true;
	return false;
}

/* Shutdown has come to those of its phase. */
bool books_is_called_off(const struct sim *s, const struct worker *w)
{
	enum drain_state from = w->config->stop.phase == STOP_ON_TERM ? DRAIN_LAME_DUCK : DRAIN_STOPPING;
	return s->world->drain.shutdown && s->world->drain.state >= from;
}

/* ---- what is there ---- */

/* By what was heard of it: it has been there at least once. */
static bool was_ever_ready(const struct book *b)
{
	const struct config_worker *c = b->run_config;
	if (!c)
		return false;
	if (c->kind != WORKER_SERVICE)
		return b->facts & FACT_SUCCEEDED;
	unsigned startup = c->startup.kind == CHECK_NONE     ? FACT_STARTED
			   : c->startup.kind == CHECK_NOTIFY ? FACT_NOTIFIED
							     : FACT_STARTUP;
	unsigned readiness = c->readiness.kind == CHECK_NONE     ? FACT_STARTED
			     : c->readiness.kind == CHECK_NOTIFY ? FACT_NOTIFIED
								 : FACT_READINESS;
	unsigned needed = startup | readiness | FACT_STARTED;
	return (b->facts & needed) == needed;
}

/* All instances of it are there, and have told so themselves. */
static bool worker_is_there(struct sim *s, const char *name)
{
	EACH_WORKER(s, w)
	if (!w->removed && strcmp(w->config->name, name) == 0 &&
		!(s->was_available[w->slot] && was_ever_ready(books_of(s, w))))
		return false;
	return true;
}

bool books_is_proven(const struct sim *s, uint64_t run)
{
	unsigned all = 1U << RUNG_BROWSER | 1U << RUNG_RENDERER | 1U << RUNG_NETWORK;
	return run && run < RUNS_MAX && s->runs[run].rungs == all;
}

bool books_is_there(struct sim *s, const struct worker *w, struct config_ref ref)
{
	switch (ref.thing) {
	case THING_WORKER:
		return worker_is_there(s, name_of(w, ref));
	case THING_POSTGRES:
		return s->database_answered && database_is_available(&s->world->databases[ref.index]);
	case THING_VOLUME:
		return s->volume_prepared && s->world->volumes[ref.index].state == VOLUME_READY;
	default:
		return s->browser_was_available && books_is_proven(s, browser_lead(&s->world->browsers[0])->run);
	}
}

/* Nothing is going to take its place already. */
static bool is_free(const struct browser *b)
{
	return b->wanted && !b->again && !b->swap.since && b->swap.wish != RECYCLE_PRESSURE &&
	       b->swap.wish != RECYCLE_FULL;
}

void books_before_turn(struct sim *s)
{
	EACH_WORKER(s, w)
	{
		s->was_available[w->slot] = worker_is_available(w);
		s->was_scheduled[w->slot] = w->schedule;
		s->was_run[w->slot] = w->run;
	}
	s->browser_was_available = s->world->n_browsers && browser_is_available(&s->world->browsers[0]);
	s->browser_was_run = s->world->n_browsers ? browser_lead(&s->world->browsers[0])->run : 0;
	s->browser_was_free = s->browser_was_available && is_free(&s->world->browsers[0]);
	s->was_purging = s->world->n_volumes && s->world->volumes[0].purging;
	s->furthest = wall_ms(s) / MINUTE_MS > s->furthest ? wall_ms(s) / MINUTE_MS : s->furthest;
}

/* What goes away in this turn holds those back that are planned after it. */
void books_note_losses(struct sim *s)
{
	EACH_WORKER(s, w)
	s->was_available[w->slot] &= worker_is_available(w);
	s->browser_was_available = s->browser_was_available && browser_is_available(&s->world->browsers[0]);
}

/* ---- the life of a run ---- */

static void note_notification(struct sim *s, const struct event *e, struct book *b)
{
	const struct worker *w = &s->world->workers[e->slot];
	if (e->notified.bits & NOTIFIED_READY)
		b->facts |= FACT_NOTIFIED;
	ms_t until = clock_after(s->now, e->notified.extend_us / 1000);
	if (!(e->notified.bits & NOTIFIED_EXTEND))
		return;
	ms_t *limit = w->state == WORKER_STOPPING ? &b->extended_until : &b->start_extended_until;
	*limit = until > *limit ? until : *limit;
}

static void note_check(const struct event *e, struct book *b)
{
	if (e->checked.ok)
		b->facts |= e->checked.probe == PROBE_STARTUP ? FACT_STARTUP : FACT_READINESS;
}

uint64_t books_count_exits(const struct worker *w)
{
	return w->exits_ok + w->exits_failed + w->exits_signaled;
}

static void note_exit(struct sim *s, const struct event *e, struct book *b)
{
	s->exits = books_count_exits(&s->world->workers[e->slot]) + !b->main_ended;
	b->main_ended = true;
	b->main_ended_at = b->main_ended_at ? b->main_ended_at : s->now;
	if (e->exited.status == 0)
		b->facts |= FACT_SUCCEEDED;
}

static void note_worker_fact(struct sim *s, const struct event *e, struct book *b)
{
	if (e->kind == EVENT_WORKER_STARTED) {
		b->facts |= FACT_STARTED;
		b->started_at = b->started_at ? b->started_at : s->now;
	} else if (e->kind == EVENT_WORKER_NOTIFIED) {
		note_notification(s, e, b);
	} else if (e->kind == EVENT_WORKER_CHECKED) {
		note_check(e, b);
	} else if (e->kind == EVENT_WORKER_EXITED) {
		note_exit(s, e, b);
	}
}

bool books_has_rested(const struct worker *w)
{
	return w->config->kind == WORKER_JOB && w->state == WORKER_WAITING &&
	       (strncmp(w->reason, "next run", 8) == 0 || strncmp(w->reason, "its schedule", 12) == 0);
}

void books_forgive(struct book *b)
{
	b->streak = 0;
	b->n_restarts = 0;
	b->least = b->most = 0;
	b->due_at = CLOCK_NEVER;
}

static ms_t base_delay(const struct config_restart *c, int streak)
{
	ms_t delay = streak > 1 ? c->backoff.initial : 0;
	for (int i = 2; i < streak && delay < c->backoff.max; i++)
		delay = (delay * c->backoff.factor_percent + 99) / 100;
	return clock_earlier(delay, c->backoff.max);
}

/* It ended by itself and is to be started again: when, at the earliest and at the latest? */
static void note_restart(struct sim *s, const struct worker *w, struct book *b)
{
	const struct config_restart *c = &w->config->restart;
	b->restarts[b->n_restarts++ % RESTARTS_MAX] = s->now;
	ms_t ran = b->started_at && b->main_ended_at ? b->main_ended_at - b->started_at : 0;
	b->streak = ran >= c->backoff.reset_after ? 1 : b->streak + 1;
	ms_t base = base_delay(c, b->streak), width = base * c->backoff.jitter_percent / 100;
	b->least = base - width;
	b->most = base + width;
}

static void note_end(struct sim *s, const struct worker *w, struct book *b)
{
	b->alive = 0;
	b->ended_at = s->now;
	b->least = b->most = 0;
	b->due_at = CLOCK_NEVER;
	if (w->config && w->state == WORKER_BACKOFF)
		note_restart(s, w, b);
	else if (w->config && books_has_rested(w))
		books_forgive(b);
}

void books_note_spawn(struct sim *s, const struct effect *e)
{
	const struct worker *w = &s->world->workers[e->slot];
	struct book *b = books_of(s, w);
	s->runs[e->run].book = (uint32_t)(b - s->books);
	b->alive = e->run;
	b->run_config = w->config;
	b->main_ended = b->signalled = b->killed = false;
	b->started_at = b->main_ended_at = b->extended_until = b->start_extended_until = 0;
	b->end_wanted_at = CLOCK_NEVER;
}

static void bury(struct sim *s, uint64_t run)
{
	for (size_t i = 0; i < s->n_alive; i++)
		if (s->alive[i] == run) {
			s->alive[i] = s->alive[--s->n_alive];
			s->runs[run].life = LIFE_GONE;
			return;
		}
}

/* ---- the other parts ---- */

static void note_rung(struct sim *s, const struct event *e)
{
	if (e->run < RUNS_MAX && s->runs[e->run].browser && e->browser.ok)
		s->runs[e->run].rungs |= 1U << e->browser.rung;
}

bool books_is_rushed(const struct effect *e)
{
	return strstr(e->reason, "memory is short") || strstr(e->reason, "volume is full");
}

void books_note_browser(struct sim *s, const struct effect *e)
{
	struct run *r = &s->runs[e->run];
	bool ends =
		e->kind == EFFECT_BROWSER_CLOSE || e->kind == EFFECT_BROWSER_SIGNAL || e->kind == EFFECT_BROWSER_KILL;
	r->ending |= ends;
	r->killed |= e->kind == EFFECT_BROWSER_KILL;
	r->served |= e->kind == EFFECT_BROWSER_SERVE;
	if (e->kind == EFFECT_BROWSER_RETIRE) {
		r->retired_at = s->now;
		r->rushed = books_is_rushed(e);
	}
	if (e->kind == EFFECT_BROWSER_LAUNCH)
		s->browser_generation = e->value;
}

static bool is_an_end(enum event_kind kind)
{
	return kind == EVENT_WORKER_GONE || kind == EVENT_WORKER_UNSTARTABLE || kind == EVENT_BROWSER_GONE ||
	       kind == EVENT_BROWSER_UNSTARTABLE;
}

static const struct worker *find(struct sim *s, const struct config_worker *c, int instance)
{
	EACH_WORKER(s, w)
	if (strcmp(w->config->name, c->name) == 0 && w->instance == instance &&
		(w->config->instances > 1) == (c->instances > 1))
		return w;
	return NULL;
}

static void note_check_of_database(struct sim *s, const struct event *e)
{
	uint64_t *under_way = &s->checks_under_way[e->postgres.canary];
	if (*under_way == e->run)
		*under_way = 0;
}

/* There is one of each; what is told of another is nobody's. */
static void note_part_fact(struct sim *s, const struct event *e)
{
	if (e->slot)
		return;
	switch (e->kind) {
	case EVENT_POSTGRES_ANSWERED:
		s->database_answered = true;
		note_check_of_database(s, e);
		break;
	case EVENT_POSTGRES_FAILED:
		note_check_of_database(s, e);
		break;
	case EVENT_POSTGRES_CLOSED:
		s->checks_under_way[0] = s->checks_under_way[1] = 0;
		break;
	case EVENT_VOLUME_PREPARED:
		s->volume_prepared = true;
		break;
	case EVENT_VOLUME_RELEASED:
		s->volume_prepared = false;
		break;
	case EVENT_VOLUME_PURGED:
		s->purging &= e->volume.purge.more;
		break;
	case EVENT_MEMORY_MEASURED:
		s->memory_above |=
			e->memory.used_bytes > e->memory.limit_bytes / 100 * s->world->config->memory.high_percent;
		break;
	case EVENT_BROWSER_ANSWERED:
		note_rung(s, e);
		break;
	case EVENT_BROWSER_SESSIONS:
		if (e->run < RUNS_MAX)
			s->runs[e->run].sessions = e->sessions.now;
		break;
	default:
		break;
	}
}

void books_note_fact(struct sim *s, const struct event *e)
{
	struct book *b = books_of_run(s, e->run);
	if (b && e->kind <= EVENT_WORKER_STOP_COMMAND)
		note_worker_fact(s, e, b);
	note_part_fact(s, e);
	s->was_queued = e->slot < s->world->n_workers && s->world->workers[e->slot].schedule.queued;
}

void books_note_outcome(struct sim *s, const struct event *e)
{
	struct book *b = books_of_run(s, e->run);
	if (is_an_end(e->kind)) {
		if (b)
			note_end(s, &s->world->workers[e->slot], b);
		bury(s, e->run);
		return;
	}
	bool asked = e->kind == EVENT_ASKED_START || e->kind == EVENT_ASKED_RESTART;
	if (!asked || e->slot >= s->world->n_workers || !s->world->workers[e->slot].config)
		return;
	b = books_of(s, &s->world->workers[e->slot]);
	if (!b->alive)
		books_forgive(b);
}

/* What is new or changed begins without a past. */
void books_note_reload(struct sim *s, const struct config *config)
{
	for (size_t i = 0; i < config->n_workers; i++)
		for (int k = 0; k < config->workers[i].instances; k++) {
			const struct worker *w = find(s, &config->workers[i], k);
			struct book *b = &s->books[stacks_book(config, &config->workers[i], k)];
			if (!w || !config_worker_equal(w->config, &config->workers[i]))
				books_forgive(b);
		}
}
