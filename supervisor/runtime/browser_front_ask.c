#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "browser_front.h"
#include "podvisor/base/secret.h"
#include "podvisor/io/address.h"
#include "podvisor/wire/http1_write.h"

#define CONNECT_MS 2000
#define ANSWER_MS  10000

static const struct http1_limits limits = {.header_bytes = FRONT_HEAD_BYTES, .headers = 100};

/* ---- what it comes to ---- */

static void answer_list(struct front_client *c)
{
	front_answer(c, 200, "application/json; charset=UTF-8", (struct span){c->list.data, c->list.len});
}

/* This generation cannot be asked. What the others know may be all there is; a page that they do not know may be one
 * of the current Chrome's if it was that one that failed. */
static void fail_here(struct front_client *c)
{
	const struct front_generation *current = c->endpoint->current;
	if (current && c->generation == current)
		c->failed = current->number;
	if (front_search_on(c))
		return;
	if (c->list.len)
		answer_list(c);
	else if (!c->searches || !current || c->failed == current->number)
		front_hold_again(c);
	else
		front_refuse(c, 404, "no such target: no Chrome knows it");
}

/* ---- Chrome's answer ---- */

/* The list names Chrome's own address, and podvisor's pages; neither is for clients. */
static int show(struct front_client *c, struct buf *out, struct span body)
{
	const struct front_generation *g = c->generation;
	const struct span host = c->endpoint->head.host;
	char from[32], to[256];
	snprintf(from, sizeof(from), "127.0.0.1:%d", g->port);
	snprintf(to, sizeof(to), "%.*s", (int)(host.len < 255 ? host.len : 255), host.at);
	return to[0] ? cdp_replace(out, body, from, to) : buf_put(out, body.at, body.len);
}

static void relay_document(struct front_client *c, const struct http1_head *answered, struct span body)
{
	struct buf shown;
	char type[101] = "text/plain";
	const struct span *type_field = http1_find(answered, "Content-Type");
	int status = answered->status;
	if (type_field)
		snprintf(type, sizeof(type), "%.*s", (int)(type_field->len < 100 ? type_field->len : 100),
			type_field->at);
	buf_init(&shown, FRONT_ANSWER_BYTES);
	if (show(c, &shown, body) < 0)
		front_refuse(c, 502, "Chrome's answer is too long");
	else
		front_answer(c, status, type, (struct span){buf_str(&shown), shown.len});
	buf_fini(&shown);
}

/* One list of all generations, the newest first. */
static void take_list(struct front_client *c, struct span body)
{
	const struct front_generation *g = c->generation;
	struct buf listed, shown;
	buf_init(&listed, FRONT_ANSWER_BYTES);
	buf_init(&shown, FRONT_ANSWER_BYTES);
	int rc = cdp_list_document(&listed, body, g->is_hidden, g->hidden_ctx);
	rc = rc ? rc : show(c, &shown, (struct span){listed.data, listed.len});
	rc = rc ? rc : cdp_list_append(&c->list, (struct span){shown.data, shown.len});
	buf_fini(&listed);
	buf_fini(&shown);
	if (rc < 0)
		front_refuse(c, 502, "Chrome's list of pages cannot be read");
	else if (!front_search_on(c))
		answer_list(c);
}

static void take_document(struct front_client *c, const struct http1_head *answered, struct span body)
{
	if (front_parse(c, NULL) <= 0)
		front_refuse(c, 502, "the request is lost");
	else if (front_is_list(front_path(c->endpoint->head.target)) && answered->status == 200)
		take_list(c, body);
	else if (answered->status == 200 || !front_search_on(c))
		relay_document(c, answered, body);
}

static void look_at_body(struct front_client *c, const struct http1_head *answered, size_t head_len, bool ended)
{
	struct span body = {c->out.data + head_len, c->out.len - head_len};
	if (answered->body == HTTP1_BODY_CHUNKED)
		front_refuse(c, 502, "Chrome answered in a way that is not expected");
	else if (answered->body == HTTP1_BODY_LENGTH && body.len >= answered->length)
		take_document(c, answered, (struct span){body.at, (size_t)answered->length});
	else if (answered->body == HTTP1_BODY_NONE || (answered->body == HTTP1_BODY_UNTIL_CLOSE && ended))
		take_document(c, answered, body);
}

static void take_upgrade(struct front_client *c, const struct http1_head *answered, size_t answer_bytes)
{
	int status = answered->status == 404 ? 404 : 502;
	ssize_t request = front_parse(c, NULL);
	if (answered->status == 101 && request > 0)
		front_begin_session(c, (size_t)request, answer_bytes);
	else if (answered->status == 101)
		front_refuse(c, 502, "the request is lost");
	else if (!front_search_on(c))
		front_refuse(c, status, "Chrome refused the WebSocket with %d: %s", answered->status,
			status == 404 ? "no such target" : "see its log");
}

static ssize_t parse_answer(struct front_client *c, struct http1_head *answered, struct err *err)
{
	struct http1_asked asked = {.websocket = c->websocket};
	struct span bytes = {c->out.data, c->out.len};
	return c->out.len ? http1_parse_response(answered, bytes, NULL, &limits, &asked, err) : 0;
}

