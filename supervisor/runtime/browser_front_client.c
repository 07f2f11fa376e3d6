#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "browser_front.h"
#include "podvisor/runtime/browser_endpoint.h"
#include "podvisor/wire/http1_write.h"

#define HEAD_MS 10000

ms_t front_now(const struct browser_endpoint *e)
{
	return deadlines_now(streams_deadlines(e->streams));
}

void front_set_deadline(struct front_client *c, ms_t in)
{
	struct browser_endpoint *e = c->endpoint;
	deadline_set(streams_deadlines(e->streams), &c->deadline, clock_after(front_now(e), in));
}

void front_clear_deadline(struct front_client *c)
{
	deadline_clear(streams_deadlines(c->endpoint->streams), &c->deadline);
}

static void tell_queue(const struct browser_endpoint *e)
{
	if (e->sessions && e->calls && e->calls->queued)
		e->calls->queued(e->ctx, (int64_t)e->n_held);
}

void front_set_phase(struct front_client *c, enum front_phase phase)
{
	struct browser_endpoint *e = c->endpoint;
	size_t before = e->n_held;
	e->n_held += (size_t)(phase == FRONT_HELD) - (size_t)(c->phase == FRONT_HELD);
	c->phase = phase;
	list_remove(&c->node);
	list_append(phase == FRONT_HELD ? &e->held : &e->clients, &c->node);
	if (e->n_held != before)
		tell_queue(e);
}

static void tell_sessions(const struct browser_endpoint *e, const struct front_generation *g)
{
	if (e->sessions && e->calls && e->calls->counted)
		e->calls->counted(e->ctx, g->number, g->sessions, g->served);
}

void front_count_session(struct front_client *c, bool begins)
{
	struct browser_endpoint *e = c->endpoint;
	struct front_generation *g = c->generation;
	if (c->session == begins)
		return;
	c->session = begins;
	if (!e->sessions)
		return;
	*e->sessions += begins ? 1 : -1;
	g->sessions += begins ? 1 : -1;
	e->has_room |= !begins;
	tell_sessions(e, g);
}

void front_count_served(struct front_client *c)
{
	c->generation->served++;
	tell_sessions(c->endpoint, c->generation);
}

void front_leave_chrome(struct front_client *c)
{
	stream_close(c->up);
	c->up = NULL;
	buf_fini(&c->out);
	front_free_session(c);
	front_count_session(c, false);
	c->generation = NULL;
}

void front_free(struct front_client *c, bool politely)
{
	struct browser_endpoint *e = c->endpoint;
	front_leave_chrome(c);
	front_set_phase(c, FRONT_HEAD);
	list_remove(&c->node);
	front_clear_deadline(c);
	if (politely)
		stream_finish(c->down, FRONT_LINGER_MS);
	else
		stream_close(c->down);
	buf_fini(&c->in);
	buf_fini(&c->list);
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

void front_answer(struct front_client *c, int status, const char *type, struct span body)
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
	front_free(c, rc >= 0);
}

void front_refuse(struct front_client *c, int status, const char *fmt, ...)
{
	char text[512];
	va_list args;
	va_start(args, fmt);
	int n = vsnprintf(text, sizeof(text) - 1, fmt, args);
	va_end(args);
	size_t len = n < 0 ? 0 : (size_t)n < sizeof(text) - 1 ? (size_t)n : sizeof(text) - 2;
	text[len] = '\n';
	front_answer(c, status, "text/plain; charset=utf-8", (struct span){text, len + 1});
}

/* ---- waiting ---- */

static bool is_broken_for(const struct front_client *c)
{
	const struct browser_endpoint *e = c->endpoint;
	return e->current && c->failed == e->current->number;
}

static void refuse_held(struct front_client *c)
{
	front_refuse(c, 503, "%s",
		is_broken_for(c)       ? "Chrome cannot be reached"
		: c->endpoint->current ? "no session has become free"
				       : "no Chrome is ready");
}

void front_hold(struct front_client *c)
{
	struct browser_endpoint *e = c->endpoint;
	if (c->phase == FRONT_HELD)
		return; /* its time goes on */
	if (!c->hold_until)
		c->hold_until = clock_after(front_now(e), e->config->queue_timeout);
	if (clock_due(c->hold_until, front_now(e))) {
		refuse_held(c);
		return;
	}
	if (e->config->queue >= 0 && (int64_t)e->n_held >= e->config->queue) {
		front_refuse(c, 503, "%zu requests wait for Chrome already", e->n_held);
		return;
	}
	front_set_phase(c, FRONT_HELD);
	deadline_set(streams_deadlines(e->streams), &c->deadline, c->hold_until);
}

/* The same one is not asked again, or a port that refuses would be asked without end. */
void front_hold_again(struct front_client *c)
{
	uint64_t number = c->generation ? c->generation->number : 0;
	front_leave_chrome(c);
	buf_fini(&c->list);
	if (number > c->failed)
		c->failed = number;
	front_hold(c);
}

void front_resume_held(struct browser_endpoint *e)
{
	e->has_room = false;
	for (size_t n = e->n_held; n > 0 && !list_empty(&e->held); n--) {
		struct front_client *c = LIST_ENTRY(e->held.next, struct front_client, node);
		list_remove(&c->node);
		list_append(&e->held, &c->node);
		front_act(c);
	}
}

static void on_deadline(struct deadline *d)
{
	struct front_client *c = LIST_ENTRY(d, struct front_client, deadline);
	struct browser_endpoint *e = c->endpoint;
	if (c->phase == FRONT_HEAD || c->phase == FRONT_LEAVING)
		front_free(c, true);
	else if (c->phase == FRONT_HELD)
		refuse_held(c);
	else
		front_refuse(c, 504, "Chrome does not answer");
	if (e->has_room)
		front_resume_held(e);
}

/* ---- the request ---- */

static void on_request_bytes(struct stream *s, char *bytes, size_t n)
{
	struct front_client *c = stream_context(s);
	if (buf_put(&c->in, bytes, n) < 0)
		front_refuse(c, 400, "more than was expected");
	else if (c->phase == FRONT_HEAD)
		front_act(c);
}

static void on_request_end(struct stream *s, int status)
{
	(void)status;
	front_free(stream_context(s), false);
}

static const struct stream_ops request_ops = {.bytes = on_request_bytes, .end = on_request_end};

bool front_take_connection(struct browser_endpoint *e, int fd)
{
	struct front_client *c = e->n_clients < FRONT_CLIENTS_MAX ? calloc(1, sizeof(*c)) : NULL;
	struct stream *s = c ? stream_adopt(e->streams, fd, &request_ops, c) : NULL;
	if (!s) {
		free(c);
		return false;
	}
	c->endpoint = e;
	c->down = s;
	c->deadline.due = on_deadline;
	buf_init(&c->in, FRONT_HEAD_BYTES + FRONT_EARLY_BYTES);
	buf_init(&c->list, FRONT_ANSWER_BYTES);
	list_init(&c->node);
	list_append(&e->clients, &c->node);
	e->n_clients++;
	front_set_deadline(c, HEAD_MS);
	stream_read_start(s);
	return true;
}
