/* loop owns the one libuv loop and the queue of events between the ports and
 * the world. Ports post; once a turn of the loop the queue is handed, in order,
 * to the one consumer. A posted event is never handled inside the callback that
 * posted it, so nobody is re-entered. */
#ifndef PODVISOR_IO_LOOP_H
#define PODVISOR_IO_LOOP_H

#include <uv.h>

#include "podvisor/base/clock.h"
#include "podvisor/base/err.h"
#include "podvisor/base/histogram.h"
#include "podvisor/model/event.h"

/* Events that may be queued within one turn; more is a defect and ends podvisor
 * (the shims then end the workers) rather than losing an exit. */
#define LOOP_EVENTS_MAX 65536

struct loop {
	uv_loop_t uv;
	uv_prepare_t prepare; /* runs after timers, before poll */
	uv_check_t check; /* runs right after poll */
	uv_timer_t wake;
	uv_idle_t again; /* keeps poll from waiting while something is left to take */
	struct event *queue; /* owned ring */
	size_t head, count, cap;
	bool asked, handling;
	struct histogram *lag; /* where each round's time without the waiting is noted; NULL: nowhere */
	uint64_t round_ns, waited_ns; /* when the round began, and all that was waited until then */
	void (*turn)(void *ctx);
	void *ctx;
};

/* turn is called whenever there are events to take, loop_wake_at came due or
 * loop_ask was called; it takes them with loop_take. */
int loop_init(struct loop *l, void (*turn)(void *ctx), void *ctx, struct err *err) MUST_CHECK;
/* Has libuv make the threads of its pool now: without it they are made for the first work, and podvisor aborts when
 * they cannot be. Right after loop_init, when nothing else is on the loop. -EAGAIN with a sentence. */
int loop_open_pool(struct loop *l, struct err *err) MUST_CHECK;
/* Runs until loop_stop. */
void loop_run(struct loop *l);
void loop_stop(struct loop *l);
/* Only after a loop_init that succeeded. Closes what it opened, lets closing handles finish, frees. False: something is
 * still in the pool, and may hang there; whoever ends the process must not wait for libuv's threads then, as exit(3)
 * does. */
bool loop_fini(struct loop *l);

/* Copies the event into the queue. */
void loop_post(struct loop *l, const struct event *e);
/* The oldest event; false when there is none. */
bool loop_take(struct loop *l, struct event *out);
/* One more turn, although nothing happened. */
void loop_ask(struct loop *l);
/* A turn at that time at the latest; replaces the earlier wish. CLOCK_NEVER: none. */
void loop_wake_at(struct loop *l, ms_t at);

/* CLOCK_BOOTTIME in milliseconds, read now. */
ms_t loop_now(void);
/* Unix time in milliseconds, read now: for showing, and for schedules. It may leap. */
int64_t loop_wall_ms(void);

#endif
