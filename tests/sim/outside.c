/* The kernel, Chrome and PostgreSQL: each effect is answered late, wrongly or not
 * at all, as chance has it, and what runs may end at any time. */
#include <errno.h>
#include <string.h>

#include "sim.h"

static struct event answer(const struct effect *e, enum event_kind kind)
{
	return (struct event){.kind = kind, .slot = e->slot, .run = e->run};
}

/* An answer that may get lost on the way. */
static void reply(struct sim *s, ms_t delay, struct event e)
{
	if (!fault(s, s->weather.lost))
		life_post(s, delay, e);
}

/* ---- processes ---- */

static void come_alive(struct sim *s, const struct effect *e, bool browser)
{
	CHECK(s, e->run < RUNS_MAX, "more runs than expected");
	CHECK(s, s->n_alive < ALIVE_MAX, "more runs at once than expected");
	s->alive[s->n_alive++] = e->run;
	struct run *r = &s->runs[e->run];
	r->life = LIFE_RUNS;
	r->browser = browser;
	r->slot = e->slot;
}

/* What it leaves behind may be stuck in the kernel for a while, and for a very long one. */
static ms_t leftovers_need(struct sim *s)
{
	if (!fault(s, s->weather.leftovers))
		return a_while(s, 20);
	return a_while(s, chance(s, 10) ? 200000 : 15000);
}

void outside_die(struct sim *s, uint64_t run, int status, ms_t delay)
{
	struct run *r = &s->runs[run];
	if (r->life != LIFE_RUNS)
		return;
	r->life = LIFE_ENDED;
	struct event e = {.kind = r->browser ? EVENT_BROWSER_EXITED : EVENT_WORKER_EXITED, .slot = r->slot, .run = run};
	e.exited.status = status;
	life_post(s, delay, e);
	e = (struct event){.kind = r->browser ? EVENT_BROWSER_GONE : EVENT_WORKER_GONE, .slot = r->slot, .run = run};
	e.killed = (int)random_below(&s->random, 3);
	life_post(s, delay + leftovers_need(s), e);
}

/* Returns 0, or why nothing can be started: streaks of the same error, and single ones. */
static int spawn_error(struct sim *s)
{
	if (s->now < s->spawn_error_until)
		return s->spawn_error;
	static const int errors[] = {-EAGAIN, -ENOMEM, -EMFILE, -ENOENT};
	return fault(s, s->weather.unstartable) ? errors[random_below(&s->random, 4)] : 0;
}

static bool is_startable(struct sim *s, const struct effect *e, enum event_kind failure)
{
	struct event failed = answer(e, failure);
	failed.error = spawn_error(s);
	if (!failed.error)
		return true;
	s->runs[e->run].life = LIFE_ENDED;
	life_post(s, a_while(s, 5), failed);
	return false;
}

static void tell_readiness(struct sim *s, const struct effect *e)
{
	const struct config_worker *config = s->world->workers[e->slot].config;
	struct event ready = answer(e, EVENT_WORKER_NOTIFIED);
	ready.notified.bits = NOTIFIED_READY;
	bool tells = config->readiness.kind == CHECK_NOTIFY || config->startup.kind == CHECK_NOTIFY;
	if (tells && !fault(s, s->weather.misses))
		life_post(s, 5 + a_while(s, 2000), ready);
}

/* Work that moves forward says so every few seconds, until it stands still. */
static void tell_progress(struct sim *s, uint64_t run)
{
	const struct run *r = &s->runs[run];
	struct event progress = {.kind = EVENT_WORKER_NOTIFIED, .slot = r->slot, .run = run};
	progress.notified.bits = NOTIFIED_PROGRESS;
	progress.notified.progress = s->now;
	if (r->life == LIFE_RUNS && !r->browser && !fault(s, 10))
		life_post(s, 5000 + a_while(s, 5000), progress);
}

/* A job's last words: then it ends by itself, unless something has ended it before. Some take very long. */
static void begin_job(struct sim *s, const struct effect *e)
{
	struct event done = answer(e, EVENT_WORKER_NOTIFIED);
	done.notified.bits = NOTIFIED_STATUS;
	strcpy(done.text, fault(s, 20) ? "failed" : "done");
	life_post(s, 10 + a_while(s, fault(s, 25) ? 200000 : 300), done);
}

static void measure_browser(struct sim *s, uint32_t slot, uint64_t run);

