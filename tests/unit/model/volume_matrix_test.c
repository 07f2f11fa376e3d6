/* Every state of a volume against everything that can happen to it, wanted or
 * not: where it stands after the next turn, and what is planned. */
#include "matrix.h"
#include "podvisor/model/volume.h"

static const struct config_volume config = {
	.name = (char *)"tmp", .path = (char *)"/tmp", .size_bytes = 1 << 20, .high_percent = 85, .low_percent = 70};

struct stage {
	struct volume volume;
	struct around around;
	bool wanted;
};

/* UNWANTED: podvisor ends. DUE: a measurement's time has come. */
enum what { PREPARED, REFUSED, MEASURED, RELEASED, UNWANTED, DUE, WHAT_COUNT };

static const char *const names[WHAT_COUNT] = {
	[PREPARED] = "prepared",
	[REFUSED] = "refused",
	[MEASURED] = "measured",
	[RELEASED] = "released",
	[UNWANTED] = "unwanted",
	[DUE] = "due",
};

static const enum event_kind events[WHAT_COUNT] = {
	[PREPARED] = EVENT_VOLUME_PREPARED,
	[REFUSED] = EVENT_VOLUME_REFUSED,
	[MEASURED] = EVENT_VOLUME_MEASURED,
	[RELEASED] = EVENT_VOLUME_RELEASED,
};

static void plan(struct stage *s)
{
	plan_clear(&s->around.plan);
	volume_plan(&s->volume, s->wanted, &s->around.turn);
}

static void happens(struct stage *s, enum what what)
{
	struct event e = {.kind = events[what], .volume = {.size_bytes = 100}};
	if (what == UNWANTED)
		s->wanted = false;
	else if (what == DUE)
		s->around.turn.now += 5000;
	else
		volume_apply(&s->volume, &e, &s->around.turn);
	plan(s);
}

/* ---- the table ---- */

#define IS(state)         LEADS(VOLUME_##state, NOTHING)
#define TO(state, effect) LEADS(VOLUME_##state, EFFECT_VOLUME_##effect)

/* A refusal and a release are final: what arrives after them came too late. */
static const struct cell table[VOLUME_STATE_COUNT][WHAT_COUNT] = {
	[VOLUME_PENDING] = {[PREPARED] = IS(READY), [REFUSED] = IS(REFUSED)}, /* unwanted: first the answer */
	[VOLUME_READY] = {[RELEASED] = IS(RELEASED), [UNWANTED] = TO(READY, RELEASE), [DUE] = TO(READY, MEASURE)},
	[VOLUME_REFUSED] = {{0}},
	[VOLUME_RELEASED] = {{0}},
};

/* The preparation of a pending one is under way. */
static void set_stage(struct stage *s, enum volume_state state)
{
	*s = (struct stage){.wanted = true};
	around_set(&s->around);
	volume_init(&s->volume, &config, 0, 1000);
	plan(s);
	if (state == VOLUME_REFUSED)
		happens(s, REFUSED);
	else if (state != VOLUME_PENDING)
		happens(s, PREPARED);
	if (state == VOLUME_RELEASED) {
		happens(s, UNWANTED);
		happens(s, RELEASED);
	}
	plan(s);
	assert_string_equal(volume_state_name(s->volume.state), volume_state_name(state));
	assert_int_equal(s->around.plan.count, 0);
}

static const char *name_of(int state)
{
	return volume_state_name((enum volume_state)state);
}

static bool is_right(int state, int what)
{
	struct stage s;
	set_stage(&s, (enum volume_state)state);
	happens(&s, (enum what)what);
	bool right = cell_is_right(
		&table[state][what], &s.around, state, (int)s.volume.state, name_of, name_of(state), names[what]);
	plan_fini(&s.around.plan);
	return right;
}

static void every_happening_in_every_state_leads_where_the_table_says(void **state)
{
	(void)state;
	assert_table(VOLUME_STATE_COUNT, WHAT_COUNT, is_right);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_happening_in_every_state_leads_where_the_table_says),
	};
	return cmocka_run_group_tests_name("volume matrix", tests, NULL, NULL);
}
