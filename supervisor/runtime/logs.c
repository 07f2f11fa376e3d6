#include "podvisor/runtime/logs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "podvisor/base/list.h"
#include "podvisor/io/sink.h"
#include "podvisor/wire/logline.h"

enum {
	READ_SIZE = 64 << 10,
	READS_A_TURN = 16, /* per source, so that a flood leaves room for others */
	MEMORY_OF_ONE = 32 << 10,
	MEMORY_OF_ALL = 128 << 10,
	LINE_MAX_DEFAULT = 16 << 10,
	GROWTH_MAX = 160, /* bytes that one byte of output may become: an empty line becomes a whole object */
	READ_LEAST = 512,
	PIPE_BYTES_MAX = 4 << 20, /* /proc/sys/fs/pipe-max-size is 1 MiB where nobody changed it */
	STUCK_MS = 1000, /* a stdout that takes nothing for so long is stuck, not slow */
};

/* The recent lines of one name. */
struct memory {
	struct list node;
	char name[64];
	struct buf lines;
};

/* The read end of one stream of one run. */
struct source {
	struct list node;
	uv_poll_t poll;
	struct logs *logs;
	struct memory *memory;
	int fd;
	uint32_t slot;
	uint64_t run;
	enum logs_stream stream;
	enum worker_log_format format;
	size_t max_line;
	struct buf carry; /* a line that has not ended yet */
	bool closing;
};

struct logs {
	const struct context *context;
	struct sink *sink;
	enum log_format format;
	enum log_level level;
	struct list sources, memories;
	struct buf all; /* recent lines of everybody */
	bool reporting; /* about dropped lines */
	/* While stdout takes a full buffer nothing is read, so that nothing is lost to a
	 * burst. When it takes nothing (overdue), the workers are read without regard
	 * to it until it has caught up. */
	uv_timer_t hold;
	size_t held_backlog;
	bool held, overdue;
	char read[READ_SIZE];
};

