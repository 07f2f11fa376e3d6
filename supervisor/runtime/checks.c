#include "podvisor/runtime/checks.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "podvisor/base/list.h"
#include "podvisor/io/http_client.h"
#include "podvisor/io/tcp_check.h"
#include "podvisor/runtime/exec_check.h"

/* As much as Kubernetes' probes read of an answer, and more. */
#define BODY_MAX_BYTES (64 * 1024)

struct checks {
	const struct context *context;
	struct http_client *http; /* NULL until the first http check */
	struct exec_checks *execs; /* NULL until the first exec check */
	struct list attempts;
	struct list hanging; /* given up, while the pool still looks at a file for them */
};

/* One attempt. It lives until its timer is closed and its request to the pool,
 * which cannot be taken back, has returned. */
struct attempt {
	struct list node; /* in checks.attempts until answered, then perhaps in checks.hanging */
	struct checks *owner;
	uint32_t slot;
	uint64_t run;
	enum probe probe;
	ms_t timeout;
	int expect_status;
	uint64_t started_ns;
	uv_timer_t deadline;
	struct http_transfer *http;
	struct tcp_check *tcp;
	struct exec_check *exec;
	uv_fs_t stat;
	bool stating, closed;
	bool shortage; /* podvisor lacks what it takes to make it */
	char target[128]; /* what is checked, for sentences */
};

static const struct config_check *find_check(const struct world *w, uint32_t slot, enum probe probe)
{
	if (slot >= w->n_workers || !w->workers[slot].config)
		return NULL;
	const struct config_worker *config = w->workers[slot].config;
	switch (probe) {
	case PROBE_STARTUP:
		return &config->startup;
	case PROBE_READINESS:
		return &config->readiness;
	default:
		return &config->liveness;
	}
}

/* ---- the end of an attempt ---- */

static void free_when_idle(struct attempt *a)
{
	if (!a->closed || a->stating)
		return;
	list_remove(&a->node);
	free(a);
}

static void on_deadline_closed(uv_handle_t *handle)
{
	struct attempt *a = handle->data;
	a->closed = true;
	free_when_idle(a);
}

static void give_up(struct attempt *a)
{
	if (a->http)
		http_transfer_abort(a->http);
	if (a->tcp)
		tcp_check_abort(a->tcp);
	if (a->exec)
		exec_check_abort(a->exec);
	if (a->stating)
		uv_cancel((uv_req_t *)&a->stat);
	a->http = NULL;
	a->tcp = NULL;
	a->exec = NULL;
	list_remove(&a->node);
	list_append(&a->owner->hanging, &a->node);
	uv_close((uv_handle_t *)&a->deadline, on_deadline_closed);
}

/* fmt NULL: it went well. */
static void PRINTF_LIKE(2, 3) answer(struct attempt *a, const char *fmt, ...)
{
	struct event e = {.kind = EVENT_WORKER_CHECKED, .slot = a->slot, .run = a->run};
	e.checked.probe = a->probe;
	e.checked.ok = !fmt;
	e.checked.shortage = a->shortage;
	e.checked.took_us = (int64_t)(uv_hrtime() - a->started_ns) / 1000;
	if (fmt) {
		int n = snprintf(e.text, sizeof(e.text), "%s: ", a->target);
		va_list args;
		va_start(args, fmt);
		vsnprintf(e.text + n, sizeof(e.text) - (size_t)n, fmt, args);
		va_end(args);
	}
	loop_post(a->owner->context->loop, &e);
	give_up(a);
}

static void on_deadline(uv_timer_t *handle)
{
	struct attempt *a = handle->data;
	answer(a, "no answer within %lld ms", (long long)a->timeout);
}

/* ---- http ---- */

/* Without user information and query, which may carry secrets. */
static void show_url(const char *url, char *out, size_t size)
{
	const char *scheme_end = strstr(url, "://");
	const char *authority = scheme_end ? scheme_end + 3 : url;
	const char *end = authority + strcspn(authority, "?#");
	const char *host = authority;
	for (const char *at = authority; at < end && *at != '/'; at++)
		if (*at == '@')
			host = at + 1;
	snprintf(out, size, "%.*s%.*s", (int)(authority - url), url, (int)(end - host), host);
}

