/* What the files of the gateway know of each other:
 *
 *   gateway.c           birth, effects, the drain as a whole
 *   gateway_route.c     which request goes where, and whether its worker is there
 *   gateway_forward.c   X-Forwarded-* and Forwarded
 *   gateway_client.c    a client's connection and its requests
 *   gateway_upstream.c  a worker's connection and its responses
 *   gateway_tunnel.c    a WebSocket after its 101
 *   gateway_access.c    a line for each request and each WebSocket, if wanted
 *
 * Everything that has ended goes to the trash and is freed when the round of
 * callbacks is over, so that nobody is freed under his own feet. */
#ifndef PODVISOR_RUNTIME_GATEWAY_INTERNAL_H
#define PODVISOR_RUNTIME_GATEWAY_INTERNAL_H

#include <netinet/in.h>

#include "podvisor/base/buf.h"
#include "podvisor/base/list.h"
#include "podvisor/base/pace.h"
#include "podvisor/io/listener.h"
#include "podvisor/io/stream.h"
#include "podvisor/model/closing.h"
#include "podvisor/runtime/context.h"
#include "podvisor/wire/http1.h"
#include "podvisor/wire/http1_chunked.h"
#include "podvisor/wire/websocket.h"

#define GATEWAY_RESPONSE_HEAD_BYTES 65536
#define GATEWAY_IDLE_UPSTREAMS      256 /* of a route */
#define GATEWAY_FORWARD_FIELDS      4

enum gateway_mode { GATEWAY_CLOSED, GATEWAY_SERVING, GATEWAY_LAME_DUCK, GATEWAY_DRAINING };

struct gateways;

struct gateway_network {
	int family;
	unsigned char bits[16];
	int prefix;
};

struct gateway_route {
	const struct config_route *config;
	uint32_t index;
	bool available; /* its worker is ready, or it has none */
	struct address to;
	struct list held; /* clients that wait for it */
	struct list idle; /* upstreams to be used again, the freshest last */
	size_t n_idle;
};

struct gateways {
	const struct context *context;
	struct config *config; /* held; its gateway never changes */
	struct gateway_meter *meter;
	struct streams *hub;
	struct deadlines *deadlines;
	struct listener *listener;
	struct gateway_route *routes;
	size_t n_routes;
	struct gateway_network *trusted;
	size_t n_trusted;
	struct list clients, tunnels, upstreams, trash;
	size_t n_connections, n_held;
	enum gateway_mode mode;
	struct http1_head head; /* of the message at hand */
	struct buf out; /* the head that is being written */
	bool recorded; /* lines of the access log wait for their flush */
	struct buf scratch; /* field values that are being made */
	struct random random;
	/* the drain */
	struct deadline grace; /* of requests in flight */
	bool told_empty;
};

/* Something that is freed after the round. */
struct gateway_corpse {
	struct list node; /* in g->trash */
	void (*free)(struct gateway_corpse *c);
};

enum gateway_phase {
	GATEWAY_IDLE, /* between requests, or before the first */
	GATEWAY_READING, /* a head has come in part */
	GATEWAY_HELD, /* waits for its worker */
	GATEWAY_CONNECTING,
	GATEWAY_UNDER_WAY /* sent; body, response or both are streaming */
};

struct gateway_upstream;

/* What the access log will say of a request, or of the WebSocket that it became. */
struct gateway_access {
	uint64_t started_ns;
	uint64_t asked_ns, answered_ns; /* the worker, and by it; 0: not yet */
	uint64_t received, sent; /* bytes: of the request's body and the whole response; of all frames */
	uint64_t messages; /* to the client, before our Close */
	const char *why; /* it failed; NULL: it did not */
	char client[INET6_ADDRSTRLEN];
	char method[24];
	char path[]; /* as the client sent it, without its query */
};

/* How a WebSocket ended. */
struct gateway_farewell {
	uint64_t messages[2];
	int code; /* of the first Close; 1006: there was none */
	const char *by, *drained; /* who began; the drain's result, NULL: it was no drain */
	bool failed;
};

