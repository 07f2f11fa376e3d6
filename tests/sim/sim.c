/* The pure model in virtual time: a world of seeded chance answers the plan's
 * effects late, wrongly or not at all, kills what runs, takes databases away,
 * and asks for starts, stops and the end. What must hold always is checked at
 * every step. A failing run prints its seed: SIM_SEED=n repeats it alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "podvisor/base/random.h"
#include "podvisor/model/reconcile.h"
#include "podvisor/model/verdict.h"
#include "podvisor/model/world.h"

enum { RUNS_MAX = 4096, PENDING_MAX = 256 };

static const char config_text[] =
	"{ \"shutdown\": { \"deadline\": \"55s\" },"
	"  \"volumes\": { \"tmp\": { \"path\": \"/v\", \"size\": \"1Mi\", \"mount\": \"any\" } },"
	"  \"postgres\": { \"main\": { \"dsn\": \"host=db\" } },"
	"  \"browsers\": { \"chrome\": { \"volume\": \"tmp\", \"executable\": \"/c\" } },"
	"  \"workers\": {"
	"    \"db\": { \"command\": [\"db\"], \"stop\": { \"phase\": \"after-drain\" } },"
	"    \"migrate\": { \"command\": [\"m\"], \"kind\": \"task\", \"depends_on\": [\"postgres:main\", \"db\"] },"
	"    \"api\": { \"command\": [\"api\"], \"depends_on\": [\"migrate\", \"db\"], \"critical\": true,"
	"      \"readiness\": { \"http\": \"http://127.0.0.1:1/\", \"interval\": \"1s\" },"
	"      \"liveness\": { \"tcp\": \"127.0.0.1:1\", \"interval\": \"2s\" },"
	"      \"restart\": { \"limit\": { \"count\": 60, \"window\": \"10s\" } },"
	"      \"stop\": { \"phase\": \"after-drain\", \"timeout\": \"5s\", \"command\": [\"quit\"] } },"
	"    \"cache\": { \"command\": [\"c\"], \"restart_with\": [\"api\", \"browser:chrome\"],"
	"      \"liveness\": { \"notify\": true, \"timeout\": \"6s\" }, \"limits\": { \"memory\": \"1Gi\" },"
	"      \"progress\": { \"postgres\": \"main\", \"sql\": \"s\", \"stalled_after\": \"20s\", \"interval\": "
	"\"2s\" },"
	"      \"restart\": { \"limit\": { \"count\": 60, \"window\": \"10s\" } } },"
	"    \"left\": { \"command\": [\"l\"], \"restart_with\": [\"right\"], \"depends_on\": [\"db\"],"
	"      \"restart\": { \"limit\": { \"count\": 60, \"window\": \"10s\" } } },"
	"    \"right\": { \"command\": [\"r\"], \"restart_with\": [\"left\"],"
	"      \"restart\": { \"limit\": { \"count\": 60, \"window\": \"10s\" } } },"
	"    \"indexer\": { \"command\": [\"i\"], \"depends_on\": [\"postgres:main\", \"api\"],"
	"      \"on_dependency_loss\": \"pause\", \"grace\": \"2s\", \"stop\": { \"timeout\": \"300ms\" } },"
	"    \"valuation\": { \"command\": [\"v\"], \"instances\": 3,"
	"      \"depends_on\": [\"browser:chrome\", \"volume:tmp\", \"postgres:main\"],"
	"      \"startup\": { \"exec\": [\"true\"], \"interval\": \"1s\", \"failure_threshold\": 5 } } },"
	"  \"gateway\": { \"listen\": \"127.0.0.1:8080\", \"routes\": [ { \"path\": \"/\", \"worker\": \"api\", "
	"\"to\": "
	"\"127.0.0.1:1\" } ] } }";

enum life { LIFE_NONE, LIFE_SPAWNED, LIFE_RUNS, LIFE_ENDED, LIFE_GONE };

struct pending {
	ms_t at;
	struct event event;
};

struct sim {
	uint64_t seed;
	struct random random;
	struct world *world;
	struct plan plan;
	ms_t now;
	struct pending pending[PENDING_MAX];
	size_t n_pending;
	enum life lives[RUNS_MAX];
	uint32_t slots[RUNS_MAX];
	uint64_t comebacks[16]; /* by worker slot, at its last spawn */
	bool browser_run[RUNS_MAX];
	bool calm; /* no more faults */
	bool database_up;
	bool ended;
	int exit_code;
	uint64_t steps;
};

