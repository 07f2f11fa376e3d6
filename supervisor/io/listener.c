#include "podvisor/io/listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "podvisor/io/address.h"

#define ACCEPT_BATCH   64 /* before others get their turn */
#define ACCEPT_REST_MS 100 /* after "too many open files" */

struct listener {
	uv_poll_t poll;
	uv_timer_t rest; /* accepting failed for want of descriptors: try again then */
	int fd, open_handles;
	bool paused, freed;
	listener_accepted accepted;
	void *ctx;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* to be removed at the end; "" */
	dev_t device; /* of path, and its inode: another's socket may have taken its place */
	ino_t inode;
	char address[ADDRESS_TEXT];
};

static void on_readable(uv_poll_t *poll, int status, int events);

static void watch(struct listener *l)
{
	if (!l->paused && !l->freed)
		uv_poll_start(&l->poll, UV_READABLE, on_readable);
}

static void on_rested(uv_timer_t *timer)
{
	watch(timer->data);
}

/* Accepts one: 0, or a negative errno of which -EAGAIN is the end of the backlog. */
static int accept_one(struct listener *l)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);
	int fd = accept4(l->fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return -errno;
	l->accepted(l->ctx, fd, &peer, len);
	return 0;
}

/* These say that one connection is gone or that the network had a bad moment (accept(2)). */
static bool is_of_one(int error)
{
	switch (-error) {
	case ECONNABORTED:
	case EINTR:
	case ENETDOWN:
	case EPROTO:
	case ENOPROTOOPT:
	case EHOSTDOWN:
	case ENONET:
	case EHOSTUNREACH:
	case EOPNOTSUPP:
	case ENETUNREACH:
		return true;
	default:
		return false;
	}
}

static void accept_some(struct listener *l, int most)
{
	for (int i = 0; i < most && !l->paused && !l->freed; i++) {
		int rc = accept_one(l);
		if (rc == 0 || is_of_one(rc))
			continue;
		if (rc != -EAGAIN) {
			uv_poll_stop(&l->poll);
			uv_timer_start(&l->rest, on_rested, ACCEPT_REST_MS, 0);
		}
		return;
	}
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	accept_some(poll->data, ACCEPT_BATCH);
}

void listener_take_backlog(struct listener *l)
{
	l->paused = false;
	accept_some(l, SOMAXCONN);
}

void listener_pause(struct listener *l)
{
	l->paused = true;
	if (!l->freed)
		uv_poll_stop(&l->poll);
}

void listener_resume(struct listener *l)
{
	if (!l->paused)
		return;
	l->paused = false;
	watch(l);
}

const char *listener_address(const struct listener *l)
{
	return l->address;
}

static int try_to_connect(const struct sockaddr *at, socklen_t len)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	int rc = connect(fd, at, len) < 0 ? -errno : 0;
	close(fd);
	return rc;
}

bool listener_answers(const char *path)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	int rc = try_to_connect((const struct sockaddr *)&at, sizeof(at));
	return rc == 0 || rc == -EAGAIN;
}

/* A path whose owner has died without removing it refuses connections. So does one that is no socket at all. */
static bool is_abandoned(const struct address *a)
{
	return try_to_connect((const struct sockaddr *)&a->at, a->len) == -ECONNREFUSED;
}

/* The path is taken, or was. */
static int bind_again(int fd, const struct address *a)
{
	const char *path = ((const struct sockaddr_un *)&a->at)->sun_path;
	struct stat st;
	if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
		return -ENOTSOCK;
	if (!is_abandoned(a))
		return -EADDRINUSE;
	unlink(path);
	return bind(fd, (const struct sockaddr *)&a->at, a->len) < 0 ? -errno : 0;
}

static int open_socket(const struct address *a)
{
	int on = 1, off = 0, family = a->at.ss_family;
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (family != AF_UNIX) {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* accepted ones inherit it */
	}
	if (family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	return fd;
}

static int bind_and_listen(int fd, const struct address *a, int backlog)
{
	int rc = bind(fd, (const struct sockaddr *)&a->at, a->len) < 0 ? -errno : 0;
	if (rc == -EADDRINUSE && a->at.ss_family == AF_UNIX)
		rc = bind_again(fd, a);
	return rc < 0 ? rc : listen(fd, backlog) < 0 ? -errno : 0;
}

/* A host without IPv6 cannot listen on "::"; then every IPv4 address it is. */
static void to_v4(struct address *a)
{
	in_port_t port = ((struct sockaddr_in6 *)&a->at)->sin6_port;
	struct sockaddr_in *in = (struct sockaddr_in *)&a->at;
	*in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = port};
	a->len = sizeof(*in);
}

