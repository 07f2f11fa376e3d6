#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gateway_internal.h"
#include "podvisor/wire/http1_write.h"

#define RETRY_FIRST_MS 50 /* after a refused connect; doubled each time */
#define RETRY_MAX_MS   500
#define STALE_MS       100 /* so soon is it seen that a kept connection was closed before the request came to it */
#define AHEAD_BYTES    4096 /* read at once while a request is under way that needs no more bytes */
#define HEAD_BYTES     16384 /* read at once of a head, which may have more behind it */

static const struct stream_ops ops;

static const struct config_gateway *config_of(const struct gateway_client *c)
{
	return &c->g->config->gateway;
}

/* ---- state ---- */

/* Which gauge a phase counts in. */
static int64_t *gauge(struct gateway_client *c)
{
	return c->phase == GATEWAY_IDLE ? &c->g->meter->idle : &c->g->meter->http;
}

/* The only place where the phase changes. */
static void enter(struct gateway_client *c, enum gateway_phase phase)
{
	--*gauge(c);
	c->phase = phase;
	++*gauge(c);
}

/* In that time it is due, whatever it is waiting for; 0: never. */
static void arm(struct gateway_client *c, ms_t span)
{
	deadline_set(c->g->deadlines, &c->deadline, span > 0 ? gateway_now(c->g) + span : CLOCK_NEVER);
}

/* How many bytes are wanted at once: those that can be used, and when nothing waits, some to see the client's end. */
static size_t wanted_bytes(const struct gateway_client *c)
{
	if (c->half_closed)
		return 0;
	if (c->phase == GATEWAY_IDLE || c->phase == GATEWAY_READING)
		return HEAD_BYTES;
	if (c->body_done)
		return c->in.len ? 0 : AHEAD_BYTES;
	bool flows = c->phase == GATEWAY_UNDER_WAY && !c->body_refused && c->upstream && c->in.len == 0 &&
		     stream_queued(c->upstream->stream) == 0;
	return flows ? STREAM_READ_BYTES : 0;
}

static void update_reading(struct gateway_client *c)
{
	size_t most = c->stream ? wanted_bytes(c) : 0;
	if (most) {
		stream_read_most(c->stream, most);
		stream_read_start(c->stream);
	} else if (c->stream) {
		stream_read_stop(c->stream);
	}
}

static void forget_request(struct gateway_client *c)
{
	gateway_empty(c->g, &c->request);
	gateway_access_forget(&c->access);
	c->route = NULL;
	c->hold_until = 0;
	c->attempts = c->failure = c->status = 0;
	c->chunked = (struct http1_chunked){0};
	c->body_left = c->body_bytes = 0;
	c->pace = (struct pace){0};
	c->asked = (struct http1_asked){0};
	c->body_chunked = c->body_began = c->body_refused = c->repeatable = false;
	c->body_done = true;
}

static void free_client(struct gateway_corpse *corpse)
{
	free(corpse);
}

/* Out of every list; its stream is somebody else's from here on. */
static struct stream *depart(struct gateway_client *c)
{
	struct gateways *g = c->g;
	struct stream *s = c->stream;
	if (!s)
		return NULL;
	if (c->phase == GATEWAY_HELD)
		g->n_held--;
	--*gauge(c);
	list_remove(&c->waiting);
	list_remove(&c->node);
	deadline_clear(g->deadlines, &c->deadline);
	gateway_empty(c->g, &c->in);
	gateway_empty(c->g, &c->request);
	gateway_access_forget(&c->access);
	c->stream = NULL;
	gateway_bury(g, &c->corpse, free_client);
	return s;
}

static void release_upstream(struct gateway_client *c, bool reuse)
{
	struct gateway_upstream *u = c->upstream;
	c->upstream = NULL;
	if (u)
		gateway_upstream_release(u, reuse);
}

