/* control owns the endpoint where podvisor is looked at and asked: probes,
 * metrics, the API and the dashboard, over TCP and over the Unix socket. It
 * renders snapshots and posts events; it never acts by itself. docs/api.md. */
#ifndef PODVISOR_CONTROL_CONTROL_H
#define PODVISOR_CONTROL_CONTROL_H

#include "podvisor/base/err.h"
#include "podvisor/control/port.h"
#include "podvisor/io/loop.h"

struct control;

/* listen: host:port or NULL; socket_path: of the Unix socket, or NULL. Strings and
 * port are copied. The token of POST over TCP is always that of the snapshot's
 * configuration, so that a reload exchanges it. */
int control_new(struct control **out, struct loop *loop, const char *listen, const char *socket_path,
	const struct control_port *port, struct err *err) MUST_CHECK;
/* Where it listens: "127.0.0.1:9400"; NULL when not over TCP. Borrowed. */
const char *control_address(const struct control *c);
/* After each turn of the world: answers those who wait, pushes new events. */
void control_turned(struct control *c);
/* Closes everything and removes the socket. NULL is fine. */
void control_free(struct control *c);

#endif
