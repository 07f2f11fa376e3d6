#include "podvisor/runtime/logs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "podvisor/base/list.h"
#include "podvisor/runtime/intake.h"
#include "podvisor/runtime/origins.h"
#include "podvisor/runtime/outlet.h"
#include "podvisor/wire/logline_split.h"

enum {
	LINE_MAX_DEFAULT = 16 << 10,
	FINISH_MS = 1000,
	TELL_MS = 1000, /* between two lines that tell of one worker's dropped ones */
};

/* The read end of one stream of one run. */
struct source {
	struct list node;
	uv_poll_t poll;
	struct intake_reader reader;
	struct logs *logs;
	struct origin *origin;
	int fd;
	uint64_t run;
	enum logs_stream stream;
	enum worker_log_format format;
	struct logline_head head;
	struct logline_head partial; /* made for the first piece of a long line */
	struct logline_split split;
	uint64_t lines, dropped; /* not counted yet */
	bool over; /* the other end was closed */
	bool ended; /* so has the run: what is left is taken, and no more than that */
	size_t left; /* of an ended run, or of what is taken at once */
};

struct logs {
	const struct context *context;
	struct outlet outlet;
	struct origins origins;
	struct intake intake;
	enum log_level level;
	struct list sources;
	bool reporting; /* about dropped lines */
	uv_timer_t settle; /* messages that wait for what may continue them */
	uv_timer_t tell; /* what rates have dropped */
	int open_handles;
	ms_t finish_by; /* 0: not finishing */
	char read[OUTLET_READ_MAX];
};

/* ---- podvisor's own lines ---- */

static void tell_lost(struct logs *l, uint64_t lost)
{
	struct meters *meters = l->context->meters;
	meters->log_dropped_lines += lost;
	if (!lost || l->reporting)
		return;
	l->reporting = true;
	/* The sum, because this line may be dropped too. */
	logs_say(l, LOG_WARN, THING_POD, "",
		"stdout is slower than the workers: the oldest %llu line%s dropped, %llu since the start",
		(unsigned long long)lost, lost == 1 ? " was" : "s were", (unsigned long long)meters->log_dropped_lines);
	l->reporting = false;
}

static void flush(struct logs *l)
{
	tell_lost(l, outlet_flush(&l->outlet));
}

static bool put(
	struct logs *l, struct logline_head *head, int64_t wall_ms, struct span text, enum worker_log_format format)
{
	bool good = outlet_put(&l->outlet, head, wall_ms, text, format);
	l->context->meters->log_dropped_lines += !good;
	return good;
}

/* With what the worker or browser has written; of what else there is, with podvisor's own, under its name. */
static void remember(struct logs *l, struct origin *about, const struct word *word)
{
	const struct recent_meta meta = {.wall_ms = word->wall_ms,
		.level = (uint8_t)word->level,
		.stream = LOGS_STREAMS,
		.field = (uint8_t)word->thing,
		.form = WORKER_LOG_TEXT};
	struct recent *recent = &l->origins.recent;
	if (about)
		recent_put(recent, &about->about, &meta, SPAN(""), word->text);
	else
		recent_put(recent, &l->origins.own->ring, &meta, span_of(word->subject), word->text);
}

static void utter(struct logs *l, struct origin *about, const struct word *word)
{
	const struct logline line = {
		.level = logs_show_level(word->level), .name = word->subject, .field = logs_show_thing(word->thing)};
	struct logline_head head;
	if (logline_head_init(&head, &line) < 0)
		return;
	if (put(l, &head, word->wall_ms, word->text, WORKER_LOG_TEXT))
		remember(l, about, word);
	logline_head_fini(&head);
	flush(l);
}

struct delayed {
	struct logs *logs;
	struct origin *about;
};

static void utter_delayed(void *ctx, const struct word *word)
{
	const struct delayed *delayed = ctx;
	utter(delayed->logs, delayed->about, word);
}

/* The last source of the runs that are over is closed. */
static void utter_all_delayed(struct logs *l, struct origin *about)
{
	words_release(&about->words, utter_delayed, &(struct delayed){l, about});
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
	const struct word word = {
		.level = level, .thing = thing, .subject = subject, .text = span_of(text), .wall_ms = loop_wall_ms()};
	struct origin *about = origins_subject(&l->origins, thing, subject);
	if (!about || !about->ending || !words_keep(&about->words, &word))
		utter(l, about, &word);
}

