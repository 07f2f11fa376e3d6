#include "podvisor/base/units.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct unit {
	const char *name;
	int64_t factor;
};

/* Largest first: that is the order within "1h30m", and the order in which format tries them. */
static const struct unit duration_units[] = {
	{"d", 24 * 3600 * 1000}, {"h", 3600 * 1000}, {"m", 60 * 1000}, {"s", 1000}, {"ms", 1}};

static const struct unit size_units[] = {{"Ti", (int64_t)1 << 40}, {"Gi", (int64_t)1 << 30}, {"Mi", (int64_t)1 << 20},
	{"Ki", (int64_t)1 << 10}, {"T", 1000000000000}, {"G", 1000000000}, {"M", 1000000}, {"k", 1000}, {"", 1}};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static size_t digits_at(const char *text)
{
	return strspn(text, "0123456789");
}

/* n digits into out; -ERANGE above limit. */
static int read_digits(const char *text, size_t n, int64_t limit, int64_t *out)
{
	int64_t value = 0;
	for (size_t i = 0; i < n; i++) {
		int digit = text[i] - '0';
		if (value > (limit - digit) / 10)
			return -ERANGE;
		value = value * 10 + digit;
	}
	*out = value;
	return 0;
}

/* The unit that the n letters at text spell, from units[from] on; NULL when none does. */
static const struct unit *find_unit(const struct unit *units, size_t count, const char *text, size_t n)
{
	for (size_t i = 0; i < count; i++)
		if (strlen(units[i].name) == n && memcmp(units[i].name, text, n) == 0)
			return &units[i];
	return NULL;
}

int units_parse_duration(const char *text, ms_t *out, struct err *err)
{
	ms_t total = 0;
	size_t next = 0; /* units before it were used or passed over */
	if (strcmp(text, "0") == 0) {
		*out = 0;
		return 0;
	}
	do {
		size_t n = digits_at(text);
		int64_t value;
		if (n == 0)
			return err_set(err, -EINVAL, "is not a duration");
		int rc = read_digits(text, n, UNITS_DURATION_MAX, &value);
		if (rc < 0)
			return err_set(err, rc, "is longer than 366 days");
		text += n;
		size_t letters = strcspn(text, "0123456789");
		if (letters == 0)
			return err_set(err, -EINVAL, "has no unit");
		const struct unit *unit = find_unit(duration_units, COUNT(duration_units), text, letters);
		if (!unit)
			return err_set(err, -EINVAL, "has an unknown unit");
		size_t at = (size_t)(unit - duration_units);
		if (at < next)
			return err_set(err, -EINVAL, "has its units out of order");
		next = at + 1;
		if (value > (UNITS_DURATION_MAX - total) / unit->factor)
			return err_set(err, -ERANGE, "is longer than 366 days");
		total += value * unit->factor;
		text += letters;
	} while (*text);
	*out = total;
	return 0;
}

int units_parse_size(const char *text, int64_t *out_bytes, struct err *err)
{
	size_t n = digits_at(text), decimals = 0;
	int64_t whole = 0, fraction = 0, scale = 1;
	if (n == 0)
		return err_set(err, -EINVAL, "is not a size");
	int rc = read_digits(text, n, INT64_MAX, &whole);
	if (rc < 0)
		return err_set(err, rc, "is too large");
	text += n;
	if (*text == '.') {
		text++;
		decimals = digits_at(text);
		if (decimals == 0)
			return err_set(err, -EINVAL, "is not a size");
		if (decimals > 3)
			return err_set(err, -EINVAL, "has more than three decimals");
		rc = read_digits(text, decimals, INT64_MAX, &fraction);
		if (rc < 0)
			return err_set(err, rc, "is too large");
		text += decimals;
	}
	const struct unit *unit = find_unit(size_units, COUNT(size_units), text, strlen(text));
	if (!unit)
		return err_set(err, -EINVAL, "has an unknown unit");
	for (size_t i = 0; i < decimals; i++)
		scale *= 10;
	/* Rounded up, as Kubernetes rounds. fraction < 1000 and factor <= 2^40: no overflow. */
	int64_t rest = (fraction * unit->factor + scale - 1) / scale;
	if (whole > (INT64_MAX - rest) / unit->factor)
		return err_set(err, -ERANGE, "is too large");
	*out_bytes = whole * unit->factor + rest;
	return 0;
}

