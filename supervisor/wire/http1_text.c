#include "podvisor/wire/http1_text.h"

#include <string.h>
#include <strings.h>

#define IS_DIGIT(c) ((c) >= '0' && (c) <= '9')
#define IS_HEX(c)   (IS_DIGIT(c) || ((c) >= 'a' && (c) <= 'f') || ((c) >= 'A' && (c) <= 'F'))
#define IS_ALNUM(c) (IS_DIGIT(c) || ((c) >= 'a' && (c) <= 'z') || ((c) >= 'A' && (c) <= 'Z'))
#define IS_TOKEN(c)                                                                                               \
	(IS_ALNUM(c) || (c) == '!' || (c) == '#' || (c) == '$' || (c) == '%' || (c) == '&' || (c) == '\'' ||      \
		(c) == '*' || (c) == '+' || (c) == '-' || (c) == '.' || (c) == '^' || (c) == '_' || (c) == '`' || \
		(c) == '|' || (c) == '~')
#define IS_VALUE(c)  ((c) == '\t' || ((c) >= ' ' && (c) != 0x7f))
#define IS_TARGET(c) ((c) > ' ' && (c) < 0x7f && (c) != '#')
#define IS_HOST(c)                                                                                                 \
	(IS_ALNUM(c) || (c) == '-' || (c) == '.' || (c) == '_' || (c) == '~' || (c) == '%' || (c) == '!' ||        \
		(c) == '$' || (c) == '&' || (c) == '\'' || (c) == '(' || (c) == ')' || (c) == '*' || (c) == '+' || \
		(c) == ';' || (c) == '=')
#define IS_ADDRESS(c) (IS_HEX(c) || (c) == ':' || (c) == '.')

#define ONE(c)                                                                                                   \
	((IS_TOKEN(c) ? HTTP1_TOKEN : 0) | (IS_VALUE(c) ? HTTP1_VALUE : 0) | (IS_TARGET(c) ? HTTP1_TARGET : 0) | \
		(IS_HOST(c) ? HTTP1_HOST : 0) | (IS_ADDRESS(c) ? HTTP1_ADDRESS : 0))
#define FOUR(c)       ONE(c), ONE((c) + 1), ONE((c) + 2), ONE((c) + 3)
#define SIXTEEN(c)    FOUR(c), FOUR((c) + 4), FOUR((c) + 8), FOUR((c) + 12)
#define SIXTY_FOUR(c) SIXTEEN(c), SIXTEEN((c) + 16), SIXTEEN((c) + 32), SIXTEEN((c) + 48)

const unsigned char http1_classes[256] = {SIXTY_FOUR(0), SIXTY_FOUR(64), SIXTY_FOUR(128), SIXTY_FOUR(192)};

bool http1_same_name(struct span a, struct span b)
{
	if (a.len != b.len || (a.len && (a.at[0] ^ b.at[0]) & ~0x20)) /* most names differ in the first letter */
		return false;
	return strncasecmp(a.at, b.at, a.len) == 0;
}

struct span http1_next_line(struct span *rest)
{
	const char *cr = memchr(rest->at, '\r', rest->len);
	struct span line = {rest->at, (size_t)(cr - rest->at)};
	*rest = http1_skip(*rest, line.len + 2);
	return line;
}

bool http1_cut(struct span *rest, char at, struct span *part)
{
	const char *found = memchr(rest->at, at, rest->len);
	if (!found)
		return false;
	*part = (struct span){rest->at, (size_t)(found - rest->at)};
	*rest = http1_skip(*rest, part->len + 1);
	return true;
}

bool http1_next_element(struct span *rest, struct span *element)
{
	if (!rest->len)
		return false;
	if (!http1_cut(rest, ',', element)) {
		*element = *rest;
		rest->len = 0;
	}
	*element = span_trim(*element);
	return true;
}

/* The length of the host at the front of s, 0 when there is none. */
static size_t host_len(struct span s)
{
	if (!s.len || s.at[0] != '[')
		return http1_run(s, HTTP1_HOST);
	size_t n = 1 + http1_run(http1_skip(s, 1), HTTP1_ADDRESS);
	return n > 2 && n < s.len && s.at[n] == ']' ? n + 1 : 0;
}

/* Digits up to 65535, or none at all (RFC 3986 3.2.3): 65616 is port 80 to a reader of 16 bits. */
static bool is_port(struct span s)
{
	unsigned port = 0;
	for (size_t i = 0; i < s.len; i++) {
		if (!http1_is_digit(s.at[i]))
			return false;
		port = port * 10 + (unsigned)(s.at[i] - '0');
		if (port > 65535)
			return false;
	}
	return true;
}

bool http1_is_authority(struct span s)
{
	size_t n = host_len(s);
	if (n == 0 || n == s.len)
		return n;
	return s.at[n] == ':' && is_port(http1_skip(s, n + 1));
}
