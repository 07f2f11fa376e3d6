/* glyph owns how wide text is on a terminal, and what of it may go to one. Tables
 * of its own: wcwidth(3) follows the locale, which in a container is "C". */
#ifndef PODVISOR_CLI_GLYPH_H
#define PODVISOR_CLI_GLYPH_H

#include <stddef.h>

/* Bytes of the character at at, which is not the NUL, and how many columns it
 * takes: 0 (it combines with the one before), 1 or 2 (Unicode Standard Annex 11,
 * wide and fullwidth); -1 when a terminal would obey it or it is no UTF-8. */
size_t glyph_next(const char *at, int *columns);
/* Of clean text. */
int glyph_columns(const char *text);
/* The most bytes of clean text that take no more than so many columns. */
size_t glyph_cut(const char *text, int columns);
/* Copies text, with '?' for each character that glyph_next gives -1, into out,
 * which takes no more than text does. Returns its length. */
size_t glyph_clean(char *out, const char *text);

#endif
