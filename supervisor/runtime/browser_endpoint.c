#include "podvisor/runtime/browser_endpoint.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "podvisor/base/list.h"
#include "podvisor/base/secret.h"
#include "podvisor/io/address.h"
#include "podvisor/io/listener.h"
#include "podvisor/io/stream.h"
#include "podvisor/wire/http1.h"
#include "podvisor/wire/http1_write.h"

#define CLIENTS_MAX  1024
#define HEAD_BYTES   16384
#define EARLY_BYTES  65536 /* what a client may send before its WebSocket stands */
#define ANSWER_BYTES ((size_t)8 << 20) /* /json/protocol is 1.4 MB */
#define HEAD_MS      10000
#define CONNECT_MS   2000
#define ANSWER_MS    10000
#define LINGER_MS    2000
#define BACKLOG      256
#define ID_BYTES     80

/* head ──► held ◄──► asking ──► tunnel
 *  │         └─────────┴──► answered, closed
 *  └──► answered, closed */
enum phase {
	PHASE_HEAD, /* the request is not complete */
	PHASE_HELD, /* for a Chrome, or for room in it */
	PHASE_ASKING, /* Chrome is connected to, or has not answered completely */
	PHASE_TUNNEL
};

struct client {
	struct list node; /* in endpoint->clients, or in endpoint->held while PHASE_HELD */
	struct browser_endpoint *endpoint;
	struct stream *down, *up; /* to the client; to Chrome, NULL while there is none */
	enum phase phase;
	bool websocket, session; /* session: counted as one */
	uint64_t generation; /* that it asks or has a tunnel to */
	struct deadline deadline; /* of the phase; none for a tunnel */
	ms_t hold_until; /* one for all its holds; 0: it was never held */
	uint64_t asked, failed; /* the offer that it asks; that it found broken; 0: none */
	struct buf in; /* the request's head, and what came behind it */
	struct buf out; /* Chrome's answer so far */
};

#define GENERATIONS 4

/* How many sessions one has. */
struct generation {
	uint64_t number; /* 0: free */
	int64_t sessions, served;
};

struct browser_endpoint {
	struct loop *loop;
	const struct browser_endpoint_calls *calls;
	void *ctx;
	struct generation generations[GENERATIONS];
	uint64_t current;
	struct streams *streams;
	struct listener *listener;
	const struct config_browser *config; /* borrowed */
	char *listen; /* where listener listens, as configured */
	struct list clients, held;
	size_t n_clients, n_held;
	int64_t *sessions; /* NULL: freed */
	char virtual_id[37], health_url[160];
	bool offered, has_room; /* has_room: a session has ended, somebody held may go on */
	uint64_t offers; /* the number of the Chrome that is offered, from 1 on */
	int port;
	char id[ID_BYTES];
	struct cdp_version version;
	cdp_is_hidden is_hidden;
	void *hidden_ctx;
	struct http1_head head; /* of the request that is being looked at */
};

static const struct http1_limits limits = {.header_bytes = HEAD_BYTES, .headers = 100};

static struct span path_of(struct span target)
{
	const char *query = memchr(target.at, '?', target.len);
	return (struct span){target.at, query ? (size_t)(query - target.at) : target.len};
}

static bool begins_with(struct span s, const char *prefix)
{
	return s.len >= strlen(prefix) && !memcmp(s.at, prefix, strlen(prefix));
}

static bool query_token(struct span target, struct span *token)
{
	const char *at = memchr(target.at, '?', target.len);
	while (at) {
		struct span rest = {at + 1, target.len - (size_t)(at + 1 - target.at)};
		const char *end = memchr(rest.at, '&', rest.len);
		if (rest.len >= 6 && !memcmp(rest.at, "token=", 6)) {
			*token = (struct span){rest.at + 6, (end ? (size_t)(end - rest.at) : rest.len) - 6};
			return true;
		}
		at = end;
	}
	return false;
}

/* ---- clients ---- */

static ms_t now_of(const struct browser_endpoint *e)
{
	return deadlines_now(streams_deadlines(e->streams));
}

static void set_deadline(struct client *c, ms_t in)
{
	deadline_set(streams_deadlines(c->endpoint->streams), &c->deadline, clock_after(now_of(c->endpoint), in));
}

