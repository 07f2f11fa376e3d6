#include "podvisor/wire/openmetrics.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void openmetrics_init(struct openmetrics *m, enum openmetrics_format format, struct buf *out)
{
	*m = (struct openmetrics){.out = out, .format = format};
}

static const char *type_name(const struct openmetrics *m)
{
	switch (m->type) {
	case OPENMETRICS_COUNTER:
		return "counter";
	case OPENMETRICS_HISTOGRAM:
		return "histogram";
	case OPENMETRICS_INFO:
		return m->format == OPENMETRICS_1_0 ? "info" : "gauge";
	default:
		return "gauge";
	}
}

static const char *suffix(const struct openmetrics *m)
{
	switch (m->type) {
	case OPENMETRICS_COUNTER:
		return "_total";
	case OPENMETRICS_INFO:
		return "_info";
	default:
		return "";
	}
}

/* Prometheus' format escapes no quotes in HELP, OpenMetrics does. */
static void put_escaped(struct buf *out, const char *text, bool quotes)
{
	for (; *text; text++) {
		if (*text == '\n')
			buf_puts(out, "\\n");
		else if (*text == '\\' || (*text == '"' && quotes))
			buf_printf(out, "\\%c", *text);
		else
			buf_putc(out, *text);
	}
}

void openmetrics_family(
	struct openmetrics *m, const char *name, enum openmetrics_type type, const char *unit, const char *help)
{
	m->family = name;
	m->type = type;
	const char *end = m->format == OPENMETRICS_1_0 ? "" : suffix(m);
	buf_printf(m->out, "# HELP %s%s ", name, end);
	put_escaped(m->out, help, m->format == OPENMETRICS_1_0);
	buf_printf(m->out, "\n# TYPE %s%s %s\n", name, end, type_name(m));
	if (unit && m->format == OPENMETRICS_1_0)
		buf_printf(m->out, "# UNIT %s %s\n", name, unit);
}

static void put_labels(struct buf *out, const struct openmetrics_label *labels, size_t n, const char *le)
{
	if (n == 0 && !le)
		return;
	for (size_t i = 0; i < n; i++) {
		buf_printf(out, "%s%s=\"", i ? "," : "{", labels[i].name);
		put_escaped(out, labels[i].value, true);
		buf_putc(out, '"');
	}
	if (le)
		buf_printf(out, "%sle=\"%s\"", n ? "," : "{", le);
	buf_putc(out, '}');
}

/* The shortest of two forms that reads back to the same number. */
static void format_number(double value, char *out, size_t size)
{
	if (isnan(value))
		snprintf(out, size, "NaN");
	else if (isinf(value))
		snprintf(out, size, value > 0 ? "+Inf" : "-Inf");
	else {
		snprintf(out, size, "%.15g", value);
		if (strtod(out, NULL) != value)
			snprintf(out, size, "%.17g", value);
	}
}

static void put_sample(struct openmetrics *m, const char *end, const struct openmetrics_label *labels, size_t n,
	const char *le, const char *value)
{
	buf_puts(m->out, m->family);
	buf_puts(m->out, end);
	put_labels(m->out, labels, n, le);
	buf_printf(m->out, " %s\n", value);
}

void openmetrics_number(struct openmetrics *m, double value, const struct openmetrics_label *labels, size_t n)
{
	char text[40];
	format_number(value, text, sizeof(text));
	put_sample(m, suffix(m), labels, n, NULL, text);
}

void openmetrics_count(struct openmetrics *m, int64_t value, const struct openmetrics_label *labels, size_t n)
{
	char text[24];
	snprintf(text, sizeof(text), "%" PRId64, value);
	put_sample(m, suffix(m), labels, n, NULL, text);
}

/* OpenMetrics wants "1.0" where Prometheus writes "1". */
static void format_bound(const struct openmetrics *m, double bound, char *out, size_t size)
{
	format_number(bound, out, size);
	if (m->format == OPENMETRICS_1_0 && !strpbrk(out, ".einIN")) {
		size_t len = strlen(out);
		snprintf(out + len, size - len, ".0");
	}
}

void openmetrics_histogram(struct openmetrics *m, const double *bounds, size_t n_bounds, const uint64_t *buckets,
	double sum, const struct openmetrics_label *labels, size_t n)
{
	uint64_t count = 0;
	char le[40], value[40];
	for (size_t i = 0; i <= n_bounds; i++) {
		count += buckets[i];
		format_bound(m, i < n_bounds ? bounds[i] : INFINITY, le, sizeof(le));
		snprintf(value, sizeof(value), "%" PRIu64, count);
		put_sample(m, "_bucket", labels, n, le, value);
	}
	format_number(sum, le, sizeof(le));
	put_sample(m, "_sum", labels, n, NULL, le);
	put_sample(m, "_count", labels, n, NULL, value);
}

void openmetrics_end(struct openmetrics *m)
{
	if (m->format == OPENMETRICS_1_0)
		buf_puts(m->out, "# EOF\n");
}

/* ---- Accept ---- */

/* Takes the text before the next separator off the front of rest. */
static struct span next_part(struct span *rest, char separator)
{
	const char *end = memchr(rest->at, separator, rest->len);
	struct span part = {rest->at, end ? (size_t)(end - rest->at) : rest->len};
	size_t used = part.len + (end ? 1 : 0);
	*rest = (struct span){rest->at + used, rest->len - used};
	return span_trim(part);
}

static double quality(struct span text)
{
	char number[8] = "";
	memcpy(number, text.at, text.len < sizeof(number) - 1 ? text.len : sizeof(number) - 1);
	double q = strtod(number, NULL);
	return q >= 0 && q <= 1 ? q : 0;
}

struct preference {
	double openmetrics, text;
};

static void weigh(struct preference *p, struct span range)
{
	struct span type = next_part(&range, ';');
	double q = 1;
	bool version_fits = true;
	while (range.len > 0) {
		struct span value = next_part(&range, ';'), name = next_part(&value, '=');
		if (span_equals_nocase(name, "q"))
			q = quality(value);
		else if (span_equals_nocase(name, "version"))
			version_fits = span_equals(value, "1.0.0");
	}
	if (span_equals_nocase(type, "application/openmetrics-text") && version_fits && q > p->openmetrics)
		p->openmetrics = q;
	if (span_equals_nocase(type, "text/plain") && q > p->text)
		p->text = q;
}

enum openmetrics_format openmetrics_choose(struct span accept)
{
	struct preference p = {0, 0};
	while (accept.len > 0)
		weigh(&p, next_part(&accept, ','));
	return p.openmetrics > 0 && p.openmetrics >= p.text ? OPENMETRICS_1_0 : OPENMETRICS_PROMETHEUS;
}

const char *openmetrics_content_type(enum openmetrics_format format)
{
	return format == OPENMETRICS_1_0 ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
					 : "text/plain; version=0.0.4; charset=utf-8";
}
