/* browser_endpoint owns the one address of a browser that never changes: it
 * answers the HTTP face of DevTools with a browser id of podvisor's own, and
 * tunnels WebSockets to the Chrome that is current when they come. It may know
 * several generations of Chrome at once: one that new sessions go to, and older
 * ones whose sessions go on. While none is current, or there is no room for another
 * session, requests wait. SPEC 4.
 *
 *   offer(2) ──► 2 is current ──offer(3) or retire(2)──► 2 goes on ──withdraw(2)──► 2 is forgotten */
#ifndef PODVISOR_RUNTIME_BROWSER_ENDPOINT_H
#define PODVISOR_RUNTIME_BROWSER_ENDPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "podvisor/base/err.h"
#include "podvisor/io/loop.h"
#include "podvisor/model/config.h"
#include "podvisor/wire/cdp.h"

/* A page of podvisor's own, for the rung that asks whether Chrome reaches the network. */
#define BROWSER_HEALTH_PATH "/podvisor-health"

struct browser_endpoint;

/* A Chrome that has proven itself. */
struct browser_backend {
	uint64_t generation; /* its number, from 1 on, never used twice */
	int port; /* on 127.0.0.1 */
	const char *id; /* its own, of the WebSocket's path; copied */
	const struct cdp_version *version; /* copied */
	cdp_is_hidden is_hidden; /* targets that are podvisor's own; asked until it is withdrawn */
	void *ctx;
};

struct browser_endpoint_calls {
	/* The WebSockets (sessions) that a generation has, to the browser or to a page, and has had since it was
	 * offered. Told at each change, also inside the functions below; the last one after a withdraw says 0. */
	void (*counted)(void *ctx, uint64_t generation, int64_t sessions, int64_t served);
	/* How many requests wait now. */
	void (*queued)(void *ctx, int64_t n);
};

/* instance and name make the id that clients see: the same ones, the same id. *sessions is
 * kept at the number of sessions of all generations. */
int browser_endpoint_new(struct browser_endpoint **out, struct loop *loop, const char *instance, const char *name,
	const struct browser_endpoint_calls *calls, void *ctx, int64_t *sessions, struct err *err) MUST_CHECK;
/* Takes a configuration, which is borrowed until the next call or the end, and listens where it
 * says. Where it already listens, it goes on. */
int browser_endpoint_configure(
	struct browser_endpoint *e, const struct config_browser *config, struct err *err) MUST_CHECK;
/* The address of the page at BROWSER_HEALTH_PATH as a Chrome on this machine reaches it; "" before the first configure.
 */
const char *browser_endpoint_health_url(const struct browser_endpoint *e);
/* From now on new sessions go to this generation; those of older ones go on where they are. */
void browser_endpoint_offer(struct browser_endpoint *e, const struct browser_backend *backend);
/* New sessions do not go to it any more: when it was current, they wait. Its own go on. */
void browser_endpoint_retire(struct browser_endpoint *e, uint64_t generation);
/* Its Chrome ends, or has ended: what is left of its sessions is ended with a clean close, and it is forgotten.
 * Harmless for one that was never offered. */
void browser_endpoint_withdraw(struct browser_endpoint *e, uint64_t generation);
/* When the oldest session that this generation has began; 0: it has none. */
ms_t browser_endpoint_oldest(const struct browser_endpoint *e, uint64_t generation);
/* Stops listening and closes everything. NULL is fine; the memory goes with the loop's close callbacks. */
void browser_endpoint_free(struct browser_endpoint *e);

#endif
