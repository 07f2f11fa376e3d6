/* Any text is parsed without a fault; what is accepted comes again and again, each time later than before, at
 * the beginning of a minute that fits; what is refused is told in a sentence with a place in the text. */
#include "fuzz.h"

#include <stdio.h>
#include <string.h>

#include "podvisor/wire/cron.h"

static void promise_runs(const struct cron *c)
{
	int64_t at = 1767225600; /* 2026-01-01 */
	PROMISE(c->minutes && !(c->minutes >> 60) && c->hours && !(c->hours >> 24) && c->months &&
		!(c->months & ~0x1ffeU) && c->weekdays && !(c->weekdays >> 7) && c->days && !(c->days & 1));
	for (int i = 0; i < 50; i++) {
		int64_t next = cron_next(c, NULL, at);
		PROMISE(next != CRON_NEVER && next > at && next % 60 == 0);
		PROMISE(c->minutes >> (next / 60 % 60) & 1 && c->hours >> (next / 3600 % 24) & 1);
		PROMISE(cron_next(c, NULL, next - 1) == next);
		at = next;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[256];
	struct cron c;
	struct err err = {0};
	int place;
	if (size >= sizeof(text))
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	if (cron_parse(text, &c, &err) == 0) {
		promise_runs(&c);
		return 0;
	}
	PROMISE(err.code < 0 && err.text[0]);
	PROMISE(sscanf(err.text, "is wrong at character %d:", &place) != 1 ||
		(place >= 1 && (size_t)place <= strlen(text) + 1));
	return 0;
}