void outside_hear(struct sim *s, const struct event *e)
{
	if (e->kind == EVENT_BROWSER_MEASURED && e->run < RUNS_MAX && s->runs[e->run].browser)
		measure_browser(s, e->slot, e->run);
	if (e->kind == EVENT_WORKER_NOTIFIED && e->notified.bits == NOTIFIED_PROGRESS)
		tell_progress(s, e->run);
	if (e->kind == EVENT_WORKER_NOTIFIED && strcmp(e->text, "done") == 0)
		outside_die(s, e->run, 0, 0);
	if (e->kind == EVENT_WORKER_NOTIFIED && strcmp(e->text, "failed") == 0)
		outside_die(s, e->run, 0x100, 0);
}

static void spawn(struct sim *s, const struct effect *e)
{
	come_alive(s, e, false);
	if (!is_startable(s, e, EVENT_WORKER_UNSTARTABLE))
		return;
	struct event started = answer(e, EVENT_WORKER_STARTED);
	started.pid = (int)(1000 + e->run);
	life_post(s, a_while(s, 5), started);
	if (fault(s, s->weather.stillborn))
		outside_die(s, e->run, chance(s, 50) ? 0x100 : 11, 5 + a_while(s, 50));
	else if (s->world->workers[e->slot].config->kind == WORKER_TASK)
		outside_die(s, e->run, fault(s, 20) ? 0x100 : 0, 10 + a_while(s, 300));
	if (s->world->workers[e->slot].config->kind == WORKER_JOB)
		begin_job(s, e);
	tell_readiness(s, e);
	if (s->world->workers[e->slot].config->progress.notify)
		tell_progress(s, e->run);
}

static void signal_worker(struct sim *s, const struct effect *e)
{
	if (!fault(s, s->weather.deaf))
		outside_die(s, e->run, 0, a_while(s, 300));
}

static void kill_tree(struct sim *s, const struct effect *e)
{
	outside_die(s, e->run, 9, a_while(s, 10));
}

/* ---- what is asked of workers ---- */

static void check_worker(struct sim *s, const struct effect *e)
{
	struct event checked = answer(e, EVENT_WORKER_CHECKED);
	checked.checked.probe = (enum probe)e->value;
	checked.checked.shortage = s->now < s->spawn_error_until; /* for the check as for any process */
	checked.checked.ok = !checked.checked.shortage && !fault(s, s->weather.misses);
	strcpy(checked.text, "refused");
	life_post(s, a_while(s, 50), checked);
}

static void inspect(struct sim *s, const struct effect *e)
{
	struct event inspected = answer(e, EVENT_WORKER_INSPECTED);
	inspected.inspected.stopped = fault(s, 10);
	inspected.inspected.pressure_percent = (int)random_below(&s->random, 101);
	reply(s, a_while(s, 1000), inspected);
}

/* And a watchdog that is fed, most of the time: with each question for the progress. */
static void ask_progress(struct sim *s, const struct effect *e)
{
	struct event progressed = answer(e, EVENT_WORKER_PROGRESSED);
	progressed.progressed.ok = s->database_up;
	progressed.progressed.value = fault(s, 70) ? 7 : (double)s->now;
	reply(s, a_while(s, 500), progressed);
	struct event fed = answer(e, EVENT_WORKER_NOTIFIED);
	fed.notified.bits = NOTIFIED_WATCHDOG;
	if (s->runs[e->run].life == LIFE_RUNS && !fault(s, 5))
		life_post(s, 1000 + a_while(s, 500), fed);
}

static void measure(struct sim *s, const struct effect *e)
{
	struct event measured = answer(e, EVENT_WORKER_MEASURED);
	measured.memory_bytes = fault(s, 40) ? (int64_t)2 << 30 : fault(s, 10) ? -1 : 1 << 20;
	reply(s, a_while(s, 500), measured);
}

/* How much of the pod's limit is used drifts, and what was done for it helps for a while. */
static void measure_memory(struct sim *s, const struct effect *e)
{
	struct event measured = answer(e, EVENT_MEMORY_MEASURED);
	int64_t limit = (int64_t)1 << 30;
	if (s->step.at == s->now || s->calm)
		s->hunger = 50;
	s->hunger += (int)random_below(&s->random, 30) - 14;
	s->hunger = s->hunger < 40 ? 40 : s->hunger > 99 ? 99 : s->hunger;
	measured.memory = (struct event_memory){.limit_bytes = limit,
		.used_bytes = limit / 100 * s->hunger,
		.charged_bytes = limit,
		.pressure_ratio = -1};
	if (s->calm)
		measured.memory.used_bytes = limit / 2;
	reply(s, a_while(s, 300), measured);
}

