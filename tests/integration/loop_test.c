/* The real libuv loop: in which order, how often and when the consumer is called. */
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "podvisor/io/loop.h"

#define PATIENCE_MS 10000

struct bench {
	struct loop loop;
	void (*take)(struct bench *b);
	int turns;
	bool inside, expired;
	uint64_t taken; /* events so far, which count themselves */
	ms_t due; /* what a test waits for */
	uv_timer_t deadline;
};

static void on_turn(void *ctx)
{
	struct bench *b = ctx;
	assert_false(b->inside);
	b->inside = true;
	b->turns++;
	b->take(b);
	b->inside = false;
}

static void on_deadline(uv_timer_t *timer)
{
	struct bench *b = timer->data;
	b->expired = true;
	loop_stop(&b->loop);
}

static int set_up(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct err err;
	if (!b || loop_init(&b->loop, on_turn, b, &err) < 0)
		return -1;
	uv_timer_init(&b->loop.uv, &b->deadline);
	b->deadline.data = b;
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;
	uv_close((uv_handle_t *)&b->deadline, NULL);
	loop_fini(&b->loop);
	free(b);
	return 0;
}

/* Until somebody calls loop_stop. */
static void run(struct bench *b)
{
	uv_update_time(&b->loop.uv);
	uv_timer_start(&b->deadline, on_deadline, PATIENCE_MS, 0);
	loop_run(&b->loop);
	uv_timer_stop(&b->deadline);
	assert_false(b->expired);
}

static void post(struct bench *b, uint64_t number)
{
	struct event e = {.kind = EVENT_WORKER_STARTED, .run = number};
	loop_post(&b->loop, &e);
}

static void take_in_order(struct bench *b)
{
	struct event e;
	while (loop_take(&b->loop, &e))
		assert_int_equal(e.run, b->taken++);
}

/* ---- the queue ---- */

static void stop_when_empty(struct bench *b)
{
	take_in_order(b);
	loop_stop(&b->loop);
}

static void events_are_taken_in_the_order_they_were_posted(void **state)
{
	struct bench *b = *state;
	b->take = stop_when_empty;
	for (uint64_t i = 0; i < 1000; i++)
		post(b, i);
	run(b);
	assert_int_equal(b->taken, 1000);
	assert_int_equal(b->turns, 1);
	struct event none = {.run = 17};
	assert_false(loop_take(&b->loop, &none));
	assert_int_equal(none.run, 17);
}

/* The ring wraps and grows with its head anywhere in it. */
static void the_queue_grows_with_its_head_anywhere(void **state)
{
	struct bench *b = *state;
	struct event e;
	uint64_t posted = 0;
	for (int round = 0; round < 40; round++) {
		for (int i = 0; i < 61 + round; i++)
			post(b, posted++);
		for (int i = 0; i < 37; i++) {
			assert_true(loop_take(&b->loop, &e));
			assert_int_equal(e.run, b->taken++);
		}
	}
	take_in_order(b);
	assert_int_equal(b->taken, posted);
}

static void as_many_events_as_there_may_be_are_kept(void **state)
{
	struct bench *b = *state;
	for (uint64_t i = 0; i < LOOP_EVENTS_MAX; i++)
		post(b, i);
	take_in_order(b);
	assert_int_equal(b->taken, LOOP_EVENTS_MAX);
}

/* ---- turns ---- */

static void post_the_next(struct bench *b)
{
	take_in_order(b);
	if (b->taken == 100)
		loop_stop(&b->loop);
	else
		post(b, b->taken);
}

/* Posting inside the turn is not re-entered, and not forgotten when poll has nothing else to wake it. */
static void an_event_posted_inside_a_turn_is_taken_in_a_later_one(void **state)
{
	struct bench *b = *state;
	b->take = post_the_next;
	post(b, 0);
	run(b);
	assert_int_equal(b->turns, 100);
}

static void on_pipe(uv_poll_t *poll, int status, int events)
{
	(void)status, (void)events;
	((struct bench *)poll->data)->due = 1;
	uv_poll_stop(poll);
}

static void post_until_the_pipe_was_seen(struct bench *b)
{
	take_in_order(b);
	if (b->due)
		loop_stop(&b->loop);
	else
		post(b, b->taken);
}

