/* What parse accepts, format writes in a form that parse reads back to the same number. */
#include "fuzz.h"

#include <string.h>

#include "podvisor/base/units.h"

static void durations(const char *text)
{
	char out[UNITS_TEXT_MAX];
	ms_t first = -1, again = -1;
	if (units_parse_duration(text, &first, NULL))
		return;
	PROMISE(first >= 0 && first <= UNITS_DURATION_MAX);
	PROMISE(units_parse_duration(units_format_duration(first, out), &again, NULL) == 0);
	PROMISE(first == again);
}

static void sizes(const char *text)
{
	char out[UNITS_TEXT_MAX];
	int64_t first = -1, again = -1;
	if (units_parse_size(text, &first, NULL))
		return;
	PROMISE(first >= 0);
	PROMISE(units_parse_size(units_format_size(first, out), &again, NULL) == 0);
	PROMISE(first == again);
}

static void percents(const char *text)
{
	char out[UNITS_TEXT_MAX];
	int first = -1, again = -1;
	if (units_parse_percent(text, &first, NULL))
		return;
	PROMISE(first >= 0 && first <= 100);
	PROMISE(units_parse_percent(units_format_percent(first, out), &again, NULL) == 0);
	PROMISE(first == again);
}

static void factors(const char *text)
{
	char out[UNITS_TEXT_MAX];
	int64_t first = -1, again = -1;
	if (units_parse_factor(text, &first, NULL))
		return;
	PROMISE(first >= 0);
	PROMISE(units_parse_factor(units_format_factor(first, out), &again, NULL) == 0);
	PROMISE(first == again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[64];
	if (size >= sizeof(text))
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	durations(text);
	sizes(text);
	percents(text);
	factors(text);
	return 0;
}
