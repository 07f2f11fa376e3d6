#include "podvisor/cli/table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "podvisor/cli/glyph.h"

enum tone { TONE_PLAIN, TONE_GOOD, TONE_WARN, TONE_BAD, TONE_DIM };

/* SGR sequences (ECMA-48 8.3.117) */
static const char *const tone_codes[] = {[TONE_PLAIN] = "",
	[TONE_GOOD] = "\033[32m",
	[TONE_WARN] = "\033[33m",
	[TONE_BAD] = "\033[31m",
	[TONE_DIM] = "\033[2m"};
#define TONE_END "\033[0m"

/* A state that is not here stays plain. */
static const struct {
	const char *state;
	enum tone tone;
} tones[] = {
	{"ready", TONE_GOOD},
	{"running", TONE_GOOD},
	{"succeeded", TONE_GOOD},
	{"up", TONE_GOOD},
	{"serving", TONE_GOOD},
	{"drained", TONE_GOOD},
	{"listening", TONE_GOOD},
	{"waiting", TONE_WARN},
	{"starting", TONE_WARN},
	{"stopping", TONE_WARN},
	{"cleaning", TONE_WARN},
	{"backoff", TONE_WARN},
	{"paused", TONE_WARN},
	{"pending", TONE_WARN},
	{"degraded", TONE_WARN},
	{"unknown", TONE_WARN},
	{"lame-duck", TONE_WARN},
	{"draining", TONE_WARN},
	{"warn", TONE_WARN},
	{"failed", TONE_BAD},
	{"down", TONE_BAD},
	{"misconfigured", TONE_BAD},
	{"refused", TONE_BAD},
	{"closed", TONE_BAD},
	{"new", TONE_GOOD},
	{"gone", TONE_BAD},
	{"changed", TONE_WARN},
	{"error", TONE_BAD},
	{"debug", TONE_DIM},
	{"stopped", TONE_DIM},
	{"standby", TONE_DIM},
	{"released", TONE_DIM},
	{"held", TONE_GOOD},
	{"killing", TONE_BAD},
};

static enum tone tone_of(const char *state)
{
	for (size_t i = 0; i < sizeof(tones) / sizeof(tones[0]); i++)
		if (strcmp(tones[i].state, state) == 0)
			return tones[i].tone;
	return TONE_PLAIN;
}

int table_badness(const char *state)
{
	enum tone tone = tone_of(state);
	return tone == TONE_BAD ? 2 : tone == TONE_WARN;
}

void table_init(struct table *t, int columns)
{
	t->lesser = NULL;
	t->columns = columns < TABLE_COLUMNS_MAX ? columns : TABLE_COLUMNS_MAX;
	buf_init(&t->cells, 16 << 20);
}

void table_fini(struct table *t)
{
	buf_fini(&t->cells);
}

static void put(struct table *t, enum tone tone, const char *text)
{
	if (!text)
		text = "";
	size_t len = strlen(text);
	char *at = buf_reserve(&t->cells, len + 2);
	if (!at)
		return; /* failed: nothing is printed */
	at[0] = (char)tone;
	t->cells.len += glyph_clean(at + 1, text) + 2;
}

void table_cell(struct table *t, const char *text)
{
	put(t, TONE_PLAIN, text);
}

void table_printf(struct table *t, const char *fmt, ...)
{
	char text[512];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	put(t, TONE_PLAIN, text);
}

void table_state(struct table *t, const char *state)
{
	put(t, tone_of(state ? state : ""), state);
}

enum { LAST_ENOUGH = 30, CUT_FLOOR = 8 };

/* How wide each column is shown; -1: not at all. */
struct layout {
	int n, widths[TABLE_COLUMNS_MAX];
};

static void measure(const struct table *t, struct layout *l)
{
	int column = 0;
	*l = (struct layout){.n = t->columns};
	for (const char *at = t->cells.data, *end = at + t->cells.len; at < end; at += strlen(at + 1) + 2) {
		int width = glyph_columns(at + 1);
		if (width > l->widths[column])
			l->widths[column] = width;
		column = (column + 1) % t->columns;
	}
}

static int total(const struct layout *l)
{
	int sum = -2;
	for (int i = 0; i < l->n; i++)
		sum += l->widths[i] < 0 ? 0 : l->widths[i] + 2;
	return sum;
}

/* Makes one column narrower by what is too much, but not narrower than floor. */
static void narrow(struct layout *l, int column, int floor, int limit)
{
	int wanted = l->widths[column] - (total(l) - limit);
	if (total(l) > limit && l->widths[column] > floor)
		l->widths[column] = wanted > floor ? wanted : floor;
}

