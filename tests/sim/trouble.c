/* What people, reloads and bad luck bring: one disturbance at a time, drawn by lot. */
#include <errno.h>

#include "podvisor/model/reload.h"
#include "books.h"

/* Each life has a climate of its own: some know one fault only, and it often. */
static int some(struct sim *s, int max)
{
	return chance(s, 50) ? 0 : 1 + (int)random_below(&s->random, (uint64_t)max);
}

void trouble_set_weather(struct sim *s)
{
	s->weather = (struct weather){
		.late = some(s, 20),
		.twice = some(s, 20),
		.lost = some(s, 40),
		.bursts = some(s, 10),
		.leaps = some(s, 3),
		.unstartable = some(s, 15),
		.stillborn = some(s, 15),
		.deaf = some(s, 60),
		.leftovers = some(s, 40),
		.misses = some(s, 20),
		.reloads = some(s, 40),
	};
}

/* ---- bad luck ---- */

static void kill_some(struct sim *s)
{
	for (size_t i = 0; i < s->n_alive; i++)
		if (chance(s, 30))
			outside_die(s, s->alive[i], chance(s, 50) ? 9 : chance(s, 50) ? 0x700 : 0, 0);
}

/* No process can be started for a while: no memory, no descriptors, too many processes. */
static void exhaust(struct sim *s)
{
	static const int errors[] = {-EAGAIN, -ENOMEM, -EMFILE, -ENOENT};
	s->spawn_error = errors[random_below(&s->random, 4)];
	s->spawn_error_until = s->now + a_while(s, 20000);
}

static void lose_database(struct sim *s)
{
	if (!s->world->n_databases)
		return;
	s->database_up = !s->database_up;
	if (!s->database_up)
		life_tell(s, &(struct event){.kind = EVENT_POSTGRES_LOST, .run = s->world->databases[0].run});
}

static void mute_browser(struct sim *s)
{
	s->mute_until = s->now + a_while(s, 60000);
}

/* One of those that live, or one that is long gone. */
static uint64_t pick_run(struct sim *s)
{
	if (s->n_alive && chance(s, 80))
		return s->alive[random_below(&s->random, s->n_alive)];
	return random_below(&s->random, s->world->next_run);
}

/* Anything that sd_notify(3) knows. */
static void notify(struct sim *s)
{
	static const unsigned bits[] = {NOTIFIED_READY, NOTIFIED_STOPPING, NOTIFIED_RELOADING, NOTIFIED_WATCHDOG,
		NOTIFIED_STATUS, NOTIFIED_PROGRESS, NOTIFIED_EXTEND, NOTIFIED_MAINPID, NOTIFIED_ERRNO,
		NOTIFIED_WATCHDOG_USEC, NOTIFIED_TRIGGER, NOTIFIED_FDSTORE};
	uint64_t run = pick_run(s);
	struct event e = {.kind = EVENT_WORKER_NOTIFIED, .slot = s->runs[run].slot, .run = run, .text = "busy"};
	do
		e.notified.bits |= bits[random_below(&s->random, sizeof(bits) / sizeof(bits[0]))];
	while (chance(s, 30));
	e.notified.extend_us = a_while(s, 20000) * 1000;
	e.notified.watchdog_us = chance(s, 30) ? 0 : a_while(s, 30000) * 1000;
	e.notified.mainpid = (int)(2000 + random_below(&s->random, 10));
	e.notified.errno_value = 2;
	e.notified.progress = s->now;
	if (!s->runs[run].browser)
		life_post(s, 0, e);
}

/* A fact about nobody: a slot that there is not, or a run that is long over. */
static void confuse(struct sim *s)
{
	struct event e = {.kind = (enum event_kind)random_below(&s->random, EVENT_GATEWAY_LISTENING), .text = "?"};
	if (chance(s, 50))
		e.slot = SLOTS_MAX + (uint32_t)random_below(&s->random, SLOTS_MAX);
	else
		e.run = s->world->next_run + random_below(&s->random, 100);
	bool of_no_run = e.kind >= EVENT_VOLUME_PREPARED && e.kind <= EVENT_POSTGRES_CLOSED;
	if (!of_no_run || e.slot)
		life_tell(s, &e);
}

