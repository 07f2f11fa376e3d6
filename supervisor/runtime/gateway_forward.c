#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway_internal.h"

static int parse_network(struct gateway_network *out, const char *text)
{
	char host[INET6_ADDRSTRLEN];
	const char *slash = strchr(text, '/');
	size_t n = slash ? (size_t)(slash - text) : strlen(text);
	if (n >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, n);
	host[n] = '\0';
	out->family = strchr(host, ':') ? AF_INET6 : AF_INET;
	int width = out->family == AF_INET ? 32 : 128;
	out->prefix = slash ? atoi(slash + 1) : width;
	if (inet_pton(out->family, host, out->bits) != 1 || out->prefix < 0 || out->prefix > width)
		return -EINVAL;
	return 0;
}

int gateway_trusted_init(struct gateways *g, struct err *err)
{
	char *const *texts = g->config->gateway.trusted;
	size_t n = 0;
	while (texts && texts[n])
		n++;
	g->trusted = calloc(n + 1, sizeof(*g->trusted));
	if (!g->trusted)
		return err_set(err, -ENOMEM, "out of memory");
	for (; g->n_trusted < n; g->n_trusted++)
		if (parse_network(&g->trusted[g->n_trusted], texts[g->n_trusted]) < 0)
			return err_set(err, -EINVAL, "gateway.trusted: \"%s\" is no network", texts[g->n_trusted]);
	return 0;
}

static bool contains(const struct gateway_network *n, int family, const unsigned char *address)
{
	int whole = n->prefix / 8, rest = n->prefix % 8;
	if (n->family != family || memcmp(n->bits, address, (size_t)whole) != 0)
		return false;
	return rest == 0 || (n->bits[whole] ^ address[whole]) >> (8 - rest) == 0;
}

/* The peer's address without its port; an IPv4 client of an IPv6 socket is one of IPv4. NULL: it has none. */
static const unsigned char *address_of(const struct gateway_client *c, int *family)
{
	*family = c->peer.any.sa_family;
	if (*family == AF_INET)
		return (const unsigned char *)&c->peer.v4.sin_addr;
	if (*family != AF_INET6)
		return NULL;
	if (!IN6_IS_ADDR_V4MAPPED(&c->peer.v6.sin6_addr))
		return (const unsigned char *)&c->peer.v6.sin6_addr;
	*family = AF_INET;
	return (const unsigned char *)&c->peer.v6.sin6_addr + 12;
}

static bool is_in_trusted(const struct gateways *g, int family, const unsigned char *address)
{
	for (size_t i = 0; i < g->n_trusted; i++)
		if (contains(&g->trusted[i], family, address))
			return true;
	return false;
}

/* Whoever reaches a Unix socket is on this machine. */
static bool is_trusted(const struct gateways *g, const struct gateway_client *c)
{
	int family;
	const unsigned char *address = address_of(c, &family);
	return !address || is_in_trusted(g, family, address);
}

static bool parse_address(struct span text, int *family, unsigned char bits[16], char out[INET6_ADDRSTRLEN])
{
	if (text.len == 0 || text.len >= INET6_ADDRSTRLEN)
		return false;
	memcpy(out, text.at, text.len);
	out[text.len] = '\0';
	*family = strchr(out, ':') ? AF_INET6 : AF_INET;
	return inet_pton(*family, out, bits) == 1;
}

/* Cuts the last element off a list; false at its front. */
static bool cut_last(struct span *list, struct span *element)
{
	if (!list->len)
		return false;
	const char *comma = memrchr(list->at, ',', list->len);
	size_t before = comma ? (size_t)(comma - list->at) : 0, skip = comma ? before + 1 : 0;
	*element = span_trim((struct span){list->at + skip, list->len - skip});
	list->len = before;
	return true;
}