static void clear_deadline(struct client *c)
{
	deadline_clear(streams_deadlines(c->endpoint->streams), &c->deadline);
}

static void set_phase(struct client *c, enum phase phase)
{
	struct browser_endpoint *e = c->endpoint;
	e->n_held += (size_t)(phase == PHASE_HELD) - (size_t)(c->phase == PHASE_HELD);
	c->phase = phase;
	list_remove(&c->node);
	list_append(phase == PHASE_HELD ? &e->held : &e->clients, &c->node);
}

static struct generation *generation_of(struct browser_endpoint *e, uint64_t number)
{
	for (size_t i = 0; number && i < GENERATIONS; i++)
		if (e->generations[i].number == number)
			return &e->generations[i];
	return NULL;
}

static void count_session(struct client *c, int by)
{
	struct browser_endpoint *e = c->endpoint;
	struct generation *g = generation_of(e, c->generation);
	*e->sessions += by;
	if (!g)
		return;
	g->sessions += by;
	g->served += by > 0;
	if (e->calls && e->calls->counted)
		e->calls->counted(e->ctx, g->number, g->sessions, g->served);
}

static void leave_chrome(struct client *c)
{
	stream_close(c->up);
	c->up = NULL;
	buf_fini(&c->out);
	if (c->session && c->endpoint->sessions) {
		count_session(c, -1);
		c->endpoint->has_room = true;
	}
	c->session = false;
}

/* politely: what was written to the client still arrives. */
static void client_free(struct client *c, bool politely)
{
	struct browser_endpoint *e = c->endpoint;
	leave_chrome(c);
	set_phase(c, PHASE_HEAD);
	list_remove(&c->node);
	clear_deadline(c);
	if (politely)
		stream_finish(c->down, LINGER_MS);
	else
		stream_close(c->down);
	buf_fini(&c->in);
	free(c);
	e->n_clients--;
}

/* ---- answers of podvisor's own ---- */

/* Fields that a status calls for (RFC 9110 11.6.1, 10.2.3, 15.5.22). */
static const char *field_of(int status)
{
	switch (status) {
	case 401:
		return "WWW-Authenticate: Bearer\r\n";
	case 405:
		return "Allow: GET, PUT\r\n";
	case 426:
		return "Upgrade: websocket\r\n";
	case 503:
		return "Retry-After: 2\r\n";
	default:
		return "";
	}
}

static void answer(struct client *c, int status, const char *type, struct span body)
{
	struct buf head;
	buf_init(&head, 1024);
	buf_printf(&head,
		"HTTP/1.1 %d %s\r\n%sContent-Type: %.100s\r\nContent-Length: %zu\r\nCache-Control: no-store\r\n"
		"Connection: close\r\n\r\n",
		status, http1_reason(status), field_of(status), type, body.len);
	struct span whole[] = {{buf_str(&head), head.len}, body};
	ssize_t rc = stream_write(c->down, whole, 2);
	buf_fini(&head);
	client_free(c, rc >= 0);
}

PRINTF_LIKE(3, 4)
static void refuse(struct client *c, int status, const char *fmt, ...)
{
	char text[512];
	va_list args;
	va_start(args, fmt);
	int n = vsnprintf(text, sizeof(text) - 1, fmt, args);
	va_end(args);
	size_t len = n < 0 ? 0 : (size_t)n < sizeof(text) - 1 ? (size_t)n : sizeof(text) - 2;
	text[len] = '\n';
	answer(c, status, "text/plain; charset=utf-8", (struct span){text, len + 1});
}

static bool is_broken_for(const struct client *c)
{
	return c->endpoint->offered && c->failed == c->endpoint->offers;
}

static void refuse_held(struct client *c)
{
	const struct browser_endpoint *e = c->endpoint;
	refuse(c, 503, "%s",
		is_broken_for(c) ? "Chrome cannot be reached"
		: e->offered     ? "no session has become free"
				 : "no Chrome is ready");
}