void logs_record(struct logs *l, enum log_level level, enum thing thing, struct span object)
{
	const struct logline line = {.level = logs_show_level(level), .name = "", .field = logs_show_thing(thing)};
	struct logline_head head;
	if (logline_head_init(&head, &line) < 0)
		return;
	put(l, &head, loop_wall_ms(), object, WORKER_LOG_JSON);
	logline_head_fini(&head);
}

void logs_flush(struct logs *l)
{
	flush(l);
}

/* ---- what a rate drops ---- */

static void tell_dropped(struct logs *l)
{
	LIST_EACH (at, &l->origins.all) {
		struct origin *o = LIST_ENTRY(at, struct origin, node);
		uint64_t dropped = o->untold;
		o->untold = 0;
		if (dropped)
			logs_say(l, LOG_WARN, THING_WORKER, o->name, "%llu line%s of %s %s dropped by its rate limit",
				(unsigned long long)dropped, dropped == 1 ? "" : "s", o->name,
				dropped == 1 ? "was" : "were");
	}
}

static void on_tell_time(uv_timer_t *timer)
{
	tell_dropped(timer->data);
}

static void drop(struct source *s)
{
	struct logs *l = s->logs;
	s->dropped++;
	s->origin->untold++;
	if (!uv_is_active((uv_handle_t *)&l->tell))
		uv_timer_start(&l->tell, on_tell_time, TELL_MS, 0);
}

/* ---- reading ---- */

static struct logline meta_of(const struct source *s)
{
	return (struct logline){.level = "info",
		.name = s->origin->name,
		.field = "worker",
		.stream = logs_show_stream(s->stream),
		.command = logs_show_command(s->stream)};
}

/* NULL: out of memory. */
static struct logline_head *head_of(struct source *s, bool partial)
{
	struct logline meta = meta_of(s);
	meta.partial = true;
	if (!partial)
		return &s->head;
	return s->partial.text.len || logline_head_init(&s->partial, &meta) == 0 ? &s->partial : NULL;
}

/* The last line of a message, for a sentence. */
static void note_said(struct origin *o, struct span text)
{
	const char *newline = text.len ? memrchr(text.at, '\n', text.len) : NULL;
	struct span line = newline ? (struct span){newline + 1, text.len - (size_t)(newline + 1 - text.at)} : text;
	if (!span_trim(line).len)
		return;
	snprintf(o->command_said, sizeof(o->command_said), "%.*s", (int)line.len, line.at);
	for (char *c = o->command_said; *c; c++)
		*c = (unsigned char)*c < ' ' || *c == 0x7f ? ' ' : *c;
}

static void take_message(void *ctx, struct span text, int64_t wall_ms, bool partial)
{
	struct source *s = ctx;
	struct logs *l = s->logs;
	s->lines++;
	if (logs_show_command(s->stream))
		note_said(s->origin, text);
	if (!rate_take(&s->origin->rate, s->split.now)) {
		drop(s);
		return;
	}
	const struct recent_meta meta = {.wall_ms = wall_ms,
		.level = LOG_INFO,
		.stream = (uint8_t)s->stream,
		.field = THING_WORKER,
		.form = (uint8_t)s->format,
		.partial = partial};
	struct logline_head *head = head_of(s, partial);
	if (put(l, head ? head : &s->head, wall_ms, text, s->format))
		recent_put(&l->origins.recent, &s->origin->ring, &meta, SPAN(""), text);
}

static void count(struct source *s)
{
	origins_count(&s->logs->origins, s->origin, s->stream, s->lines, s->dropped);
	s->lines = s->dropped = 0;
}

/* 0: no more in this turn. At the end there is no other. */
static size_t may_read(struct source *s)
{
	struct logs *l = s->logs;
	size_t size = outlet_read_size(&l->outlet), share = l->finish_by ? size : intake_grant(&l->intake, &s->reader);
	return size < share ? size : share;
}

