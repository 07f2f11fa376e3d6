#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gateway_internal.h"

#define IDLE_CODE   WEBSOCKET_GOING_AWAY
#define IDLE_REASON "idle for too long"
/* The most that a backend can have written before its slot and that we cannot see yet: its send buffer (tcp_wmem). */
#define UNSEEN_BYTES (4 * 1024 * 1024)

enum closer { CLOSER_NONE, CLOSER_CLIENT, CLOSER_BACKEND, CLOSER_US };

/* Two streams and what is known of the two directions; no buffer. */
struct gateway_tunnel {
	struct gateway_corpse corpse;
	struct gateways *g;
	struct list node; /* in g->tunnels */
	struct stream *client, *backend; /* NULL: gone */
	struct websocket_tracker up, down; /* client to backend, backend to client */
	struct closing closing;
	struct gateway_access *access; /* NULL: nothing is to be told of it */
	struct deadline deadline;
	size_t catch_up; /* the slot has come, and so much may still be on its way that was written before; see step */
	ms_t active_at; /* the last byte, when there is an idle limit */
	ms_t gone_at; /* one side has ended; the other one may for as long as the linger time */
	uint16_t route;
	uint8_t closed_by; /* enum closer */
	uint8_t own_close; /* bytes of the backend's Close that came behind ours */
	bool muted; /* our Close is sent: nothing of the backend follows it */
	bool client_gone, client_broken, backend_gone;
	bool backend_told; /* by a Close of ours */
	bool for_drain, for_idle; /* why it is being closed */
	bool over; /* counted; only what the backend still sends is being forgotten */
};

static const struct config_gateway *config_of(const struct gateway_tunnel *t)
{
	return &t->g->config->gateway;
}

struct gateway_tunnel *gateway_tunnel_of(struct list *node)
{
	return LIST_ENTRY(node, struct gateway_tunnel, node);
}

/* ---- the end ---- */

static void free_tunnel(struct gateway_corpse *corpse)
{
	free(corpse);
}

static const char *closer_name(const struct gateway_tunnel *t)
{
	static const char *const names[] = {"", "client", "backend", "podvisor"};
	return names[t->closed_by];
}

static int our_code(const struct gateway_tunnel *t)
{
	const struct config_gateway *config = config_of(t);
	int code = config->routes[t->route].drain_code;
	return t->for_idle ? IDLE_CODE : code ? code : config->drain.code;
}

/* The code of the Close that came first. */
static int first_code(const struct gateway_tunnel *t)
{
	const struct websocket_tracker *first = t->closed_by == CLOSER_CLIENT ? &t->up : &t->down;
	if (t->muted && t->closed_by != CLOSER_CLIENT)
		return our_code(t);
	return first->closed ? first->close_code : WEBSOCKET_ABNORMAL;
}

static void tell_end(struct gateway_tunnel *t, const char *result)
{
	struct gateway_farewell end = {.code = first_code(t), .by = closer_name(t), .drained = result};
	end.messages[0] = t->up.messages;
	end.messages[1] = t->muted ? t->access->messages : t->down.messages;
	end.failed = end.code == WEBSOCKET_ABNORMAL;
	gateway_access_websocket(t->g, &t->access, &t->g->routes[t->route], &end);
}

static void count_end(struct gateway_tunnel *t)
{
	struct gateway_meter *m = t->g->meter;
	bool done = t->closing.state == CLOSING_DONE;
	enum gateway_close result = done ? (enum gateway_close)t->closing.result : GATEWAY_PEER_FIRST;
	m->closes_by_client += t->closed_by == CLOSER_CLIENT;
	m->closes_by_backend += t->closed_by == CLOSER_BACKEND;
	m->closes_by_podvisor += t->closed_by == CLOSER_US;
	if (t->access)
		tell_end(t, t->for_drain ? gateway_close_name(result) : NULL);
	if (!t->for_drain)
		return;
	m->drained[result]++;
	m->drain.results[result]++;
	if (result != GATEWAY_CLEAN)
		return;
	ms_t took = gateway_now(t->g) - t->closing.sent_at;
	histogram_add(&m->handshake_seconds, (double)took / 1000);
	if (took > m->drain.longest_handshake_ms)
		m->drain.longest_handshake_ms = took;
}

