#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>

#include "podvisor/model/browser.h"

static char browser_name[] = "chrome";
static struct config source = {.refs = 1};
static const struct config_browser config = {
	.name = browser_name,
	.health_browser = {.interval = 5000, .timeout = 2000, .failure_threshold = 3},
	.health_renderer = {.interval = 15000, .timeout = 2000, .failure_threshold = 3},
	.health_network = {.interval = 60000, .timeout = 5000, .failure_threshold = 2},
	.start_timeout = 30000,
	.recycle = {.age = 21600000,
		.pages = 2000,
		.sessions = 500,
		.memory_bytes = 1200 << 20,
		.memory_hard_bytes = 1800 << 20,
		.per_hour = 6,
		.disk_percent = 40,
		.disk_hard_percent = 85},
	.overlap_memory_bytes = 600 << 20,
	.overlap_disk_bytes = 512 << 20,
	.drain = 120000,
};

/* A browser with everything around it. */
struct stage {
	struct browser b;
	struct turn t;
	struct random random;
	struct journal journal;
	struct plan plan;
	uint64_t next_run;
	bool may_run;
};

static void stage_set(struct stage *s)
{
	*s = (struct stage){.next_run = 1, .may_run = true, .random = {42}};
	s->t = (struct turn){.now = 1000, .random = &s->random, .journal = &s->journal, .plan = &s->plan};
	plan_init(&s->plan);
	browser_init(&s->b, &source, &config, 0, s->t.now);
}

static void stage_strike(struct stage *s)
{
	browser_fini(&s->b);
	plan_fini(&s->plan);
}

static const struct generation *lead(const struct stage *s)
{
	return browser_lead(&s->b);
}

static void plan_now(struct stage *s)
{
	struct browser_gate gate = {s->may_run, s->may_run ? "" : "volume:chrome is pending", -1, -1};
	plan_clear(&s->plan);
	browser_plan(&s->b, &gate, &s->next_run, &s->t);
}

static void at(struct stage *s, ms_t now)
{
	s->t.now = now;
	plan_now(s);
}

static const struct effect *planned(const struct stage *s, enum effect_kind kind)
{
	for (size_t i = 0; i < s->plan.count; i++)
		if (s->plan.effects[i].kind == kind)
			return &s->plan.effects[i];
	return NULL;
}

static void happens(struct stage *s, struct event e)
{
	e.run = e.run ? e.run : lead(s)->run;
	browser_apply(&s->b, &e, &s->t);
	plan_now(s);
}

static void simply(struct stage *s, enum event_kind kind)
{
	happens(s, (struct event){.kind = kind});
}

static void answers(struct stage *s, enum rung rung, bool ok)
{
	struct event e = {.kind = EVENT_BROWSER_ANSWERED, .text = ""};
	e.browser.rung = rung;
	e.browser.ok = ok;
	e.browser.took_us = 1000;
	e.browser.port = ok && rung == RUNG_BROWSER ? 40000 : 0;
	if (!ok)
		strcpy(e.text, "no answer within 2.0 s");
	happens(s, e);
}

static void starts(struct stage *s)
{
	if (s->b.state != BROWSER_STARTING) /* else the end of the one before has planned it */
		plan_now(s);
	assert_non_null(planned(s, EFFECT_BROWSER_LAUNCH));
	happens(s, (struct event){.kind = EVENT_BROWSER_STARTED, .pid = 77});
}

static void becomes_ready(struct stage *s)
{
	starts(s);
	answers(s, RUNG_BROWSER, true);
	answers(s, RUNG_RENDERER, true);
	answers(s, RUNG_NETWORK, true);
	assert_int_equal(s->b.state, BROWSER_READY);
}

/* Waits for the rung to be asked and lets it fail, once. */
static void misses(struct stage *s, enum rung rung)
{
	at(s, lead(s)->rungs[rung].due);
	const struct effect *probe = NULL;
	for (size_t i = 0; i < s->plan.count; i++)
		if (s->plan.effects[i].kind == EFFECT_BROWSER_PROBE && (s->plan.effects[i].value & 15) == (int)rung)
			probe = &s->plan.effects[i];
	assert_non_null(probe);
	answers(s, rung, false);
}

