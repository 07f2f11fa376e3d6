#include "kubernetes_api.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "podvisor/base/buf.h"
#include "podvisor/base/list.h"
#include "podvisor/io/file.h"
#include "podvisor/io/http_client.h"

#define TOKEN_MAX  (16 * 1024) /* what Kubernetes signs has one to two thousand bytes */
#define ANSWER_MAX (1024 * 1024) /* the most that an object can have (etcd) is more; a Lease has a thousand bytes */
#define URL_MAX    2048

struct kubernetes_api {
	struct http_client *http;
	char *folder; /* owned */
	struct list calls;
};

struct kubernetes_call {
	struct list node;
	struct http_transfer *http;
	void (*line)(void *ctx, json_t *object);
	void (*done)(void *ctx, const struct kubernetes_reply *reply);
	void *ctx;
	char what[96]; /* "PUT podvisor.indexer" */
	struct buf body;
};

int kubernetes_api_new(struct kubernetes_api **out, struct loop *l, const char *folder, struct err *err)
{
	struct kubernetes_api *a = calloc(1, sizeof(*a));
	if (!a)
		return err_set(err, -ENOMEM, "out of memory");
	list_init(&a->calls);
	a->folder = strdup(folder);
	int rc = a->folder ? http_client_new(&a->http, l, err) : err_set(err, -ENOMEM, "out of memory");
	if (rc < 0)
		kubernetes_api_free(a);
	else
		*out = a;
	return rc;
}

static void drop(struct kubernetes_call *call)
{
	list_remove(&call->node);
	buf_fini(&call->body);
	free(call);
}

void kubernetes_call_abort(struct kubernetes_call *call)
{
	http_transfer_abort(call->http);
	drop(call);
}

void kubernetes_api_free(struct kubernetes_api *a)
{
	if (!a)
		return;
	LIST_EACH (at, &a->calls)
		kubernetes_call_abort(LIST_ENTRY(at, struct kubernetes_call, node));
	http_client_free(a->http);
	free(a->folder);
	free(a);
}

/* ---- the folder of the service account ---- */

/* One line of a file of a few bytes, which the kubelet keeps in memory: it is read on the loop. */
static int read_line(const struct kubernetes_api *a, const char *name, char *out, size_t size, struct err *err)
{
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/%s", a->folder, name);
	ssize_t n = file_read_small(path, out, size);
	if (n < 0)
		return err_set(err, (int)n, "cannot read %s: %s", path, strerror((int)-n));
	size_t len = strcspn(out, "\r\n");
	bool whole = (size_t)n < size - 1 && strspn(out + len, "\r\n") == (size_t)n - len;
	out[len] = '\0';
	if (!whole || len == 0)
		return err_set(err, -EINVAL, "%s is not one line of text", path);
	return 0;
}

int kubernetes_api_namespace(const struct kubernetes_api *a, char *out, size_t size, struct err *err)
{
	return read_line(a, "namespace", out, size, err);
}

/* ---- replies ---- */