/* FIN, and what is still on its way is read and forgotten. */
static void finish(struct gateway_client *c)
{
	release_upstream(c, false);
	ms_t linger = config_of(c)->drain.linger;
	struct gateways *g = c->g;
	struct stream *s = depart(c);
	if (s)
		g->n_connections--;
	stream_finish(s, linger);
}

/* Refused requests have no route; they are counted behind the last one. */
static void count(struct gateway_client *c)
{
	struct gateway_meter *m = c->g->meter;
	size_t route = c->route ? c->route->index : c->g->n_routes;
	int class = c->status >= 100 && c->status < 600 ? c->status / 100 : 0;
	if (route < METER_ROUTES_MAX)
		m->requests[route][class]++;
	histogram_add(&m->request_seconds, (double)(uv_hrtime() - c->started_ns) / 1e9);
	gateway_access_request(c);
}

/* It ends before its response does, for that reason. */
static void count_failed(struct gateway_client *c, const char *why)
{
	gateway_access_failed(c, why);
	count(c);
}

void gateway_client_drop(struct gateway_client *c)
{
	if (c->g->mode == GATEWAY_CLOSED && c->phase >= GATEWAY_HELD) {
		c->g->meter->drain.requests_cut++;
		count_failed(c, "The service is going away.");
	}
	release_upstream(c, false);
	struct gateways *g = c->g;
	struct stream *s = depart(c);
	if (s)
		g->n_connections--;
	stream_close(s);
}

struct stream *gateway_client_leave(struct gateway_client *c)
{
	count(c);
	return depart(c);
}

/* ---- the end of a request ---- */

static void proceed(struct gateway_client *c);

void gateway_client_done(struct gateway_client *c, bool keep)
{
	count(c);
	if (!keep || c->half_closed || !c->body_done) {
		finish(c);
		return;
	}
	forget_request(c);
	enter(c, GATEWAY_IDLE);
	arm(c, config_of(c)->idle_timeout);
	proceed(c);
}

bool gateway_client_may_keep(const struct gateway_client *c)
{
	return c->keep_alive && c->body_done && !c->half_closed && c->g->mode == GATEWAY_SERVING;
}

void gateway_client_answer(struct gateway_client *c, int status, const char *text)
{
	struct buf *out = &c->g->out;
	release_upstream(c, false);
	bool keep = gateway_client_may_keep(c) && (status >= 500 || status == 404);
	ms_t again = (config_of(c)->hold + 999) / 1000;
	buf_clear(out);
	buf_printf(out, "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %zu\r\n", status,
		http1_reason(status), strlen(text) + 1);
	if (status == 502 || status == 503)
		buf_printf(out, "Retry-After: %lld\r\n", (long long)(again > 0 ? again : 1));
	buf_puts(out, !keep ? "Connection: close\r\n\r\n" : c->old ? "Connection: keep-alive\r\n\r\n" : "\r\n");
	if (!c->asked.head)
		buf_printf(out, "%s\n", text);
	c->status = status;
	gateway_access_failed(c, text);
	if (c->access)
		c->access->sent += out->len;
	ssize_t queued = stream_write(c->stream, &(struct span){out->data, out->len}, 1);
	buf_clear(out);
	if (queued < 0)
		gateway_client_drop(c);
	else
		gateway_client_done(c, keep);
}

void gateway_client_cut(struct gateway_client *c)
{
	c->g->meter->drain.requests_cut += c->phase != GATEWAY_IDLE;
	if (c->phase == GATEWAY_IDLE) {
		finish(c);
	} else if (c->status == 0) {
		c->keep_alive = false;
		gateway_client_answer(c, 502, "The request could not be finished.");
	} else {
		count_failed(c, "The service is going away.");
		finish(c);
	}
}

void gateway_client_drain(struct gateway_client *c)
{
	if (c->phase != GATEWAY_IDLE)
		return;
	/* One that was accepted a moment ago surely brings a request; one that has had answers was told to close. */
	if (c->served == 0 && config_of(c)->drain.http_grace > 0)
		arm(c, config_of(c)->drain.http_grace < 1000 ? config_of(c)->drain.http_grace : 1000);
	else
		finish(c);
}