static void hold(struct client *c, ms_t at_most)
{
	struct browser_endpoint *e = c->endpoint;
	if (c->phase == PHASE_HELD)
		return; /* its time goes on */
	if (!c->hold_until)
		c->hold_until = clock_after(now_of(e), at_most);
	if (clock_due(c->hold_until, now_of(e))) {
		refuse_held(c);
		return;
	}
	if (e->config->queue >= 0 && (int64_t)e->n_held >= e->config->queue) {
		refuse(c, 503, "%zu requests wait for Chrome already", e->n_held);
		return;
	}
	set_phase(c, PHASE_HELD);
	deadline_set(streams_deadlines(e->streams), &c->deadline, c->hold_until);
}

/* Chrome went away before it had answered: the next one may. This one is not asked
 * again, or a port that refuses would be asked without end. */
static void hold_again(struct client *c)
{
	leave_chrome(c);
	c->failed = c->asked;
	hold(c, BROWSER_HOLD_MS);
}

/* ---- Chrome's answer ---- */

static const struct stream_ops tunnel_down_ops, tunnel_up_ops;

static void resume_held(struct browser_endpoint *e);

static void on_deadline(struct deadline *d)
{
	struct client *c = LIST_ENTRY(d, struct client, deadline);
	struct browser_endpoint *e = c->endpoint;
	if (c->phase == PHASE_HEAD)
		client_free(c, true);
	else if (c->phase == PHASE_HELD)
		refuse_held(c);
	else
		refuse(c, 504, "Chrome does not answer");
	if (e->has_room)
		resume_held(e);
}

static void begin_tunnel(struct client *c, size_t head_len)
{
	struct span down = {c->out.data, c->out.len}, up = {c->in.data + head_len, c->in.len - head_len};
	clear_deadline(c);
	set_phase(c, PHASE_TUNNEL);
	stream_give(c->down, &tunnel_down_ops, c);
	stream_give(c->up, &tunnel_up_ops, c);
	ssize_t to_client = stream_write(c->down, &down, 1), to_chrome = stream_write(c->up, &up, 1);
	buf_fini(&c->out);
	buf_fini(&c->in);
	if (to_client < 0 || to_chrome < 0) {
		client_free(c, false);
		return;
	}
	if (to_client > 0)
		stream_read_stop(c->up);
	if (to_chrome > 0)
		stream_read_stop(c->down);
	else
		stream_read_start(c->down);
}

/* Parsed anew each time it is needed: the bytes are still there, the parsed form is not. */
static ssize_t parse_request(struct client *c, struct err *err)
{
	return http1_parse_request(&c->endpoint->head, (struct span){c->in.data, c->in.len}, NULL, &limits, err);
}

/* The list names Chrome's own address, and podvisor's pages; neither is for clients. */
static void relay_document(struct client *c, const struct http1_head *answered, struct span body)
{
	struct browser_endpoint *e = c->endpoint;
	struct buf shown, listed;
	char from[32], to[256], type[101] = "text/plain";
	const struct span *type_field = http1_find(answered, "Content-Type");
	int status = answered->status;
	if (type_field)
		snprintf(type, sizeof(type), "%.*s", (int)(type_field->len < 100 ? type_field->len : 100),
			type_field->at);
	buf_init(&shown, ANSWER_BYTES);
	buf_init(&listed, ANSWER_BYTES);
	if (parse_request(c, NULL) > 0) {
		const struct http1_head *asked = &e->head;
		struct span path = path_of(asked->target);
		snprintf(from, sizeof(from), "127.0.0.1:%d", e->port);
		snprintf(to, sizeof(to), "%.*s", (int)(asked->host.len < 255 ? asked->host.len : 255), asked->host.at);
		bool is_list = span_equals(path, "/json") || span_equals(path, "/json/") ||
			       span_equals(path, "/json/list") || span_equals(path, "/json/list/");
		if (is_list && cdp_list_document(&listed, body, e->is_hidden, e->hidden_ctx) == 0)
			body = (struct span){listed.data, listed.len};
		if (to[0] && cdp_replace(&shown, body, from, to) == 0)
			body = (struct span){buf_str(&shown), shown.len};
	}
	answer(c, status, type, body);
	buf_fini(&shown);
	buf_fini(&listed);
}

