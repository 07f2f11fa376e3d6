#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gateway_internal.h"
#include "podvisor/wire/http1_text.h"
#include "podvisor/wire/http1_write.h"

#define KEEP_MS       60000 /* an idle connection to a worker that named no time */
#define KEEP_LESS_MS  1000 /* before the time it named: a request must not cross its closing */
#define FRESH_MS      1000 /* idle for less: it is surely not being closed at this moment */
#define RESPONSE_ROOM 8192 /* that our own fields may add to a head */

static const struct http1_limits limits = {GATEWAY_RESPONSE_HEAD_BYTES, HTTP1_HEADERS_MAX};

ssize_t gateway_dechunk(struct http1_chunked *c, char *bytes, size_t n, size_t *payload, struct err *err)
{
	size_t at = 0, kept = 0;
	while (at < n && !http1_chunked_done(c)) {
		struct span piece;
		ssize_t taken = http1_chunked_feed(c, (struct span){bytes + at, n - at}, &piece, err);
		if (taken < 0)
			return taken;
		if (piece.len && piece.at != bytes + kept)
			memmove(bytes + kept, piece.at, piece.len);
		kept += piece.len;
		at += (size_t)taken;
	}
	*payload = kept;
	return (ssize_t)at;
}

/* ---- connections ---- */

static void free_upstream(struct gateway_corpse *corpse)
{
	free(corpse);
}

/* Out of every list; its stream is somebody else's from here on. */
struct stream *gateway_upstream_leave(struct gateway_upstream *u)
{
	struct stream *s = u->stream;
	if (!s)
		return NULL;
	if (!list_empty(&u->idle))
		u->route->n_idle--;
	list_remove(&u->idle);
	list_remove(&u->node);
	deadline_clear(u->g->deadlines, &u->deadline);
	gateway_empty(u->g, &u->in);
	u->stream = NULL;
	u->client = NULL;
	gateway_bury(u->g, &u->corpse, free_upstream);
	return s;
}

static void drop(struct gateway_upstream *u)
{
	stream_close(gateway_upstream_leave(u));
}

static void on_idle_for_long(struct deadline *d)
{
	struct gateway_upstream *u = LIST_ENTRY(d, struct gateway_upstream, deadline);
	struct gateways *g = u->g;
	if (!u->client)
		drop(u);
	gateway_sweep(g);
}

static ms_t keep_for(const struct gateway_upstream *u)
{
	if (!u->keep_for)
		return KEEP_MS;
	return u->keep_for - KEEP_LESS_MS;
}

void gateway_upstream_release(struct gateway_upstream *u, bool reuse)
{
	struct gateway_route *r = u->route;
	u->client = NULL;
	if (!reuse || keep_for(u) <= 0 || r->n_idle >= GATEWAY_IDLE_UPSTREAMS) {
		drop(u);
		return;
	}
	u->begun = u->in_body = false;
	u->chunked = (struct http1_chunked){0};
	u->idle_since = gateway_now(u->g);
	list_append(&r->idle, &u->idle);
	r->n_idle++;
	deadline_set(u->g->deadlines, &u->deadline, u->idle_since + keep_for(u));
	stream_read_start(u->stream); /* to see its end */
}

struct gateway_upstream *gateway_upstream_take(struct gateway_route *r, bool fresh)
{
	if (list_empty(&r->idle))
		return NULL;
	struct gateway_upstream *u = LIST_ENTRY(r->idle.prev, struct gateway_upstream, idle);
	ms_t idle_for = gateway_now(u->g) - u->idle_since;
	if (fresh && idle_for >= FRESH_MS)
		return NULL;
	list_remove(&u->idle);
	r->n_idle--;
	u->reused = true;
	return u;
}

void gateway_upstreams_close_idle(struct gateways *g)
{
	for (size_t i = 0; i < g->n_routes; i++)
		LIST_EACH (node, &g->routes[i].idle)
			drop(LIST_ENTRY(node, struct gateway_upstream, idle));
}

/* ---- bodies of responses ---- */

struct outgoing {
	struct span parts[STREAM_PARTS_MAX];
	size_t n;
	char chunk_head[HTTP1_CHUNK_HEAD_BYTES + 1];
};

static void add(struct outgoing *o, struct span part)
{
	o->parts[o->n++] = part;
}

/* Payload as the client is to see it: in a chunk of ours, or bare. */
static void add_payload(struct outgoing *o, const struct gateway_upstream *u, struct span payload)
{
	bool bare = u->raw || u->body == HTTP1_BODY_LENGTH;
	if (!payload.len)
		return;
	if (!bare)
		add(o, (struct span){o->chunk_head, http1_chunk_head(o->chunk_head, payload.len)});
	add(o, payload);
	if (!bare)
		add(o, SPAN("\r\n"));
}