int units_parse_percent(const char *text, int *out, struct err *err)
{
	size_t n = digits_at(text);
	int64_t value = 0;
	if (n == 0)
		return err_set(err, -EINVAL, "is not a percentage");
	if (text[n] == '\0')
		return err_set(err, -EINVAL, "has no percent sign");
	if (strcmp(text + n, "%") != 0)
		return err_set(err, -EINVAL, "is not a percentage");
	if (read_digits(text, n, 100, &value) < 0)
		return err_set(err, -ERANGE, "is more than 100%%");
	*out = (int)value;
	return 0;
}

int units_parse_factor(const char *text, int64_t *out_hundredths, struct err *err)
{
	size_t n = digits_at(text), decimals = text[n] == '.' ? digits_at(text + n + 1) : 0;
	int64_t whole = 0, fraction = 0;
	if (n == 0 || strlen(text) != n + (text[n] == '.') + decimals || (text[n] == '.' && !decimals))
		return err_set(err, -EINVAL, "is not a number");
	if (decimals > 2)
		return err_set(err, -EINVAL, "has more than two decimals");
	int rc = read_digits(text, n, INT64_MAX / 100 - 1, &whole);
	if (rc < 0)
		return err_set(err, rc, "is too large");
	for (size_t i = 0; i < 2; i++)
		fraction = fraction * 10 + (i < decimals ? text[n + 1 + i] - '0' : 0);
	*out_hundredths = whole * 100 + fraction;
	return 0;
}

char *units_format_duration(ms_t ms, char out[UNITS_TEXT_MAX])
{
	size_t len = 0;
	if (ms == 0)
		return memcpy(out, "0s", sizeof("0s"));
	if (ms % 1000) { /* 1500ms reads better than 1s500ms */
		snprintf(out, UNITS_TEXT_MAX, "%lldms", (long long)ms);
		return out;
	}
	/* From hours on: 24h and 36h are how people write them; a day more is 48h. */
	for (size_t i = 1; i < COUNT(duration_units); i++) {
		ms_t count = ms / duration_units[i].factor;
		ms %= duration_units[i].factor;
		if (count)
			len += (size_t)snprintf(
				out + len, UNITS_TEXT_MAX - len, "%lld%s", (long long)count, duration_units[i].name);
	}
	return out;
}

char *units_format_size(int64_t bytes, char out[UNITS_TEXT_MAX])
{
	size_t i = 0;
	if (bytes == 0)
		return memcpy(out, "0", sizeof("0"));
	while (bytes % size_units[i].factor)
		i++;
	snprintf(out, UNITS_TEXT_MAX, "%lld%s", (long long)(bytes / size_units[i].factor), size_units[i].name);
	return out;
}

char *units_format_percent(int percent, char out[UNITS_TEXT_MAX])
{
	snprintf(out, UNITS_TEXT_MAX, "%d%%", percent);
	return out;
}

char *units_format_factor(int64_t hundredths, char out[UNITS_TEXT_MAX])
{
	long long whole = hundredths / 100, rest = hundredths % 100;
	if (rest == 0)
		snprintf(out, UNITS_TEXT_MAX, "%lld", whole);
	else if (rest % 10 == 0)
		snprintf(out, UNITS_TEXT_MAX, "%lld.%lld", whole, rest / 10);
	else
		snprintf(out, UNITS_TEXT_MAX, "%lld.%02lld", whole, rest);
	return out;
}
