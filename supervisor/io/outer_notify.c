#include "podvisor/io/outer_notify.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "podvisor/wire/notify.h"

struct outer_notify {
	uv_poll_t poll; /* while something is kept */
	int fd;
	char kept[NOTIFY_DATAGRAM_MAX];
	size_t n; /* bytes kept; 0: none */
};

static bool is_full(int error)
{
	return error == EAGAIN || error == EWOULDBLOCK || error == ENOBUFS;
}

/* false: it has to be kept. Another failure is that of a supervisor that has gone. */
static bool try_to_send(const struct outer_notify *o, const char *text, size_t n)
{
	return send(o->fd, text, n, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0 || !is_full(errno);
}

static void on_writable(uv_poll_t *poll, int status, int events)
{
	(void)status, (void)events;
	struct outer_notify *o = poll->data;
	if (!try_to_send(o, o->kept, o->n))
		return;
	o->n = 0;
	uv_poll_stop(poll);
}

static size_t line_length(const char *text, size_t n)
{
	const char *newline = memchr(text, '\n', n);
	return newline ? (size_t)(newline - text) : n;
}

/* Whether the text has a line of that name, which ends with its "=". */
static bool has_name(const char *text, size_t n, const char *name, size_t len)
{
	for (size_t at = 0; at < n; at += line_length(text + at, n - at) + 1)
		if (n - at >= len && memcmp(text + at, name, len) == 0)
			return true;
	return false;
}

/* What was kept and is not said anew, behind what is. */
static size_t append_older(const struct outer_notify *o, char *out, size_t n, size_t said)
{
	for (size_t at = 0, len; at < o->n; at += len + 1) {
		const char *line = o->kept + at;
		len = line_length(line, o->n - at);
		const char *equals = memchr(line, '=', len);
		size_t name = equals ? (size_t)(equals - line) + 1 : len;
		if (has_name(out, said, line, name) || n + 1 + len > sizeof(o->kept))
			continue;
		out[n++] = '\n';
		memcpy(out + n, line, len);
		n += len;
	}
	return n;
}

static void keep(struct outer_notify *o, const char *text, size_t n)
{
	char all[sizeof(o->kept)];
	if (n > sizeof(all))
		return;
	memcpy(all, text, n);
	size_t used = append_older(o, all, n, n);
	memcpy(o->kept, all, used);
	o->n = used;
	uv_poll_start(&o->poll, UV_WRITABLE, on_writable);
}

void outer_notify_send(struct outer_notify *o, const char *text, size_t n)
{
	if (o && n && (o->n || !try_to_send(o, text, n)))
		keep(o, text, n);
}

/* "/run/systemd/notify", or "@name" in the abstract namespace. */
static int connect_to(int fd, const char *name)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	size_t n = strlen(name);
	if ((name[0] != '/' && name[0] != '@') || n >= sizeof(at.sun_path))
		return -EINVAL;
	memcpy(at.sun_path, name, n);
	if (name[0] == '@')
		at.sun_path[0] = '\0';
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (name[0] == '/'));
	return connect(fd, (struct sockaddr *)&at, len) < 0 ? -errno : 0;
}

int outer_notify_open(struct outer_notify **out, struct loop *loop, struct err *err)
{
	const char *name = getenv("NOTIFY_SOCKET");
	*out = NULL;
	if (!name || !name[0])
		return 0;
	struct outer_notify *o = calloc(1, sizeof(*o));
	if (!o)
		return err_set(err, -ENOMEM, "out of memory");
	o->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int rc = o->fd < 0 ? -errno : connect_to(o->fd, name);
	rc = rc ? rc : uv_poll_init(&loop->uv, &o->poll, o->fd);
	if (rc < 0) {
		if (o->fd >= 0)
			close(o->fd);
		free(o);
		return err_set(err, rc, "NOTIFY_SOCKET=%.100s cannot be reached: %s", name, strerror(-rc));
	}
	o->poll.data = o;
	*out = o;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	struct outer_notify *o = handle->data;
	close(o->fd);
	free(o);
}

/* What is still kept has its last chance here. */
void outer_notify_close(struct outer_notify *o)
{
	if (!o)
		return;
	if (o->n)
		try_to_send(o, o->kept, o->n);
	uv_close((uv_handle_t *)&o->poll, on_closed);
}
