#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gateway_internal.h"

int gateway_routes_init(struct gateways *g, struct err *err)
{
	const struct config_gateway *config = &g->config->gateway;
	g->routes = calloc(config->n_routes + 1, sizeof(*g->routes));
	if (!g->routes)
		return err_set(err, -ENOMEM, "out of memory");
	for (; g->n_routes < config->n_routes; g->n_routes++) {
		struct gateway_route *r = &g->routes[g->n_routes];
		r->config = &config->routes[g->n_routes];
		r->index = (uint32_t)g->n_routes;
		list_init(&r->held);
		list_init(&r->idle);
		int rc = address_parse(&r->to, r->config->to, false, err);
		if (rc < 0) {
			err_prefix(err, "route %s: ", r->config->path);
			return rc;
		}
	}
	return 0;
}

void gateway_routes_fini(struct gateways *g)
{
	free(g->routes);
	g->routes = NULL;
	g->n_routes = 0;
}

/* Bytes of the target that the prefix takes, or 0. */
static size_t fits(const char *prefix, struct span target)
{
	size_t n = strlen(prefix);
	if (n == 0 || n > target.len || memcmp(prefix, target.at, n) != 0)
		return 0;
	if (prefix[n - 1] == '/' || n == target.len || target.at[n] == '/' || target.at[n] == '?')
		return n;
	return 0;
}

/* OPTIONS * asks the server as a whole: whoever has "/" answers for it. */
struct gateway_route *gateway_route_find(struct gateways *g, struct span target)
{
	struct span path = target.at[0] == '*' ? SPAN("/") : target;
	for (size_t i = 0; i < g->n_routes; i++)
		if (fits(g->routes[i].config->path, path))
			return &g->routes[i];
	return NULL;
}

/* One slash between what takes the prefix's place and the rest, whoever brings it. */
struct span gateway_route_target(struct gateways *g, const struct gateway_route *r, struct span target)
{
	const char *to = r->config->rewrite;
	size_t n = to && target.at[0] != '*' ? fits(r->config->path, target) : 0;
	if (!n)
		return target;
	struct span rest = {target.at + n, target.len - n};
	size_t to_len = strlen(to);
	bool slash_before = to_len && to[to_len - 1] == '/', slash_after = rest.len && rest.at[0] == '/';
	if (slash_before && slash_after)
		rest = (struct span){rest.at + 1, rest.len - 1};
	size_t before = g->scratch.len;
	buf_put(&g->scratch, to, to_len);
	if (!slash_before && !slash_after && rest.len && rest.at[0] != '?')
		buf_putc(&g->scratch, '/');
	buf_put(&g->scratch, rest.at, rest.len);
	return (struct span){g->scratch.data + before, g->scratch.len - before};
}

bool gateway_routes_look(struct gateways *g)
{
	const struct world *world = g->context->world;
	bool changed = false;
	/* After a reload the routes are the same, but the numbers of the workers may not be. */
	for (size_t i = 0; i < g->n_routes && i < world->config->gateway.n_routes; i++) {
		const struct config_route *now = &world->config->gateway.routes[i];
		bool available = !now->worker || world_is_available(world, world->config, now->worker_ref, NULL, 0);
		changed |= available != g->routes[i].available;
		g->routes[i].available = available;
	}
	return changed;
}
