#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "browser_front.h"
#include "podvisor/wire/cdp_guard.h"
#include "podvisor/wire/cdp_watch.h"

#define AWAITED      64 /* commands whose answers tell what was made; of more the oldest are forgotten */
#define MADE_MAX     1024 /* targets and contexts of one session; likewise */
#define MADE_ID      40
#define LEAVE_MS     2000 /* for Chrome to close them */
#define OWN_IDS      2000000000L /* no client counts so far */
#define FIRST_ROOM   16
#define BYE_CODE     1000
#define REFUSED_CODE 1008

struct made {
	bool context; /* else a target */
	char id[MADE_ID];
};

/* Two directions, and what of them has to be known. */
struct front_session {
	struct cdp_watch watch; /* Chrome to client */
	bool guarded;
	struct cdp_guard guard; /* client to Chrome, when client_close is detach */
	ssize_t written; /* of the writes to Chrome of this call: the last result */
	bool closing; /* the client has said Browser.close; its answer is awaited */
	char close_id[CDP_WORD_BYTES];
	char awaited[AWAITED][CDP_WORD_BYTES]; /* ring of ids; "": free */
	unsigned n_awaited, next_awaited;
	struct made *made;
	size_t n_made, room;
	size_t left; /* answers that are still to come before it is over */
};

void front_free_session(struct front_client *c)
{
	if (!c->talk)
		return;
	cdp_guard_fini(&c->talk->guard);
	free(c->talk->made);
	free(c->talk);
	c->talk = NULL;
}

/* A Close where there may be one, so that the client knows that this was no accident. */
static void say_goodbye(struct front_client *c, uint16_t code, const char *reason)
{
	struct buf frame;
	const struct websocket_tracker *t = &c->talk->watch.tracker;
	if (!websocket_is_at(t, WEBSOCKET_AT_FRAME) || t->closed)
		return;
	buf_init(&frame, WEBSOCKET_HEAD_BYTES + WEBSOCKET_CONTROL_BYTES);
	if (websocket_close_frame(&frame, code, reason, NULL) == 0)
		stream_write(c->down, &(struct span){frame.data, frame.len}, 1);
	buf_fini(&frame);
}

void front_end_session(struct front_client *c)
{
	if (c->phase == FRONT_TUNNEL)
		say_goodbye(c, WEBSOCKET_GOING_AWAY, "this Chrome ends; connect again");
	front_free(c, true);
}

/* ---- what a session has made ---- */

static void remember(struct front_session *t, bool context, const char *id)
{
	size_t n = strlen(id);
	if (n == 0 || n >= MADE_ID)
		return;
	if (t->n_made == MADE_MAX)
		memmove(t->made, t->made + 1, --t->n_made * sizeof(*t->made));
	if (t->n_made == t->room) {
		size_t room = t->room ? 2 * t->room : FIRST_ROOM;
		struct made *more = reallocarray(t->made, room, sizeof(*more));
		if (!more)
			return; /* the janitor finds it */
		t->made = more;
		t->room = room;
	}
	t->made[t->n_made].context = context;
	memcpy(t->made[t->n_made++].id, id, n + 1);
}

static void forget(struct front_session *t, const char *id)
{
	for (size_t i = 0; i < t->n_made; i++)
		if (!strcmp(t->made[i].id, id)) {
			t->made[i] = t->made[--t->n_made];
			return;
		}
}

static void await_answer(struct front_session *t, const char *id)
{
	char *place = t->awaited[t->next_awaited++ % AWAITED];
	t->n_awaited += place[0] == '\0' && id[0] != '\0';
	snprintf(place, CDP_WORD_BYTES, "%s", id);
}

static bool was_awaited(struct front_session *t, const char *id)
{
	for (size_t i = 0; i < AWAITED; i++)
		if (t->awaited[i][0] && !strcmp(t->awaited[i], id)) {
			t->awaited[i][0] = '\0';
			t->n_awaited--;
			return true;
		}
	return false;
}

/* ---- from the client to Chrome ---- */

