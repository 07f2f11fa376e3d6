#include "podvisor/control/control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "podvisor/base/list.h"
#include "podvisor/base/secret.h"
#include "podvisor/control/api.h"
#include "podvisor/control/dashboard.h"
#include "podvisor/control/events.h"
#include "podvisor/control/metrics.h"
#include "podvisor/control/probes.h"
#include "podvisor/control/socket_guard.h"
#include "podvisor/io/server.h"
#include "podvisor/wire/http1.h"

#define TICK_MS                                                                    \
	200 /* how exactly a wait ends, and how soon it is noticed that its client \
	       has gone */
#define CLIENTS_MAX 128 /* that wait, or are live */

/* Somebody who waits for an answer, or a live reader of events. */
struct client {
	struct list node;
	struct server_exchange *x;
	bool live;
	struct wait wait;
	uint64_t cursor; /* of a live one: the last event it has had */
};

struct control {
	struct loop *loop;
	struct control_port port;
	struct server *server;
	struct socket_guard *guard;
	bool over_tcp;
	uv_timer_t *tick; /* runs while somebody waits; outlives the control until it
			     is closed */
	struct list clients;
	size_t n_clients;
	struct buf body; /* of the answer in the making */
	uint64_t seen; /* the newest event that live readers were woken for */
};

/* One request on its way. */
struct request {
	struct control *control;
	struct server_exchange *x;
	const struct server_request *in;
	struct snapshot s;
	struct query query;
	char name[64];
	struct answer answer;
	struct wait wait;
	bool live;
};

/* ---- the table of paths ---- */

static void send_livez(struct request *r)
{
	probes_answer(&r->s, VERDICT_LIVE, &r->query, &r->answer);
}

static void send_readyz(struct request *r)
{
	probes_answer(&r->s, VERDICT_READY, &r->query, &r->answer);
}

static void send_startupz(struct request *r)
{
	probes_answer(&r->s, VERDICT_STARTUP, &r->query, &r->answer);
}

static void send_metrics(struct request *r)
{
	const struct control_port *port = &r->control->port;
	struct self_usage self;
	self_usage_read(&self);
	if (port->measure)
		port->measure(port->ctx);
	enum openmetrics_format format = openmetrics_choose(span_of(r->in->accept));
	metrics_write(&r->s, &self, port->version ? port->version : "unknown", format, r->answer.body);
	r->answer.type = openmetrics_content_type(format);
	r->answer.status = 200;
}

static void send_dashboard(struct request *r)
{
	unsigned char random[DASHBOARD_NONCE / 2];
	char nonce[DASHBOARD_NONCE + 1];
	if (getrandom(random, sizeof(random), GRND_NONBLOCK) != (ssize_t)sizeof(random)) {
		answer_text(&r->answer, 503, "no random numbers yet");
		return;
	}
	for (size_t i = 0; i < sizeof(random); i++)
		snprintf(nonce + 2 * i, 3, "%02x", random[i]);
	dashboard_answer(nonce, &r->answer);
}

/* A page of another origin must not read along (RFC 6455 10.2). */
static bool is_own_origin(const struct server_request *in)
{
	const char *host = strstr(in->origin, "://");
	return !in->origin[0] || (host && strcasecmp(host + 3, in->host) == 0);
}

static void send_events(struct request *r)
{
	uint64_t cursor;
	if (!r->in->websocket)
		events_answer(&r->s, &r->query, &r->answer, &r->wait);
	else if (!is_own_origin(r->in))
		answer_error(&r->answer, 403, "events are not for pages of another origin");
	else if (events_begin(&r->s, &r->query, &cursor, &r->answer)) {
		r->live = true;
		r->wait = (struct wait){.kind = WAIT_EVENT, .after = cursor};
	}
}

static struct api_call api_call(struct request *r)
{
	return (struct api_call){.s = &r->s,
		.port = &r->control->port,
		.query = &r->query,
		.name = r->name,
		.answer = &r->answer,
		.wait = &r->wait};
}

static const struct route {
	const char *path; /* "*" stands for one segment */
	bool acts; /* POST, and not for everybody; else GET and HEAD */
	void (*send)(struct request *r);
	void (*api)(const struct api_call *c);
} routes[] = {
	{"/", false, send_dashboard, NULL},
	{"/livez", false, send_livez, NULL},
	{"/readyz", false, send_readyz, NULL},
	{"/startupz", false, send_startupz, NULL},
	{"/metrics", false, send_metrics, NULL},
	{"/api/v1/events", false, send_events, NULL},
	{"/api/v1/status", false, NULL, api_status},
	{"/api/v1/workers", false, NULL, api_workers},
	{"/api/v1/workers/*", false, NULL, api_worker},
	{"/api/v1/logs", false, NULL, api_logs},
	{"/api/v1/drain", false, NULL, api_drain},
	{"/api/v1/drain", true, NULL, api_begin_drain},
	{"/api/v1/undrain", true, NULL, api_end_drain},
	{"/api/v1/reload", true, NULL, api_reload},
	{"/api/v1/workers/*/start", true, NULL, api_start},
	{"/api/v1/workers/*/stop", true, NULL, api_stop},
	{"/api/v1/workers/*/restart", true, NULL, api_restart},
};