/* ---- waiting for the worker ---- */

static void give_up(struct gateway_client *c)
{
	if (!c->route->available)
		gateway_client_answer(c, 503, "The service is not available at the moment.");
	else if (c->failure == -ETIMEDOUT)
		gateway_client_answer(c, 504, "The service did not accept the connection in time.");
	else
		gateway_client_answer(c, 502, "The service did not accept the connection.");
}

static void unhold(struct gateway_client *c)
{
	if (c->phase != GATEWAY_HELD)
		return;
	list_remove(&c->waiting);
	c->g->n_held--;
	enter(c, GATEWAY_CONNECTING);
}

static void hold(struct gateway_client *c)
{
	struct gateways *g = c->g;
	ms_t now = gateway_now(g), wait = RETRY_FIRST_MS;
	if (!c->hold_until)
		c->hold_until = clock_after(now, config_of(c)->hold);
	if (now >= c->hold_until || (int64_t)g->n_held >= config_of(c)->hold_requests) {
		give_up(c);
		return;
	}
	for (int i = 1; i < c->attempts && wait < RETRY_MAX_MS; i++)
		wait *= 2;
	list_append(&c->route->held, &c->waiting);
	g->n_held++;
	enter(c, GATEWAY_HELD);
	ms_t until = c->route->available ? clock_earlier(c->hold_until, now + wait) : c->hold_until;
	deadline_set(g->deadlines, &c->deadline, until);
	update_reading(c);
}

void gateway_client_attach(struct gateway_client *c)
{
	unhold(c);
	if (!c->route->available) {
		hold(c);
		return;
	}
	struct gateway_upstream *u = gateway_upstream_take(c->route, !c->repeatable);
	if (u) {
		c->upstream = u;
		u->client = c;
		gateway_client_connected(c);
		return;
	}
	enter(c, GATEWAY_CONNECTING);
	arm(c, 0);
	update_reading(c);
	c->upstream = gateway_upstream_connect(c->g, c);
	if (!c->upstream)
		gateway_client_answer(c, 503, "There are too many connections at the moment.");
}

void gateway_client_connect_failed(struct gateway_client *c, int error)
{
	c->failure = error;
	c->attempts++;
	release_upstream(c, false);
	hold(c);
}

static void await_response(struct gateway_client *c)
{
	arm(c, config_of(c)->response_timeout);
}

/* More of the body has to come: soon, and, once it has begun, in a reasonable time altogether. */
static void await_body(struct gateway_client *c, size_t came)
{
	int64_t rate = config_of(c)->body_rate;
	ms_t now = gateway_now(c->g), idle = config_of(c)->idle_timeout;
	ms_t until = idle > 0 ? now + idle : CLOCK_NEVER;
	c->body_began |= came > 0;
	if (rate && c->body_began)
		until = clock_earlier(until, pace_due(&c->pace, rate, came, now));
	deadline_set(c->g->deadlines, &c->deadline, until);
}

/* The worker is slow now, not the client. */
static void await_worker(struct gateway_client *c, size_t came)
{
	int64_t rate = config_of(c)->body_rate;
	c->body_began |= came > 0;
	if (rate)
		pace_hold(&c->pace, rate, came, gateway_now(c->g));
	await_response(c);
}

void gateway_client_connected(struct gateway_client *c)
{
	enter(c, GATEWAY_UNDER_WAY);
	c->sent_at = gateway_now(c->g);
	if (c->access)
		c->access->asked_ns = uv_hrtime();
	struct span head = {c->request.data, c->request.len};
	if (stream_write(c->upstream->stream, &head, 1) < 0) {
		gateway_client_upstream_lost(c, true, "The service closed the connection.");
		return;
	}
	if (c->body_done)
		await_response(c);
	else
		await_body(c, 0);
	proceed(c);
}

