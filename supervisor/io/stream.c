#include "podvisor/io/stream.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "podvisor/base/buf.h"
#include "podvisor/base/list.h"
#include "podvisor/io/dial.h"

#define FLUSH_MS     10000 /* a peer of a finished stream that takes nothing for so long is given up */
#define ROUND_EVENTS 128 /* of one round, before other handles of the loop get their turn */
#define SPARE_MAX    512 /* descriptors that are left for others, of few an eighth */

enum flag {
	READING = 1, /* the owner wants bytes */
	READABLE = 2, /* an edge said so, and no read has found the end of it yet */
	HUNG_UP = 4, /* an end or error is under way: a short read does not mean that nothing follows */
	CONNECTING = 8,
	TO_SHUT = 16, /* FIN when the queue is empty */
	SHUT = 32, /* FIN is sent */
	ENDED = 64, /* nothing more will be read */
	LINGERING = 128, /* the hub's own, until it is closed */
	CLOSED = 256, /* in the grave of this round */
	BROKEN = 512, /* end() was told an error */
	LOCAL = 1024, /* Unix socket: a short read may stop at a passed descriptor */
};

/* What a stream needs only at times. */
struct extra {
	struct deadline deadline; /* of connecting or of lingering */
	struct list node; /* in hub->lingerers */
	struct stream *stream;
	struct buf queue;
	size_t sent; /* of the queue's front */
	ms_t linger_ms;
	struct dial *dial; /* while it connects to a name */
};

struct stream {
	struct streams *hub;
	const struct stream_ops *ops;
	void *ctx;
	struct list node; /* in hub->ready, or in hub->graves when CLOSED */
	struct extra *extra;
	int fd;
	uint32_t most; /* of one read */
	uint16_t flags; /* enum flag */
	int16_t error; /* negative errno of the first failure */
};

struct streams {
	uv_poll_t poll; /* of epoll: readable when any stream is ready */
	uv_idle_t idle; /* runs while ready streams are left for the next round */
	struct deadlines *deadlines;
	struct heap heap;
	void (*after)(void *ctx);
	void *ctx;
	struct list ready; /* can be read now, but their turn has not come */
	struct list graves; /* freed when the round is over: its events may still name them */
	struct list lingerers; /* by extra.node */
	size_t open, lingering;
	size_t enough; /* streams; more would leave no descriptors for others */
	int ceiling; /* the first descriptor that is others' */
	int epoll, open_handles;
	bool in_round, freed;
	char buffer[STREAM_READ_BYTES];
};

/* ---- the hub ---- */

static void on_ready(uv_poll_t *poll, int status, int events);

static int first_spare(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > INT_MAX)
		return INT_MAX;
	int most = (int)limit.rlim_cur, spare = most / 8;
	return most - (spare < SPARE_MAX ? spare : SPARE_MAX);
}

/* The kernel gives the lowest number that is free (open(2)): a high one says that so many are in use, by whomever. */
static void judge(struct streams *h, int fd)
{
	h->enough = fd < h->ceiling ? SIZE_MAX : h->open;
}

struct streams *streams_new(struct loop *l, struct err *err)
{
	struct streams *h = calloc(1, sizeof(*h));
	if (!h) {
		err_set(err, -ENOMEM, "out of memory");
		return NULL;
	}
	h->epoll = epoll_create1(EPOLL_CLOEXEC);
	h->deadlines = deadlines_new(l);
	int rc = h->epoll < 0 ? -errno : !h->deadlines ? -ENOMEM : uv_poll_init(&l->uv, &h->poll, h->epoll);
	if (rc < 0) {
		err_set(err, rc, "cannot watch connections: %s", strerror(-rc));
		if (h->epoll >= 0)
			close(h->epoll);
		deadlines_free(h->deadlines);
		free(h);
		return NULL;
	}
	heap_init(&h->heap, h->deadlines);
	uv_idle_init(&l->uv, &h->idle);
	h->open_handles = 2;
	h->poll.data = h->idle.data = h;
	list_init(&h->ready);
	list_init(&h->graves);
	list_init(&h->lingerers);
	h->enough = SIZE_MAX;
	h->ceiling = first_spare();
	uv_poll_start(&h->poll, UV_READABLE, on_ready);
	return h;
}

