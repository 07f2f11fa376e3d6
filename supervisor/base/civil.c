#include "podvisor/base/civil.h"

#include <stdbool.h>

#define ERA_DAYS   146097 /* 400 years, after which the calendar repeats */
#define MARCH_1_0  719468 /* days from 0000-03-01 to 1970-01-01 */
#define DAYS_100_Y 36524
#define DAYS_4_Y   1460

/* Years are counted from March here, so that the leap day comes last. */
struct civil civil_of_days(int64_t days)
{
	days += MARCH_1_0;
	int64_t era = civil_floor(days, ERA_DAYS), of_era = days - era * ERA_DAYS;
	int64_t year = (of_era - of_era / DAYS_4_Y + of_era / DAYS_100_Y - of_era / (ERA_DAYS - 1)) / 365;
	int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
	int shifted = (int)((5 * of_year + 2) / 153);
	int month = shifted < 10 ? shifted + 3 : shifted - 9;
	return (struct civil){.year = year + era * 400 + (month <= 2),
		.month = month,
		.day = (int)(of_year - (153 * shifted + 2) / 5 + 1)};
}

int64_t civil_to_days(int64_t year, int month, int day)
{
	year -= month <= 2;
	int64_t era = civil_floor(year, 400), of_era = year - era * 400;
	int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
	return era * ERA_DAYS + of_era * 365 + of_era / 4 - of_era / 100 + of_year - MARCH_1_0;
}

int civil_weekday(int64_t days)
{
	int64_t since_sunday = days + 4; /* 1970-01-01 was a Thursday */
	return (int)(since_sunday - civil_floor(since_sunday, 7) * 7);
}

static bool is_leap(int64_t year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

int civil_days_in_month(int64_t year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	return days[month - 1] + (month == 2 && is_leap(year));
}