/* From the last hop back to the first that is not believed, whose word for those before it is nothing: then true. */
static bool follow_hops(const struct gateways *g, struct span hops, char out[INET6_ADDRSTRLEN])
{
	struct span hop;
	while (cut_last(&hops, &hop)) {
		char text[INET6_ADDRSTRLEN];
		unsigned char bits[16];
		int family;
		if (!parse_address(hop, &family, bits, text))
			return true;
		memcpy(out, text, sizeof(text));
		if (!is_in_trusted(g, family, bits))
			return true;
	}
	return false;
}

void gateway_forwarded_client(
	struct gateways *g, const struct gateway_client *c, const struct http1_head *head, char out[INET6_ADDRSTRLEN])
{
	int family;
	const unsigned char *address = address_of(c, &family);
	out[0] = '\0';
	if (address)
		inet_ntop(family, address, out, INET6_ADDRSTRLEN);
	if (!head || g->config->gateway.forwarded != FORWARDED_APPEND || !is_trusted(g, c))
		return;
	for (size_t i = head->n_headers; i-- > 0;)
		if (span_equals_nocase(head->headers[i].name, "X-Forwarded-For") &&
			follow_hops(g, head->headers[i].value, out))
			return;
}

/* All values of that name, joined (RFC 9110 5.3), each with ", " behind it. */
static void put_existing(struct gateways *g, const char *name)
{
	for (size_t i = 0; i < g->head.n_headers; i++) {
		const struct http1_header *h = &g->head.headers[i];
		if (!span_equals_nocase(h->name, name) || !h->value.len)
			continue;
		buf_put(&g->scratch, h->value.at, h->value.len);
		buf_puts(&g->scratch, ", ");
	}
}

/* RFC 7239 6: an IPv6 address stands in brackets and quotes; 4: what is no token is quoted. */
static void put_forwarded(struct gateways *g, const char *peer)
{
	const char *format = strchr(peer, ':') ? "for=\"[%s]\"" : "for=%s";
	struct span host = g->head.host;
	/* The format is one of the two above. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	buf_printf(&g->scratch, format, peer);
#pragma GCC diagnostic pop
	if (host.len && !memchr(host.at, '"', host.len) && !memchr(host.at, '\\', host.len))
		buf_printf(&g->scratch, ";host=\"%.*s\"", (int)host.len, host.at);
	buf_puts(&g->scratch, ";proto=http");
}

size_t gateway_forward(
	struct gateways *g, const struct gateway_client *c, struct http1_header fields[GATEWAY_FORWARD_FIELDS])
{
	enum forwarded_mode mode = g->config->gateway.forwarded;
	char peer[INET6_ADDRSTRLEN] = "unknown";
	size_t from[3], n = 0;
	int family;
	if (mode == FORWARDED_OFF)
		return 0;
	const unsigned char *address = address_of(c, &family);
	if (address)
		inet_ntop(family, address, peer, sizeof(peer));
	bool believed = mode == FORWARDED_APPEND && is_trusted(g, c);
	from[0] = g->scratch.len;
	if (believed)
		put_existing(g, "X-Forwarded-For");
	buf_puts(&g->scratch, peer);
	from[1] = g->scratch.len;
	if (believed)
		put_existing(g, "Forwarded");
	put_forwarded(g, peer);
	from[2] = g->scratch.len;
	if (g->scratch.failed)
		return 0;
	const char *at = g->scratch.data;
	fields[n++] = (struct http1_header){SPAN("X-Forwarded-For"), {at + from[0], from[1] - from[0]}};
	fields[n++] = (struct http1_header){SPAN("Forwarded"), {at + from[1], from[2] - from[1]}};
	if (!believed || !http1_find(&g->head, "X-Forwarded-Proto"))
		fields[n++] = (struct http1_header){SPAN("X-Forwarded-Proto"), SPAN("http")};
	if (!believed || !http1_find(&g->head, "X-Forwarded-Host"))
		fields[n++] = (struct http1_header){
			SPAN("X-Forwarded-Host"), g->head.host.len ? g->head.host : (struct span){NULL, 0}};
	return n;
}
