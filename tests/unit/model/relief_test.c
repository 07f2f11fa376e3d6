#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "podvisor/base/buf.h"
#include "podvisor/model/reconcile.h"
#include "podvisor/model/relief.h"

#define MIB     ((int64_t)1 << 20)
#define LIMIT   (1000 * MIB)
#define HIGH    (950 * MIB)
#define LOW     (500 * MIB)
#define WORKERS 8

/* A pod of which the kernel, Chrome and the disks are played here: every effect is answered at once. */
struct pod {
	struct world *world;
	struct plan plan;
	ms_t now;
	int64_t used, weights[WORKERS], disk_used;
	bool slow; /* what ends takes its time */
	struct buf steps; /* what was done, in order */
};

static void tell(struct pod *p, enum event_kind kind, const struct effect *e)
{
	struct event event = {.kind = kind, .slot = e->slot, .run = e->run};
	if (kind == EVENT_WORKER_STARTED || kind == EVENT_BROWSER_STARTED)
		event.pid = 100 + (int)e->run;
	if (kind == EVENT_VOLUME_PREPARED || kind == EVENT_VOLUME_MEASURED || kind == EVENT_VOLUME_PURGED) {
		event.volume.size_bytes = 100 * MIB;
		event.volume.used_bytes = p->disk_used / (e->slot + 1);
		event.volume.is_tmpfs = true;
	}
	if (kind == EVENT_BROWSER_ANSWERED) {
		event.browser.rung = (enum rung)e->value;
		event.browser.ok = true;
		event.browser.port = 9;
	}
	if (kind == EVENT_MEMORY_MEASURED)
		event.memory =
			(struct event_memory){.limit_bytes = LIMIT, .used_bytes = p->used, .charged_bytes = p->used};
	if (kind == EVENT_WORKER_MEASURED)
		event.memory_bytes = p->weights[e->slot];
	world_apply(p->world, &event, p->now);
}

static void weigh_all(struct pod *p)
{
	for (uint32_t i = 0; i < p->world->n_workers; i++) {
		struct effect e = {.slot = i, .run = p->world->workers[i].run};
		if (e.run)
			tell(p, EVENT_WORKER_MEASURED, &e);
	}
	tell(p, EVENT_MEMORY_WEIGHED, &(struct effect){0});
}

static void end_worker(struct pod *p, const struct effect *e)
{
	buf_printf(&p->steps, "restart %s; ", p->world->workers[e->slot].name);
	if (p->slow)
		return;
	tell(p, EVENT_WORKER_EXITED, e);
	tell(p, EVENT_WORKER_GONE, e);
}

static void answer(struct pod *p, const struct effect *e)
{
	switch (e->kind) {
	case EFFECT_WORKER_SPAWN:
		tell(p, EVENT_WORKER_STARTED, e);
		break;
	case EFFECT_WORKER_SIGNAL:
		end_worker(p, e);
		break;
	case EFFECT_VOLUME_PREPARE:
		tell(p, EVENT_VOLUME_PREPARED, e);
		break;
	case EFFECT_VOLUME_MEASURE:
		tell(p, EVENT_VOLUME_MEASURED, e);
		break;
	case EFFECT_VOLUME_PURGE:
		buf_printf(&p->steps, "purge %s; ", p->world->volumes[e->slot].config->name);
		tell(p, EVENT_VOLUME_PURGED, e);
		break;
	case EFFECT_BROWSER_LAUNCH:
		tell(p, EVENT_BROWSER_STARTED, e);
		break;
	case EFFECT_BROWSER_PROBE:
		tell(p, EVENT_BROWSER_ANSWERED, e);
		break;
	case EFFECT_BROWSER_CLOSE:
		buf_printf(&p->steps, "recycle %s; ", p->world->browsers[e->slot].config->name);
		tell(p, EVENT_BROWSER_EXITED, e);
		tell(p, EVENT_BROWSER_GONE, e);
		break;
	case EFFECT_BROWSER_CLEAN:
		tell(p, EVENT_BROWSER_CLEANED, e);
		break;
	case EFFECT_MEMORY_MEASURE:
		tell(p, EVENT_MEMORY_MEASURED, e);
		break;
	case EFFECT_MEMORY_WEIGH:
		weigh_all(p);
		break;
	default:
		break;
	}
}

