#include "podvisor/base/wall.h"

#include "podvisor/base/civil.h"

#define WALL_LAST_MS INT64_C(253402300799999) /* 9999-12-31T23:59:59.999Z */

static void put(char *out, int64_t number, int digits)
{
	while (digits--) {
		out[digits] = (char)('0' + number % 10);
		number /= 10;
	}
}

void wall_format(int64_t unix_ms, char out[WALL_SIZE])
{
	unix_ms = unix_ms < 0 ? 0 : unix_ms > WALL_LAST_MS ? WALL_LAST_MS : unix_ms;
	int64_t days = unix_ms / 86400000, rest = unix_ms % 86400000;
	struct civil date = civil_of_days(days);
	for (int i = 0; i < WALL_SIZE; i++)
		out[i] = "0000-00-00T00:00:00.000Z"[i];
	put(out, date.year, 4);
	put(out + 5, date.month, 2);
	put(out + 8, date.day, 2);
	put(out + 11, rest / 3600000, 2);
	put(out + 14, rest / 60000 % 60, 2);
	put(out + 17, rest / 1000 % 60, 2);
	put(out + 20, rest % 1000, 3);
}
