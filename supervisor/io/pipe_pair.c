#include "podvisor/io/pipe_pair.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "podvisor/base/buf.h"

#define READ_BYTES 65536
/* Reads per turn: a child that floods its pipe must not keep the loop. */
#define READS_PER_TURN 4

struct pipe_pair {
	const struct pipe_pair_calls *calls;
	void *ctx;
	int read_fd, write_fd;
	uv_poll_t reading, writing;
	struct buf queue;
	bool closed, ended;
	int handles; /* still open */
	char bytes[READ_BYTES];
};

static void on_handle_closed(uv_handle_t *handle)
{
	struct pipe_pair *p = handle->data;
	if (--p->handles > 0)
		return;
	close(p->read_fd);
	close(p->write_fd);
	buf_fini(&p->queue);
	free(p);
}

static void end(struct pipe_pair *p)
{
	p->ended = true;
	uv_poll_stop(&p->reading);
	uv_poll_stop(&p->writing);
	p->calls->on_end(p->ctx);
}

static void on_readable(uv_poll_t *handle, int status, int events)
{
	(void)status;
	(void)events;
	struct pipe_pair *p = handle->data;
	for (int i = 0; i < READS_PER_TURN && !p->closed; i++) {
		ssize_t n = read(p->read_fd, p->bytes, sizeof(p->bytes));
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			end(p);
			return;
		}
		p->calls->on_bytes(p->ctx, (struct span){p->bytes, (size_t)n});
	}
}

static void on_writable(uv_poll_t *handle, int status, int events);

/* Writes what goes now and waits for room for the rest. */
static int flush(struct pipe_pair *p)
{
	while (p->queue.len) {
		ssize_t n = write(p->write_fd, p->queue.data, p->queue.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return uv_poll_start(&p->writing, UV_WRITABLE, on_writable);
		if (n < 0)
			return -EPIPE;
		buf_consume(&p->queue, (size_t)n);
	}
	return uv_poll_stop(&p->writing);
}

static void on_writable(uv_poll_t *handle, int status, int events)
{
	(void)status;
	(void)events;
	struct pipe_pair *p = handle->data;
	if (flush(p) < 0)
		uv_poll_stop(&p->writing); /* the end of the other pipe tells it */
}

int pipe_pair_write(struct pipe_pair *p, const void *bytes, size_t n)
{
	if (p->closed || p->ended)
		return -EPIPE;
	int rc = buf_put(&p->queue, bytes, n);
	if (rc < 0) {
		p->queue.failed = 0;
		return rc;
	}
	return flush(p);
}

static int make_pipes(struct pipe_pair *p, int child_fds[2])
{
	int down[2], up[2];
	if (pipe2(down, O_CLOEXEC) < 0)
		return -errno;
	if (pipe2(up, O_CLOEXEC) < 0) {
		int rc = -errno;
		close(down[0]);
		close(down[1]);
		return rc;
	}
	/* Our ends only: each end of a pipe is an open file of its own. */
	fcntl(down[1], F_SETFL, O_NONBLOCK);
	fcntl(up[0], F_SETFL, O_NONBLOCK);
	p->write_fd = down[1];
	p->read_fd = up[0];
	child_fds[0] = down[0];
	child_fds[1] = up[1];
	return 0;
}

int pipe_pair_open(struct pipe_pair **out, struct loop *loop, size_t queue_max_bytes,
	const struct pipe_pair_calls *calls, void *ctx, int child_fds[2], struct err *err)
{
	struct pipe_pair *p = calloc(1, sizeof(*p));
	if (!p)
		return err_set(err, -ENOMEM, "out of memory");
	int rc = make_pipes(p, child_fds);
	if (rc < 0) {
		free(p);
		return err_set(err, rc, "no pipe to it: %s", strerror(-rc));
	}
	p->calls = calls;
	p->ctx = ctx;
	p->handles = 2;
	p->reading.data = p->writing.data = p;
	buf_init(&p->queue, queue_max_bytes);
	uv_poll_init(&loop->uv, &p->reading, p->read_fd);
	uv_poll_init(&loop->uv, &p->writing, p->write_fd);
	uv_poll_start(&p->reading, UV_READABLE, on_readable);
	*out = p;
	return 0;
}

void pipe_pair_close(struct pipe_pair *p)
{
	if (!p || p->closed)
		return;
	p->closed = true;
	uv_close((uv_handle_t *)&p->reading, on_handle_closed);
	uv_close((uv_handle_t *)&p->writing, on_handle_closed);
}
