/* outlet owns the way of finished lines to stdout: their form, the buffer in
 * front of it, and the question whether workers may be read. While stdout takes
 * a full buffer nothing is read, so that nothing is lost to a burst. When it
 * takes nothing at all it is stuck, and workers are read without regard to it
 * until it has caught up. */
#ifndef PODVISOR_RUNTIME_OUTLET_H
#define PODVISOR_RUNTIME_OUTLET_H

#include <stdbool.h>

#include "podvisor/io/loop.h"
#include "podvisor/io/sink.h"
#include "podvisor/model/config.h"
#include "podvisor/wire/logline.h"

#define OUTLET_READ_MAX (64 << 10)
#define OUTLET_STUCK_MS 1000 /* a stdout that takes nothing for so long is stuck, not slow; log.block comes on top */

struct outlet {
	struct loop *loop;
	struct sink *sink;
	enum log_format format;
	ms_t block;
	bool held; /* nobody is to be read; on_release ends it */
	bool overdue; /* stuck, and not caught up since */
	uint64_t taken; /* by stdout, when it was last looked at */
	uv_timer_t patience; /* runs while held */
	void (*on_release)(void *ctx);
	void *ctx;
};

/* fd stays the caller's. On failure there is nothing to close. */
int outlet_open(struct outlet *o, struct loop *loop, int fd, const struct config_log *config,
	void (*on_release)(void *ctx), void *ctx, struct err *err) MUST_CHECK;
/* Another form, buffer and block, from now on. */
void outlet_configure(struct outlet *o, const struct config_log *config);
/* Nothing more is told. Writes what waits, but not beyond that time; the sink is closed, the timer is on
 * its way: closed tells when o may go. */
void outlet_close(struct outlet *o, ms_t until, uv_close_cb closed);

/* Appends a message in the form in which it is logged, with its last newline; nothing when out is full. */
int outlet_render(const struct outlet *o, struct buf *out, struct logline_head *head, int64_t wall_ms, struct span text,
	enum worker_log_format format);
/* The same, into the buffer for stdout; false: it is full, and the message lost. Then flush. */
bool outlet_put(
	struct outlet *o, struct logline_head *head, int64_t wall_ms, struct span text, enum worker_log_format format);
/* Writes what stdout takes. Returns the lines that were dropped for want of room. */
uint64_t outlet_flush(struct outlet *o);
/* The same, waiting for room, but not beyond that time; then without regard to stdout. */
uint64_t outlet_flush_until(struct outlet *o, ms_t until);

/* Whether workers may be read. */
bool outlet_has_room(const struct outlet *o);
/* Whether what an ended run has left may be read: it comes before the line that
 * tells of the end, so the buffer is filled for it. */
bool outlet_has_room_for_rest(const struct outlet *o);
/* How much, so that what becomes of it is not dropped; OUTLET_READ_MAX at the most. */
size_t outlet_read_size(const struct outlet *o);
/* Holds everybody back until on_release, if there is no room. */
void outlet_hold(struct outlet *o);

#endif
