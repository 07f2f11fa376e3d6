#include "podvisor/runtime/gateway.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "gateway_internal.h"
#include "podvisor/io/descriptors.h"

#define SCRATCH_MAX (64 * 1024)
/* Beside a client's and a worker's for each connection: those of workers, checks, probes. */
#define OTHER_DESCRIPTORS 1024

ms_t gateway_now(const struct gateways *g)
{
	return deadlines_now(g->deadlines);
}

/* ---- what has ended ---- */

void gateway_bury(struct gateways *g, struct gateway_corpse *c, void (*free)(struct gateway_corpse *c))
{
	c->free = free;
	list_append(&g->trash, &c->node);
}

static void tell_empty(struct gateways *g, size_t left)
{
	const struct gateway_drain *d = &g->meter->drain;
	struct event e = {.kind = EVENT_GATEWAY_EMPTY, .count = (int)left};
	const uint64_t *r = d->results;
	g->told_empty = true;
	snprintf(e.text, sizeof(e.text),
		"clean %llu, peer first %llu, client time-out %llu, unclean %llu, reset %llu; "
		"longest handshake %lld ms; %llu byte%s discarded, %llu request%s cut",
		(unsigned long long)r[GATEWAY_CLEAN], (unsigned long long)r[GATEWAY_PEER_FIRST],
		(unsigned long long)r[GATEWAY_CLIENT_TIMEOUT], (unsigned long long)r[GATEWAY_UNCLEAN],
		(unsigned long long)r[GATEWAY_RESET], (long long)d->longest_handshake_ms,
		(unsigned long long)d->discarded_bytes, d->discarded_bytes == 1 ? "" : "s",
		(unsigned long long)d->requests_cut, d->requests_cut == 1 ? "" : "s");
	loop_post(g->context->loop, &e);
}

void gateway_empty(struct gateways *g, struct buf *b)
{
	heap_freed(streams_heap(g->hub), b->cap);
	buf_fini(b);
}

/* Connections that linger have ended for us, but still hold a descriptor. */
static bool is_full(const struct gateways *g)
{
	size_t n = g->n_connections + streams_lingering(g->hub);
	return (int64_t)n >= g->config->gateway.max_connections || streams_scarce(g->hub);
}

void gateway_sweep(struct gateways *g)
{
	LIST_EACH (node, &g->trash) {
		struct gateway_corpse *c = LIST_ENTRY(node, struct gateway_corpse, node);
		list_remove(node);
		heap_freed(streams_heap(g->hub), sizeof(struct gateway_client)); /* the largest of them */
		c->free(c);
	}
	gateway_access_flush(g);
	if (g->listener && !is_full(g))
		listener_resume(g->listener);
	if (g->mode != GATEWAY_DRAINING || g->told_empty || g->n_connections)
		return;
	gateway_upstreams_close_idle(g);
	if (!streams_lingering(g->hub))
		tell_empty(g, 0);
}

static void after_round(void *ctx)
{
	gateway_sweep(ctx);
}

/* ---- listening ---- */

static void on_accepted(void *ctx, int fd, const struct sockaddr_storage *peer, socklen_t peer_len)
{
	struct gateways *g = ctx;
	gateway_client_accept(g, fd, peer, peer_len);
	if (g->listener && is_full(g))
		listener_pause(g->listener);
}

static void listen_now(struct gateways *g)
{
	struct err err = {0};
	struct event e = {.kind = EVENT_GATEWAY_LISTENING};
	if (!g->listener && listener_new(&g->listener, g->context->loop, g->config->gateway.listen, SOMAXCONN,
				    on_accepted, g, &err) < 0) {
		g->listener = NULL;
		e.kind = EVENT_GATEWAY_FAILED;
		snprintf(e.text, sizeof(e.text), "the gateway %.140s", err.text);
	} else {
		snprintf(e.text, sizeof(e.text), "%s", listener_address(g->listener));
		g->mode = GATEWAY_SERVING;
	}
	loop_post(g->context->loop, &e);
}

