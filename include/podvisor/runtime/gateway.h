/* gateway owns the way of HTTP and WebSocket traffic from the ingress to the
 * workers (SPEC 8): one listener, routes by the longest prefix, messages parsed
 * strictly and written anew, bodies streamed, requests held while their worker
 * restarts, WebSockets passed byte by byte; and the drain, in which none of them
 * is cut.
 *
 * A prefix is matched by whole segments, as Kubernetes' Prefix paths are: "/api"
 * fits "/api", "/api/" and "/api?q", not "/apiary". */
#ifndef PODVISOR_RUNTIME_GATEWAY_H
#define PODVISOR_RUNTIME_GATEWAY_H

#include "podvisor/base/err.h"
#include "podvisor/model/plan.h"
#include "podvisor/runtime/context.h"

struct gateways;

/* Nothing listens yet. Also fine, and then idle, when no gateway is configured. */
int gateways_new(struct gateways **out, const struct context *c, struct err *err) MUST_CHECK;
/* Carries out EFFECT_GATEWAY_*; answers with EVENT_GATEWAY_LISTENING (text: the
 * address), _FAILED (text: why) and, once after a drain, _EMPTY (text: how it went). */
void gateways_do(struct gateways *g, const struct effect *effect);
/* To be called in each turn in which workers may have changed: cheap. Requests
 * that waited for a worker go on. */
void gateways_world_changed(struct gateways *g);
/* Where it listens now; NULL when it does not. Borrowed. */
const char *gateways_address(const struct gateways *g);
/* Cuts whatever is left. NULL is fine. */
void gateways_free(struct gateways *g);

#endif
