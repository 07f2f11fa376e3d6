/* However the bytes of a stream come in, they become the same messages, none longer than it may be. */
#include "fuzz.h"

#include <string.h>

#include "podvisor/wire/logline_split.h"

enum { MAX_LINE = 16 };

static void keep(void *ctx, struct span text, int64_t wall_ms, bool partial)
{
	(void)wall_ms;
	PROMISE(text.len <= MAX_LINE);
	const unsigned char len = (unsigned char)text.len;
	const unsigned char whole = !partial;
	buf_put(ctx, &len, 1);
	buf_put(ctx, &whole, 1);
	buf_put(ctx, text.at, text.len);
}

static void split(const uint8_t *data, size_t size, size_t portion, const char *multiline, bool raw, struct buf *out)
{
	struct err err;
	struct logline_split s = {.max_line = MAX_LINE, .raw = raw, .as_json = true, .message = keep, .ctx = out};
	if (multiline)
		PROMISE(logline_join_new(&s.continues, multiline, &err) == 0);
	logline_split_init(&s);
	buf_init(out, 1 << 20);
	for (size_t at = 0; at < size; at += portion)
		logline_split_feed(&s, (const char *)data + at, size - at < portion ? size - at : portion, 0, 0);
	logline_split_end(&s);
	logline_split_fini(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	const char *multiline = data[0] & 1 ? "^[ \t]|^$" : NULL;
	bool raw = data[0] & 2;
	size_t portion = 1 + data[1] % 40;
	struct buf whole, portions;
	split(data + 2, size - 2, size, multiline, raw, &whole);
	split(data + 2, size - 2, portion, multiline, raw, &portions);
	PROMISE(whole.len == portions.len && (whole.len == 0 || memcmp(whole.data, portions.data, whole.len) == 0));
	buf_fini(&whole);
	buf_fini(&portions);
	return 0;
}