static void take_document(struct client *c, const struct http1_head *answered, size_t head_len, bool ended)
{
	struct span body = {c->out.data + head_len, c->out.len - head_len};
	if (answered->body == HTTP1_BODY_CHUNKED)
		refuse(c, 502, "Chrome answered in a way that is not expected");
	else if (answered->body == HTTP1_BODY_LENGTH && body.len >= answered->length)
		relay_document(c, answered, (struct span){body.at, (size_t)answered->length});
	else if (answered->body == HTTP1_BODY_NONE || (answered->body == HTTP1_BODY_UNTIL_CLOSE && ended))
		relay_document(c, answered, body);
}

static void take_upgrade(struct client *c, const struct http1_head *answered)
{
	if (answered->status != 101) {
		refuse(c, answered->status == 404 ? 404 : 502, "Chrome refused the WebSocket with %d: %s",
			answered->status, answered->status == 404 ? "no such target" : "see its log");
		return;
	}
	ssize_t request = parse_request(c, NULL);
	if (request <= 0)
		refuse(c, 502, "the request is lost");
	else
		begin_tunnel(c, (size_t)request);
}

static void look_at_answer(struct client *c, bool ended)
{
	struct http1_head answered;
	struct http1_asked asked = {.websocket = c->websocket};
	struct err err = {0};
	struct span bytes = {c->out.data, c->out.len};
	ssize_t n = c->out.len ? http1_parse_response(&answered, bytes, NULL, &limits, &asked, &err) : 0;
	if (n < 0)
		refuse(c, 502, "Chrome's answer cannot be read: %.300s", err.text);
	else if (n > 0 && c->websocket)
		take_upgrade(c, &answered);
	else if (n > 0)
		take_document(c, &answered, (size_t)n, ended);
}

static void on_answer_bytes(struct stream *s, char *bytes, size_t n)
{
	struct client *c = stream_context(s);
	if (buf_put(&c->out, bytes, n) < 0)
		refuse(c, 502, "Chrome's answer is too long");
	else
		look_at_answer(c, false);
}

static void on_answer_end(struct stream *s, int status)
{
	struct client *c = stream_context(s);
	struct http1_head answered;
	struct http1_asked asked = {.websocket = c->websocket};
	struct span bytes = {c->out.data, c->out.len};
	bool whole = status == 0 && c->out.len &&
		     http1_parse_response(&answered, bytes, NULL, &limits, &asked, NULL) > 0 &&
		     answered.body == HTTP1_BODY_UNTIL_CLOSE;
	if (whole)
		look_at_answer(c, true);
	else
		hold_again(c);
}

/* ---- the request to Chrome ---- */

/* The path without what is podvisor's: the token in the query. */
static void put_target(struct buf *out, struct span target, const char *secret)
{
	const char *query = memchr(target.at, '?', target.len);
	size_t path = query ? (size_t)(query - target.at) : target.len;
	buf_put(out, target.at, path);
	char mark = '?';
	for (struct span rest = {target.at + path, target.len - path}; rest.len;) {
		rest = (struct span){rest.at + 1, rest.len - 1};
		const char *end = memchr(rest.at, '&', rest.len);
		struct span part = {rest.at, end ? (size_t)(end - rest.at) : rest.len};
		rest = (struct span){part.at + part.len, rest.len - part.len};
		if (secret && begins_with(part, "token=") &&
			secret_matches((struct span){part.at + 6, part.len - 6}, secret))
			continue;
		buf_putc(out, mark);
		buf_put(out, part.at, part.len);
		mark = '&';
	}
}

/* For a WebSocket to the browser Chrome wants its own id. */
static int write_request(struct client *c, struct buf *out)
{
	struct browser_endpoint *e = c->endpoint;
	struct buf target;
	char host[32];
	if (parse_request(c, NULL) <= 0)
		return -EBADMSG;
	buf_init(&target, HEAD_BYTES);
	if (c->session)
		buf_printf(&target, "/devtools/browser/%s", e->id);
	else
		put_target(&target, e->head.target, e->config->token);
	snprintf(host, sizeof(host), "127.0.0.1:%d", e->port);
	e->head.target = (struct span){buf_str(&target), target.len};
	e->head.host = span_of(host);
	struct http1_header set[] = {
		{SPAN("Origin"), {NULL, 0}},
		{SPAN("Authorization"), {NULL, 0}},
		{SPAN("Cookie"), {NULL, 0}},
		{SPAN("Connection"), SPAN("close")},
	};
	int rc = target.failed ? target.failed : http1_write_request(out, &e->head, set, c->websocket ? 3 : 4, NULL);
	buf_fini(&target);
	return rc;
}

