/* Every state of a worker against everything that can happen to it: where it
 * stands after the next turn, and what is planned first. */
#include <signal.h>

#include "matrix.h"
#include "podvisor/model/worker_events.h"
#include "podvisor/model/worker_plan.h"

static struct config source = {.refs = 1000000};
static char *quit[] = {(char *)"quit", NULL};

struct stage {
	struct config_worker config;
	struct worker worker;
	struct worker_gate gate;
	struct around around;
};

/* Everything that an event can say, in words. */
enum what {
	STARTED,
	UNSTARTABLE,
	ENDED, /* with code 1 */
	GONE,
	SAID_READY,
	SAID_STOPPING,
	SAID_TRIGGER,
	SAID_MAINPID,
	STARTUP_GOOD,
	STARTUP_BAD,
	READINESS_GOOD,
	READINESS_BAD,
	LIVENESS_BAD,
	NO_CHECK, /* it could not be made */
	PROGRESSED,
	MEASURED,
	INSPECTED,
	STOP_COMMAND,
	START,
	STOP,
	RESTART,
	WHAT_COUNT
};

static const struct {
	const char *name;
	struct event event;
} happenings[WHAT_COUNT] = {
	[STARTED] = {"started", {.kind = EVENT_WORKER_STARTED, .pid = 43}},
	[UNSTARTABLE] = {"unstartable", {.kind = EVENT_WORKER_UNSTARTABLE, .error = -2}},
	[ENDED] = {"ended", {.kind = EVENT_WORKER_EXITED, .exited = {.status = 0x100}}},
	[GONE] = {"gone", {.kind = EVENT_WORKER_GONE}},
	[SAID_READY] = {"READY=1", {.kind = EVENT_WORKER_NOTIFIED, .notified = {.bits = NOTIFIED_READY}}},
	[SAID_STOPPING] = {"STOPPING=1", {.kind = EVENT_WORKER_NOTIFIED, .notified = {.bits = NOTIFIED_STOPPING}}},
	[SAID_TRIGGER] = {"WATCHDOG=trigger", {.kind = EVENT_WORKER_NOTIFIED, .notified = {.bits = NOTIFIED_TRIGGER}}},
	[SAID_MAINPID] = {"MAINPID=99",
		{.kind = EVENT_WORKER_NOTIFIED, .notified = {.bits = NOTIFIED_MAINPID, .mainpid = 99}}},
	[STARTUP_GOOD] = {"startup good",
		{.kind = EVENT_WORKER_CHECKED, .checked = {.probe = PROBE_STARTUP, .ok = true}}},
	[STARTUP_BAD] = {"startup bad", {.kind = EVENT_WORKER_CHECKED, .checked = {.probe = PROBE_STARTUP}}},
	[READINESS_GOOD] = {"readiness good",
		{.kind = EVENT_WORKER_CHECKED, .checked = {.probe = PROBE_READINESS, .ok = true}}},
	[READINESS_BAD] = {"readiness bad", {.kind = EVENT_WORKER_CHECKED, .checked = {.probe = PROBE_READINESS}}},
	[LIVENESS_BAD] = {"liveness bad", {.kind = EVENT_WORKER_CHECKED, .checked = {.probe = PROBE_LIVENESS}}},
	[NO_CHECK] = {"no check",
		{.kind = EVENT_WORKER_CHECKED, .checked = {.probe = PROBE_READINESS, .shortage = true}}},
	[PROGRESSED] = {"progressed", {.kind = EVENT_WORKER_PROGRESSED, .progressed = {.ok = true, .value = 7}}},
	[MEASURED] = {"measured", {.kind = EVENT_WORKER_MEASURED, .memory_bytes = 7}},
	[INSPECTED] = {"inspected", {.kind = EVENT_WORKER_INSPECTED}},
	[STOP_COMMAND] = {"stop command ended", {.kind = EVENT_WORKER_STOP_COMMAND, .done = true}},
	[START] = {"start", {.kind = EVENT_ASKED_START}},
	[STOP] = {"stop", {.kind = EVENT_ASKED_STOP}},
	[RESTART] = {"restart", {.kind = EVENT_ASKED_RESTART}},
};

/* ---- into each state, by its own events ---- */

static void plan(struct stage *s)
{
	plan_clear(&s->around.plan);
	worker_plan(&s->worker, &s->gate, &s->around.next_run, &s->around.turn);
}

static void happens(struct stage *s, enum what what)
{
	struct event e = happenings[what].event;
	e.run = s->worker.run;
	worker_apply(&s->worker, &e, &s->around.turn);
	plan(s);
}

static void is_waiting(struct stage *s)
{
	s->gate.may_start = false;
	plan(s);
}

static void is_starting(struct stage *s)
{
	plan(s);
	happens(s, STARTED);
}

