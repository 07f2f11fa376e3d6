/* sink owns the way out to stdout: a bounded buffer that is written whenever
 * stdout takes it, and that never blocks the loop. stdout's file status flags
 * are shared with everybody who holds the same open file, so they are left
 * alone: a pipe or a terminal is opened anew, a socket is asked not to wait
 * with each call, and elsewhere (a pipe of a foreign owner) no more is written
 * at a time than it takes for sure. */
#ifndef PODVISOR_IO_SINK_H
#define PODVISOR_IO_SINK_H

#include <stdint.h>

#include "podvisor/base/buf.h"
#include "podvisor/io/loop.h"

/* What the buffer may hold beyond buffer_bytes between two flushes; room for a
 * line of 7 MiB is always there after one. */
#define SINK_SLACK_BYTES (8 << 20)

struct sink;

/* fd stays the caller's. SIGPIPE has to be ignored. */
int sink_open(struct sink **out, struct loop *loop, int fd, size_t buffer_bytes, struct err *err) MUST_CHECK;
/* Where to append whole lines, each with its newline; then call sink_flush. */
struct buf *sink_buffer(struct sink *s);
/* Bytes that wait for stdout, and how many may. */
size_t sink_backlog(const struct sink *s);
size_t sink_cap(const struct sink *s);
/* Told whenever stdout has taken something of what waited, but for what sink_flush wrote. */
void sink_on_taken(struct sink *s, void (*on_taken)(void *ctx), void *ctx);
/* Bytes that stdout has taken, ever. */
uint64_t sink_taken(const struct sink *s);
/* Another cap. What is beyond a smaller one goes, as in a flush, which tells of it. */
void sink_resize(struct sink *s, size_t buffer_bytes);
/* Writes what goes out at once and keeps the rest for when more does. Over
 * buffer_bytes the oldest lines go, down to half of it; a line that is partly
 * out stays whole. When nobody takes any more (EPIPE, a full disk) all that
 * waits is dropped, and the next flush tries anew.
 * Returns the lines dropped since the last call. */
uint64_t sink_flush(struct sink *s);
/* Writes, blocking, until no more than so many bytes wait, but not beyond that time. */
void sink_wait(struct sink *s, size_t backlog, ms_t until);
/* Writes what is left, blocking, but not beyond that time; then closes. NULL is fine. */
void sink_close(struct sink *s, ms_t until);

#endif
