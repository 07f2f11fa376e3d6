/* clock owns arithmetic on points in time. A point is milliseconds of a
 * monotonic clock (CLOCK_BOOTTIME in the program, virtual in the simulator);
 * it always comes in as an argument. CLOCK_NEVER is later than everything. */
#ifndef PODVISOR_BASE_CLOCK_H
#define PODVISOR_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

typedef int64_t ms_t; /* a point in time or a span, in milliseconds */

#define CLOCK_NEVER INT64_MAX

/* at + span, never wrapping; CLOCK_NEVER stays CLOCK_NEVER. */
static inline ms_t clock_after(ms_t at, ms_t span)
{
	return at > CLOCK_NEVER - span ? CLOCK_NEVER : at + span;
}

static inline ms_t clock_earlier(ms_t a, ms_t b)
{
	return a < b ? a : b;
}

static inline bool clock_due(ms_t at, ms_t now)
{
	return at != CLOCK_NEVER && at <= now;
}

#endif