static void who_always_posts_does_not_keep_the_loop_from_polling(void **state)
{
	struct bench *b = *state;
	int ends[2];
	uv_poll_t poll;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], "x", 1), 1);
	uv_poll_init(&b->loop.uv, &poll, ends[0]);
	poll.data = b;
	uv_poll_start(&poll, UV_READABLE, on_pipe);
	b->take = post_until_the_pipe_was_seen;
	post(b, 0);
	run(b);
	uv_close((uv_handle_t *)&poll, NULL);
	uv_run(&b->loop.uv, UV_RUN_NOWAIT);
	close(ends[0]);
	close(ends[1]);
}

static void ask_ten_times(struct bench *b)
{
	if (b->turns == 10)
		loop_stop(&b->loop);
	else
		loop_ask(&b->loop);
}

static void a_turn_can_be_asked_for_without_any_event(void **state)
{
	struct bench *b = *state;
	b->take = ask_ten_times;
	loop_ask(&b->loop);
	run(b);
	assert_int_equal(b->turns, 10);
}

/* ---- waking ---- */

static void stop_when_due(struct bench *b)
{
	/* libuv counts whole milliseconds of another clock: one of ours may be missing. */
	if (loop_now() + 1 >= b->due)
		loop_stop(&b->loop);
	else
		loop_wake_at(&b->loop, b->due);
}

static void a_wish_is_met_and_not_earlier(void **state)
{
	struct bench *b = *state;
	b->take = stop_when_due;
	b->due = loop_now() + 30;
	loop_wake_at(&b->loop, b->due);
	run(b);
	assert_true(b->turns <= 3);
	assert_true(loop_now() + 1 >= b->due);
}

static void a_wish_for_the_past_is_met_at_once(void **state)
{
	struct bench *b = *state;
	b->take = stop_when_due;
	b->due = loop_now() - 5000;
	loop_wake_at(&b->loop, b->due);
	run(b);
	assert_int_equal(b->turns, 1);
	b->turns = 0;
	loop_wake_at(&b->loop, 0);
	run(b);
	assert_int_equal(b->turns, 1);
}

static void a_later_wish_replaces_the_earlier(void **state)
{
	struct bench *b = *state;
	b->take = stop_when_due;
	loop_wake_at(&b->loop, loop_now() + PATIENCE_MS * 2);
	b->due = loop_now() + 20;
	loop_wake_at(&b->loop, b->due);
	run(b);
	loop_wake_at(&b->loop, loop_now());
	b->due = loop_now() + 20;
	loop_wake_at(&b->loop, b->due);
	b->turns = 0;
	run(b);
	assert_true(b->turns <= 3);
}

static void stop_loop(uv_timer_t *timer)
{
	loop_stop(timer->data);
}

static void fail_turn(struct bench *b)
{
	(void)b;
	fail_msg("nobody asked for a turn");
}

static void a_wish_can_be_taken_back(void **state)
{
	struct bench *b = *state;
	uv_timer_t later;
	b->take = fail_turn;
	loop_wake_at(&b->loop, loop_now() + 5);
	loop_wake_at(&b->loop, CLOCK_NEVER);
	uv_timer_init(&b->loop.uv, &later);
	later.data = &b->loop;
	uv_timer_start(&later, stop_loop, 30, 0);
	run(b);
	uv_close((uv_handle_t *)&later, NULL);
	uv_run(&b->loop.uv, UV_RUN_NOWAIT);
}

static void stay_busy_then_wait(struct bench *b)
{
	take_in_order(b);
	if (b->taken < 500)
		post(b, b->taken);
	else if (loop_now() + 1 >= b->due)
		loop_stop(&b->loop);
}

/* More rounds in one turn than are made at once do not push the wish out. */
static void a_wish_outlives_a_storm_of_events(void **state)
{
	struct bench *b = *state;
	b->take = stay_busy_then_wait;
	b->due = loop_now() + 50;
	loop_wake_at(&b->loop, b->due);
	post(b, 0);
	run(b);
}

/* ---- lag ---- */

static void burn(ms_t span)
{
	for (ms_t until = loop_now() + span; loop_now() < until;)
		;
}

static void burn_in_poll(uv_poll_t *poll, int status, int events)
{
	(void)status, (void)events;
	char byte;
	assert_int_equal(read(*(int *)poll->data, &byte, 1), 1);
	burn(30);
}

