/* Every state of a browser against everything that can happen to it: where it
 * stands after the next turn, and what is planned first. */
#include "matrix.h"
#include "podvisor/model/browser.h"

static struct config source = {.refs = 1000000};
static const struct config_browser config = {
	.name = (char *)"chrome",
	.health_browser = {.interval = 5000, .timeout = 2000, .failure_threshold = 1},
	.health_renderer = {.interval = 15000, .timeout = 2000, .failure_threshold = 1},
	.health_network = {.interval = 60000, .timeout = 5000, .failure_threshold = 1},
	.start_timeout = 30000,
	.recycle = {.age = 21600000,
		.pages = 2000,
		.sessions = 500,
		.memory_bytes = 1200 << 20,
		.memory_hard_bytes = 1800 << 20,
		.per_hour = 6,
		.disk_percent = 40,
		.disk_hard_percent = 85},
	.drain = 120000,
};

struct stage {
	struct browser browser;
	struct around around;
	bool may_run;
};

enum what {
	STARTED,
	UNSTARTABLE, /* this time */
	HOPELESS, /* there is no such program */
	BROWSER_GOOD,
	BROWSER_BAD,
	RENDERER_GOOD,
	RENDERER_BAD,
	NETWORK_GOOD,
	NETWORK_BAD,
	PAGE_LOST,
	SESSION_CAME,
	NO_SESSION,
	WORN, /* a census: it has opened too many pages */
	ZYGOTE_LOST,
	EXITED,
	GONE,
	CLEANED,
	START,
	STOP,
	RESTART,
	WHAT_COUNT
};

#define ANSWER(rung_, ok_)                                                                        \
	{                                                                                         \
		.kind = EVENT_BROWSER_ANSWERED, .browser = {.rung = rung_, .ok = ok_, .port = 9 } \
	}
static const struct {
	const char *name;
	struct event event;
} happenings[WHAT_COUNT] = {
	[STARTED] = {"started", {.kind = EVENT_BROWSER_STARTED, .pid = 7}},
	[UNSTARTABLE] = {"unstartable", {.kind = EVENT_BROWSER_UNSTARTABLE, .error = -11}},
	[HOPELESS] = {"hopeless", {.kind = EVENT_BROWSER_UNSTARTABLE, .error = -2}},
	[BROWSER_GOOD] = {"browser good", ANSWER(RUNG_BROWSER, true)},
	[BROWSER_BAD] = {"browser bad", ANSWER(RUNG_BROWSER, false)},
	[RENDERER_GOOD] = {"renderer good", ANSWER(RUNG_RENDERER, true)},
	[RENDERER_BAD] = {"renderer bad", ANSWER(RUNG_RENDERER, false)},
	[NETWORK_GOOD] = {"network good", ANSWER(RUNG_NETWORK, true)},
	[NETWORK_BAD] = {"network bad", ANSWER(RUNG_NETWORK, false)},
	[PAGE_LOST] = {"scratch page lost", {.kind = EVENT_BROWSER_PAGE_LOST, .browser = {.own = true}}},
	[SESSION_CAME] = {"session came", {.kind = EVENT_BROWSER_SESSIONS, .sessions = {2, 2}}},
	[NO_SESSION] = {"no session", {.kind = EVENT_BROWSER_SESSIONS, .sessions = {0, 2}}},
	[WORN] = {"worn", {.kind = EVENT_BROWSER_MEASURED, .census = {.pages = 2000, .room_bytes = -1}}},
	[ZYGOTE_LOST] = {"zygote lost", {.kind = EVENT_BROWSER_MEASURED, .census = {.zygotes_lost = 1}}},
	[EXITED] = {"exited", {.kind = EVENT_BROWSER_EXITED, .exited = {.status = 0x500}}},
	[GONE] = {"gone", {.kind = EVENT_BROWSER_GONE}},
	[CLEANED] = {"cleaned", {.kind = EVENT_BROWSER_CLEANED}},
	[START] = {"start", {.kind = EVENT_ASKED_BROWSER_START}},
	[STOP] = {"stop", {.kind = EVENT_ASKED_BROWSER_STOP}},
	[RESTART] = {"restart", {.kind = EVENT_ASKED_BROWSER_RESTART}},
};

