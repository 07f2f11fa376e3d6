#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "podvisor/base/random.h"
#include "podvisor/model/closing.h"

static const struct config_drain times = {
	.message_wait = 2000, .boundary_wait = 5000, .close_timeout = 5000, .linger = 2000};

static const struct closing_view between = {.sound = true, .at_message = true, .at_frame = true};
static const struct closing_view inside_message = {.sound = true, .at_frame = true};
static const struct closing_view inside_frame = {.sound = true};

static struct closing begun(ms_t slot)
{
	struct closing c;
	closing_init(&c);
	closing_begin(&c, slot);
	return c;
}

static void expect(struct closing *c, const struct closing_view *v, ms_t now, enum closing_action action)
{
	assert_int_equal(closing_step(c, v, &times, now), action);
}

static void an_open_connection_is_left_alone(void **state)
{
	(void)state;
	struct closing c;
	closing_init(&c);
	expect(&c, &between, 1 << 30, CLOSING_WAIT);
	assert_int_equal(c.state, CLOSING_OPEN);
	assert_true(c.at == CLOCK_NEVER);
}

static void nothing_is_sent_before_the_slot(void **state)
{
	(void)state;
	struct closing c = begun(1000);
	assert_int_equal(c.at, 1000);
	expect(&c, &between, 999, CLOSING_WAIT);
	expect(&c, &between, 1000, CLOSING_SEND);
	assert_int_equal(c.sent_at, 1000);
}

static void a_message_boundary_is_preferred_and_then_a_frame_boundary_taken(void **state)
{
	(void)state;
	struct closing c = begun(1000);
	expect(&c, &inside_message, 1000, CLOSING_WAIT);
	assert_true(closing_wants_boundary(&c));
	assert_int_equal(c.at, 3000);
	expect(&c, &inside_message, 2999, CLOSING_WAIT);
	expect(&c, &inside_message, 3000, CLOSING_SEND);
	struct closing other = begun(1000);
	expect(&other, &inside_message, 1000, CLOSING_WAIT);
	expect(&other, &between, 1500, CLOSING_SEND);
}

static void without_any_boundary_it_is_cut_and_called_unclean(void **state)
{
	(void)state;
	struct closing c = begun(1000);
	expect(&c, &inside_frame, 1000, CLOSING_WAIT);
	expect(&c, &inside_frame, 3000, CLOSING_WAIT);
	assert_int_equal(c.state, CLOSING_FRAME);
	assert_int_equal(c.at, 8000);
	expect(&c, &inside_frame, 8000, CLOSING_CUT);
	assert_int_equal(c.result, GATEWAY_UNCLEAN);
}

static void framing_that_is_not_sound_is_never_sent_into(void **state)
{
	(void)state;
	struct closing_view broken = {.at_message = true, .at_frame = true};
	struct closing c = begun(1000);
	expect(&c, &broken, 500, CLOSING_WAIT);
	expect(&c, &broken, 1000, CLOSING_CUT);
	assert_int_equal(c.result, GATEWAY_UNCLEAN);
}

static void the_client_s_answer_makes_it_clean(void **state)
{
	(void)state;
	struct closing c = begun(1000);
	struct closing_view answered = between;
	expect(&c, &between, 1000, CLOSING_SEND);
	expect(&c, &between, 1200, CLOSING_WAIT);
	answered.client_closed = true;
	expect(&c, &answered, 1300, CLOSING_FINISH);
	assert_int_equal(c.result, GATEWAY_CLEAN);
	expect(&c, &answered, 9000, CLOSING_WAIT);
}

static void a_silent_client_is_cut_after_close_timeout(void **state)
{
	(void)state;
	struct closing c = begun(1000);
	expect(&c, &between, 1000, CLOSING_SEND);
	assert_int_equal(c.at, 6000);
	expect(&c, &between, 5999, CLOSING_WAIT);
	expect(&c, &between, 6000, CLOSING_CUT);
	assert_int_equal(c.result, GATEWAY_CLIENT_TIMEOUT);
}

static void a_close_of_the_backend_is_not_followed_by_ours(void **state)
{
	(void)state;
	struct closing c = begun(1000);
	struct closing_view v = between;
	v.backend_closed = true;
	expect(&c, &v, 1000, CLOSING_WAIT);
	assert_int_equal(c.state, CLOSING_ANSWER);
	v.client_closed = true;
	expect(&c, &v, 1500, CLOSING_FINISH);
	assert_int_equal(c.result, GATEWAY_PEER_FIRST);
	assert_int_equal(c.sent_at, 0);
}

