/* span owns the view of bytes that somebody else holds. */
#ifndef PODVISOR_BASE_SPAN_H
#define PODVISOR_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>

struct span {
	const char *at; /* borrowed; not NUL-terminated */
	size_t len;
};

#define SPAN(literal) ((struct span){(literal), sizeof(literal) - 1})

struct span span_of(const char *s);
bool span_equals(struct span a, const char *s);
/* ASCII letters compare without case (RFC 9110 5.1: field names). */
bool span_equals_nocase(struct span a, const char *s);
/* Without blanks and tabs at either end. */
struct span span_trim(struct span a);

#endif
