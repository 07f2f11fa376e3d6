#include "podvisor/io/http_client.h"

/* The checking macros of gcc's build name the functions that we only have pointers to. */
#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "podvisor/base/list.h"
#include "podvisor/io/library.h"

/* ---- the library, loaded late ---- */

#define CURL_CALLS(X)          \
	X(global_init)         \
	X(easy_init)           \
	X(easy_setopt)         \
	X(easy_getinfo)        \
	X(easy_strerror)       \
	X(easy_cleanup)        \
	X(slist_append)        \
	X(slist_free_all)      \
	X(multi_init)          \
	X(multi_setopt)        \
	X(multi_assign)        \
	X(multi_add_handle)    \
	X(multi_remove_handle) \
	X(multi_socket_action) \
	X(multi_info_read)     \
	X(multi_cleanup)

static struct {
#define CURL_POINTER(name) __typeof__(curl_##name) *name;
	CURL_CALLS(CURL_POINTER)
#undef CURL_POINTER
} curl;

static uv_once_t load_once = UV_ONCE_INIT;
static struct err load_error; /* code 0: loaded */

static void load(void)
{
	static const struct library_call calls[] = {
#define CURL_CALL(name) {"curl_" #name, &curl.name},
		CURL_CALLS(CURL_CALL)
#undef CURL_CALL
	};
	load_error.code = library_load("libcurl.so.4", calls, sizeof(calls) / sizeof(calls[0]), &load_error);
}

/* On the loop's own thread, which lives as long as podvisor: OpenSSL ties memory to
 * the thread that it begins in. Less than a millisecond, once; the loading takes six. */
static int initialise(void)
{
	static bool done;
	if (!done && curl.global_init(CURL_GLOBAL_DEFAULT))
		return err_set(&load_error, -ELIBACC, "libcurl does not initialise");
	done = true;
	return 0;
}

/* ---- client and transfers ---- */

/* Lives from http_client_new until its last pool job and handle are done. */
struct http_client {
	struct loop *loop;
	uv_timer_t timer; /* curl's */
	uv_work_t work; /* loading */
	bool loading, freed, timer_closed;
	int broken; /* the library could not be loaded: negative errno */
	CURLM *multi; /* NULL until loaded */
	struct list transfers;
};

struct http_transfer {
	struct list node;
	struct http_client *client;
	void (*done)(void *ctx, const struct http_answer *answer);
	void *ctx;
	CURL *easy; /* NULL until loaded */
	struct curl_slist *headers;
	char **lines; /* owned: headers that wait for the library */
	size_t n_lines;
	char *method, *url, *body, *ca_file; /* owned; but for the URL, NULL when there is none */
	ms_t timeout;
	int64_t body_bytes, max_body_bytes;
	bool verify_tls, keep, body_cut;
	void (*received)(void *ctx, const char *bytes, size_t n);
	char error[CURL_ERROR_SIZE];
};

/* One socket of curl's that is polled. */
struct watch {
	uv_poll_t poll;
	struct http_client *client;
	curl_socket_t fd;
};

static void transfer_free(struct http_transfer *t)
{
	list_remove(&t->node);
	if (t->easy) {
		curl.multi_remove_handle(t->client->multi, t->easy);
		curl.easy_cleanup(t->easy);
		curl.slist_free_all(t->headers);
	}
	for (size_t i = 0; i < t->n_lines; i++)
		free(t->lines[i]);
	free(t->lines);
	free(t->method);
	free(t->url);
	free(t->body);
	free(t->ca_file);
	free(t);
}

static void answer(struct http_transfer *t, const struct http_answer *a)
{
	void (*done)(void *, const struct http_answer *) = t->done;
	void *ctx = t->ctx;
	transfer_free(t);
	done(ctx, a);
}