static void a_client_that_closed_first_gets_the_backend_s_answer(void **state)
{
	(void)state;
	struct closing c = begun(1000);
	struct closing_view v = between;
	v.client_closed = true;
	expect(&c, &v, 1000, CLOSING_WAIT);
	v.backend_closed = true;
	expect(&c, &v, 1500, CLOSING_FINISH);
	assert_int_equal(c.result, GATEWAY_PEER_FIRST);
}

static void when_the_other_answer_never_comes_it_is_cut(void **state)
{
	(void)state;
	for (int client = 0; client < 2; client++) {
		struct closing c = begun(1000);
		struct closing_view v = between;
		v.client_closed = client;
		v.backend_closed = !client;
		expect(&c, &v, 1000, CLOSING_WAIT);
		expect(&c, &v, 6000, CLOSING_CUT);
		assert_int_equal(c.result, client ? GATEWAY_PEER_FIRST : GATEWAY_CLIENT_TIMEOUT);
	}
}

static void a_dead_backend_s_client_is_told_at_a_frame_boundary_and_else_cut(void **state)
{
	(void)state;
	struct closing_view v = inside_message;
	v.backend_gone = true;
	struct closing c = begun(1000);
	expect(&c, &v, 10, CLOSING_SEND);
	v.at_frame = false;
	struct closing other = begun(1000);
	expect(&other, &v, 10, CLOSING_CUT);
	assert_int_equal(other.result, GATEWAY_UNCLEAN);
}

static void a_client_that_goes_without_answer_is_a_reset(void **state)
{
	(void)state;
	struct closing c = begun(1000);
	struct closing_view v = between;
	expect(&c, &between, 1000, CLOSING_SEND);
	v.client_gone = true;
	expect(&c, &v, 1100, CLOSING_CUT);
	assert_int_equal(c.result, GATEWAY_RESET);
	struct closing early = begun(1000);
	expect(&early, &v, 500, CLOSING_CUT);
	assert_int_equal(early.result, GATEWAY_PEER_FIRST);
}

static void it_can_be_taken_back_until_a_close_is_on_its_way(void **state)
{
	(void)state;
	struct closing c = begun(1000);
	expect(&c, &inside_frame, 1000, CLOSING_WAIT);
	assert_true(closing_take_back(&c));
	expect(&c, &between, 5000, CLOSING_WAIT);
	closing_begin(&c, 6000);
	expect(&c, &between, 6000, CLOSING_SEND);
	assert_false(closing_take_back(&c));
}

static void closes_that_cross_are_clean_when_the_client_has_answered(void **state)
{
	(void)state;
	struct closing c = begun(1000);
	struct closing_view v = between;
	expect(&c, &v, 1000, CLOSING_SEND);
	v.backend_closed = true;
	expect(&c, &v, 1001, CLOSING_WAIT);
	v.client_closed = true;
	expect(&c, &v, 1002, CLOSING_FINISH);
	assert_int_equal(c.result, GATEWAY_CLEAN);
}

static void one_that_waits_for_its_slot_can_be_hurried(void **state)
{
	(void)state;
	struct closing c = begun(9000), open;
	assert_true(closing_hurry(&c, 2000));
	assert_int_equal(c.began_at, 2000);
	expect(&c, &between, 2000, CLOSING_SEND);
	assert_false(closing_hurry(&c, 2001));
	closing_init(&open);
	assert_false(closing_hurry(&open, 2000));
	struct closing late = begun(1000);
	assert_true(closing_hurry(&late, 2000));
	assert_int_equal(late.began_at, 1000);
}

static void one_that_is_given_up_tells_how_far_it_came(void **state)
{
	(void)state;
	struct closing waiting = begun(9000), asked = begun(1000), theirs = begun(1000), over = begun(1000);
	struct closing_view v = between;
	closing_give_up(&waiting);
	assert_int_equal(waiting.result, GATEWAY_UNCLEAN);
	expect(&asked, &v, 1000, CLOSING_SEND);
	closing_give_up(&asked);
	assert_int_equal(asked.result, GATEWAY_CLIENT_TIMEOUT);
	v.client_closed = true;
	expect(&theirs, &v, 1000, CLOSING_WAIT);
	closing_give_up(&theirs);
	assert_int_equal(theirs.result, GATEWAY_PEER_FIRST);
	expect(&over, &between, 1000, CLOSING_SEND);
	expect(&over, &v, 1000, CLOSING_FINISH);
	closing_give_up(&over);
	assert_int_equal(over.result, GATEWAY_CLEAN);
}

