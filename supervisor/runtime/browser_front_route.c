#include <stdio.h>
#include <string.h>

#include "browser_front.h"
#include "podvisor/runtime/browser_endpoint.h"
#include "podvisor/base/secret.h"
#include "podvisor/wire/cdp_scan.h"

static const struct http1_limits limits = {.header_bytes = FRONT_HEAD_BYTES, .headers = 100};

ssize_t front_parse(struct front_client *c, struct err *err)
{
	return http1_parse_request(&c->endpoint->head, (struct span){c->in.data, c->in.len}, NULL, &limits, err);
}

struct span front_path(struct span target)
{
	const char *query = memchr(target.at, '?', target.len);
	return (struct span){target.at, query ? (size_t)(query - target.at) : target.len};
}

static bool begins_with(struct span s, const char *prefix)
{
	return s.len >= strlen(prefix) && !memcmp(s.at, prefix, strlen(prefix));
}

/* With or without a slash behind it. */
static bool is_path(struct span path, const char *name)
{
	size_t n = strlen(name);
	return begins_with(path, name) && (path.len == n || (path.len == n + 1 && path.at[n] == '/'));
}

bool front_is_list(struct span path)
{
	return is_path(path, "/json") || is_path(path, "/json/list");
}

static bool query_token(struct span target, struct span *token)
{
	const char *at = memchr(target.at, '?', target.len);
	while (at) {
		struct span rest = {at + 1, target.len - (size_t)(at + 1 - target.at)};
		const char *end = memchr(rest.at, '&', rest.len);
		if (rest.len >= 6 && !memcmp(rest.at, "token=", 6)) {
			*token = (struct span){rest.at + 6, (end ? (size_t)(end - rest.at) : rest.len) - 6};
			return true;
		}
		at = end;
	}
	return false;
}

/* ---- who may ---- */

static bool is_authorized(const struct http1_head *head, const char *secret)
{
	const struct span *field = http1_find(head, "Authorization");
	struct span token;
	if (field && http1_bearer(*field, &token) && secret_matches(token, secret))
		return true;
	return query_token(head->target, &token) && secret_matches(token, secret);
}

static bool is_origin_allowed(const struct http1_head *head, char *const *allowed)
{
	const struct span *origin = http1_find(head, "Origin");
	if (!origin)
		return true;
	for (; allowed && *allowed; allowed++)
		if (!strcmp(*allowed, "*") || span_equals_nocase(*origin, *allowed))
			return true;
	return false;
}

static struct span last_label(struct span name)
{
	for (size_t i = name.len; i > 0; i--)
		if (name.at[i - 1] == '.')
			return (struct span){name.at + i, name.len - i};
	return (struct span){NULL, 0};
}

static bool is_digits(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.at[i] < '0' || s.at[i] > '9')
			return false;
	return s.len > 0;
}

/* Names under these are given by nobody outside. */
static bool is_inner_name(struct span name)
{
	static const char *const inner[] = {"localhost", "local", "svc", "internal", "lan", "home", "test", "example"};
	if (name.len && name.at[name.len - 1] == '.')
		name.len--; /* written out in full */
	struct span last = last_label(name);
	for (size_t i = 0; i < sizeof(inner) / sizeof(*inner); i++)
		if (span_equals_nocase(last, inner[i]))
			return true;
	return !last.len || is_digits(last); /* one label, or an address */
}

/* A page of the web can make its own name mean 127.0.0.1, and then asks us without an Origin. Where a token is asked
 * for, that is of no use to it. */
static bool is_host_trusted(const struct browser_endpoint *e)
{
	struct span host = e->head.host;
	const char *colon = host.len && host.at[0] != '[' ? memchr(host.at, ':', host.len) : NULL;
	struct span name = {host.at, colon ? (size_t)(colon - host.at) : host.len};
	return e->config->token || !name.len || name.at[0] == '[' || is_inner_name(name);
}

/* ---- which Chrome ---- */

static struct front_generation *generation_at(const struct browser_endpoint *e, const struct list *node)
{
	return node == &e->generations ? NULL : LIST_ENTRY(node, struct front_generation, node);
}

static struct front_generation *newest(const struct browser_endpoint *e)
{
	return generation_at(e, e->generations.next);
}

/* It waits for another Chrome when there is none, or when this one has failed it before. */
static void ask_or_hold(struct front_client *c, struct front_generation *g)
{
	if (g && g->number != c->failed)
		front_ask(c, g);
	else
		front_hold(c);
}

/* Which of them has the page is known to themselves only. */
static void search(struct front_client *c)
{
	c->searches = true;
	ask_or_hold(c, newest(c->endpoint));
}

bool front_search_on(struct front_client *c)
{
	struct front_generation *next =
		c->searches && c->generation ? generation_at(c->endpoint, c->generation->node.next) : NULL;
	if (!next)
		return false;
	front_leave_chrome(c);
	front_ask(c, next);
	return true;
}

/* The virtual id is that of the current one, a real one that of its own for as long as it lives. */
static bool find_browser(const struct browser_endpoint *e, struct span id, struct front_generation **out)
{
	*out = e->current;
	if (span_equals_nocase(id, e->virtual_id))
		return true;
	LIST_EACH (at, (struct list *)&e->generations) {
		*out = LIST_ENTRY(at, struct front_generation, node);
		if ((*out)->id[0] && span_equals_nocase(id, (*out)->id))
			return true;
	}
	return false;
}