static const char *const level_names[] = {
	[LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warn", [LOG_ERROR] = "error"};
static const char *const stream_names[LOGS_STREAMS] = {[LOGS_STDOUT] = "stdout", [LOGS_STDERR] = "stderr"};

static void on_room(void *ctx);

int logs_new(struct logs **out, const struct context *c, int fd, struct err *err)
{
	struct logs *l = calloc(1, sizeof(*l));
	if (!l)
		return err_set(err, -ENOMEM, "out of memory");
	l->context = c;
	list_init(&l->sources);
	list_init(&l->memories);
	buf_init(&l->all, MEMORY_OF_ALL);
	const struct config_log *config = &c->world->config->log;
	logs_configure(l, config);
	int rc = sink_open(&l->sink, c->loop, fd, (size_t)config->buffer_bytes, err);
	if (rc < 0) {
		free(l);
		return rc;
	}
	sink_on_room(l->sink, on_room, l);
	uv_timer_init(&c->loop->uv, &l->hold);
	uv_unref((uv_handle_t *)&l->hold);
	l->hold.data = l;
	*out = l;
	return 0;
}

void logs_configure(struct logs *l, const struct config_log *config)
{
	l->format = config->format;
	l->level = config->level;
}

/* ---- remembering ---- */

static void remember(struct buf *lines, const char *at, size_t n)
{
	if (n > lines->max)
		return;
	while (lines->len + n > lines->max) {
		size_t half = lines->max / 2 < lines->len ? lines->max / 2 : lines->len;
		const char *newline = memchr(lines->data + half, '\n', lines->len - half);
		buf_consume(lines, newline ? (size_t)(newline - lines->data) + 1 : lines->len);
	}
	buf_put(lines, at, n);
}

static struct memory *memory_of(struct logs *l, const char *name)
{
	LIST_EACH (at, &l->memories) {
		struct memory *m = LIST_ENTRY(at, struct memory, node);
		if (strcmp(m->name, name) == 0)
			return m;
	}
	struct memory *m = calloc(1, sizeof(*m));
	if (!m)
		return NULL;
	snprintf(m->name, sizeof(m->name), "%s", name);
	buf_init(&m->lines, MEMORY_OF_ONE);
	list_append(&l->memories, &m->node);
	return m;
}

/* ---- writing ---- */

static void put_line(struct logs *l, const struct logline *meta, struct span text, enum worker_log_format format,
	struct memory *memory)
{
	struct buf *out = sink_buffer(l->sink);
	size_t start = out->len;
	int rc = 0;
	if (format == WORKER_LOG_PASSTHROUGH) {
		rc = buf_put(out, text.at, text.len);
		rc = rc ? rc : buf_putc(out, '\n');
	} else if (l->format == LOG_FORMAT_TEXT) {
		rc = logline_put_text(out, meta, text);
	} else {
		rc = logline_put_json(out, meta, text, format != WORKER_LOG_TEXT);
	}
	if (rc < 0) {
		out->failed = 0;
		l->context->meters->log_dropped_lines++;
		return;
	}
	remember(&l->all, out->data + start, out->len - start);
	if (memory)
		remember(&memory->lines, out->data + start, out->len - start);
}

static void flush(struct logs *l)
{
	uint64_t dropped = sink_flush(l->sink);
	if (sink_backlog(l->sink) < sink_cap(l->sink) / 4)
		l->overdue = false;
	if (!dropped)
		return;
	l->context->meters->log_dropped_lines += dropped;
	if (l->reporting)
		return;
	l->reporting = true;
	/* The sum, because this line may be dropped too. */
	logs_say(l, LOG_WARN, THING_POD, "",
		"stdout is slower than the workers: the oldest %llu lines were dropped, %llu since the start",
		(unsigned long long)dropped, (unsigned long long)l->context->meters->log_dropped_lines);
	l->reporting = false;
}

void logs_say(struct logs *l, enum log_level level, enum thing thing, const char *subject, const char *fmt, ...)
{
	if (level < l->level)
		return;
	char text[1024];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	struct logline meta = {.wall_ms = loop_wall_ms(),
		.level = level_names[level],
		.name = subject,
		.field = thing == THING_POD ? "pod" : thing_name(thing)};
	put_line(l, &meta, span_of(text), WORKER_LOG_TEXT, NULL);
	flush(l);
}

/* ---- reading ---- */

static void take_line(struct source *s, struct span line, int64_t wall_ms)
{
	struct logs *l = s->logs;
	if (line.len && line.at[line.len - 1] == '\r')
		line.len--;
	struct logline meta = {.wall_ms = wall_ms,
		.level = "info",
		.name = s->memory->name,
		.field = "worker",
		.stream = stream_names[s->stream]};
	put_line(l, &meta, line, s->format, s->memory);
	if (s->slot < l->context->meters->n_logs)
		l->context->meters->logs[s->slot].lines[s->stream]++;
}

static void end_carry(struct source *s, int64_t wall_ms)
{
	if (!s->carry.len)
		return;
	take_line(s, (struct span){s->carry.data, s->carry.len}, wall_ms);
	buf_clear(&s->carry);
}

/* A line longer than max_line leaves in pieces of that size. */
static void keep(struct source *s, const char *at, size_t n, int64_t wall_ms)
{
	while (n) {
		size_t room = s->max_line - s->carry.len;
		size_t part = n < room ? n : room;
		if (buf_put(&s->carry, at, part) < 0)
			buf_clear(&s->carry);
		at += part;
		n -= part;
		if (s->carry.len >= s->max_line)
			end_carry(s, wall_ms);
	}
}

static void take_bytes(struct source *s, const char *at, size_t n, int64_t wall_ms)
{
	for (const char *end = at + n; at < end;) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		size_t len = (size_t)((newline ? newline : end) - at);
		if (newline && !s->carry.len && len <= s->max_line) {
			take_line(s, (struct span){at, len}, wall_ms);
		} else {
			keep(s, at, len, wall_ms);
			if (newline)
				end_carry(s, wall_ms);
		}
		at += len + (newline != NULL);
	}
}

/* So much that what becomes of it is not dropped; and never more than the buffer holds at all. */
static size_t read_size(const struct logs *l)
{
	size_t cap = sink_cap(l->sink) + (l->overdue ? SINK_SLACK_BYTES : 0), backlog = sink_backlog(l->sink);
	size_t size = cap > backlog ? (cap - backlog) / GROWTH_MAX : 0;
	if (size < READ_LEAST)
		return READ_LEAST;
	return size < READ_SIZE ? size : READ_SIZE;
}

/* Returns whether more may come: neither EAGAIN nor the end was met. */
static bool read_once(struct source *s)
{
	ssize_t n = read(s->fd, s->logs->read, read_size(s->logs));
	if (n < 0)
		return errno == EINTR;
	if (n == 0) {
		s->closing = true;
		return false;
	}
	take_bytes(s, s->logs->read, (size_t)n, loop_wall_ms());
	return true;
}

static void on_closed(uv_handle_t *handle)
{
	struct source *s = handle->data;
	close(s->fd);
	buf_fini(&s->carry);
	free(s);
}

static void close_source(struct source *s)
{
	end_carry(s, loop_wall_ms());
	list_remove(&s->node);
	uv_close((uv_handle_t *)&s->poll, on_closed);
}

static void on_readable(uv_poll_t *poll, int status, int events);

static bool has_room(const struct logs *l)
{
	return l->overdue || sink_backlog(l->sink) <= sink_cap(l->sink) / 2;
}

static void release(struct logs *l)
{
	if (!l->held)
		return;
	l->held = false;
	uv_timer_stop(&l->hold);
	LIST_EACH (at, &l->sources)
		uv_poll_start(&LIST_ENTRY(at, struct source, node)->poll, UV_READABLE, on_readable);
}

static void on_room(void *ctx)
{
	struct logs *l = ctx;
	l->overdue = false;
	release(l);
}

static void on_hold_time(uv_timer_t *timer)
{
	struct logs *l = timer->data;
	/* After a long turn timers run before stdout was looked at again. */
	flush(l);
	size_t backlog = sink_backlog(l->sink);
	if (backlog < l->held_backlog) {
		l->held_backlog = backlog;
		uv_timer_start(timer, on_hold_time, STUCK_MS, 0);
		return;
	}
	l->overdue = true;
	release(l);
}

static void hold(struct logs *l)
{
	if (l->held)
		return;
	l->held = true;
	LIST_EACH (at, &l->sources)
		uv_poll_stop(&LIST_ENTRY(at, struct source, node)->poll);
	l->held_backlog = sink_backlog(l->sink);
	uv_timer_start(&l->hold, on_hold_time, STUCK_MS, 0);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	(void)events;
	struct source *s = poll->data;
	struct logs *l = s->logs;
	for (int i = 0; i < READS_A_TURN && has_room(l) && read_once(s); i++)
		flush(l);
	if (s->closing || status < 0)
		close_source(s);
	flush(l);
	if (!has_room(l))
		hold(l);
}

static int make_room(struct meters *meters, uint32_t slot)
{
	if (slot == UINT32_MAX || slot < meters->n_logs)
		return 0;
	size_t n = slot + 16;
	struct log_meter *logs = realloc(meters->logs, n * sizeof(*logs));
	if (!logs)
		return -ENOMEM;
	memset(logs + meters->n_logs, 0, (n - meters->n_logs) * sizeof(*logs));
	meters->logs = logs;
	meters->n_logs = n;
	return 0;
}

int logs_open(struct logs *l, const char *name, uint32_t slot, uint64_t run, enum logs_stream stream,
	const struct config_worker_log *config, struct err *err)
{
	struct memory *memory = memory_of(l, name);
	struct source *s = calloc(1, sizeof(*s));
	int ends[2];
	if (!memory || !s || make_room(l->context->meters, slot) < 0) {
		free(s);
		return err_set(err, -ENOMEM, "out of memory");
	}
	/* A pipe, not a socket pair: /dev/stdout cannot be opened on a socket. */
	if (pipe2(ends, O_CLOEXEC) < 0) {
		free(s);
		return err_set(err, -errno, "no pipe for its output: %s", strerror(errno));
	}
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	s->logs = l;
	s->memory = memory;
	s->fd = ends[0];
	s->slot = slot;
	s->run = run;
	s->stream = stream;
	s->format = config ? config->format : WORKER_LOG_AUTO;
	s->max_line = config ? (size_t)config->max_line_bytes : LINE_MAX_DEFAULT;
	buf_init(&s->carry, s->max_line);
	uv_poll_init(&l->context->loop->uv, &s->poll, s->fd);
	s->poll.data = s;
	list_append(&l->sources, &s->node);
	if (!l->held)
		uv_poll_start(&s->poll, UV_READABLE, on_readable);
	return ends[1];
}

void logs_ended(struct logs *l, uint64_t run)
{
	LIST_EACH (at, &l->sources) {
		struct source *s = LIST_ENTRY(at, struct source, node);
		if (s->run != run)
			continue;
		/* Bounded even against a stranger who keeps writing. */
		size_t left = PIPE_BYTES_MAX;
		for (size_t n = read_size(l); left >= n && read_once(s); left -= n, n = read_size(l))
			flush(l);
		close_source(s);
	}
	flush(l);
}

static void on_hold_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void logs_free(struct logs *l)
{
	if (!l)
		return;
	LIST_EACH (at, &l->sources)
		close_source(LIST_ENTRY(at, struct source, node));
	sink_on_room(l->sink, NULL, NULL);
	sink_close(l->sink, 1000);
	LIST_EACH (at, &l->memories) {
		struct memory *m = LIST_ENTRY(at, struct memory, node);
		buf_fini(&m->lines);
		free(m);
	}
	buf_fini(&l->all);
	free(l->context->meters->logs);
	l->context->meters->logs = NULL;
	l->context->meters->n_logs = 0;
	uv_close((uv_handle_t *)&l->hold, on_hold_closed);
}

/* ---- showing ---- */

void logs_recent(const struct logs *l, const char *name, size_t lines, struct buf *out)
{
	const struct buf *from = &l->all;
	struct buf none;
	buf_init(&none, 0);
	if (name) {
		from = &none;
		LIST_EACH (at, &l->memories) {
			const struct memory *m = LIST_ENTRY(at, struct memory, node);
			if (strcmp(m->name, name) == 0)
				from = &m->lines;
		}
	}
	size_t start = from->len;
	for (size_t seen = 0; start > 0; start--)
		if (from->data[start - 1] == '\n' && seen++ == lines)
			break;
	if (from->len > start)
		buf_put(out, from->data + start, from->len - start);
}

void logs_last_words(const struct logs *l, const char *name, size_t max_bytes, struct buf *out)
{
	struct buf recent;
	buf_init(&recent, MEMORY_OF_ONE);
	logs_recent(l, name, 20, &recent);
	size_t start = recent.len > max_bytes ? recent.len - max_bytes : 0;
	if (start) {
		const char *newline = memchr(recent.data + start, '\n', recent.len - start);
		start = newline ? (size_t)(newline - recent.data) + 1 : recent.len;
	}
	if (recent.len > start)
		buf_put(out, recent.data + start, recent.len - start);
	buf_fini(&recent);
}