/* A reason is one word ("Forbidden"), and nothing else is repeated: no server is to put words into our log. */
static const char *reason_of(const json_t *status)
{
	const char *reason = json_string_value(json_object_get(status, "reason"));
	size_t letters = reason ? strspn(reason, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") : 0;
	return letters && letters <= 32 && !reason[letters] ? reason : "";
}

static void describe(const struct kubernetes_call *call, const struct http_answer *answer, struct kubernetes_reply *r)
{
	const char *reason = reason_of(r->body);
	/* How long it was given is not told: the same trouble is to be the same sentence. */
	if (answer->error == -ETIMEDOUT)
		snprintf(r->text, sizeof(r->text), "%s: the API server does not answer in time", call->what);
	else if (answer->error)
		snprintf(r->text, sizeof(r->text), "%s: %.60s", call->what, answer->text);
	else if (r->status < 200 || r->status > 299)
		snprintf(r->text, sizeof(r->text), "%s: the API server answered %d%s%s", call->what, r->status,
			reason[0] ? " " : "", reason);
	else if (!r->body && !call->line)
		snprintf(r->text, sizeof(r->text), "%s: the API server answered with something that is no JSON",
			call->what);
}

static void on_answer(void *ctx, const struct http_answer *answer)
{
	struct kubernetes_call *call = ctx;
	struct kubernetes_reply reply = {.status = answer->error ? 0 : answer->status};
	if (!answer->error && call->body.len)
		reply.body = json_loadb(call->body.data, call->body.len, 0, NULL);
	describe(call, answer, &reply);
	void (*done)(void *, const struct kubernetes_reply *) = call->done;
	void *done_ctx = call->ctx;
	drop(call);
	done(done_ctx, &reply);
	json_decref(reply.body);
}

/* What is too long for the buffer makes no JSON, and is refused as that. */
static void on_bytes(void *ctx, const char *bytes, size_t n)
{
	struct kubernetes_call *call = ctx;
	buf_put(&call->body, bytes, n);
	char *end;
	while (call->line && call->body.len && (end = memchr(call->body.data, '\n', call->body.len))) {
		size_t len = (size_t)(end - call->body.data);
		json_t *object = json_loadb(call->body.data, len, 0, NULL);
		if (object)
			call->line(call->ctx, object);
		json_decref(object);
		buf_consume(&call->body, len + 1);
	}
}

/* ---- requests ---- */

/* As client-go finds it. */
static int put_url(const char *path, char *out, size_t size, struct err *err)
{
	const char *host = getenv("KUBERNETES_SERVICE_HOST"), *port = getenv("KUBERNETES_SERVICE_PORT");
	if (!host || !host[0] || !port || !port[0])
		return err_set(err, -ENOENT,
			"no API server is known: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set");
	bool v6 = strchr(host, ':') != NULL;
	int n = snprintf(out, size, "https://%s%s%s:%s%s", v6 ? "[" : "", host, v6 ? "]" : "", port, path);
	if (n < 0 || (size_t)n >= size)
		return err_set(err, -ENAMETOOLONG, "the address of the API server is too long");
	return 0;
}

static int send_as(struct kubernetes_api *a, struct kubernetes_call *call, struct http_request *request,
	const char *token, struct err *err)
{
	char value[TOKEN_MAX + 8], ca[PATH_MAX];
	snprintf(value, sizeof(value), "Bearer %s", token);
	snprintf(ca, sizeof(ca), "%s/ca.crt", a->folder);
	const struct http_header headers[] = {
		{"Authorization", value}, {"Accept", "application/json"}, {"Content-Type", "application/json"}};
	request->headers = headers;
	request->n_headers = sizeof(headers) / sizeof(headers[0]);
	request->ca_file = ca;
	int rc = http_client_send(a->http, request, on_answer, call, &call->http, err);
	explicit_bzero(value, sizeof(value));
	return rc;
}

static int begin(
	struct kubernetes_api *a, struct kubernetes_call *call, const struct kubernetes_request *r, struct err *err)
{
	char url[URL_MAX], token[TOKEN_MAX];
	char *body = r->body ? json_dumps(r->body, JSON_COMPACT) : NULL;
	struct http_request request = {.method = r->method,
		.url = url,
		.timeout = r->timeout,
		.body = body,
		.max_body_bytes = r->line ? INT64_MAX : ANSWER_MAX,
		.verify_tls = true,
		.keep = true,
		.received = on_bytes};
	int rc = r->body && !body ? err_set(err, -ENOMEM, "out of memory") : put_url(r->path, url, sizeof(url), err);
	rc = rc ? rc : read_line(a, "token", token, sizeof(token), err);
	rc = rc ? rc : send_as(a, call, &request, token, err);
	explicit_bzero(token, sizeof(token));
	free(body);
	return rc;
}

int kubernetes_api_send(struct kubernetes_api *a, const struct kubernetes_request *request,
	void (*done)(void *ctx, const struct kubernetes_reply *reply), void *ctx, struct kubernetes_call **out,
	struct err *err)
{
	struct kubernetes_call *call = calloc(1, sizeof(*call));
	if (!call)
		return err_set(err, -ENOMEM, "out of memory");
	*call = (struct kubernetes_call){.line = request->line, .done = done, .ctx = ctx};
	const char *last = strrchr(request->path, '/');
	snprintf(call->what, sizeof(call->what), "%s %.*s", request->method, (int)strcspn(last + 1, "?"), last + 1);
	buf_init(&call->body, ANSWER_MAX);
	list_append(&a->calls, &call->node);
	int rc = begin(a, call, request, err);
	if (rc < 0)
		drop(call);
	else
		*out = call;
	return rc;
}