/* For the world it is gone. */
static void retire(struct gateway_tunnel *t)
{
	if (t->over)
		return;
	t->over = true;
	count_end(t);
	t->g->meter->websocket--;
}

static void depart(struct gateway_tunnel *t)
{
	struct gateways *g = t->g;
	retire(t);
	g->n_connections--;
	list_remove(&t->node);
	deadline_clear(g->deadlines, &t->deadline);
	t->client = t->backend = NULL;
	gateway_bury(g, &t->corpse, free_tunnel);
}

/* Each side gets FIN behind what was written to it, and what it still sends is
 * read and forgotten: here, when it may be messages, which are counted. A
 * backend that was told goodbye answers first, as the server that it is (RFC
 * 6455 7.1.1): a FIN right behind the Close makes some give up what they still
 * write, their own Close included. */
static void end(struct gateway_tunnel *t)
{
	ms_t linger = config_of(t)->drain.linger;
	struct stream *client = t->client, *backend = t->backend;
	if (t->muted && backend && !t->backend_gone && linger > 0) {
		retire(t);
		t->client = NULL;
		if (t->down.closed || (!t->up.closed && !t->backend_told))
			stream_shutdown(backend);
		stream_read_start(backend);
		deadline_set(t->g->deadlines, &t->deadline, gateway_now(t->g) + linger);
	} else {
		depart(t);
		stream_finish(backend, linger);
	}
	stream_finish(client, linger);
}

void gateway_tunnel_drop(struct gateway_tunnel *t)
{
	struct stream *client = t->client, *backend = t->backend;
	if (t->for_drain && !t->over)
		closing_give_up(&t->closing);
	depart(t);
	stream_close(client);
	stream_close(backend);
}

/* The client did not say goodbye to the backend: we do, if it fits between its frames. */
static void cut(struct gateway_tunnel *t)
{
	struct buf *out = &t->g->out;
	uint64_t random = random_next(&t->g->random);
	uint8_t key[4];
	memcpy(key, &random, sizeof(key));
	buf_clear(out);
	bool fits = t->backend && websocket_is_at(&t->up, WEBSOCKET_AT_FRAME) && !t->up.closed;
	t->backend_told = fits && websocket_close_frame(out, WEBSOCKET_GOING_AWAY, "", key) == 0;
	if (t->backend_told)
		(void)stream_write(t->backend, &(struct span){out->data, out->len}, 1);
	buf_clear(out);
	/* A client that does not read would keep its queue, and so the drain, waiting. */
	if (t->client && stream_queued(t->client)) {
		stream_close(t->client);
		t->client = NULL;
	}
	end(t);
}

/* ---- closing ---- */

static void rearm(struct gateway_tunnel *t)
{
	const struct config_gateway *config = config_of(t);
	ms_t at = t->closing.at;
	if (t->gone_at && t->closing.state == CLOSING_OPEN)
		at = clock_earlier(at, clock_after(t->gone_at, config->drain.linger));
	if (config->websocket_idle_timeout && t->closing.state == CLOSING_OPEN)
		at = clock_earlier(at, clock_after(t->active_at, config->websocket_idle_timeout));
	deadline_set(t->g->deadlines, &t->deadline, at);
}

static void send_close(struct gateway_tunnel *t)
{
	const struct config_gateway *config = config_of(t);
	const struct config_route *route = &config->routes[t->route];
	const char *reason = route->drain_reason ? route->drain_reason : config->drain.reason;
	struct buf *out = &t->g->out;
	buf_clear(out);
	if (t->for_idle)
		reason = IDLE_REASON;
	if (websocket_close_frame(out, (uint16_t)our_code(t), reason ? reason : "", NULL) < 0)
		(void)!websocket_close_frame(out, WEBSOCKET_SERVICE_RESTART, "", NULL);
	t->muted = true;
	if (t->access)
		t->access->messages = t->down.messages;
	t->closed_by = t->closed_by ? t->closed_by : CLOSER_US;
	if (stream_write(t->client, &(struct span){out->data, out->len}, 1) < 0)
		t->client_gone = t->client_broken = true;
	buf_clear(out);
	if (t->for_drain)
		histogram_add(
			&t->g->meter->close_delay_seconds, (double)(t->closing.sent_at - t->closing.began_at) / 1000);
	if (t->backend)
		stream_read_start(t->backend); /* to forget what it sends, and to see its end */
}