/* A client's connection and the request it has under way. */
struct gateway_client {
	struct gateway_corpse corpse;
	struct gateways *g;
	struct list node; /* in g->clients */
	struct list waiting; /* in its route's held */
	struct stream *stream; /* NULL: gone */
	struct deadline deadline;
	struct buf in; /* what could not be taken yet */
	size_t scanned; /* of the head in it */
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} peer;
	uint64_t served; /* requests so far */
	enum gateway_phase phase;
	bool taking; /* take() is at work: do not enter it again */
	bool half_closed; /* it has ended its direction */
	/* the request */
	struct gateway_route *route;
	struct gateway_upstream *upstream;
	struct buf request; /* its head as it goes to the worker, for as long as it may be sent again */
	uint64_t started_ns;
	ms_t hold_until;
	ms_t sent_at; /* to the worker */
	int attempts, failure;
	struct http1_asked asked;
	struct http1_chunked chunked;
	uint64_t body_left, body_bytes;
	struct pace pace; /* of the body, where it has to keep one */
	bool keep_alive, old; /* old: HTTP/1.0 */
	bool body_chunked, body_done, body_began;
	bool repeatable; /* idempotent and without a body */
	bool body_refused; /* the worker does not take the rest of the body */
	int status; /* of the final response, once its head is sent */
	struct gateway_access *access; /* NULL: nothing is to be told */
};

/* A worker's connection. */
struct gateway_upstream {
	struct gateway_corpse corpse;
	struct gateways *g;
	struct list node; /* in g->upstreams */
	struct list idle; /* in its route's idle */
	struct gateway_route *route;
	struct gateway_client *client; /* NULL: idle */
	struct stream *stream;
	struct deadline deadline; /* of being idle */
	struct buf in; /* a response head that has come in part */
	size_t scanned;
	struct http1_chunked chunked;
	uint64_t left;
	ms_t idle_since, keep_for; /* keep_for: what the worker said, or 0 */
	bool reused, begun, in_body, doubt; /* begun: something of the response has come */
	bool keep_alive, raw; /* raw: to an HTTP/1.0 client without framing */
	enum http1_body body;
};

/* gateway.c */
ms_t gateway_now(const struct gateways *g);
void gateway_bury(struct gateways *g, struct gateway_corpse *c, void (*free)(struct gateway_corpse *c));
void gateway_sweep(struct gateways *g);
/* Frees what the buffer holds; it may be used again. */
void gateway_empty(struct gateways *g, struct buf *b);
/* When the next WebSocket has to be closed that was not there when the slots were dealt. */
ms_t gateway_late_slot(struct gateways *g);

/* gateway_route.c */
int gateway_routes_init(struct gateways *g, struct err *err) MUST_CHECK;
void gateway_routes_fini(struct gateways *g);
/* The route of a target, or NULL. */
struct gateway_route *gateway_route_find(struct gateways *g, struct span target);
/* The target as the worker shall see it; in g->scratch when it differs. */
struct span gateway_route_target(struct gateways *g, const struct gateway_route *r, struct span target);
/* Reads off the world whether the workers are there; true when any came or went. */
bool gateway_routes_look(struct gateways *g);

/* gateway_forward.c */
int gateway_trusted_init(struct gateways *g, struct err *err) MUST_CHECK;
/* Makes the forwarding fields of g->head's request; their number. Values live in g->scratch. */
size_t gateway_forward(
	struct gateways *g, const struct gateway_client *c, struct http1_header fields[GATEWAY_FORWARD_FIELDS]);

/* The client's address, as far as whoever forwarded the request is believed. head may be NULL. */
void gateway_forwarded_client(
	struct gateways *g, const struct gateway_client *c, const struct http1_head *head, char out[INET6_ADDRSTRLEN]);