#define CHECK(sim, what, ...)                                                                                       \
	do {                                                                                                        \
		if (!(what)) {                                                                                      \
			print_error(                                                                                \
				"seed %llu, at %lld ms: ", (unsigned long long)(sim)->seed, (long long)(sim)->now); \
			fail_msg(__VA_ARGS__);                                                                      \
		}                                                                                                   \
	} while (0)

static bool chance(struct sim *s, int percent)
{
	return (int)random_below(&s->random, 100) < percent;
}

static void later(struct sim *s, ms_t delay, struct event event)
{
	CHECK(s, s->n_pending < PENDING_MAX, "too many answers are under way");
	s->pending[s->n_pending++] = (struct pending){s->now + delay, event};
}

static ms_t a_while(struct sim *s, ms_t max)
{
	return (ms_t)random_below(&s->random, (uint64_t)max + 1);
}

static struct event answer(const struct effect *e, enum event_kind kind)
{
	return (struct event){.kind = kind, .slot = e->slot, .run = e->run};
}

/* ---- the kernel, Chrome and PostgreSQL, as chance has them ---- */

static void die(struct sim *s, uint64_t run, int status, ms_t delay)
{
	if (s->lives[run] != LIFE_RUNS)
		return;
	s->lives[run] = LIFE_ENDED;
	bool browser = s->browser_run[run];
	struct event e = {
		.kind = browser ? EVENT_BROWSER_EXITED : EVENT_WORKER_EXITED, .slot = s->slots[run], .run = run};
	e.exited.status = status;
	later(s, delay, e);
	e = (struct event){.kind = browser ? EVENT_BROWSER_GONE : EVENT_WORKER_GONE, .slot = s->slots[run], .run = run};
	later(s, delay + a_while(s, 20), e);
}

/* Runs of database sessions share the numbers but have no life. */
static bool is_there(const struct sim *s, uint64_t run)
{
	return s->lives[run] != LIFE_NONE && s->lives[run] != LIFE_GONE;
}

static bool is_task(const struct sim *s, uint32_t slot)
{
	return s->world->workers[slot].config->kind == WORKER_TASK;
}

static bool restarts_with(const struct worker *other, const char *name)
{
	for (size_t i = 0; i < other->config->n_restart_with; i++) {
		struct config_ref ref = other->config->restart_with[i];
		if (ref.thing == THING_WORKER && strcmp(other->source->workers[ref.index].name, name) == 0)
			return true;
	}
	return false;
}

/* Who comes back finds nobody of its group still up who was there before. */
static void check_group(struct sim *s, uint32_t slot)
{
	const struct worker *me = &s->world->workers[slot];
	const struct worker_run *last = worker_last_run(me);
	bool comeback = me->comebacks > s->comebacks[slot];
	s->comebacks[slot] = me->comebacks;
	for (size_t i = 0; comeback && i < s->world->n_workers; i++) {
		const struct worker *other = &s->world->workers[i];
		bool older = worker_is_up(other) && other->run < last->run;
		CHECK(s, !older || !restarts_with(other, me->config->name), "%s came back before %s was down", me->name,
			other->name);
	}
}

static void spawn(struct sim *s, const struct effect *e)
{
	check_group(s, e->slot);
	CHECK(s, e->run < RUNS_MAX, "more runs than expected");
	for (uint64_t run = 1; run < e->run; run++)
		CHECK(s, s->slots[run] != e->slot || s->browser_run[run] || !is_there(s, run),
			"worker %s is spawned while its run %llu is still there", s->world->workers[e->slot].name,
			(unsigned long long)run);
	/* A worker that outlives the drain is kept running until it is over. */
	bool outlives = s->world->workers[e->slot].config->stop.phase == STOP_AFTER_DRAIN;
	enum drain_state latest = outlives ? DRAIN_DRAINING : DRAIN_SERVING;
	CHECK(s, !s->world->drain.shutdown || s->world->drain.state <= latest, "a spawn during the shutdown");
	s->slots[e->run] = e->slot;
	s->lives[e->run] = LIFE_SPAWNED;
	if (!s->calm && chance(s, 5)) {
		struct event failed = answer(e, EVENT_WORKER_UNSTARTABLE);
		failed.error = -2;
		s->lives[e->run] = LIFE_GONE;
		later(s, a_while(s, 5), failed);
		return;
	}
	struct event started = answer(e, EVENT_WORKER_STARTED);
	started.pid = (int)(1000 + e->run);
	s->lives[e->run] = LIFE_RUNS;
	later(s, a_while(s, 5), started);
	if (is_task(s, e->slot))
		die(s, e->run, !s->calm && chance(s, 20) ? 0x100 : 0, 10 + a_while(s, 300));
}

