#include "podvisor/base/span.h"

#include <string.h>
#include <strings.h>

struct span span_of(const char *s)
{
	return (struct span){s, strlen(s)};
}

bool span_equals_nocase(struct span a, const char *s)
{
	return strlen(s) == a.len && strncasecmp(a.at, s, a.len) == 0;
}

struct span span_trim(struct span a)
{
	while (a.len && (a.at[0] == ' ' || a.at[0] == '\t'))
		a.at++, a.len--;
	while (a.len && (a.at[a.len - 1] == ' ' || a.at[a.len - 1] == '\t'))
		a.len--;
	return a;
}
