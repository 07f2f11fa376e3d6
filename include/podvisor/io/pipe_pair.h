/* pipe_pair owns the two pipes between podvisor and a child that reads commands
 * on one descriptor and answers on another (Chrome's --remote-debugging-pipe:
 * 3 and 4). Writing never blocks: what the child does not take is queued under a cap. */
#ifndef PODVISOR_IO_PIPE_PAIR_H
#define PODVISOR_IO_PIPE_PAIR_H

#include <stddef.h>

#include "podvisor/base/err.h"
#include "podvisor/base/span.h"
#include "podvisor/io/loop.h"

struct pipe_pair;

struct pipe_pair_calls {
	/* bytes are valid during the call; the pair may be closed in it. */
	void (*on_bytes)(void *ctx, struct span bytes);
	/* The child, and whoever inherited its end, has closed it. */
	void (*on_end)(void *ctx);
};

/* child_fds receive the end to be read and the end to be written by the child;
 * the caller closes both once the child has them. calls is borrowed for as long as
 * the pair lives. */
int pipe_pair_open(struct pipe_pair **out, struct loop *loop, size_t queue_max_bytes,
	const struct pipe_pair_calls *calls, void *ctx, int child_fds[2], struct err *err) MUST_CHECK;
/* All or nothing: -ENOSPC when more than the cap would be queued, -EPIPE when nobody reads. */
int pipe_pair_write(struct pipe_pair *p, const void *bytes, size_t n) MUST_CHECK;
/* No call comes after it. The child sees the end of its input. NULL is fine; the memory goes
 * with the loop's close callbacks. */
void pipe_pair_close(struct pipe_pair *p);

#endif
