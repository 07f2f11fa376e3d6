#include "podvisor/cli/table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
	{"error", TONE_BAD},
	{"debug", TONE_DIM},
	{"stopped", TONE_DIM},
	{"standby", TONE_DIM},
	{"released", TONE_DIM},
};

static enum tone tone_of(const char *state)
{
	for (size_t i = 0; i < sizeof(tones) / sizeof(tones[0]); i++)
		if (strcmp(tones[i].state, state) == 0)
			return tones[i].tone;
	return TONE_PLAIN;
}

void table_init(struct table *t, int columns)
{
	t->columns = columns < TABLE_COLUMNS_MAX ? columns : TABLE_COLUMNS_MAX;
	buf_init(&t->cells, 16 << 20);
}

void table_fini(struct table *t)
{
	buf_fini(&t->cells);
}

static char clean(char c)
{
	return (unsigned char)c < ' ' || c == 0x7f ? '?' : c;
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
	for (size_t i = 0; i < len; i++)
		at[1 + i] = clean(text[i]);
	at[1 + len] = '\0';
	t->cells.len += len + 2;
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

/* Code points, which is columns for all that names and sentences hold here. */
static int width_of(const char *text)
{
	int width = 0;
	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

static void measure(const struct table *t, int widths[TABLE_COLUMNS_MAX])
{
	int column = 0;
	memset(widths, 0, sizeof(int) * TABLE_COLUMNS_MAX);
	for (const char *at = t->cells.data, *end = at + t->cells.len; at < end; at += strlen(at + 1) + 2) {
		int width = width_of(at + 1);
		if (width > widths[column])
			widths[column] = width;
		column = (column + 1) % t->columns;
	}
}

/* Blanks are owed and paid only when something follows. */
void table_print(const struct table *t, FILE *to, bool coloured)
{
	int widths[TABLE_COLUMNS_MAX], column = 0, owed = 0;
	if (!t->cells.len || t->cells.failed)
		return;
	measure(t, widths);
	for (const char *at = t->cells.data, *end = at + t->cells.len; at < end; at += strlen(at + 1) + 2) {
		const char *code = coloured ? tone_codes[(int)*at] : "";
		if (at[1]) {
			fprintf(to, "%*s%s%s%s", owed, "", code, at + 1, *code ? TONE_END : "");
			owed = 0;
		}
		owed += widths[column] - width_of(at + 1) + 2;
		if (++column == t->columns) {
			fputc('\n', to);
			column = owed = 0;
		}
	}
	if (column)
		fputc('\n', to);
}

bool table_wants_colour(FILE *to)
{
	const char *no = getenv("NO_COLOR"), *terminal = getenv("TERM");
	return isatty(fileno(to)) && !(no && no[0]) && !(terminal && strcmp(terminal, "dumb") == 0);
}

void table_put_clean(FILE *to, const char *text)
{
	for (; *text; text++)
		fputc(clean(*text), to);
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
