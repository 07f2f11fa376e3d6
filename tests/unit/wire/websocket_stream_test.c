/* Any stream in any pieces: the tracker against a naive reading of the same
 * bytes. PODVISOR_CASES=n and PODVISOR_SEED=n choose how many and which. */
#include "podvisor/wire/websocket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "podvisor/base/random.h"
#include "websocket_making.h"
#include "websocket_reading.h"

#define CASES_BY_DEFAULT 50000
#define STREAM_MAX       WEBSOCKET_STREAM_MAX

static uint8_t stream[STREAM_MAX];
static struct websocket_reading truth[STREAM_MAX + 1]; /* behind each of its bytes */

static void read_naively(size_t n, bool by_client)
{
	for (size_t i = 0; i <= n; i++)
		truth[i] = websocket_read(stream, i, by_client);
}

static bool is_true_at(const struct websocket_reading *t, enum websocket_place place)
{
	switch (place) {
	case WEBSOCKET_AT_FRAME:
		return t->sound && t->between;
	case WEBSOCKET_AT_MESSAGE:
		return t->sound && t->between && !t->within_message;
	case WEBSOCKET_AT_CLOSED:
		return t->closed;
	default:
		return false;
	}
}

static void assert_agrees(const struct websocket_tracker *t, const struct websocket_reading *r)
{
	assert_int_equal(t->fault == WEBSOCKET_SOUND, r->sound);
	assert_int_equal(t->messages, r->messages);
	for (int place = WEBSOCKET_AT_FRAME; place <= WEBSOCKET_AT_NOTHING; place++)
		assert_int_equal(websocket_is_at(t, place), is_true_at(r, place));
}

/* Where a call that looks for a place has to stop: at the first one, or at the end of the bytes it was given, which is
 * also where it goes when it finds that the framing is broken. */
static size_t expected_stop(size_t at, size_t end, enum websocket_place place)
{
	while (at < end && truth[at].sound && !is_true_at(&truth[at], place))
		at++;
	return truth[at].sound ? at : end;
}

/* A Close of ours, put where one fits, makes a sound stream of whole frames that ends with it. */
static void assert_close_fits(size_t at, bool by_client, struct random *r)
{
	struct buf out;
	uint64_t key = random_next(r);
	buf_init(&out, STREAM_MAX + 200);
	buf_put(&out, stream, at);
	assert_int_equal(
		websocket_close_frame(&out, 1012, "service restart", by_client ? (const uint8_t *)&key : NULL), 0);
	struct websocket_reading together = websocket_read(out.data, out.len, by_client);
	assert_true(together.sound && together.between && together.closed);
	assert_int_equal(together.messages, truth[at].messages);
	assert_int_equal(together.frames_end, out.len);
	buf_fini(&out);
}

static size_t pick_piece(struct random *r, size_t most, size_t left)
{
	size_t n = 1 + (size_t)random_below(r, most);
	return n < left ? n : left;
}

static void follow(size_t n, bool by_client, struct random *r)
{
	static const size_t sizes[] = {1, 2, 7, 60, STREAM_MAX};
	size_t most = sizes[random_below(r, 5)];
	struct websocket_tracker t;
	websocket_tracker_init(&t, by_client ? WEBSOCKET_CLIENT : WEBSOCKET_SERVER);
	for (size_t at = 0; at < n;) {
		size_t piece = pick_piece(r, most, n - at);
		enum websocket_place place = (enum websocket_place)random_below(r, 4);
		size_t stop = expected_stop(at, at + piece, place);
		assert_int_equal(websocket_track(&t, (struct span){(char *)stream + at, piece}, place), stop - at);
		assert_agrees(&t, &truth[stop]);
		if (websocket_is_at(&t, WEBSOCKET_AT_FRAME) && !t.closed && random_below(r, 4) == 0)
			assert_close_fits(stop, by_client, r);
		if (stop == at) /* it stands at one: go on */
			assert_int_equal(
				websocket_track(&t, (struct span){(char *)stream + at++, 1}, WEBSOCKET_AT_NOTHING), 1);
		else
			at = stop;
	}
	assert_agrees(&t, &truth[n]);
}

static void any_stream_in_any_pieces_is_read_as_the_naive_reader_reads_it(void **state)
{
	(void)state;
	uint64_t cases = chosen_number("PODVISOR_CASES", CASES_BY_DEFAULT);
	uint64_t seed = chosen_number("PODVISOR_SEED", 20261127), bytes = 0, sound = 0;
	for (uint64_t i = 0; i < cases; i++) {
		struct random r = {.state = seed + i};
		bool by_client = random_below(&r, 2);
		size_t n = websocket_make_stream(stream, by_client, &r);
		read_naively(n, by_client);
		sound += truth[n].sound;
		bytes += n;
		follow(n, by_client, &r);
	}
	print_message("%llu cases from seed %llu on, %llu of them sound, %llu bytes\n", (unsigned long long)cases,
		(unsigned long long)seed, (unsigned long long)sound, (unsigned long long)bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_stream_in_any_pieces_is_read_as_the_naive_reader_reads_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
