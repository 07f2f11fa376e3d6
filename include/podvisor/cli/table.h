/* table owns the layout of answers for people: columns that line up, states in
 * colour where a person looks, spans and sizes in words. */
#ifndef PODVISOR_CLI_TABLE_H
#define PODVISOR_CLI_TABLE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "podvisor/base/buf.h"
#include "podvisor/cli/options.h"

#define TABLE_COLUMNS_MAX 12
#define TABLE_TEXT_MAX    32

struct table {
	int columns;
	const unsigned char
		*lesser; /* columns that a narrow terminal goes without, first first; ends with 0; or NULL */
	struct buf cells; /* each: a byte for its tone, its text, NUL */
};

/* A table without cells. The cells that follow fill it row by row. */
void table_init(struct table *t, int columns);
void table_fini(struct table *t);
/* Text is cleaned: what a terminal would obey becomes '?'. NULL is an empty cell. */
void table_cell(struct table *t, const char *text);
void table_printf(struct table *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The word for a state; its colour says how good it is. */
void table_state(struct table *t, const char *state);
/* Two blanks between columns, none at the ends of lines. No line takes more
 * than limit columns of the terminal (0: as many as it needs): lesser columns
 * are left out, then text is cut, the last column's first. */
void table_print(const struct table *t, FILE *to, bool coloured, int limit);

/* How good a state is: 0 nobody needs to look, 1 worth a look, 2 wrong. */
int table_badness(const char *state);

/* Colours are wanted: by --color, or else to is a terminal that knows them
 * and NO_COLOR is not set (no-color.org). */
bool table_wants_colour(FILE *to, enum options_color wish);
/* Writes text in the colour of that state. */
void table_put_state(FILE *to, bool coloured, const char *state, const char *text);
/* Writes text cleaned, as a cell's. */
void table_put_clean(FILE *to, const char *text);

/* For people, not exact: "0s", "12s", "3m20s", "2h5m", "3d4h"; "" when negative. Returns out. */
char *table_span(double seconds, char out[TABLE_TEXT_MAX]);
/* "512B", "4.0Ki", "1.5Gi"; "" when negative. Returns out. */
char *table_size(double bytes, char out[TABLE_TEXT_MAX]);

#endif