const char *gateways_address(const struct gateways *g)
{
	return g->listener ? listener_address(g->listener) : NULL;
}

static void close_listener(struct gateways *g)
{
	listener_free(g->listener);
	g->listener = NULL;
}

/* ---- the drain ---- */

/* A slot of the window for each, in an order that has nothing to do with their age. */
static void deal_slots(struct gateways *g, ms_t window)
{
	size_t n = 0, i = 0;
	LIST_EACH (node, &g->tunnels)
		n++;
	struct gateway_tunnel **all = calloc(n + 1, sizeof(struct gateway_tunnel *));
	ms_t now = gateway_now(g);
	LIST_EACH (node, &g->tunnels) {
		if (all && i < n)
			all[i++] = gateway_tunnel_of(node);
		else
			gateway_tunnel_drain(gateway_tunnel_of(node), now + window);
	}
	for (size_t k = i; k > 1; k--) {
		size_t other = (size_t)random_below(&g->random, k);
		struct gateway_tunnel *t = all[k - 1];
		all[k - 1] = all[other];
		all[other] = t;
	}
	for (size_t k = 0; k < i; k++)
		gateway_tunnel_drain(all[k], now + closing_slot(k, i, window, &g->random));
	free(all);
}

ms_t gateway_late_slot(struct gateways *g)
{
	ms_t now = gateway_now(g), until = g->meter->drain.slots_until;
	if (until <= now)
		return now;
	return now + (ms_t)random_below(&g->random, (uint64_t)(until - now));
}

static void on_grace_over(struct deadline *d)
{
	struct gateways *g = LIST_ENTRY(d, struct gateways, grace);
	LIST_EACH (node, &g->clients)
		gateway_client_cut(LIST_ENTRY(node, struct gateway_client, node));
	gateway_sweep(g);
}

static void begin_drain(struct gateways *g, ms_t window)
{
	const struct config_drain *config = &g->config->gateway.drain;
	g->mode = GATEWAY_DRAINING;
	if (g->listener)
		listener_take_backlog(g->listener);
	close_listener(g);
	g->told_empty = false;
	ms_t enough = g->meter->websocket * CLOSING_SLOT_MS;
	window = window < 0 ? 0 : clock_earlier(clock_earlier(window, enough), config->spread);
	g->meter->drain = (struct gateway_drain){
		.slots_until = clock_after(gateway_now(g), window),
		.requests_until = clock_after(gateway_now(g), config->http_grace),
	};
	LIST_EACH (node, &g->clients)
		gateway_client_drain(LIST_ENTRY(node, struct gateway_client, node));
	deal_slots(g, window);
	g->grace.due = on_grace_over;
	deadline_set(g->deadlines, &g->grace, g->meter->drain.requests_until);
}

static void take_drain_back(struct gateways *g)
{
	deadline_clear(g->deadlines, &g->grace);
	LIST_EACH (node, &g->tunnels)
		gateway_tunnel_undrain(gateway_tunnel_of(node));
}

static void close_everything(struct gateways *g)
{
	close_listener(g);
	g->mode = GATEWAY_CLOSED;
	deadline_clear(g->deadlines, &g->grace);
	LIST_EACH (node, &g->clients)
		gateway_client_drop(LIST_ENTRY(node, struct gateway_client, node));
	LIST_EACH (node, &g->tunnels)
		gateway_tunnel_drop(gateway_tunnel_of(node));
	gateway_upstreams_close_idle(g);
}

/* ---- effects ---- */

static void do_listen(struct gateways *g, const struct effect *e)
{
	(void)e;
	listen_now(g);
}

static void do_lame_duck(struct gateways *g, const struct effect *e)
{
	(void)e;
	g->mode = GATEWAY_LAME_DUCK;
}

static void do_serve(struct gateways *g, const struct effect *e)
{
	(void)e;
	take_drain_back(g);
	listen_now(g);
}

static void do_drain(struct gateways *g, const struct effect *e)
{
	begin_drain(g, e->value);
}