static void signal_worker(struct sim *s, const struct effect *e)
{
	if (!s->calm && chance(s, 20))
		return; /* deaf */
	die(s, e->run, 0, a_while(s, 300));
}

static void check_worker(struct sim *s, const struct effect *e)
{
	struct event checked = answer(e, EVENT_WORKER_CHECKED);
	checked.checked.probe = (enum probe)e->value;
	checked.checked.ok = s->calm || !chance(s, 15);
	later(s, a_while(s, 50), checked);
}

/* A watchdog that is fed, most of the time: with each question for the progress. */
static void feed(struct sim *s, const struct effect *e)
{
	struct event fed = answer(e, EVENT_WORKER_NOTIFIED);
	fed.notified.bits = NOTIFIED_WATCHDOG;
	if (s->lives[e->run] == LIFE_RUNS && (s->calm || chance(s, 95)))
		later(s, 1000 + a_while(s, 500), fed);
}

static void inspect(struct sim *s, const struct effect *e)
{
	struct event inspected = answer(e, EVENT_WORKER_INSPECTED);
	inspected.inspected.stopped = !s->calm && chance(s, 10);
	inspected.inspected.pressure_percent = (int)random_below(&s->random, 101);
	if (s->calm || chance(s, 90))
		later(s, a_while(s, 1000), inspected);
}

static void ask_progress(struct sim *s, const struct effect *e)
{
	struct event progressed = answer(e, EVENT_WORKER_PROGRESSED);
	progressed.progressed.ok = s->database_up;
	progressed.progressed.value = s->calm || chance(s, 30) ? (double)s->now : 7;
	later(s, a_while(s, 500), progressed);
}

static void measure(struct sim *s, const struct effect *e)
{
	struct event measured = answer(e, EVENT_WORKER_MEASURED);
	measured.memory_bytes = !s->calm && chance(s, 40) ? (int64_t)2 << 30 : 1 << 20;
	later(s, a_while(s, 500), measured);
}

/* One that runs until it is forgotten, or that ends the worker itself. */
static void run_stop_command(struct sim *s, const struct effect *e)
{
	struct event ended = answer(e, EVENT_WORKER_STOP_COMMAND);
	ended.done = chance(s, 80);
	if (s->calm || chance(s, 80))
		later(s, a_while(s, 2000), ended);
	if (chance(s, 20))
		die(s, e->run, 0, a_while(s, 2000));
}

static void launch_browser(struct sim *s, const struct effect *e)
{
	for (uint64_t run = 1; run < e->run; run++)
		CHECK(s, !s->browser_run[run] || s->slots[run] != e->slot || !is_there(s, run),
			"a browser is launched beside its own run %llu", (unsigned long long)run);
	s->slots[e->run] = e->slot;
	s->browser_run[e->run] = true;
	s->lives[e->run] = LIFE_RUNS;
	struct event started = answer(e, EVENT_BROWSER_STARTED);
	started.pid = (int)(1000 + e->run);
	later(s, a_while(s, 20), started);
}

static void probe_browser(struct sim *s, const struct effect *e)
{
	if (s->lives[e->run] != LIFE_RUNS)
		return;
	struct event answered = answer(e, EVENT_BROWSER_ANSWERED);
	answered.browser.rung = (enum rung)e->value;
	answered.browser.ok = s->calm || !chance(s, 10);
	answered.browser.port = 9999;
	later(s, 1 + a_while(s, 400), answered);
}

