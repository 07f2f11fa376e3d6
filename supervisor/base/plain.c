#include "podvisor/base/plain.h"

#include <stdbool.h>

#include "podvisor/base/utf8.h"

/* Length of "ESC [ parameters final", 0 when there is none at at. */
static size_t sequence_length(const char *at, const char *end)
{
	const char *c = at + 2;
	if (end - at < 3 || at[0] != '\033' || at[1] != '[')
		return 0;
	while (c < end && *c >= 0x20 && *c < 0x40)
		c++;
	return c < end && *c >= 0x40 && *c < 0x7f ? (size_t)(c + 1 - at) : 0;
}

/* C0 and C1, and DEL. */
static bool is_control(const unsigned char *at, size_t len)
{
	return (len == 1 && (at[0] < 0x20 || at[0] == 0x7f)) || (len == 2 && at[0] == 0xc2 && at[1] < 0xa0);
}

static void put_character(struct buf *out, const char *at, size_t len)
{
	if (len == 0)
		buf_puts(out, "\xef\xbf\xbd");
	else if (*at != '\n' && *at != '\t' && is_control((const unsigned char *)at, len))
		buf_putc(out, '?');
	else
		buf_put(out, at, len);
}

int plain_put(struct buf *out, struct span text)
{
	const char *end = text.at + text.len;
	for (const char *at = text.at; at < end;) {
		size_t skipped = sequence_length(at, end);
		size_t len = skipped ? 0 : utf8_length(at, (size_t)(end - at));
		if (!skipped)
			put_character(out, at, len);
		at += skipped ? skipped : len ? len : 1;
	}
	return out->failed;
}
