#include "podvisor/wire/logline.h"

#include <string.h>

#include "podvisor/base/json.h"
#include "podvisor/base/wall.h"

enum { HAS_TS = 1, HAS_LEVEL = 2, HAS_NAME = 4, HAS_STREAM = 8, HAS_ANY = 16 };

struct look {
	const char *field;
	unsigned has;
};

static void note_key(void *ctx, struct span key)
{
	struct look *look = ctx;
	look->has |= HAS_ANY;
	if (span_equals(key, "ts") || span_equals(key, "time") || span_equals(key, "timestamp"))
		look->has |= HAS_TS;
	else if (span_equals(key, "level") || span_equals(key, "severity"))
		look->has |= HAS_LEVEL;
	else if (span_equals(key, look->field))
		look->has |= HAS_NAME;
	else if (span_equals(key, "stream"))
		look->has |= HAS_STREAM;
}

static void put_field(struct buf *out, bool *first, const char *name, const char *value)
{
	buf_printf(out, "%s\"%s\":", *first ? "" : ",", name);
	json_put_string(out, value, strlen(value));
	*first = false;
}

static bool put_meta(struct buf *out, const struct logline *meta, unsigned has)
{
	bool first = true;
	char ts[WALL_SIZE];
	wall_format(meta->wall_ms, ts);
	if (!(has & HAS_TS))
		put_field(out, &first, "ts", ts);
	if (!(has & HAS_LEVEL))
		put_field(out, &first, "level", meta->level);
	if (!(has & HAS_NAME) && meta->name && meta->name[0])
		put_field(out, &first, meta->field, meta->name);
	if (!(has & HAS_STREAM) && meta->stream)
		put_field(out, &first, "stream", meta->stream);
	return first;
}

/* All or nothing: half a line would spoil the next one too. */
static int finish(struct buf *out, size_t start)
{
	if (buf_putc(out, '\n') == 0)
		return 0;
	int rc = out->failed;
	out->failed = 0;
	out->len = start;
	if (out->data)
		out->data[start] = '\0';
	return rc;
}

int logline_put_json(struct buf *out, const struct logline *meta, struct span text, bool as_json)
{
	size_t start = out->len;
	struct look look = {.field = meta->field};
	struct span trimmed = span_trim(text);
	bool own = as_json && trimmed.len >= 2 && trimmed.at[0] == '{' && json_check_object(trimmed, note_key, &look);
	buf_putc(out, '{');
	bool first = put_meta(out, meta, own ? look.has : 0);
	if (own) {
		if (!first && (look.has & HAS_ANY))
			buf_putc(out, ',');
		buf_put(out, trimmed.at + 1, trimmed.len - 1);
	} else {
		buf_puts(out, ",\"msg\":");
		json_put_string(out, text.at, text.len);
		buf_putc(out, '}');
	}
	return finish(out, start);
}

int logline_put_text(struct buf *out, const struct logline *meta, struct span text)
{
	size_t start = out->len;
	char ts[WALL_SIZE];
	wall_format(meta->wall_ms, ts);
	bool named = meta->name && meta->name[0];
	buf_printf(out, "%s %-5s %s%s", ts, meta->level, named ? meta->name : "", named ? ": " : "");
	buf_put(out, text.at, text.len);
	return finish(out, start);
}