static void on_connected(struct stream *s, int status)
{
	struct client *c = stream_context(s);
	if (status < 0) {
		hold_again(c);
		return;
	}
	struct buf request;
	buf_init(&request, 2 * HEAD_BYTES);
	int rc = write_request(c, &request);
	struct span bytes = {buf_str(&request), request.len};
	ssize_t queued = rc == 0 ? stream_write(s, &bytes, 1) : rc;
	buf_fini(&request);
	if (queued < 0) {
		refuse(c, 502, "the request cannot be passed on");
		return;
	}
	set_deadline(c, ANSWER_MS);
	stream_read_start(s);
}

static const struct stream_ops asking_up_ops = {
	.connected = on_connected, .bytes = on_answer_bytes, .end = on_answer_end};

static void ask_chrome(struct client *c, bool session)
{
	struct browser_endpoint *e = c->endpoint;
	char text[32];
	struct address to;
	snprintf(text, sizeof(text), "127.0.0.1:%d", e->port);
	if (address_parse(&to, text, false, NULL) == 0)
		c->up = stream_connect(e->streams, &to, CONNECT_MS, &asking_up_ops, c);
	if (!c->up) {
		refuse(c, 503, "no connection to Chrome can be made now");
		return;
	}
	c->session = session;
	c->asked = e->offers;
	c->generation = e->current;
	if (session)
		count_session(c, 1);
	buf_init(&c->out, ANSWER_BYTES);
	clear_deadline(c); /* connecting has its own */
	set_phase(c, PHASE_ASKING);
}

/* ---- who may ---- */

static bool is_authorized(const struct http1_head *head, const char *secret)
{
	const struct span *field = http1_find(head, "Authorization");
	struct span token;
	if (field && http1_bearer(*field, &token) && secret_matches(token, secret))
		return true;
	return query_token(head->target, &token) && secret_matches(token, secret);
}

static bool is_origin_allowed(const struct http1_head *head, char *const *allowed)
{
	const struct span *origin = http1_find(head, "Origin");
	if (!origin)
		return true;
	for (; allowed && *allowed; allowed++)
		if (!strcmp(*allowed, "*") || span_equals_nocase(*origin, *allowed))
			return true;
	return false;
}

/* ---- routing ---- */

static void answer_health(struct client *c)
{
	answer(c, 200, "text/html; charset=utf-8", SPAN("<!doctype html><title>podvisor</title><p>reached\n"));
}

/* A client that came with its token in the query finds it in the address it goes on with. */
static void answer_version(struct client *c)
{
	struct browser_endpoint *e = c->endpoint;
	struct span host = e->head.host.len ? e->head.host : span_of(listener_address(e->listener)), token;
	char name[256], query[600] = "";
	struct buf document;
	snprintf(name, sizeof(name), "%.*s", (int)(host.len < 255 ? host.len : 255), host.at);
	if (e->config->token && query_token(e->head.target, &token) && secret_matches(token, e->config->token))
		snprintf(query, sizeof(query), "?token=%.*s", (int)token.len, token.at);
	buf_init(&document, 8192);
	if (cdp_version_document(&document, &e->version, name, e->virtual_id, query) == 0)
		answer(c, 200, "application/json; charset=UTF-8", (struct span){document.data, document.len});
	else
		refuse(c, 400, "its Host cannot be told in an answer");
	buf_fini(&document);
}

/* The virtual id, or that of the Chrome that is current. */
static bool is_known_browser(const struct browser_endpoint *e, struct span id)
{
	return span_equals_nocase(id, e->virtual_id) || (e->id[0] && span_equals(id, e->id));
}