/* What a callback of libuv takes counts, what poll waits does not. */
static void lag_is_the_time_not_spent_waiting(void **state)
{
	struct bench *b = *state;
	static struct histogram lag;
	int ends[2];
	uv_poll_t poll;
	memset(&lag, 0, sizeof(lag));
	assert_int_equal(pipe(ends), 0);
	uv_poll_init(&b->loop.uv, &poll, ends[0]);
	poll.data = &ends[0];
	uv_poll_start(&poll, UV_READABLE, burn_in_poll);
	b->loop.lag = &lag;
	b->take = stop_when_due;
	b->due = loop_now() + 300;
	loop_wake_at(&b->loop, b->due);
	assert_int_equal(write(ends[1], "x", 1), 1);
	ms_t began = loop_now();
	run(b);
	uv_run(&b->loop.uv, UV_RUN_NOWAIT);
	/* Of 300 ms, 30 were work; a slow machine makes it more, but not all of them. */
	assert_true(lag.count >= 2);
	assert_true(lag.sum_seconds >= 0.028);
	assert_true(lag.sum_seconds < (double)(loop_now() - began) / 1e3 - 0.05);
	uv_close((uv_handle_t *)&poll, NULL);
	uv_run(&b->loop.uv, UV_RUN_NOWAIT);
	close(ends[0]);
	close(ends[1]);
	b->loop.lag = NULL;
}

/* ---- clocks ---- */

static void the_clocks_tell_milliseconds(void **state)
{
	(void)state;
	ms_t before = loop_now();
	int64_t wall = loop_wall_ms();
	burn(2);
	assert_true(loop_now() >= before + 2);
	assert_true(wall > INT64_C(1600000000000));
	assert_true(wall < INT64_C(9999999999999));
}

/* Of a thread of ours (proc(5)). */
static unsigned long long mask_of(const char *thread)
{
	char path[64], line[256];
	unsigned long long mask = 0;
	snprintf(path, sizeof(path), "/proc/self/task/%s/status", thread);
	FILE *file = fopen(path, "re");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "SigBlk: %llx", &mask) == 1)
			break;
	fclose(file);
	return mask;
}

static void the_threads_of_the_pool_are_there_at_once_and_take_no_signal(void **state)
{
	struct bench *b = *state;
	struct err err;
	int others = 0;
	char self[16];
	snprintf(self, sizeof(self), "%d", getpid());
	unsigned long long before = mask_of(self);
	assert_int_equal(loop_open_pool(&b->loop, &err), 0);
	assert_int_equal(mask_of(self), before);
	assert_int_equal(b->turns, 0);
	DIR *dir = opendir("/proc/self/task");
	assert_non_null(dir);
	for (struct dirent *entry; (entry = readdir(dir));) {
		if (entry->d_name[0] == '.' || atoi(entry->d_name) == getpid())
			continue;
		others++;
		assert_true(mask_of(entry->d_name) & (1ULL << (SIGCHLD - 1)));
		assert_true(mask_of(entry->d_name) & (1ULL << (SIGTERM - 1)));
	}
	closedir(dir);
	assert_true(others >= 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static int done; /* jobs of the pool that were told to be done */

static void work_for_a_while(uv_work_t *work)
{
	(void)work;
	usleep(200000);
}

static void on_done(uv_work_t *work, int status)
{
	(void)work, (void)status;
	done++;
}

static void what_the_pool_is_still_at_is_told_before_the_loop_goes(void **state)
{
	(void)state;
	struct bench b = {0};
	struct err err;
	uv_work_t work;
	done = 0;
	assert_int_equal(loop_init(&b.loop, on_turn, &b, &err), 0);
	assert_int_equal(uv_queue_work(&b.loop.uv, &work, work_for_a_while, on_done), 0);
	loop_fini(&b.loop);
	assert_int_equal(done, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(events_are_taken_in_the_order_they_were_posted),
		TEST(the_queue_grows_with_its_head_anywhere),
		TEST(as_many_events_as_there_may_be_are_kept),
		TEST(an_event_posted_inside_a_turn_is_taken_in_a_later_one),
		TEST(who_always_posts_does_not_keep_the_loop_from_polling),
		TEST(a_turn_can_be_asked_for_without_any_event),
		TEST(a_wish_is_met_and_not_earlier),
		TEST(a_wish_for_the_past_is_met_at_once),
		TEST(a_later_wish_replaces_the_earlier),
		TEST(a_wish_can_be_taken_back),
		TEST(a_wish_outlives_a_storm_of_events),
		TEST(lag_is_the_time_not_spent_waiting),
		TEST(the_clocks_tell_milliseconds),
		TEST(the_threads_of_the_pool_are_there_at_once_and_take_no_signal),
		cmocka_unit_test(what_the_pool_is_still_at_is_told_before_the_loop_goes),
	};
	return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
