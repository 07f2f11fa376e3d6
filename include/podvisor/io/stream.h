/* stream owns connected byte streams, TCP or Unix: thousands of them at the cost
 * of some 64 bytes each while they are idle. They share one buffer to read into,
 * and a buffer to write from exists only while a peer does not keep up.
 *
 *   connect ──► open ──finish──► lingering ──peer's end, or time──► closed
 *   adopt ──────►  └──close, reset──────────────────────────────────►
 *
 * Under the loop there is one edge-triggered epoll set for all of them: a stream
 * is registered once in its life, and each readiness is looked at once. */
#ifndef PODVISOR_IO_STREAM_H
#define PODVISOR_IO_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "podvisor/base/clock.h"
#include "podvisor/base/err.h"
#include "podvisor/base/span.h"
#include "podvisor/io/address.h"
#include "podvisor/io/deadline.h"
#include "podvisor/io/heap.h"
#include "podvisor/io/loop.h"

#define STREAM_READ_BYTES 65536 /* the most that one call of bytes() brings */
#define STREAM_QUEUE_MAX  (1024 * 1024) /* the most that waits for a slow peer */
#define STREAM_PARTS_MAX  8 /* of one write */

struct streams; /* all streams of one part of the program */
struct stream;

/* What a stream tells its owner; always from the loop, never from within a call
 * below. Every one of them may close the stream, or any other. */
struct stream_ops {
	/* Only after stream_connect, once: 0 and open, or a negative errno, and then close it. NULL when adopted. */
	void (*connected)(struct stream *s, int status);
	/* Bytes came, while reading is on. They lie in the shared buffer: valid during the call, and may be changed. */
	void (*bytes)(struct stream *s, char *bytes, size_t n);
	/* Nothing more will come: 0 the peer's orderly end (writing is still possible), or a negative errno.
	 * After all bytes; only while reading is on, or when nothing is unread any more. Once, but that
	 * an orderly end may be followed by an error, which is then the last word. */
	void (*end)(struct stream *s, int status);
	/* The queue is empty again after a write that left something in it. NULL is fine. */
	void (*drained)(struct stream *s);
};

/* NULL with a sentence: no descriptors or memory left. */
struct streams *streams_new(struct loop *l, struct err *err);
/* Closes what lingers; all other streams must have been closed. NULL is fine. */
void streams_free(struct streams *h);
/* after is called when a round of callbacks is over: the place to free what they left behind. */
void streams_after(struct streams *h, void (*after)(void *ctx), void *ctx);
/* No more streams should be adopted until one is closed: of the descriptors that the process may hold only 512 are free
 * (an eighth when it may hold few), and those are for what is needed to serve them, and for others. */
bool streams_scarce(const struct streams *h);
/* Streams that were finished and are not closed yet. */
size_t streams_lingering(const struct streams *h);
/* Shared with the streams' own, so that a part needs one timer only. */
struct deadlines *streams_deadlines(struct streams *h);
/* Told what the streams free; to be told what their owners free. */
struct heap *streams_heap(struct streams *h);

/* Takes a connected, non-blocking descriptor. Reading is off. NULL: out of
 * memory or of epoll watches; the descriptor is then still the caller's. */
struct stream *stream_adopt(struct streams *h, int fd, const struct stream_ops *ops, void *ctx);
/* Begins to connect; every address of a name is tried in turn, all within
 * timeout_ms, after which connected(-ETIMEDOUT). NULL: out of memory or descriptors. */
struct stream *stream_connect(
	struct streams *h, const struct address *to, ms_t timeout_ms, const struct stream_ops *ops, void *ctx);

void *stream_context(const struct stream *s);
/* Another owner from now on, who reads as much at once as there is. */
void stream_give(struct stream *s, const struct stream_ops *ops, void *ctx);

/* Reading is off at first. Both may be called at any time, also twice. */
void stream_read_start(struct stream *s);
void stream_read_stop(struct stream *s);
/* One call of bytes() brings at most so many from now on, 1..STREAM_READ_BYTES, which it is at first. */
void stream_read_most(struct stream *s, size_t most);
/* Bytes that lie in the kernel, received and unread. */
size_t stream_unread(const struct stream *s);

/* Writes the parts, one after the other, as far as the peer takes them now; the
 * rest is copied into the queue. Returns how many bytes are in the queue then: 0
 * is the usual case; else whoever feeds this stream should stop until drained().
 * A negative errno when the stream is broken (-EPIPE, -ECONNRESET, ...) or the
 * queue would pass its cap (-ENOBUFS), and so ever after; what the peer had sent
 * before can still be read, then comes end(). */
ssize_t stream_write(struct stream *s, const struct span *parts, size_t n);
/* Bytes that wait for the peer. */
size_t stream_queued(const struct stream *s);
/* Ends our direction (FIN) once the queue is empty. No writing afterwards. */
void stream_shutdown(struct stream *s);

/* The polite close: flushes the queue for as long as the peer takes something of
 * it, ends our direction, reads and forgets until the peer's end, for linger_ms
 * at most, then closes. Without it unread bytes make the kernel send RST, which
 * can destroy what was just written. The owner is told nothing any more; the
 * stream is gone for him. NULL is fine. */
void stream_finish(struct stream *s, ms_t linger_ms);
/* Closes at once; what is queued is lost. NULL is fine. */
void stream_close(struct stream *s);
/* Closes at once, with RST. */
void stream_reset(struct stream *s);

#endif