static void on_http(void *ctx, const struct http_answer *got)
{
	struct attempt *a = ctx;
	a->http = NULL;
	int wanted = a->expect_status;
	if (got->error)
		answer(a, "%s", got->text);
	else if (wanted && got->status != wanted)
		answer(a, "answered %d, not %d", got->status, wanted);
	else if (!wanted && (got->status < 200 || got->status > 399))
		answer(a, "answered %d", got->status);
	else
		answer(a, NULL);
}

static int start_http(struct attempt *a, const struct config_check *check, struct err *err)
{
	struct checks *c = a->owner;
	show_url(check->http, a->target, sizeof(a->target));
	int rc = c->http ? 0 : http_client_new(&c->http, c->context->loop, err);
	if (rc < 0)
		return rc;
	struct http_header *headers = calloc(check->n_headers + 1, sizeof(*headers));
	if (!headers)
		return err_set(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < check->n_headers; i++)
		headers[i] = (struct http_header){check->headers[i].name, check->headers[i].value};
	struct http_request request = {.url = check->http,
		.headers = headers,
		.n_headers = check->n_headers,
		.max_body_bytes = BODY_MAX_BYTES};
	rc = http_client_send(c->http, &request, on_http, a, &a->http, err);
	free(headers);
	return rc;
}

/* ---- tcp ---- */

static void on_tcp(void *ctx, const char *failure)
{
	struct attempt *a = ctx;
	a->tcp = NULL;
	if (failure[0])
		answer(a, "cannot connect: %s", failure);
	else
		answer(a, NULL);
}

static int start_tcp(struct attempt *a, const struct config_check *check, struct err *err)
{
	snprintf(a->target, sizeof(a->target), "%s", check->tcp);
	return tcp_check_start(&a->tcp, a->owner->context->loop, check->tcp, on_tcp, a, err);
}

/* ---- exec ---- */

static void on_exec(void *ctx, const char *failure)
{
	struct attempt *a = ctx;
	a->exec = NULL;
	if (failure[0])
		answer(a, "%s", failure);
	else
		answer(a, NULL);
}

static int start_exec(struct attempt *a, const struct config_check *check, struct err *err)
{
	struct checks *c = a->owner;
	snprintf(a->target, sizeof(a->target), "%.60s", check->exec[0] ? check->exec[0] : "no command");
	int rc = c->execs ? 0 : exec_checks_new(&c->execs, c->context, err);
	if (rc < 0)
		return rc;
	const struct worker *worker = &c->context->world->workers[a->slot];
	return exec_check_start(&a->exec, c->execs, worker, check->exec, NULL, on_exec, a, err);
}

/* ---- file ---- */

static void on_stat(uv_fs_t *request)
{
	struct attempt *a = request->data;
	int rc = (int)request->result;
	uv_fs_req_cleanup(request);
	a->stating = false;
	if (uv_is_closing((uv_handle_t *)&a->deadline))
		free_when_idle(a);
	else if (rc < 0)
		answer(a, "%s", uv_strerror(rc));
	else
		answer(a, NULL);
}

/* A file system that hangs holds a thread of the pool, of which there are four for everybody: one is the most that a
 * check may take. */
static bool still_hangs(const struct checks *c, uint32_t slot, enum probe probe)
{
	LIST_EACH (at, &c->hanging) {
		const struct attempt *a = LIST_ENTRY(at, struct attempt, node);
		if (a->stating && a->slot == slot && a->probe == probe)
			return true;
	}
	return false;
}

static int start_file(struct attempt *a, const struct config_check *check, struct err *err)
{
	snprintf(a->target, sizeof(a->target), "%s", check->file);
	if (still_hangs(a->owner, a->slot, a->probe))
		return err_set(err, -EBUSY, "an earlier look at it still hangs");
	a->stat.data = a;
	int rc = uv_fs_stat(&a->owner->context->loop->uv, &a->stat, check->file, on_stat);
	if (rc < 0)
		return err_set(err, rc, "%s", uv_strerror(rc));
	a->stating = true;
	return 0;
}