static int open_listening(struct address *a, int backlog)
{
	bool any = a->at.ss_family == AF_INET6 && (!a->host[0] || strcmp(a->host, "*") == 0);
	int fd = open_socket(a), rc = fd < 0 ? fd : bind_and_listen(fd, a, backlog);
	if (any && (rc == -EAFNOSUPPORT || rc == -EADDRNOTAVAIL)) {
		if (fd >= 0)
			close(fd);
		to_v4(a);
		fd = open_socket(a);
		rc = fd < 0 ? fd : bind_and_listen(fd, a, backlog);
	}
	if (rc < 0 && fd >= 0)
		close(fd);
	return rc < 0 ? rc : fd;
}

static void note_path(struct listener *l, const char *path)
{
	struct stat st;
	if (lstat(path, &st) < 0)
		return;
	snprintf(l->path, sizeof(l->path), "%s", path);
	l->device = st.st_dev;
	l->inode = st.st_ino;
}

const char *listener_path(const struct listener *l)
{
	return l->path[0] ? l->path : NULL;
}

bool listener_is_found(const struct listener *l)
{
	struct stat st;
	return !l->path[0] || (lstat(l->path, &st) == 0 && st.st_dev == l->device && st.st_ino == l->inode);
}

static void remove_path(const struct listener *l)
{
	if (l->path[0] && listener_is_found(l))
		unlink(l->path);
}

static void note_address(struct listener *l, const struct address *asked)
{
	struct sockaddr_storage at;
	socklen_t len = sizeof(at);
	if (getsockname(l->fd, (struct sockaddr *)&at, &len) == 0)
		address_print((struct sockaddr *)&at, len, l->address);
	if (asked->at.ss_family == AF_UNIX)
		note_path(l, ((const struct sockaddr_un *)&asked->at)->sun_path);
}

/* What is wrong, and what helps. */
static int tell(const char *text, int code, struct err *err)
{
	bool unix_path = strncmp(text, "unix:", 5) == 0;
	const char *advice = NULL;
	switch (code) {
	case -EADDRINUSE:
		advice = "stop what listens there, or choose another address";
		break;
	case -EADDRNOTAVAIL:
		advice = "this host has no such address; 0.0.0.0 stands for all it has";
		break;
	case -EACCES:
		advice = unix_path ? "its directory has to be writable" : "ports below 1024 want CAP_NET_BIND_SERVICE";
		break;
	case -ENOTSOCK:
		return err_set(err, code, "cannot listen at %s: what is there is no socket, and is left alone", text);
	default:
		break;
	}
	return err_set(err, code, "cannot listen at %s: %s%s%s%s", text, strerror(-code), advice ? " (" : "",
		advice ? advice : "", advice ? ")" : "");
}

int listener_new(struct listener **out, struct loop *loop, const char *text, int backlog, listener_accepted accepted,
	void *ctx, struct err *err)
{
	struct address a;
	int rc = address_parse(&a, text, true, err);
	if (rc < 0)
		return rc;
	if (!a.known)
		return err_set(err, -EINVAL, "cannot listen at \"%s\": its host is a name, not an address", text);
	struct listener *l = calloc(1, sizeof(*l));
	if (!l)
		return err_set(err, -ENOMEM, "out of memory");
	l->fd = open_listening(&a, backlog);
	rc = l->fd < 0 ? l->fd : uv_poll_init(&loop->uv, &l->poll, l->fd);
	if (rc < 0) {
		if (l->fd >= 0)
			close(l->fd);
		free(l);
		return tell(text, rc, err);
	}
	uv_timer_init(&loop->uv, &l->rest);
	l->open_handles = 2;
	l->poll.data = l->rest.data = l;
	l->accepted = accepted;
	l->ctx = ctx;
	note_address(l, &a);
	watch(l);
	*out = l;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	struct listener *l = handle->data;
	if (--l->open_handles == 0)
		free(l);
}

void listener_free(struct listener *l)
{
	if (!l || l->freed)
		return;
	l->freed = true;
	uv_close((uv_handle_t *)&l->poll, on_closed);
	uv_close((uv_handle_t *)&l->rest, on_closed);
	remove_path(l);
	close(l->fd);
}
