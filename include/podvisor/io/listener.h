/* listener owns one listening socket and the accepting of connections from it. */
#ifndef PODVISOR_IO_LISTENER_H
#define PODVISOR_IO_LISTENER_H

#include <stdbool.h>
#include <sys/socket.h>

#include "podvisor/base/err.h"
#include "podvisor/io/loop.h"

struct listener;

/* The descriptor is the callee's: non-blocking, close-on-exec, TCP_NODELAY. */
typedef void (*listener_accepted)(void *ctx, int fd, const struct sockaddr_storage *peer, socklen_t peer_len);

/* Listens at "host:port" (a number, "localhost", or "" and "*" for all addresses;
 * port 0: any) or "unix:PATH" (a socket that nobody answers at is replaced; what is no
 * socket is never touched: -ENOTSOCK). Fails with a sentence: -EINVAL, -EADDRINUSE, -EACCES, ... */
int listener_new(struct listener **out, struct loop *l, const char *address, int backlog, listener_accepted accepted,
	void *ctx, struct err *err) MUST_CHECK;
/* Closes the socket and removes the path of a Unix one, if it is still its own. NULL is fine. May be called from
 * accepted. */
void listener_free(struct listener *l);

/* Whether somebody takes connections at that Unix socket. */
bool listener_answers(const char *path);

/* The path of a Unix one, NULL of others; and whether it still leads here: somebody may have removed it, or its
 * directory. Borrowed. */
const char *listener_path(const struct listener *l);
bool listener_is_found(const struct listener *l);

/* Where it really listens: "127.0.0.1:43211". Borrowed. */
const char *listener_address(const struct listener *l);
/* Leaves new connections in the backlog, until resumed. */
void listener_pause(struct listener *l);
void listener_resume(struct listener *l);
/* Accepts, now, everything that is in the backlog: what comes before closing the socket. */
void listener_take_backlog(struct listener *l);

#endif
