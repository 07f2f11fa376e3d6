#include "podvisor/io/notify_socket.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "podvisor/wire/notify.h"

struct notify_socket {
	uv_poll_t poll;
	int fd;
	char name[64];
	const struct notify_socket_ops *ops;
	void *ctx;
};

/* A descriptor whose closing is the answer that BARRIER waits for. libuv's close
 * callbacks run after the loop's turn, so what was told before has been acted on. */
struct barrier {
	uv_idle_t handle;
	int fd;
};

static void on_passed(uv_handle_t *handle)
{
	struct barrier *b = handle->data;
	close(b->fd);
	free(b);
}

static void close_after_turn(uv_loop_t *loop, int fd)
{
	struct barrier *b = malloc(sizeof(*b));
	if (!b) {
		close(fd);
		return;
	}
	b->fd = fd;
	b->handle.data = b;
	uv_idle_init(loop, &b->handle);
	uv_close((uv_handle_t *)&b->handle, on_passed);
}

/* BARRIER comes with one descriptor; more are FDSTORE's, whose closing is the polite refusal. */
static struct notify_sender read_ancillary(const struct notify_socket *s, struct msghdr *msg)
{
	struct notify_sender from = {.uid = (uid_t)-1};
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_CREDENTIALS) {
			struct ucred cred;
			memcpy(&cred, CMSG_DATA(c), sizeof(cred));
			from = (struct notify_sender){cred.pid, cred.uid};
		} else if (c->cmsg_type == SCM_RIGHTS) {
			size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
			for (size_t i = 0; i < n; i++) {
				int fd;
				memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
				if (i == 0)
					close_after_turn(s->poll.loop, fd);
				else
					close(fd);
			}
		}
	}
	return from;
}

static bool hear_one(struct notify_socket *s)
{
	char bytes[NOTIFY_DATAGRAM_MAX];
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(sizeof(int) * 253)];
	struct iovec iov = {bytes, sizeof(bytes)};
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(s->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0)
		return errno == EINTR;
	struct notify_sender from = read_ancillary(s, &msg);
	if (!(msg.msg_flags & MSG_TRUNC))
		s->ops->heard(s->ctx, &from, bytes, (size_t)n);
	return true;
}

static void hear(struct notify_socket *s, int at_most)
{
	int n = 0;
	while (n < at_most && hear_one(s))
		n++;
	if (n)
		s->ops->paused(s->ctx);
}

/* A flood of messages must not keep the loop from its other work. */
static void on_readable(uv_poll_t *poll, int status, int events)
{
	(void)status, (void)events;
	hear(poll->data, 32);
}

void notify_socket_take(struct notify_socket *s)
{
	if (s)
		hear(s, 1024);
}

static int bind_abstract(int fd, char *name, size_t size)
{
	uint64_t token[2];
	if (getrandom(token, sizeof(token), 0) != sizeof(token))
		return -EIO;
	snprintf(name, size, "@podvisor/%016llx%016llx", (unsigned long long)token[0], (unsigned long long)token[1]);
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	size_t len = strlen(name);
	memcpy(addr.sun_path, name, len);
	addr.sun_path[0] = '\0';
	return bind(fd, (struct sockaddr *)&addr, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0
		       ? -errno
		       : 0;
}

int notify_socket_open(
	struct notify_socket **out, struct loop *loop, const struct notify_socket_ops *ops, void *ctx, struct err *err)
{
	struct notify_socket *s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(err, -ENOMEM, "out of memory");
	s->ops = ops;
	s->ctx = ctx;
	s->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int rc = s->fd < 0 ? -errno : bind_abstract(s->fd, s->name, sizeof(s->name));
	int on = 1;
	if (rc == 0 && setsockopt(s->fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
		rc = -errno;
	if (rc == 0)
		rc = uv_poll_init(&loop->uv, &s->poll, s->fd);
	if (rc < 0) {
		if (s->fd >= 0)
			close(s->fd);
		free(s);
		return err_set(err, rc, "no notify socket: %s", strerror(-rc));
	}
	s->poll.data = s;
	uv_poll_start(&s->poll, UV_READABLE, on_readable);
	*out = s;
	return 0;
}

const char *notify_socket_name(const struct notify_socket *s)
{
	return s->name;
}

static void on_closed(uv_handle_t *handle)
{
	struct notify_socket *s = handle->data;
	close(s->fd);
	free(s);
}

void notify_socket_close(struct notify_socket *s)
{
	if (s)
		uv_close((uv_handle_t *)&s->poll, on_closed);
}
