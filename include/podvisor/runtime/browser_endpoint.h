/* browser_endpoint owns the one address of a browser that never changes: it
 * answers the HTTP face of DevTools with a browser id of podvisor's own, and
 * tunnels WebSockets to the Chrome that is current when they come. While there is
 * none, or no room for another session, requests wait. SPEC 4. */
#ifndef PODVISOR_RUNTIME_BROWSER_ENDPOINT_H
#define PODVISOR_RUNTIME_BROWSER_ENDPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "podvisor/base/err.h"
#include "podvisor/io/loop.h"
#include "podvisor/model/config.h"
#include "podvisor/wire/cdp.h"

/* How long a request waits for a Chrome. */
#define BROWSER_HOLD_MS 10000
/* A page of podvisor's own, for the rung that asks whether Chrome reaches the network. */
#define BROWSER_HEALTH_PATH "/podvisor-health"

struct browser_endpoint;

/* The Chrome that new sessions go to. */
struct browser_backend {
	int port; /* on 127.0.0.1 */
	const char *id; /* its own, of the WebSocket's path; copied */
	const struct cdp_version *version; /* copied */
	cdp_is_hidden is_hidden; /* targets that are podvisor's own */
	void *ctx;
};

/* instance and name make the id that clients see: the same ones, the same id. *sessions is
 * kept at the number of WebSockets to the browser itself. */
int browser_endpoint_new(struct browser_endpoint **out, struct loop *loop, const char *instance, const char *name,
	int64_t *sessions, struct err *err) MUST_CHECK;
/* Takes a configuration, which is borrowed until the next call or the end, and listens where it
 * says. Where it already listens, it goes on. */
int browser_endpoint_configure(
	struct browser_endpoint *e, const struct config_browser *config, struct err *err) MUST_CHECK;
/* The address of the page at BROWSER_HEALTH_PATH as a Chrome on this machine reaches it; "" before the first configure.
 */
const char *browser_endpoint_health_url(const struct browser_endpoint *e);
/* From now on new sessions go there. */
void browser_endpoint_offer(struct browser_endpoint *e, const struct browser_backend *backend);
/* From now on new sessions wait; those that are on go on. */
void browser_endpoint_withdraw(struct browser_endpoint *e);
/* Its Chrome is gone: sessions with it are closed. */
void browser_endpoint_cut(struct browser_endpoint *e);
/* Stops listening and closes everything. NULL is fine; the memory goes with the loop's close callbacks. */
void browser_endpoint_free(struct browser_endpoint *e);

#endif