static void describe_failure(struct http_transfer *t, CURLcode code, struct http_answer *a)
{
	long os_error = 0;
	curl.easy_getinfo(t->easy, CURLINFO_OS_ERRNO, &os_error);
	switch (code) {
	case CURLE_OPERATION_TIMEDOUT:
		a->error = -ETIMEDOUT;
		snprintf(a->text, sizeof(a->text), "no answer within %lld ms", (long long)t->timeout);
		return;
	case CURLE_COULDNT_CONNECT:
		a->error = os_error > 0 ? -(int)os_error : -ECONNREFUSED;
		snprintf(a->text, sizeof(a->text), "cannot connect: %s", strerror(-a->error));
		return;
	case CURLE_COULDNT_RESOLVE_HOST:
		a->error = -EHOSTUNREACH;
		snprintf(a->text, sizeof(a->text), "the name cannot be resolved");
		return;
	case CURLE_GOT_NOTHING:
		a->error = -ECONNRESET;
		snprintf(a->text, sizeof(a->text), "the connection was closed without an answer");
		return;
	default:
		a->error = -EPROTO;
		snprintf(a->text, sizeof(a->text), "%s", curl.easy_strerror(code));
	}
}

static void finish(struct http_transfer *t, CURLcode code)
{
	struct http_answer a = {0};
	long status = 0;
	curl.easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	if (code == CURLE_OK || (t->body_cut && code == CURLE_WRITE_ERROR))
		a.status = (int)status;
	else
		describe_failure(t, code, &a);
	answer(t, &a);
}

static void take_finished(struct http_client *c)
{
	CURLMsg *message;
	int left;
	while ((message = curl.multi_info_read(c->multi, &left))) {
		if (message->msg != CURLMSG_DONE)
			continue;
		char *private = NULL;
		CURLcode code = message->data.result;
		curl.easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
		finish((struct http_transfer *)(void *)private, code);
	}
}

/* ---- curl's sockets and timer on the loop ---- */

static void on_poll(uv_poll_t *handle, int status, int events)
{
	struct watch *w = handle->data;
	struct http_client *c = w->client;
	int flags = status < 0 ? CURL_CSELECT_ERR : 0;
	flags |= events & UV_READABLE ? CURL_CSELECT_IN : 0;
	flags |= events & UV_WRITABLE ? CURL_CSELECT_OUT : 0;
	int running;
	curl.multi_socket_action(c->multi, w->fd, flags, &running);
	take_finished(c);
}

static void on_timer(uv_timer_t *handle)
{
	struct http_client *c = handle->data;
	int running;
	curl.multi_socket_action(c->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	take_finished(c);
}

static void free_handle(uv_handle_t *handle)
{
	free(handle->data);
}

static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *socket_ctx)
{
	(void)easy;
	struct http_client *c = ctx;
	struct watch *w = socket_ctx;
	if (what == CURL_POLL_REMOVE) {
		if (w)
			uv_close((uv_handle_t *)&w->poll, free_handle);
		curl.multi_assign(c->multi, fd, NULL);
		return 0;
	}
	if (!w) {
		w = calloc(1, sizeof(*w));
		if (!w || uv_poll_init(&c->loop->uv, &w->poll, fd) < 0) {
			free(w);
			return -1;
		}
		w->client = c;
		w->fd = fd;
		w->poll.data = w;
		curl.multi_assign(c->multi, fd, w);
	}
	int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
	return uv_poll_start(&w->poll, events, on_poll) < 0 ? -1 : 0;
}

/* curl must not be called from here (CURLMOPT_TIMERFUNCTION(3)), so 0 ms means soon, not now. */
static int set_timer(CURLM *multi, long timeout_ms, void *ctx)
{
	(void)multi;
	struct http_client *c = ctx;
	uv_update_time(&c->loop->uv);
	if (timeout_ms < 0)
		uv_timer_stop(&c->timer);
	else
		uv_timer_start(&c->timer, on_timer, (uint64_t)timeout_ms, 0);
	return 0;
}

