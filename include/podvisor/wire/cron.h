/* cron understands the five-field expressions of crontab(5) and tells when one
 * comes next: minute, hour, day of the month, month, day of the week; lists,
 * ranges, steps, names, 7 for Sunday, and @hourly @daily (@midnight) @weekly
 * @monthly @yearly (@annually). "5/15" is 5-59/15. Pure.
 *
 * Vixie's rule for the two kinds of days: when neither field begins with "*",
 * one of them is enough; else both must fit.
 *
 * When the clocks change, two kinds of expressions are told apart. An hour of
 * every hour (the field begins with "*", or names all) goes by the time that
 * passes: what the clock shows twice comes twice, what it leaves out does not
 * come. Any other goes by the clock on the wall: it comes at the first instant
 * at which the clock shows that time or a later one, so a time that is left out
 * comes right after the gap, and one that the clock shows twice comes once. */
#ifndef PODVISOR_WIRE_CRON_H
#define PODVISOR_WIRE_CRON_H

#include <stdbool.h>
#include <stdint.h>

#include "podvisor/base/err.h"
#include "podvisor/wire/tzif.h"

#define CRON_NEVER INT64_MAX

/* Bit n stands for the number n. */
struct cron {
	uint64_t minutes;
	uint32_t hours, days, months, weekdays;
	bool either_day; /* a day of the month or a day of the week is enough */
	bool each_hour; /* goes by the time that passes */
};

/* -EINVAL with a predicate ("is wrong at character 3: ..."), which never quotes
 * text: no such expression, or one whose day no month has. */
int cron_parse(const char *text, struct cron *out, struct err *err) MUST_CHECK;
/* The next Unix time after that one, at the beginning of a minute of the zone
 * (NULL: UTC) or at the end of a gap in it. Years 1 to 9999. CRON_NEVER only if
 * the zone leaves nothing over for 50 years. */
int64_t cron_next(const struct cron *c, const struct tzif *zone, int64_t after_s);

#endif
