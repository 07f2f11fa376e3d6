#include "podvisor/wire/cdp_guard.h"

#include <string.h>

#include "podvisor/base/json.h"

#define UNMASK_BYTES  4096
#define COMMAND_BYTES 512

/* Answered with {} like Browser.close, and forgotten with the session that is ending anyway. */
static const char harmless[] = "Target.setDiscoverTargets", harmless_params[] = "{\"discover\":false}";
/* Chrome's answer names the command that does not exist, and so says why. */
static const char refused[] = ": podvisor does not pass it on, it can end the Chrome of all (client_close)";

static const char too_late[] = "a command that can end the Chrome of all, in a message too long to be held";

/* One call of take. */
struct pass {
	struct cdp_guard *g;
	const struct cdp_guard_calls *calls;
	void *ctx;
	struct span bytes;
	size_t at, judged, passed; /* looked at; up to a message that is known; given on, or held */
};

void cdp_guard_init(struct cdp_guard *g)
{
	*g = (struct cdp_guard){0};
	websocket_tracker_init(&g->tracker, WEBSOCKET_CLIENT);
	cdp_scan_init(&g->scan);
	buf_init(&g->held, CDP_HELD_BYTES);
}

void cdp_guard_fini(struct cdp_guard *g)
{
	buf_fini(&g->held);
}

int cdp_guard_put_command(struct buf *out, const char *id, const char *session, const char *method, const char *params)
{
	static const uint8_t no_key[4] = {0};
	struct buf text;
	buf_init(&text, COMMAND_BYTES);
	buf_puts(&text, "{");
	if (id[0])
		buf_printf(&text, "\"id\":%s,", id);
	buf_puts(&text, "\"method\":");
	json_put_string(&text, method, strlen(method));
	if (session[0]) {
		buf_puts(&text, ",\"sessionId\":");
		json_put_string(&text, session, strlen(session));
	}
	if (params[0])
		buf_printf(&text, ",\"params\":%s", params);
	int rc = buf_puts(&text, "}");
	rc = rc ? rc : websocket_frame_head(out, WEBSOCKET_TEXT, true, text.len, no_key);
	rc = rc ? rc : buf_put(out, text.data, text.len);
	buf_fini(&text);
	return rc;
}

/* ---- what goes on ---- */

static void give(const struct pass *p, struct span bytes)
{
	if (bytes.len)
		p->calls->pass(p->ctx, bytes);
}

static void give_held(struct pass *p)
{
	give(p, (struct span){p->g->held.data, p->g->held.len});
	buf_fini(&p->g->held); /* most messages come in one piece: the memory is seldom needed */
}

static void give_up_to(struct pass *p, size_t end)
{
	if (end > p->passed)
		give(p, (struct span){p->bytes.at + p->passed, end - p->passed});
	p->passed = end;
}

static void stop(struct cdp_guard *g, const char *why)
{
	if (!g->end)
		g->end = why;
}

/* The control frames in the message that is replaced are no part of it. */
static void give_controls(struct pass *p, struct span frames)
{
	struct websocket_frame frame;
	size_t head;
	while ((head = websocket_frame_decode(&frame, frames)) > 0 && frame.length <= frames.len - head) {
		size_t whole = head + (size_t)frame.length;
		if (frame.opcode >= WEBSOCKET_CLOSE)
			give(p, (struct span){frames.at, whole});
		frames = (struct span){frames.at + whole, frames.len - whole};
	}
}

static void give_other(struct pass *p, enum cdp_kind kind)
{
	const struct cdp_scan *s = &p->g->scan;
	char method[CDP_WORD_BYTES + sizeof(refused)];
	struct buf out;
	size_t n = strlen(s->words[CDP_METHOD]);
	memcpy(method, s->words[CDP_METHOD], n);
	memcpy(method + n, refused, sizeof(refused));
	buf_init(&out, COMMAND_BYTES + WEBSOCKET_HEAD_BYTES);
	int rc = kind == CDP_CLOSE ? cdp_guard_put_command(
					     &out, s->words[CDP_ID], s->words[CDP_SESSION], harmless, harmless_params)
				   : cdp_guard_put_command(&out, s->words[CDP_ID], s->words[CDP_SESSION], method, "");
	if (rc == 0)
		give(p, (struct span){out.data, out.len});
	else
		stop(p->g, "no memory is left");
	buf_fini(&out);
}

/* ---- judgement ---- */

