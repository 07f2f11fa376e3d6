/* tzrule understands the rule for a zone's present and future that ends a TZif
 * file: the TZ variable of POSIX.1-2017 8.3 ("CET-1CEST,M3.5.0,M10.5.0/3"), with
 * the extension of RFC 9636 3.3.2 (a time of day of -167 to 167 hours). Pure. */
#ifndef PODVISOR_WIRE_TZRULE_H
#define PODVISOR_WIRE_TZRULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "podvisor/base/err.h"
#include "podvisor/wire/tzperiod.h"

enum tzrule_kind {
	TZRULE_WEEKDAY, /* M3.5.0: the fifth (last) Sunday of March */
	TZRULE_DAY, /* J60: the 60th day, 29 February never counted: always 1 March */
	TZRULE_DAY_FROM_0 /* 59: the 60th day, leap days counted */
};

/* When the clocks change in each year. */
struct tzrule_change {
	enum tzrule_kind kind;
	int month, week, day;
	int32_t time_s; /* local time of the clock before it changes, from that day's midnight */
};

struct tzrule {
	int32_t standard_s, summer_s; /* what local time is ahead of UTC */
	bool has_summer;
	struct tzrule_change to_summer, to_standard;
};

/* The len bytes at text. -EINVAL with a predicate that quotes nothing. */
int tzrule_parse(const char *text, size_t len, struct tzrule *out, struct err *err) MUST_CHECK;
/* The stretch of one offset that the rule has at that Unix time, of the years 1 to 9999. */
struct tzperiod tzrule_period(const struct tzrule *rule, int64_t unix_s);

#endif
