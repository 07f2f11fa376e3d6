/* server owns podvisor's own HTTP/1.1 endpoint: listening at TCP and Unix
 * sockets, requests in, whole answers out, and WebSockets whose messages are
 * fetched one by one as the peer takes them. libwebsockets speaks the protocol,
 * on our loop; sockets are listened at and accepted by io/listener, so that a
 * Unix socket's path and mode, and addresses, follow one rule in the house.
 *
 *   request() ──reply──► answered ──► (next request of the same connection)
 *      ├──────nothing yet──► waiting ──reply, later──► answered, then closed
 *      │                        ├──ends by itself──► gone()
 *      │                        └──drop──► closed
 *      └──upgrade──► live: next() whenever woken and writable ──► gone()
 *
 * An exchange is valid from request() until gone(), or until it is answered. */
#ifndef PODVISOR_IO_SERVER_H
#define PODVISOR_IO_SERVER_H

#include <stdbool.h>
#include <stddef.h>

#include "podvisor/base/buf.h"
#include "podvisor/base/err.h"
#include "podvisor/base/span.h"
#include "podvisor/io/loop.h"

#define SERVER_CONNECTIONS_MAX 256 /* more are closed at once */
#define SERVER_ARGS_MAX        64
#define SERVER_BODY_MAX        4096 /* of a request; nothing here takes one, it is read and forgotten */
#define SERVER_ANSWER_MAX      (16 * 1024 * 1024)
#define SERVER_MESSAGE_MAX     4096 /* of a WebSocket message sent */

enum server_via { SERVER_TCP, SERVER_UNIX };

/* Borrowed for the length of the call. Strings are never NULL. */
struct server_request {
	enum server_via via;
	const char *method; /* "GET", "HEAD", "POST", ... */
	const char *path; /* percent-decoded, no query */
	const char *const *args; /* of the query: "name=value" or "name", decoded */
	size_t n_args;
	const char *accept, *authorization, *origin, *host;
	bool websocket; /* asks to become one: reply, or server_upgrade */
	bool no_waiting; /* must be answered within the call */
};

struct server_answer {
	int status;
	const char *type; /* Content-Type */
	const char *headers; /* further lines, each with CRLF; NULL: none */
	struct span body;
};

struct server;
struct server_exchange;

struct server_handler {
	void *ctx;
	void (*request)(void *ctx, struct server_exchange *x, const struct server_request *r);
	/* An exchange that waits or is live has ended by itself; do not use it any
	 * more. */
	void (*gone)(void *ctx, struct server_exchange *x);
	/* Puts the next message of a live one into out (empty, cap
	 * SERVER_MESSAGE_MAX); false: there is none now. */
	bool (*next)(void *ctx, struct server_exchange *x, struct buf *out);
};

/* The handler is copied. -ENOSYS with a sentence when libwebsockets' libuv
 * plugin is not installed. */
int server_new(
	struct server **out, struct loop *loop, const struct server_handler *handler, struct err *err) MUST_CHECK;
/* address: "host:port" or "unix:PATH" (created with mode 0600). May be called
 * several times. */
int server_listen(struct server *s, const char *address, struct err *err) MUST_CHECK;
/* Where the i-th listener really listens, NULL beyond the last. Borrowed. */
const char *server_address(const struct server *s, size_t i);
/* The path of its Unix socket, NULL when there is none. Borrowed. */
const char *server_path(const struct server *s);
/* Whether that path still leads here; and listens there anew. The connections it has go on. */
bool server_is_found(const struct server *s);
int server_listen_again(struct server *s, struct err *err) MUST_CHECK;
/* Closes everything: live ones get Close 1001; gone() is not called any more.
 * The loop must turn until its handles are closed. NULL is fine. */
void server_free(struct server *s);

/* Answers, once. Bytes are copied. For HEAD the body is only measured. */
void server_reply(struct server_exchange *x, const struct server_answer *a);
/* Makes it live; only from within request(), and only when it asked for it. */
void server_upgrade(struct server_exchange *x);
/* next() will be called as soon as the peer takes more. Live ones only. */
void server_wake(struct server_exchange *x);
/* The client of one that waits has closed its end. While waiting nothing is
 * read, so nobody notices but who asks here. */
bool server_is_abandoned(const struct server_exchange *x);
/* Ends one that waits, without an answer and without gone(). */
void server_drop(struct server_exchange *x);
/* The owner's; NULL at first. */
void server_set_data(struct server_exchange *x, void *data);
void *server_data(const struct server_exchange *x);

#endif