static void weigh(struct sim *s, const struct effect *e)
{
	for (size_t i = 0; i < s->n_alive; i++) {
		const struct run *r = &s->runs[s->alive[i]];
		struct event weighed = {.kind = EVENT_WORKER_MEASURED, .slot = r->slot, .run = s->alive[i]};
		weighed.memory_bytes = fault(s, 10) ? -1 : a_while(s, 500) << 20;
		if (!r->browser)
			reply(s, a_while(s, 200), weighed);
	}
	reply(s, 200, answer(e, EVENT_MEMORY_WEIGHED));
}

/* One that runs until it is forgotten, or that ends the worker itself. */
static void run_stop_command(struct sim *s, const struct effect *e)
{
	struct event ended = answer(e, EVENT_WORKER_STOP_COMMAND);
	ended.done = chance(s, 80);
	strcpy(ended.text, "exited with code 1");
	reply(s, a_while(s, 2000), ended);
	if (chance(s, 20))
		outside_die(s, e->run, 0, a_while(s, 2000));
}

/* ---- Chrome ---- */

static void measure_browser(struct sim *s, uint32_t slot, uint64_t run)
{
	struct event e = {.kind = EVENT_BROWSER_MEASURED, .slot = slot, .run = run};
	struct run *r = &s->runs[run];
	if (r->life != LIFE_RUNS || r->measure_at > s->now)
		return;
	r->measure_at = s->now + 25000; /* more seldom than it is: a life is about all of it */
	e.census.memory_bytes = fault(s, 2) ? (int64_t)1900 << 20 : fault(s, 5) ? (int64_t)1300 << 20 : 300 << 20;
	e.census.room_bytes = s->roomy || s->calm || chance(s, 50) ? -1 : 100 << 20;
	e.census.gpu_exits = fault(s, 5);
	e.census.zygotes_lost = fault(s, 1);
	life_post(s, 25000 + a_while(s, 1000), e);
}

static void launch_browser(struct sim *s, const struct effect *e)
{
	come_alive(s, e, true);
	if (!is_startable(s, e, EVENT_BROWSER_UNSTARTABLE))
		return;
	struct event started = answer(e, EVENT_BROWSER_STARTED);
	started.pid = (int)(1000 + e->run);
	life_post(s, a_while(s, 20), started);
	if (fault(s, s->weather.stillborn))
		outside_die(s, e->run, 0x500, a_while(s, 2000));
	measure_browser(s, e->slot, e->run);
}

/* Clients come at once; some stay. */
static void serve_browser(struct sim *s, const struct effect *e)
{
	struct event came = answer(e, EVENT_BROWSER_SESSIONS);
	came.sessions.now = came.sessions.ever = (int64_t)random_below(&s->random, 4);
	life_post(s, a_while(s, 5000), came);
}

/* Most clients go in time. */
static void retire_browser(struct sim *s, const struct effect *e)
{
	struct event went = answer(e, EVENT_BROWSER_SESSIONS);
	went.sessions.ever = 4;
	if (chance(s, 70))
		life_post(s, 5000 + a_while(s, 30000), went);
}

static void probe_browser(struct sim *s, const struct effect *e)
{
	if (s->runs[e->run].life != LIFE_RUNS)
		return;
	struct event answered = answer(e, EVENT_BROWSER_ANSWERED);
	answered.browser.rung = (enum rung)(e->value & ~BROWSER_PROBE_FRESH);
	answered.browser.ok = s->now >= s->mute_until && !fault(s, s->weather.misses);
	answered.browser.port = 9999;
	strcpy(answered.text, "no answer");
	life_post(s, 1 + a_while(s, 400), answered);
}

static void close_browser(struct sim *s, const struct effect *e)
{
	if (!fault(s, s->weather.deaf))
		outside_die(s, e->run, 0, a_while(s, 300));
}

/* ---- PostgreSQL ---- */

static void check_database(struct sim *s, const struct effect *e)
{
	bool ok = s->database_up;
	struct event answered = answer(e, ok ? EVENT_POSTGRES_ANSWERED : EVENT_POSTGRES_FAILED);
	answered.postgres.canary = e->kind == EFFECT_POSTGRES_CANARY;
	answered.postgres.reason = ok ? POSTGRES_REASON_NONE : POSTGRES_REASON_UNREACHABLE;
	answered.postgres.permanent = !ok && fault(s, 5);
	answered.postgres.max_connections = 100;
	answered.postgres.timeline = 1;
	life_post(s, 1 + a_while(s, 30), answered);
}

/* ---- the rest ---- */

static void close_database(struct sim *s, const struct effect *e)
{
	life_post(s, a_while(s, 5), answer(e, EVENT_POSTGRES_CLOSED));
}

