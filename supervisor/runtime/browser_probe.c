#include "podvisor/runtime/browser_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "podvisor/io/pipe_pair.h"

#define MESSAGE_MAX  ((size_t)8 << 20)
#define QUEUE_MAX    ((size_t)256 << 10)
#define COMMAND_MAX  ((size_t)4 << 10)
#define ID_MAX       80
#define ABANDONED    8
#define CLOSED       8
#define PORT_WAIT_MS 25

/* What an attempt is waiting for. */
enum step {
	STEP_DONE,
	STEP_VERSION,
	STEP_PORT, /* the file in which Chrome tells its port */
	STEP_CONTEXT, /* a browser context for podvisor's pages */
	STEP_TARGET, /* a page */
	STEP_ATTACH,
	STEP_EVALUATE,
	STEP_NAVIGATE,
	STEP_SETTLE, /* a page closed right behind the navigation's answer stays open */
	STEP_DRAW, /* a picture of it, for which the GPU process is needed */
	STEP_COUNT
};

static const char *const step_names[STEP_COUNT] = {
	[STEP_DONE] = "",
	[STEP_VERSION] = "Browser.getVersion",
	[STEP_PORT] = "DevToolsActivePort",
	[STEP_CONTEXT] = "Target.createBrowserContext",
	[STEP_TARGET] = "Target.createTarget",
	[STEP_ATTACH] = "Target.attachToTarget",
	[STEP_EVALUATE] = "Runtime.evaluate",
	[STEP_NAVIGATE] = "Page.navigate",
	[STEP_SETTLE] = "Runtime.evaluate after Page.navigate",
	[STEP_DRAW] = "Page.captureScreenshot",
};

struct page {
	char target[ID_MAX], session[ID_MAX];
};

struct attempt {
	struct browser_probe *probe;
	enum rung rung;
	enum step step;
	int64_t awaiting; /* id of the command whose reply moves it on; 0: none */
	uint64_t began_ns;
	bool proven; /* has answered once */
	struct page page; /* the renderer's is kept between attempts, the network's is not */
	ms_t limit_ms; /* of the attempt under way */
	uv_timer_t limit;
};

struct browser_probe {
	struct loop *loop;
	const struct browser_probe_calls *calls;
	void *ctx;
	struct pipe_pair *pipe;
	struct cdp_reader reader;
	struct buf out; /* the command that is being written */
	struct attempt attempts[RUNG_COUNT];
	ms_t limits[RUNG_COUNT], start_limit;
	int64_t last_id, counting, opened;
	int64_t abandoned[ABANDONED]; /* ring: createTarget whose answer was too late; its page is closed then */
	unsigned n_abandoned;
	char closed[CLOSED][ID_MAX]; /* ring: own pages that Chrome has been told to close, until it says that it has */
	unsigned n_closed;
	char context[ID_MAX], id[ID_MAX], port_file[PATH_MAX], health_url[256];
	int port;
	bool has_version, freed, ended;
	struct cdp_version version;
	uv_timer_t port_timer;
	uv_work_t port_work;
	bool reading_port;
	char port_text[256]; /* the thread's while reading_port */
	int handles;
};

/* ---- one attempt ---- */

static bool is_under_way(const struct attempt *a)
{
	return a->step != STEP_DONE;
}

/* Takes the result of a cdp_ command that was written to p->out. One that cannot be
 * sent is one that is not answered: the limit tells. */
static int64_t sent(struct browser_probe *p, int rc)
{
	if (rc == 0 && !p->ended && pipe_pair_write(p->pipe, p->out.data, p->out.len) == -EPIPE)
		p->ended = true;
	buf_clear(&p->out);
	return p->last_id;
}

#define SEND(p, command) sent(p, (++(p)->last_id, (command)))

static void drop_page(struct browser_probe *p, struct page *page)
{
	if (page->target[0]) {
		SEND(p, cdp_close_target(&p->out, p->last_id, page->target));
		memcpy(p->closed[p->n_closed++ % CLOSED], page->target, ID_MAX);
	}
	*page = (struct page){0};
}

