/* dial owns the begin of a connection: a name is resolved off the loop, and each of its addresses gets a socket that
 * connects, one after the other. */
#ifndef PODVISOR_IO_DIAL_H
#define PODVISOR_IO_DIAL_H

#include <sys/socket.h>
#include <uv.h>

#include "podvisor/base/err.h"

struct dial; /* the addresses of one name */

/* A socket that connects there: non-blocking, close-on-exec, TCP_NODELAY. A negative errno when that fails at once. */
int dial_open(const struct sockaddr *at, socklen_t len) MUST_CHECK;

/* Later, from the loop, resolved is called once: 0, or -EHOSTUNREACH. A negative errno: it is not. */
int dial_resolve(struct dial **out, uv_loop_t *l, const char *host, const char *port,
	void (*resolved)(void *ctx, int status), void *ctx) MUST_CHECK;
/* The socket of the next address for which there is one; error when none is left, or that of the last one tried. */
int dial_next(struct dial *d, int error) MUST_CHECK;
/* NULL is fine. resolved is not called any more. */
void dial_free(struct dial *d);

#endif