static void check_database(struct sim *s, const struct effect *e)
{
	bool ok = s->database_up;
	struct event answered = answer(e, ok ? EVENT_POSTGRES_ANSWERED : EVENT_POSTGRES_FAILED);
	answered.postgres.canary = e->kind == EFFECT_POSTGRES_CANARY;
	answered.postgres.reason = ok ? POSTGRES_REASON_NONE : POSTGRES_REASON_UNREACHABLE;
	answered.postgres.max_connections = 100;
	answered.postgres.timeline = 1;
	later(s, 1 + a_while(s, 30), answered);
}

static void carry_out(struct sim *s, const struct effect *e)
{
	switch (e->kind) {
	case EFFECT_WORKER_SPAWN:
		spawn(s, e);
		break;
	case EFFECT_WORKER_SIGNAL:
		signal_worker(s, e);
		break;
	case EFFECT_WORKER_KILL:
	case EFFECT_BROWSER_KILL:
		die(s, e->run, 9, a_while(s, 10));
		break;
	case EFFECT_WORKER_CHECK:
		check_worker(s, e);
		break;
	case EFFECT_WORKER_INSPECT:
		inspect(s, e);
		break;
	case EFFECT_WORKER_PROGRESS:
		ask_progress(s, e);
		feed(s, e);
		break;
	case EFFECT_WORKER_MEASURE:
		measure(s, e);
		break;
	case EFFECT_WORKER_STOP_COMMAND:
		run_stop_command(s, e);
		break;
	case EFFECT_VOLUME_PREPARE:
		later(s, a_while(s, 50), answer(e, EVENT_VOLUME_PREPARED));
		break;
	case EFFECT_VOLUME_MEASURE:
		later(s, a_while(s, 5), answer(e, EVENT_VOLUME_MEASURED));
		break;
	case EFFECT_VOLUME_RELEASE:
		later(s, a_while(s, 50), answer(e, EVENT_VOLUME_RELEASED));
		break;
	case EFFECT_POSTGRES_CHECK:
	case EFFECT_POSTGRES_CANARY:
		check_database(s, e);
		break;
	case EFFECT_POSTGRES_CLOSE:
		later(s, a_while(s, 5), answer(e, EVENT_POSTGRES_CLOSED));
		break;
	case EFFECT_BROWSER_LAUNCH:
		launch_browser(s, e);
		break;
	case EFFECT_BROWSER_PROBE:
		probe_browser(s, e);
		break;
	case EFFECT_BROWSER_CLOSE:
	case EFFECT_BROWSER_SIGNAL:
		if (s->calm || chance(s, 70))
			die(s, e->run, 0, a_while(s, 300));
		break;
	case EFFECT_BROWSER_CLEAN:
		later(s, a_while(s, 50), answer(e, EVENT_BROWSER_CLEANED));
		break;
	case EFFECT_GATEWAY_LISTEN:
	case EFFECT_GATEWAY_SERVE:
		later(s, a_while(s, 5), (struct event){.kind = EVENT_GATEWAY_LISTENING});
		break;
	case EFFECT_GATEWAY_DRAIN:
		if (s->calm || chance(s, 80))
			later(s, a_while(s, 20000), (struct event){.kind = EVENT_GATEWAY_EMPTY});
		break;
	case EFFECT_GATEWAY_CLOSE:
		later(s, a_while(s, 5), (struct event){.kind = EVENT_GATEWAY_EMPTY});
		break;
	case EFFECT_EXIT:
		s->ended = true;
		s->exit_code = (int)e->value;
		break;
	default:
		break;
	}
}

/* ---- what must hold ---- */

static void check_stop_order(struct sim *s, const struct effect *e)
{
	if (e->kind != EFFECT_WORKER_SIGNAL || !s->world->drain.shutdown || s->world->drain.signals >= 3)
		return;
	if (s->world->workers[e->slot].cause != CAUSE_SHUTDOWN)
		return;
	const char *name = s->world->workers[e->slot].config->name;
	for (size_t i = 0; i < s->world->n_workers; i++) {
		const struct worker *other = &s->world->workers[i];
		for (size_t k = 0; other->config && k < other->config->n_depends_on; k++) {
			struct config_ref ref = other->config->depends_on[k];
			bool on_it = ref.thing == THING_WORKER &&
				     strcmp(s->world->config->workers[ref.index].name, name) == 0;
			CHECK(s, !on_it || !worker_is_up(other), "%s is stopped before %s, which depends on it", name,
				other->name);
		}
	}
}

