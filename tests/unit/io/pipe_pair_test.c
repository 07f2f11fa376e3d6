#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "podvisor/base/buf.h"
#include "podvisor/io/pipe_pair.h"

struct bench {
	struct loop loop;
	struct pipe_pair *pair;
	int child[2];
	struct buf heard;
	int ends;
	size_t close_at; /* close the pair once so many bytes were heard; 0: never */
};

static void no_turn(void *ctx)
{
	(void)ctx;
}

static void on_bytes(void *ctx, struct span bytes)
{
	struct bench *b = ctx;
	buf_put(&b->heard, bytes.at, bytes.len);
	if (b->close_at && b->heard.len >= b->close_at) {
		pipe_pair_close(b->pair);
		b->pair = NULL;
	}
}

static void on_end(void *ctx)
{
	((struct bench *)ctx)->ends++;
}

static const struct pipe_pair_calls calls = {.on_bytes = on_bytes, .on_end = on_end};

static void raise_bench(struct bench *b)
{
	*b = (struct bench){0};
	signal(SIGPIPE, SIG_IGN);
	buf_init(&b->heard, 1 << 22);
	assert_int_equal(loop_init(&b->loop, no_turn, NULL, NULL), 0);
	assert_int_equal(pipe_pair_open(&b->pair, &b->loop, 1 << 20, &calls, b, b->child, NULL), 0);
}

static void strike_bench(struct bench *b)
{
	pipe_pair_close(b->pair);
	for (int i = 0; i < 2; i++)
		if (b->child[i] >= 0)
			close(b->child[i]);
	loop_fini(&b->loop);
	buf_fini(&b->heard);
}

static void turn_until(struct bench *b, const size_t *value, size_t wanted)
{
	for (int i = 0; i < 10000 && *value < wanted; i++)
		uv_run(&b->loop.uv, UV_RUN_ONCE);
	assert_true(*value >= wanted);
}

static void each_side_hears_the_other(void **state)
{
	(void)state;
	struct bench b;
	char text[16] = "";
	raise_bench(&b);
	assert_int_equal(pipe_pair_write(b.pair, "hello", 5), 0);
	assert_int_equal(read(b.child[0], text, sizeof(text)), 5);
	assert_string_equal(text, "hello");
	assert_int_equal(write(b.child[1], "back", 4), 4);
	turn_until(&b, &b.heard.len, 4);
	assert_string_equal(b.heard.data, "back");
	strike_bench(&b);
}

static void what_the_child_does_not_take_waits_and_arrives_in_order(void **state)
{
	(void)state;
	struct bench b;
	static char sent[600000], got[600000];
	raise_bench(&b);
	for (size_t i = 0; i < sizeof(sent); i++)
		sent[i] = (char)(i * 31 % 251);
	assert_int_equal(pipe_pair_write(b.pair, sent, sizeof(sent)), 0);
	size_t n = 0;
	while (n < sizeof(got)) {
		ssize_t k = read(b.child[0], got + n, sizeof(got) - n);
		assert_true(k > 0);
		n += (size_t)k;
		uv_run(&b.loop.uv, UV_RUN_NOWAIT);
	}
	assert_memory_equal(sent, got, sizeof(sent));
	strike_bench(&b);
}

static void a_queue_over_its_cap_is_refused_whole(void **state)
{
	(void)state;
	struct bench b;
	static char much[700000];
	raise_bench(&b);
	assert_int_equal(pipe_pair_write(b.pair, much, sizeof(much)), 0);
	assert_int_equal(pipe_pair_write(b.pair, much, sizeof(much)), -ENOSPC);
	assert_int_equal(pipe_pair_write(b.pair, much, 1000), 0); /* and it is not broken by that */
	strike_bench(&b);
}

static void the_end_of_the_child_is_told_once_after_its_last_words(void **state)
{
	(void)state;
	struct bench b;
	raise_bench(&b);
	assert_int_equal(write(b.child[1], "last", 4), 4);
	for (int i = 0; i < 2; i++) {
		close(b.child[i]);
		b.child[i] = -1;
	}
	for (int i = 0; i < 1000 && !b.ends; i++)
		uv_run(&b.loop.uv, UV_RUN_ONCE);
	assert_int_equal(b.ends, 1);
	assert_string_equal(b.heard.data, "last");
	assert_int_equal(pipe_pair_write(b.pair, "x", 1), -EPIPE);
	strike_bench(&b);
}

static void it_may_be_closed_while_it_speaks(void **state)
{
	(void)state;
	struct bench b;
	char byte;
	raise_bench(&b);
	b.close_at = 1;
	assert_int_equal(write(b.child[1], "x", 1), 1);
	turn_until(&b, &b.heard.len, 1);
	uv_run(&b.loop.uv, UV_RUN_NOWAIT);
	assert_int_equal(b.ends, 0);
	assert_int_equal(read(b.child[0], &byte, 1), 0); /* the child sees the end */
	strike_bench(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_side_hears_the_other),
		cmocka_unit_test(what_the_child_does_not_take_waits_and_arrives_in_order),
		cmocka_unit_test(a_queue_over_its_cap_is_refused_whole),
		cmocka_unit_test(the_end_of_the_child_is_told_once_after_its_last_words),
		cmocka_unit_test(it_may_be_closed_while_it_speaks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