static void bury(struct streams *h)
{
	LIST_EACH (node, &h->graves) {
		heap_freed(&h->heap, sizeof(struct stream));
		free(LIST_ENTRY(node, struct stream, node));
	}
	list_init(&h->graves);
}

static void on_hub_closed(uv_handle_t *handle)
{
	struct streams *h = handle->data;
	if (--h->open_handles == 0)
		free(h);
}

void streams_free(struct streams *h)
{
	if (!h)
		return;
	LIST_EACH (node, &h->lingerers)
		stream_close(LIST_ENTRY(node, struct extra, node)->stream);
	bury(h);
	h->after = NULL;
	h->freed = true;
	heap_fini(&h->heap);
	deadlines_free(h->deadlines);
	uv_close((uv_handle_t *)&h->poll, on_hub_closed);
	uv_close((uv_handle_t *)&h->idle, on_hub_closed);
	close(h->epoll);
}

void streams_after(struct streams *h, void (*after)(void *ctx), void *ctx)
{
	h->after = after;
	h->ctx = ctx;
}

bool streams_scarce(const struct streams *h)
{
	return h->open >= h->enough;
}

size_t streams_lingering(const struct streams *h)
{
	return h->lingering;
}

struct deadlines *streams_deadlines(struct streams *h)
{
	return h->deadlines;
}

struct heap *streams_heap(struct streams *h)
{
	return &h->heap;
}

static void on_idle(uv_idle_t *idle);

static void end_round(struct streams *h)
{
	h->in_round = false;
	bury(h);
	if (list_empty(&h->ready))
		uv_idle_stop(&h->idle);
	else if (!h->freed)
		uv_idle_start(&h->idle, on_idle);
	if (h->after)
		h->after(h->ctx);
}

/* ---- what is there only at times ---- */

static struct extra *extra_of(struct stream *s)
{
	if (s->extra)
		return s->extra;
	struct extra *x = calloc(1, sizeof(*x));
	if (!x)
		return NULL;
	x->stream = s;
	list_init(&x->node);
	buf_init(&x->queue, STREAM_QUEUE_MAX);
	return s->extra = x;
}

static void drop_queue(struct stream *s)
{
	heap_freed(&s->hub->heap, sizeof(struct extra) + s->extra->queue.cap);
	buf_fini(&s->extra->queue);
}

static void drop_extra(struct stream *s)
{
	struct extra *x = s->extra;
	if (!x)
		return;
	deadline_clear(s->hub->deadlines, &x->deadline);
	list_remove(&x->node);
	drop_queue(s);
	dial_free(x->dial);
	free(x);
	s->extra = NULL;
}

/* ---- birth and death ---- */

static struct stream *make(struct streams *h, const struct stream_ops *ops, void *ctx)
{
	struct stream *s = malloc(sizeof(*s));
	if (!s)
		return NULL;
	*s = (struct stream){.hub = h, .ops = ops, .ctx = ctx, .fd = -1, .most = STREAM_READ_BYTES};
	list_init(&s->node);
	h->open++;
	return s;
}

static void unmake(struct stream *s)
{
	if (s)
		s->hub->open--;
	free(s);
}

/* Edge-triggered and for everything at once: one epoll_ctl in a stream's life. */
static int watch(struct stream *s)
{
	struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = s};
	return epoll_ctl(s->hub->epoll, EPOLL_CTL_ADD, s->fd, &e) < 0 ? -errno : 0;
}

struct stream *stream_adopt(struct streams *h, int fd, const struct stream_ops *ops, void *ctx)
{
	struct stream *s = make(h, ops, ctx);
	if (!s)
		return NULL;
	int family;
	socklen_t len = sizeof(family);
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len) == 0 && family == AF_UNIX)
		s->flags |= LOCAL;
	s->fd = fd;
	judge(h, fd);
	if (watch(s) < 0) {
		unmake(s);
		return NULL;
	}
	return s;
}

void *stream_context(const struct stream *s)
{
	return s->ctx;
}

void stream_give(struct stream *s, const struct stream_ops *ops, void *ctx)
{
	s->ops = ops;
	s->ctx = ctx;
	s->most = STREAM_READ_BYTES;
}

void stream_close(struct stream *s)
{
	if (!s || s->flags & CLOSED)
		return;
	if (s->flags & LINGERING)
		s->hub->lingering--;
	s->hub->open--;
	drop_extra(s);
	list_remove(&s->node);
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	s->flags = CLOSED;
	list_append(&s->hub->graves, &s->node);
	if (!s->hub->in_round)
		bury(s->hub);
}