static void on_pass(void *ctx, struct span bytes)
{
	struct front_client *c = ctx;
	if (c->talk->written >= 0)
		c->talk->written = stream_write(c->up, &bytes, 1);
}

static void on_command(void *ctx, enum cdp_kind kind, const struct cdp_scan *message)
{
	struct front_session *t = ((struct front_client *)ctx)->talk;
	const char *id = message->words[CDP_ID];
	switch (kind) {
	case CDP_CLOSE:
		t->closing = id[0] != '\0';
		memcpy(t->close_id, id, sizeof(t->close_id));
		break;
	case CDP_CREATE_TARGET:
	case CDP_CREATE_CONTEXT:
		await_answer(t, id);
		break;
	case CDP_CLOSE_TARGET:
		forget(t, message->words[CDP_TARGET]);
		break;
	case CDP_DISPOSE_CONTEXT:
		forget(t, message->words[CDP_CONTEXT]);
		break;
	default:
		break;
	}
}

static const struct cdp_guard_calls guard_calls = {.pass = on_pass, .command = on_command};

static void take_from_client(struct front_client *c, struct span bytes)
{
	struct front_session *t = c->talk;
	t->written = 0;
	if (t->guarded)
		cdp_guard_take(&t->guard, bytes, &guard_calls, c);
	else if (bytes.len)
		on_pass(c, bytes);
	if (t->written < 0) {
		front_free(c, false);
	} else if (t->guard.end) {
		say_goodbye(c, REFUSED_CODE, t->guard.end);
		front_free(c, true);
	} else if (t->written > 0) {
		stream_read_stop(c->down);
	}
}

static void on_down_bytes(struct stream *s, char *bytes, size_t n)
{
	take_from_client(stream_context(s), (struct span){bytes, n});
}

static void on_down_drained(struct stream *s)
{
	stream_read_start(((struct front_client *)stream_context(s))->up);
}

static void on_down_end(struct stream *s, int status)
{
	(void)status;
	front_free(stream_context(s), false);
}

static const struct stream_ops down_ops = {.bytes = on_down_bytes, .end = on_down_end, .drained = on_down_drained};

/* ---- the session leaves, Chrome stays ---- */

static int put_farewell(struct buf *out, const struct made *m, size_t number)
{
	char id[32], params[128];
	snprintf(id, sizeof(id), "%ld", OWN_IDS + (long)number);
	snprintf(params, sizeof(params), "{\"%s\":\"%s\"}", m->context ? "browserContextId" : "targetId", m->id);
	return cdp_guard_put_command(
		out, id, "", m->context ? "Target.disposeBrowserContext" : "Target.closeTarget", params);
}

/* Contexts first: their pages go with them. How many answers there will be; none when it cannot be sent. */
static size_t close_what_it_made(struct front_client *c)
{
	struct front_session *t = c->talk;
	struct buf commands;
	size_t n = 0;
	buf_init(&commands, STREAM_QUEUE_MAX / 2);
	for (int context = 1; context >= 0; context--)
		for (size_t i = 0; i < t->n_made; i++)
			if (t->made[i].context == context && put_farewell(&commands, &t->made[i], n) == 0)
				n++;
	if (n && stream_write(c->up, &(struct span){commands.data, commands.len}, 1) < 0)
		n = 0;
	buf_fini(&commands);
	return n;
}

static void on_leaving_bytes(struct stream *s, char *bytes, size_t n)
{
	struct front_client *c = stream_context(s);
	struct front_session *t = c->talk;
	const struct cdp_scan *answer;
	for (size_t at = 0; at < n && t->left;) {
		at += cdp_watch_follow(&t->watch, (struct span){bytes + at, n - at}, true, &answer);
		if (answer && atol(answer->words[CDP_ID]) >= OWN_IDS)
			t->left--;
	}
	if (!t->left)
		front_free(c, false);
}

static void on_leaving_end(struct stream *s, int status)
{
	(void)status;
	front_free(stream_context(s), false);
}

static const struct stream_ops leaving_ops = {.bytes = on_leaving_bytes, .end = on_leaving_end};

