#include "podvisor/model/volume.h"

#include <stdio.h>
#include <string.h>

#include "podvisor/base/units.h"

#define MEASURE_EVERY_MS 5000

static const char *const state_names[VOLUME_STATE_COUNT] = {
#define VOLUME_NAME(id, name) [id] = name,
	VOLUME_STATES(VOLUME_NAME)
#undef VOLUME_NAME
};

const char *volume_state_name(enum volume_state state)
{
	return state < VOLUME_STATE_COUNT ? state_names[state] : "unknown";
}

/* The only place where the state changes. */
static void set_state(struct volume *v, enum volume_state state, const char *text, struct turn *t)
{
	v->state = state;
	v->since = t->now;
	snprintf(v->text, sizeof(v->text), "%s", text);
	journal_add(t->journal, t->now, state == VOLUME_REFUSED ? LOG_ERROR : LOG_INFO, THING_VOLUME, v->config->name,
		volume_state_name(state), "%s", v->text);
}

void volume_init(struct volume *v, const struct config_volume *config, uint32_t slot, ms_t now)
{
	*v = (struct volume){
		.config = config, .slot = slot, .state = VOLUME_PENDING, .since = now, .measure_due = CLOCK_NEVER};
}

int volume_used_percent(const struct volume *v)
{
	return v->size_bytes > 0 ? (int)((double)v->used_bytes * 100 / (double)v->size_bytes) : 0;
}

static void take_measure(struct volume *v, const struct event *e, struct turn *t)
{
	bool was_tmpfs = v->is_tmpfs;
	v->used_bytes = e->volume.used_bytes;
	v->size_bytes = e->volume.size_bytes;
	v->used_inodes = e->volume.used_inodes;
	v->size_inodes = e->volume.size_inodes;
	v->is_tmpfs = e->volume.is_tmpfs;
	v->measure_due = clock_after(t->now, MEASURE_EVERY_MS);
	if (was_tmpfs && !v->is_tmpfs)
		journal_add(t->journal, t->now, LOG_ERROR, THING_VOLUME, v->config->name, "lost",
			"%s is not a tmpfs any more: somebody unmounted it", v->config->path);
}

/* It could not be measured: what was known stays, for a failure tells nothing about the mount. Told once. */
static void miss_measure(struct volume *v, const char *text, struct turn *t)
{
	v->measure_due = clock_after(t->now, MEASURE_EVERY_MS);
	if (strcmp(text, v->text) == 0)
		return;
	snprintf(v->text, sizeof(v->text), "%s", text);
	journal_add(t->journal, t->now, LOG_WARN, THING_VOLUME, v->config->name, "unmeasured", "%s", text);
}

/* Says it when it gets full and when it has room again, not on every measurement. */
static void tell_fill(struct volume *v, struct turn *t)
{
	int percent = volume_used_percent(v);
	char size[UNITS_TEXT_MAX];
	units_format_size(v->size_bytes, size);
	if (!v->above_high && percent > v->config->high_percent) {
		v->above_high = true;
		journal_add(t->journal, t->now, LOG_WARN, THING_VOLUME, v->config->name, "high",
			"%d%% of %s is used, above %d%%", percent, size, v->config->high_percent);
	} else if (v->above_high && percent < v->config->low_percent) {
		v->above_high = false;
		journal_add(t->journal, t->now, LOG_INFO, THING_VOLUME, v->config->name, "low",
			"%d%% of %s is used, below %d%% again", percent, size, v->config->low_percent);
	}
}

/* A refusal and a release are final, and a second answer is none. */
static bool is_expected(const struct volume *v, enum event_kind kind)
{
	bool first = kind == EVENT_VOLUME_PREPARED || kind == EVENT_VOLUME_REFUSED;
	return v->state == (first ? VOLUME_PENDING : VOLUME_READY);
}

void volume_apply(struct volume *v, const struct event *e, struct turn *t)
{
	if (!is_expected(v, e->kind))
		return;
	switch (e->kind) {
	case EVENT_VOLUME_PREPARED:
		v->asked = false;
		v->mounted_by_us = e->volume.mounted_by_us;
		v->is_tmpfs = e->volume.is_tmpfs;
		take_measure(v, e, t);
		set_state(v, VOLUME_READY, e->text, t);
		tell_fill(v, t);
		break;
	case EVENT_VOLUME_REFUSED:
		v->asked = false;
		set_state(v, VOLUME_REFUSED, e->text, t);
		break;
	case EVENT_VOLUME_MEASURED:
		v->asked = false;
		if (e->text[0]) {
			miss_measure(v, e->text, t);
			break;
		}
		take_measure(v, e, t);
		tell_fill(v, t);
		break;
	case EVENT_VOLUME_RELEASED:
		v->asked = false;
		v->mounted_by_us = false;
		set_state(v, VOLUME_RELEASED, e->text, t);
		break;
	default:
		break;
	}
}

static void ask(struct volume *v, enum effect_kind kind, const char *why, struct turn *t)
{
	v->asked = true;
	plan_add(t->plan, kind, v->slot, 0, 0, "%s", why);
}

static void plan_release(struct volume *v, struct turn *t)
{
	if (v->state == VOLUME_READY)
		ask(v, EFFECT_VOLUME_RELEASE, "nobody needs it any more", t);
	else if (v->state == VOLUME_PENDING)
		set_state(v, VOLUME_RELEASED, "nothing to release", t);
}

/* One thing at a time: an answer is awaited before the next is asked. */
void volume_plan(struct volume *v, bool wanted, struct turn *t)
{
	if (v->asked)
		return;
	if (!wanted) {
		plan_release(v, t);
		return;
	}
	if (v->state == VOLUME_PENDING) {
		ask(v, EFFECT_VOLUME_PREPARE, "it is configured", t);
	} else if (v->state == VOLUME_READY && clock_due(v->measure_due, t->now)) {
		ask(v, EFFECT_VOLUME_MEASURE, "due", t);
	} else if (v->state == VOLUME_READY) {
		plan_wake(t->plan, v->measure_due);
	}
}

bool volume_is_closed(const struct volume *v)
{
	return !v->asked && (v->state == VOLUME_RELEASED || v->state == VOLUME_REFUSED || v->state == VOLUME_PENDING);
}
