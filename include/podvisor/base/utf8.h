/* utf8 owns the question whether bytes are UTF-8 (RFC 3629). */
#ifndef PODVISOR_BASE_UTF8_H
#define PODVISOR_BASE_UTF8_H

#include <stddef.h>

/* Bytes of the character that begins at at, of which n (at least 1) may be
 * read: 1 to 4, or 0 when it is none, cut off, overlong, a surrogate or beyond
 * U+10FFFF. */
size_t utf8_length(const char *at, size_t n);
/* The most of the first n bytes that does not end inside a character; for
 * cutting text that is longer than n. */
size_t utf8_cut(const char *text, size_t n);

#endif