static void step(struct sim *s)
{
	s->steps++;
	reconcile(s->world, s->now, &s->plan);
	for (size_t i = 0; i < s->plan.count; i++) {
		check_stop_order(s, &s->plan.effects[i]);
		carry_out(s, &s->plan.effects[i]);
	}
	ms_t wake_at = s->plan.wake_at;
	if (s->ended)
		return;
	struct plan again;
	plan_init(&again);
	reconcile(s->world, s->now, &again);
	CHECK(s, again.count == 0, "the same turn planned twice gives another effect: %s (%s)",
		effect_name(again.effects[0].kind), again.effects[0].reason);
	CHECK(s, again.wake_at >= wake_at,
		"the same turn planned twice asks to be woken earlier, at %lld instead of %lld",
		(long long)again.wake_at, (long long)wake_at);
	plan_fini(&again);
	CHECK(s, wake_at > s->now, "the plan asks to be woken in the past (%lld)", (long long)wake_at);
}

/* The next thing that happens: an answer, or the time that the plan waits for. */
static void advance(struct sim *s, ms_t until)
{
	size_t next = PENDING_MAX;
	ms_t at = clock_earlier(s->plan.wake_at, until);
	for (size_t i = 0; i < s->n_pending; i++)
		if (s->pending[i].at < at || (s->pending[i].at == at && next == PENDING_MAX)) {
			at = s->pending[i].at;
			next = i;
		}
	s->now = at > s->now ? at : s->now;
	if (next == PENDING_MAX)
		return;
	struct event e = s->pending[next].event;
	s->pending[next] = s->pending[--s->n_pending];
	if (e.kind == EVENT_WORKER_GONE || e.kind == EVENT_BROWSER_GONE)
		s->lives[e.run] = LIFE_GONE;
	world_apply(s->world, &e, s->now);
}

static void run_until(struct sim *s, ms_t until)
{
	while (s->now < until && !s->ended) {
		step(s);
		if (!s->ended)
			advance(s, until);
	}
}

static void disturb(struct sim *s)
{
	struct event e = {.kind = EVENT_ASKED_RESTART, .slot = (uint32_t)random_below(&s->random, s->world->n_workers)};
	switch (random_below(&s->random, 8)) {
	case 0:
	case 1:
	case 2:
		for (uint64_t run = 1; run < RUNS_MAX; run++)
			if (s->lives[run] == LIFE_RUNS && chance(s, 30))
				die(s, run, chance(s, 50) ? 9 : 0x700, 0);
		break;
	case 3:
		s->database_up = !s->database_up;
		if (!s->database_up)
			world_apply(s->world,
				&(struct event){.kind = EVENT_POSTGRES_LOST, .run = s->world->databases[0].run},
				s->now);
		break;
	case 4:
		e.kind = EVENT_ASKED_STOP;
		world_apply(s->world, &e, s->now);
		break;
	case 5:
		e.kind = EVENT_ASKED_START;
		world_apply(s->world, &e, s->now);
		break;
	case 6:
		world_apply(s->world, &e, s->now);
		break;
	default:
		e.kind = chance(s, 50) ? EVENT_ASKED_DRAIN : EVENT_ASKED_UNDRAIN;
		world_apply(s->world, &e, s->now);
		break;
	}
}

/* ---- one life ---- */

static struct sim *begin(uint64_t seed)
{
	struct config_report *report = calloc(1, sizeof(*report));
	struct config_source source = {0};
	struct config *config = config_parse(config_text, sizeof(config_text) - 1, &source, report);
	if (!config)
		fail_msg("%d:%d %s: %s", report->items[0].line, report->items[0].column, report->items[0].path,
			report->items[0].text);
	free(report);
	struct sim *s = calloc(1, sizeof(*s));
	s->seed = seed;
	s->random.state = seed;
	s->database_up = true;
	s->now = 1000;
	s->world = world_new(config, seed, s->now);
	config_release(config);
	plan_init(&s->plan);
	return s;
}

static void finish(struct sim *s)
{
	plan_fini(&s->plan);
	world_free(s->world);
	free(s);
}

