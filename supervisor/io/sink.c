#include "podvisor/io/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SLACK = 4 << 20 };

struct sink {
	uv_poll_t poll;
	int fd;
	bool ours; /* opened anew with O_NONBLOCK: any amount may be tried */
	bool pollable, armed, closed;
	size_t cap;
	struct buf buf;
	size_t done; /* bytes at the front of buf that are written already */
	bool midline; /* the front of what is left is the rest of a line */
};

static int reopen(int fd)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY | O_APPEND);
}

int sink_open(struct sink **out, struct loop *loop, int fd, size_t buffer_bytes, struct err *err)
{
	struct sink *s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(err, -ENOMEM, "out of memory");
	struct stat st;
	bool file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
	/* A regular file keeps its own offset and never blocks for long. */
	int own = file ? -1 : reopen(fd);
	s->ours = own >= 0;
	s->fd = own >= 0 ? own : fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (s->fd < 0) {
		free(s);
		return err_set(err, -errno, "stdout cannot be used: %s", strerror(errno));
	}
	s->cap = buffer_bytes;
	buf_init(&s->buf, buffer_bytes + SLACK);
	s->pollable = !file && uv_poll_init(&loop->uv, &s->poll, s->fd) == 0;
	s->poll.data = s;
	if (s->pollable)
		uv_unref((uv_handle_t *)&s->poll);
	*out = s;
	return 0;
}

struct buf *sink_buffer(struct sink *s)
{
	return &s->buf;
}

static bool takes_a_page(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	return poll(&p, 1, 0) == 1 && (p.revents & POLLOUT);
}

static void write_some(struct sink *s)
{
	while (s->done < s->buf.len) {
		size_t n = s->buf.len - s->done;
		if (!s->ours && s->pollable) {
			if (!takes_a_page(s->fd))
				return;
			n = n < PIPE_BUF ? n : PIPE_BUF;
		}
		ssize_t written = write(s->fd, s->buf.data + s->done, n);
		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return;
		if (written < 0) {
			/* Nobody reads any more (EPIPE) or the disk is full: what cannot be written is gone. */
			s->done = s->buf.len;
			return;
		}
		s->done += (size_t)written;
		s->midline = s->buf.data[s->done - 1] != '\n';
	}
}

static void compact(struct sink *s)
{
	if (s->done == s->buf.len) {
		buf_clear(&s->buf);
		s->done = 0;
	} else if (s->done > s->buf.len / 2) {
		buf_consume(&s->buf, s->done);
		s->done = 0;
	}
}

/* The rest of a line that was begun has to stay, or the reader sees two halves glued together. */
static uint64_t trim(struct sink *s)
{
	if (s->buf.len - s->done <= s->cap)
		return 0;
	char *from = s->buf.data + s->done, *end = s->buf.data + s->buf.len;
	if (s->midline) {
		char *newline = memchr(from, '\n', (size_t)(end - from));
		from = newline ? newline + 1 : end;
	}
	char *until = end - s->cap / 2;
	uint64_t dropped = 0;
	char *at = from;
	while (at < until) {
		char *newline = memchr(at, '\n', (size_t)(end - at));
		at = newline ? newline + 1 : end;
		dropped++;
	}
	memmove(from, at, (size_t)(end - at));
	s->buf.len -= (size_t)(at - from);
	s->buf.data[s->buf.len] = '\0';
	return dropped;
}

static void on_writable(uv_poll_t *poll, int status, int events)
{
	(void)status, (void)events;
	sink_flush(poll->data);
}

static void arm(struct sink *s)
{
	bool wanted = s->pollable && s->done < s->buf.len;
	if (wanted == s->armed)
		return;
	s->armed = wanted;
	if (wanted)
		uv_poll_start(&s->poll, UV_WRITABLE, on_writable);
	else
		uv_poll_stop(&s->poll);
}

uint64_t sink_flush(struct sink *s)
{
	write_some(s);
	compact(s);
	uint64_t dropped = trim(s);
	arm(s);
	return dropped;
}

static void on_closed(uv_handle_t *handle)
{
	struct sink *s = handle->data;
	close(s->fd);
	buf_fini(&s->buf);
	free(s);
}

void sink_close(struct sink *s, ms_t patience)
{
	if (!s)
		return;
	ms_t until = loop_now() + patience;
	for (write_some(s); s->done < s->buf.len && loop_now() < until; write_some(s)) {
		struct pollfd p = {.fd = s->fd, .events = POLLOUT};
		poll(&p, 1, (int)(until - loop_now()));
	}
	if (s->pollable)
		uv_close((uv_handle_t *)&s->poll, on_closed);
	else
		on_closed((uv_handle_t *)&s->poll);
}