/* gateway_access.c */
/* A request has come; head NULL: it was none. Nothing is kept when the log is off. */
void gateway_access_begin(struct gateway_client *c, const struct http1_head *head);
void gateway_access_forget(struct gateway_access **a);
/* It is over: the line, unless it is not wanted; nothing is told twice. */
void gateway_access_request(struct gateway_client *c);
void gateway_access_websocket(struct gateways *g, struct gateway_access **access, const struct gateway_route *route,
	const struct gateway_farewell *end);
/* The lines of a round are written together. */
void gateway_access_flush(struct gateways *g);
/* The first reason stays. */
static inline void gateway_access_failed(struct gateway_client *c, const char *why)
{
	if (c->access && !c->access->why)
		c->access->why = why;
}

/* gateway_client.c */
void gateway_client_accept(struct gateways *g, int fd, const struct sockaddr_storage *peer, socklen_t len);
/* Finds the held request an upstream, or lets it go on waiting. */
void gateway_client_attach(struct gateway_client *c);
void gateway_client_connected(struct gateway_client *c);
void gateway_client_connect_failed(struct gateway_client *c, int error);
/* The upstream is gone before a response began (again: it may be tried elsewhere) or within it. */
void gateway_client_upstream_lost(struct gateway_client *c, bool again, const char *why);
/* The upstream takes bytes again. */
void gateway_client_resume(struct gateway_client *c);
/* Something of the response went to the client; queued: how much is stuck. False: the client is gone. */
bool gateway_client_wrote(struct gateway_client *c, ssize_t queued);
/* The connection may serve another request after this one, as it looks now. */
bool gateway_client_may_keep(const struct gateway_client *c);
/* The response is complete. keep: the connection may serve another. */
void gateway_client_done(struct gateway_client *c, bool keep);
/* An answer of the gateway's own. */
void gateway_client_answer(struct gateway_client *c, int status, const char *text);
/* Counts the request under way and takes its connection away from the client, which then is no more. */
struct stream *gateway_client_leave(struct gateway_client *c);
/* Closes what is idle, and marks the others to close after their response. */
void gateway_client_drain(struct gateway_client *c);
/* Whatever it is doing: 502 when nothing was sent yet, and the end. */
void gateway_client_cut(struct gateway_client *c);
void gateway_client_drop(struct gateway_client *c);

/* gateway_upstream.c */
/* An idle connection to use again, or NULL. fresh: only one that was used a moment ago. */
struct gateway_upstream *gateway_upstream_take(struct gateway_route *r, bool fresh);
struct gateway_upstream *gateway_upstream_connect(struct gateways *g, struct gateway_client *c);
/* The client is done with it or gone: reuse it, or close it. */
void gateway_upstream_release(struct gateway_upstream *u, bool reuse);
/* Its stream is the caller's from here on; the upstream is no more. */
struct stream *gateway_upstream_leave(struct gateway_upstream *u);
void gateway_upstreams_close_idle(struct gateways *g);
/* Decodes chunked bytes in place: the payload is moved to the front, its length to *payload. Returns what was
 * taken, or a negative errno. */
ssize_t gateway_dechunk(struct http1_chunked *c, char *bytes, size_t n, size_t *payload, struct err *err) MUST_CHECK;

/* gateway_tunnel.c */
/* The worker granted the upgrade: g->out is the 101 for the client, bytes came behind it. Client and upstream are no
 * more, their connections go on. */
void gateway_tunnel_begin(struct gateway_client *c, struct gateway_upstream *u, char *bytes, size_t n);
struct gateway_tunnel;
/* The next in g->tunnels. */
struct gateway_tunnel *gateway_tunnel_of(struct list *node);
void gateway_tunnel_drain(struct gateway_tunnel *t, ms_t slot);
/* Its slot has come; it may be no more after this. */
void gateway_tunnel_hurry(struct gateway_tunnel *t);
void gateway_tunnel_undrain(struct gateway_tunnel *t);
void gateway_tunnel_drop(struct gateway_tunnel *t);

#endif