/* The clock on the wall is right, or wrong by up to what is made up by waiting. */
static void set_clock(struct sim *s)
{
	s->wall_ahead = WALL + (chance(s, 30) ? 0 : a_while(s, SCHEDULE_BACK_MAX_S * 1000));
}

/* ---- people ---- */

static void ask(struct sim *s, enum event_kind kind)
{
	struct event e = {.kind = kind, .slot = (uint32_t)random_below(&s->random, s->world->n_workers)};
	life_tell(s, &e);
	if (chance(s, 20))
		life_tell(s, &e);
}

static void ask_something(struct sim *s)
{
	static const enum event_kind kinds[] = {EVENT_ASKED_START, EVENT_ASKED_STOP, EVENT_ASKED_RESTART};
	ask(s, kinds[random_below(&s->random, 3)]);
}

static void ask_browser(struct sim *s)
{
	static const enum event_kind kinds[] = {
		EVENT_ASKED_BROWSER_START, EVENT_ASKED_BROWSER_STOP, EVENT_ASKED_BROWSER_RESTART};
	life_tell(s, &(struct event){.kind = kinds[random_below(&s->random, 3)]});
}

/* The memory guard, or a volume that is full. */
static void press_browser(struct sim *s)
{
	struct world *w = s->world;
	if (w->n_browsers && !s->roomy)
		browser_ask_recycle(&w->browsers[0], chance(s, 50) ? RECYCLE_PRESSURE : RECYCLE_FULL);
}

static void ask_drain(struct sim *s)
{
	life_tell(s, &(struct event){.kind = chance(s, 50) ? EVENT_ASKED_DRAIN : EVENT_ASKED_UNDRAIN});
}

static void reload_to(struct sim *s, size_t stack)
{
	struct err err = {0};
	struct config *config = stacks_get(s->small, stack);
	bool late = s->world->drain.shutdown;
	if (!late)
		books_note_reload(s, config);
	int rc = reload_apply(s->world, config, s->now, &err);
	CHECK(s, late ? rc == -EBUSY : rc == 0, "the reload ended with %d: %s", rc, err.text);
	CHECK(s, s->world->n_workers <= SLOTS_MAX, "more slots than expected");
}

static void reload(struct sim *s)
{
	do
		reload_to(s, (size_t)random_below(&s->random, stacks_count(s->small)));
	while (chance(s, 20));
}

void trouble_strike(struct sim *s)
{
	static void (*const strikes[])(struct sim *) = {kill_some, kill_some, kill_some, exhaust, lose_database,
		lose_database, mute_browser, confuse, notify, notify, notify, ask_something, ask_something,
		ask_something, ask_browser, press_browser, ask_drain, set_clock};
	if (chance(s, s->weather.reloads))
		reload(s);
	else
		strikes[random_below(&s->random, sizeof(strikes) / sizeof(strikes[0]))](s);
}

static void ask_all(struct sim *s)
{
	life_tell(s, &(struct event){.kind = EVENT_ASKED_BROWSER_START});
	for (uint32_t i = 0; i < s->world->n_workers; i++)
		if (s->world->workers[i].config)
			life_tell(s, &(struct event){.kind = EVENT_ASKED_RESTART, .slot = i});
}

/* What was under way before may still do harm, and a READY=1 that was lost does not come again. */
void trouble_is_over(struct sim *s)
{
	s->calm = s->database_up = true;
	s->wall_ahead = s->furthest * MINUTE_MS - s->now; /* what it has shown is not waited for */
	s->mute_until = s->spawn_error_until = 0;
	reload_to(s, 0);
	life_tell(s, &(struct event){.kind = EVENT_ASKED_UNDRAIN});
	life_run_until(s, s->now + 30000);
	ask_all(s);
}