static enum rung_part part_of(const struct attempt *a)
{
	if (a->rung != RUNG_NETWORK)
		return PART_NAMED;
	if (a->step > STEP_CONTEXT && a->step < STEP_NAVIGATE)
		return PART_PAGE;
	return a->step == STEP_DRAW ? PART_GPU : PART_NAMED;
}

PRINTF_LIKE(2, 3)
static void finish(struct attempt *a, const char *fmt, ...)
{
	char failure[EVENT_TEXT_MAX];
	struct browser_probe *p = a->probe;
	va_list args;
	va_start(args, fmt);
	vsnprintf(failure, sizeof(failure), fmt, args);
	va_end(args);
	if (a->step == STEP_TARGET && a->awaiting)
		p->abandoned[p->n_abandoned++ % ABANDONED] = a->awaiting;
	enum rung_part part = part_of(a);
	a->step = STEP_DONE;
	a->awaiting = 0;
	a->proven |= failure[0] == '\0';
	uv_timer_stop(&a->limit);
	if (a->rung == RUNG_NETWORK)
		drop_page(p, &a->page);
	p->calls->answered(p->ctx, a->rung, (int64_t)(uv_hrtime() - a->began_ns) / 1000, p->port, part, failure);
}

static void on_limit(uv_timer_t *handle)
{
	struct attempt *a = handle->data;
	finish(a, "%s: no answer within %.1f s", step_names[a->step], (double)a->limit_ms / 1000);
}

/* The proof of a new Chrome is made in the context that clients use, for it has a cache and
 * cookies on the disk, which can be at fault. There is no client yet whom the page could disturb. */
static bool is_proof(const struct attempt *a)
{
	return a->rung == RUNG_NETWORK && !a->proven;
}

/* What is still missing for this attempt, after the step that just succeeded. */
static enum step next_step(const struct attempt *a)
{
	const struct browser_probe *p = a->probe;
	if (a->rung == RUNG_BROWSER) {
		if (a->step == STEP_DONE)
			return STEP_VERSION;
		return p->port ? STEP_DONE : STEP_PORT;
	}
	if (!p->context[0] && !is_proof(a))
		return STEP_CONTEXT;
	if (!a->page.target[0])
		return STEP_TARGET;
	if (!a->page.session[0])
		return STEP_ATTACH;
	if (a->step < STEP_EVALUATE)
		return STEP_EVALUATE;
	return a->rung == RUNG_NETWORK && a->step < STEP_DRAW ? a->step + 1 : STEP_DONE;
}

static void read_port(struct browser_probe *p);

static void do_step(struct attempt *a)
{
	struct browser_probe *p = a->probe;
	struct buf *out = &p->out;
	switch (a->step) {
	case STEP_VERSION:
		a->awaiting = SEND(p, cdp_get_version(out, p->last_id));
		break;
	case STEP_PORT:
		a->awaiting = 0;
		read_port(p);
		break;
	case STEP_CONTEXT:
		a->awaiting = SEND(p, cdp_create_context(out, p->last_id));
		break;
	case STEP_TARGET:
		a->awaiting =
			SEND(p, cdp_create_target(out, p->last_id, is_proof(a) ? NULL : p->context, "about:blank"));
		break;
	case STEP_ATTACH:
		a->awaiting = SEND(p, cdp_attach(out, p->last_id, a->page.target));
		break;
	case STEP_EVALUATE:
	case STEP_SETTLE:
		a->awaiting = SEND(p, cdp_evaluate(out, p->last_id, a->page.session, "1+1"));
		break;
	case STEP_NAVIGATE:
		a->awaiting = SEND(p, cdp_navigate(out, p->last_id, a->page.session, p->health_url));
		break;
	case STEP_DRAW:
		a->awaiting = SEND(p, cdp_capture(out, p->last_id, a->page.session));
		break;
	case STEP_DONE:
	case STEP_COUNT:
		break;
	}
}

static void move_on(struct attempt *a)
{
	enum step next = next_step(a);
	if (next == STEP_DONE) {
		finish(a, "%s", "");
		return;
	}
	a->step = next;
	do_step(a);
}