static void is_running(struct stage *s)
{
	is_starting(s);
	happens(s, STARTUP_GOOD);
}

static void is_ready(struct stage *s)
{
	is_running(s);
	happens(s, READINESS_GOOD);
}

/* Its stop command runs. */
static void is_stopping(struct stage *s)
{
	is_ready(s);
	happens(s, STOP);
}

static void is_down(struct stage *s)
{
	is_ready(s);
	happens(s, ENDED);
	happens(s, GONE);
}

/* The second time in a row, for the first is followed by another run at once. */
static void is_in_back_off(struct stage *s)
{
	is_down(s);
	happens(s, STARTED);
	happens(s, ENDED);
	happens(s, GONE);
}

static void is_paused(struct stage *s)
{
	is_ready(s);
	s->gate.may_start = false;
	plan(s);
	happens(s, ENDED);
	happens(s, GONE);
}

static void is_stopped(struct stage *s)
{
	is_stopping(s);
	happens(s, ENDED);
	happens(s, GONE);
}

static void has_succeeded(struct stage *s)
{
	s->config.kind = WORKER_TASK;
	is_starting(s);
	struct event e = {.kind = EVENT_WORKER_EXITED, .run = s->worker.run};
	worker_apply(&s->worker, &e, &s->around.turn);
	happens(s, GONE);
}

static void has_failed(struct stage *s)
{
	s->config.restart.policy = RESTART_NEVER;
	is_down(s);
}

/* WORKER_STANDBY is for leases: nothing enters it yet. */
static void (*const ways[WORKER_STATE_COUNT])(struct stage *) = {
	[WORKER_WAITING] = is_waiting,
	[WORKER_STARTING] = is_starting,
	[WORKER_RUNNING] = is_running,
	[WORKER_READY] = is_ready,
	[WORKER_STOPPING] = is_stopping,
	[WORKER_BACKOFF] = is_in_back_off,
	[WORKER_PAUSED] = is_paused,
	[WORKER_STOPPED] = is_stopped,
	[WORKER_SUCCEEDED] = has_succeeded,
	[WORKER_FAILED] = has_failed,
};

/* ---- the table ---- */

#define IS(state)         LEADS(WORKER_##state, NOTHING)
#define TO(state, effect) LEADS(WORKER_##state, EFFECT_WORKER_##effect)

static const struct cell table[WORKER_STATE_COUNT][WHAT_COUNT] =
	{
		[WORKER_WAITING] = {[STOP] = IS(STOPPED)},
		[WORKER_STARTING] =
			{
				[UNSTARTABLE] = TO(STARTING, SPAWN), /* the next run: the first restart is immediate */
				[ENDED] = IS(STOPPING),
				[GONE] = TO(STARTING, SPAWN),
				[SAID_STOPPING] = IS(STOPPING),
				[SAID_MAINPID] = TO(STARTING, FOLLOW),
				[STARTUP_GOOD] = TO(RUNNING, CHECK),
				[STARTUP_BAD] = TO(STOPPING, STOP_COMMAND),
				[STOP] = TO(STOPPING, STOP_COMMAND),
				[RESTART] = TO(STOPPING, STOP_COMMAND),
			},
		[WORKER_RUNNING] =
			{
				[UNSTARTABLE] = TO(STARTING, SPAWN),
				[ENDED] = IS(STOPPING),
				[GONE] = TO(STARTING, SPAWN),
				[SAID_STOPPING] = IS(STOPPING),
				[SAID_TRIGGER] = TO(RUNNING, INSPECT),
				[SAID_MAINPID] = TO(RUNNING, FOLLOW),
				[READINESS_GOOD] = IS(READY),
				[LIVENESS_BAD] = TO(RUNNING, INSPECT),
				[STOP] = TO(STOPPING, STOP_COMMAND),
				[RESTART] = TO(STOPPING, STOP_COMMAND),
			},
		[WORKER_READY] =
			{
				[UNSTARTABLE] = TO(STARTING, SPAWN),
				[ENDED] = IS(STOPPING),
				[GONE] = TO(STARTING, SPAWN),
				[SAID_STOPPING] = IS(STOPPING),
				[SAID_TRIGGER] = TO(READY, INSPECT),
				[SAID_MAINPID] = TO(READY, FOLLOW),
				[READINESS_BAD] = IS(RUNNING),
				[LIVENESS_BAD] = TO(READY, INSPECT),
				[STOP] = TO(STOPPING, STOP_COMMAND),
				[RESTART] = TO(STOPPING, STOP_COMMAND),
			},
		[WORKER_STOPPING] =
			{
				[UNSTARTABLE] = IS(STOPPED),
				[GONE] = IS(STOPPED),
				[SAID_MAINPID] = TO(STOPPING, FOLLOW),
				[STOP_COMMAND] = TO(STOPPING, SIGNAL),
			},
		[WORKER_BACKOFF] =
			{[START] = TO(STARTING, SPAWN), [STOP] = IS(STOPPED), [RESTART] = TO(STARTING, SPAWN)},
		[WORKER_PAUSED] = {[START] = IS(WAITING), [STOP] = IS(STOPPED), [RESTART] = IS(WAITING)},
		[WORKER_STOPPED] = {[START] = TO(STARTING, SPAWN), [RESTART] = TO(STARTING, SPAWN)},
		[WORKER_SUCCEEDED] = {[START] = TO(STARTING, SPAWN), [RESTART] = TO(STARTING, SPAWN)},
		[WORKER_FAILED] = {[START] = TO(STARTING, SPAWN), [RESTART] = TO(STARTING, SPAWN)},
};