/* Of inodes alone it has too few at times. */
static struct event look_at_volume(struct sim *s, const struct effect *e, enum event_kind kind)
{
	struct event looked = answer(e, kind);
	looked.volume.size_bytes = (int64_t)8 << 30;
	looked.volume.used_bytes = (int64_t)1 << 30;
	looked.volume.size_inodes = 100;
	looked.volume.used_inodes = fault(s, 40) ? 90 : 50;
	looked.volume.is_tmpfs = true;
	return looked;
}

static void prepare_volume(struct sim *s, const struct effect *e)
{
	life_post(s, a_while(s, 50), look_at_volume(s, e, EVENT_VOLUME_PREPARED));
}

static void measure_volume(struct sim *s, const struct effect *e)
{
	life_post(s, a_while(s, 5), look_at_volume(s, e, EVENT_VOLUME_MEASURED));
}

static void purge_volume(struct sim *s, const struct effect *e)
{
	struct event purged = look_at_volume(s, e, EVENT_VOLUME_PURGED);
	purged.volume.purge.files = (int)random_below(&s->random, 3);
	purged.volume.purge.more = fault(s, 50);
	life_post(s, 1 + a_while(s, 300), purged);
}

static void release_volume(struct sim *s, const struct effect *e)
{
	life_post(s, a_while(s, 50), answer(e, EVENT_VOLUME_RELEASED));
}

static void clean_browser(struct sim *s, const struct effect *e)
{
	life_post(s, a_while(s, 50), answer(e, EVENT_BROWSER_CLEANED));
}

static void listen_at_gateway(struct sim *s, const struct effect *e)
{
	(void)e;
	bool fails = fault(s, s->weather.unstartable);
	life_post(s, a_while(s, 5),
		(struct event){.kind = fails ? EVENT_GATEWAY_FAILED : EVENT_GATEWAY_LISTENING, .text = "127.0.0.1"});
}

/* Some connections never end. */
static void drain_gateway(struct sim *s, const struct effect *e)
{
	(void)e;
	if (!fault(s, 20))
		life_post(s, a_while(s, 20000), (struct event){.kind = EVENT_GATEWAY_EMPTY});
}

static void close_gateway(struct sim *s, const struct effect *e)
{
	(void)e;
	life_post(s, a_while(s, 5), (struct event){.kind = EVENT_GATEWAY_EMPTY});
}

static void end(struct sim *s, const struct effect *e)
{
	s->ended = true;
	s->exit_code = (int)e->value;
}

void outside_carry_out(struct sim *s, const struct effect *e)
{
	static void (*const doers[EFFECT_KIND_COUNT])(struct sim *, const struct effect *) = {
		[EFFECT_WORKER_SPAWN] = spawn,
		[EFFECT_WORKER_SIGNAL] = signal_worker,
		[EFFECT_WORKER_KILL] = kill_tree,
		[EFFECT_WORKER_CHECK] = check_worker,
		[EFFECT_WORKER_PROGRESS] = ask_progress,
		[EFFECT_WORKER_MEASURE] = measure,
		[EFFECT_WORKER_INSPECT] = inspect,
		[EFFECT_WORKER_STOP_COMMAND] = run_stop_command,
		[EFFECT_VOLUME_PREPARE] = prepare_volume,
		[EFFECT_VOLUME_MEASURE] = measure_volume,
		[EFFECT_VOLUME_PURGE] = purge_volume,
		[EFFECT_VOLUME_RELEASE] = release_volume,
		[EFFECT_MEMORY_MEASURE] = measure_memory,
		[EFFECT_MEMORY_WEIGH] = weigh,
		[EFFECT_POSTGRES_CHECK] = check_database,
		[EFFECT_POSTGRES_CANARY] = check_database,
		[EFFECT_POSTGRES_CLOSE] = close_database,
		[EFFECT_BROWSER_LAUNCH] = launch_browser,
		[EFFECT_BROWSER_PROBE] = probe_browser,
		[EFFECT_BROWSER_SERVE] = serve_browser,
		[EFFECT_BROWSER_RETIRE] = retire_browser,
		[EFFECT_BROWSER_CLOSE] = close_browser,
		[EFFECT_BROWSER_SIGNAL] = close_browser,
		[EFFECT_BROWSER_KILL] = kill_tree,
		[EFFECT_BROWSER_CLEAN] = clean_browser,
		[EFFECT_GATEWAY_LISTEN] = listen_at_gateway,
		[EFFECT_GATEWAY_SERVE] = listen_at_gateway,
		[EFFECT_GATEWAY_DRAIN] = drain_gateway,
		[EFFECT_GATEWAY_CLOSE] = close_gateway,
		[EFFECT_EXIT] = end,
	};
	if (doers[e->kind])
		doers[e->kind](s, e);
}