/* ---- into each state, by its own events ---- */

static void plan(struct stage *s)
{
	plan_clear(&s->around.plan);
	struct browser_gate gate = {s->may_run, "volume:chrome is pending", -1, -1};
	browser_plan(&s->browser, &gate, &s->around.next_run, &s->around.turn);
}

static void happens(struct stage *s, enum what what)
{
	struct event e = happenings[what].event;
	e.run = browser_lead(&s->browser)->run;
	browser_apply(&s->browser, &e, &s->around.turn);
	plan(s);
}

static void is_waiting(struct stage *s)
{
	s->may_run = false;
	plan(s);
}

static void is_starting(struct stage *s)
{
	plan(s);
	happens(s, STARTED);
}

static void is_ready(struct stage *s)
{
	is_starting(s);
	happens(s, BROWSER_GOOD);
	happens(s, RENDERER_GOOD);
	happens(s, NETWORK_GOOD);
}

static void is_draining(struct stage *s)
{
	is_ready(s);
	happens(s, SESSION_CAME);
	browser_ask_recycle(&s->browser, RECYCLE_PRESSURE);
	plan(s);
	s->around.turn.now += 1000;
}

static void is_stopping(struct stage *s)
{
	is_ready(s);
	happens(s, STOP);
}

static void is_cleaning(struct stage *s)
{
	is_stopping(s);
	happens(s, GONE);
}

static void is_replaced(struct stage *s)
{
	happens(s, EXITED);
	happens(s, GONE);
	happens(s, CLEANED);
}

/* The second time in a row, for the first is followed by another one at once. */
static void is_in_back_off(struct stage *s)
{
	is_starting(s);
	is_replaced(s);
	is_replaced(s);
}

static void is_stopped(struct stage *s)
{
	is_cleaning(s);
	happens(s, CLEANED);
}

static void has_failed(struct stage *s)
{
	plan(s);
	happens(s, HOPELESS);
	happens(s, CLEANED);
}

static void (*const ways[BROWSER_STATE_COUNT])(struct stage *) = {
	[BROWSER_WAITING] = is_waiting,
	[BROWSER_STARTING] = is_starting,
	[BROWSER_READY] = is_ready,
	[BROWSER_DRAINING] = is_draining,
	[BROWSER_STOPPING] = is_stopping,
	[BROWSER_CLEANING] = is_cleaning,
	[BROWSER_BACKOFF] = is_in_back_off,
	[BROWSER_STOPPED] = is_stopped,
	[BROWSER_FAILED] = has_failed,
};

/* ---- the table ---- */

#define IS(state)         LEADS(BROWSER_##state, NOTHING)
#define TO(state, effect) LEADS(BROWSER_##state, EFFECT_BROWSER_##effect)