static struct closing_view view_of(const struct gateway_tunnel *t)
{
	return (struct closing_view){
		.at_message = websocket_is_at(&t->down, WEBSOCKET_AT_MESSAGE) && !t->catch_up,
		.at_frame = websocket_is_at(&t->down, WEBSOCKET_AT_FRAME) && !t->catch_up,
		.sound = !t->down.fault,
		.backend_closed = t->down.closed && !t->muted,
		.client_closed = t->up.closed,
		.backend_gone = t->backend_gone,
		.client_gone = t->client_gone,
		.client_broken = t->client_broken,
	};
}

/* Lets the closing go on from what can be seen now. False: the tunnel is no more. */
static bool step(struct gateway_tunnel *t)
{
	ms_t now = gateway_now(t->g);
	/* What the backend had finished before the slot goes first. If some of it lies unread here, more may lie in
	 * the backend's own buffer: the backlog is over when nothing is unread any more. */
	bool slot_comes = t->closing.state == CLOSING_SLOT && clock_due(t->closing.at, now);
	size_t unread = slot_comes && t->backend && !t->backend_gone ? stream_unread(t->backend) : 0;
	if (unread)
		t->catch_up = unread + UNSEEN_BYTES;
	if (t->closing.state == CLOSING_FRAME && clock_due(t->closing.at, now))
		t->catch_up = 0; /* the client does not take it: its time is over */
	struct closing_view view = view_of(t);
	switch (closing_step(&t->closing, &view, &config_of(t)->drain, now)) {
	case CLOSING_SEND:
		send_close(t);
		if (t->client_gone)
			return step(t);
		break;
	case CLOSING_FINISH:
		end(t);
		return false;
	case CLOSING_CUT:
		cut(t);
		return false;
	default:
		break;
	}
	rearm(t);
	return true;
}

static void begin_closing(struct gateway_tunnel *t, ms_t slot)
{
	closing_begin(&t->closing, slot);
	rearm(t);
}

void gateway_tunnel_drain(struct gateway_tunnel *t, ms_t slot)
{
	if (t->over)
		return;
	t->for_drain = true;
	if (t->gone_at && t->closing.state == CLOSING_OPEN)
		rearm(t); /* it is ending by itself */
	else
		begin_closing(t, slot);
}

void gateway_tunnel_hurry(struct gateway_tunnel *t)
{
	if (!t->over && closing_hurry(&t->closing, gateway_now(t->g)))
		step(t);
}

void gateway_tunnel_undrain(struct gateway_tunnel *t)
{
	if (t->over || !t->for_drain || !closing_take_back(&t->closing))
		return;
	t->for_drain = false;
	t->catch_up = 0;
	rearm(t);
}

static void on_due(struct deadline *d)
{
	struct gateway_tunnel *t = LIST_ENTRY(d, struct gateway_tunnel, deadline);
	struct gateways *g = t->g;
	if (t->over) {
		gateway_tunnel_drop(t);
	} else if (t->closing.state != CLOSING_OPEN) {
		step(t);
	} else if (t->gone_at) {
		end(t);
	} else if (gateway_now(g) < clock_after(t->active_at, config_of(t)->websocket_idle_timeout)) {
		rearm(t);
	} else {
		t->for_idle = true;
		begin_closing(t, gateway_now(g));
		step(t);
	}
	gateway_sweep(g);
}

/* ---- bytes ---- */

static void note_activity(struct gateway_tunnel *t)
{
	if (config_of(t)->websocket_idle_timeout)
		t->active_at = gateway_now(t->g);
}

/* How many of the bytes go to the client before the closing has to look again. */
static size_t follow_down(struct gateway_tunnel *t, char *bytes, size_t n)
{
	bool look = closing_wants_boundary(&t->closing);
	size_t m = 0;
	if (look && !t->catch_up)
		m = websocket_track(&t->down, (struct span){bytes, n},
			t->closing.state == CLOSING_MESSAGE ? WEBSOCKET_AT_MESSAGE : WEBSOCKET_AT_FRAME);
	if (m)
		return m;
	t->catch_up -= t->catch_up < n ? t->catch_up : n;
	if (t->catch_up && stream_unread(t->backend) == 0)
		t->catch_up = 0;
	return websocket_track(&t->down, (struct span){bytes, n}, WEBSOCKET_AT_NOTHING);
}

