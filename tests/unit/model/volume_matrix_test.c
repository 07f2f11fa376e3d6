/* Every state of a volume against everything that can happen to it, wanted or
 * not: where it stands after the next turn, and what is planned. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "podvisor/model/volume.h"

static const struct config_volume config = {
	.name = (char *)"tmp", .path = (char *)"/tmp", .size_bytes = 1 << 20, .high_percent = 85, .low_percent = 70};

struct stage {
	struct volume volume;
	struct random random;
	struct journal journal;
	struct plan plan;
	struct turn turn;
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
	plan_clear(&s->plan);
	volume_plan(&s->volume, s->wanted, &s->turn);
}

static void happens(struct stage *s, enum what what)
{
	struct event e = {.kind = events[what], .volume = {.size_bytes = 100}};
	if (what == UNWANTED)
		s->wanted = false;
	else if (what == DUE)
		s->turn.now += 5000;
	else
		volume_apply(&s->volume, &e, &s->turn);
	plan(s);
}

/* ---- the table ---- */

struct cell {
	bool set; /* else: it stays, and nothing is planned */
	enum volume_state next;
	enum effect_kind effect;
};

#define NOTHING EFFECT_KIND_COUNT
#define IS(state)                             \
	{                                     \
		true, VOLUME_##state, NOTHING \
	}
#define TO(state, effect)                                    \
	{                                                    \
		true, VOLUME_##state, EFFECT_VOLUME_##effect \
	}

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
	plan_init(&s->plan);
	s->turn = (struct turn){.now = 1000, .random = &s->random, .journal = &s->journal, .plan = &s->plan};
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
	assert_int_equal(s->plan.count, 0);
}

static const char *first_effect(const struct stage *s)
{
	return s->plan.count ? effect_name(s->plan.effects[0].kind) : "nothing";
}

static bool is_right(enum volume_state state, enum what what)
{
	struct cell cell = table[state][what];
	enum volume_state next = cell.set ? cell.next : state;
	const char *effect = cell.set && cell.effect != NOTHING ? effect_name(cell.effect) : "nothing";
	struct stage s;
	set_stage(&s, state);
	happens(&s, what);
	bool right = s.volume.state == next && strcmp(first_effect(&s), effect) == 0;
	if (!right)
		print_error("%s x %s: %s, %s; expected %s, %s\n", volume_state_name(state), names[what],
			volume_state_name(s.volume.state), first_effect(&s), volume_state_name(next), effect);
	plan_fini(&s.plan);
	return right;
}

static void every_happening_in_every_state_leads_where_the_table_says(void **state)
{
	(void)state;
	int wrong = 0;
	for (int from = 0; from < VOLUME_STATE_COUNT; from++)
		for (int what = 0; what < WHAT_COUNT; what++)
			wrong += !is_right((enum volume_state)from, (enum what)what);
	assert_int_equal(wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_happening_in_every_state_leads_where_the_table_says),
	};
	return cmocka_run_group_tests_name("volume matrix", tests, NULL, NULL);
}