static void pass(struct pod *p, ms_t span)
{
	for (ms_t until = p->now + span; p->now <= until; p->now += 100)
		do {
			reconcile(p->world, p->now, p->now, &p->plan);
			for (size_t i = 0; i < p->plan.count; i++)
				answer(p, &p->plan.effects[i]);
		} while (p->plan.count);
}

#define TEXT                                                                                                \
	"{'volumes':{'small':{'path':'/a','size':'100Mi','purge':['**'],'on_full':['b','browser:chrome']}," \
	"'tmp':{'path':'/b','size':'100Mi','purge':['**']},'plain':{'path':'/c','size':'100Mi'}},"          \
	"'browsers':{'chrome':{'volume':'plain'}},"                                                         \
	"'workers':{'api':{'command':['x'],'critical':true},'a':{'command':['x']},'b':{'command':['x']},"   \
	"'once':{'command':['x'],'kind':'task'}}}"

static int set_up(void **state)
{
	static struct pod pod;
	static struct config_report report;
	char text[] = TEXT;
	struct config_source source = {0};
	for (char *at = text; (at = strchr(at, '\'')); *at = '"')
		;
	struct config *config = config_parse(text, strlen(text), &source, &report);
	if (!config)
		return -1;
	pod = (struct pod){.world = world_new(config, 1, 1), .now = 1, .used = LOW, .disk_used = 20 * MIB};
	config_release(config);
	for (size_t i = 0; i < WORKERS; i++)
		pod.weights[i] = 100 * MIB;
	buf_init(&pod.steps, 4096);
	plan_init(&pod.plan);
	pass(&pod, 10000);
	*state = &pod;
	return browser_is_available(&pod.world->browsers[0]) ? 0 : -1;
}

static int tear_down(void **state)
{
	struct pod *p = *state;
	plan_fini(&p->plan);
	buf_fini(&p->steps);
	world_free(p->world);
	return 0;
}

static void grow(struct pod *p, const char *worker, int64_t bytes)
{
	p->weights[world_find_worker(p->world, worker)] += bytes;
}

static const struct journal_entry *find_entry(const struct pod *p, const char *what)
{
	const struct journal *j = &p->world->journal;
	for (uint64_t seq = j->last_seq; seq >= journal_oldest(j) && seq; seq--)
		if (strcmp(journal_get(j, seq)->what, what) == 0)
			return journal_get(j, seq);
	fail_msg("nothing is told of \"%s\"", what);
	return NULL;
}

static void in_quiet_times_nothing_gives_way(void **state)
{
	struct pod *p = *state;
	pass(p, 600000);
	assert_string_equal(buf_str(&p->steps), "");
}

/* The disk with the most first, the one that may not be purged not at all; then Chrome; then who grew most. */
static void while_use_stays_high_one_after_the_other_gives_way(void **state)
{
	struct pod *p = *state;
	grow(p, "api", 800 * MIB);
	grow(p, "a", 50 * MIB);
	grow(p, "b", 300 * MIB);
	p->used = HIGH;
	pass(p, 30000);
	assert_string_equal(buf_str(&p->steps), "purge small; purge tmp; recycle chrome; restart b; restart a; ");
	assert_int_equal(p->world->guard.actions[MEMORY_PURGE], 2);
	assert_int_equal(p->world->guard.actions[MEMORY_RECYCLE], 1);
	assert_int_equal(p->world->guard.actions[MEMORY_RESTART], 2);
	assert_int_equal(p->world->workers[world_find_worker(p->world, "b")].restarts[CAUSE_POD_MEMORY], 1);
	assert_int_equal(p->world->workers[world_find_worker(p->world, "api")].n_runs, 0);
	find_entry(p, "memory-helpless");
}

