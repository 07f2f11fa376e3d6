/* pace owns whether a sender keeps up with so many bytes a second. It may be behind by what PACE_GRACE_MS would bring,
 * no more; what it is ahead, it loses. Time counts from its first bytes on, and not while it is held up by others. */
#ifndef PODVISOR_BASE_PACE_H
#define PODVISOR_BASE_PACE_H

#include <stddef.h>
#include <stdint.h>

#include "podvisor/base/clock.h"

#define PACE_GRACE_MS 5000

/* Begins as zeroes. */
struct pace {
	int64_t behind; /* thousandths of a byte */
	ms_t since; /* until when that was counted; 0: the clock stands */
};

static inline void pace_count(struct pace *p, int64_t a_second, size_t bytes, ms_t now)
{
	int64_t behind = p->behind + (p->since && now > p->since ? (now - p->since) * a_second : 0);
	int64_t came = (int64_t)bytes * 1000;
	p->behind = behind > came ? behind - came : 0;
}

/* So many bytes came, or none, and it is its turn to send. When it is too late for more: now or before if it is
 * already. */
static inline ms_t pace_due(struct pace *p, int64_t a_second, size_t bytes, ms_t now)
{
	pace_count(p, a_second, bytes, now);
	p->since = now;
	return now + (PACE_GRACE_MS * a_second - p->behind) / a_second;
}

/* So many came, and it cannot send more: until pace_due the clock stands. */
static inline void pace_hold(struct pace *p, int64_t a_second, size_t bytes, ms_t now)
{
	pace_count(p, a_second, bytes, now);
	p->since = 0;
}

#endif
