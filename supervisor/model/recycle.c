#include "podvisor/model/recycle.h"

#include <stdio.h>

#include "podvisor/base/units.h"

#define AGE_JITTER_PERCENT 10
/* What others have put on the volume is not its fault: it counts only when it has written so much itself. */
#define OWN_DISK_PERCENT 5

static const char *const names[RECYCLE_COUNT] = {
#define RECYCLE_NAME(id, name) [id] = name,
	RECYCLE_REASONS(RECYCLE_NAME)
#undef RECYCLE_NAME
};

const char *browser_recycle_name(enum browser_recycle reason)
{
	return reason < RECYCLE_COUNT ? names[reason] : "unknown";
}

void recycle_facts_init(struct recycle_facts *f)
{
	*f = (struct recycle_facts){.old_at = CLOCK_NEVER, .memory_bytes = -1, .disk_base = -1};
}

void recycle_facts_begin(struct recycle_facts *f, const struct config_browser *c, struct random *random, ms_t now)
{
	f->old_at = clock_after(now, random_jitter(random, c->recycle.age, AGE_JITTER_PERCENT));
}

static void note_exits(struct recycle_exits *x, int count, ms_t now)
{
	for (; count > 0; count--)
		x->at[x->n++ % RECYCLE_EXITS] = now;
}

void recycle_facts_take(struct recycle_facts *f, const struct event *e, ms_t now)
{
	if (e->kind == EVENT_BROWSER_SESSIONS) {
		f->sessions = e->sessions.now;
		f->served = e->sessions.ever;
		return;
	}
	f->memory_bytes = e->census.memory_bytes;
	f->pages = e->census.pages;
	f->zygotes_lost += e->census.zygotes_lost;
	note_exits(&f->gpu, e->census.gpu_exits, now);
	note_exits(&f->network, e->census.network_exits, now);
}

/* ---- when ---- */

static bool is_disk_worn(const struct recycle_facts *f, const struct recycle_room *room, int limit)
{
	return f->disk_base >= 0 && room->disk_percent >= limit &&
	       room->disk_percent >= f->disk_base + OWN_DISK_PERCENT;
}

static void say_memory(const struct recycle_facts *f, int64_t limit, char *why, size_t size)
{
	char is[UNITS_TEXT_MAX], most[UNITS_TEXT_MAX];
	units_format_size(f->memory_bytes >> 20 << 20, is);
	units_format_size(limit, most);
	snprintf(why, size, "its processes use %s of memory, the limit is %s", is, most);
}

enum browser_recycle recycle_hard(const struct recycle_facts *f, const struct config_browser *c,
	const struct recycle_room *room, char *why, size_t size)
{
	if (f->zygotes_lost) {
		snprintf(why, size, "a zygote is gone: it can make no new renderers");
		return RECYCLE_ZYGOTE;
	}
	if (is_disk_worn(f, room, c->recycle.disk_hard_percent)) {
		snprintf(why, size, "its volume is %d%% full, the limit is %d%%", room->disk_percent,
			c->recycle.disk_hard_percent);
		return RECYCLE_DISK;
	}
	if (f->memory_bytes > c->recycle.memory_hard_bytes) {
		say_memory(f, c->recycle.memory_hard_bytes, why, size);
		return RECYCLE_MEMORY;
	}
	return RECYCLE_NONE;
}

static bool are_repeated(const struct recycle_exits *x, ms_t now)
{
	return x->n >= RECYCLE_EXITS && now - x->at[x->n % RECYCLE_EXITS] <= RECYCLE_EXITS_MS;
}

static enum browser_recycle part_that_fails(const struct recycle_facts *f, ms_t now, char *why, size_t size)
{
	bool gpu = are_repeated(&f->gpu, now);
	if (!gpu && !are_repeated(&f->network, now))
		return RECYCLE_NONE;
	snprintf(why, size, "its %s has ended %d times within %d s", gpu ? "GPU process" : "network service",
		RECYCLE_EXITS, RECYCLE_EXITS_MS / 1000);
	return gpu ? RECYCLE_GPU : RECYCLE_NETWORK;
}

static enum browser_recycle worn_by_use(
	const struct recycle_facts *f, const struct config_browser *c, char *why, size_t size)
{
	if (f->pages >= c->recycle.pages) {
		snprintf(why, size, "it has opened %lld pages", (long long)f->pages);
		return RECYCLE_PAGES;
	}
	if (f->served >= c->recycle.sessions) {
		snprintf(why, size, "it has had %lld sessions", (long long)f->served);
		return RECYCLE_SESSIONS;
	}
	return RECYCLE_NONE;
}

enum browser_recycle recycle_soft(const struct recycle_facts *f, const struct config_browser *c,
	const struct recycle_room *room, ms_t now, char *why, size_t size)
{
	enum browser_recycle part = part_that_fails(f, now, why, size);
	if (part != RECYCLE_NONE)
		return part;
	if (is_disk_worn(f, room, c->recycle.disk_percent)) {
		snprintf(why, size, "its volume is %d%% full, the limit is %d%%", room->disk_percent,
			c->recycle.disk_percent);
		return RECYCLE_DISK;
	}
	if (f->memory_bytes > c->recycle.memory_bytes) {
		say_memory(f, c->recycle.memory_bytes, why, size);
		return RECYCLE_MEMORY;
	}
	if (clock_due(f->old_at, now)) {
		char age[UNITS_TEXT_MAX];
		units_format_duration(c->recycle.age, age);
		snprintf(why, size, "it is old: %s, give or take %d%%", age, AGE_JITTER_PERCENT);
		return RECYCLE_AGE;
	}
	return worn_by_use(f, c, why, size);
}

bool recycle_has_room(const struct config_browser *c, const struct recycle_room *room, char *why, size_t size)
{
	bool memory = room->memory_free_bytes < 0 || room->memory_free_bytes >= c->overlap_memory_bytes;
	bool disk = room->disk_free_bytes < 0 || room->disk_free_bytes >= c->overlap_disk_bytes;
	if (memory && disk)
		return true;
	char need[UNITS_TEXT_MAX];
	units_format_size(memory ? c->overlap_disk_bytes : c->overlap_memory_bytes, need);
	long long mib = (long long)((memory ? room->disk_free_bytes : room->memory_free_bytes) >> 20);
	if (why)
		snprintf(why, size, "%lldMi of %s is free, two side by side need %s", mib,
			memory ? "its volume" : "the pod's memory", need);
	return false;
}

/* ---- how often ---- */

void recycle_hour_note(struct recycle_hour *h, ms_t now)
{
	h->at[h->n++ % RECYCLES_PER_HOUR] = now;
}

ms_t recycle_hour_next(const struct recycle_hour *h, int64_t per_hour)
{
	if (per_hour < 1 || per_hour > RECYCLES_PER_HOUR || (int64_t)h->n < per_hour)
		return 0;
	return clock_after(h->at[(h->n - (unsigned)per_hour) % RECYCLES_PER_HOUR], RECYCLE_HOUR_MS);
}
