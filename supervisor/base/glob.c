#include "podvisor/base/glob.h"

#include <stddef.h>
#include <string.h>

/* One name and what comes behind its slash. */
static size_t name_length(const char *at)
{
	return strcspn(at, "/");
}

static const char *behind(const char *at, size_t n)
{
	return at + n + (at[n] == '/');
}

static bool is_any_depth(const char *name, size_t n)
{
	return n == 2 && name[0] == '*' && name[1] == '*';
}

/* UTF-8: a character and the bytes that continue it. */
static size_t after_character(const char *s, size_t n, size_t at)
{
	for (at++; at < n && ((unsigned char)s[at] & 0xC0) == 0x80; at++)
		;
	return at;
}

/* Only the last star has to be tried again: what an earlier one could take, it could take as well. */
static bool name_matches(const char *p, size_t np, const char *s, size_t ns)
{
	size_t i = 0, j = 0, star = np, mark = 0;
	while (j < ns) {
		if (i < np && p[i] == '*') {
			star = i++;
			mark = j;
		} else if (i < np && p[i] == '?') {
			i++;
			j = after_character(s, ns, j);
		} else if (i < np && p[i] == s[j]) {
			i++;
			j++;
		} else if (star < np) {
			i = star + 1;
			j = ++mark;
		} else {
			return false;
		}
	}
	while (i < np && p[i] == '*')
		i++;
	return i == np;
}

bool glob_matches(const char *pattern, const char *path)
{
	const char *p = pattern, *s = path, *star = NULL, *mark = NULL;
	while (*s) {
		size_t np = name_length(p), ns = name_length(s);
		if (is_any_depth(p, np)) {
			if (!p[np])
				return true;
			star = p;
			mark = s;
			p = behind(p, np);
		} else if (np && name_matches(p, np, s, ns)) {
			p = behind(p, np);
			s = behind(s, ns);
		} else if (star) {
			s = mark = behind(mark, name_length(mark));
			p = behind(star, 2);
		} else {
			return false;
		}
	}
	return !*p;
}

static bool is_name(const char *name, size_t n)
{
	bool leaves = (n == 1 && name[0] == '.') || (n == 2 && name[0] == '.' && name[1] == '.');
	return n && !leaves && (is_any_depth(name, n) || !memmem(name, n, "**", 2));
}

bool glob_is_valid(const char *pattern)
{
	const char *at = pattern;
	size_t n = name_length(at);
	if (strpbrk(pattern, "[]{}\\"))
		return false;
	for (; is_name(at, n) && at[n]; n = name_length(at))
		at += n + 1;
	return is_name(at, n) && !at[n];
}
