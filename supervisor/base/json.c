#include "podvisor/base/json.h"

#include <stdint.h>
#include <string.h>

enum { DEPTH_MAX = 64 };

/* ---- writing ---- */

/* Length of the valid UTF-8 sequence at s (RFC 3629), 0 when it is none. */
static size_t utf8_length(const unsigned char *s, size_t n)
{
	size_t len = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : 0;
	if (s[0] >= 0xf0 && s[0] < 0xf5)
		len = 4;
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

static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static void put_escaped(struct buf *b, unsigned char c)
{
	static const char shorts[] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
	if (c == '"' || c == '\\')
		buf_put(b, (char[]){'\\', (char)c}, 2);
	else if (c < sizeof(shorts) && shorts[c])
		buf_put(b, (char[]){'\\', shorts[c]}, 2);
	else
		buf_printf(b, "\\u%04x", c);
}

int json_put_string(struct buf *b, const char *bytes, size_t n)
{
	const unsigned char *s = (const unsigned char *)bytes;
	buf_putc(b, '"');
	for (size_t i = 0; i < n;) {
		size_t run = i;
		while (run < n && is_plain(s[run]))
			run++;
		if (run > i) {
			buf_put(b, s + i, run - i);
			i = run;
			continue;
		}
		size_t len = s[i] >= 0x80 ? utf8_length(s + i, n - i) : 0;
		if (s[i] < 0x80)
			put_escaped(b, s[i]);
		else if (len)
			buf_put(b, s + i, len);
		else
			buf_puts(b, "\xef\xbf\xbd");
		i += len ? len : 1;
	}
	return buf_putc(b, '"');
}

/* ---- looking ---- */

struct cursor {
	const unsigned char *at, *end;
	int depth;
	void (*seen)(void *ctx, struct span key);
	void *ctx;
};

static void skip_blanks(struct cursor *c)
{
	while (c->at < c->end && (*c->at == ' ' || *c->at == '\t' || *c->at == '\r' || *c->at == '\n'))
		c->at++;
}

static bool skip_char(struct cursor *c, char wanted)
{
	skip_blanks(c);
	if (c->at == c->end || *c->at != (unsigned char)wanted)
		return false;
	c->at++;
	return true;
}

static bool is_hex(unsigned char c)
{
	return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'f');
}

static bool skip_escape(struct cursor *c)
{
	if (c->end - c->at < 2 || !strchr("\"\\/bfnrtu", c->at[1]) || c->at[1] == '\0')
		return false;
	if (c->at[1] != 'u') {
		c->at += 2;
		return true;
	}
	if (c->end - c->at < 6)
		return false;
	for (int i = 2; i < 6; i++)
		if (!is_hex(c->at[i]))
			return false;
	c->at += 6;
	return true;
}

static bool skip_string(struct cursor *c, struct span *raw)
{
	if (!skip_char(c, '"'))
		return false;
	const unsigned char *start = c->at;
	while (c->at < c->end && *c->at != '"') {
		size_t len = *c->at < 0x80 ? 1 : utf8_length(c->at, (size_t)(c->end - c->at));
		if (*c->at < 0x20 || len == 0)
			return false;
		if (*c->at != '\\')
			c->at += len;
		else if (!skip_escape(c))
			return false;
	}
	if (c->at == c->end)
		return false;
	*raw = (struct span){(const char *)start, (size_t)(c->at - start)};
	c->at++;
	return true;
}

static bool skip_digits(struct cursor *c)
{
	const unsigned char *start = c->at;
	while (c->at < c->end && *c->at >= '0' && *c->at <= '9')
		c->at++;
	return c->at > start;
}

static bool skip_number(struct cursor *c)
{
	if (c->at < c->end && *c->at == '-')
		c->at++;
	bool zero = c->at < c->end && *c->at == '0';
	const unsigned char *start = c->at;
	if (!skip_digits(c) || (zero && c->at - start > 1))
		return false;
	if (c->at < c->end && *c->at == '.') {
		c->at++;
		if (!skip_digits(c))
			return false;
	}
	if (c->at < c->end && (*c->at | 32) == 'e') {
		c->at++;
		if (c->at < c->end && (*c->at == '+' || *c->at == '-'))
			c->at++;
		return skip_digits(c);
	}
	return true;
}

static bool skip_word(struct cursor *c, const char *word)
{
	size_t n = strlen(word);
	if ((size_t)(c->end - c->at) < n || memcmp(c->at, word, n) != 0)
		return false;
	c->at += n;
	return true;
}

static bool skip_value(struct cursor *c);

static bool skip_object(struct cursor *c)
{
	if (!skip_char(c, '{') || ++c->depth > DEPTH_MAX)
		return false;
	struct span key;
	bool first = true;
	while (!skip_char(c, '}')) {
		if (!first && !skip_char(c, ','))
			return false;
		first = false;
		if (!skip_string(c, &key) || !skip_char(c, ':'))
			return false;
		if (c->depth == 1 && c->seen)
			c->seen(c->ctx, key);
		if (!skip_value(c))
			return false;
	}
	c->depth--;
	return true;
}

static bool skip_array(struct cursor *c)
{
	if (!skip_char(c, '[') || ++c->depth > DEPTH_MAX)
		return false;
	bool first = true;
	while (!skip_char(c, ']')) {
		if (!first && !skip_char(c, ','))
			return false;
		first = false;
		if (!skip_value(c))
			return false;
	}
	c->depth--;
	return true;
}

static bool skip_value(struct cursor *c)
{
	struct span ignored;
	skip_blanks(c);
	if (c->at == c->end)
		return false;
	switch (*c->at) {
	case '{':
		return skip_object(c);
	case '[':
		return skip_array(c);
	case '"':
		return skip_string(c, &ignored);
	case 't':
		return skip_word(c, "true");
	case 'f':
		return skip_word(c, "false");
	case 'n':
		return skip_word(c, "null");
	default:
		return skip_number(c);
	}
}

bool json_is_object(struct span text, void (*seen)(void *ctx, struct span key), void *ctx)
{
	const unsigned char *start = (const unsigned char *)text.at;
	struct cursor c = {.at = start, .end = start + text.len, .seen = seen, .ctx = ctx};
	if (!skip_object(&c))
		return false;
	skip_blanks(&c);
	return c.at == c.end;
}
