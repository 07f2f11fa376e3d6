#include "podvisor/model/plan.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "podvisor/base/panic.h"

static const char *const effect_names[EFFECT_KIND_COUNT] = {
#define EFFECT_NAME(id, name) [id] = name,
	EFFECT_KINDS(EFFECT_NAME)
#undef EFFECT_NAME
};

const char *effect_name(enum effect_kind kind)
{
	return kind < EFFECT_KIND_COUNT ? effect_names[kind] : "unknown";
}

void plan_init(struct plan *p)
{
	*p = (struct plan){.wake_at = CLOCK_NEVER};
}

void plan_fini(struct plan *p)
{
	free(p->effects);
	plan_init(p);
}

void plan_clear(struct plan *p)
{
	p->count = 0;
	p->wake_at = CLOCK_NEVER;
}

static struct effect *plan_grow(struct plan *p)
{
	if (p->count == p->cap) {
		size_t cap = p->cap ? p->cap * 2 : 32;
		struct effect *effects = realloc(p->effects, cap * sizeof(*effects));
		if (!effects)
			panic("out of memory");
		p->effects = effects;
		p->cap = cap;
	}
	return &p->effects[p->count++];
}

void plan_add(struct plan *p, enum effect_kind kind, uint32_t slot, uint64_t run, int64_t value, const char *fmt, ...)
{
	struct effect *e = plan_grow(p);
	*e = (struct effect){.kind = kind, .slot = slot, .run = run, .value = value};
	va_list args;
	va_start(args, fmt);
	vsnprintf(e->reason, sizeof(e->reason), fmt, args);
	va_end(args);
}

void plan_wake(struct plan *p, ms_t at)
{
	p->wake_at = clock_earlier(p->wake_at, at);
}
