/* What goes into a WebSocket comes out of it, byte for byte, through the real
 * gateway and real sockets, whatever it is and however it is cut; and a drain
 * cuts it between two frames. PODVISOR_CASES=n and PODVISOR_SEED=n choose how
 * many cases and which. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../unit/wire/websocket_making.h"
#include "../unit/wire/websocket_reading.h"
#include "gateway_fixture.h"

#define CASES_BY_DEFAULT 3000
#define CASES_A_SOCKET   20
#define DRAIN_ROUNDS     25
#define DRAIN_SOCKETS    12
#define MESSAGE_WAIT_MS  100
#define CLOSE            "\x88\x11\x03\xf4service restart"
#define CLOSE_BYTES      (sizeof(CLOSE) - 1)

static struct gateway_fixture *f;

/* ---- identity ---- */

/* One direction of a WebSocket, and all that was sent in it. */
struct way {
	int from, to;
	bool by_client;
	struct buf all;
	size_t sent, got;
};

static void add_stream(struct way *w, struct random *r)
{
	static uint8_t stream[WEBSOCKET_STREAM_MAX];
	size_t n = websocket_make_stream(stream, w->by_client, r);
	assert_int_equal(buf_put(&w->all, stream, n), 0);
}

static bool send_piece(struct way *w, size_t most, struct random *r)
{
	size_t left = w->all.len - w->sent, n = 1 + (size_t)random_below(r, most);
	ssize_t done =
		left ? send(w->from, w->all.data + w->sent, n < left ? n : left, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
	w->sent += done > 0 ? (size_t)done : 0;
	return done > 0;
}

static bool receive_piece(struct way *w, size_t most, struct random *r)
{
	static char in[1 << 16];
	ssize_t done = recv(w->to, in, 1 + (size_t)random_below(r, most), MSG_DONTWAIT);
	if (done == 0 || (done < 0 && errno != EAGAIN))
		fail_msg("the end after %zu of %zu bytes", w->got, w->all.len);
	if (done < 0)
		return false;
	assert_true(w->got + (size_t)done <= w->sent);
	assert_memory_equal(in, w->all.data + w->got, (size_t)done);
	w->got += (size_t)done;
	return true;
}

static void await_bytes(const struct way ways[2])
{
	struct pollfd polls[2] = {{ways[0].to, POLLIN, 0}, {ways[1].to, POLLIN, 0}};
	if (poll(polls, 2, GATEWAY_PATIENCE_MS) <= 0)
		fail_msg("%zu of %zu and %zu of %zu bytes have come", ways[0].got, ways[0].sent, ways[1].got,
			ways[1].sent);
}

static void carry(struct way ways[2], struct random *r)
{
	static const size_t sizes[] = {1, 2, 14, 200, 1 << 16};
	size_t sent_most = sizes[random_below(r, 5)], got_most = sizes[random_below(r, 2) ? 4 : random_below(r, 5)];
	while (ways[0].got < ways[0].all.len || ways[1].got < ways[1].all.len) {
		bool moved = false;
		for (int i = 0; i < 2; i++) {
			moved |= send_piece(&ways[i], ways[i].all.len - ways[i].sent > 5000 ? sizes[4] : sent_most, r);
			moved |= receive_piece(&ways[i], ways[i].all.len - ways[i].got > 5000 ? sizes[4] : got_most, r);
		}
		if (!moved)
			await_bytes(ways);
	}
}

/* Several cases follow each other on one WebSocket; the messages that the gateway counted are those of all. */
static void carry_cases(uint64_t seed, uint64_t cases, uint64_t *bytes)
{
	struct pair p = gateway_websocket(f);
	struct way ways[2] = {
		{.from = p.client, .to = p.backend, .by_client = true}, {.from = p.backend, .to = p.client}};
	struct gateway_meter before, after;
	gateway_meters(f, &before);
	for (int i = 0; i < 2; i++)
		buf_init(&ways[i].all, CASES_A_SOCKET * WEBSOCKET_STREAM_MAX);
	for (uint64_t i = 0; i < cases; i++) {
		struct random r = {.state = seed + i};
		add_stream(&ways[0], &r);
		add_stream(&ways[1], &r);
		carry(ways, &r);
	}
	gateway_meters(f, &after);
	for (int i = 0; i < 2; i++) {
		struct websocket_reading truth =
			websocket_read(buf_str(&ways[i].all), ways[i].all.len, ways[i].by_client);
		assert_int_equal(after.messages[i] - before.messages[i], truth.messages);
		*bytes += ways[i].all.len;
		buf_fini(&ways[i].all);
	}
	close(p.client);
	close(p.backend);
}

static void any_bytes_pass_unchanged_in_both_directions_however_they_are_cut(void **state)
{
	(void)state;
	uint64_t cases = chosen_number("PODVISOR_CASES", CASES_BY_DEFAULT), seed = chosen_number("PODVISOR_SEED", 455),
		 bytes = 0;
	f = gateway_start("", NULL);
	for (uint64_t i = 0; i < cases; i += CASES_A_SOCKET)
		carry_cases(seed + i, cases - i < CASES_A_SOCKET ? cases - i : CASES_A_SOCKET, &bytes);
	print_message("%llu cases from seed %llu on, %llu bytes\n", (unsigned long long)cases, (unsigned long long)seed,
		(unsigned long long)bytes);
}

/* ---- a drain in the middle of it ---- */

/* A backend's stream, of which so much had been sent when the drain began. */
struct cut {
	struct pair pair;
	uint8_t stream[WEBSOCKET_STREAM_MAX];
	size_t length, before;
};

/* Where the last whole message ends in the first n bytes. */
static size_t messages_end(const uint8_t *stream, size_t n)
{
	for (;; n--) {
		struct websocket_reading r = websocket_read(stream, n, false);
		if (n == 0 || (r.between && !r.within_message))
			return n;
	}
}

static void begin_cut(struct cut *c, struct random *r)
{
	c->pair = gateway_websocket(f);
	c->length = websocket_make_sound_stream(c->stream, 1 + random_below(r, 12), false, r);
	c->before = random_below(r, c->length + 1);
	put_bytes(c->pair.backend, c->stream, c->before);
}

/* To a backend's end that may have been closed meanwhile. */
static void send_rest(struct cut *c)
{
	for (size_t at = c->before; at < c->length;) {
		ssize_t done = send(c->pair.backend, c->stream + at, c->length - at, MSG_NOSIGNAL);
		if (done <= 0)
			return;
		at += (size_t)done;
	}
}

static void assert_cut_between_frames(struct cut *c)
{
	static char got[WEBSOCKET_STREAM_MAX + 200];
	size_t n = get_rest(c->pair.client, got, sizeof(got));
	assert_true(n >= CLOSE_BYTES);
	size_t passed = n - CLOSE_BYTES;
	assert_memory_equal(got + passed, CLOSE, CLOSE_BYTES);
	assert_true(passed <= c->length);
	assert_memory_equal(got, c->stream, passed);
	assert_true(websocket_read(c->stream, passed, false).between);
	assert_true(passed >= messages_end(c->stream, c->before));
	close(c->pair.client);
	close(c->pair.backend);
}

static void a_drain_cuts_between_two_frames_and_loses_no_message_that_was_finished(void **state)
{
	(void)state;
	uint64_t seed = chosen_number("PODVISOR_SEED", 1012), rounds = DRAIN_ROUNDS;
	if (getenv("PODVISOR_CASES"))
		rounds = chosen_number("PODVISOR_CASES", 0) / 1000 + 1;
	struct cut *cuts = calloc(DRAIN_SOCKETS, sizeof(*cuts));
	assert_non_null(cuts);
	for (uint64_t round = 0; round < rounds; round++) {
		struct random r = {.state = seed + round};
		/* The clients stay silent; between the frames of a long message there is no long waiting. */
		f = gateway_start("\"drain\": {\"message_wait\": \"100ms\", \"boundary_wait\": \"10s\","
				  " \"close_timeout\": \"50ms\", \"linger\": \"50ms\"}",
			NULL);
		for (int i = 0; i < DRAIN_SOCKETS; i++)
			begin_cut(&cuts[i], &r);
		gateway_effect(f, EFFECT_GATEWAY_DRAIN, 0);
		if (round % 2)
			usleep(MESSAGE_WAIT_MS * 1500); /* now any boundary will do */
		for (int i = 0; i < DRAIN_SOCKETS; i++)
			send_rest(&cuts[i]);
		for (int i = 0; i < DRAIN_SOCKETS; i++)
			assert_cut_between_frames(&cuts[i]);
		gateway_end(f);
		f = NULL;
	}
	print_message("%llu streams from seed %llu on\n", (unsigned long long)(rounds * DRAIN_SOCKETS),
		(unsigned long long)seed);
	free(cuts);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, gateway_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(any_bytes_pass_unchanged_in_both_directions_however_they_are_cut),
		TEST(a_drain_cuts_between_two_frames_and_loses_no_message_that_was_finished),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