/* How much of the backend's Close has come, if that is what it is sending or has sent last. */
static size_t close_bytes(const struct websocket_tracker *down)
{
	struct websocket_frame frame = {0};
	if ((down->head[0] & 0xf) != WEBSOCKET_CLOSE)
		return 0;
	if (!down->closed && !down->in_payload)
		return down->have;
	size_t head = websocket_frame_decode(&frame, (struct span){down->head, sizeof(down->head)});
	return head + (size_t)(frame.length - down->left);
}

/* What the backend sends behind our Close: lost, and counted, but for its own Close. */
static void discard(struct gateway_tunnel *t, char *bytes, size_t n)
{
	websocket_track(&t->down, (struct span){bytes, n}, WEBSOCKET_AT_NOTHING);
	size_t own = t->down.fault ? t->own_close : close_bytes(&t->down);
	n -= own - t->own_close;
	t->own_close = (uint8_t)own;
	t->g->meter->discarded_bytes += n;
	t->g->meter->drain.discarded_bytes += t->for_drain ? n : 0;
}

static void pass_down(struct gateway_tunnel *t, char *bytes, size_t n)
{
	if (t->client_gone)
		return;
	ssize_t queued = stream_write(t->client, &(struct span){bytes, n}, 1);
	if (queued > 0)
		stream_read_stop(t->backend);
	else if (queued < 0)
		stream_read_start(t->client); /* brings its end */
}

static void on_backend_bytes(struct stream *s, char *bytes, size_t n)
{
	struct gateway_tunnel *t = stream_context(s);
	struct gateway_meter *m = t->g->meter;
	uint64_t before = t->down.messages;
	note_activity(t);
	while (n && !t->muted) {
		size_t some = follow_down(t, bytes, n);
		m->bytes[1] += some;
		if (t->access)
			t->access->sent += some;
		m->messages[1] += t->down.messages - before;
		before = t->down.messages;
		pass_down(t, bytes, some);
		bytes += some;
		n -= some;
		if (t->closing.state != CLOSING_OPEN && !step(t))
			return;
	}
	if (n)
		discard(t, bytes, n);
	if (t->over && t->down.closed)
		stream_shutdown(s);
	if (t->down.closed && !t->closed_by)
		t->closed_by = CLOSER_BACKEND;
}

static void pass_up(struct gateway_tunnel *t, const char *bytes, size_t n)
{
	if (!t->backend || !n)
		return;
	ssize_t queued = stream_write(t->backend, &(struct span){bytes, n}, 1);
	if (queued > 0)
		stream_read_stop(t->client);
}

/* While it is being closed nothing of the client follows its Close; before that every byte passes as it is. */
static void on_client_bytes(struct stream *s, char *bytes, size_t n)
{
	struct gateway_tunnel *t = stream_context(s);
	struct gateway_meter *m = t->g->meter;
	bool closing = t->closing.state != CLOSING_OPEN;
	uint64_t before = t->up.messages;
	note_activity(t);
	if (closing && t->up.closed)
		return;
	n = websocket_track(&t->up, (struct span){bytes, n}, closing ? WEBSOCKET_AT_CLOSED : WEBSOCKET_AT_NOTHING);
	m->bytes[0] += n;
	if (t->access)
		t->access->received += n;
	m->messages[0] += t->up.messages - before;
	pass_up(t, bytes, n);
	if (t->up.closed && !t->closed_by)
		t->closed_by = CLOSER_CLIENT;
	if (closing)
		step(t);
}

static void on_client_drained(struct stream *s)
{
	struct gateway_tunnel *t = stream_context(s);
	if (t->backend)
		stream_read_start(t->backend);
}

static void on_backend_drained(struct stream *s)
{
	struct gateway_tunnel *t = stream_context(s);
	if (t->client)
		stream_read_start(t->client);
}

/* ---- ends of one side ---- */

