#include "podvisor/io/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
	KEEP_BYTES = 1 << 20, /* memory kept once everything is out */
	MOVE_BYTES = 1 << 20, /* so much is written before what is left moves to the front */
};

enum way {
	WAY_OWN, /* opened anew with O_NONBLOCK */
	WAY_FILE, /* a regular file, which does not block for long; its offset is shared */
	WAY_SOCKET,
	WAY_SHARED, /* anything else: its flags are others' too */
};

struct sink {
	uv_poll_t poll; /* of ready */
	/* An epoll of its own with fd in it: libuv would make fd itself non-blocking,
	 * and with it the open file that others share. -1: fd cannot be polled. */
	int ready;
	int fd;
	enum way way;
	size_t portion; /* WAY_SHARED: so much can be written without waiting when poll says that it is writable */
	bool armed;
	bool failing; /* the last write failed for good: not tried again before the next flush */
	size_t cap;
	struct buf buf;
	size_t done; /* bytes at the front of buf that are written already */
	bool midline; /* the front of what is left is the rest of a line */
	bool torn; /* of which only the newline is left: the line is counted as dropped */
	uint64_t dropped; /* lines, not yet told */
	uint64_t taken; /* bytes */
	void (*on_taken)(void *ctx);
	void *ctx;
};

/* ---- opening ---- */

/* Opening a terminal's master anew would make another terminal. */
static bool is_terminal_master(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == makedev(5, 2);
}

static int open_anew(int fd)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
}

static int choose_way(struct sink *s, int fd)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return -errno;
	s->fd = -1;
	if (S_ISFIFO(st.st_mode) || (S_ISCHR(st.st_mode) && !is_terminal_master(&st)))
		s->fd = open_anew(fd);
	s->way = s->fd >= 0 ? WAY_OWN : S_ISREG(st.st_mode) ? WAY_FILE : S_ISSOCK(st.st_mode) ? WAY_SOCKET : WAY_SHARED;
	s->portion = S_ISFIFO(st.st_mode) ? PIPE_BUF : 1;
	if (s->fd < 0)
		s->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return s->fd < 0 ? -errno : 0;
}

static void open_ready(struct sink *s, struct loop *loop)
{
	s->ready = -1;
	struct epoll_event never = {.events = 0};
	int ready = epoll_create1(EPOLL_CLOEXEC);
	if (ready < 0)
		return;
	/* EPERM: a regular file, /dev/null and the like are always ready. */
	if (epoll_ctl(ready, EPOLL_CTL_ADD, s->fd, &never) < 0 || uv_poll_init(&loop->uv, &s->poll, ready) < 0) {
		close(ready);
		return;
	}
	epoll_ctl(ready, EPOLL_CTL_DEL, s->fd, NULL);
	s->ready = ready;
	s->poll.data = s;
	uv_unref((uv_handle_t *)&s->poll);
}

int sink_open(struct sink **out, struct loop *loop, int fd, size_t buffer_bytes, struct err *err)
{
	struct sink *s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(err, -ENOMEM, "out of memory");
	int rc = choose_way(s, fd);
	if (rc < 0) {
		free(s);
		return err_set(err, rc, "the log's output cannot be used: %s", strerror(-rc));
	}
	open_ready(s, loop);
	s->cap = buffer_bytes;
	buf_init(&s->buf, buffer_bytes + SINK_SLACK_BYTES);
	*out = s;
	return 0;
}

struct buf *sink_buffer(struct sink *s)
{
	return &s->buf;
}

size_t sink_backlog(const struct sink *s)
{
	return s->buf.len - s->done;
}

size_t sink_cap(const struct sink *s)
{
	return s->cap;
}

void sink_on_taken(struct sink *s, void (*on_taken)(void *ctx), void *ctx)
{
	s->on_taken = on_taken;
	s->ctx = ctx;
}

uint64_t sink_taken(const struct sink *s)
{
	return s->taken;
}

/* ---- writing ---- */

/* A writable pipe takes PIPE_BUF bytes at once (pipe(7)), unless another writer
 * is quicker: hence RWF_NOWAIT first, which pipes know since Linux 6.4. A writable
 * terminal's master takes one byte for sure. */
static ssize_t write_shared(int fd, char *at, size_t n, size_t portion)
{
	struct iovec iov = {at, n};
	ssize_t written = pwritev2(fd, &iov, 1, -1, RWF_NOWAIT);
	if (written >= 0 || errno != EOPNOTSUPP)
		return written;
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	if (poll(&p, 1, 0) != 1) {
		errno = EAGAIN;
		return -1;
	}
	return write(fd, at, n < portion ? n : portion);
}