/* Chrome says success and forgets it when the page is just loading. */
static void close_again(struct browser_probe *p)
{
	for (int i = 0; i < CLOSED; i++)
		if (p->closed[i][0])
			SEND(p, cdp_close_target(&p->out, p->last_id, p->closed[i]));
}

void browser_probe_ask(struct browser_probe *p, enum rung rung, bool fresh)
{
	struct attempt *a = &p->attempts[rung];
	if (is_under_way(a))
		return;
	if (rung == RUNG_BROWSER)
		close_again(p);
	if (fresh)
		drop_page(p, &a->page);
	a->began_ns = uv_hrtime();
	a->limit_ms = !a->proven && p->start_limit > p->limits[rung] ? p->start_limit : p->limits[rung];
	uv_timer_start(&a->limit, on_limit, (uint64_t)a->limit_ms, 0);
	move_on(a);
}

/* ---- the port ---- */

/* In a thread. The directory belongs to the browser's user, so the file is not trusted to be one. */
static void read_port_file(uv_work_t *work)
{
	struct browser_probe *p = work->data;
	struct stat st;
	p->port_text[0] = '\0';
	int fd = open(p->port_file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return;
	ssize_t n = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? read(fd, p->port_text, sizeof(p->port_text) - 1) : 0;
	p->port_text[n > 0 ? n : 0] = '\0';
	close(fd);
}

/* "PORT\n/devtools/browser/ID"; empty for as long as Chrome is writing it, and for ever when the disk is full. */
static void parse_port(struct browser_probe *p)
{
	int port = 0;
	char id[ID_MAX] = "";
	if (sscanf(p->port_text, "%d\n/devtools/browser/%79[0-9A-Za-z-]", &port, id) != 2 || port < 1 || port > 65535)
		return;
	p->port = port;
	memcpy(p->id, id, sizeof(id));
}

static void release(struct browser_probe *p)
{
	if (p->handles || p->reading_port)
		return;
	cdp_reader_fini(&p->reader);
	buf_fini(&p->out);
	free(p);
}

static void on_port_timer(uv_timer_t *handle)
{
	read_port(handle->data);
}

static void on_port_read(uv_work_t *work, int status)
{
	(void)status;
	struct browser_probe *p = work->data;
	struct attempt *a = &p->attempts[RUNG_BROWSER];
	p->reading_port = false;
	if (p->freed) {
		release(p);
		return;
	}
	parse_port(p);
	if (a->step != STEP_PORT)
		return;
	if (p->port)
		move_on(a);
	else
		uv_timer_start(&p->port_timer, on_port_timer, PORT_WAIT_MS, 0);
}

static void read_port(struct browser_probe *p)
{
	if (p->reading_port || p->freed)
		return;
	p->port_work.data = p;
	p->reading_port = uv_queue_work(&p->loop->uv, &p->port_work, read_port_file, on_port_read) == 0;
}

/* ---- what Chrome says ---- */

static bool copy_id(char out[ID_MAX], const char *id)
{
	size_t n = id ? strlen(id) : 0;
	if (n == 0 || n >= ID_MAX)
		return false;
	memcpy(out, id, n + 1);
	return true;
}

/* Takes what the reply brings. False: it is not what it should be. */
static bool take_reply(struct attempt *a, const struct cdp_message *m)
{
	struct browser_probe *p = a->probe;
	switch (a->step) {
	case STEP_VERSION:
		if (!p->has_version)
			SEND(p, cdp_discover_targets(&p->out, p->last_id));
		p->has_version = cdp_read_version(m, &p->version);
		return p->has_version;
	case STEP_CONTEXT:
		return copy_id(p->context, cdp_text(m, "browserContextId"));
	case STEP_TARGET:
		return copy_id(a->page.target, cdp_text(m, "targetId"));
	case STEP_ATTACH:
		return copy_id(a->page.session, cdp_text(m, "sessionId"));
	case STEP_EVALUATE:
	case STEP_SETTLE:
		return cdp_evaluated_to(m, 2);
	case STEP_NAVIGATE:
		return cdp_text(m, "errorText") == NULL;
	case STEP_DRAW:
		return cdp_text(m, "data") != NULL;
	default:
		return false;
	}
}

/* What an error may mean is made anew in the next attempt. */
static void forget_doubtful(struct attempt *a)
{
	if (a->step == STEP_TARGET)
		a->probe->context[0] = '\0';
	else if (a->step > STEP_TARGET)
		drop_page(a->probe, &a->page);
}

static void on_reply(struct attempt *a, const struct cdp_message *m)
{
	a->awaiting = 0;
	if (!m->error && take_reply(a, m)) {
		move_on(a);
		return;
	}
	const char *why = m->error ? m->error : a->step == STEP_NAVIGATE ? cdp_text(m, "errorText") : "a wrong answer";
	char text[96];
	snprintf(text, sizeof(text), "%s", why);
	forget_doubtful(a);
	finish(a, "%s: %s", step_names[a->step], text);
}

static bool close_late_page(struct browser_probe *p, const struct cdp_message *m)
{
	for (int i = 0; i < ABANDONED; i++)
		if (p->abandoned[i] == m->id && m->id) {
			struct page page = {0};
			p->abandoned[i] = 0;
			if (copy_id(page.target, cdp_text(m, "targetId")))
				drop_page(p, &page);
			return true;
		}
	return false;
}

static void count_pages(struct browser_probe *p, const struct cdp_message *m)
{
	int64_t attached, detached;
	p->counting = 0;
	cdp_count_pages(m, p->context[0] ? p->context : NULL, &attached, &detached);
	p->calls->counted(p->ctx, attached, detached);
}

static void dispatch_reply(struct browser_probe *p, const struct cdp_message *m)
{
	for (int i = 0; i < RUNG_COUNT; i++)
		if (p->attempts[i].awaiting == m->id) {
			on_reply(&p->attempts[i], m);
			return;
		}
	if (m->id == p->counting)
		count_pages(p, m);
	else if (!close_late_page(p, m) && p->calls->replied)
		p->calls->replied(p->ctx, m);
}

static struct attempt *owner_of(struct browser_probe *p, const char *target)
{
	for (int i = 0; i < RUNG_COUNT; i++)
		if (target && p->attempts[i].page.target[0] && !strcmp(p->attempts[i].page.target, target))
			return &p->attempts[i];
	return NULL;
}

static void on_target_crashed(struct browser_probe *p, const struct cdp_message *m)
{
	const char *target = cdp_text(m, "targetId"), *status = cdp_text(m, "status");
	struct attempt *a = owner_of(p, target);
	char text[EVENT_TEXT_MAX];
	snprintf(text, sizeof(text), "the renderer of %s is gone (%.40s)%s%.60s",
		a ? "podvisor's own page" : "a client's page", status ? status : "no reason given",
		a ? "" : ": target ",
		a        ? ""
		: target ? target
			 : "?");
	if (a) {
		drop_page(p, &a->page);
		if (is_under_way(a))
			finish(a, "%s", text);
	}
	p->calls->page_lost(p->ctx, a && a->rung == RUNG_RENDERER, text);
	if (!a && p->calls->crashed)
		p->calls->crashed(p->ctx, target);
}

/* A client may close even our page, or the session of it. */
static void on_page_closed(struct browser_probe *p, const struct cdp_message *m)
{
	const char *target = cdp_text(m, "targetId");
	struct attempt *a = owner_of(p, target);
	for (int i = 0; i < CLOSED; i++)
		if (target && !strcmp(p->closed[i], target))
			p->closed[i][0] = '\0';
	if (!a)
		return;
	a->page = (struct page){0};
	if (is_under_way(a))
		finish(a, "podvisor's own page was closed");
}

static void dispatch_event(struct browser_probe *p, const struct cdp_message *m)
{
	if (!strcmp(m->method, "Target.targetCrashed"))
		on_target_crashed(p, m);
	else if (!strcmp(m->method, "Target.targetDestroyed"))
		on_page_closed(p, m);
	else if (!strcmp(m->method, "Target.targetCreated"))
		p->opened += cdp_is_new_page(m, p->context[0] ? p->context : NULL);
}

static void on_bytes(void *ctx, struct span bytes)
{
	struct browser_probe *p = ctx;
	struct span text;
	while (!p->freed && cdp_reader_take(&p->reader, &bytes, &text)) {
		struct cdp_message m;
		if (cdp_parse(text, &m) < 0)
			continue;
		if (m.id)
			dispatch_reply(p, &m);
		else
			dispatch_event(p, &m);
		cdp_message_fini(&m);
	}
}

/* What is under way is not answered any more; its limit, or the end of the process, tells. */
static void on_end(void *ctx)
{
	((struct browser_probe *)ctx)->ended = true;
}

/* ---- life ---- */

static const struct pipe_pair_calls pipe_calls = {.on_bytes = on_bytes, .on_end = on_end};

static void init_timers(struct browser_probe *p)
{
	for (int i = 0; i < RUNG_COUNT; i++) {
		p->attempts[i].probe = p;
		p->attempts[i].rung = (enum rung)i;
		p->attempts[i].limit.data = &p->attempts[i];
		uv_timer_init(&p->loop->uv, &p->attempts[i].limit);
	}
	p->port_timer.data = p;
	uv_timer_init(&p->loop->uv, &p->port_timer);
	p->handles = RUNG_COUNT + 1;
}

int browser_probe_new(struct browser_probe **out, struct loop *loop, const struct browser_probe_place *place,
	const struct browser_probe_calls *calls, void *ctx, int child_fds[2], struct err *err)
{
	struct browser_probe *p = calloc(1, sizeof(*p));
	if (!p)
		return err_set(err, -ENOMEM, "out of memory");
	int rc = pipe_pair_open(&p->pipe, loop, QUEUE_MAX, &pipe_calls, p, child_fds, err);
	if (rc < 0) {
		free(p);
		return rc;
	}
	p->loop = loop;
	p->calls = calls;
	p->ctx = ctx;
	p->start_limit = place->start_limit;
	memcpy(p->limits, place->limits, sizeof(p->limits));
	snprintf(p->port_file, sizeof(p->port_file), "%s/DevToolsActivePort", place->profile);
	snprintf(p->health_url, sizeof(p->health_url), "%s", place->health_url);
	cdp_reader_init(&p->reader, MESSAGE_MAX);
	buf_init(&p->out, COMMAND_MAX);
	init_timers(p);
	*out = p;
	return 0;
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct attempt *a = handle->data;
	a->probe->handles--;
	release(a->probe);
}

static void on_port_timer_closed(uv_handle_t *handle)
{
	struct browser_probe *p = handle->data;
	p->handles--;
	release(p);
}

void browser_probe_free(struct browser_probe *p)
{
	if (!p || p->freed)
		return;
	p->freed = true;
	pipe_pair_close(p->pipe);
	for (int i = 0; i < RUNG_COUNT; i++)
		uv_close((uv_handle_t *)&p->attempts[i].limit, on_timer_closed);
	uv_close((uv_handle_t *)&p->port_timer, on_port_timer_closed);
}

void browser_probe_count(struct browser_probe *p)
{
	p->counting = SEND(p, cdp_get_targets(&p->out, p->last_id));
}

int64_t browser_probe_send(
	struct browser_probe *p, int (*write)(struct buf *out, int64_t id, const void *what), const void *what)
{
	return SEND(p, write(&p->out, p->last_id, what));
}

const char *browser_probe_context(const struct browser_probe *p)
{
	return p->context[0] ? p->context : NULL;
}

int64_t browser_probe_opened(const struct browser_probe *p)
{
	return p->opened;
}

void browser_probe_end(struct browser_probe *p)
{
	SEND(p, cdp_close_browser(&p->out, p->last_id));
}

const struct cdp_version *browser_probe_version(const struct browser_probe *p)
{
	return p->has_version ? &p->version : NULL;
}

int browser_probe_port(const struct browser_probe *p)
{
	return p->port;
}

const char *browser_probe_id(const struct browser_probe *p)
{
	return p->id;
}

bool browser_probe_hides(const struct browser_probe *p, const char *target)
{
	for (int i = 0; i < RUNG_COUNT; i++)
		if (!strcmp(p->attempts[i].page.target, target) && target[0])
			return true;
	for (int i = 0; i < CLOSED; i++)
		if (!strcmp(p->closed[i], target) && target[0])
			return true;
	return false;
}
