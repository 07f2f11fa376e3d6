/* The pure model in virtual time: a world of seeded chance answers the plan's
 * effects late, wrongly or not at all, kills what runs, takes databases away,
 * reloads, and asks for starts, stops and the end. What must hold always
 * (promises.h) is checked at every step.
 *
 * SIM_STEPS=n  lives one after the other until so many steps are taken
 * SIM_SEEDS=n  so many lives
 * SIM_FROM=n   the seed of the first of them
 * SIM_SEED=n   this life alone: a life that breaks a promise prints its seed
 * SIM_TRACE=1  prints every fact, effect and journal entry */
#include <stdlib.h>
#include <time.h>

#include "podvisor/model/verdict.h"
#include "leases.h"
#include "promises.h"

enum { DEFAULT_STEPS = 500000 };

static void expect_everything_ready(struct sim *s)
{
	for (size_t i = 0; i < s->world->n_workers; i++) {
		const struct worker *w = &s->world->workers[i];
		bool job = w->config && w->config->kind == WORKER_JOB;
		CHECK(s, !w->config || job || worker_is_available(w), "%s is %s (%s) and never became ready", w->name,
			worker_state_name(w->state), w->reason);
	}
	struct verdict verdict;
	verdict_of(s->world, VERDICT_READY, NULL, s->now, &verdict);
	for (size_t i = 0; i < verdict.count; i++)
		CHECK(s, verdict.items[i].ok, "not ready: %s: %s", verdict.items[i].name, verdict.items[i].text);
}

static bool is_ending(const struct sim *s)
{
	return s->ended || s->world->drain.shutdown;
}

static void live(struct sim *s)
{
	int disturbances = 5 + (int)random_below(&s->random, 60);
	for (int i = 0; i < disturbances && !is_ending(s); i++) {
		trouble_strike(s);
		life_run_until(s, s->now + 1 + a_while(s, 8000));
	}
}

static void recover(struct sim *s)
{
	trouble_is_over(s);
	ms_t since = s->now;
	life_run_until(s, s->now + 300000);
	expect_everything_ready(s);
	promise_jobs_run(s, since);
}

/* Up to three signals, and no end of trouble meanwhile. */
static void die(struct sim *s)
{
	int signals = 1 + (int)random_below(&s->random, 3);
	for (int i = 1; !s->ended && i <= signals; i++) {
		life_tell(s, &(struct event){.kind = EVENT_ASKED_SHUTDOWN, .count = i});
		life_run_until(s, s->now + a_while(s, 2000));
	}
	while (!s->ended) {
		if (!s->calm)
			trouble_strike(s);
		life_run_until(s, s->now + 1 + a_while(s, 8000));
	}
	promises_of_the_end(s);
}

/* Returns how many steps it took. */
static uint64_t one_life(uint64_t seed)
{
	struct sim *s = life_begin(seed, true, seed % 4 == 0);
	live(s);
	if (!is_ending(s) && chance(s, 60))
		recover(s);
	if (!s->ended)
		die(s);
	uint64_t steps = s->steps;
	life_end(s);
	return steps;
}

/* ---- tests ---- */

static void a_quiet_stack_gets_ready_and_ends_with_0(void **state)
{
	(void)state;
	struct sim *s = life_begin(1, false, false);
	life_run_until(s, s->now + 90000);
	expect_everything_ready(s);
	promise_jobs_run(s, 0);
	assert_true(s->world->all_ready_once);
	die(s);
	assert_int_equal(s->exit_code, 0);
	life_end(s);
}

static void nothing_that_depends_on_a_database_starts_before_it_is_up(void **state)
{
	(void)state;
	struct sim *s = life_begin(2, false, false);
	s->database_up = false;
	life_run_until(s, s->now + 20000);
	int indexer = world_find_worker(s->world, "indexer"), db = world_find_worker(s->world, "db");
	assert_int_equal(s->world->workers[indexer].state, WORKER_WAITING);
	assert_int_equal(s->world->workers[indexer].n_runs, 0);
	assert_int_equal(s->world->workers[db].state, WORKER_READY);
	s->database_up = true;
	life_run_until(s, s->now + 30000);
	expect_everything_ready(s);
	life_end(s);
}

static uint64_t number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	return text && text[0] ? strtoull(text, NULL, 10) : otherwise;
}

static double seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void any_number_of(uint64_t (*life)(uint64_t seed), uint64_t times)
{
	uint64_t one = number("SIM_SEED", 0), lives = one ? 1 : number("SIM_SEEDS", 0);
	uint64_t least = lives ? 0 : times * number("SIM_STEPS", DEFAULT_STEPS);
	uint64_t first = one ? one : number("SIM_FROM", 1), seed = first, steps = 0;
	double began_at = seconds();
	while (steps < least || seed - first < lives)
		steps += life(seed++);
	double took = seconds() - began_at;
	print_message("%llu steps, %llu lives, %.1f s\n", (unsigned long long)steps, (unsigned long long)(seed - first),
		took);
}

static void any_life_keeps_the_promises(void **state)
{
	(void)state;
	any_number_of(one_life, 1);
}

static void any_schedule_keeps_a_lease_with_one_holder(void **state)
{
	(void)state;
	any_number_of(leases_live, 4); /* they are small steps */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_quiet_stack_gets_ready_and_ends_with_0),
		cmocka_unit_test(nothing_that_depends_on_a_database_starts_before_it_is_up),
		cmocka_unit_test(any_life_keeps_the_promises),
		cmocka_unit_test(any_schedule_keeps_a_lease_with_one_holder),
	};
	int failed = cmocka_run_group_tests_name("sim", tests, NULL, NULL);
	stacks_free();
	return failed;
}