static void once_use_is_below_nothing_more_gives_way(void **state)
{
	struct pod *p = *state;
	grow(p, "b", 300 * MIB);
	p->used = HIGH;
	for (int i = 0; i < 300 && !p->steps.len; i++)
		pass(p, 0);
	p->used = LOW;
	pass(p, 60000);
	assert_string_equal(buf_str(&p->steps), "purge small; ");
	assert_int_equal(p->world->guard.state, MEMORY_GUARD_CALM);
}

static void who_is_large_but_did_not_grow_stays(void **state)
{
	struct pod *p = *state;
	grow(p, "a", RELIEF_GROWTH_PERCENT * LIMIT / 100 - MIB);
	p->used = HIGH;
	pass(p, 30000);
	assert_string_equal(buf_str(&p->steps), "purge small; purge tmp; recycle chrome; ");
}

static void the_next_step_waits_until_the_last_has_settled(void **state)
{
	struct pod *p = *state;
	grow(p, "a", 50 * MIB);
	grow(p, "b", 300 * MIB);
	p->used = HIGH;
	p->slow = true;
	pass(p, 12000);
	assert_non_null(strstr(buf_str(&p->steps), "restart b; "));
	assert_null(strstr(buf_str(&p->steps), "restart a; "));
}

static void what_a_worker_has_after_a_restart_is_its_new_baseline(void **state)
{
	struct pod *p = *state;
	int slot = world_find_worker(p->world, "b");
	grow(p, "b", 300 * MIB);
	assert_int_equal(worker_growth_bytes(&p->world->workers[slot]), 0); /* not weighed since */
	pass(p, MEMORY_WEIGH_CALM_MS);
	assert_int_equal(worker_growth_bytes(&p->world->workers[slot]), 300 * MIB);
	struct event e = {.kind = EVENT_ASKED_RESTART, .slot = (uint32_t)slot};
	world_apply(p->world, &e, p->now);
	pass(p, 10000);
	assert_int_equal(worker_growth_bytes(&p->world->workers[slot]), 0);
}

static void while_podvisor_stops_nothing_gives_way(void **state)
{
	struct pod *p = *state;
	struct event e = {.kind = EVENT_ASKED_SHUTDOWN, .count = 1};
	p->used = HIGH;
	p->slow = true;
	world_apply(p->world, &e, p->now);
	pass(p, 5000);
	assert_null(strstr(buf_str(&p->steps), "purge"));
	assert_int_equal(p->world->guard.actions[MEMORY_PURGE], 0);
}

static void those_in_on_full_are_restarted_when_a_disk_stays_full(void **state)
{
	struct pod *p = *state;
	p->disk_used = 95 * MIB; /* of the first; the second has half of it */
	pass(p, 120000);
	find_entry(p, "full");
	assert_string_equal(find_entry(p, "full")->text, "it stays 95% full, above 85%: restarting b, browser:chrome");
	assert_non_null(strstr(buf_str(&p->steps), "restart b; recycle chrome; "));
	assert_int_equal(p->world->volumes[0].fulls, 1);
	assert_int_equal(p->world->workers[world_find_worker(p->world, "b")].restarts[CAUSE_VOLUME], 1);
	assert_int_equal(p->world->workers[world_find_worker(p->world, "a")].n_runs, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(in_quiet_times_nothing_gives_way),
		TEST(while_use_stays_high_one_after_the_other_gives_way),
		TEST(once_use_is_below_nothing_more_gives_way),
		TEST(who_is_large_but_did_not_grow_stays),
		TEST(the_next_step_waits_until_the_last_has_settled),
		TEST(what_a_worker_has_after_a_restart_is_its_new_baseline),
		TEST(while_podvisor_stops_nothing_gives_way),
		TEST(those_in_on_full_are_restarted_when_a_disk_stays_full),
	};
	return cmocka_run_group_tests_name("relief", tests, NULL, NULL);
}