/* The segment at the star goes into name. */
static bool path_matches(const char *pattern, const char *path, char *name, size_t size)
{
	const char *star = strchr(pattern, '*');
	if (!star)
		return strcmp(pattern, path) == 0;
	size_t before = (size_t)(star - pattern);
	if (strncmp(pattern, path, before) != 0)
		return false;
	size_t n = strcspn(path + before, "/");
	if (n == 0 || n >= size || strcmp(path + before + n, star + 1) != 0)
		return false;
	memcpy(name, path + before, n);
	name[n] = '\0';
	return true;
}

/* ---- who may ---- */

static bool may_act(struct request *r)
{
	const char *token = r->s.world->config->control.token;
	struct span given;
	if (r->in->via == SERVER_UNIX)
		return true;
	if (!token) {
		answer_error(&r->answer, 403,
			"over TCP podvisor can only be looked at: set control.token, "
			"or use the Unix socket");
		return false;
	}
	if (http1_bearer(span_of(r->in->authorization), &given) && secret_matches(given, token))
		return true;
	answer_error(&r->answer, 401, "this needs \"Authorization: Bearer TOKEN\" with control.token");
	snprintf(r->answer.headers, sizeof(r->answer.headers), "WWW-Authenticate: Bearer realm=\"podvisor\"\r\n");
	return false;
}

/* ---- requests ---- */

static void refuse_method(struct request *r, const char *allow)
{
	answer_error(&r->answer, 405, "%s is not for this path: use %s", r->in->method, allow);
	snprintf(r->answer.headers, sizeof(r->answer.headers), "Allow: %s\r\n", allow);
}

static bool method_fits(const struct route *route, const char *method)
{
	if (route->acts)
		return strcmp(method, "POST") == 0;
	return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
}

static void carry_out(struct request *r, const struct route *route)
{
	if (route->acts && !may_act(r))
		return;
	struct api_call call = api_call(r);
	if (route->send)
		route->send(r);
	else
		route->api(&call);
}

static void dispatch(struct request *r)
{
	bool reads = false, acts = false;
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		if (!path_matches(routes[i].path, r->in->path, r->name, sizeof(r->name)))
			continue;
		if (method_fits(&routes[i], r->in->method)) {
			carry_out(r, &routes[i]);
			return;
		}
		acts |= routes[i].acts;
		reads |= !routes[i].acts;
	}
	if (reads || acts)
		refuse_method(r, reads && acts ? "GET, HEAD, POST" : acts ? "POST" : "GET, HEAD");
	else
		answer_error(&r->answer, 404,
			"no such path; /api/v1/status, /metrics, /readyz and / are "
			"some that are");
}

static void reply(struct server_exchange *x, const struct answer *a)
{
	struct server_answer out = {
		.status = a->status, .type = a->type, .headers = a->headers, .body = {buf_str(a->body), a->body->len}};
	if (a->body->failed)
		out = (struct server_answer){
			.status = 500, .type = "text/plain", .body = SPAN("out of memory, or too much to show\n")};
	server_reply(x, &out);
}

/* ---- those who wait, and live readers ---- */

static void on_tick(uv_timer_t *timer);

static void add_client(struct request *r)
{
	struct control *c = r->control;
	struct client *client = c->n_clients < CLIENTS_MAX ? calloc(1, sizeof(*client)) : NULL;
	if (!client) {
		answer_error(&r->answer, 503, "too many wait already");
		reply(r->x, &r->answer);
		return;
	}
	*client = (struct client){.x = r->x, .live = r->live, .wait = r->wait, .cursor = r->wait.after};
	list_append(&c->clients, &client->node);
	c->n_clients++;
	server_set_data(r->x, client);
	if (r->live)
		server_upgrade(r->x);
	else if (!uv_is_active((uv_handle_t *)c->tick))
		uv_timer_start(c->tick, on_tick, TICK_MS, TICK_MS);
}

static void remove_client(struct control *c, struct client *client)
{
	list_remove(&client->node);
	c->n_clients--;
	free(client);
}

static void answer_client(struct control *c, struct client *client, const struct snapshot *s, bool done)
{
	struct answer a;
	answer_init(&a, &c->body);
	if (client->wait.kind == WAIT_EVENT)
		events_answer_waited(s, &client->wait, &a);
	else
		api_answer_waited(s, &client->wait, done, &a);
	reply(client->x, &a);
	remove_client(c, client);
}

/* Answers whose wait is over, one way or the other. Returns how many go on
 * waiting. */