/* The machine that was away for an hour: everything is due at once, and in order. */
static void a_clock_that_leaps_makes_one_step_of_each(void **state)
{
	(void)state;
	struct closing c = begun(1000);
	expect(&c, &inside_frame, 3600000, CLOSING_WAIT);
	assert_int_equal(c.at, 3602000);
	expect(&c, &between, 7200000, CLOSING_SEND);
	assert_int_equal(c.at, 7205000);
}

/* So many in a window: each has its own part of it, and no 100 ms have more than their share and one. */
static void slots_are_spread_evenly_however_many_there_are(void **state)
{
	(void)state;
	static const struct {
		size_t n;
		ms_t window;
	} cases[] = {{1, 100}, {3, 300}, {2000, 20000}, {2000, 8000}, {10000, 20000}, {10000, 4000}, {5, 0}};
	struct random random = {3};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		size_t n = cases[i].n, from = 0, peak = 0;
		static ms_t slots[10000];
		for (size_t k = 0; k < n; k++) {
			slots[k] = closing_slot(k, n, cases[i].window, &random);
			assert_true(slots[k] >= 0 && slots[k] <= cases[i].window);
			assert_true(k == 0 || slots[k] >= slots[k - 1]);
			while (slots[k] - slots[from] >= 100)
				from++;
			peak = k - from + 1 > peak ? k - from + 1 : peak;
		}
		if (cases[i].window)
			assert_true(peak <= n * 100 / (size_t)cases[i].window + 2);
	}
}

/* Whatever happens: at most one Close, never inside a frame, never after somebody else's, and an end in bounded time.
 */
static void random_lives_keep_the_promises(void **state)
{
	(void)state;
	struct random random = {7};
	for (int life = 0; life < 20000; life++) {
		struct closing c = begun(100);
		struct closing_view v = between;
		int sent = 0;
		ms_t now = 0;
		while (c.state != CLOSING_DONE) {
			now += (ms_t)random_below(&random, 400);
			v.at_frame = random_below(&random, 8) == 0;
			v.at_message = v.at_frame && random_below(&random, 4) == 0;
			v.sound = v.sound && random_below(&random, 200) != 0;
			v.backend_closed |= random_below(&random, 300) == 0;
			v.client_closed |= random_below(&random, sent ? 10 : 300) == 0;
			v.backend_gone |= random_below(&random, 500) == 0;
			v.client_gone |= random_below(&random, 500) == 0;
			enum closing_action action = closing_step(&c, &v, &times, now);
			if (action == CLOSING_SEND) {
				sent++;
				assert_true(v.at_frame && v.sound && !v.backend_closed && !v.client_closed);
			}
			bool ended = action == CLOSING_FINISH || action == CLOSING_CUT;
			assert_int_equal(ended, c.state == CLOSING_DONE);
			if (ended && c.result == GATEWAY_CLEAN)
				assert_true(sent == 1 && v.client_closed);
			assert_true(now < 100 + 2000 + 5000 + 5000 + 4 * 400);
		}
		assert_true(sent <= 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_open_connection_is_left_alone),
		cmocka_unit_test(nothing_is_sent_before_the_slot),
		cmocka_unit_test(a_message_boundary_is_preferred_and_then_a_frame_boundary_taken),
		cmocka_unit_test(without_any_boundary_it_is_cut_and_called_unclean),
		cmocka_unit_test(framing_that_is_not_sound_is_never_sent_into),
		cmocka_unit_test(the_client_s_answer_makes_it_clean),
		cmocka_unit_test(a_silent_client_is_cut_after_close_timeout),
		cmocka_unit_test(a_close_of_the_backend_is_not_followed_by_ours),
		cmocka_unit_test(a_client_that_closed_first_gets_the_backend_s_answer),
		cmocka_unit_test(when_the_other_answer_never_comes_it_is_cut),
		cmocka_unit_test(a_dead_backend_s_client_is_told_at_a_frame_boundary_and_else_cut),
		cmocka_unit_test(a_client_that_goes_without_answer_is_a_reset),
		cmocka_unit_test(it_can_be_taken_back_until_a_close_is_on_its_way),
		cmocka_unit_test(closes_that_cross_are_clean_when_the_client_has_answered),
		cmocka_unit_test(one_that_waits_for_its_slot_can_be_hurried),
		cmocka_unit_test(one_that_is_given_up_tells_how_far_it_came),
		cmocka_unit_test(a_clock_that_leaps_makes_one_step_of_each),
		cmocka_unit_test(slots_are_spread_evenly_however_many_there_are),
		cmocka_unit_test(random_lives_keep_the_promises),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
