#include "podvisor/model/volume.h"

#include <stdio.h>
#include <string.h>

#include "podvisor/base/buf.h"
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

static int percent_of(int64_t used, int64_t size)
{
	return size > 0 ? (int)((double)used * 100 / (double)size) : 0;
}

int volume_used_percent(const struct volume *v)
{
	return percent_of(v->used_bytes, v->size_bytes);
}

int volume_fill_percent(const struct volume *v)
{
	int bytes = volume_used_percent(v), inodes = percent_of(v->used_inodes, v->size_inodes);
	return bytes > inodes ? bytes : inodes;
}

static bool has_purge(const struct volume *v)
{
	return v->config->purge && v->config->purge[0];
}

#define tell(v, t, level, what, ...) \
	journal_add((t)->journal, (t)->now, level, THING_VOLUME, (v)->config->name, what, __VA_ARGS__)

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
		tell(v, t, LOG_ERROR, "lost", "%s is not a tmpfs any more: somebody unmounted it", v->config->path);
}

/* It could not be measured: what was known stays, for a failure tells nothing about the mount. Told once. */
static void miss_measure(struct volume *v, const char *text, struct turn *t)
{
	v->measure_due = clock_after(t->now, MEASURE_EVERY_MS);
	if (strcmp(text, v->text) == 0)
		return;
	snprintf(v->text, sizeof(v->text), "%s", text);
	tell(v, t, LOG_WARN, "unmeasured", "%s", text);
}

/* "87% of 1 GiB", or of its files when they are what is scarce. */
static void describe_fill(const struct volume *v, char *out, size_t size)
{
	char bytes[UNITS_TEXT_MAX];
	int percent = volume_fill_percent(v);
	if (percent == volume_used_percent(v))
		snprintf(out, size, "%d%% of %s", percent, units_format_size(v->size_bytes, bytes));
	else
		snprintf(out, size, "%d%% of its %lld inodes", percent, (long long)v->size_inodes);
}

/* Says it when it gets full and when it has room again, not on every measurement. */
static void tell_fill(struct volume *v, struct turn *t)
{
	char fill[64];
	int percent = volume_fill_percent(v);
	describe_fill(v, fill, sizeof(fill));
	if (!v->above_high && percent > v->config->high_percent) {
		v->above_high = true;
		v->purge_due = t->now;
		tell(v, t, LOG_WARN, "high", "%s is used, above %d%%", fill, v->config->high_percent);
	} else if (v->above_high && percent < v->config->low_percent) {
		v->above_high = false;
		v->full_pause = 0;
		tell(v, t, LOG_INFO, "low", "%s is used, below %d%% again", fill, v->config->low_percent);
	}
}

/* ---- purging ---- */

/* Those of its configuration make room by being started anew, unless that was tried a while ago. */
static void judge_fullness(struct volume *v, struct turn *t)
{
	char **names = v->config->on_full;
	bool helpless = v->above_high && volume_fill_percent(v) > v->config->high_percent;
	if (!helpless || !names || !names[0] || !clock_due(v->full_due, t->now))
		return;
	v->full = true;
	v->fulls++;
	v->full_pause = v->full_pause ? v->full_pause * 2 : VOLUME_FULL_PAUSE_MS;
	if (v->full_pause > VOLUME_FULL_PAUSE_MAX_MS)
		v->full_pause = VOLUME_FULL_PAUSE_MAX_MS;
	v->full_due = clock_after(t->now, v->full_pause);
}

static void begin_purge(struct volume *v, int64_t bytes)
{
	v->purging = true;
	v->relief_bytes = bytes;
	v->purge = (struct volume_purge){0};
}

static void describe_stay(const struct volume_purge *p, struct buf *out)
{
	struct {
		int count;
		const char *why;
	} const stays[] = {{p->open, "in use"}, {p->young, "younger than min_age"}, {p->failed, "not to be deleted"}};
	const char *between = "; of those that match, ";
	for (size_t i = 0; i < sizeof(stays) / sizeof(stays[0]); i++) {
		if (!stays[i].count)
			continue;
		buf_printf(out, "%s%d %s", between, stays[i].count, stays[i].why);
		between = ", ";
	}
}

/* Nobody reads the last digits of a large number. */
static int64_t rounded(int64_t bytes)
{
	int shift = bytes >= 10 << 20 ? 20 : bytes >= 10 << 10 ? 10 : 0;
	return bytes >> shift << shift;
}

static void describe_purge(const struct volume *v, const char *failure, struct buf *out)
{
	const struct volume_purge *p = &v->purge;
	char bytes[UNITS_TEXT_MAX];
	bool any = p->files || p->open || p->young || p->failed;
	buf_printf(out, "%lld files deleted, %s freed, %d%% used", (long long)p->files,
		units_format_size(rounded(p->bytes), bytes), volume_fill_percent(v));
	describe_stay(p, out);
	if (!any && !failure[0])
		buf_puts(out, "; no file matches purge");
	if (p->unseen)
		buf_printf(out, "; %d processes do not let podvisor see their files", p->unseen);
	if (failure[0])
		buf_printf(out, "; %s", failure);
}

