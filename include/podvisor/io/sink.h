/* sink owns the way out to stdout: a bounded buffer that is written whenever
 * stdout takes it, and that never blocks the loop. stdout's file status flags
 * are shared with everybody who holds the same open file, so they are left
 * alone: where it can be opened anew (pipes, files, terminals) that is done,
 * elsewhere (sockets, a foreign owner) no more is written at a time than a
 * writable pipe takes for sure. */
#ifndef PODVISOR_IO_SINK_H
#define PODVISOR_IO_SINK_H

#include <stdint.h>

#include "podvisor/base/buf.h"
#include "podvisor/io/loop.h"

struct sink;

/* dropped is told how many lines went when the buffer was full: the oldest go. */
int sink_open(struct sink **out, struct loop *loop, int fd, size_t buffer_bytes, struct err *err) MUST_CHECK;
/* Where to append whole lines; then call sink_flush. Its cap is beyond buffer_bytes: sink_flush trims. */
struct buf *sink_buffer(struct sink *s);
/* Writes what goes out at once, keeps the rest; drops the oldest lines over the cap. Returns lines dropped. */
uint64_t sink_flush(struct sink *s);
/* Writes what is left for at most that long, blocking; then closes. NULL is fine. */
void sink_close(struct sink *s, ms_t patience);

#endif
