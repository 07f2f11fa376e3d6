#include "podvisor/wire/cron.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "podvisor/base/civil.h"

#define DAY_S         ((int64_t)86400)
#define DAY_MINUTES   1440
#define FIELDS        5
#define HORIZON_DAYS  (50 * 366) /* 29 February: 8 years; with a day of the week: 40 */
#define OFFSET_SPAN_S ((int64_t)2 * (TZPERIOD_OFFSET_MAX_S + 1))

/* ---- the text ---- */

static const struct field {
	const char *name, *expected;
	int low, high, top; /* top is the largest that can be written: 7 is a Sunday as well */
	const char *words; /* from low on, three letters each */
} fields[FIELDS] = {
	{"minute", "0 to 59", 0, 59, 59, ""},
	{"hour", "0 to 23", 0, 23, 23, ""},
	{"day of the month", "1 to 31", 1, 31, 31, ""},
	{"month", "1 to 12, or jan to dec", 1, 12, 12, "janfebmaraprmayjunjulaugsepoctnovdec"},
	{"day of the week", "0 to 7, or sun to sat", 0, 6, 7, "sunmontuewedthufrisat"},
};

struct reader {
	const char *text, *at;
	const struct field *field;
	struct err *err;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static int wrong_at(const struct reader *r, const char *at, const char *what)
{
	return err_set(r->err, -EINVAL, "is wrong at character %td: %s", at - r->text + 1, what);
}

/* "the minute is out of range (expected 0 to 59)" */
static int wrong_value(const struct reader *r, const char *at, const char *before, const char *behind)
{
	char what[128];
	snprintf(what, sizeof(what), "%s %s%s (expected %s)", before, r->field->name, behind, r->field->expected);
	return wrong_at(r, at, what);
}

static int read_word(struct reader *r, int *out)
{
	const struct field *f = r->field;
	size_t n = 0, count = strlen(f->words) / 3;
	while (is_word(r->at[n]))
		n++;
	for (size_t i = 0; n == 3 && i < count; i++)
		if (strncasecmp(f->words + 3 * i, r->at, 3) == 0) {
			*out = f->low + (int)i;
			r->at += 3;
			return 0;
		}
	return wrong_value(r, r->at, "this is no", "");
}

/* The number at r->at, no larger than 999, and what is larger as 999; -1 when there is none. */
static int take_number(struct reader *r)
{
	int value = is_digit(*r->at) ? 0 : -1;
	for (; is_digit(*r->at); r->at++)
		value = value > 99 ? 999 : value * 10 + (*r->at - '0');
	return value;
}

static int read_value(struct reader *r, int *out)
{
	const char *from = r->at;
	if (!is_digit(*from))
		return read_word(r, out);
	*out = take_number(r);
	bool fits = *out >= r->field->low && *out <= r->field->top;
	return fits ? 0 : wrong_value(r, from, "the", " is out of range");
}

static int read_step(struct reader *r, int *out)
{
	const char *from = ++r->at;
	int most = r->field->high - r->field->low + 1;
	*out = take_number(r);
	if (*out < 0)
		return wrong_at(r, from, "a step is expected behind \"/\"");
	if (*out >= 1 && *out <= most)
		return 0;
	char what[64];
	snprintf(what, sizeof(what), "the step is out of range (expected 1 to %d)", most);
	return wrong_at(r, from, what);
}

/* "fri-sun": as the end of a range Sunday comes last, as people count it. */
static int read_end(struct reader *r, int low, int *high)
{
	const char *from = ++r->at;
	int rc = read_value(r, high);
	if (rc == 0 && *high == 0 && low > 0 && is_word(*from))
		*high = r->field->top;
	if (rc == 0 && *high < low)
		return wrong_at(r, from, "the range runs backwards (expected the smaller end first)");
	return rc;
}

/* "*", "1-5", or a single number, which goes up to the field's end if there is a step. */
static int read_ends(struct reader *r, int *low, int *high, bool *single)
{
	*low = r->field->low;
	*high = r->field->high;
	if (*r->at == '*') {
		r->at++;
		return 0;
	}
	int rc = read_value(r, low);
	if (rc == 0 && *r->at == '-')
		return read_end(r, *low, high);
	*single = true;
	return rc;
}

static int read_range(struct reader *r, uint64_t *bits)
{
	int low, high, step = 1;
	bool single = false;
	int rc = read_ends(r, &low, &high, &single);
	if (rc < 0)
		return rc;
	*bits |= (uint64_t)1 << low;
	if (*r->at == '/')
		rc = read_step(r, &step);
	else if (single)
		return 0;
	for (int i = low + step; rc == 0 && i <= high; i += step)
		*bits |= (uint64_t)1 << i;
	return rc;
}

static int read_field(struct reader *r, const struct field *field, uint64_t *bits)
{
	*bits = 0;
	r->field = field;
	for (;; r->at++) {
		int rc = read_range(r, bits);
		if (rc < 0)
			return rc;
		if (!*r->at || is_blank(*r->at))
			return 0;
		if (*r->at != ',')
			return wrong_at(
				r, r->at, "this does not fit here (expected a number, \"*\", \",\", \"-\" or \"/\")");
	}
}

static size_t count_fields(const char *text)
{
	size_t n = 0;
	while (*(text += strspn(text, " \t"))) {
		n++;
		text += strcspn(text, " \t");
	}
	return n;
}

/* Some month of it has some day of it. */
static bool comes_ever(const struct cron *c)
{
	for (int month = 1; month <= 12; month++)
		for (int day = 1; c->months >> month & 1 && day <= civil_days_in_month(2000, month); day++)
			if (c->days >> day & 1)
				return true;
	return c->either_day;
}

static int read_fields(struct reader *r, struct cron *out)
{
	uint64_t bits[FIELDS];
	bool starred[FIELDS];
	size_t n = count_fields(r->text);
	if (n != FIELDS)
		return err_set(r->err, -EINVAL,
			"has %zu field%s (expected 5: minute, hour, day of the month, month, day of the week)", n,
			n == 1 ? "" : "s");
	for (int i = 0; i < FIELDS; i++) {
		r->at += strspn(r->at, " \t");
		starred[i] = *r->at == '*';
		int rc = read_field(r, &fields[i], &bits[i]);
		if (rc < 0)
			return rc;
	}
	*out = (struct cron){.minutes = bits[0],
		.hours = (uint32_t)bits[1],
		.days = (uint32_t)bits[2],
		.months = (uint32_t)bits[3],
		.weekdays = (uint32_t)((bits[4] | bits[4] >> 7) & 0x7f),
		.either_day = !starred[2] && !starred[4],
		.each_hour = starred[1] || bits[1] == 0xffffff};
	return comes_ever(out)
		       ? 0
		       : err_set(r->err, -EINVAL, "never comes (expected a day of the month that its months have)");
}

static int read_alias(struct reader *r, const char **out)
{
	static const char *const aliases[][2] = {{"@hourly", "0 * * * *"}, {"@daily", "0 0 * * *"},
		{"@midnight", "0 0 * * *"}, {"@weekly", "0 0 * * 0"}, {"@monthly", "0 0 1 * *"},
		{"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}};
	size_t n = strcspn(r->at, " \t");
	bool alone = !r->at[n + strspn(r->at + n, " \t")];
	for (size_t i = 0; alone && i < sizeof(aliases) / sizeof(aliases[0]); i++)
		if (strlen(aliases[i][0]) == n && strncasecmp(aliases[i][0], r->at, n) == 0) {
			*out = aliases[i][1];
			return 0;
		}
	return err_set(r->err, -EINVAL,
		"is not known (expected five fields, or one of \"@hourly\", \"@daily\", \"@weekly\", \"@monthly\", "
		"\"@yearly\"; an interval goes into the key \"every\")");
}

int cron_parse(const char *text, struct cron *out, struct err *err)
{
	struct reader r = {.text = text, .at = text, .err = err};
	struct cron c;
	r.at += strspn(text, " \t");
	if (*r.at == '@') {
		int rc = read_alias(&r, &text);
		if (rc < 0)
			return rc;
		r.text = r.at = text;
	}
	int rc = read_fields(&r, &c);
	if (rc == 0)
		*out = c;
	return rc;
}

/* ---- the time ---- */

/* Minute of the day, from that one on; -1: none is left. */
static int minute_of_day(const struct cron *c, int from)
{
	int minute = from % 60;
	for (int hour = from / 60; hour < 24; hour++, minute = 0)
		if (c->hours >> hour & 1 && c->minutes >> minute)
			return hour * 60 + minute + __builtin_ctzll(c->minutes >> minute);
	return -1;
}

static bool fits_day(const struct cron *c, struct civil date, int64_t day)
{
	bool of_month = c->days >> date.day & 1, of_week = c->weekdays >> civil_weekday(day) & 1;
	return c->either_day ? of_month || of_week : of_month && of_week;
}

/* The first minute that fits, from that local time on, as a local time. */
static int64_t next_minute(const struct cron *c, int64_t local_s)
{
	int64_t minute = civil_floor(local_s + 59, 60), day = civil_floor(minute, DAY_MINUTES);
	int from = (int)(minute - day * DAY_MINUTES);
	for (int64_t last = day + HORIZON_DAYS; day < last; from = 0) {
		struct civil date = civil_of_days(day);
		if (!(c->months >> date.month & 1)) {
			day += civil_days_in_month(date.year, date.month) - date.day + 1;
			continue;
		}
		int found = fits_day(c, date, day) ? minute_of_day(c, from) : -1;
		if (found >= 0)
			return day * DAY_S + found * 60;
		day++;
	}
	return CRON_NEVER;
}

/* By the time that passes: the local clock as it goes, gaps and repetitions included. */
static int64_t next_passing(const struct cron *c, const struct tzif *zone, int64_t after_s)
{
	int64_t from = after_s + 1, last = after_s + HORIZON_DAYS * DAY_S;
	while (from < last) {
		struct tzperiod p = tzif_period(zone, from);
		int64_t local = next_minute(c, from + p.offset_s);
		if (local != CRON_NEVER && local - p.offset_s < p.ends)
			return local - p.offset_s;
		from = p.ends;
	}
	return CRON_NEVER;
}

/* The latest time that the local clock has shown until then. */
static int64_t latest_shown(const struct tzif *zone, int64_t unix_s)
{
	struct tzperiod p = tzif_period(zone, unix_s);
	int64_t latest = unix_s + p.offset_s;
	while (p.begins > unix_s - OFFSET_SPAN_S) {
		int64_t before = p.begins - 1;
		p = tzif_period(zone, before);
		latest = before + p.offset_s > latest ? before + p.offset_s : latest;
	}
	return latest;
}

/* The first instant at which the local clock shows that time or a later one. */
static int64_t first_shown(const struct tzif *zone, int64_t local_s)
{
	int64_t at = local_s - OFFSET_SPAN_S / 2;
	for (;;) {
		struct tzperiod p = tzif_period(zone, at);
		int64_t reached = local_s - p.offset_s > at ? local_s - p.offset_s : at;
		if (reached < p.ends)
			return reached;
		at = p.ends;
	}
}

static int64_t next_on_the_wall(const struct cron *c, const struct tzif *zone, int64_t after_s)
{
	int64_t local = next_minute(c, latest_shown(zone, after_s) + 1);
	return local == CRON_NEVER ? CRON_NEVER : first_shown(zone, local);
}

int64_t cron_next(const struct cron *c, const struct tzif *zone, int64_t after_s)
{
	return c->each_hour ? next_passing(c, zone, after_s) : next_on_the_wall(c, zone, after_s);
}