static void look_at_answer(struct front_client *c, bool ended)
{
	struct http1_head answered;
	struct err err = {0};
	ssize_t n = parse_answer(c, &answered, &err);
	if (n < 0)
		front_refuse(c, 502, "Chrome's answer cannot be read: %.300s", err.text);
	else if (n > 0 && c->websocket)
		take_upgrade(c, &answered, (size_t)n);
	else if (n > 0)
		look_at_body(c, &answered, (size_t)n, ended);
}

static void on_answer_bytes(struct stream *s, char *bytes, size_t n)
{
	struct front_client *c = stream_context(s);
	if (buf_put(&c->out, bytes, n) < 0)
		front_refuse(c, 502, "Chrome's answer is too long");
	else
		look_at_answer(c, false);
}

static void on_answer_end(struct stream *s, int status)
{
	struct front_client *c = stream_context(s);
	struct http1_head answered;
	if (status == 0 && parse_answer(c, &answered, NULL) > 0 && answered.body == HTTP1_BODY_UNTIL_CLOSE)
		look_at_answer(c, true);
	else
		fail_here(c);
}

/* ---- the request to Chrome ---- */

/* The path without what is podvisor's: the token in the query. */
static void put_target(struct buf *out, struct span target, const char *secret)
{
	size_t path = front_path(target).len;
	buf_put(out, target.at, path);
	char mark = '?';
	for (struct span rest = {target.at + path, target.len - path}; rest.len;) {
		rest = (struct span){rest.at + 1, rest.len - 1};
		const char *end = memchr(rest.at, '&', rest.len);
		struct span part = {rest.at, end ? (size_t)(end - rest.at) : rest.len};
		rest = (struct span){part.at + part.len, rest.len - part.len};
		if (secret && part.len >= 6 && !memcmp(part.at, "token=", 6) &&
			secret_matches((struct span){part.at + 6, part.len - 6}, secret))
			continue;
		buf_putc(out, mark);
		buf_put(out, part.at, part.len);
		mark = '&';
	}
}

static bool is_browser(struct span path)
{
	static const char browser[] = "/devtools/browser/";
	return path.len >= sizeof(browser) - 1 && !memcmp(path.at, browser, sizeof(browser) - 1);
}

/* For a WebSocket to the browser Chrome wants its own id. No extension is offered to Chrome: it would compress,
 * which costs time on a loopback and hides from us what the client says. */
static int write_request(struct front_client *c, struct buf *out)
{
	struct http1_head *head = &c->endpoint->head;
	struct buf target;
	char host[32];
	if (front_parse(c, NULL) <= 0)
		return -EBADMSG;
	buf_init(&target, FRONT_HEAD_BYTES);
	if (c->websocket && is_browser(head->target))
		buf_printf(&target, "/devtools/browser/%s", c->generation->id);
	else
		put_target(&target, head->target, c->endpoint->config->token);
	snprintf(host, sizeof(host), "127.0.0.1:%d", c->generation->port);
	head->target = (struct span){buf_str(&target), target.len};
	head->host = span_of(host);
	struct http1_header set[] = {
		{SPAN("Origin"), {NULL, 0}},
		{SPAN("Authorization"), {NULL, 0}},
		{SPAN("Cookie"), {NULL, 0}},
		{SPAN("Sec-WebSocket-Extensions"), {NULL, 0}},
		{SPAN("Connection"), SPAN("close")},
	};
	int rc = target.failed ? target.failed : http1_write_request(out, head, set, c->websocket ? 4 : 5, NULL);
	buf_fini(&target);
	return rc;
}

static void on_connected(struct stream *s, int status)
{
	struct front_client *c = stream_context(s);
	if (status < 0) {
		fail_here(c);
		return;
	}
	struct buf request;
	buf_init(&request, 2 * (size_t)FRONT_HEAD_BYTES);
	int rc = write_request(c, &request);
	struct span bytes = {buf_str(&request), request.len};
	ssize_t queued = rc == 0 ? stream_write(s, &bytes, 1) : rc;
	buf_fini(&request);
	if (queued < 0) {
		front_refuse(c, 502, "the request cannot be passed on");
		return;
	}
	front_set_deadline(c, ANSWER_MS);
	stream_read_start(s);
}

static const struct stream_ops asking_ops = {.connected = on_connected, .bytes = on_answer_bytes, .end = on_answer_end};

void front_ask(struct front_client *c, struct front_generation *g)
{
	char text[32];
	struct address to;
	snprintf(text, sizeof(text), "127.0.0.1:%d", g->port);
	if (address_parse(&to, text, false, NULL) == 0)
		c->up = stream_connect(c->endpoint->streams, &to, CONNECT_MS, &asking_ops, c);
	if (!c->up) {
		front_refuse(c, 503, "no connection to Chrome can be made now");
		return;
	}
	c->generation = g;
	front_count_session(c, c->websocket);
	buf_init(&c->out, FRONT_ANSWER_BYTES);
	front_clear_deadline(c); /* connecting has its own */
	front_set_phase(c, FRONT_ASKING);
}