/* Returns whether more may be there: a pipe gives less than it is asked for only when it is empty then. */
static bool read_once(struct source *s, size_t size)
{
	ssize_t n = read(s->fd, s->logs->read, size);
	if (n < 0)
		return errno == EINTR;
	s->over = n == 0;
	s->left -= s->left < (size_t)n ? s->left : (size_t)n;
	size_t lines = logline_split_feed(&s->split, s->logs->read, (size_t)n, loop_now(), loop_wall_ms());
	intake_took(&s->logs->intake, &s->reader, (size_t)n, lines);
	count(s);
	return (size_t)n == size;
}

static void free_source(struct source *s)
{
	logline_split_fini(&s->split);
	logline_head_fini(&s->head);
	logline_head_fini(&s->partial);
	free(s);
}

static void on_closed(uv_handle_t *handle)
{
	struct source *s = handle->data;
	close(s->fd);
	free_source(s);
}

static void close_source(struct source *s)
{
	logline_split_end(&s->split);
	count(s);
	s->origin->sources--;
	list_remove(&s->node);
	intake_leave(&s->reader);
	uv_close((uv_handle_t *)&s->poll, on_closed);
	if (s->ended && --s->origin->ending == 0)
		utter_all_delayed(s->logs, s->origin);
}

static bool take_once(struct source *s, size_t size)
{
	bool more = read_once(s, size);
	flush(s->logs);
	return more;
}

/* Takes what is there, at stdout's pace and within its share of the turn; true when that was all for now. */
static bool take(struct source *s)
{
	size_t size;
	while (outlet_has_room(&s->logs->outlet) && (size = may_read(s)) > 0)
		if (!take_once(s, size))
			return true;
	return false;
}

/* ---- messages that may go on ---- */

static void on_settle_time(uv_timer_t *timer);

static void plan_settling(struct logs *l, ms_t due)
{
	ms_t now = loop_now();
	if (due == CLOCK_NEVER)
		return;
	uv_update_time(&l->context->loop->uv);
	uv_timer_start(&l->settle, on_settle_time, due > now ? (uint64_t)(due - now) : 0, 0);
}

static bool is_settling_due(const struct source *s)
{
	ms_t due = logline_split_due(&s->split);
	return due != CLOCK_NEVER && clock_due(due, loop_now());
}

/* What continues a message may lie in the pipe already, when podvisor is late or holds the workers back. */
static bool take_and_settle(struct source *s)
{
	bool all = take(s);
	if (all && is_settling_due(s)) {
		logline_split_settle(&s->split);
		count(s);
		flush(s->logs);
	}
	return all;
}

static void on_settle_time(uv_timer_t *timer)
{
	struct logs *l = timer->data;
	ms_t due = CLOCK_NEVER;
	LIST_EACH (at, &l->sources) {
		struct source *s = LIST_ENTRY(at, struct source, node);
		if (is_settling_due(s))
			take_and_settle(s);
		due = clock_earlier(due, logline_split_due(&s->split));
	}
	/* What is due already waits for room: to look again at once would be a spinning loop. */
	ms_t now = loop_now();
	plan_settling(l, clock_due(due, now) ? clock_after(now, LOGLINE_SPLIT_QUIET_MS) : due);
}

static void mind_settling(struct source *s)
{
	if (!uv_is_active((uv_handle_t *)&s->logs->settle))
		plan_settling(s->logs, logline_split_due(&s->split));
}

/* ---- turns ---- */

static void on_readable(uv_poll_t *poll, int status, int events);

static void hold_if_full(struct logs *l)
{
	bool was_held = l->outlet.held;
	outlet_hold(&l->outlet);
	if (l->outlet.held == was_held)
		return;
	LIST_EACH (at, &l->sources)
		uv_poll_stop(&LIST_ENTRY(at, struct source, node)->poll);
}

static void on_release(void *ctx)
{
	struct logs *l = ctx;
	LIST_EACH (at, &l->sources)
		uv_poll_start(&LIST_ENTRY(at, struct source, node)->poll, UV_READABLE, on_readable);
}

/* What an ended run has left, as far as there is room; true when it was all. */
static bool take_rest(struct source *s)
{
	size_t size;
	while (s->left && !s->over && outlet_has_room_for_rest(&s->logs->outlet) && (size = may_read(s)) > 0)
		if (!take_once(s, size < s->left ? size : s->left))
			s->left = 0;
	if (s->left && !s->over)
		return false;
	close_source(s);
	return true;
}