void stream_reset(struct stream *s)
{
	struct linger now = {.l_onoff = 1};
	setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	stream_close(s);
}

/* ---- reading ---- */

/* Its turn comes in this round or in the next. */
static void enlist(struct stream *s)
{
	if (!list_empty(&s->node))
		return;
	list_append(&s->hub->ready, &s->node);
	if (!s->hub->in_round)
		uv_idle_start(&s->hub->idle, on_idle);
}

void stream_read_start(struct stream *s)
{
	if (s->flags & (READING | ENDED | CLOSED))
		return;
	s->flags |= READING;
	if (s->flags & READABLE)
		enlist(s);
}

void stream_read_stop(struct stream *s)
{
	if (s->flags & CLOSED)
		return;
	s->flags &= (uint16_t)~READING;
	if (!(s->flags & CONNECTING))
		list_remove(&s->node);
}

void stream_read_most(struct stream *s, size_t most)
{
	s->most = (uint32_t)most;
}

size_t stream_unread(const struct stream *s)
{
	int n = 0;
	return s->fd >= 0 && ioctl(s->fd, FIONREAD, &n) == 0 && n > 0 ? (size_t)n : 0;
}

static bool has_queue(const struct stream *s)
{
	return s->extra && s->extra->queue.len > 0;
}

static void end(struct stream *s, int status)
{
	if (s->flags & (status < 0 ? BROKEN | CLOSED : ENDED | CLOSED))
		return;
	s->flags = (uint16_t)((s->flags | ENDED) & ~(READING | READABLE));
	if (status < 0)
		s->flags |= BROKEN;
	if (status < 0 && !s->error)
		s->error = (int16_t)status;
	if (!(s->flags & LINGERING))
		s->ops->end(s, status);
	else if (status < 0 || !has_queue(s))
		stream_close(s);
}

/* One read, then others get their turn. After a short read nothing is left
 * (epoll(7)) unless an end was announced behind it. */
static void read_once(struct stream *s)
{
	struct streams *h = s->hub;
	size_t most = s->most;
	ssize_t n = recv(s->fd, h->buffer, most, 0);
	if (n < 0 && errno == EINTR)
		n = recv(s->fd, h->buffer, most, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		s->flags &= (uint16_t)~READABLE;
		return;
	}
	if (n <= 0) {
		end(s, n == 0 ? 0 : -errno);
		return;
	}
	if ((size_t)n < most && !(s->flags & (HUNG_UP | LOCAL)))
		s->flags &= (uint16_t)~READABLE;
	if (!(s->flags & LINGERING))
		s->ops->bytes(s, h->buffer, (size_t)n);
	if (s->flags & READABLE && s->flags & READING)
		enlist(s);
}

/* ---- writing ---- */

/* Everything that comes after a failed write fails too; reading goes on to the end of what the peer had sent. */
static int fail(struct stream *s, int error)
{
	s->error = (int16_t)error;
	s->flags |= READABLE | HUNG_UP;
	if (s->flags & READING)
		enlist(s);
	return error;
}

/* How much the peer takes now, or a negative errno. */
static ssize_t send_now(struct stream *s, const struct iovec *parts, size_t n)
{
	struct msghdr msg = {.msg_iov = (struct iovec *)parts, .msg_iovlen = n};
	ssize_t sent = n == 1 ? send(s->fd, parts->iov_base, parts->iov_len, MSG_NOSIGNAL)
			      : sendmsg(s->fd, &msg, MSG_NOSIGNAL);
	if (sent >= 0)
		return sent;
	return errno == EAGAIN || errno == EINTR ? 0 : -errno;
}

static ssize_t enqueue(struct stream *s, const struct span *parts, size_t n, size_t skip)
{
	struct extra *x = extra_of(s);
	if (!x)
		return fail(s, -ENOMEM);
	for (size_t i = 0; i < n; i++) {
		size_t gone = skip < parts[i].len ? skip : parts[i].len;
		skip -= gone;
		if (buf_put(&x->queue, parts[i].at + gone, parts[i].len - gone) < 0)
			return fail(s, -ENOBUFS);
	}
	return (ssize_t)stream_queued(s);
}