static ssize_t write_once(const struct sink *s, char *at, size_t n)
{
	if (s->way == WAY_SOCKET)
		return send(s->fd, at, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	return s->way == WAY_SHARED ? write_shared(s->fd, at, n, s->portion) : write(s->fd, at, n);
}

static uint64_t count_lines(const char *at, const char *end)
{
	uint64_t lines = 0;
	while ((at = memchr(at, '\n', (size_t)(end - at)))) {
		lines++;
		at++;
	}
	return lines;
}

/* Of a line that was begun the newline stays, or what is taken again later would
 * be glued to it. */
static void give_up(struct sink *s)
{
	struct buf *b = &s->buf;
	s->failing = true;
	s->dropped += count_lines(b->data + s->done, b->data + b->len) - s->torn;
	s->torn = s->midline;
	s->done = b->len - s->midline;
}

static void write_some(struct sink *s)
{
	while (s->done < s->buf.len) {
		ssize_t written = write_once(s, s->buf.data + s->done, s->buf.len - s->done);
		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0 && errno == EAGAIN)
			return;
		if (written < 0) {
			give_up(s);
			return;
		}
		s->done += (size_t)written;
		s->taken += (uint64_t)written;
		s->midline = s->buf.data[s->done - 1] != '\n';
		s->torn = s->torn && s->midline;
		s->failing = false;
	}
}

/* ---- keeping ---- */

static void compact(struct sink *s)
{
	size_t left = s->buf.len - s->done;
	if (left == 0) {
		buf_clear(&s->buf);
		if (s->buf.cap > KEEP_BYTES)
			buf_fini(&s->buf);
	} else if (s->done >= left || s->done >= MOVE_BYTES) {
		buf_consume(&s->buf, s->done);
	} else {
		return;
	}
	s->done = 0;
}

static char *after_line(char *at, char *end)
{
	char *newline = memchr(at, '\n', (size_t)(end - at));
	return newline ? newline + 1 : end;
}

/* The rest of a line that was begun has to stay, or the reader sees two halves
 * glued together; and the newest line, if it fits at all. */
static void trim(struct sink *s)
{
	if (s->buf.len - s->done <= s->cap)
		return;
	char *from = s->buf.data + s->done, *end = s->buf.data + s->buf.len;
	if (s->midline)
		from = after_line(from, end);
	char *at = from;
	while (at < end && (size_t)(end - at) > s->cap / 2) {
		char *next = after_line(at, end);
		if (next == end && (size_t)(end - at) <= s->cap)
			break;
		at = next;
		s->dropped++;
	}
	memmove(from, at, (size_t)(end - at));
	s->buf.len -= (size_t)(at - from);
	s->buf.data[s->buf.len] = '\0';
}

static void on_ready(uv_poll_t *poll, int status, int events);

static void arm(struct sink *s)
{
	bool wanted = s->ready >= 0 && s->done < s->buf.len && !s->failing;
	if (wanted == s->armed)
		return;
	s->armed = wanted;
	struct epoll_event writable = {.events = EPOLLOUT};
	epoll_ctl(s->ready, wanted ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, s->fd, &writable);
	if (wanted)
		uv_poll_start(&s->poll, UV_READABLE, on_ready);
	else
		uv_poll_stop(&s->poll);
}

static void flush(struct sink *s)
{
	write_some(s);
	compact(s);
	trim(s);
	arm(s);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
	(void)status, (void)events;
	struct sink *s = poll->data;
	uint64_t before = s->taken;
	flush(s);
	if (s->on_taken && s->taken != before)
		s->on_taken(s->ctx);
}

uint64_t sink_flush(struct sink *s)
{
	flush(s);
	uint64_t dropped = s->dropped;
	s->dropped = 0;
	return dropped;
}

/* A line that is partly out stays, and may be larger than the new cap. */
void sink_resize(struct sink *s, size_t buffer_bytes)
{
	s->cap = buffer_bytes;
	flush(s);
	s->buf.max = (s->cap > s->buf.len ? s->cap : s->buf.len) + SINK_SLACK_BYTES;
}

/* ---- closing ---- */

void sink_wait(struct sink *s, size_t backlog, ms_t until)
{
	write_some(s);
	for (ms_t now; sink_backlog(s) > backlog && !s->failing && (now = loop_now()) < until; write_some(s)) {
		struct pollfd p = {.fd = s->fd, .events = POLLOUT};
		poll(&p, 1, (int)(until - now));
	}
	flush(s);
}

static void on_closed(uv_handle_t *handle)
{
	struct sink *s = handle->data;
	/* First, for it would hold on to the open file, which others have too. */
	if (s->ready >= 0)
		close(s->ready);
	close(s->fd);
	buf_fini(&s->buf);
	free(s);
}

void sink_close(struct sink *s, ms_t until)
{
	if (!s)
		return;
	sink_wait(s, 0, until);
	s->poll.data = s;
	if (s->ready >= 0)
		uv_close((uv_handle_t *)&s->poll, on_closed);
	else
		on_closed((uv_handle_t *)&s->poll);
}