/* Fills the stage: the worker is in that state, and nothing is left to plan. */
static void set_stage(struct stage *s, enum worker_state state)
{
	struct config_check check = {
		.kind = CHECK_TCP, .interval = 60000, .success_threshold = 1, .failure_threshold = 1};
	*s = (struct stage){.gate = {.may_start = true, .may_stop = true}};
	s->config = (struct config_worker){.name = (char *)"w",
		.instances = 1,
		.startup = check,
		.readiness = check,
		.liveness = check,
		.progress = {.present = true, .notify = true, .stalled_after = 600000},
		.on_dependency_loss = DEPENDENCY_LOSS_PAUSE,
		.restart = {.backoff = {.initial = 100, .factor_percent = 200, .max = 30000, .reset_after = 60000},
			.limit = {.count = 10, .window = 600000}},
		.stop = {.signal = SIGTERM, .timeout = 10000, .command = quit}};
	around_set(&s->around);
	worker_init(&s->worker, &source, &s->config, 0, 0, 1000);
	ways[state](s);
	plan(s);
	assert_string_equal(worker_state_name(s->worker.state), worker_state_name(state));
	assert_int_equal(s->around.plan.count, 0);
}

static void strike_stage(struct stage *s)
{
	plan_fini(&s->around.plan);
	worker_fini(&s->worker);
}

static const char *name_of(int state)
{
	return worker_state_name((enum worker_state)state);
}

static bool is_right(int state, int what)
{
	struct stage s;
	if (!ways[state])
		return true;
	set_stage(&s, (enum worker_state)state);
	happens(&s, (enum what)what);
	bool right = cell_is_right(&table[state][what], &s.around, state, (int)s.worker.state, name_of, name_of(state),
		happenings[what].name);
	strike_stage(&s);
	return right;
}

static void every_happening_in_every_state_leads_where_the_table_says(void **state)
{
	(void)state;
	assert_table(WORKER_STATE_COUNT, WHAT_COUNT, is_right);
}

/* Wanted is a field: what is asked while a run ends is there when it has ended. */
static void what_is_asked_last_while_it_stops_decides_what_follows(void **state)
{
	(void)state;
	static const enum what last[] = {START, RESTART, STOP};
	for (size_t i = 0; i < sizeof(last) / sizeof(last[0]); i++)
		for (int before = START; before <= RESTART; before++) {
			struct stage s;
			set_stage(&s, WORKER_STOPPING);
			happens(&s, (enum what)before);
			happens(&s, last[i]);
			happens(&s, ENDED);
			happens(&s, GONE);
			assert_int_equal(s.worker.state, last[i] == STOP ? WORKER_STOPPED : WORKER_STARTING);
			strike_stage(&s);
		}
}

/* What the world decides: shutdown ends whoever is up, and holds down who is not. */
static void a_shutdown_ends_every_state(void **state)
{
	(void)state;
	for (int from = 0; from < WORKER_STATE_COUNT; from++) {
		if (!ways[from])
			continue;
		struct stage s;
		set_stage(&s, (enum worker_state)from);
		bool up = worker_is_up(&s.worker), was_final = worker_is_final(&s.worker);
		s.gate.shutdown = true;
		plan(&s);
		assert_int_equal(s.worker.state, up ? WORKER_STOPPING : was_final ? from : WORKER_STOPPED);
		if (up) {
			happens(&s, ENDED);
			happens(&s, GONE);
			assert_int_equal(s.worker.state, WORKER_STOPPED);
		}
		assert_int_equal(s.around.plan.count, 0);
		strike_stage(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_asked_last_while_it_stops_decides_what_follows),
		cmocka_unit_test(a_shutdown_ends_every_state),
		cmocka_unit_test(every_happening_in_every_state_leads_where_the_table_says),
	};
	return cmocka_run_group_tests_name("worker matrix", tests, NULL, NULL);
}