static void complete(struct gateway_upstream *u)
{
	struct gateway_client *c = u->client;
	bool keep = gateway_client_may_keep(c) && !u->raw;
	c->upstream = NULL;
	gateway_upstream_release(u, u->keep_alive && !u->doubt && c->body_done);
	gateway_client_done(c, keep);
}

/* Sends what is in o, and before it the head if it still waits in g->out. */
static void relay(struct gateway_upstream *u, struct outgoing *o, bool done)
{
	struct gateway_client *c = u->client;
	for (size_t i = 0; c->access && i < o->n; i++)
		c->access->sent += o->parts[i].len;
	ssize_t queued = o->n ? stream_write(c->stream, o->parts, o->n) : (ssize_t)stream_queued(c->stream);
	buf_clear(&u->g->out);
	if (!gateway_client_wrote(c, queued))
		return;
	if (done)
		complete(u);
	else if (queued > 0)
		stream_read_stop(u->stream);
}

/* Takes bytes of the body; true when they were its last. -EBADMSG when the coding is broken. */
static int decode(struct gateway_upstream *u, struct outgoing *o, char *bytes, size_t n)
{
	size_t payload = n;
	ssize_t taken;
	bool done = false;
	switch (u->body) {
	case HTTP1_BODY_LENGTH:
		payload = n < u->left ? n : (size_t)u->left;
		u->left -= payload;
		done = u->left == 0;
		u->doubt |= payload < n;
		break;
	case HTTP1_BODY_CHUNKED:
		taken = gateway_dechunk(&u->chunked, bytes, n, &payload, NULL);
		if (taken < 0)
			return (int)taken;
		done = http1_chunked_done(&u->chunked);
		u->doubt |= (size_t)taken < n;
		break;
	case HTTP1_BODY_UNTIL_CLOSE:
		break;
	default:
		payload = 0;
		done = true;
		u->doubt |= n > 0;
		break;
	}
	add_payload(o, u, (struct span){bytes, payload});
	if (done && u->body == HTTP1_BODY_CHUNKED && !u->raw)
		add(o, SPAN(HTTP1_CHUNK_LAST));
	return done;
}

static void take_body(struct gateway_upstream *u, char *bytes, size_t n)
{
	struct outgoing o = {.n = 0};
	struct buf *head = &u->g->out;
	if (head->len)
		add(&o, (struct span){head->data, head->len});
	int done = decode(u, &o, bytes, n);
	if (done >= 0) {
		relay(u, &o, done);
		return;
	}
	if (head->len) {
		buf_clear(head);
		u->client->status = 0; /* its head has not been sent */
	}
	gateway_client_upstream_lost(u->client, false, "The service sent a broken response.");
}

/* ---- heads of responses ---- */

/* "Keep-Alive: timeout=5": Node and others tell so when they will close an idle connection. */
static ms_t read_keep_for(const struct http1_head *head)
{
	const struct span *value = http1_find(head, "Keep-Alive");
	struct span rest = value ? *value : (struct span){NULL, 0}, element;
	while (rest.at && http1_next_element(&rest, &element)) {
		struct span name;
		if (!http1_cut(&element, '=', &name) || !span_equals_nocase(name, "timeout"))
			continue;
		ms_t seconds = 0;
		for (size_t i = 0; i < element.len && i < 6 && http1_is_digit(element.at[i]); i++)
			seconds = seconds * 10 + (element.at[i] - '0');
		return seconds > 0 ? seconds * 1000 : KEEP_LESS_MS;
	}
	return 0;
}

/* Appends the head for the client to g->out. */
static int write_head(struct gateway_upstream *u, struct http1_head *head)
{
	struct gateway_client *c = u->client;
	struct http1_header connection = {SPAN("Connection"), {NULL, 0}};
	bool interim = head->status < 200;
	u->raw = c->old && (head->body == HTTP1_BODY_CHUNKED || head->body == HTTP1_BODY_UNTIL_CLOSE);
	if (u->raw)
		head->body = HTTP1_BODY_UNTIL_CLOSE;
	else if (head->body == HTTP1_BODY_UNTIL_CLOSE)
		head->body = HTTP1_BODY_CHUNKED;
	bool keep = gateway_client_may_keep(c) && !u->raw;
	if (!interim && !keep) {
		connection.value = SPAN("close");
		c->keep_alive = false;
	} else if (!interim && c->old) {
		connection.value = SPAN("keep-alive");
	}
	return http1_write_response(&u->g->out, head, &connection, !interim && connection.value.at, NULL);
}