static void ask_all(struct sim *s, enum event_kind kind)
{
	for (uint32_t i = 0; i < s->world->n_workers; i++)
		world_apply(s->world, &(struct event){.kind = kind, .slot = i}, s->now);
}

static void expect_everything_ready(struct sim *s)
{
	for (size_t i = 0; i < s->world->n_workers; i++) {
		const struct worker *w = &s->world->workers[i];
		CHECK(s, worker_is_available(w), "%s is %s (%s) and never became ready", w->name,
			worker_state_name(w->state), w->reason);
	}
	struct verdict verdict;
	verdict_of(s->world, VERDICT_READY, NULL, s->now, &verdict);
	for (size_t i = 0; i < verdict.count; i++)
		CHECK(s, verdict.items[i].ok, "not ready: %s: %s", verdict.items[i].name, verdict.items[i].text);
}

static void expect_the_end(struct sim *s, int signals)
{
	ms_t asked_at = s->now;
	for (int i = 1; i <= signals; i++) {
		world_apply(s->world, &(struct event){.kind = EVENT_ASKED_SHUTDOWN, .count = i}, s->now);
		run_until(s, s->now + a_while(s, 2000));
	}
	run_until(s, asked_at + 70000);
	CHECK(s, s->ended, "podvisor did not end within its deadline (drain %s)",
		drain_state_name(s->world->drain.state));
	CHECK(s, s->now - asked_at <= 56000, "the end took %lld ms", (long long)(s->now - asked_at));
	for (uint64_t run = 1; run < RUNS_MAX; run++)
		CHECK(s, s->lives[run] == LIFE_NONE || s->lives[run] == LIFE_GONE, "run %llu is still there",
			(unsigned long long)run);
}

static void one_life(uint64_t seed)
{
	struct sim *s = begin(seed);
	int disturbances = 5 + (int)random_below(&s->random, 30);
	for (int i = 0; i < disturbances && !s->ended && !s->world->drain.shutdown; i++) {
		disturb(s);
		run_until(s, s->now + 1 + a_while(s, 8000));
	}
	if (!s->world->drain.shutdown && !s->ended && chance(s, 70)) {
		s->calm = s->database_up = true;
		world_apply(s->world, &(struct event){.kind = EVENT_ASKED_UNDRAIN}, s->now);
		ask_all(s, EVENT_ASKED_START);
		run_until(s, s->now + 300000);
		expect_everything_ready(s);
	}
	if (!s->ended)
		expect_the_end(s, 1 + (int)random_below(&s->random, 3));
	finish(s);
}

/* ---- tests ---- */

static void a_quiet_stack_gets_ready_and_ends_with_0(void **state)
{
	(void)state;
	struct sim *s = begin(1);
	s->calm = true;
	run_until(s, s->now + 30000);
	expect_everything_ready(s);
	assert_true(s->world->all_ready_once);
	expect_the_end(s, 1);
	assert_int_equal(s->exit_code, 0);
	finish(s);
}

static void nothing_that_depends_on_a_database_starts_before_it_is_up(void **state)
{
	(void)state;
	struct sim *s = begin(2);
	s->calm = true;
	s->database_up = false;
	run_until(s, s->now + 20000);
	int indexer = world_find_worker(s->world, "indexer"), db = world_find_worker(s->world, "db");
	assert_int_equal(s->world->workers[indexer].state, WORKER_WAITING);
	assert_int_equal(s->world->workers[indexer].n_runs, 0);
	assert_int_equal(s->world->workers[db].state, WORKER_READY);
	s->database_up = true;
	run_until(s, s->now + 30000);
	expect_everything_ready(s);
	finish(s);
}

static void any_life_keeps_the_promises(void **state)
{
	(void)state;
	const char *one = getenv("SIM_SEED");
	const char *many = getenv("SIM_SEEDS");
	if (one) {
		one_life(strtoull(one, NULL, 10));
		return;
	}
	uint64_t n = many ? strtoull(many, NULL, 10) : 2000;
	for (uint64_t seed = 1; seed <= n; seed++)
		one_life(seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_quiet_stack_gets_ready_and_ends_with_0),
		cmocka_unit_test(nothing_that_depends_on_a_database_starts_before_it_is_up),
		cmocka_unit_test(any_life_keeps_the_promises),
	};
	return cmocka_run_group_tests_name("sim", tests, NULL, NULL);
}