static size_t take_body(char *bytes, size_t size, size_t n, void *ctx)
{
	struct http_transfer *t = ctx;
	t->body_bytes += (int64_t)(size * n);
	t->body_cut = t->body_bytes > t->max_body_bytes;
	if (t->received && !t->body_cut)
		t->received(t->ctx, bytes, size * n);
	return t->body_cut ? 0 : size * n;
}

/* ---- start ---- */

static bool set_headers(struct http_transfer *t)
{
	for (size_t i = 0; i < t->n_lines; i++) {
		struct curl_slist *longer = curl.slist_append(t->headers, t->lines[i]);
		if (!longer)
			return false;
		t->headers = longer;
	}
	return curl.easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers) == CURLE_OK;
}

/* What it sends, and as what. */
static bool set_body(struct http_transfer *t)
{
	CURL *e = t->easy;
	if (t->body && (curl.easy_setopt(e, CURLOPT_POSTFIELDS, t->body) ||
			       curl.easy_setopt(e, CURLOPT_POSTFIELDSIZE, (long)strlen(t->body))))
		return false;
	return !t->method || curl.easy_setopt(e, CURLOPT_CUSTOMREQUEST, t->method) == CURLE_OK;
}

static void set_trust(struct http_transfer *t)
{
	CURL *e = t->easy;
	curl.easy_setopt(e, CURLOPT_SSL_VERIFYPEER, t->verify_tls ? 1L : 0L);
	curl.easy_setopt(e, CURLOPT_SSL_VERIFYHOST, t->verify_tls ? 2L : 0L);
	if (t->ca_file)
		curl.easy_setopt(e, CURLOPT_CAINFO, t->ca_file);
}

static void set_options(struct http_transfer *t)
{
	CURL *e = t->easy;
	curl.easy_setopt(e, CURLOPT_PRIVATE, t);
	curl.easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	/* Without it, giving up a name that is still being resolved joins the resolver's thread. */
	curl.easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
	curl.easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
	curl.easy_setopt(e, CURLOPT_PROXY, "");
	curl.easy_setopt(e, CURLOPT_FRESH_CONNECT, t->keep ? 0L : 1L);
	curl.easy_setopt(e, CURLOPT_FORBID_REUSE, t->keep ? 0L : 1L);
	curl.easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
	curl.easy_setopt(e, CURLOPT_USERAGENT, "podvisor");
	curl.easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl.easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)t->timeout);
	curl.easy_setopt(e, CURLOPT_BUFFERSIZE, 4096L);
	curl.easy_setopt(e, CURLOPT_WRITEFUNCTION, take_body);
	curl.easy_setopt(e, CURLOPT_WRITEDATA, t);
	set_trust(t);
}

static int start(struct http_transfer *t)
{
	t->easy = curl.easy_init();
	if (!t->easy)
		return -ENOMEM;
	set_options(t);
	if (curl.easy_setopt(t->easy, CURLOPT_URL, t->url) || !set_headers(t) || !set_body(t))
		return -ENOMEM;
	return curl.multi_add_handle(t->client->multi, t->easy) ? -ENOMEM : 0;
}

static int open_multi(struct http_client *c)
{
	int rc = initialise();
	if (rc < 0)
		return rc;
	c->multi = curl.multi_init();
	if (!c->multi)
		return -ENOMEM;
	curl.multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
	curl.multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c);
	curl.multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, set_timer);
	curl.multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
	return 0;
}

static void free_when_idle(struct http_client *c)
{
	if (c->freed && c->timer_closed && !c->loading)
		free(c);
}

static void load_in_pool(uv_work_t *work)
{
	(void)work;
	uv_once(&load_once, load);
}

static struct http_transfer *first_waiting(struct http_client *c)
{
	LIST_EACH (at, &c->transfers) {
		struct http_transfer *t = LIST_ENTRY(at, struct http_transfer, node);
		if (!t->easy)
			return t;
	}
	return NULL;
}

