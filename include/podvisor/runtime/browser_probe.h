/* browser_probe owns the talk with one Chrome over its control pipe: the rungs of
 * the ladder, each attempt with a limit and an answer, podvisor's own pages in a
 * browser context of their own, and what Chrome tells unasked. */
#ifndef PODVISOR_RUNTIME_BROWSER_PROBE_H
#define PODVISOR_RUNTIME_BROWSER_PROBE_H

#include <stdbool.h>

#include "podvisor/base/err.h"
#include "podvisor/io/loop.h"
#include "podvisor/model/config.h"
#include "podvisor/model/event.h"
#include "podvisor/wire/cdp.h"

struct browser_probe;

struct browser_probe_calls {
	/* An attempt has ended; port is that of DevTools, 0 while unknown; failure is "" when it answered. */
	void (*answered)(
		void *ctx, enum rung rung, int64_t took_us, int port, enum rung_part part, const char *failure);
	/* A page's renderer has gone; own: podvisor's scratch page. */
	void (*page_lost)(void *ctx, bool own, const char *text);
	/* A page of a client's has crashed; NULL is fine. */
	void (*crashed)(void *ctx, const char *target);
	/* Chrome has answered what browser_probe_send sent; NULL is fine. */
	void (*replied)(void *ctx, const struct cdp_message *m);
	/* Pages of clients, every now and then. */
	void (*counted)(void *ctx, int64_t attached, int64_t detached);
};

/* What it needs to know of the run; strings are copied. */
struct browser_probe_place {
	const char *profile; /* where Chrome writes DevToolsActivePort */
	const char *health_url; /* podvisor's own page */
	ms_t limits[RUNG_COUNT];
	ms_t start_limit; /* for a rung that has not answered yet */
};

/* Makes the pipe; child_fds are the child's ends (3 and 4), which the caller closes. */
int browser_probe_new(struct browser_probe **out, struct loop *loop, const struct browser_probe_place *place,
	const struct browser_probe_calls *calls, void *ctx, int child_fds[2], struct err *err) MUST_CHECK;
/* Closes the pipe, upon which Chrome ends by itself. No call comes any more. NULL is fine. */
void browser_probe_free(struct browser_probe *p);

/* Begins an attempt, answered once, within its limit. Not while one of the same rung is under way.
 * fresh: with a new scratch page. */
void browser_probe_ask(struct browser_probe *p, enum rung rung, bool fresh);
/* Asks for the number of pages, answered by counted, if at all. */
void browser_probe_count(struct browser_probe *p);
/* How many pages have been opened so far, those of the proof included. */
int64_t browser_probe_opened(const struct browser_probe *p);
/* Sends a command of somebody else's, which write appends with the id that it is given. That id. */
int64_t browser_probe_send(
	struct browser_probe *p, int (*write)(struct buf *out, int64_t id, const void *what), const void *what);
/* The browser context of podvisor's own pages; NULL: there is none yet. Borrowed. */
const char *browser_probe_context(const struct browser_probe *p);
/* Asks Chrome to end in order. */
void browser_probe_end(struct browser_probe *p);

/* NULL while Chrome has not said it. Borrowed. */
const struct cdp_version *browser_probe_version(const struct browser_probe *p);
/* Of DevTools; 0 while unknown. */
int browser_probe_port(const struct browser_probe *p);
/* Chrome's own id in its WebSocket's path; "" while unknown. Borrowed. */
const char *browser_probe_id(const struct browser_probe *p);
/* Whether a target is podvisor's own. */
bool browser_probe_hides(const struct browser_probe *p, const char *target);

#endif
