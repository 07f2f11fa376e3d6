/* civil owns the calendar: days since 1970-01-01 to year, month and day and
 * back, in the proleptic Gregorian calendar, without any time zone. */
#ifndef PODVISOR_BASE_CIVIL_H
#define PODVISOR_BASE_CIVIL_H

#include <stdint.h>

struct civil {
	int64_t year;
	int month, day; /* from 1 */
};

struct civil civil_of_days(int64_t days);
/* The date must be one that the calendar has. */
int64_t civil_to_days(int64_t year, int month, int day);
/* 0 is Sunday. */
int civil_weekday(int64_t days);
int civil_days_in_month(int64_t year, int month);

/* Rounds towards the past, as points before 1970 need it. by > 0. */
static inline int64_t civil_floor(int64_t value, int64_t by)
{
	return value / by - (value % by < 0);
}

#endif