/* ---- the start of an attempt ---- */

static struct attempt *find_attempt(struct checks *c, uint32_t slot, enum probe probe)
{
	LIST_EACH (at, &c->attempts) {
		struct attempt *a = LIST_ENTRY(at, struct attempt, node);
		if (a->slot == slot && a->probe == probe)
			return a;
	}
	return NULL;
}

static int start_none(struct attempt *a, const struct config_check *check, struct err *err)
{
	(void)a;
	(void)check;
	return err_set(err, -EINVAL, "there is nothing to attempt");
}

static bool is_shortage(int rc)
{
	return rc == -EAGAIN || rc == -ENOMEM || rc == -EMFILE || rc == -ENFILE || rc == -ENOBUFS;
}

static void start(struct attempt *a, const struct config_check *check)
{
	typedef int (*starter)(struct attempt *, const struct config_check *, struct err *);
	static const starter starters[] = {
		[CHECK_NONE] = start_none,
		[CHECK_HTTP] = start_http,
		[CHECK_TCP] = start_tcp,
		[CHECK_EXEC] = start_exec,
		[CHECK_FILE] = start_file,
		[CHECK_NOTIFY] = start_none,
		[CHECK_DELAY] = start_none,
	};
	struct err err = {0};
	if (check->kind == CHECK_DELAY) { /* it was made when it was due */
		answer(a, NULL);
		return;
	}
	int rc = starters[check->kind](a, check, &err);
	if (rc < 0) {
		a->shortage = is_shortage(rc);
		answer(a, "%s", err.text);
		return;
	}
	uv_update_time(a->deadline.loop);
	uv_timer_start(&a->deadline, on_deadline, (uint64_t)check->timeout, 0);
}

void checks_do(struct checks *c, const struct effect *e)
{
	enum probe probe = (enum probe)e->value;
	const struct config_check *check = find_check(c->context->world, e->slot, probe);
	struct attempt *older = find_attempt(c, e->slot, probe);
	if (!check || (older && older->run == e->run))
		return;
	if (older)
		give_up(older);
	struct attempt *a = calloc(1, sizeof(*a));
	if (!a) {
		struct event failed = {.kind = EVENT_WORKER_CHECKED, .slot = e->slot, .run = e->run};
		failed.checked.probe = probe;
		failed.checked.shortage = true;
		snprintf(failed.text, sizeof(failed.text), "out of memory");
		loop_post(c->context->loop, &failed);
		return;
	}
	*a = (struct attempt){.owner = c,
		.slot = e->slot,
		.run = e->run,
		.probe = probe,
		.timeout = check->timeout,
		.expect_status = check->expect_status,
		.started_ns = uv_hrtime()};
	snprintf(a->target, sizeof(a->target), "%s check", probe_name(probe));
	uv_timer_init(&c->context->loop->uv, &a->deadline);
	a->deadline.data = a;
	list_append(&c->attempts, &a->node);
	start(a, check);
}

void checks_forget(struct checks *c, uint32_t slot, uint64_t run)
{
	LIST_EACH (at, &c->attempts) {
		struct attempt *a = LIST_ENTRY(at, struct attempt, node);
		if (a->slot == slot && a->run == run)
			give_up(a);
	}
}

bool checks_end(struct checks *c)
{
	LIST_EACH (at, &c->attempts)
		give_up(LIST_ENTRY(at, struct attempt, node));
	return exec_checks_end(c->execs);
}

int checks_new(struct checks **out, const struct context *context, struct err *err)
{
	struct checks *c = calloc(1, sizeof(*c));
	if (!c)
		return err_set(err, -ENOMEM, "out of memory");
	c->context = context;
	list_init(&c->attempts);
	list_init(&c->hanging);
	*out = c;
	return 0;
}

void checks_free(struct checks *c)
{
	if (!c)
		return;
	LIST_EACH (at, &c->attempts)
		give_up(LIST_ENTRY(at, struct attempt, node));
	LIST_EACH (at, &c->hanging)
		list_remove(at);
	http_client_free(c->http);
	exec_checks_free(c->execs);
	free(c);
}
