/* http1_text owns the words of HTTP/1: which byte may stand where (one table,
 * after RFC 9110 5.5, 5.6.2 and RFC 3986 3.2.2), and how bytes are cut into
 * lines, lists and parts. It knows no field and no message. */
#ifndef PODVISOR_WIRE_HTTP1_TEXT_H
#define PODVISOR_WIRE_HTTP1_TEXT_H

#include <stdbool.h>

#include "podvisor/base/span.h"

enum http1_class {
	HTTP1_TOKEN = 1, /* tchar: methods, field names */
	HTTP1_VALUE = 2, /* field values, reason phrases: visible, blank, tab, obs-text; no other control */
	HTTP1_TARGET = 4, /* visible ASCII without '#': a fragment never travels */
	HTTP1_HOST = 8, /* reg-name without ',': two hosts in one field are none */
	HTTP1_ADDRESS = 16 /* between the brackets of an IPv6 literal */
};

extern const unsigned char http1_classes[256];

static inline bool http1_char_is(char c, enum http1_class class)
{
	return http1_classes[(unsigned char)c] & class;
}

/* How many bytes at the front of s are of the class. */
static inline size_t http1_run(struct span s, enum http1_class class)
{
	size_t n = 0;
	while (n < s.len && http1_char_is(s.at[n], class))
		n++;
	return n;
}

/* At least one byte, and each of the class. */
static inline bool http1_is_all(struct span s, enum http1_class class)
{
	return s.len && http1_run(s, class) == s.len;
}

static inline bool http1_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Without its first n bytes (n <= s.len). */
static inline struct span http1_skip(struct span s, size_t n)
{
	return (struct span){s.at + n, s.len - n};
}

/* Field names compare without case (RFC 9110 5.1). */
bool http1_same_name(struct span a, struct span b);

/* Takes the next line, without its CRLF, off the front. There must be a CRLF. */
struct span http1_next_line(struct span *rest);

/* Takes what lies before the first `at`, and `at` itself, off the front; false, and nothing done, without it. */
bool http1_cut(struct span *rest, char at, struct span *part);

/* Takes the next element, trimmed and perhaps empty, off a comma-separated list; false at its end (RFC 9110 5.6.1). */
bool http1_next_element(struct span *rest, struct span *element);

/* host [":" port] with a host that is not empty, no userinfo, and a port up to 65535 or empty (RFC 3986 3.2.2). */
bool http1_is_authority(struct span s);

#endif