static void do_hurry(struct gateways *g, const struct effect *e)
{
	(void)e;
	g->meter->drain.slots_until = gateway_now(g);
	LIST_EACH (node, &g->tunnels)
		gateway_tunnel_hurry(gateway_tunnel_of(node));
}

static void do_close(struct gateways *g, const struct effect *e)
{
	(void)e;
	size_t left = (size_t)(g->meter->http + g->meter->websocket);
	close_everything(g);
	tell_empty(g, left);
}

void gateways_do(struct gateways *g, const struct effect *effect)
{
	static void (*const doers[EFFECT_KIND_COUNT])(struct gateways *, const struct effect *) = {
		[EFFECT_GATEWAY_LISTEN] = do_listen,
		[EFFECT_GATEWAY_LAME_DUCK] = do_lame_duck,
		[EFFECT_GATEWAY_SERVE] = do_serve,
		[EFFECT_GATEWAY_DRAIN] = do_drain,
		[EFFECT_GATEWAY_HURRY] = do_hurry,
		[EFFECT_GATEWAY_CLOSE] = do_close,
	};
	if (!g->config->gateway.present || effect->kind >= EFFECT_KIND_COUNT || !doers[effect->kind])
		return;
	doers[effect->kind](g, effect);
	gateway_sweep(g);
}

/* Those that waited longest go first; who has to wait again is put behind. */
static void release_held(struct gateway_route *r)
{
	struct list waiting;
	if (!r->available || list_empty(&r->held))
		return;
	waiting = r->held;
	waiting.next->prev = waiting.prev->next = &waiting;
	list_init(&r->held);
	while (!list_empty(&waiting)) {
		struct gateway_client *c = LIST_ENTRY(waiting.next, struct gateway_client, waiting);
		list_remove(&c->waiting);
		gateway_client_attach(c);
	}
}

void gateways_world_changed(struct gateways *g)
{
	if (!gateway_routes_look(g))
		return;
	for (size_t i = 0; i < g->n_routes; i++)
		release_held(&g->routes[i]);
	gateway_sweep(g);
}

/* ---- birth and death ---- */

int gateways_new(struct gateways **out, const struct context *c, struct err *err)
{
	struct gateways *g = calloc(1, sizeof(*g));
	if (!g)
		return err_set(err, -ENOMEM, "out of memory");
	g->context = c;
	g->config = config_hold(c->world->config);
	g->meter = &c->meters->gateway;
	list_init(&g->clients);
	list_init(&g->tunnels);
	list_init(&g->upstreams);
	list_init(&g->trash);
	g->random.state = uv_hrtime();
	buf_init(&g->out, GATEWAY_RESPONSE_HEAD_BYTES * 2);
	buf_init(&g->scratch, SCRATCH_MAX);
	if (g->config->gateway.present)
		descriptors_want(2 * g->config->gateway.max_connections + OTHER_DESCRIPTORS);
	g->hub = streams_new(c->loop, err);
	int rc = g->hub ? 0 : -ENOMEM;
	/* Views of the scratch are held while it is written on: it must not move. */
	if (rc == 0 && !buf_reserve(&g->scratch, SCRATCH_MAX))
		rc = err_set(err, -ENOMEM, "out of memory");
	rc = rc < 0 ? rc : gateway_routes_init(g, err);
	rc = rc < 0 ? rc : gateway_trusted_init(g, err);
	if (rc < 0) {
		gateways_free(g);
		return rc;
	}
	g->deadlines = streams_deadlines(g->hub);
	streams_after(g->hub, after_round, g);
	gateway_routes_look(g);
	*out = g;
	return 0;
}

void gateways_free(struct gateways *g)
{
	if (!g)
		return;
	if (g->deadlines)
		close_everything(g);
	gateway_sweep(g);
	streams_free(g->hub);
	gateway_routes_fini(g);
	free(g->trusted);
	buf_fini(&g->out);
	buf_fini(&g->scratch);
	config_release(g->config);
	free(g);
}
