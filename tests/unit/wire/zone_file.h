/* zone_file owns how the tests come to real time zones, and the C library's view
 * of them, which is the independent one: glibc reads the same files by itself. */
#ifndef PODVISOR_TESTS_ZONE_FILE_H
#define PODVISOR_TESTS_ZONE_FILE_H

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "podvisor/wire/tzif.h"

#define ZONE_DIR "/usr/share/zoneinfo/"

/* The zone, which the C library then uses as well. A test without tzdata fails. */
static inline struct tzif *zone_load(const char *name)
{
	static unsigned char bytes[TZIF_BYTES_MAX];
	char path[256];
	struct err err = {0};
	snprintf(path, sizeof(path), ZONE_DIR "%s", name);
	FILE *file = fopen(path, "re");
	if (!file)
		fail_msg("%s is not there: tzdata is needed", path);
	size_t len = fread(bytes, 1, sizeof(bytes), file);
	fclose(file);
	struct tzif *zone = tzif_parse(bytes, len, &err);
	if (!zone)
		fail_msg("%s: %s", name, err.text);
	setenv("TZ", name, 1);
	tzset();
	return zone;
}

static inline long zone_offset_of_libc(int64_t unix_s)
{
	time_t at = (time_t)unix_s;
	struct tm tm;
	if (!localtime_r(&at, &tm))
		fail_msg("localtime_r(%lld) fails", (long long)unix_s);
	return tm.tm_gmtoff;
}

#endif