static bool take_of_a_running_one(struct source *s)
{
	bool all = take_and_settle(s);
	mind_settling(s);
	if (s->over)
		close_source(s);
	return all;
}

/* True when that was all for now. */
static bool serve(struct source *s)
{
	struct logs *l = s->logs;
	if (l->outlet.held)
		return false;
	bool all = s->ended ? take_rest(s) : take_of_a_running_one(s);
	flush(l);
	hold_if_full(l);
	return all;
}

static bool on_turn(struct intake_reader *reader)
{
	return serve(LIST_ENTRY(reader, struct source, reader));
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	(void)events;
	struct source *s = poll->data;
	s->over |= status < 0;
	serve(s);
}

/* ---- pipes ---- */

static int open_pipe(int ends[2], struct err *err)
{
	/* A pipe, not a socket pair: /dev/stdout cannot be opened on a socket. */
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_set(err, -errno, "no pipe for its output: %s", strerror(errno));
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	return 0;
}

static int fill_source(struct source *s, const struct config_worker_log *config, struct err *err)
{
	const struct logline meta = meta_of(s);
	if (logline_head_init(&s->head, &meta) < 0)
		return err_set(err, -ENOMEM, "out of memory");
	s->format = config ? config->format : WORKER_LOG_AUTO;
	s->split = (struct logline_split){
		.max_line = config ? (size_t)config->max_line_bytes : LINE_MAX_DEFAULT,
		.raw = s->format == WORKER_LOG_PASSTHROUGH,
		.as_json = s->format == WORKER_LOG_AUTO || s->format == WORKER_LOG_JSON,
		.message = take_message,
		.ctx = s,
	};
	logline_split_init(&s->split);
	return config && config->multiline ? logline_join_new(&s->split.continues, config->multiline, err) : 0;
}

static int new_source(struct source **out, struct logs *l, struct origin *o, enum logs_stream stream,
	const struct config_worker_log *config, struct err *err)
{
	struct source *s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(err, -ENOMEM, "out of memory");
	s->logs = l;
	s->origin = o;
	s->stream = stream;
	int rc = fill_source(s, config, err);
	if (rc < 0)
		free_source(s);
	else
		*out = s;
	return rc;
}

int logs_open(struct logs *l, const char *name, uint32_t slot, uint64_t run, enum logs_stream stream,
	const struct config_worker_log *config, struct err *err)
{
	struct origin *o = origins_get(&l->origins, name, slot);
	struct source *s = NULL;
	int ends[2] = {-1, -1};
	int rc = o ? new_source(&s, l, o, stream, config, err) : err_set(err, -ENOMEM, "out of memory");
	if (rc < 0 || !s)
		return rc;
	rc = open_pipe(ends, err);
	if (rc < 0) {
		free_source(s);
		return rc;
	}
	rate_set(&o->rate, config ? config->rate : 0, loop_now());
	if (logs_show_command(stream))
		o->command_said[0] = '\0';
	o->sources++;
	s->fd = ends[0];
	s->run = run;
	s->poll.data = s;
	uv_poll_init(&l->context->loop->uv, &s->poll, s->fd);
	intake_join(&s->reader);
	list_append(&l->sources, &s->node);
	if (!l->outlet.held)
		uv_poll_start(&s->poll, UV_READABLE, on_readable);
	return ends[1];
}

static size_t held_by_pipe(const struct source *s)
{
	int held = 0;
	return ioctl(s->fd, FIONREAD, &held) < 0 ? 0 : (size_t)held;
}

/* What its pipe holds now is all that it has left, whatever a stranger may write yet. */
static void end_source(struct source *s)
{
	s->ended = true;
	s->origin->ending++;
	s->left = held_by_pipe(s);
}

void logs_ended(struct logs *l, uint64_t run)
{
	LIST_EACH (at, &l->sources) {
		struct source *s = LIST_ENTRY(at, struct source, node);
		if (s->run != run || s->ended)
			continue;
		end_source(s);
		take_rest(s);
	}
	flush(l);
	hold_if_full(l);
}