ssize_t stream_write(struct stream *s, const struct span *parts, size_t n)
{
	struct iovec iov[STREAM_PARTS_MAX];
	size_t total = 0, used = 0;
	if (s->error)
		return s->error;
	if (s->flags & (CLOSED | SHUT | TO_SHUT | CONNECTING))
		return -EPIPE;
	for (size_t i = 0; i < n && i < STREAM_PARTS_MAX; i++) {
		total += parts[i].len;
		if (parts[i].len)
			iov[used++] = (struct iovec){(void *)parts[i].at, parts[i].len};
	}
	if (has_queue(s))
		return enqueue(s, parts, n, 0);
	if (total == 0)
		return 0;
	ssize_t sent = send_now(s, iov, used);
	if (sent < 0)
		return fail(s, (int)sent);
	return (size_t)sent == total ? 0 : enqueue(s, parts, n, (size_t)sent);
}

size_t stream_queued(const struct stream *s)
{
	return has_queue(s) ? s->extra->queue.len - s->extra->sent : 0;
}

static void shut(struct stream *s)
{
	s->flags = (uint16_t)((s->flags | SHUT) & ~TO_SHUT);
	shutdown(s->fd, SHUT_WR);
	if (s->flags & LINGERING && s->flags & ENDED)
		stream_close(s);
}

static void on_lingered(struct deadline *d)
{
	struct stream *s = LIST_ENTRY(d, struct extra, deadline)->stream;
	struct streams *h = s->hub;
	h->in_round = true;
	stream_close(s);
	end_round(h);
}

static void linger(struct stream *s, ms_t span)
{
	struct deadlines *ds = s->hub->deadlines;
	s->extra->deadline.due = on_lingered;
	deadline_clear(ds, &s->extra->deadline);
	deadline_set(ds, &s->extra->deadline, clock_after(deadlines_now(ds), span));
}

/* The queue has become empty. */
static void on_flushed(struct stream *s)
{
	if (s->flags & LINGERING) {
		drop_queue(s);
		linger(s, s->extra->linger_ms);
	} else {
		drop_extra(s);
	}
	if (s->flags & TO_SHUT)
		shut(s);
	else if (s->ops->drained)
		s->ops->drained(s);
}

static void flush(struct stream *s)
{
	struct extra *x = s->extra;
	struct iovec rest = {x->queue.data + x->sent, x->queue.len - x->sent};
	ssize_t sent = send_now(s, &rest, 1);
	if (sent < 0) {
		fail(s, (int)sent);
		drop_queue(s);
		x->sent = 0;
		if (s->flags & LINGERING)
			stream_close(s);
		return;
	}
	x->sent += (size_t)sent;
	if (sent && s->flags & LINGERING)
		linger(s, FLUSH_MS);
	if (x->sent == x->queue.len) {
		x->sent = 0;
		on_flushed(s);
	}
}

void stream_shutdown(struct stream *s)
{
	if (s->flags & (SHUT | TO_SHUT | CLOSED) || s->error)
		return;
	if (has_queue(s))
		s->flags |= TO_SHUT;
	else
		shut(s);
}

void stream_finish(struct stream *s, ms_t linger_ms)
{
	if (!s || s->flags & CLOSED)
		return;
	bool over = s->error || s->flags & CONNECTING || (s->flags & ENDED && !has_queue(s));
	struct extra *x = over || linger_ms <= 0 ? NULL : extra_of(s);
	if (!x) {
		stream_close(s);
		return;
	}
	s->flags |= LINGERING;
	s->most = STREAM_READ_BYTES;
	s->hub->lingering++;
	list_append(&s->hub->lingerers, &x->node);
	x->linger_ms = linger_ms;
	linger(s, has_queue(s) ? FLUSH_MS : linger_ms);
	stream_shutdown(s);
	stream_read_start(s);
}

/* ---- connecting ---- */

static void on_connect_timeout(struct deadline *d)
{
	struct stream *s = LIST_ENTRY(d, struct extra, deadline)->stream;
	struct streams *h = s->hub;
	h->in_round = true;
	drop_extra(s);
	s->error = -ETIMEDOUT;
	s->ops->connected(s, -ETIMEDOUT);
	end_round(h);
}

/* Tells the owner from the next round, never from within the call that failed. */
static void fail_later(struct stream *s, int error)
{
	s->error = (int16_t)error;
	enlist(s);
}

static int begin(struct stream *s, int fd)
{
	if (fd < 0)
		return fd;
	s->fd = fd;
	judge(s->hub, fd);
	return watch(s);
}