void gateway_client_upstream_lost(struct gateway_client *c, bool again, const char *why)
{
	/* What the worker had at work is not repeated behind its back; what it never saw is. */
	bool stale = c->upstream && c->upstream->reused && gateway_now(c->g) - c->sent_at < STALE_MS;
	bool try = again && stale && c->repeatable && !c->status;
	release_upstream(c, false);
	if (try) {
		gateway_client_attach(c);
	} else if (c->status) {
		/* The length or the last chunk is missing: the client sees that the response is cut. */
		count_failed(c, why);
		finish(c);
	} else {
		gateway_client_answer(c, 502, why);
	}
}

void gateway_client_resume(struct gateway_client *c)
{
	if (!c->body_done)
		await_body(c, 0);
	proceed(c);
}

bool gateway_client_wrote(struct gateway_client *c, ssize_t queued)
{
	if (queued < 0) {
		count_failed(c, "The client closed the connection.");
		gateway_client_drop(c);
		return false;
	}
	bool held = c->upstream && stream_queued(c->upstream->stream) > 0;
	if (queued > 0 || (!c->body_done && held))
		arm(c, config_of(c)->idle_timeout);
	else if (!c->body_done)
		await_body(c, 0);
	else if (c->status)
		arm(c, 0); /* a response may pause for as long as it likes */
	else
		await_response(c);
	return true;
}

/* ---- requests ---- */

static bool is_idempotent(struct span method)
{
	static const char *const methods[] = {"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"};
	for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++)
		if (span_equals(method, methods[i]))
			return true;
	return false;
}

static void note_request(struct gateway_client *c, const struct http1_head *head)
{
	int64_t most = config_of(c)->requests_per_connection;
	c->served++;
	c->scanned = 0;
	c->started_ns = uv_hrtime();
	c->old = head->minor == 0;
	c->keep_alive = head->keep_alive && (most == 0 || c->served < (uint64_t)most);
	c->asked = (struct http1_asked){
		.head = span_equals(head->method, "HEAD"), .websocket = head->upgrade == HTTP1_UPGRADE_WEBSOCKET};
	c->body_chunked = head->body == HTTP1_BODY_CHUNKED;
	c->body_left = head->body == HTTP1_BODY_LENGTH ? head->length : 0;
	c->body_done = !c->body_chunked && c->body_left == 0;
	c->repeatable = c->body_done && !c->asked.websocket && is_idempotent(head->method);
}

static bool is_too_long(const struct gateway_client *c, uint64_t bytes)
{
	int64_t most = config_of(c)->max_body_bytes;
	return most > 0 && bytes > (uint64_t)most;
}

/* The head as the worker gets it: 0, or the status to refuse with. */
static int write_head(struct gateway_client *c, struct http1_head *head)
{
	struct gateways *g = c->g;
	struct http1_header fields[GATEWAY_FORWARD_FIELDS];
	buf_clear(&g->scratch);
	size_t n = gateway_forward(g, c, fields);
	head->target = gateway_route_target(g, c->route, head->target);
	if (g->scratch.failed)
		return 431;
	buf_init(&c->request, (size_t)config_of(c)->header_bytes * 2 + 4096);
	int rc = http1_write_request(&c->request, head, fields, n, NULL);
	return rc == 0 ? 0 : rc == -EINVAL ? 400 : 431;
}

/* A whole head is there. */
static void begin_request(struct gateway_client *c, struct http1_head *head)
{
	note_request(c, head);
	gateway_access_begin(c, head);
	enter(c, GATEWAY_CONNECTING);
	if (is_too_long(c, c->body_left)) {
		gateway_client_answer(c, 413, "The request's body is too large.");
		return;
	}
	c->route = gateway_route_find(c->g, head->target);
	if (!c->route) {
		gateway_client_answer(c, 404, "There is no route for this path.");
		return;
	}
	int refusal = write_head(c, head);
	if (refusal)
		gateway_client_answer(c, refusal, "The request cannot be passed on.");
	else
		gateway_client_attach(c);
}

