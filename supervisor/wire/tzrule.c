#include "podvisor/wire/tzrule.h"

#include <errno.h>
#include <string.h>

#include "podvisor/base/civil.h"

#define HOUR_S 3600
#define DAY_S  86400

struct reader {
	const char *at, *end;
};

/* ---- the text ---- */

static char peek(const struct reader *r)
{
	return r->at < r->end ? *r->at : '\0';
}

static bool take(struct reader *r, char wanted)
{
	bool is = r->at < r->end && *r->at == wanted;
	r->at += is;
	return is;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Up to three digits. */
static bool read_number(struct reader *r, int low, int high, int *out)
{
	int value = 0, digits = 0;
	for (; is_digit(peek(r)) && digits < 3; digits++)
		value = value * 10 + *r->at++ - '0';
	*out = value;
	return digits && !is_digit(peek(r)) && value >= low && value <= high;
}

/* "CET", or in angle brackets what is not only letters: "<+1030>". */
static bool read_name(struct reader *r)
{
	bool quoted = take(r, '<');
	const char *from = r->at;
	while (is_letter(peek(r)) || (quoted && (is_digit(peek(r)) || peek(r) == '+' || peek(r) == '-')))
		r->at++;
	return r->at - from >= 3 && (!quoted || take(r, '>'));
}

/* [+-]hh[:mm[:ss]] */
static bool read_time(struct reader *r, int hours_max, int32_t *out)
{
	int hours = 0, minutes = 0, seconds = 0;
	bool negative = take(r, '-');
	if (!negative)
		take(r, '+');
	bool ok = read_number(r, 0, hours_max, &hours);
	if (ok && take(r, ':'))
		ok = read_number(r, 0, 59, &minutes);
	if (ok && take(r, ':'))
		ok = read_number(r, 0, 59, &seconds);
	*out = (negative ? -1 : 1) * (hours * HOUR_S + minutes * 60 + seconds);
	return ok;
}

static bool read_day(struct reader *r, struct tzrule_change *out)
{
	if (take(r, 'M')) {
		out->kind = TZRULE_WEEKDAY;
		return read_number(r, 1, 12, &out->month) && take(r, '.') && read_number(r, 1, 5, &out->week) &&
		       take(r, '.') && read_number(r, 0, 6, &out->day);
	}
	out->kind = take(r, 'J') ? TZRULE_DAY : TZRULE_DAY_FROM_0;
	return read_number(r, out->kind == TZRULE_DAY, 365, &out->day);
}

static bool read_change(struct reader *r, struct tzrule_change *out)
{
	out->time_s = 2 * HOUR_S;
	return take(r, ',') && read_day(r, out) && (!take(r, '/') || read_time(r, 167, &out->time_s));
}

static bool read_summer(struct reader *r, struct tzrule *out)
{
	if (!read_name(r))
		return false;
	out->has_summer = true;
	out->summer_s = out->standard_s + HOUR_S;
	if (peek(r) != ',') {
		if (!read_time(r, 24, &out->summer_s))
			return false;
		out->summer_s = -out->summer_s;
	}
	return read_change(r, &out->to_summer) && read_change(r, &out->to_standard);
}

int tzrule_parse(const char *text, size_t len, struct tzrule *out, struct err *err)
{
	struct reader r = {.at = text, .end = text + len};
	struct tzrule rule = {0};
	bool ok = read_name(&r) && read_time(&r, 24, &rule.standard_s);
	rule.standard_s = -rule.standard_s; /* POSIX counts what is to be added for UTC */
	if (ok && r.at < r.end)
		ok = read_summer(&r, &rule);
	if (!ok || r.at < r.end)
		return err_set(err, -EINVAL, "has a rule for the future that cannot be read");
	*out = rule;
	return 0;
}

/* ---- the calendar ---- */

static int64_t day_of(const struct tzrule_change *c, int64_t year)
{
	if (c->kind == TZRULE_WEEKDAY) {
		int64_t first = civil_to_days(year, c->month, 1);
		int ahead = (c->day - civil_weekday(first) + 7) % 7 + (c->week - 1) * 7;
		return first + (ahead < civil_days_in_month(year, c->month) ? ahead : ahead - 7);
	}
	int64_t first = civil_to_days(year, 1, 1);
	if (c->kind == TZRULE_DAY_FROM_0)
		return first + c->day;
	bool behind_leap_day = c->day >= 60 && civil_days_in_month(year, 2) == 29;
	return first + c->day - 1 + behind_leap_day;
}

static int64_t moment_of(const struct tzrule_change *c, int64_t year, int32_t offset_before_s)
{
	return day_of(c, year) * DAY_S + c->time_s - offset_before_s;
}

struct moment {
	int64_t at;
	bool summer; /* from then on */
};

/* The changes of that year, in their order. */
static void changes_of(const struct tzrule *rule, int64_t year, struct moment out[2])
{
	struct moment summer = {moment_of(&rule->to_summer, year, rule->standard_s), true};
	struct moment standard = {moment_of(&rule->to_standard, year, rule->summer_s), false};
	bool summer_first = summer.at < standard.at;
	out[0] = summer_first ? summer : standard;
	out[1] = summer_first ? standard : summer;
}

struct tzperiod tzrule_period(const struct tzrule *rule, int64_t unix_s)
{
	struct tzperiod p = {INT64_MIN, INT64_MAX, rule->standard_s};
	if (!rule->has_summer)
		return p;
	int64_t year = civil_of_days(civil_floor(unix_s, DAY_S)).year;
	/* A change may lie up to a week outside of its own year. Summer time the whole year ends
	 * as the next one begins; of two at the same moment, the later in this order counts. */
	for (int64_t y = year - 1; y <= year + 1; y++) {
		struct moment changes[2];
		changes_of(rule, y, changes);
		for (int i = 0; i < 2; i++) {
			if (changes[i].at <= unix_s) {
				p.begins = changes[i].at;
				p.offset_s = changes[i].summer ? rule->summer_s : rule->standard_s;
			} else if (changes[i].at < p.ends) {
				p.ends = changes[i].at;
			}
		}
	}
	return p;
}
