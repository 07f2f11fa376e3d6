#include "podvisor/wire/logline.h"

#include <errno.h>
#include <string.h>

#include "podvisor/base/json.h"
#include "podvisor/base/wall.h"

enum {
	HEAD_MAX = 1024,
	HEAD_USUAL = 120,
	STAMP = sizeof("{\"ts\":\"") - 1, /* where the time stands in a head */
	HAS_ANY = 1 << LOGLINE_PARTS, /* of fields */
};

/* ---- heads ---- */

static void begin_part(struct logline_head *h, enum logline_part part, const char *name)
{
	struct buf *out = &h->text;
	if (part != LOGLINE_TS)
		buf_putc(out, ',');
	h->from[part] = out->len;
	buf_putc(out, '"');
	buf_puts(out, name);
	buf_puts(out, "\":");
}

static void put_part(struct logline_head *h, enum logline_part part, const char *name, const char *value)
{
	if (!value || !value[0])
		return;
	begin_part(h, part, name);
	json_put_string(&h->text, value, strlen(value));
	h->to[part] = h->text.len;
}

static void put_flag(struct logline_head *h, enum logline_part part, const char *name, bool value)
{
	if (!value)
		return;
	begin_part(h, part, name);
	buf_puts(&h->text, "true");
	h->to[part] = h->text.len;
}

int logline_head_init(struct logline_head *h, const struct logline *meta)
{
	char ts[WALL_SIZE];
	*h = (struct logline_head){.meta = *meta};
	wall_format(0, ts);
	buf_init(&h->text, HEAD_MAX);
	buf_reserve(&h->text, HEAD_USUAL);
	buf_putc(&h->text, '{');
	put_part(h, LOGLINE_TS, "ts", ts);
	put_part(h, LOGLINE_LEVEL, "level", meta->level);
	put_part(h, LOGLINE_NAME, meta->field, meta->name);
	put_part(h, LOGLINE_STREAM, "stream", meta->stream);
	put_part(h, LOGLINE_COMMAND, "command", meta->command);
	put_flag(h, LOGLINE_PARTIAL, "partial", meta->partial);
	buf_puts(&h->text, ",\"msg\":");
	if (!h->text.failed)
		return 0;
	buf_fini(&h->text);
	return -ENOMEM;
}

void logline_head_fini(struct logline_head *h)
{
	buf_fini(&h->text);
}

static void stamp(struct logline_head *h, int64_t wall_ms)
{
	char ts[WALL_SIZE];
	if (h->wall_ms == wall_ms)
		return;
	wall_format(wall_ms, ts);
	memcpy(h->text.data + STAMP, ts, WALL_SIZE - 1);
	h->wall_ms = wall_ms;
}

/* ---- JSON ---- */

struct look {
	const char *field;
	unsigned has;
};

static void note_key(void *ctx, struct span key)
{
	struct look *look = ctx;
	look->has |= HAS_ANY;
	if (span_equals(key, "ts") || span_equals(key, "time") || span_equals(key, "timestamp"))
		look->has |= 1U << LOGLINE_TS;
	else if (span_equals(key, "level") || span_equals(key, "severity"))
		look->has |= 1U << LOGLINE_LEVEL;
	else if (span_equals(key, look->field))
		look->has |= 1U << LOGLINE_NAME;
	else if (span_equals(key, "stream"))
		look->has |= 1U << LOGLINE_STREAM;
	else if (span_equals(key, "command"))
		look->has |= 1U << LOGLINE_COMMAND;
	else if (span_equals(key, "partial"))
		look->has |= 1U << LOGLINE_PARTIAL;
}

/* Whether text, of which the blanks are trimmed, is an object; and which fields it has. */
static bool look_at(struct span text, struct look *look)
{
	return text.len >= 2 && text.at[0] == '{' && json_check_object(text, note_key, look);
}

bool logline_is_json(struct span text)
{
	struct look look = {.field = ""};
	return look_at(span_trim(text), &look);
}

static char *copy(char *at, const char *bytes, size_t n)
{
	memcpy(at, bytes, n);
	return at + n;
}

static void put_own(struct buf *out, const struct logline_head *h, struct span object, unsigned has)
{
	char *start = buf_reserve(out, h->text.len + object.len + 3), *at = start;
	if (!start)
		return;
	*at++ = '{';
	for (int i = 0; i < LOGLINE_PARTS; i++) {
		if (has & 1U << i || h->from[i] == h->to[i])
			continue;
		if (at > start + 1)
			*at++ = ',';
		at = copy(at, h->text.data + h->from[i], h->to[i] - h->from[i]);
	}
	if (at > start + 1 && has & HAS_ANY)
		*at++ = ',';
	at = copy(at, object.at + 1, object.len - 1);
	at = copy(at, "\n", sizeof("\n"));
	out->len += (size_t)(at - start) - 1;
}

/* All or nothing: half a line would spoil the next one too. */
static int finish(struct buf *out, size_t start)
{
	int rc = out->failed;
	if (rc == 0)
		return 0;
	out->failed = 0;
	out->len = start;
	if (out->data)
		out->data[start] = '\0';
	return rc;
}

/* What most lines are: nothing in them has to be escaped. */
static bool put_plain(struct buf *out, const struct logline_head *h, struct span text)
{
	bool plain = json_plain(text.at, text.len) == text.len;
	char *start = plain ? buf_reserve(out, h->text.len + text.len + 4) : NULL, *at = start;
	if (!start)
		return false;
	at = copy(at, h->text.data, h->text.len);
	at = copy(at, "\"", 1);
	at = copy(at, text.at, text.len);
	at = copy(at, "\"}\n", sizeof("\"}\n"));
	out->len += (size_t)(at - start) - 1;
	return true;
}

static void put_text(struct buf *out, const struct logline_head *h, struct span text)
{
	if (text.len && put_plain(out, h, text))
		return;
	buf_put(out, h->text.data, h->text.len);
	json_put_string(out, text.at, text.len);
	buf_put(out, "}\n", 2);
}

int logline_put_json(struct buf *out, struct logline_head *h, int64_t wall_ms, struct span text, bool as_json)
{
	size_t start = out->len;
	struct look look = {.field = h->meta.field};
	struct span trimmed = as_json ? span_trim(text) : text;
	stamp(h, wall_ms);
	if (as_json && look_at(trimmed, &look))
		put_own(out, h, trimmed, look.has);
	else
		put_text(out, h, text);
	return finish(out, start);
}

/* ---- text ---- */

static void put_text_line(struct buf *out, const struct logline_head *h, const char *at, size_t n)
{
	const struct logline *meta = &h->meta;
	size_t level = strlen(meta->level);
	buf_put(out, h->text.data + STAMP, WALL_SIZE - 1);
	buf_putc(out, ' ');
	buf_put(out, meta->level, level);
	buf_put(out, "      ", level < 5 ? 6 - level : 1);
	if (meta->name && meta->name[0]) {
		buf_puts(out, meta->name);
		if (meta->command)
			buf_printf(out, " (%s)", meta->command);
		buf_put(out, ": ", 2);
	}
	buf_put(out, at, n);
	buf_putc(out, '\n');
}

int logline_put_text(struct buf *out, struct logline_head *h, int64_t wall_ms, struct span text)
{
	size_t start = out->len;
	stamp(h, wall_ms);
	for (const char *at = text.at, *end = at + text.len;;) {
		const char *newline = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
		put_text_line(out, h, at, (size_t)((newline ? newline : end) - at));
		if (!newline)
			return finish(out, start);
		at = newline + 1;
	}
}
