/* span owns the view of bytes that somebody else holds. */
#ifndef PODVISOR_BASE_SPAN_H
#define PODVISOR_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct span {
	const char *at; /* borrowed; not NUL-terminated */
	size_t len;
};

#define SPAN(literal) ((struct span){(literal), sizeof(literal) - 1})

struct span span_of(const char *s);
/* Here, so that the length of a literal costs nothing. */
static inline bool span_equals(struct span a, const char *s)
{
	return strlen(s) == a.len && memcmp(a.at, s, a.len) == 0;
}
/* ASCII letters compare without case (RFC 9110 5.1: field names). */
bool span_equals_nocase(struct span a, const char *s);
/* Without blanks and tabs at either end. */
struct span span_trim(struct span a);

#endif
