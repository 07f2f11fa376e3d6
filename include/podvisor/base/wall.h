/* wall owns the writing of wall-clock time for people: RFC 3339, UTC, ms. */
#ifndef PODVISOR_BASE_WALL_H
#define PODVISOR_BASE_WALL_H

#include <stdint.h>

#define WALL_SIZE 25 /* "2026-11-24T03:10:45.123Z" and a NUL */

/* Unix milliseconds, years 1970 to 9999; a clock that is beyond shows the nearest. */
void wall_format(int64_t unix_ms, char out[WALL_SIZE]);

#endif
