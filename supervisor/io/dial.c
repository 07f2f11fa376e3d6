#include "podvisor/io/dial.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

/* Outlives its owner while the request is under way: the resolver's thread cannot be stopped. */
struct dial {
	uv_getaddrinfo_t request;
	void (*resolved)(void *ctx, int status); /* NULL: nobody waits any more */
	void *ctx;
	struct addrinfo *addresses, *next; /* next to be tried */
	bool resolving;
};

int dial_open(const struct sockaddr *at, socklen_t len)
{
	int on = 1, fd = socket(at->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (at->sa_family != AF_UNIX)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, at, len) == 0 || errno == EINPROGRESS)
		return fd;
	int error = -errno;
	close(fd);
	return error;
}

static void release(struct dial *d)
{
	uv_freeaddrinfo(d->addresses);
	free(d);
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *addresses)
{
	struct dial *d = request->data;
	d->resolving = false;
	d->addresses = d->next = addresses;
	if (d->resolved)
		d->resolved(d->ctx, status < 0 ? -EHOSTUNREACH : 0);
	else
		release(d);
}

int dial_resolve(struct dial **out, uv_loop_t *l, const char *host, const char *port,
	void (*resolved)(void *ctx, int status), void *ctx)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	struct dial *d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	d->request.data = d;
	d->resolved = resolved;
	d->ctx = ctx;
	int rc = uv_getaddrinfo(l, &d->request, on_resolved, host, port, &hints);
	if (rc < 0) {
		free(d);
		return rc;
	}
	d->resolving = true;
	*out = d;
	return 0;
}

int dial_next(struct dial *d, int error)
{
	while (error < 0 && d->next) {
		error = dial_open(d->next->ai_addr, d->next->ai_addrlen);
		d->next = d->next->ai_next;
	}
	return error;
}

void dial_free(struct dial *d)
{
	if (!d)
		return;
	d->resolved = NULL;
	if (d->resolving)
		uv_cancel((uv_req_t *)&d->request);
	else
		release(d);
}