static const struct cell table[BROWSER_STATE_COUNT][WHAT_COUNT] =
	{
		[BROWSER_WAITING] = {[STOP] = IS(STOPPED)},
		[BROWSER_STARTING] =
			{
				[UNSTARTABLE] = TO(CLEANING, CLEAN),
				[HOPELESS] = TO(CLEANING, CLEAN),
				[BROWSER_GOOD] = TO(STARTING, PROBE), /* the next rung */
				[EXITED] = TO(STOPPING, KILL), /* what it left behind */
				[GONE] = TO(CLEANING, CLEAN),
				[STOP] = TO(STOPPING, SIGNAL), /* Browser.close has no answer yet */
				[RESTART] = TO(STOPPING, SIGNAL),
			},
		[BROWSER_READY] =
			{
				[UNSTARTABLE] = TO(CLEANING, CLEAN),
				[HOPELESS] = TO(CLEANING, CLEAN),
				[BROWSER_BAD] = TO(STOPPING, KILL),
				[RENDERER_BAD] = TO(READY, PROBE), /* a fresh page has the last word */
				[NETWORK_BAD] = TO(STOPPING, KILL),
				[PAGE_LOST] = TO(READY, PROBE),
				[WORN] = TO(READY, LAUNCH), /* green, beside it */
				[ZYGOTE_LOST] = TO(STOPPING, KILL),
				[EXITED] = TO(STOPPING, KILL),
				[GONE] = TO(CLEANING, CLEAN),
				[STOP] = TO(STOPPING, CLOSE),
				[RESTART] = TO(READY, LAUNCH), /* green, beside it */
			},
		[BROWSER_DRAINING] =
			{
				[UNSTARTABLE] = TO(CLEANING, CLEAN),
				[HOPELESS] = TO(CLEANING, CLEAN),
				[BROWSER_BAD] = TO(STOPPING, KILL), /* its sessions hang */
				[NO_SESSION] = TO(STOPPING, CLOSE),
				[EXITED] = TO(STOPPING, KILL),
				[GONE] = TO(CLEANING, CLEAN),
				[STOP] = TO(STOPPING, CLOSE),
			},
		[BROWSER_STOPPING] =
			{
				[UNSTARTABLE] = TO(CLEANING, CLEAN),
				[HOPELESS] = TO(CLEANING, CLEAN),
				[EXITED] = TO(STOPPING, KILL),
				[GONE] = TO(CLEANING, CLEAN),
			},
		[BROWSER_CLEANING] = {[CLEANED] = IS(STOPPED)},
		[BROWSER_BACKOFF] =
			{[START] = TO(STARTING, LAUNCH), [STOP] = IS(STOPPED), [RESTART] = TO(STARTING, LAUNCH)},
		[BROWSER_STOPPED] = {[START] = TO(STARTING, LAUNCH), [RESTART] = TO(STARTING, LAUNCH)},
		[BROWSER_FAILED] =
			{[START] = TO(STARTING, LAUNCH), [STOP] = IS(STOPPED), [RESTART] = TO(STARTING, LAUNCH)},
};

static void set_stage(struct stage *s, enum browser_state state)
{
	*s = (struct stage){.may_run = true};
	around_set(&s->around);
	browser_init(&s->browser, &source, &config, 0, 1000);
	ways[state](s);
	plan(s);
	assert_string_equal(browser_state_name(s->browser.state), browser_state_name(state));
	assert_int_equal(s->around.plan.count, 0);
}

static void strike_stage(struct stage *s)
{
	plan_fini(&s->around.plan);
	browser_fini(&s->browser);
}

static const char *name_of(int state)
{
	return browser_state_name((enum browser_state)state);
}

static bool is_right(int state, int what)
{
	struct stage s;
	set_stage(&s, (enum browser_state)state);
	happens(&s, (enum what)what);
	bool right = cell_is_right(&table[state][what], &s.around, state, (int)s.browser.state, name_of, name_of(state),
		happenings[what].name);
	strike_stage(&s);
	return right;
}

static void every_happening_in_every_state_leads_where_the_table_says(void **state)
{
	(void)state;
	assert_table(BROWSER_STATE_COUNT, WHAT_COUNT, is_right);
}

/* Wanted is a field: what is asked while it ends is there when nothing of it is left. */
static void what_is_asked_last_while_it_stops_decides_what_follows(void **state)
{
	(void)state;
	static const enum what last[] = {START, RESTART, STOP};
	for (size_t i = 0; i < sizeof(last) / sizeof(last[0]); i++)
		for (int before = START; before <= RESTART; before++) {
			struct stage s;
			set_stage(&s, BROWSER_STOPPING);
			happens(&s, (enum what)before);
			happens(&s, last[i]);
			is_replaced(&s);
			assert_int_equal(s.browser.state, last[i] == STOP ? BROWSER_STOPPED : BROWSER_STARTING);
			strike_stage(&s);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_asked_last_while_it_stops_decides_what_follows),
		cmocka_unit_test(every_happening_in_every_state_leads_where_the_table_says),
	};
	return cmocka_run_group_tests_name("browser matrix", tests, NULL, NULL);
}