static void leave(struct front_client *c)
{
	say_goodbye(c, BYE_CODE, "");
	stream_finish(c->down, FRONT_LINGER_MS);
	c->down = NULL;
	c->talk->left = close_what_it_made(c);
	if (!c->talk->left) {
		front_free(c, false);
		return;
	}
	front_set_phase(c, FRONT_LEAVING);
	front_set_deadline(c, LEAVE_MS);
	stream_give(c->up, &leaving_ops, c);
	stream_read_start(c->up);
}

/* ---- from Chrome to the client ---- */

/* True: it is the last message that this client gets. */
static bool take_answer(struct front_session *t, const struct cdp_scan *answer)
{
	const char *id = answer->words[CDP_ID];
	if (!id[0] || answer->words[CDP_METHOD][0])
		return false;
	if (was_awaited(t, id) && !answer->error) {
		remember(t, false, answer->words[CDP_TARGET]);
		remember(t, true, answer->words[CDP_CONTEXT]);
	}
	if (!t->closing || strcmp(id, t->close_id) != 0)
		return false;
	t->closing = false;
	return !answer->error;
}

/* How many of the bytes are for the client; *last: nothing is after them. */
static size_t follow(struct front_session *t, struct span bytes, bool *last)
{
	size_t at = 0;
	*last = false;
	while (at < bytes.len && !*last) {
		const struct cdp_scan *answer;
		struct span rest = {bytes.at + at, bytes.len - at};
		at += cdp_watch_follow(&t->watch, rest, t->n_awaited || t->closing, &answer);
		*last = answer && take_answer(t, answer);
	}
	return at;
}

/* False: that was its end. */
static bool give_to_client(struct front_client *c, struct span bytes)
{
	ssize_t queued = bytes.len ? stream_write(c->down, &bytes, 1) : 0;
	if (queued < 0)
		front_free(c, false);
	else if (queued > 0)
		stream_read_stop(c->up);
	return queued >= 0;
}

/* Likewise. */
static bool take_from_chrome(struct front_client *c, struct span bytes)
{
	bool last;
	bytes.len = follow(c->talk, bytes, &last);
	if (!give_to_client(c, bytes))
		return false;
	if (last)
		leave(c);
	return !last;
}

static void on_up_bytes(struct stream *s, char *bytes, size_t n)
{
	take_from_chrome(stream_context(s), (struct span){bytes, n});
}

static void on_up_drained(struct stream *s)
{
	stream_read_start(((struct front_client *)stream_context(s))->down);
}

static void on_up_end(struct stream *s, int status)
{
	(void)status;
	front_free(stream_context(s), true);
}

static const struct stream_ops up_ops = {.bytes = on_up_bytes, .end = on_up_end, .drained = on_up_drained};

/* ---- the beginning ---- */

static struct front_session *session_new(bool guarded)
{
	struct front_session *t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	t->guarded = guarded;
	cdp_watch_init(&t->watch);
	cdp_guard_init(&t->guard);
	return t;
}

/* The bytes that came early go the way of all others; each may end it. */
void front_begin_session(struct front_client *c, size_t request_bytes, size_t answer_bytes)
{
	struct buf in = c->in, out = c->out;
	c->talk = session_new(c->endpoint->config->client_close == BROWSER_CLOSE_DETACH);
	if (!c->talk) {
		front_refuse(c, 503, "no memory is left");
		return;
	}
	buf_init(&c->in, 0);
	buf_init(&c->out, 0);
	front_clear_deadline(c);
	front_set_phase(c, FRONT_TUNNEL);
	front_count_served(c);
	c->began = loop_now();
	stream_give(c->down, &down_ops, c);
	stream_give(c->up, &up_ops, c);
	if (give_to_client(c, (struct span){out.data, answer_bytes}) &&
		take_from_chrome(c, (struct span){out.data + answer_bytes, out.len - answer_bytes}))
		take_from_client(c, (struct span){in.data + request_bytes, in.len - request_bytes});
	buf_fini(&in);
	buf_fini(&out);
}