/* The first of the remaining addresses that can be tried at all. */
static int begin_next(struct stream *s, int error)
{
	struct extra *x = s->extra;
	int fd = 0;
	while (error < 0 && fd >= 0 && x && x->dial) {
		if (s->fd >= 0)
			close(s->fd);
		s->fd = -1;
		fd = dial_next(x->dial, error);
		error = begin(s, fd);
	}
	return error;
}

static void on_resolved(void *ctx, int status)
{
	struct stream *s = ctx;
	int rc = status < 0 ? status : begin_next(s, -EHOSTUNREACH);
	if (rc < 0)
		fail_later(s, rc);
}

static int begin_at(struct stream *s, const struct address *to)
{
	if (!to->known)
		return dial_resolve(&s->extra->dial, s->hub->poll.loop, to->host, to->port, on_resolved, s);
	if (to->at.ss_family == AF_UNIX)
		s->flags |= LOCAL;
	return begin(s, dial_open((const struct sockaddr *)&to->at, to->len));
}

struct stream *stream_connect(
	struct streams *h, const struct address *to, ms_t timeout_ms, const struct stream_ops *ops, void *ctx)
{
	struct stream *s = make(h, ops, ctx);
	if (!s || !extra_of(s)) {
		unmake(s);
		return NULL;
	}
	s->flags = CONNECTING;
	int rc = begin_at(s, to);
	if (rc < 0)
		fail_later(s, rc);
	s->extra->deadline.due = on_connect_timeout;
	deadline_set(h->deadlines, &s->extra->deadline, clock_after(deadlines_now(h->deadlines), timeout_ms));
	return s;
}

static void on_connect_progress(struct stream *s)
{
	int error = 0;
	socklen_t len = sizeof(error);
	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	int rc = error ? begin_next(s, -error) : 0;
	if (error && rc == 0)
		return; /* the next address is being tried */
	drop_extra(s);
	s->error = (int16_t)rc;
	s->flags &= (uint16_t)~CONNECTING;
	s->ops->connected(s, rc);
}

/* ---- rounds ---- */

/* A stream that nobody reads tells of its failure, unless something the peer had sent before is still to be read. */
static void on_trouble(struct stream *s)
{
	int error = 0;
	socklen_t len = sizeof(error);
	if (stream_unread(s) > 0)
		return;
	if (s->error)
		error = -s->error;
	else if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	if (error)
		end(s, -error);
}

static void on_event(struct stream *s, uint32_t events)
{
	if (s->flags & CONNECTING) {
		if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
			on_connect_progress(s);
		if (s->flags & (CLOSED | CONNECTING))
			return;
	}
	if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		s->flags |= HUNG_UP | READABLE;
	if (events & EPOLLIN)
		s->flags |= READABLE;
	if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP) && has_queue(s))
		flush(s);
	if (s->flags & READABLE && s->flags & READING) {
		list_remove(&s->node);
		read_once(s);
	} else if (events & EPOLLERR && !(s->flags & (CLOSED | READING))) {
		on_trouble(s);
	}
}

/* Those that were left over from earlier rounds, each once. */
static void serve_ready(struct streams *h)
{
	struct list turn;
	if (list_empty(&h->ready))
		return;
	turn = h->ready;
	turn.next->prev = turn.prev->next = &turn;
	list_init(&h->ready);
	while (!list_empty(&turn)) {
		struct stream *s = LIST_ENTRY(turn.next, struct stream, node);
		list_remove(&s->node);
		if (s->flags & CONNECTING)
			s->ops->connected(s, s->error);
		else if (s->flags & READABLE && s->flags & READING)
			read_once(s);
	}
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
	struct streams *h = poll->data;
	struct epoll_event batch[ROUND_EVENTS];
	(void)status;
	(void)events;
	h->in_round = true;
	int n = epoll_wait(h->epoll, batch, ROUND_EVENTS, 0);
	for (int i = 0; i < n; i++) {
		struct stream *s = batch[i].data.ptr;
		if (!(s->flags & CLOSED))
			on_event(s, batch[i].events);
	}
	end_round(h);
}

/* With streams waiting for their turn the loop does not sleep: it looks for
 * news of others, then comes here. */
static void on_idle(uv_idle_t *idle)
{
	struct streams *h = idle->data;
	h->in_round = true;
	serve_ready(h);
	end_round(h);
}