static void on_loaded(uv_work_t *work, int status)
{
	struct http_client *c = work->data;
	c->loading = false;
	if (c->freed) {
		free_when_idle(c);
		return;
	}
	if (status == 0 && load_error.code == 0)
		status = open_multi(c);
	c->broken = status < 0 ? status : load_error.code;
	struct http_transfer *t;
	while ((t = first_waiting(c))) {
		int rc = c->broken ? c->broken : start(t);
		struct http_answer failed = {.error = rc};
		snprintf(failed.text, sizeof(failed.text), "%.150s", c->broken ? load_error.text : "out of memory");
		if (rc < 0)
			answer(t, &failed);
	}
}

/* ---- calls ---- */

int http_client_new(struct http_client **out, struct loop *l, struct err *err)
{
	struct http_client *c = calloc(1, sizeof(*c));
	if (!c)
		return err_set(err, -ENOMEM, "out of memory");
	c->loop = l;
	list_init(&c->transfers);
	uv_timer_init(&l->uv, &c->timer);
	c->timer.data = c->work.data = c;
	*out = c;
	return 0;
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct http_client *c = handle->data;
	c->timer_closed = true;
	free_when_idle(c);
}

void http_client_free(struct http_client *c)
{
	if (!c)
		return;
	LIST_EACH (at, &c->transfers)
		transfer_free(LIST_ENTRY(at, struct http_transfer, node));
	if (c->multi)
		curl.multi_cleanup(c->multi);
	c->freed = true;
	uv_close((uv_handle_t *)&c->timer, on_timer_closed);
}

static int copy_headers(struct http_transfer *t, const struct http_request *request)
{
	t->lines = calloc(request->n_headers + 1, sizeof(*t->lines));
	if (!t->lines)
		return -ENOMEM;
	for (size_t i = 0; i < request->n_headers; i++) {
		const struct http_header *h = &request->headers[i];
		/* "Name;" is curl's way to send a field without a value (CURLOPT_HTTPHEADER(3)). */
		int n = h->value[0] ? asprintf(&t->lines[i], "%s: %s", h->name, h->value)
				    : asprintf(&t->lines[i], "%s;", h->name);
		if (n < 0)
			return -ENOMEM;
		t->n_lines++;
	}
	return 0;
}

static int begin(struct http_client *c, struct http_transfer *t)
{
	if (c->multi)
		return start(t);
	if (c->broken || c->loading)
		return c->broken;
	int rc = uv_queue_work(&c->loop->uv, &c->work, load_in_pool, on_loaded);
	c->loading = rc == 0;
	return rc;
}

/* False: out of memory. Nothing is copied as nothing. */
static bool copy_text(char **out, const char *text)
{
	*out = text ? strdup(text) : NULL;
	return *out || !text;
}

static bool copy_texts(struct http_transfer *t, const struct http_request *request)
{
	return copy_text(&t->url, request->url) && copy_text(&t->method, request->method) &&
	       copy_text(&t->body, request->body) && copy_text(&t->ca_file, request->ca_file);
}

int http_client_send(struct http_client *c, const struct http_request *request,
	void (*done)(void *ctx, const struct http_answer *answer), void *ctx, struct http_transfer **out,
	struct err *err)
{
	struct http_transfer *t = calloc(1, sizeof(*t));
	if (!t)
		return err_set(err, -ENOMEM, "out of memory");
	*t = (struct http_transfer){.client = c,
		.done = done,
		.ctx = ctx,
		.timeout = request->timeout,
		.max_body_bytes = request->max_body_bytes,
		.verify_tls = request->verify_tls,
		.keep = request->keep,
		.received = request->received};
	list_append(&c->transfers, &t->node);
	int rc = copy_texts(t, request) ? copy_headers(t, request) : -ENOMEM;
	if (rc == 0)
		rc = begin(c, t);
	if (rc < 0) {
		transfer_free(t);
		return err_set(err, rc, "cannot start a request: %s", uv_strerror(rc));
	}
	*out = t;
	return 0;
}

void http_transfer_abort(struct http_transfer *t)
{
	transfer_free(t);
}
