#include "podvisor/control/remembered.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "podvisor/base/json.h"
#include "podvisor/base/wall.h"

enum { LINES_DEFAULT = 100, LINES_AFTER_DEFAULT = 2000 };

/* "SEQ-TOTAL", which is nobody's business but ours. */
static bool read_cursor(const char *text, struct recent_cursor *out)
{
	char *end;
	errno = 0;
	out->seq = strtoull(text, &end, 10);
	if (end == text || *end != '-' || text[0] < '0' || text[0] > '9')
		return false;
	text = end + 1;
	out->total = strtoull(text, &end, 10);
	return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0;
}

static void put_text(void *ctx, const struct logs_line *line)
{
	struct buf *out = ctx;
	buf_put(out, line->text.at, line->text.len);
	buf_putc(out, '\n');
}

/* name: with its quotes and colon. */
static void put_field(struct buf *out, const char *name, const char *value)
{
	buf_puts(out, name);
	if (value)
		json_put_string(out, value, strlen(value));
	else
		buf_puts(out, "null");
}

static void put_json(void *ctx, const struct logs_line *line)
{
	struct buf *out = ctx;
	char time[WALL_SIZE];
	wall_format(line->wall_ms, time);
	if (out->data[out->len - 1] != '[')
		buf_putc(out, ',');
	put_field(out, "{\"time\":", time);
	put_field(out, ",\"thing\":", line->thing);
	put_field(out, ",\"name\":", line->name);
	put_field(out, ",\"stream\":", line->stream);
	put_field(out, ",\"command\":", line->command);
	put_field(out, ",\"level\":", line->level);
	buf_puts(out, ",\"line\":");
	json_put_string(out, line->text.at, line->text.len);
	buf_putc(out, '}');
}

static int answer_lines(const struct control_port *port, const struct logs_query *q, bool json, struct answer *a)
{
	struct logs_answer found;
	if (json)
		buf_puts(a->body, "{\"lines\":[");
	int rc = port->logs(port->ctx, q, json ? put_json : put_text, a->body, &found);
	if (rc == 0 && json)
		buf_printf(a->body, "],\"next\":\"%" PRIu64 "-%" PRIu64 "\",\"missed\":%" PRIu64 ",\"more\":%s}\n",
			found.next.seq, found.next.total, found.missed, found.more ? "true" : "false");
	return rc;
}

void remembered_answer(
	const struct control_port *port, const struct query *q, const char *const *names, struct answer *a)
{
	struct err err;
	struct recent_cursor after;
	const char *cursor = query_find(q, "after");
	bool json = cursor || query_is_set(q, "json");
	int64_t lines, most = cursor ? LINES_AFTER_DEFAULT : LINES_DEFAULT;
	if (query_number(q, "lines", 0, REMEMBERED_LINES_MAX, most, &lines, &err) < 0) {
		answer_error(a, 400, "%s", err.text);
		return;
	}
	if (cursor && !read_cursor(cursor, &after)) {
		answer_error(a, 400, "after is no cursor (expected what \"next\" of an earlier answer said)");
		return;
	}
	const struct logs_query wanted = {.names = names,
		.after = cursor ? &after : NULL,
		.lines = (size_t)lines,
		.plain = query_is_set(q, "plain")};
	a->status = 200;
	if (json)
		a->type = "application/json";
	if (answer_lines(port, &wanted, json, a) < 0)
		answer_error(a, 500, "out of memory");
}