static void note_gone(struct gateway_tunnel *t, enum closer who)
{
	if (!t->gone_at)
		t->gone_at = gateway_now(t->g);
	if (!t->closed_by)
		t->closed_by = (uint8_t)who;
}

/* A WebSocket has no half-closed state: the other side ends too, or is ended after the linger time. */
static void on_client_end(struct stream *s, int status)
{
	struct gateway_tunnel *t = stream_context(s);
	t->client_gone = true;
	t->client_broken |= status < 0;
	note_gone(t, CLOSER_CLIENT);
	if (t->closing.state != CLOSING_OPEN) {
		step(t);
	} else if (status < 0 || t->backend_gone) {
		end(t);
	} else {
		stream_shutdown(t->backend);
		rearm(t);
	}
}

/* A backend that ends without a Close has died, or does as if: its client is
 * told to come again, where a frame of ours fits. */
static void on_backend_end(struct stream *s, int status)
{
	struct gateway_tunnel *t = stream_context(s);
	bool orderly = t->down.closed || t->up.closed;
	t->backend_gone = true;
	if (t->over) {
		gateway_tunnel_drop(t);
		return;
	}
	if (orderly || t->client_gone)
		note_gone(t, CLOSER_BACKEND);
	if (status < 0 || !t->down.closed) {
		stream_close(s);
		t->backend = NULL;
	}
	if (t->closing.state != CLOSING_OPEN) {
		step(t);
	} else if (t->client_gone) {
		end(t);
	} else if (orderly) {
		stream_shutdown(t->client);
		rearm(t);
	} else {
		t->closed_by = CLOSER_BACKEND;
		begin_closing(t, gateway_now(t->g));
		step(t);
	}
}

static const struct stream_ops client_ops = {
	.bytes = on_client_bytes, .end = on_client_end, .drained = on_client_drained};
static const struct stream_ops backend_ops = {
	.bytes = on_backend_bytes, .end = on_backend_end, .drained = on_backend_drained};

/* ---- the beginning ---- */

/* What the client sent behind its request, before the 101: frames already. */
static void pass_early(struct gateway_tunnel *t, struct buf *early)
{
	if (!early->len)
		return;
	websocket_track(&t->up, (struct span){early->data, early->len}, WEBSOCKET_AT_NOTHING);
	pass_up(t, early->data, early->len);
}

void gateway_tunnel_begin(struct gateway_client *c, struct gateway_upstream *u, char *bytes, size_t n)
{
	struct gateways *g = c->g;
	struct gateway_tunnel *t = calloc(1, sizeof(*t));
	struct span parts[2] = {{g->out.data, g->out.len}, {bytes, n}};
	if (!t) {
		gateway_client_upstream_lost(c, false, "Out of memory.");
		return;
	}
	*t = (struct gateway_tunnel){.g = g, .route = (uint16_t)c->route->index, .deadline.due = on_due};
	closing_init(&t->closing);
	websocket_tracker_init(&t->up, WEBSOCKET_CLIENT);
	websocket_tracker_init(&t->down, WEBSOCKET_SERVER);
	list_append(&g->tunnels, &t->node);
	g->meter->websocket++;
	note_activity(t);
	/* Both leave their buffers behind for as long as they are looked at. */
	t->access = c->access;
	c->access = NULL;
	struct buf early = c->in, late = u->in;
	buf_init(&c->in, 0);
	buf_init(&u->in, 0);
	t->backend = gateway_upstream_leave(u);
	t->client = gateway_client_leave(c);
	stream_give(t->client, &client_ops, t);
	stream_give(t->backend, &backend_ops, t);
	stream_read_start(t->client);
	websocket_track(&t->down, parts[1], WEBSOCKET_AT_NOTHING);
	g->meter->messages[1] += t->down.messages;
	ssize_t queued = stream_write(t->client, parts, 2);
	buf_clear(&g->out);
	pass_early(t, &early);
	gateway_empty(g, &early);
	gateway_empty(g, &late);
	if (queued > 0)
		stream_read_stop(t->backend);
	if (g->mode == GATEWAY_DRAINING)
		gateway_tunnel_drain(t, gateway_late_slot(g));
	else
		rearm(t);
}
