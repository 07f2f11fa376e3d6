#include "podvisor/base/utf8.h"

#include <stdbool.h>

static size_t length_by_first(unsigned char c)
{
	if (c < 0x80)
		return 1;
	if (c >= 0xc2 && c < 0xe0)
		return 2;
	if (c >= 0xe0 && c < 0xf0)
		return 3;
	return c >= 0xf0 && c < 0xf5 ? 4 : 0;
}

size_t utf8_length(const char *at, size_t n)
{
	const unsigned char *s = (const unsigned char *)at;
	size_t len = length_by_first(s[0]);
	if (len == 0 || len > n)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	bool overlong = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xf0 && s[1] < 0x90);
	bool surrogate = s[0] == 0xed && s[1] >= 0xa0;
	bool beyond = s[0] == 0xf4 && s[1] >= 0x90;
	return overlong || surrogate || beyond ? 0 : len;
}

size_t utf8_cut(const char *text, size_t n)
{
	for (size_t back = 1; back <= 3 && back <= n; back++) {
		unsigned char c = (unsigned char)text[n - back];
		if ((c & 0xc0) != 0x80)
			return length_by_first(c) > back ? n - back : n;
	}
	return n;
}