static void ends(struct stage *s)
{
	simply(s, EVENT_BROWSER_GONE);
	assert_non_null(planned(s, EFFECT_BROWSER_CLEAN));
	simply(s, EVENT_BROWSER_CLEANED);
}

static void rungs_are_climbed_one_by_one_until_ready(void **state)
{
	(void)state;
	struct stage s;
	stage_set(&s);
	starts(&s);
	const struct effect *probe = planned(&s, EFFECT_BROWSER_PROBE);
	assert_non_null(probe);
	assert_int_equal(probe->value, RUNG_BROWSER);
	assert_int_equal(s.plan.count, 1);
	plan_now(&s);
	assert_int_equal(s.plan.count, 0); /* under way, not repeated */
	answers(&s, RUNG_BROWSER, true);
	assert_int_equal(planned(&s, EFFECT_BROWSER_PROBE)->value, RUNG_RENDERER);
	assert_false(browser_is_available(&s.b));
	answers(&s, RUNG_RENDERER, true);
	assert_int_equal(planned(&s, EFFECT_BROWSER_PROBE)->value, RUNG_NETWORK);
	answers(&s, RUNG_NETWORK, true);
	assert_true(browser_is_available(&s.b));
	assert_int_equal(lead(&s)->port, 40000);
	assert_int_equal(s.plan.wake_at, s.t.now + 5000);
	assert_non_null(planned(&s, EFFECT_BROWSER_SERVE));
	plan_now(&s);
	assert_int_equal(s.plan.count, 0);
	stage_strike(&s);
}

static void a_browser_without_a_port_is_not_ready(void **state)
{
	(void)state;
	struct stage s;
	stage_set(&s);
	starts(&s);
	struct event e = {.kind = EVENT_BROWSER_ANSWERED};
	for (int rung = 0; rung < RUNG_COUNT; rung++) {
		e.browser.rung = (enum rung)rung;
		e.browser.ok = true;
		happens(&s, e);
	}
	assert_int_equal(s.b.state, BROWSER_STARTING);
	stage_strike(&s);
}

static void it_waits_for_its_volume_and_says_so(void **state)
{
	(void)state;
	struct stage s;
	stage_set(&s);
	s.may_run = false;
	plan_now(&s);
	assert_int_equal(s.plan.count, 0);
	assert_int_equal(s.b.state, BROWSER_WAITING);
	assert_string_equal(s.b.reason, "volume:chrome is pending");
	stage_strike(&s);
}

static void one_that_never_gets_ready_is_killed_and_the_next_but_one_waits(void **state)
{
	(void)state;
	struct stage s;
	stage_set(&s);
	for (int i = 0; i < 2; i++) {
		starts(&s);
		answers(&s, RUNG_BROWSER, false);
		at(&s, lead(&s)->started_at + 29999);
		assert_int_equal(s.b.state, BROWSER_STARTING);
		at(&s, lead(&s)->started_at + 30000);
		assert_int_equal(s.b.state, BROWSER_STOPPING);
		assert_non_null(planned(&s, EFFECT_BROWSER_KILL));
		simply(&s, EVENT_BROWSER_GONE);
		assert_null(planned(&s, EFFECT_BROWSER_LAUNCH));
		simply(&s, EVENT_BROWSER_CLEANED);
	}
	assert_int_equal(s.b.state, BROWSER_BACKOFF);
	assert_int_equal(s.b.recycles[RECYCLE_START], 2);
	assert_true(s.b.not_before > s.t.now);
	at(&s, s.b.not_before - 1);
	assert_int_equal(s.b.state, BROWSER_BACKOFF);
	at(&s, s.b.not_before);
	assert_non_null(planned(&s, EFFECT_BROWSER_LAUNCH));
	stage_strike(&s);
}