static void route_websocket(struct client *c, struct span path)
{
	struct browser_endpoint *e = c->endpoint;
	static const char browser[] = "/devtools/browser/";
	bool session = begins_with(path, browser);
	size_t n = sizeof(browser) - 1;
	if (e->head.upgrade != HTTP1_UPGRADE_WEBSOCKET) {
		refuse(c, 426, "this address speaks WebSocket");
		return;
	}
	if (session && !is_known_browser(e, (struct span){path.at + n, path.len - n})) {
		refuse(c, 404, "no such browser: it may have been replaced; ask /json/version for its address");
		return;
	}
	if (session && e->config->max_sessions > 0 && *e->sessions >= e->config->max_sessions) {
		hold(c, e->config->queue_timeout);
		return;
	}
	c->websocket = true;
	ask_chrome(c, session);
}

static void route_document(struct client *c, struct span path)
{
	static const char *const passed[] = {"/json", "/json/", "/json/list", "/json/list/", "/json/protocol",
		"/json/protocol/", "/json/new", "/json/new/"};
	bool known = begins_with(path, "/json/activate/") || begins_with(path, "/json/close/");
	for (size_t i = 0; i < sizeof(passed) / sizeof(*passed); i++)
		known |= span_equals(path, passed[i]);
	if (span_equals(path, "/json/version") || span_equals(path, "/json/version/"))
		answer_version(c);
	else if (known)
		ask_chrome(c, false);
	else
		refuse(c, 404, "no such address; /json/version names the browser's");
}

/* A request that is complete. Comes here again after it was held. */
static void act(struct client *c)
{
	struct browser_endpoint *e = c->endpoint;
	struct err err = {0};
	ssize_t n = parse_request(c, &err);
	const struct http1_head *head = &e->head;
	if (n == 0)
		return;
	struct span path = n > 0 ? path_of(head->target) : SPAN("");
	bool has_body = n > 0 && head->body != HTTP1_BODY_NONE && !(head->body == HTTP1_BODY_LENGTH && !head->length);
	if (n < 0)
		refuse(c, http1_refusal_status((int)n), "%.400s", err.text);
	else if (has_body)
		refuse(c, 400, "no request here has a body");
	else if (span_equals(path, BROWSER_HEALTH_PATH))
		answer_health(c);
	else if (!is_origin_allowed(head, e->config->allow_origins))
		refuse(c, 403, "this Origin is not allowed (allow_origins)");
	else if (e->config->token && !is_authorized(head, e->config->token))
		refuse(c, 401, "a token is needed: as Authorization: Bearer, or as ?token=");
	else if (!span_equals(head->method, "GET") && !span_equals(head->method, "PUT"))
		refuse(c, 405, "only GET and PUT are understood here");
	else if (!begins_with(path, "/devtools/") && !begins_with(path, "/json"))
		refuse(c, 404, "no such address; /json/version names the browser's");
	else if (!e->offered || is_broken_for(c))
		hold(c, BROWSER_HOLD_MS);
	else if (begins_with(path, "/devtools/"))
		route_websocket(c, path);
	else
		route_document(c, path);
}

/* ---- streams ---- */

static void on_request_bytes(struct stream *s, char *bytes, size_t n)
{
	struct client *c = stream_context(s);
	if (buf_put(&c->in, bytes, n) < 0)
		refuse(c, 400, "more than was expected");
	else if (c->phase == PHASE_HEAD)
		act(c);
}

static void on_request_end(struct stream *s, int status)
{
	(void)status;
	client_free(stream_context(s), false);
}

static const struct stream_ops request_ops = {.bytes = on_request_bytes, .end = on_request_end};

/* From one side to the other; a side that does not keep up stops the other one. */
static void pass(struct client *c, struct stream *from, struct stream *to, char *bytes, size_t n)
{
	struct span part = {bytes, n};
	ssize_t queued = stream_write(to, &part, 1);
	if (queued > 0)
		stream_read_stop(from);
	else if (queued < 0)
		client_free(c, false);
}

static void on_down_bytes(struct stream *s, char *bytes, size_t n)
{
	struct client *c = stream_context(s);
	pass(c, s, c->up, bytes, n);
}