static void relay_interim(struct gateway_upstream *u)
{
	struct outgoing o = {.n = 0};
	if (!u->client->old)
		add(&o, (struct span){u->g->out.data, u->g->out.len});
	relay(u, &o, false);
}

/* Returns the length of the head that was taken, 0 when it is not whole, -1 when the exchange is over. */
static ssize_t take_head(struct gateway_upstream *u, char *bytes, size_t n)
{
	struct gateways *g = u->g;
	struct gateway_client *c = u->client;
	struct http1_head *head = &g->head;
	ssize_t len = http1_parse_response(head, (struct span){bytes, n}, &u->scanned, &limits, &c->asked, NULL);
	if (len == 0)
		return 0;
	buf_clear(&g->out);
	u->body = head->body;
	u->left = head->length;
	if (len < 0 || write_head(u, head) < 0) {
		buf_clear(&g->out);
		gateway_client_upstream_lost(c, false, "The service sent a response that cannot be passed on.");
		return -1;
	}
	u->scanned = 0;
	if (head->status < 200 && head->status != 101) {
		relay_interim(u);
		return u->client ? len : -1;
	}
	c->status = head->status;
	if (c->access)
		c->access->answered_ns = uv_hrtime();
	u->keep_alive = head->keep_alive;
	u->keep_for = read_keep_for(head);
	u->in_body = true;
	return len;
}

/* What is not a whole head yet has to wait for the rest. */
static void put_aside(struct gateway_upstream *u, const char *bytes, size_t n)
{
	if (u->in.len)
		buf_consume(&u->in, u->in.len - n);
	else if (buf_put(&u->in, bytes, n) < 0)
		gateway_client_upstream_lost(u->client, false, "The service sent a response that cannot be passed on.");
}

static void on_bytes(struct stream *s, char *bytes, size_t n)
{
	struct gateway_upstream *u = stream_context(s);
	u->g->meter->bytes[1] += n;
	if (!u->client) {
		drop(u); /* nobody asked anything */
		return;
	}
	u->begun = true;
	if (u->in.len) {
		if (buf_put(&u->in, bytes, n) < 0) {
			gateway_client_upstream_lost(
				u->client, false, "The service sent a response that cannot be passed on.");
			return;
		}
		bytes = u->in.data;
		n = u->in.len;
	}
	while (!u->in_body && n) {
		ssize_t len = take_head(u, bytes, n);
		if (len < 0)
			return;
		if (len == 0) {
			put_aside(u, bytes, n);
			return;
		}
		bytes += len;
		n -= (size_t)len;
	}
	if (!u->in_body)
		gateway_empty(u->g, &u->in);
	else if (u->client->status == 101)
		gateway_tunnel_begin(u->client, u, bytes, n);
	else
		take_body(u, bytes, n);
	if (u->stream)
		gateway_empty(u->g, &u->in);
}

/* ---- the end ---- */

static void on_end(struct stream *s, int status)
{
	struct gateway_upstream *u = stream_context(s);
	struct gateway_client *c = u->client;
	if (!c) {
		drop(u);
	} else if (u->in_body && u->body == HTTP1_BODY_UNTIL_CLOSE && status == 0) {
		struct outgoing o = {.n = 0};
		if (!u->raw)
			add(&o, SPAN(HTTP1_CHUNK_LAST));
		u->keep_alive = false;
		relay(u, &o, true);
	} else {
		gateway_client_upstream_lost(c, !u->begun, "The service closed the connection without a response.");
	}
}

static void on_drained(struct stream *s)
{
	struct gateway_upstream *u = stream_context(s);
	if (u->client)
		gateway_client_resume(u->client);
}

static void on_connected(struct stream *s, int status)
{
	struct gateway_upstream *u = stream_context(s);
	if (status < 0) {
		gateway_client_connect_failed(u->client, status);
		return;
	}
	stream_read_start(s);
	gateway_client_connected(u->client);
}

static const struct stream_ops ops = {
	.connected = on_connected, .bytes = on_bytes, .end = on_end, .drained = on_drained};

struct gateway_upstream *gateway_upstream_connect(struct gateways *g, struct gateway_client *c)
{
	struct gateway_upstream *u = calloc(1, sizeof(*u));
	if (u)
		u->stream = stream_connect(g->hub, &c->route->to, g->config->gateway.connect_timeout, &ops, u);
	if (!u || !u->stream) {
		free(u);
		return NULL;
	}
	u->g = g;
	u->route = c->route;
	u->client = c;
	u->deadline.due = on_idle_for_long;
	list_init(&u->idle);
	list_append(&g->upstreams, &u->node);
	buf_init(&u->in, GATEWAY_RESPONSE_HEAD_BYTES + STREAM_READ_BYTES);
	return u;
}
