/* tzperiod is what a time zone is made of: a stretch of time with one offset. */
#ifndef PODVISOR_WIRE_TZPERIOD_H
#define PODVISOR_WIRE_TZPERIOD_H

#include <stdint.h>

/* Offsets are within a day and two hours (RFC 9636 3.2). */
#define TZPERIOD_OFFSET_MAX_S 93599

struct tzperiod {
	int64_t begins, ends; /* Unix times; INT64_MIN and INT64_MAX: always was, always will be. Without its end. */
	int32_t offset_s; /* what local time is ahead of UTC */
};

#endif