static void three_misses_of_the_first_rung_mean_hung_and_a_kill_without_asking(void **state)
{
	(void)state;
	struct stage s;
	stage_set(&s);
	becomes_ready(&s);
	misses(&s, RUNG_BROWSER);
	misses(&s, RUNG_BROWSER);
	assert_int_equal(s.b.state, BROWSER_READY);
	misses(&s, RUNG_BROWSER);
	assert_int_equal(s.b.state, BROWSER_STOPPING);
	assert_int_equal(s.b.recycles[RECYCLE_HUNG], 1);
	assert_null(planned(&s, EFFECT_BROWSER_CLOSE));
	assert_non_null(planned(&s, EFFECT_BROWSER_KILL));
	ends(&s);
	assert_non_null(planned(&s, EFFECT_BROWSER_LAUNCH)); /* the first replacement is immediate */
	assert_int_equal(s.b.generation, 2);
	stage_strike(&s);
}

static void one_that_served_for_a_while_is_followed_at_once_however_often(void **state)
{
	(void)state;
	struct stage s;
	stage_set(&s);
	for (int i = 0; i < 6; i++) {
		becomes_ready(&s);
		at(&s, s.t.now + 10000);
		simply(&s, EVENT_BROWSER_EXITED);
		ends(&s);
		assert_non_null(planned(&s, EFFECT_BROWSER_LAUNCH));
	}
	stage_strike(&s);
}

static void misses_in_between_are_forgiven(void **state)
{
	(void)state;
	struct stage s;
	stage_set(&s);
	becomes_ready(&s);
	for (int i = 0; i < 10; i++) {
		misses(&s, RUNG_BROWSER);
		misses(&s, RUNG_BROWSER);
		at(&s, lead(&s)->rungs[RUNG_BROWSER].due);
		answers(&s, RUNG_BROWSER, true);
	}
	assert_int_equal(s.b.state, BROWSER_READY);
	stage_strike(&s);
}

static void a_silent_page_is_made_anew_before_the_browser_is_blamed(void **state)
{
	(void)state;
	struct stage s;
	stage_set(&s);
	becomes_ready(&s);
	for (int i = 0; i < 3; i++)
		misses(&s, RUNG_RENDERER);
	assert_int_equal(s.b.state, BROWSER_READY);
	const struct effect *probe = planned(&s, EFFECT_BROWSER_PROBE);
	assert_non_null(probe);
	assert_int_equal(probe->value, RUNG_RENDERER | BROWSER_PROBE_FRESH);
	answers(&s, RUNG_RENDERER, false);
	assert_int_equal(s.b.state, BROWSER_STOPPING);
	assert_int_equal(s.b.recycles[RECYCLE_RENDERER], 1);
	assert_non_null(planned(&s, EFFECT_BROWSER_KILL));
	stage_strike(&s);
}

static void doubt_is_settled_sooner_than_the_interval(void **state)
{
	(void)state;
	struct stage s;
	stage_set(&s);
	becomes_ready(&s);
	misses(&s, RUNG_NETWORK);
	ms_t first = s.t.now;
	assert_int_equal(s.b.state, BROWSER_READY);
	misses(&s, RUNG_NETWORK);
	assert_true(s.t.now - first <= 5000);
	assert_int_equal(s.b.recycles[RECYCLE_NETWORK], 1);
	stage_strike(&s);
}

static void what_the_network_rung_failed_at_is_told_apart(void **state)
{
	(void)state;
	static const enum browser_recycle causes[] = {
		[PART_NAMED] = RECYCLE_NETWORK, [PART_PAGE] = RECYCLE_RENDERER, [PART_GPU] = RECYCLE_GPU};
	for (int part = PART_NAMED; part <= PART_GPU; part++) {
		struct stage s;
		stage_set(&s);
		becomes_ready(&s);
		misses(&s, RUNG_NETWORK);
		at(&s, lead(&s)->rungs[RUNG_NETWORK].due);
		happens(&s, (struct event){.kind = EVENT_BROWSER_ANSWERED,
				    .browser = {.rung = RUNG_NETWORK, .part = (enum rung_part)part}});
		assert_int_equal(s.b.recycles[causes[part]], 1);
		stage_strike(&s);
	}
}

