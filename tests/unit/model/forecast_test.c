#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "podvisor/model/forecast.h"

static struct config config;
static struct world world;
static struct meters meters;
static struct snapshot s;

static int set_up(void **state)
{
	(void)state;
	config = (struct config){
		.gateway = {.present = true,
			.drain = {
				.spread = 20000, .message_wait = 2000, .boundary_wait = 5000, .close_timeout = 5000}}};
	world = (struct world){.config = &config, .drain = {.phase_until = CLOCK_NEVER}};
	meters = (struct meters){0};
	s = (struct snapshot){.world = &world, .meters = &meters, .now = 10000};
	return 0;
}

static void while_it_serves_there_is_no_estimate(void **state)
{
	(void)state;
	assert_true(forecast_drained_at(&s) == CLOCK_NEVER);
}

static void in_the_lame_duck_the_window_is_still_to_come(void **state)
{
	(void)state;
	world.drain.state = DRAIN_LAME_DUCK;
	world.drain.phase_until = 13000;
	meters.gateway.websocket = 2000;
	assert_int_equal(forecast_drained_at(&s), 33000);
	meters.gateway.websocket = 30;
	assert_int_equal(forecast_drained_at(&s), 16000);
}

static void while_draining_the_last_slot_and_a_goodbye_are_awaited(void **state)
{
	(void)state;
	world.drain.state = DRAIN_DRAINING;
	meters.gateway.drain = (struct gateway_drain){.slots_until = 22000, .longest_handshake_ms = 300};
	meters.gateway.websocket = 5;
	assert_int_equal(forecast_drained_at(&s), 22300);
	world.drain.phase_until = 21000;
	assert_int_equal(forecast_drained_at(&s), 21000);
}

static void behind_the_last_slot_it_tells_the_latest(void **state)
{
	(void)state;
	world.drain.state = DRAIN_DRAINING;
	meters.gateway.drain = (struct gateway_drain){.slots_until = 9000, .requests_until = 15000};
	meters.gateway.websocket = 1;
	assert_int_equal(forecast_drained_at(&s), 21000);
	meters.gateway.websocket = 0;
	meters.gateway.http = 1;
	assert_int_equal(forecast_drained_at(&s), 15000);
	meters.gateway.http = 0;
	assert_int_equal(forecast_drained_at(&s), 10000);
}

static void an_empty_gateway_has_been_drained(void **state)
{
	(void)state;
	world.drain.state = DRAIN_DRAINING;
	world.drain.gateway_empty = true;
	meters.gateway.drain.slots_until = 50000;
	assert_int_equal(forecast_drained_at(&s), 10000);
	world.drain.state = DRAIN_STOPPING;
	assert_int_equal(forecast_drained_at(&s), 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(while_it_serves_there_is_no_estimate, set_up),
		cmocka_unit_test_setup(in_the_lame_duck_the_window_is_still_to_come, set_up),
		cmocka_unit_test_setup(while_draining_the_last_slot_and_a_goodbye_are_awaited, set_up),
		cmocka_unit_test_setup(behind_the_last_slot_it_tells_the_latest, set_up),
		cmocka_unit_test_setup(an_empty_gateway_has_been_drained, set_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