static void on_up_bytes(struct stream *s, char *bytes, size_t n)
{
	struct client *c = stream_context(s);
	pass(c, s, c->down, bytes, n);
}

static void on_down_drained(struct stream *s)
{
	stream_read_start(((struct client *)stream_context(s))->up);
}

static void on_up_drained(struct stream *s)
{
	stream_read_start(((struct client *)stream_context(s))->down);
}

static void on_tunnel_end(struct stream *s, int status)
{
	(void)status;
	struct client *c = stream_context(s);
	client_free(c, s == c->up);
}

static const struct stream_ops tunnel_down_ops = {
	.bytes = on_down_bytes, .end = on_tunnel_end, .drained = on_down_drained};
static const struct stream_ops tunnel_up_ops = {.bytes = on_up_bytes, .end = on_tunnel_end, .drained = on_up_drained};

static void on_accepted(void *ctx, int fd, const struct sockaddr_storage *peer, socklen_t peer_len)
{
	(void)peer;
	(void)peer_len;
	struct browser_endpoint *e = ctx;
	struct client *c = e->n_clients < CLIENTS_MAX ? calloc(1, sizeof(*c)) : NULL;
	struct stream *s = c ? stream_adopt(e->streams, fd, &request_ops, c) : NULL;
	if (!s) {
		free(c);
		close(fd);
		return;
	}
	c->endpoint = e;
	c->down = s;
	c->deadline.due = on_deadline;
	buf_init(&c->in, HEAD_BYTES + EARLY_BYTES);
	list_init(&c->node);
	list_append(&e->clients, &c->node);
	e->n_clients++;
	set_deadline(c, HEAD_MS);
	stream_read_start(s);
}

/* ---- from outside ---- */

/* Each is looked at once, in the order they came; who cannot go on stays. */
static void resume_held(struct browser_endpoint *e)
{
	e->has_room = false;
	for (size_t n = e->n_held; n > 0 && !list_empty(&e->held) && e->offered; n--) {
		struct client *c = LIST_ENTRY(e->held.next, struct client, node);
		list_remove(&c->node);
		list_append(&e->held, &c->node);
		act(c);
	}
}

static void after_round(void *ctx)
{
	struct browser_endpoint *e = ctx;
	if (e->has_room && e->sessions)
		resume_held(e);
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

void browser_endpoint_offer(struct browser_endpoint *e, const struct browser_backend *backend)
{
	struct generation *g = generation_of(e, backend->generation);
	for (size_t i = 0; !g && i < GENERATIONS; i++)
		if (!e->generations[i].number)
			g = &e->generations[i];
	if (g)
		g->number = backend->generation;
	e->current = backend->generation;
	e->port = backend->port;
	snprintf(e->id, sizeof(e->id), "%s", backend->id);
	e->version = *backend->version;
	e->is_hidden = backend->is_hidden;
	e->hidden_ctx = backend->ctx;
	e->offered = true;
	e->offers++;
	resume_held(e);
}

void browser_endpoint_retire(struct browser_endpoint *e, uint64_t generation)
{
	if (e->current == generation)
		e->offered = false;
}

static void cut(struct client *c)
{
	if (c->phase == PHASE_TUNNEL)
		client_free(c, true);
	else if (c->phase == PHASE_ASKING)
		hold_again(c);
}

void browser_endpoint_withdraw(struct browser_endpoint *e, uint64_t generation)
{
	struct generation *g = generation_of(e, generation);
	browser_endpoint_retire(e, generation);
	if (e->current == generation)
		e->id[0] = '\0';
	LIST_EACH (at, &e->clients) {
		struct client *c = LIST_ENTRY(at, struct client, node);
		if (c->generation == generation)
			cut(c);
	}
	if (g)
		*g = (struct generation){0};
}

void browser_endpoint_free(struct browser_endpoint *e)
{
	if (!e)
		return;
	e->sessions = NULL;
	listener_free(e->listener);
	LIST_EACH (at, &e->clients)
		client_free(LIST_ENTRY(at, struct client, node), false);
	LIST_EACH (at, &e->held)
		client_free(LIST_ENTRY(at, struct client, node), false);
	streams_free(e->streams);
	free(e->listen);
	free(e);
}