static void the_stop_ladder_has_three_steps(void **state)
{
	(void)state;
	struct stage s;
	stage_set(&s);
	becomes_ready(&s);
	simply(&s, EVENT_ASKED_BROWSER_STOP);
	ms_t begin = s.t.now;
	assert_non_null(planned(&s, EFFECT_BROWSER_CLOSE));
	plan_now(&s);
	assert_int_equal(s.plan.count, 0);
	assert_int_equal(s.plan.wake_at, begin + 3000);
	at(&s, begin + 3000);
	assert_int_equal(planned(&s, EFFECT_BROWSER_SIGNAL)->value, SIGTERM);
	at(&s, begin + 5000);
	assert_non_null(planned(&s, EFFECT_BROWSER_KILL));
	at(&s, begin + 9999);
	assert_int_equal(s.plan.count, 0);
	at(&s, begin + 10000);
	assert_non_null(planned(&s, EFFECT_BROWSER_KILL)); /* asked for until it is true */
	ends(&s);
	assert_int_equal(s.b.state, BROWSER_STOPPED);
	assert_false(browser_is_up(&s.b));
	stage_strike(&s);
}

static void a_hurried_stop_goes_straight_to_the_kill(void **state)
{
	(void)state;
	struct stage s;
	stage_set(&s);
	becomes_ready(&s);
	simply(&s, EVENT_ASKED_BROWSER_STOP);
	assert_non_null(planned(&s, EFFECT_BROWSER_CLOSE));
	browser_hurry(&s.b, &s.t);
	plan_now(&s);
	assert_non_null(planned(&s, EFFECT_BROWSER_KILL));
	browser_hurry(&s.b, &s.t);
	plan_now(&s);
	assert_int_equal(s.plan.count, 0);
	ends(&s);
	stage_strike(&s);
}

static void what_a_crashed_browser_leaves_is_killed_at_once(void **state)
{
	(void)state;
	struct stage s;
	stage_set(&s);
	becomes_ready(&s);
	struct event e = {.kind = EVENT_BROWSER_EXITED, .text = "out of memory"};
	e.exited.status = SIGKILL;
	happens(&s, e);
	assert_non_null(planned(&s, EFFECT_BROWSER_KILL));
	assert_string_equal(s.b.reason, "killed by SIGKILL; it said: out of memory");
	happens(&s, (struct event){.kind = EVENT_BROWSER_GONE, .killed = 3});
	assert_int_equal(s.b.leftovers, 0); /* they were killed */
	assert_null(planned(&s, EFFECT_BROWSER_LAUNCH));
	assert_non_null(planned(&s, EFFECT_BROWSER_CLEAN));
	simply(&s, EVENT_BROWSER_CLEANED);
	assert_non_null(planned(&s, EFFECT_BROWSER_LAUNCH));
	stage_strike(&s);
}

static void a_lost_scratch_page_is_made_anew_and_a_clients_page_is_only_told(void **state)
{
	(void)state;
	struct stage s;
	stage_set(&s);
	becomes_ready(&s);
	uint64_t told = s.journal.last_seq;
	struct event e = {.kind = EVENT_BROWSER_PAGE_LOST, .text = "a client's page crashed"};
	happens(&s, e);
	assert_int_equal(s.journal.last_seq, told + 1);
	assert_null(planned(&s, EFFECT_BROWSER_PROBE));
	e.browser.own = true;
	happens(&s, e);
	assert_int_equal(planned(&s, EFFECT_BROWSER_PROBE)->value, RUNG_RENDERER);
	assert_int_equal(s.b.state, BROWSER_READY);
	stage_strike(&s);
}

static void a_browser_that_cannot_exist_fails_until_somebody_asks(void **state)
{
	(void)state;
	struct stage s;
	stage_set(&s);
	plan_now(&s);
	struct event e = {.kind = EVENT_BROWSER_UNSTARTABLE, .error = -ENOENT, .text = "no such program"};
	happens(&s, e);
	simply(&s, EVENT_BROWSER_CLEANED);
	assert_int_equal(s.b.state, BROWSER_FAILED);
	at(&s, s.t.now + 1000000);
	assert_int_equal(s.plan.count, 0);
	simply(&s, EVENT_ASKED_BROWSER_START);
	assert_non_null(planned(&s, EFFECT_BROWSER_LAUNCH));
	stage_strike(&s);
}