/* One that deleted nothing, for the same reasons as before, is not told again. */
static void end_purge(struct volume *v, const char *failure, struct turn *t)
{
	struct buf text;
	bool helped = v->purge.files || v->purge.directories;
	buf_init(&text, sizeof(v->purge_text) - 1);
	describe_purge(v, failure, &text);
	if (helped || strcmp(buf_str(&text), v->purge_text) != 0)
		tell(v, t, helped && !failure[0] ? LOG_INFO : LOG_WARN, "purged", "%s", buf_str(&text));
	snprintf(v->purge_text, sizeof(v->purge_text), "%s", buf_str(&text));
	buf_fini(&text);
	v->purge.at = t->now;
	v->last_purge = v->purge;
	v->purging = false;
	v->purge_due = clock_after(t->now, VOLUME_PURGE_PAUSE_MS);
	judge_fullness(v, t);
}

static void take_slice(struct volume *v, const struct event_purge *slice)
{
	v->purge.bytes += slice->bytes;
	v->purge.files += slice->files;
	v->purge.directories += slice->directories;
	v->purge.open = slice->open;
	v->purge.young = slice->young;
	v->purge.failed = slice->failed;
	v->purge.unseen = slice->unseen;
	v->purged_bytes += slice->bytes;
	v->purged_files += slice->files;
}

static void on_purged(struct volume *v, const struct event *e, struct turn *t)
{
	if (!v->purging)
		return;
	take_slice(v, &e->volume.purge);
	if (e->volume.size_bytes > 0)
		take_measure(v, e, t);
	tell_fill(v, t);
	if (!e->volume.purge.more)
		end_purge(v, e->text, t);
}

static void on_measured(struct volume *v, const struct event *e, struct turn *t)
{
	if (e->text[0]) {
		miss_measure(v, e->text, t);
		return;
	}
	take_measure(v, e, t);
	tell_fill(v, t);
	if (!has_purge(v))
		judge_fullness(v, t);
}

bool volume_can_relieve(const struct volume *v)
{
	return v->state == VOLUME_READY && v->is_tmpfs && has_purge(v) && !v->purging && v->used_bytes > 0;
}

void volume_relieve(struct volume *v, int64_t bytes)
{
	begin_purge(v, bytes);
}

/* ---- what happened ---- */

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
	v->asked = v->cancelled = false;
	switch (e->kind) {
	case EVENT_VOLUME_PREPARED:
		v->mounted_by_us = e->volume.mounted_by_us;
		v->is_tmpfs = e->volume.is_tmpfs;
		take_measure(v, e, t);
		set_state(v, VOLUME_READY, e->text, t);
		tell_fill(v, t);
		break;
	case EVENT_VOLUME_REFUSED:
		set_state(v, VOLUME_REFUSED, e->text, t);
		break;
	case EVENT_VOLUME_MEASURED:
		on_measured(v, e, t);
		break;
	case EVENT_VOLUME_PURGED:
		on_purged(v, e, t);
		break;
	case EVENT_VOLUME_RELEASED:
		v->mounted_by_us = false;
		set_state(v, VOLUME_RELEASED, e->text, t);
		break;
	default:
		break;
	}
}

static void ask(struct volume *v, enum effect_kind kind, int64_t value, const char *why, struct turn *t)
{
	v->asked = true;
	plan_add(t->plan, kind, v->slot, 0, value, "%s", why);
}

static void plan_release(struct volume *v, struct turn *t)
{
	v->purging = false;
	v->cancelled = true; /* nothing can be left out of a release */
	if (v->state == VOLUME_READY)
		ask(v, EFFECT_VOLUME_RELEASE, 0, "nobody needs it any more", t);
	else if (v->state == VOLUME_PENDING)
		set_state(v, VOLUME_RELEASED, "nothing to release", t);
}

/* What takes long is not waited for to the end. */
static void plan_cancel(struct volume *v, struct turn *t)
{
	if (v->cancelled)
		return;
	v->cancelled = true;
	plan_add(t->plan, EFFECT_VOLUME_CANCEL, v->slot, 0, 0, "nobody needs it any more");
}

static void plan_ready(struct volume *v, struct turn *t)
{
	if (!v->purging && v->above_high && has_purge(v) && clock_due(v->purge_due, t->now))
		begin_purge(v, 0);
	if (v->purging)
		ask(v, EFFECT_VOLUME_PURGE, v->relief_bytes,
			v->relief_bytes ? "the pod's memory is short" : "it is above high", t);
	else if (clock_due(v->measure_due, t->now))
		ask(v, EFFECT_VOLUME_MEASURE, 0, "due", t);
	else
		plan_wake(t->plan,
			v->above_high && has_purge(v) ? clock_earlier(v->measure_due, v->purge_due) : v->measure_due);
}

/* One thing at a time: an answer is awaited before the next is asked. */
void volume_plan(struct volume *v, bool wanted, struct turn *t)
{
	if (v->asked && !wanted)
		plan_cancel(v, t);
	if (v->asked)
		return;
	if (!wanted)
		plan_release(v, t);
	else if (v->state == VOLUME_PENDING)
		ask(v, EFFECT_VOLUME_PREPARE, 0, "it is configured", t);
	else if (v->state == VOLUME_READY)
		plan_ready(v, t);
}

bool volume_is_closed(const struct volume *v)
{
	return !v->asked && (v->state == VOLUME_RELEASED || v->state == VOLUME_REFUSED || v->state == VOLUME_PENDING);
}
