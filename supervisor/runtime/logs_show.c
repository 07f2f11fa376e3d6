#include "podvisor/runtime/logs_show.h"

#include <errno.h>
#include <string.h>

#include "podvisor/base/plain.h"
#include "podvisor/base/utf8.h"

enum {
	ANSWER_BYTES = 512 << 10, /* of messages in one answer */
	RENDERED_MAX = 16 << 20,
	LAST_WORDS = 20,
};

static const char *const level_names[] = {
	[LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warn", [LOG_ERROR] = "error"};
static const char *const stream_names[] = {[LOGS_STDOUT] = "stdout",
	[LOGS_STDERR] = "stderr",
	[LOGS_STOP_STDOUT] = "stdout",
	[LOGS_STOP_STDERR] = "stderr",
	[LOGS_STREAMS] = NULL};
static const char *const command_names[] = {
	[LOGS_STOP_STDOUT] = "stop", [LOGS_STOP_STDERR] = "stop", [LOGS_STREAMS] = NULL};

const char *logs_show_level(enum log_level level)
{
	return level_names[level];
}

const char *logs_show_stream(enum logs_stream stream)
{
	return stream_names[stream];
}

const char *logs_show_command(enum logs_stream stream)
{
	return command_names[stream];
}

const char *logs_show_thing(enum thing thing)
{
	return thing == THING_POD ? "pod" : thing_name(thing);
}

struct asked {
	const struct origins *origins;
	const char *const *names;
	bool written; /* only what they have written */
};

static bool is_wanted(void *ctx, const struct recent_ring *ring)
{
	const struct asked *asked = ctx;
	if (asked->written && !origin_wrote(ring))
		return false;
	for (const char *const *name = asked->names; *name; name++)
		if (origins_means(asked->origins, ring, *name))
			return true;
	return !asked->names[0];
}

static int find_recent(const struct origins *origins, const struct logs_query *q, bool written, struct recent_list *out)
{
	struct asked asked = {origins, q->names, written};
	const struct recent_query query = {
		.wanted = is_wanted, .ctx = &asked, .after = q->after, .max = q->lines, .max_bytes = ANSWER_BYTES};
	return recent_list(&origins->recent, &query, out);
}

/* The text as it was logged, in out. */
static struct span as_logged(
	const struct outlet *outlet, const struct recent_message *m, const struct logs_line *line, struct buf *out)
{
	const struct logline meta = {.level = line->level,
		.name = line->name,
		.field = line->thing,
		.stream = line->stream,
		.command = line->command,
		.partial = m->meta.partial};
	struct logline_head head;
	buf_clear(out);
	if (logline_head_init(&head, &meta) < 0)
		return m->text;
	int rc = outlet_render(outlet, out, &head, m->meta.wall_ms, m->text, (enum worker_log_format)m->meta.form);
	logline_head_fini(&head);
	return rc < 0 ? m->text : (struct span){out->data, out->len - 1};
}

static void show(const struct outlet *outlet, const struct recent_message *m, bool plain, struct buf *rendered,
	void (*each)(void *ctx, const struct logs_line *line), void *ctx)
{
	char subject[64] = "";
	if (m->subject.len && m->subject.len < sizeof(subject))
		memcpy(subject, m->subject.at, m->subject.len);
	struct logs_line line = {.wall_ms = m->meta.wall_ms,
		.thing = logs_show_thing((enum thing)m->meta.field),
		.name = subject[0] ? subject : m->ring->name,
		.level = level_names[m->meta.level],
		.stream = stream_names[m->meta.stream],
		.command = command_names[m->meta.stream],
		.text = m->text};
	if (!plain)
		line.text = as_logged(outlet, m, &line, rendered);
	each(ctx, &line);
}

int logs_show_recent(const struct origins *origins, const struct outlet *outlet, const struct logs_query *q,
	void (*each)(void *ctx, const struct logs_line *line), void *ctx, struct logs_answer *out)
{
	struct recent_list list;
	struct buf rendered;
	int rc = find_recent(origins, q, false, &list);
	if (rc < 0)
		return rc;
	buf_init(&rendered, RENDERED_MAX);
	for (size_t i = 0; i < list.n; i++)
		show(outlet, &list.messages[i], q->plain, &rendered, each, ctx);
	buf_fini(&rendered);
	*out = (struct logs_answer){.next = list.next, .missed = list.missed, .more = list.more};
	recent_list_fini(&list);
	return 0;
}

static size_t cut_line(struct span text, size_t max_bytes, struct span *line)
{
	const char *newline = memrchr(text.at, '\n', text.len - 1);
	line->at = newline ? newline + 1 : text.at;
	line->len = utf8_cut(line->at, max_bytes);
	return line->len;
}

/* The last of text's whole lines that fit; of a single line that does not, its beginning. */
static void put_last_lines(struct buf *out, struct span text, size_t max_bytes)
{
	struct span line = text;
	if (text.len > max_bytes) {
		size_t from = text.len - max_bytes;
		const char *newline = from < text.len ? memchr(text.at + from - 1, '\n', max_bytes) : NULL;
		line.at = newline ? newline + 1 : text.at + text.len;
		line.len = (size_t)(text.at + text.len - line.at);
	}
	if (line.len)
		buf_put(out, line.at, line.len);
	else if (max_bytes > 1 && cut_line(text, max_bytes - 1, &line)) {
		buf_put(out, line.at, line.len);
		buf_putc(out, '\n');
	}
}

void logs_show_last_words(const struct origins *origins, const char *name, size_t max_bytes, struct buf *out)
{
	const struct logs_query q = {.names = (const char *const[]){name, NULL}, .lines = LAST_WORDS};
	struct recent_list list;
	struct buf text;
	if (find_recent(origins, &q, true, &list) < 0)
		return;
	buf_init(&text, RENDERED_MAX);
	for (size_t i = 0; i < list.n; i++) {
		plain_put(&text, list.messages[i].text);
		buf_putc(&text, '\n');
	}
	if (text.len)
		put_last_lines(out, (struct span){text.data, text.len}, max_bytes);
	buf_fini(&text);
	recent_list_fini(&list);
}