static void a_start_asked_for_while_it_stops_is_not_lost(void **state)
{
	(void)state;
	struct stage s;
	stage_set(&s);
	becomes_ready(&s);
	simply(&s, EVENT_ASKED_BROWSER_STOP);
	simply(&s, EVENT_ASKED_BROWSER_START);
	assert_int_equal(s.b.state, BROWSER_STOPPING);
	ends(&s);
	assert_non_null(planned(&s, EFFECT_BROWSER_LAUNCH));
	stage_strike(&s);
}

static void a_restart_of_one_that_starts_begins_again_without_a_wait(void **state)
{
	(void)state;
	struct stage s;
	stage_set(&s);
	for (int i = 0; i < 5; i++) {
		simply(&s, EVENT_BROWSER_STARTED);
		simply(&s, EVENT_ASKED_BROWSER_RESTART);
		assert_int_equal(s.b.state, BROWSER_STOPPING);
		ends(&s);
		assert_int_equal(s.b.state, BROWSER_STARTING);
	}
	assert_int_equal(s.b.recycles[RECYCLE_COMMAND], 5);
	stage_strike(&s);
}

static void each_return_of_one_that_was_ready_is_a_comeback_once(void **state)
{
	(void)state;
	struct stage s;
	stage_set(&s);
	becomes_ready(&s);
	simply(&s, EVENT_BROWSER_EXITED);
	ends(&s);
	assert_int_equal(s.b.comebacks, 1);
	becomes_ready(&s);
	simply(&s, EVENT_ASKED_BROWSER_STOP);
	ends(&s);
	assert_int_equal(s.b.state, BROWSER_STOPPED);
	assert_int_equal(s.b.comebacks, 1);
	simply(&s, EVENT_ASKED_BROWSER_START);
	assert_int_equal(s.b.comebacks, 2);
	simply(&s, EVENT_ASKED_BROWSER_START);
	assert_int_equal(s.b.comebacks, 2);
	stage_strike(&s);
}

static void facts_of_an_older_run_change_nothing(void **state)
{
	(void)state;
	struct stage s;
	stage_set(&s);
	becomes_ready(&s);
	misses(&s, RUNG_BROWSER);
	misses(&s, RUNG_BROWSER);
	misses(&s, RUNG_BROWSER);
	ends(&s);
	struct browser before = s.b;
	uint64_t run = lead(&s)->run;
	for (int kind = EVENT_BROWSER_STARTED; kind <= EVENT_BROWSER_CLEANED; kind++) {
		struct event e = {.kind = (enum event_kind)kind, .run = run - 1};
		browser_apply(&s.b, &e, &s.t);
		assert_memory_equal(&s.b, &before, sizeof(before));
	}
	stage_strike(&s);
}

static void enter_state(struct stage *s, enum browser_state wanted)
{
	stage_set(s);
	switch (wanted) {
	case BROWSER_WAITING:
		s->may_run = false;
		plan_now(s);
		break;
	case BROWSER_STARTING:
		starts(s);
		break;
	case BROWSER_READY:
		becomes_ready(s);
		break;
	case BROWSER_DRAINING:
		becomes_ready(s);
		happens(s, (struct event){.kind = EVENT_BROWSER_SESSIONS, .sessions = {1, 1}});
		assert_true(browser_ask_recycle(&s->b, RECYCLE_PRESSURE));
		plan_now(s);
		break;
	case BROWSER_STOPPING:
		becomes_ready(s);
		simply(s, EVENT_BROWSER_EXITED);
		break;
	case BROWSER_CLEANING:
		becomes_ready(s);
		simply(s, EVENT_BROWSER_GONE);
		break;
	case BROWSER_BACKOFF:
		for (int i = 0; i < 2; i++) {
			starts(s);
			simply(s, EVENT_BROWSER_EXITED);
			ends(s);
		}
		break;
	case BROWSER_STOPPED:
		simply(s, EVENT_ASKED_BROWSER_STOP);
		break;
	default:
		plan_now(s);
		happens(s, (struct event){.kind = EVENT_BROWSER_UNSTARTABLE, .error = -EACCES});
		simply(s, EVENT_BROWSER_CLEANED);
	}
	assert_int_equal(s->b.state, wanted);
}

