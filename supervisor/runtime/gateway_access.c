#include <stdlib.h>
#include <string.h>

#include "gateway_internal.h"
#include "podvisor/base/json.h"

#define PATH_MAX_BYTES 1024 /* what is longer is cut: a line is for people and their tools */
#define LINE_MAX_BYTES 16384

/* The path alone: what stands in a query may be a secret. */
static struct span path_of(const struct http1_head *head)
{
	struct span path = head ? head->target : (struct span){"", 0};
	const char *query = path.len ? memchr(path.at, '?', path.len) : NULL;
	if (query)
		path.len = (size_t)(query - path.at);
	if (path.len > PATH_MAX_BYTES)
		path.len = PATH_MAX_BYTES;
	return path;
}

static void copy(char *to, size_t size, struct span from)
{
	size_t n = from.len < size ? from.len : size - 1;
	memcpy(to, from.at, n);
	to[n] = '\0';
}

void gateway_access_begin(struct gateway_client *c, const struct http1_head *head)
{
	struct gateways *g = c->g;
	if (g->config->gateway.access_log == ACCESS_LOG_OFF)
		return;
	gateway_access_forget(&c->access);
	struct span path = path_of(head);
	struct gateway_access *a = calloc(1, sizeof(*a) + path.len + 1);
	if (!a)
		return;
	a->started_ns = c->started_ns;
	copy(a->path, path.len + 1, path);
	copy(a->method, sizeof(a->method), head ? head->method : SPAN(""));
	gateway_forwarded_client(g, c, head, a->client);
	c->access = a;
}

void gateway_access_forget(struct gateway_access **a)
{
	free(*a);
	*a = NULL;
}

/* ---- lines ---- */

static double seconds_between(uint64_t from_ns, uint64_t to_ns)
{
	return (double)(to_ns - from_ns) / 1e9;
}

static void put_text(struct buf *out, const char *key, const char *text)
{
	buf_printf(out, ",\"%s\":", key);
	if (text && text[0])
		json_put_string(out, text, strlen(text));
	else
		buf_puts(out, "null");
}

static void put_front(
	struct buf *out, const char *kind, const struct gateway_access *a, const struct gateway_route *route)
{
	buf_clear(out);
	buf_printf(out, "{\"access\":\"%s\"", kind);
	put_text(out, "client", a->client);
	put_text(out, "method", a->method);
	put_text(out, "path", a->path);
	put_text(out, "route", route ? route->config->path : NULL);
}

static void put_sums(struct buf *out, const struct gateway_access *a)
{
	buf_printf(out, ",\"seconds\":%.6f,\"upstream_seconds\":", seconds_between(a->started_ns, uv_hrtime()));
	if (a->answered_ns)
		buf_printf(out, "%.6f", seconds_between(a->asked_ns, a->answered_ns));
	else
		buf_puts(out, "null");
	buf_printf(out, ",\"bytes_received\":%llu,\"bytes_sent\":%llu", (unsigned long long)a->received,
		(unsigned long long)a->sent);
}

static void tell(struct gateways *g, struct buf *line, bool failed)
{
	const struct output *output = g->context->output;
	buf_putc(line, '}');
	if (output && output->record && !line->failed && (failed || g->config->gateway.access_log == ACCESS_LOG_ALL)) {
		output->record(output->ctx, failed ? LOG_WARN : LOG_INFO, THING_GATEWAY, line->data, line->len);
		g->recorded = true;
	}
	buf_fini(line);
}

void gateway_access_flush(struct gateways *g)
{
	if (!g->recorded)
		return;
	g->recorded = false;
	g->context->output->flush(g->context->output->ctx);
}

void gateway_access_request(struct gateway_client *c)
{
	struct gateway_access *a = c->access;
	struct buf line;
	if (!a)
		return;
	buf_init(&line, LINE_MAX_BYTES);
	put_front(&line, "http", a, c->route);
	buf_printf(&line, c->status ? ",\"status\":%d" : ",\"status\":null", c->status);
	put_sums(&line, a);
	put_text(&line, "reason", a->why);
	tell(c->g, &line, a->why || c->status == 0 || c->status >= 500);
	gateway_access_forget(&c->access);
}

void gateway_access_websocket(struct gateways *g, struct gateway_access **access, const struct gateway_route *route,
	const struct gateway_farewell *end)
{
	struct gateway_access *a = *access;
	struct buf line;
	if (!a)
		return;
	buf_init(&line, LINE_MAX_BYTES);
	put_front(&line, "websocket", a, route);
	buf_puts(&line, ",\"status\":101");
	put_sums(&line, a);
	buf_printf(&line, ",\"messages_received\":%llu,\"messages_sent\":%llu,\"close_code\":%d",
		(unsigned long long)end->messages[0], (unsigned long long)end->messages[1], end->code);
	put_text(&line, "closed_by", end->by);
	put_text(&line, "drained", end->drained);
	tell(g, &line, end->failed);
	gateway_access_forget(access);
}