static void fit(struct layout *l, const unsigned char *lesser, int limit)
{
	int last = l->n - 1, spare = l->widths[last] - LAST_ENOUGH;
	for (spare = spare > 0 ? spare : 0; lesser && *lesser && total(l) - spare > limit; lesser++)
		l->widths[*lesser] = -1;
	for (int i = last; i >= 0; i--)
		narrow(l, i, CUT_FLOOR, limit);
	for (int i = last; i > 0 && total(l) > limit; i--)
		l->widths[i] = -1;
	narrow(l, 0, 1, limit);
}

/* Returns how many columns it took. */
static int put_cell(FILE *to, const char *text, int width, const char *code)
{
	int columns = glyph_columns(text);
	bool cut = columns > width;
	size_t len = cut ? glyph_cut(text, width - 1) : strlen(text);
	fprintf(to, "%s%.*s%s%s", code, (int)len, text, cut ? "…" : "", *code ? TONE_END : "");
	/* A wide character may leave one column unused. */
	return cut ? glyph_columns(text) - glyph_columns(text + len) + 1 : columns;
}

/* Blanks are owed and paid only when something follows. */
static void put_rows(const struct table *t, FILE *to, bool coloured, const struct layout *l)
{
	int column = 0, owed = 0;
	for (const char *at = t->cells.data, *end = at + t->cells.len; at < end; at += strlen(at + 1) + 2) {
		int width = l->widths[column], taken = 0;
		if (at[1] && width > 0) {
			fprintf(to, "%*s", owed, "");
			owed = 0;
			taken = put_cell(to, at + 1, width, coloured ? tone_codes[(int)*at] : "");
		}
		owed += width < 0 ? 0 : width - taken + 2;
		if (++column == t->columns) {
			fputc('\n', to);
			column = owed = 0;
		}
	}
	if (column)
		fputc('\n', to);
}

void table_print(const struct table *t, FILE *to, bool coloured, int limit)
{
	struct layout l;
	if (!t->cells.len || t->cells.failed)
		return;
	measure(t, &l);
	if (limit > 0)
		fit(&l, t->lesser, limit);
	put_rows(t, to, coloured, &l);
}

bool table_wants_colour(FILE *to, enum options_color wish)
{
	const char *no = getenv("NO_COLOR"), *terminal = getenv("TERM");
	if (wish != OPTIONS_COLOR_AUTO)
		return wish == OPTIONS_COLOR_ALWAYS;
	return isatty(fileno(to)) && !(no && no[0]) && terminal && strcmp(terminal, "dumb") != 0;
}

void table_put_clean(FILE *to, const char *text)
{
	int columns;
	while (*text) {
		size_t n = glyph_next(text, &columns);
		fprintf(to, "%.*s", columns < 0 ? 1 : (int)n, columns < 0 ? "?" : text);
		text += n;
	}
}

void table_put_state(FILE *to, bool coloured, const char *state, const char *text)
{
	const char *code = coloured ? tone_codes[tone_of(state)] : "";
	fputs(code, to);
	table_put_clean(to, text);
	fputs(*code ? TONE_END : "", to);
}

char *table_span(double seconds, char out[TABLE_TEXT_MAX])
{
	static const struct {
		long seconds;
		char unit;
	} units[] = {{24 * 3600, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
	out[0] = '\0';
	if (!(seconds >= 0 && seconds < 1e15))
		return out;
	long left = (long)seconds;
	int i = 0;
	while (i < 3 && left < units[i].seconds)
		i++;
	int n = snprintf(out, TABLE_TEXT_MAX, "%ld%c", left / units[i].seconds, units[i].unit);
	left %= units[i].seconds;
	if (i < 3 && left / units[i + 1].seconds)
		snprintf(out + n, TABLE_TEXT_MAX - (size_t)n, "%ld%c", left / units[i + 1].seconds, units[i + 1].unit);
	return out;
}

char *table_size(double bytes, char out[TABLE_TEXT_MAX])
{
	static const char *const suffixes[] = {"B", "Ki", "Mi", "Gi", "Ti", "Pi"};
	size_t i = 0;
	out[0] = '\0';
	if (!(bytes >= 0))
		return out;
	while (bytes >= 1023.95 && i + 1 < sizeof(suffixes) / sizeof(suffixes[0])) {
		bytes /= 1024;
		i++;
	}
	snprintf(out, TABLE_TEXT_MAX, i ? "%.1f%s" : "%.0f%s", bytes, suffixes[i]);
	return out;
}