/* The command has ended and its last line is wanted now, whoever has had this turn: a pipe's fill, and no more. */
static void hear_out(struct source *s)
{
	const struct outlet *outlet = &s->logs->outlet;
	size_t size;
	s->left = held_by_pipe(s);
	while (s->left && !s->over && outlet_has_room(outlet) && (size = outlet_read_size(outlet)) > 0)
		if (!take_once(s, size < s->left ? size : s->left))
			s->left = 0;
	logline_split_settle(&s->split);
	count(s);
}

const char *logs_command_said(struct logs *l, const char *name, uint64_t run)
{
	LIST_EACH (at, &l->sources) {
		struct source *s = LIST_ENTRY(at, struct source, node);
		if (s->run != run || !logs_show_command(s->stream))
			continue;
		if (!s->ended && !l->outlet.held)
			hear_out(s);
		serve(s);
	}
	const struct origin *o = origins_find(&l->origins, name);
	return o ? o->command_said : "";
}

/* ---- birth and end ---- */

static void open_timer(struct logs *l, uv_timer_t *timer)
{
	uv_timer_init(&l->context->loop->uv, timer);
	uv_unref((uv_handle_t *)timer);
	timer->data = l;
}

int logs_new(struct logs **out, const struct context *c, int fd, struct err *err)
{
	const struct config_log *config = &c->world->config->log;
	struct logs *l = calloc(1, sizeof(*l));
	if (!l || origins_init(&l->origins, c) < 0) {
		free(l);
		return err_set(err, -ENOMEM, "out of memory");
	}
	l->context = c;
	l->level = config->level;
	list_init(&l->sources);
	int rc = outlet_open(&l->outlet, c->loop, fd, config, on_release, l, err);
	if (rc < 0) {
		origins_fini(&l->origins);
		free(l);
		return rc;
	}
	open_timer(l, &l->settle);
	open_timer(l, &l->tell);
	intake_open(&l->intake, c->loop, on_turn);
	*out = l;
	return 0;
}

void logs_configure(struct logs *l, const struct config_log *config)
{
	l->level = config->level;
	outlet_configure(&l->outlet, config);
	origins_forget_gone(&l->origins);
	flush(l);
}

static void take_rest_in_time(struct source *s)
{
	struct logs *l = s->logs;
	if (!s->ended)
		end_source(s);
	while (!take_rest(s))
		tell_lost(l, outlet_flush_until(&l->outlet, l->finish_by));
}

void logs_finish(struct logs *l)
{
	if (!l->finish_by)
		l->finish_by = clock_after(loop_now(), FINISH_MS);
	LIST_EACH (at, &l->sources)
		take_rest_in_time(LIST_ENTRY(at, struct source, node));
	tell_dropped(l);
	flush(l);
}

static void on_handle_closed(struct logs *l)
{
	if (--l->open_handles == 0)
		free(l);
}

static void on_timer_closed(uv_handle_t *handle)
{
	on_handle_closed(handle->data);
}

static void on_intake_closed(uv_handle_t *handle)
{
	on_handle_closed(LIST_ENTRY(handle->data, struct logs, intake));
}

static void on_outlet_closed(uv_handle_t *handle)
{
	on_handle_closed(LIST_ENTRY(handle->data, struct logs, outlet));
}

void logs_free(struct logs *l)
{
	if (!l)
		return;
	logs_finish(l);
	origins_fini(&l->origins);
	l->open_handles = 4;
	outlet_close(&l->outlet, l->finish_by, on_outlet_closed);
	uv_close((uv_handle_t *)&l->settle, on_timer_closed);
	uv_close((uv_handle_t *)&l->tell, on_timer_closed);
	intake_close(&l->intake, on_intake_closed);
}

/* ---- showing ---- */

int logs_recent(const struct logs *l, const struct logs_query *q, void (*each)(void *ctx, const struct logs_line *line),
	void *ctx, struct logs_answer *out)
{
	return logs_show_recent(&l->origins, &l->outlet, q, each, ctx, out);
}

void logs_last_words(const struct logs *l, const char *name, size_t max_bytes, struct buf *out)
{
	logs_show_last_words(&l->origins, name, max_bytes, out);
}