static void refuse(struct gateway_client *c, int status, const char *text)
{
	c->started_ns = uv_hrtime();
	c->keep_alive = false;
	c->asked.head = false;
	if (!c->access)
		gateway_access_begin(c, NULL);
	gateway_client_answer(c, status, text);
}

/* Returns what it took: a whole head, or nothing yet. */
static size_t take_head(struct gateway_client *c, char *bytes, size_t n)
{
	struct gateways *g = c->g;
	const struct config_gateway *config = config_of(c);
	struct err err = {0};
	struct http1_limits limits = {(size_t)config->header_bytes,
		config->max_headers < HTTP1_HEADERS_MAX ? (size_t)config->max_headers : HTTP1_HEADERS_MAX};
	if (c->phase == GATEWAY_IDLE) {
		enter(c, GATEWAY_READING);
		arm(c, config->header_timeout);
	}
	ssize_t len = http1_parse_request(&g->head, (struct span){bytes, n}, &c->scanned, &limits, &err);
	if (len < 0)
		refuse(c, http1_refusal_status((int)len), err.text);
	else if (len > 0)
		begin_request(c, &g->head);
	return len > 0 ? (size_t)len : 0;
}

/* ---- bodies of requests ---- */

static void end_body(struct gateway_client *c)
{
	c->body_done = true;
	if (!c->status)
		await_response(c);
}

/* The worker takes no more of it; what it answers, if anything, is still relayed. */
static void refuse_body(struct gateway_client *c)
{
	c->body_refused = true;
	c->keep_alive = false;
	if (!c->status)
		await_response(c);
}

static void sent_body(struct gateway_client *c, size_t came, ssize_t queued)
{
	if (queued < 0)
		refuse_body(c);
	else if (queued > 0)
		await_worker(c, came);
	else
		await_body(c, came);
}

static size_t take_plain(struct gateway_client *c, char *bytes, size_t n)
{
	size_t take = n < c->body_left ? n : (size_t)c->body_left;
	c->body_left -= take;
	if (c->access)
		c->access->received += take;
	sent_body(c, take, stream_write(c->upstream->stream, &(struct span){bytes, take}, 1));
	if (c->body_left == 0)
		end_body(c);
	return take;
}

/* What came as many small chunks goes on as one. */
static size_t take_chunked(struct gateway_client *c, char *bytes, size_t n)
{
	struct err err = {0};
	char head[HTTP1_CHUNK_HEAD_BYTES + 1];
	struct span parts[4];
	size_t payload, used = 0;
	ssize_t taken = gateway_dechunk(&c->chunked, bytes, n, &payload, &err);
	if (taken < 0 && c->status) {
		refuse_body(c);
		return n;
	}
	if (taken < 0) {
		refuse(c, 400, err.text);
		return n;
	}
	c->body_bytes += payload;
	if (c->access)
		c->access->received += payload;
	if (is_too_long(c, c->body_bytes) && !c->status) {
		gateway_client_answer(c, 413, "The request's body is too large.");
		return n;
	}
	bool done = http1_chunked_done(&c->chunked);
	if (payload) {
		parts[used++] = (struct span){head, http1_chunk_head(head, payload)};
		parts[used++] = (struct span){bytes, payload};
		parts[used++] = SPAN("\r\n");
	}
	if (done)
		parts[used++] = SPAN(HTTP1_CHUNK_LAST);
	if (used)
		sent_body(c, payload, stream_write(c->upstream->stream, parts, used));
	if (done)
		end_body(c);
	return (size_t)taken;
}

/* ---- bytes ---- */

/* Takes as much as can be taken now; the rest has to wait. */
static size_t take(struct gateway_client *c, char *bytes, size_t n)
{
	size_t used = 0;
	while (c->stream && used < n) {
		size_t step = 0;
		if (c->phase == GATEWAY_IDLE || c->phase == GATEWAY_READING)
			step = take_head(c, bytes + used, n - used);
		else if (c->body_refused)
			step = n - used;
		else if (c->phase == GATEWAY_UNDER_WAY && !c->body_done && !stream_queued(c->upstream->stream))
			step = c->body_chunked ? take_chunked(c, bytes + used, n - used)
					       : take_plain(c, bytes + used, n - used);
		if (step == 0)
			break;
		used += step;
	}
	return used;
}