/* ---- where to ---- */

static void answer_health(struct front_client *c)
{
	front_answer(c, 200, "text/html; charset=utf-8", SPAN("<!doctype html><title>podvisor</title><p>reached\n"));
}

/* A client that came with its token in the query finds it in the address it goes on with. */
static void answer_version(struct front_client *c)
{
	struct browser_endpoint *e = c->endpoint;
	struct span host = e->head.host.len ? e->head.host : span_of(listener_address(e->listener)), token;
	char name[256], query[600] = "";
	struct buf document;
	snprintf(name, sizeof(name), "%.*s", (int)(host.len < 255 ? host.len : 255), host.at);
	if (e->config->token && query_token(e->head.target, &token) && secret_matches(token, e->config->token))
		snprintf(query, sizeof(query), "?token=%.*s", (int)token.len, token.at);
	buf_init(&document, 8192);
	if (cdp_version_document(&document, &e->current->version, name, e->virtual_id, query) == 0)
		front_answer(c, 200, "application/json; charset=UTF-8", (struct span){document.data, document.len});
	else
		front_refuse(c, 400, "its Host cannot be told in an answer");
	buf_fini(&document);
}

static bool is_full(const struct browser_endpoint *e)
{
	return e->config->max_sessions > 0 && *e->sessions >= e->config->max_sessions;
}

static void route_browser(struct front_client *c, struct span id)
{
	struct front_generation *g;
	if (!find_browser(c->endpoint, id, &g))
		front_refuse(c, 404, "no such browser: it may have been replaced; ask /json/version for its address");
	else if (g && is_full(c->endpoint))
		front_hold(c);
	else
		ask_or_hold(c, g);
}

static void route_websocket(struct front_client *c, struct span path)
{
	static const char browser[] = "/devtools/browser/";
	struct browser_endpoint *e = c->endpoint;
	size_t n = sizeof(browser) - 1;
	if (e->head.upgrade != HTTP1_UPGRADE_WEBSOCKET) {
		front_refuse(c, 426, "this address speaks WebSocket");
		return;
	}
	c->websocket = true;
	if (begins_with(path, browser))
		route_browser(c, (struct span){path.at + n, path.len - n});
	else if (newest(e) && is_full(e))
		front_hold(c);
	else
		search(c);
}

/* An address as a command: /json/new?chrome://... does what it says in some Chromes. */
static bool is_deadly(const struct front_client *c)
{
	const struct browser_endpoint *e = c->endpoint;
	struct span target = e->head.target;
	for (size_t at = front_path(target).len; at < target.len; at++) {
		struct span part = {target.at + at + 1, target.len - at - 1};
		bool begins = target.at[at] == '?' || target.at[at] == '&';
		if (begins && e->config->client_close == BROWSER_CLOSE_DETACH && cdp_is_deadly_url(part))
			return true;
	}
	return false;
}

static void route_document(struct front_client *c, struct span path)
{
	struct browser_endpoint *e = c->endpoint;
	bool of_a_page = begins_with(path, "/json/activate/") || begins_with(path, "/json/close/");
	if (front_is_list(path) || of_a_page)
		search(c);
	else if (is_path(path, "/json/new") && is_deadly(c))
		front_refuse(c, 403, "this address can end the Chrome of all (client_close)");
	else if (is_path(path, "/json/protocol") || is_path(path, "/json/new"))
		ask_or_hold(c, e->current);
	else if (!is_path(path, "/json/version"))
		front_refuse(c, 404, "no such address; /json/version names the browser's");
	else if (e->current)
		answer_version(c);
	else
		front_hold(c);
}

static bool has_body(const struct http1_head *head)
{
	return head->body != HTTP1_BODY_NONE && !(head->body == HTTP1_BODY_LENGTH && !head->length);
}

static void route(struct front_client *c)
{
	const struct browser_endpoint *e = c->endpoint;
	const struct http1_head *head = &e->head;
	struct span path = front_path(head->target);
	if (has_body(head))
		front_refuse(c, 400, "no request here has a body");
	else if (span_equals(path, BROWSER_HEALTH_PATH))
		answer_health(c);
	else if (!is_origin_allowed(head, e->config->allow_origins))
		front_refuse(c, 403, "this Origin is not allowed (allow_origins)");
	else if (!is_host_trusted(e))
		front_refuse(c, 403, "a public name as Host needs a token: a page of the web could use it");
	else if (e->config->token && !is_authorized(head, e->config->token))
		front_refuse(c, 401, "a token is needed: as Authorization: Bearer, or as ?token=");
	else if (!span_equals(head->method, "GET") && !span_equals(head->method, "PUT"))
		front_refuse(c, 405, "only GET and PUT are understood here");
	else if (begins_with(path, "/devtools/"))
		route_websocket(c, path);
	else
		route_document(c, path);
}

void front_act(struct front_client *c)
{
	struct err err = {0};
	ssize_t n = front_parse(c, &err);
	if (n < 0)
		front_refuse(c, http1_refusal_status((int)n), "%.400s", err.text);
	else if (n > 0)
		route(c);
}