static void every_event_is_survived_in_every_state(void **state)
{
	(void)state;
	for (int at_state = 0; at_state < BROWSER_STATE_COUNT; at_state++)
		for (int kind = 0; kind < EVENT_KIND_COUNT; kind++)
			for (int allowed = 0; allowed < 2; allowed++) {
				struct stage s;
				enter_state(&s, (enum browser_state)at_state);
				uint64_t run = lead(&s)->run;
				s.may_run = allowed;
				simply(&s, (enum event_kind)kind);
				bool ended = kind == EVENT_BROWSER_CLEANED && at_state == BROWSER_CLEANING;
				if (run && !ended)
					assert_int_equal(lead(&s)->run, run);
				stage_strike(&s);
			}
}

/* ---- a seeded walk against a Chrome made of dice ---- */

struct walk {
	struct stage s;
	uint64_t run; /* of the process that is there */
	bool alive, process, directory;
	bool probing[RUNG_COUNT], kill_asked, clean_asked;
	struct random dice;
	int trouble; /* percent of answers that are bad */
	int launches;
};

static bool thrown(struct walk *w, int percent)
{
	return (int)random_below(&w->dice, 100) < percent;
}

static void carry_out(struct walk *w, const struct effect *e)
{
	if (e->kind == EFFECT_BROWSER_LAUNCH) {
		assert_false(w->process);
		assert_false(w->directory);
		assert_true(e->run > w->run);
		w->run = e->run;
		w->process = w->alive = w->directory = true;
		w->kill_asked = w->clean_asked = false;
		memset(w->probing, 0, sizeof(w->probing));
		w->launches++;
		return;
	}
	assert_int_equal(e->run, w->run);
	if (e->kind == EFFECT_BROWSER_PROBE) {
		assert_true(w->process);
		assert_false(w->probing[e->value & 15]);
		w->probing[e->value & 15] = true;
	} else if (e->kind == EFFECT_BROWSER_CLEAN) {
		assert_false(w->process);
		assert_false(w->clean_asked);
		w->clean_asked = true;
	} else if (e->kind == EFFECT_BROWSER_KILL) {
		w->kill_asked = true;
	}
}

static void fold(struct walk *w, struct event e)
{
	e.run = w->run;
	browser_apply(&w->s.b, &e, &w->s.t);
}

static void answer_probes(struct walk *w)
{
	for (int rung = 0; rung < RUNG_COUNT; rung++) {
		if (!w->probing[rung] || !w->process || thrown(w, 30))
			continue;
		w->probing[rung] = false;
		struct event e = {.kind = EVENT_BROWSER_ANSWERED};
		e.browser.rung = (enum rung)rung;
		e.browser.ok = w->alive && !thrown(w, w->trouble);
		e.browser.port = e.browser.ok && rung == RUNG_BROWSER ? 1234 : 0;
		fold(w, e);
	}
}

static void something_happens(struct walk *w)
{
	answer_probes(w);
	if (w->process && !lead(&w->s)->pid && thrown(w, 60)) {
		bool bad = thrown(w, w->trouble / 2);
		w->process = !bad;
		fold(w, bad ? (struct event){.kind = EVENT_BROWSER_UNSTARTABLE, .error = -EIO}
			    : (struct event){.kind = EVENT_BROWSER_STARTED, .pid = 5});
	}
	bool dies = w->s.b.state == BROWSER_STOPPING ? thrown(w, 40) : thrown(w, w->trouble / 10);
	if (w->process && lead(&w->s)->pid && w->alive && dies) {
		w->alive = false;
		fold(w, (struct event){.kind = EVENT_BROWSER_EXITED});
	}
	if (w->process && (w->kill_asked || !w->alive) && thrown(w, 50)) {
		w->process = w->alive = false;
		fold(w, (struct event){.kind = EVENT_BROWSER_GONE, .killed = 1});
	}
	if (w->clean_asked && w->directory && thrown(w, 50)) {
		w->directory = false;
		fold(w, (struct event){.kind = EVENT_BROWSER_CLEANED});
	}
}

