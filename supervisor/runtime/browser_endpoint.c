#include "podvisor/runtime/browser_endpoint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "browser_front.h"
#include "podvisor/base/panic.h"

#define BACKLOG 256

static void on_accepted(void *ctx, int fd, const struct sockaddr_storage *peer, socklen_t peer_len)
{
	(void)peer;
	(void)peer_len;
	if (!front_take_connection(ctx, fd))
		close(fd);
}

static void after_round(void *ctx)
{
	struct browser_endpoint *e = ctx;
	if (e->has_room && e->sessions)
		front_resume_held(e);
}

static uint64_t mix(uint64_t h, const char *text)
{
	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * 0x100000001b3U; /* FNV-1a */
	return h ^ (h >> 29);
}

/* Not a secret: only the same for the same names, and in the form of Chrome's own. */
static void make_virtual_id(struct browser_endpoint *e, const char *instance, const char *name)
{
	uint64_t a = mix(mix(0xcbf29ce484222325U, instance), name), b = mix(mix(a, name), instance);
	snprintf(e->virtual_id, sizeof(e->virtual_id), "%08x-%04x-4%03x-a%03x-%012llx", (unsigned)(a >> 32),
		(unsigned)(a >> 16 & 0xffff), (unsigned)(a & 0xfff), (unsigned)(b >> 52),
		(unsigned long long)(b & 0xffffffffffffU));
}

int browser_endpoint_new(struct browser_endpoint **out, struct loop *loop, const char *instance, const char *name,
	const struct browser_endpoint_calls *calls, void *ctx, int64_t *sessions, struct err *err)
{
	struct browser_endpoint *e = calloc(1, sizeof(*e));
	if (!e)
		return err_set(err, -ENOMEM, "out of memory");
	e->streams = streams_new(loop, err);
	if (!e->streams) {
		free(e);
		return err && err->code ? err->code : -ENOMEM;
	}
	e->loop = loop;
	e->sessions = sessions;
	e->calls = calls;
	e->ctx = ctx;
	streams_after(e->streams, after_round, e);
	list_init(&e->clients);
	list_init(&e->held);
	list_init(&e->generations);
	make_virtual_id(e, instance ? instance : "", name);
	*out = e;
	return 0;
}

static bool is_loopback(const char *listen)
{
	return !strncmp(listen, "127.", 4) || !strncmp(listen, "localhost:", 10) || !strncmp(listen, "[::1]:", 6);
}

static void make_health_url(struct browser_endpoint *e)
{
	const char *at = listener_address(e->listener), *port = strrchr(at, ':');
	bool any = !strncmp(at, "0.0.0.0:", 8) || !strncmp(at, "[::]:", 5);
	snprintf(e->health_url, sizeof(e->health_url), "http://%s%s" BROWSER_HEALTH_PATH, any ? "127.0.0.1" : at,
		any && port ? port : "");
}

/* The old place goes only when the new one is taken: a mistake leaves the address as it was. */
static int listen_at(struct browser_endpoint *e, const char *listen, struct err *err)
{
	struct listener *listener;
	char *copy = strdup(listen);
	if (!copy)
		return err_set(err, -ENOMEM, "out of memory");
	int rc = listener_new(&listener, e->loop, listen, BACKLOG, on_accepted, e, err);
	if (rc < 0) {
		free(copy);
		return rc;
	}
	listener_free(e->listener);
	free(e->listen);
	e->listener = listener;
	e->listen = copy;
	make_health_url(e);
	return 0;
}

int browser_endpoint_configure(struct browser_endpoint *e, const struct config_browser *config, struct err *err)
{
	if (!config->listen || !strncmp(config->listen, "unix:", 5))
		return err_set(err, -EINVAL, "listen must be host:port: Chrome itself has to reach it");
	if (!config->token && !is_loopback(config->listen))
		return err_set(err, -EINVAL,
			"listen at %s is open to others: whoever connects commands Chrome; set a token",
			config->listen);
	int rc = e->listen && !strcmp(e->listen, config->listen) ? 0 : listen_at(e, config->listen, err);
	if (rc == 0)
		e->config = config;
	return rc;
}

const char *browser_endpoint_health_url(const struct browser_endpoint *e)
{
	return e->health_url;
}

/* ---- generations ---- */

static struct front_generation *find(const struct browser_endpoint *e, uint64_t number)
{
	LIST_EACH (at, (struct list *)&e->generations) {
		struct front_generation *g = LIST_ENTRY(at, struct front_generation, node);
		if (g->number == number)
			return g;
	}
	return NULL;
}

static struct front_generation *find_or_add(struct browser_endpoint *e, uint64_t number)
{
	struct front_generation *g = find(e, number);
	if (g)
		return g;
	g = calloc(1, sizeof(*g));
	if (!g)
		panic("out of memory");
	g->number = number;
	list_append(e->generations.next, &g->node); /* before the first */
	return g;
}

void browser_endpoint_offer(struct browser_endpoint *e, const struct browser_backend *backend)
{
	struct front_generation *g = find_or_add(e, backend->generation);
	g->port = backend->port;
	snprintf(g->id, sizeof(g->id), "%s", backend->id);
	g->version = *backend->version;
	g->is_hidden = backend->is_hidden;
	g->hidden_ctx = backend->ctx;
	e->current = g;
	front_resume_held(e);
}

void browser_endpoint_retire(struct browser_endpoint *e, uint64_t generation)
{
	if (e->current && e->current->number == generation)
		e->current = NULL;
}

static void end_client(struct front_client *c)
{
	if (c->phase == FRONT_ASKING)
		front_hold_again(c);
	else
		front_end_session(c);
}

/* Who was asking it goes on elsewhere. */
void browser_endpoint_withdraw(struct browser_endpoint *e, uint64_t generation)
{
	struct front_generation *g = find(e, generation);
	browser_endpoint_retire(e, generation);
	if (!g)
		return;
	list_remove(&g->node);
	LIST_EACH (at, &e->clients) {
		struct front_client *c = LIST_ENTRY(at, struct front_client, node);
		if (c->generation == g)
			end_client(c);
	}
	free(g);
	front_resume_held(e);
}

ms_t browser_endpoint_oldest(const struct browser_endpoint *e, uint64_t generation)
{
	ms_t oldest = CLOCK_NEVER;
	LIST_EACH (at, (struct list *)&e->clients) {
		const struct front_client *c = LIST_ENTRY(at, struct front_client, node);
		if (c->phase == FRONT_TUNNEL && c->generation->number == generation)
			oldest = clock_earlier(oldest, c->began);
	}
	return oldest == CLOCK_NEVER ? 0 : oldest;
}

static void free_all(struct list *clients)
{
	LIST_EACH (at, clients)
		front_free(LIST_ENTRY(at, struct front_client, node), false);
}

void browser_endpoint_free(struct browser_endpoint *e)
{
	if (!e)
		return;
	e->sessions = NULL;
	listener_free(e->listener);
	free_all(&e->clients);
	free_all(&e->held);
	LIST_EACH (at, &e->generations)
		free(LIST_ENTRY(at, struct front_generation, node));
	streams_free(e->streams);
	free(e->listen);
	free(e);
}
