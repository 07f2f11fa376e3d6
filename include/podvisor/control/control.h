/* control owns the endpoint where podvisor is looked at and asked: probes,
 * metrics, the API and the dashboard, over TCP and over the Unix socket. It
 * renders snapshots and posts events; it never acts by itself. */
#ifndef PODVISOR_CONTROL_CONTROL_H
#define PODVISOR_CONTROL_CONTROL_H

#include "podvisor/base/buf.h"
#include "podvisor/base/err.h"
#include "podvisor/io/loop.h"
#include "podvisor/model/snapshot.h"

/* What control asks of the one who wires it. */
struct control_port {
	void *ctx;
	/* The picture of this turn. */
	void (*snapshot)(void *ctx, struct snapshot *out);
	/* Reads the configuration again; dry_run: only tells, one line a change, into out. */
	int (*reload)(void *ctx, bool dry_run, struct buf *out, struct err *err);
	/* The newest lines of a worker, NULL: of all. */
	void (*logs)(void *ctx, const char *name, size_t lines, struct buf *out);
	/* Posts an event to the world. */
	void (*post)(void *ctx, const struct event *e);
};

struct control;

/* listen: host:port or NULL; socket_path: of the Unix socket, or NULL; token: of
 * POST over TCP, or NULL. Strings and port are copied. */
int control_new(struct control **out, struct loop *loop, const char *listen, const char *socket_path, const char *token,
	const struct control_port *port, struct err *err) MUST_CHECK;
/* After each turn of the world: answers those who wait, pushes new events. */
void control_turned(struct control *c);
/* Closes everything and removes the socket. NULL is fine. */
void control_free(struct control *c);

#endif