static size_t look_at_waits(struct control *c, const struct snapshot *s)
{
	size_t waiting = 0;
	LIST_EACH (node, &c->clients) {
		struct client *client = LIST_ENTRY(node, struct client, node);
		if (client->live)
			continue;
		bool done = waits_is_done(&client->wait, s);
		if (done || clock_due(client->wait.until, s->now))
			answer_client(c, client, s, done);
		else
			waiting++;
	}
	return waiting;
}

/* Who went away without an answer is not noticed otherwise (io/server.h). */
static void drop_abandoned(struct control *c)
{
	LIST_EACH (node, &c->clients) {
		struct client *client = LIST_ENTRY(node, struct client, node);
		if (client->live || !server_is_abandoned(client->x))
			continue;
		server_drop(client->x);
		remove_client(c, client);
	}
}

static void on_tick(uv_timer_t *timer)
{
	struct control *c = timer->data;
	struct snapshot s;
	drop_abandoned(c);
	c->port.snapshot(c->port.ctx, &s);
	if (look_at_waits(c, &s) == 0)
		uv_timer_stop(timer);
}

void control_turned(struct control *c)
{
	struct snapshot s;
	if (list_empty(&c->clients))
		return;
	c->port.snapshot(c->port.ctx, &s);
	look_at_waits(c, &s);
	if (s.world->journal.last_seq == c->seen)
		return;
	c->seen = s.world->journal.last_seq;
	LIST_EACH (node, &c->clients) {
		struct client *client = LIST_ENTRY(node, struct client, node);
		if (client->live)
			server_wake(client->x);
	}
}

/* ---- what the server tells ---- */

static void on_request(void *ctx, struct server_exchange *x, const struct server_request *in)
{
	struct control *c = ctx;
	struct request r = {.control = c, .x = x, .in = in, .query = {in->args, in->n_args}};
	c->port.snapshot(c->port.ctx, &r.s);
	answer_init(&r.answer, &c->body);
	dispatch(&r);
	if (r.answer.status)
		reply(x, &r.answer);
	else if (in->no_waiting && !r.live) {
		answer_error(&r.answer, 501, "not together with Upgrade");
		reply(x, &r.answer);
	} else
		add_client(&r);
}

static void on_gone(void *ctx, struct server_exchange *x)
{
	if (server_data(x))
		remove_client(ctx, server_data(x));
}

static bool on_next(void *ctx, struct server_exchange *x, struct buf *out)
{
	struct control *c = ctx;
	struct client *client = server_data(x);
	struct snapshot s;
	c->port.snapshot(c->port.ctx, &s);
	return client && events_next(&s, &client->cursor, out);
}

/* ---- birth and end ---- */

static int listen_at(struct control *c, const char *listen, const char *socket_path, struct err *err)
{
	char address[512];
	int rc = 0;
	if (listen)
		rc = server_listen(c->server, listen, err);
	c->over_tcp = listen && rc == 0;
	if (rc < 0)
		err_prefix(err, "control.listen");
	if (rc < 0 || !socket_path)
		return rc;
	snprintf(address, sizeof(address), "unix:%s", socket_path);
	rc = server_listen(c->server, address, err);
	if (rc < 0)
		err_prefix(err, "control.socket");
	return rc;
}

static int start(struct control *c, const char *listen, const char *socket_path, struct err *err)
{
	const struct server_handler handler = {.ctx = c, .request = on_request, .gone = on_gone, .next = on_next};
	c->tick = calloc(1, sizeof(*c->tick));
	if (!c->tick)
		return err_set(err, -ENOMEM, "out of memory");
	uv_timer_init(&c->loop->uv, c->tick);
	c->tick->data = c;
	int rc = server_new(&c->server, c->loop, &handler, err);
	rc = rc < 0 ? rc : listen_at(c, listen, socket_path, err);
	return rc < 0 || !socket_path ? rc : socket_guard_new(&c->guard, c->loop, c->server, &c->port, err);
}

int control_new(struct control **out, struct loop *loop, const char *listen, const char *socket_path,
	const struct control_port *port, struct err *err)
{
	struct control *c = calloc(1, sizeof(*c));
	if (!c)
		return err_set(err, -ENOMEM, "out of memory");
	c->loop = loop;
	c->port = *port;
	list_init(&c->clients);
	buf_init(&c->body, SERVER_ANSWER_MAX);
	int rc = start(c, listen, socket_path, err);
	if (rc < 0) {
		control_free(c);
		return rc;
	}
	*out = c;
	return 0;
}

const char *control_address(const struct control *c)
{
	return c->over_tcp ? server_address(c->server, 0) : NULL;
}

static void on_tick_closed(uv_handle_t *handle)
{
	free(handle);
}

void control_free(struct control *c)
{
	if (!c)
		return;
	socket_guard_free(c->guard);
	server_free(c->server);
	LIST_EACH (node, &c->clients)
		free(LIST_ENTRY(node, struct client, node));
	if (c->tick && c->tick->loop)
		uv_close((uv_handle_t *)c->tick, on_tick_closed);
	else
		free(c->tick);
	buf_fini(&c->body);
	free(c);
}