static void somebody_asks(struct walk *w)
{
	static const enum event_kind kinds[] = {
		EVENT_ASKED_BROWSER_START, EVENT_ASKED_BROWSER_STOP, EVENT_ASKED_BROWSER_RESTART};
	if (thrown(w, 2))
		fold(w, (struct event){.kind = kinds[random_below(&w->dice, 3)]});
	if (thrown(w, 1))
		w->s.may_run = !w->s.may_run;
}

static void step(struct walk *w, bool wild)
{
	w->s.t.now += (ms_t)random_below(&w->dice, 900);
	something_happens(w);
	if (wild)
		somebody_asks(w);
	plan_now(&w->s);
	for (size_t i = 0; i < w->s.plan.count; i++)
		carry_out(w, &w->s.plan.effects[i]);
	plan_now(&w->s);
	assert_int_equal(w->s.plan.count, 0); /* a plan asked for twice has nothing new */
}

static void a_walk_keeps_the_promises_and_ends_where_it_is_wanted(void **state)
{
	(void)state;
	int launches = 0;
	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct walk w = {.dice = {seed}, .trouble = (int)(seed % 50)};
		stage_set(&w.s);
		w.s.b.room.memory_free_bytes = 0; /* one at a time; two are the simulation's */
		for (int i = 0; i < 4000; i++)
			step(&w, true);
		w.trouble = 0;
		w.s.may_run = true;
		fold(&w, (struct event){.kind = EVENT_ASKED_BROWSER_START});
		for (int i = 0; i < 1000 && w.s.b.state != BROWSER_READY; i++)
			step(&w, false);
		assert_int_equal(w.s.b.state, BROWSER_READY);
		fold(&w, (struct event){.kind = EVENT_ASKED_BROWSER_STOP});
		for (int i = 0; i < 1000 && w.s.b.state != BROWSER_STOPPED; i++)
			step(&w, false);
		assert_int_equal(w.s.b.state, BROWSER_STOPPED);
		assert_false(w.process || w.directory);
		launches += w.launches;
		stage_strike(&w.s);
	}
	assert_true(launches > 1000); /* the walk really went somewhere */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rungs_are_climbed_one_by_one_until_ready),
		cmocka_unit_test(a_browser_without_a_port_is_not_ready),
		cmocka_unit_test(it_waits_for_its_volume_and_says_so),
		cmocka_unit_test(one_that_never_gets_ready_is_killed_and_the_next_but_one_waits),
		cmocka_unit_test(three_misses_of_the_first_rung_mean_hung_and_a_kill_without_asking),
		cmocka_unit_test(one_that_served_for_a_while_is_followed_at_once_however_often),
		cmocka_unit_test(misses_in_between_are_forgiven),
		cmocka_unit_test(a_silent_page_is_made_anew_before_the_browser_is_blamed),
		cmocka_unit_test(doubt_is_settled_sooner_than_the_interval),
		cmocka_unit_test(what_the_network_rung_failed_at_is_told_apart),
		cmocka_unit_test(the_stop_ladder_has_three_steps),
		cmocka_unit_test(a_hurried_stop_goes_straight_to_the_kill),
		cmocka_unit_test(what_a_crashed_browser_leaves_is_killed_at_once),
		cmocka_unit_test(a_lost_scratch_page_is_made_anew_and_a_clients_page_is_only_told),
		cmocka_unit_test(a_browser_that_cannot_exist_fails_until_somebody_asks),
		cmocka_unit_test(a_start_asked_for_while_it_stops_is_not_lost),
		cmocka_unit_test(a_restart_of_one_that_starts_begins_again_without_a_wait),
		cmocka_unit_test(each_return_of_one_that_was_ready_is_a_comeback_once),
		cmocka_unit_test(facts_of_an_older_run_change_nothing),
		cmocka_unit_test(every_event_is_survived_in_every_state),
		cmocka_unit_test(a_walk_keeps_the_promises_and_ends_where_it_is_wanted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