/* Takes what had to wait. */
static void proceed(struct gateway_client *c)
{
	if (c->in.len && !c->taking) {
		c->taking = true;
		size_t used = take(c, c->in.data, c->in.len);
		c->taking = false;
		if (!c->stream)
			return;
		if (used == c->in.len)
			gateway_empty(c->g, &c->in);
		else
			buf_consume(&c->in, used);
	}
	if (!c->taking)
		update_reading(c);
}

static void on_bytes(struct stream *s, char *bytes, size_t n)
{
	struct gateway_client *c = stream_context(s);
	bool waiting = c->in.len > 0;
	size_t used = 0;
	c->g->meter->bytes[0] += n;
	if (!waiting) {
		c->taking = true;
		used = take(c, bytes, n);
		c->taking = false;
		if (!c->stream)
			return;
	}
	if (used < n && buf_put(&c->in, bytes + used, n - used) < 0)
		gateway_client_drop(c);
	else if (waiting)
		proceed(c);
	else
		update_reading(c);
}

/* A client may end its direction and still read the answer; in the middle of a
 * request, or before a WebSocket, it has left. */
static void on_end(struct stream *s, int status)
{
	struct gateway_client *c = stream_context(s);
	bool waits = c->phase >= GATEWAY_HELD && c->body_done && !c->asked.websocket;
	if (status == 0 && waits) {
		c->half_closed = true;
		c->keep_alive = false;
		return;
	}
	if (c->phase >= GATEWAY_HELD)
		count_failed(c, "The client closed the connection.");
	if (status == 0)
		finish(c);
	else
		gateway_client_drop(c);
}

static void on_drained(struct stream *s)
{
	struct gateway_client *c = stream_context(s);
	if (c->phase != GATEWAY_UNDER_WAY)
		return;
	stream_read_start(c->upstream->stream);
	gateway_client_wrote(c, 0);
}

static const struct stream_ops ops = {.bytes = on_bytes, .end = on_end, .drained = on_drained};

static void on_due(struct deadline *d)
{
	struct gateway_client *c = LIST_ENTRY(d, struct gateway_client, deadline);
	struct gateways *g = c->g;
	if (c->phase == GATEWAY_IDLE)
		finish(c);
	else if (c->phase == GATEWAY_READING)
		refuse(c, 408, "The request did not come in time.");
	else if (c->phase == GATEWAY_HELD)
		gateway_client_attach(c);
	else if (c->status) { /* too late to say it */
		count_failed(c, c->body_done || stream_queued(c->stream)
					? "The client did not read its response in time."
					: "The request's body did not come in time.");
		gateway_client_drop(c);
	} else if (c->body_done || c->body_refused || stream_queued(c->upstream->stream))
		gateway_client_answer(c, 504, "The service did not answer in time.");
	else
		refuse(c, 408, "The request's body did not come in time.");
	gateway_sweep(g);
}

void gateway_client_accept(struct gateways *g, int fd, const struct sockaddr_storage *peer, socklen_t len)
{
	struct gateway_client *c = calloc(1, sizeof(*c));
	if (c)
		c->stream = stream_adopt(g->hub, fd, &ops, c);
	if (!c || !c->stream) {
		free(c);
		close(fd);
		return;
	}
	c->g = g;
	memcpy(&c->peer, peer, len < sizeof(c->peer) ? len : sizeof(c->peer));
	c->deadline.due = on_due;
	list_init(&c->waiting);
	list_append(&g->clients, &c->node);
	buf_init(&c->in, (size_t)config_of(c)->header_bytes + STREAM_READ_BYTES);
	forget_request(c);
	g->n_connections++;
	++*gauge(c);
	arm(c, g->mode == GATEWAY_DRAINING ? 1000 : config_of(c)->header_timeout);
	update_reading(c);
}
