#include "podvisor/base/wall.h"

#define WALL_LAST_MS INT64_C(253402300799999) /* 9999-12-31T23:59:59.999Z */

static void put(char *out, int64_t number, int digits)
{
	while (digits--) {
		out[digits] = (char)('0' + number % 10);
		number /= 10;
	}
}

/* Days since 1970 to year, month, day in the proleptic Gregorian calendar; years
 * are counted from March so that the leap day comes last. */
static void civil_of_days(int64_t days, int64_t *year, int64_t *month, int64_t *day)
{
	days += 719468;
	int64_t era = days / 146097, of_era = days % 146097;
	int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int64_t shifted = (5 * of_year + 2) / 153;
	*day = of_year - (153 * shifted + 2) / 5 + 1;
	*month = shifted < 10 ? shifted + 3 : shifted - 9;
	*year = year_of_era + era * 400 + (*month <= 2);
}

void wall_format(int64_t unix_ms, char out[WALL_SIZE])
{
	unix_ms = unix_ms < 0 ? 0 : unix_ms > WALL_LAST_MS ? WALL_LAST_MS : unix_ms;
	int64_t days = unix_ms / 86400000, rest = unix_ms % 86400000;
	int64_t year, month, day;
	civil_of_days(days, &year, &month, &day);
	for (int i = 0; i < WALL_SIZE; i++)
		out[i] = "0000-00-00T00:00:00.000Z"[i];
	put(out, year, 4);
	put(out + 5, month, 2);
	put(out + 8, day, 2);
	put(out + 11, rest / 3600000, 2);
	put(out + 14, rest / 60000 % 60, 2);
	put(out + 17, rest / 1000 % 60, 2);
	put(out + 20, rest % 1000, 3);
}
