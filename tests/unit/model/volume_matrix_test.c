/* Every state of a volume against everything that can happen to it, wanted or
 * not: where it stands after the next turn, and what is planned. */
#include "matrix.h"
#include "podvisor/model/volume.h"

static const struct config_volume config = {.name = (char *)"tmp",
	.path = (char *)"/tmp",
	.size_bytes = 1 << 20,
	.high_percent = 85,
	.low_percent = 70,
	.purge = (char *[]){(char *)"**", NULL}};

struct stage {
	struct volume volume;
	struct around around;
	bool wanted;
};

/* UNWANTED: podvisor ends. DUE: a measurement's time has come. FULL: measured, and above high. PURGED_ON: a slice of a
 * purge, not the last. RELIEVE: the pod needs room. */
enum what { PREPARED, REFUSED, MEASURED, FULL, PURGED, PURGED_ON, RELEASED, RELIEVE, UNWANTED, DUE, WHAT_COUNT };

static const char *const names[WHAT_COUNT] = {
	[PREPARED] = "prepared",
	[REFUSED] = "refused",
	[MEASURED] = "measured",
	[FULL] = "full",
	[PURGED] = "purged",
	[PURGED_ON] = "purged on",
	[RELIEVE] = "relieve",
	[RELEASED] = "released",
	[UNWANTED] = "unwanted",
	[DUE] = "due",
};

static const enum event_kind events[WHAT_COUNT] = {
	[PREPARED] = EVENT_VOLUME_PREPARED,
	[REFUSED] = EVENT_VOLUME_REFUSED,
	[MEASURED] = EVENT_VOLUME_MEASURED,
	[FULL] = EVENT_VOLUME_MEASURED,
	[PURGED] = EVENT_VOLUME_PURGED,
	[PURGED_ON] = EVENT_VOLUME_PURGED,
	[RELEASED] = EVENT_VOLUME_RELEASED,
};

static void plan(struct stage *s)
{
	plan_clear(&s->around.plan);
	volume_plan(&s->volume, s->wanted, &s->around.turn);
}

static void happens(struct stage *s, enum what what)
{
	struct event e = {.kind = events[what], .volume = {.size_bytes = 100, .is_tmpfs = true}};
	e.volume.used_bytes = what == FULL ? 90 : 1;
	e.volume.purge.more = what == PURGED_ON;
	if (what == RELIEVE && volume_can_relieve(&s->volume))
		volume_relieve(&s->volume, 10);
	else if (what == RELIEVE)
		;
	else if (what == UNWANTED)
		s->wanted = false;
	else if (what == DUE)
		s->around.turn.now += 5000;
	else
		volume_apply(&s->volume, &e, &s->around.turn);
	plan(s);
}

/* ---- the table ---- */

/* Ready, and a slice of a purge is under way. */
enum { PURGING = VOLUME_STATE_COUNT, ROW_COUNT };

#define IS(state)         LEADS(VOLUME_##state, NOTHING)
#define TO(state, effect) LEADS(VOLUME_##state, EFFECT_VOLUME_##effect)

/* A refusal and a release are final: what arrives after them came too late. What is under way is answered before
 * anything else is asked. */
static const struct cell table[ROW_COUNT][WHAT_COUNT] = {
	[VOLUME_PENDING] = {[PREPARED] = IS(READY), [REFUSED] = IS(REFUSED), [UNWANTED] = TO(PENDING, CANCEL)},
	[VOLUME_READY] = {[RELEASED] = IS(RELEASED),
		[UNWANTED] = TO(READY, RELEASE),
		[DUE] = TO(READY, MEASURE),
		[FULL] = TO(READY, PURGE),
		[RELIEVE] = TO(READY, PURGE)},
	[VOLUME_REFUSED] = {{0}},
	[VOLUME_RELEASED] = {{0}},
	[PURGING] = {[PURGED_ON] = TO(READY, PURGE),
		[MEASURED] = TO(READY, PURGE),
		[FULL] = TO(READY, PURGE),
		[RELEASED] = IS(RELEASED),
		[UNWANTED] = TO(READY, CANCEL)},
};

/* The preparation of a pending one is under way. */
static void set_stage(struct stage *s, int row)
{
	enum volume_state state = row == PURGING ? VOLUME_READY : (enum volume_state)row;
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
	if (row == PURGING)
		happens(s, FULL);
	plan(s);
	assert_string_equal(volume_state_name(s->volume.state), volume_state_name(state));
	assert_int_equal(s->around.plan.count, 0);
}

static const char *name_of(int state)
{
	return state == PURGING ? "purging" : volume_state_name((enum volume_state)state);
}

static bool is_right(int state, int what)
{
	struct stage s;
	set_stage(&s, state);
	happens(&s, (enum what)what);
	bool right = cell_is_right(&table[state][what], &s.around, state == PURGING ? VOLUME_READY : state,
		(int)s.volume.state, name_of, name_of(state), names[what]);
	plan_fini(&s.around.plan);
	return right;
}

static void every_happening_in_every_state_leads_where_the_table_says(void **state)
{
	(void)state;
	assert_table(ROW_COUNT, WHAT_COUNT, is_right);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_happening_in_every_state_leads_where_the_table_says),
	};
	return cmocka_run_group_tests_name("volume matrix", tests, NULL, NULL);
}
