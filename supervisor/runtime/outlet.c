#include "podvisor/runtime/outlet.h"

enum {
	READ_LEAST = 512,
	GROWTH_MAX = 160, /* bytes that one byte of output may become: an empty line becomes a whole object */
};

/* ---- lines ---- */

static int put_raw(struct buf *out, struct span text)
{
	if (!buf_reserve(out, text.len + 1)) {
		int rc = out->failed;
		out->failed = 0;
		return rc;
	}
	buf_put(out, text.at, text.len);
	return buf_putc(out, '\n');
}

int outlet_render(const struct outlet *o, struct buf *out, struct logline_head *head, int64_t wall_ms, struct span text,
	enum worker_log_format format)
{
	if (format == WORKER_LOG_PASSTHROUGH)
		return put_raw(out, text);
	if (o->format == LOG_FORMAT_TEXT)
		return logline_put_text(out, head, wall_ms, text);
	return logline_put_json(out, head, wall_ms, text, format != WORKER_LOG_TEXT);
}

bool outlet_put(
	struct outlet *o, struct logline_head *head, int64_t wall_ms, struct span text, enum worker_log_format format)
{
	return outlet_render(o, sink_buffer(o->sink), head, wall_ms, text, format) == 0;
}

/* ---- holding back ---- */

static void on_patience_over(uv_timer_t *timer);

static void start_patience(struct outlet *o)
{
	uv_update_time(&o->loop->uv);
	uv_timer_start(&o->patience, on_patience_over, (uint64_t)(OUTLET_STUCK_MS + o->block), 0);
}

static void release(struct outlet *o)
{
	if (!o->held)
		return;
	o->held = false;
	uv_timer_stop(&o->patience);
	o->on_release(o->ctx);
}

/* What stdout takes gives it more time, or makes it trusted again. */
static void note_progress(struct outlet *o)
{
	uint64_t taken = sink_taken(o->sink);
	if (taken != o->taken && o->held)
		start_patience(o);
	o->taken = taken;
	if (sink_backlog(o->sink) < sink_cap(o->sink) / 4) {
		o->overdue = false;
		release(o);
	}
}

static void on_taken(void *ctx)
{
	note_progress(ctx);
}

static void on_patience_over(uv_timer_t *timer)
{
	struct outlet *o = timer->data;
	/* After a long turn timers run before stdout was looked at again. What has to be
	 * dropped meanwhile is told by the next flush. */
	sink_wait(o->sink, SIZE_MAX, 0);
	note_progress(o);
	if (!o->held || uv_is_active((uv_handle_t *)timer))
		return;
	o->overdue = true;
	release(o);
}

bool outlet_has_room(const struct outlet *o)
{
	return o->overdue || sink_backlog(o->sink) <= sink_cap(o->sink) / 2;
}

bool outlet_has_room_for_rest(const struct outlet *o)
{
	return outlet_has_room(o) || sink_backlog(o->sink) + GROWTH_MAX * READ_LEAST <= sink_cap(o->sink);
}

size_t outlet_read_size(const struct outlet *o)
{
	size_t cap = sink_cap(o->sink) + (o->overdue ? SINK_SLACK_BYTES : 0), backlog = sink_backlog(o->sink);
	size_t size = cap > backlog ? (cap - backlog) / GROWTH_MAX : 0;
	if (size < READ_LEAST)
		return READ_LEAST;
	return size < OUTLET_READ_MAX ? size : OUTLET_READ_MAX;
}

void outlet_hold(struct outlet *o)
{
	if (o->held || outlet_has_room(o))
		return;
	o->held = true;
	start_patience(o);
}

/* ---- writing ---- */

uint64_t outlet_flush(struct outlet *o)
{
	uint64_t dropped = sink_flush(o->sink);
	note_progress(o);
	return dropped;
}

uint64_t outlet_flush_until(struct outlet *o, ms_t until)
{
	sink_wait(o->sink, sink_cap(o->sink) / 4, until);
	uint64_t dropped = outlet_flush(o);
	if (!outlet_has_room(o))
		o->overdue = true;
	return dropped;
}

/* ---- birth and end ---- */

int outlet_open(struct outlet *o, struct loop *loop, int fd, const struct config_log *config,
	void (*on_release)(void *ctx), void *ctx, struct err *err)
{
	*o = (struct outlet){
		.loop = loop, .format = config->format, .block = config->block, .on_release = on_release, .ctx = ctx};
	int rc = sink_open(&o->sink, loop, fd, (size_t)config->buffer_bytes, err);
	if (rc < 0)
		return rc;
	sink_on_taken(o->sink, on_taken, o);
	uv_timer_init(&loop->uv, &o->patience);
	uv_unref((uv_handle_t *)&o->patience);
	o->patience.data = o;
	return 0;
}

void outlet_configure(struct outlet *o, const struct config_log *config)
{
	bool other_block = config->block != o->block;
	o->format = config->format;
	o->block = config->block;
	if (other_block && o->held)
		start_patience(o);
	if ((size_t)config->buffer_bytes != sink_cap(o->sink)) {
		sink_resize(o->sink, (size_t)config->buffer_bytes);
		note_progress(o);
	}
}

void outlet_close(struct outlet *o, ms_t until, uv_close_cb closed)
{
	sink_on_taken(o->sink, NULL, NULL);
	sink_close(o->sink, until);
	uv_close((uv_handle_t *)&o->patience, closed);
}