static void replace(struct pass *p, enum cdp_kind kind)
{
	struct cdp_guard *g = p->g;
	give_up_to(p, p->judged);
	/* Together they are whole frames. */
	if (!g->drops && buf_put(&g->held, p->bytes.at + p->judged, p->at - p->judged) == 0)
		give_controls(p, (struct span){g->held.data, g->held.len});
	buf_fini(&g->held);
	p->calls->command(p->ctx, kind, &g->scan);
	give_other(p, kind);
	p->judged = p->passed = p->at;
}

static void accept(struct pass *p, enum cdp_kind kind)
{
	if (kind != CDP_OTHER)
		p->calls->command(p->ctx, kind, &p->g->scan);
	if (p->g->held.len)
		give_held(p);
	p->judged = p->at;
}

static void end_message(struct pass *p)
{
	struct cdp_guard *g = p->g;
	enum cdp_kind kind = cdp_scan_kind(&g->scan);
	bool deadly = kind == CDP_CLOSE || kind == CDP_DEADLY;
	if (deadly && g->passes)
		stop(g, too_late);
	else if (deadly)
		replace(p, kind);
	else
		accept(p, kind);
	g->passes = g->drops = false;
	cdp_scan_init(&g->scan);
}

static bool is_data(const struct cdp_guard *g)
{
	return g->tracker.opcode < WEBSOCKET_CLOSE;
}

/* ---- frames ---- */

static void look_at(struct cdp_guard *g, struct span masked)
{
	char plain[UNMASK_BYTES];
	struct websocket_frame frame = {0};
	websocket_frame_decode(&frame, (struct span){g->tracker.head, g->tracker.have});
	uint64_t offset = frame.length - g->tracker.left;
	if (frame.rsv)
		stop(g, "an extension that was not agreed upon");
	while (masked.len) {
		size_t n = masked.len < sizeof(plain) ? masked.len : sizeof(plain);
		memcpy(plain, masked.at, n);
		websocket_mask(plain, n, frame.key, offset);
		cdp_scan_take(&g->scan, (struct span){plain, n});
		masked = (struct span){masked.at + n, masked.len - n};
		offset += n;
	}
}

/* A byte of a head, or the rest of a payload. */
static void step(struct pass *p)
{
	struct cdp_guard *g = p->g;
	struct span rest = {p->bytes.at + p->at, p->bytes.len - p->at};
	if (!g->tracker.in_payload)
		rest.len = 1;
	else if (g->tracker.left < rest.len)
		rest.len = (size_t)g->tracker.left;
	if (g->tracker.in_payload && is_data(g))
		look_at(g, rest);
	if (g->end)
		return;
	uint64_t messages = g->tracker.messages;
	websocket_track(&g->tracker, rest, WEBSOCKET_AT_NOTHING);
	p->at += rest.len;
	if (g->tracker.fault)
		stop(g, websocket_fault_text((enum websocket_fault)g->tracker.fault));
	else if (g->tracker.messages != messages)
		end_message(p);
	else if (websocket_is_at(&g->tracker, WEBSOCKET_AT_MESSAGE))
		accept(p, CDP_OTHER); /* a control frame between messages */
}

/* It does not fit any more: what may pass does so from now on, what may not is forgotten. */
static void hold_no_longer(struct pass *p, struct span rest)
{
	struct cdp_guard *g = p->g;
	g->drops = cdp_scan_is_deadly(&g->scan);
	g->passes = !g->drops;
	if (g->drops) {
		buf_fini(&g->held);
		return;
	}
	give_held(p);
	give(p, rest);
}

/* What is left is the beginning of a message that is not known yet. */
static void keep_rest(struct pass *p)
{
	struct cdp_guard *g = p->g;
	struct span rest = {p->bytes.at + p->judged, p->bytes.len - p->judged};
	give_up_to(p, p->judged);
	if (g->passes && cdp_scan_is_deadly(&g->scan))
		stop(g, too_late);
	else if (g->passes)
		give(p, rest);
	else if (!g->drops && buf_put(&g->held, rest.at, rest.len) < 0)
		hold_no_longer(p, rest);
}

void cdp_guard_take(struct cdp_guard *g, struct span bytes, const struct cdp_guard_calls *calls, void *ctx)
{
	struct pass p = {.g = g, .calls = calls, .ctx = ctx, .bytes = bytes};
	while (p.at < bytes.len && !g->end)
		step(&p);
	if (g->end)
		give_up_to(&p, p.judged); /* what came before it counts */
	else
		keep_rest(&p);
}
