/* What the files of a browser's stable address know of each other:
 *
 *   browser_endpoint.c       birth, listening, the generations of Chrome
 *   browser_front_client.c   a client's connection: its phases, answers of podvisor's own, waiting
 *   browser_front_route.c    who may, and to which Chrome it goes
 *   browser_front_ask.c      the request to a Chrome, and its answer
 *   browser_front_session.c  a WebSocket after its 101
 *
 * A client that ends is freed at once; whoever may have ended one returns. */
#ifndef PODVISOR_RUNTIME_BROWSER_FRONT_H
#define PODVISOR_RUNTIME_BROWSER_FRONT_H

#include "podvisor/base/buf.h"
#include "podvisor/base/list.h"
#include "podvisor/io/listener.h"
#include "podvisor/io/stream.h"
#include "podvisor/model/config.h"
#include "podvisor/wire/cdp.h"
#include "podvisor/wire/http1.h"

#define FRONT_CLIENTS_MAX  1024
#define FRONT_HEAD_BYTES   16384
#define FRONT_EARLY_BYTES  65536 /* what a client may send before its WebSocket stands */
#define FRONT_ANSWER_BYTES ((size_t)8 << 20) /* /json/protocol is 1.4 MB */
#define FRONT_ID_BYTES     80
#define FRONT_LINGER_MS    2000

/* head ──► held ◄──► asking ──► tunnel ──► leaving
 *  │         └─────────┴──► answered, closed
 *  └──► answered, closed */
enum front_phase {
	FRONT_HEAD, /* the request is not complete */
	FRONT_HELD, /* for a Chrome, or for room in it */
	FRONT_ASKING, /* Chrome is connected to, or has not answered completely */
	FRONT_TUNNEL,
	FRONT_LEAVING /* the client is gone; Chrome closes what was its */
};

/* A Chrome that has proven itself. */
struct front_generation {
	struct list node; /* in endpoint->generations, the newest first */
	uint64_t number;
	int port;
	char id[FRONT_ID_BYTES];
	struct cdp_version version;
	cdp_is_hidden is_hidden;
	void *hidden_ctx;
	int64_t sessions, served;
};

struct front_session;
struct browser_endpoint_calls;

struct front_client {
	struct list node; /* in endpoint->clients, or in endpoint->held while FRONT_HELD */
	struct browser_endpoint *endpoint;
	struct stream *down, *up; /* to the client, NULL while FRONT_LEAVING; to Chrome, NULL while there is none */
	enum front_phase phase;
	struct front_generation *generation; /* that it asks or has a tunnel to */
	bool websocket, session; /* session: counted as one */
	bool searches; /* it goes on to an older generation when this one does not know the page */
	struct deadline deadline; /* of the phase; none for a tunnel */
	ms_t began; /* the tunnel */
	ms_t hold_until; /* one for all its holds; 0: it was never held */
	uint64_t failed; /* the generation that it found broken; 0: none */
	struct buf in; /* the request's head, and what came behind it */
	struct buf out; /* Chrome's answer so far */
	struct buf list; /* of pages, of the generations asked so far */
	struct front_session *talk; /* of a tunnel */
};

struct browser_endpoint {
	struct loop *loop;
	const struct browser_endpoint_calls *calls;
	void *ctx;
	struct streams *streams;
	struct listener *listener;
	const struct config_browser *config; /* borrowed */
	char *listen; /* where listener listens, as configured */
	struct list clients, held, generations;
	struct front_generation *current; /* new sessions go there; NULL: they wait */
	size_t n_clients, n_held;
	int64_t *sessions; /* NULL: freed */
	char virtual_id[37], health_url[160];
	bool has_room; /* a session has ended, somebody held may go on */
	struct http1_head head; /* of the request that is being looked at */
};

/* ---- browser_front_client ---- */

ms_t front_now(const struct browser_endpoint *e);
void front_set_deadline(struct front_client *c, ms_t in);
void front_clear_deadline(struct front_client *c);
void front_set_phase(struct front_client *c, enum front_phase phase);
/* The connection to Chrome is closed, and no session is counted any more. */
void front_leave_chrome(struct front_client *c);
/* politely: what was written to the client still arrives. */
void front_free(struct front_client *c, bool politely);
/* Both end the client. */
void front_answer(struct front_client *c, int status, const char *type, struct span body);
void front_refuse(struct front_client *c, int status, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* From now on it counts as a session, or it is one no more. */
void front_count_session(struct front_client *c, bool begins);
/* It is one that Chrome has taken. */
void front_count_served(struct front_client *c);
/* It waits, at most queue_timeout for all its waits together, or is refused. */
void front_hold(struct front_client *c);
/* The Chrome that was to answer went away: the next one may. */
void front_hold_again(struct front_client *c);
/* Each that waits is looked at once, in the order they came; who cannot go on stays. */
void front_resume_held(struct browser_endpoint *e);
/* A connection of a client; false: it cannot be taken. */
bool front_take_connection(struct browser_endpoint *e, int fd);

/* ---- browser_front_route ---- */

/* Parsed anew each time it is needed, into endpoint->head: the bytes are still there, the parsed form is not. */
ssize_t front_parse(struct front_client *c, struct err *err);
struct span front_path(struct span target);
bool front_is_list(struct span path);
/* A request that is complete is carried out; comes here again after it was held. */
void front_act(struct front_client *c);
/* This generation does not know the page. True: an older one is asked. */
bool front_search_on(struct front_client *c);

/* ---- browser_front_ask ---- */

void front_ask(struct front_client *c, struct front_generation *g);

/* ---- browser_front_session ---- */

/* Chrome's 101 and what came behind it is in out, the client's bytes behind its head in in. */
void front_begin_session(struct front_client *c, size_t request_bytes, size_t answer_bytes);
/* Its Chrome ends. */
void front_end_session(struct front_client *c);
/* Of a client that is being freed. */
void front_free_session(struct front_client *c);

#endif
