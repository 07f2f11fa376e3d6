/* Any bytes are read without a fault; a zone that is accepted has an offset within bounds at each time, in
 * stretches that contain it, and expressions come in it, each time later than before. */
#include "fuzz.h"

#include "podvisor/wire/cron.h"
#include "podvisor/wire/tzif.h"

#define YEAR_S 31556952

static void promise_stretches(const struct tzif *zone)
{
	for (int64_t year = -300; year < 800; year += 7) {
		int64_t at = year * YEAR_S;
		struct tzperiod p = tzif_period(zone, at);
		PROMISE(p.begins <= at && at < p.ends);
		PROMISE(p.offset_s >= -TZPERIOD_OFFSET_MAX_S && p.offset_s <= TZPERIOD_OFFSET_MAX_S);
	}
}

static void promise_runs(const struct tzif *zone, const char *text)
{
	struct cron c;
	int64_t at = 50 * (int64_t)YEAR_S;
	PROMISE(cron_parse(text, &c, NULL) == 0);
	for (int i = 0; i < 10 && at != CRON_NEVER; i++) {
		int64_t next = cron_next(&c, zone, at);
		PROMISE(next > at);
		at = next;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err = {0};
	struct tzif *zone = tzif_parse(data, size, &err);
	if (!zone) {
		PROMISE(err.code < 0 && err.text[0]);
		return 0;
	}
	promise_stretches(zone);
	promise_runs(zone, "*/7 * * * *");
	promise_runs(zone, "30 2 * * *");
	promise_runs(zone, "0 0 29 2 *");
	tzif_free(zone);
	return 0;
}
