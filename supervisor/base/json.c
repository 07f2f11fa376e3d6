#include "podvisor/base/json.h"

#include <endian.h>
#include <stdint.h>
#include <string.h>

#include "podvisor/base/utf8.h"

enum { DEPTH_MAX = 64 };

/* ---- writing ---- */

/* Of eight bytes, the first in the lowest place, marks those that have to be
 * looked at singly: a control character, a quote, a backslash or one beyond ASCII.
 * The lowest mark is right; one above it may stand there without need. */
static uint64_t special_bytes(uint64_t eight)
{
	const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones * 0x80;
	uint64_t quote = eight ^ (ones * '"'), backslash = eight ^ (ones * '\\');
	uint64_t control = (eight - ones * 0x20) & ~eight;
	return (((quote - ones) & ~quote) | ((backslash - ones) & ~backslash) | control | eight) & tops;
}

static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c != '"' && c != '\\';
}

enum { BLOCK = 32 };

/* Whether any of a block's bytes has to be looked at singly. */
static bool any_special(const char *block)
{
	typedef signed char vector __attribute__((vector_size(BLOCK / 2)));
	typedef uint64_t halves __attribute__((vector_size(BLOCK / 2)));
	vector a, b;
	memcpy(&a, block, sizeof(a));
	memcpy(&b, block + sizeof(a), sizeof(b));
	/* Below 0x20 are, being signed, those beyond ASCII too. */
	halves special = (halves)((a < 0x20) | (a == '"') | (a == '\\') | (b < 0x20) | (b == '"') | (b == '\\'));
	return (special[0] | special[1]) != 0;
}

size_t json_plain(const char *s, size_t n)
{
	size_t i = 0;
	while (n - i >= BLOCK && !any_special(s + i))
		i += BLOCK;
	while (i < n) {
		uint64_t eight;
		if (n - i >= sizeof(eight)) {
			memcpy(&eight, s + i, sizeof(eight));
			uint64_t special = special_bytes(le64toh(eight));
			i += special ? (size_t)__builtin_ctzll(special) / 8 : sizeof(eight);
			if (!special)
				continue;
		}
		unsigned char c = (unsigned char)s[i];
		size_t len = c >= 0x80 ? utf8_length(s + i, n - i) : is_plain(c);
		if (len == 0)
			break;
		i += len;
	}
	return i;
}

static void put_escaped(struct buf *b, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";
	static const char shorts[] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
	if (c >= 0x80)
		buf_put(b, "\xef\xbf\xbd", 3);
	else if (c == '"' || c == '\\')
		buf_put(b, (char[]){'\\', (char)c}, 2);
	else if (c < sizeof(shorts) && shorts[c])
		buf_put(b, (char[]){'\\', shorts[c]}, 2);
	else
		buf_put(b, (char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
}

/* Most have nothing to escape. */
static int put_plain(struct buf *b, const char *bytes, size_t n)
{
	char *at = buf_reserve(b, n + 2);
	if (!at)
		return b->failed;
	at[0] = at[n + 1] = '"';
	memcpy(at + 1, bytes, n);
	at[n + 2] = '\0';
	b->len += n + 2;
	return 0;
}

int json_put_string(struct buf *b, const char *bytes, size_t n)
{
	if (n && json_plain(bytes, n) == n)
		return put_plain(b, bytes, n);
	buf_putc(b, '"');
	for (size_t i = 0; i < n; i++) {
		size_t run = json_plain(bytes + i, n - i);
		buf_put(b, bytes + i, run);
		i += run;
		if (i == n)
			break;
		put_escaped(b, (unsigned char)bytes[i]);
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
	if (c->at < c->end && *c->at == (unsigned char)wanted) {
		c->at++;
		return true;
	}
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
	for (;;) {
		c->at += json_plain((const char *)c->at, (size_t)(c->end - c->at));
		if (c->at == c->end)
			return false;
		if (*c->at == '"')
			break;
		if (*c->at != '\\' || !skip_escape(c))
			return false;
	}
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

bool json_check_object(struct span text, void (*seen)(void *ctx, struct span key), void *ctx)
{
	if (text.len == 0)
		return false;
	const unsigned char *start = (const unsigned char *)text.at;
	struct cursor c = {.at = start, .end = start + text.len, .seen = seen, .ctx = ctx};
	if (!skip_object(&c))
		return false;
	skip_blanks(&c);
	return c.at == c.end;
}
