#include "podvisor/io/tcp_check.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*   start ──name──► resolving ──addresses──► connecting ──refused, one more──┐
 *     └──────────unix path────────────────►     ▲  └── connected, none left ─┼─► done
 *                                               └────────────────────────────┘
 * It may be freed when the resolver has answered and the stream is closed. */
struct tcp_check {
	struct loop *loop;
	void (*done)(void *ctx, const char *failure); /* NULL: answered or aborted */
	void *ctx;
	uv_getaddrinfo_t resolve;
	uv_connect_t connect;
	union {
		uv_handle_t handle;
		uv_stream_t stream;
		uv_tcp_t tcp;
		uv_pipe_t pipe;
	} link;
	struct addrinfo *addresses, *next; /* owned; to be tried next */
	bool resolving, open;
	int status; /* of the last attempt */
	char host[256], port[8];
};

static void free_when_idle(struct tcp_check *t)
{
	if (t->done || t->resolving || t->open)
		return;
	uv_freeaddrinfo(t->addresses);
	free(t);
}

static void finish(struct tcp_check *t, const char *failure)
{
	void (*done)(void *, const char *) = t->done;
	t->done = NULL;
	if (done)
		done(t->ctx, failure);
	free_when_idle(t);
}

static void try_next(struct tcp_check *t);

static void on_closed(uv_handle_t *handle)
{
	struct tcp_check *t = handle->data;
	t->open = false;
	if (t->done)
		try_next(t);
	else
		free_when_idle(t);
}

static void on_connected(uv_connect_t *request, int status)
{
	struct tcp_check *t = request->data;
	if (status == UV_ECANCELED)
		return;
	t->status = status;
	uv_close(&t->link.handle, on_closed);
	if (status == 0)
		finish(t, "");
}

static void try_next(struct tcp_check *t)
{
	struct addrinfo *address = t->next;
	if (!address) {
		finish(t, uv_strerror(t->status));
		return;
	}
	t->next = address->ai_next;
	uv_tcp_init(&t->loop->uv, &t->link.tcp);
	t->link.handle.data = t;
	t->open = true;
	t->status = uv_tcp_connect(&t->connect, &t->link.tcp, address->ai_addr, on_connected);
	if (t->status < 0)
		uv_close(&t->link.handle, on_closed);
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *addresses)
{
	struct tcp_check *t = request->data;
	t->resolving = false;
	t->addresses = t->next = addresses;
	t->status = UV_EADDRNOTAVAIL;
	if (!t->done)
		free_when_idle(t);
	else if (status < 0)
		finish(t, uv_strerror(status));
	else
		try_next(t);
}

static int start_unix(struct tcp_check *t, const char *path)
{
	uv_pipe_init(&t->loop->uv, &t->link.pipe, 0);
	t->link.handle.data = t;
	t->open = true;
	uv_pipe_connect(&t->connect, &t->link.pipe, path, on_connected);
	return 0;
}

/* "host:port" into its halves; the host without brackets, "" for this host. */
static bool split(struct tcp_check *t, const char *target)
{
	const char *colon = strrchr(target, ':');
	if (!colon)
		return false;
	size_t n = (size_t)(colon - target);
	if (n >= 2 && target[0] == '[' && target[n - 1] == ']') {
		target++;
		n -= 2;
	} else if (memchr(target, ':', n)) {
		return false;
	}
	size_t digits = strspn(colon + 1, "0123456789");
	if (n >= sizeof(t->host) || digits == 0 || digits >= sizeof(t->port) || colon[1 + digits])
		return false;
	memcpy(t->host, target, n);
	memcpy(t->port, colon + 1, digits);
	return true;
}

/* Numbers go the same way: the pool costs less than a second path would. */
static int start_tcp(struct tcp_check *t, const char *target)
{
	if (!split(t, target))
		return -EINVAL;
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	t->resolving = true;
	return uv_getaddrinfo(&t->loop->uv, &t->resolve, on_resolved, t->host[0] ? t->host : NULL, t->port, &hints);
}

int tcp_check_start(struct tcp_check **out, struct loop *l, const char *target,
	void (*done)(void *ctx, const char *failure), void *ctx, struct err *err)
{
	struct tcp_check *t = calloc(1, sizeof(*t));
	if (!t)
		return err_set(err, -ENOMEM, "out of memory");
	t->loop = l;
	t->done = done;
	t->ctx = ctx;
	t->resolve.data = t->connect.data = t;
	int rc = strncmp(target, "unix:", 5) == 0 ? start_unix(t, target + 5) : start_tcp(t, target);
	if (rc < 0) {
		free(t);
		return err_set(err, rc, "cannot check \"%s\": %s", target,
			rc == -EINVAL ? "it is neither host:port nor unix:PATH" : uv_strerror(rc));
	}
	*out = t;
	return 0;
}

void tcp_check_abort(struct tcp_check *t)
{
	t->done = NULL;
	if (t->resolving)
		uv_cancel((uv_req_t *)&t->resolve);
	if (t->open && !uv_is_closing(&t->link.handle))
		uv_close(&t->link.handle, on_closed);
}
