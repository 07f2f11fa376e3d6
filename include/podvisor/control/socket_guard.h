/* socket_guard owns the watch over the path of the control socket: a cleaner of /tmp, or an rm, may take it or its
 * directory away, and the commands would find nobody for as long as podvisor runs. It is made anew. At rest that costs
 * nothing, for the kernel tells of it; where it cannot, and while nothing can be made there, it is looked at every few
 * seconds. */
#ifndef PODVISOR_CONTROL_SOCKET_GUARD_H
#define PODVISOR_CONTROL_SOCKET_GUARD_H

#include "podvisor/base/err.h"
#include "podvisor/control/port.h"
#include "podvisor/io/loop.h"
#include "podvisor/io/server.h"

#define SOCKET_GUARD_INTERVAL_MS 5000

struct socket_guard;

/* Both are borrowed and outlive it; the server listens at a Unix socket. What is done is told through port->say. */
int socket_guard_new(struct socket_guard **out, struct loop *loop, struct server *server,
	const struct control_port *port, struct err *err) MUST_CHECK;
/* NULL is fine. */
void socket_guard_free(struct socket_guard *g);

#endif
