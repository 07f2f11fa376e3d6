#include "postgres_internal.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "podvisor/io/postgres_dsn.h"

/* The next field of a comma-separated list into out; the last one repeats, as a single port
 * is for all hosts. */
static void next_field(const char **list, char *out, size_t size)
{
	if (!*list)
		return;
	size_t n = strcspn(*list, ",");
	snprintf(out, size, "%.*s", (int)n, *list);
	if ((*list)[n])
		*list += n + 1;
}

static void resolve_next(struct postgres *p);

static void add_candidate(struct postgres *p, const char *hostaddr)
{
	if (p->n_candidates == CANDIDATES_MAX)
		return;
	struct candidate *c = &p->candidates[p->n_candidates++];
	*c = p->resolved;
	snprintf(c->hostaddr, sizeof(c->hostaddr), "%s", hostaddr);
}

static void fail_resolving(struct postgres *p, const char *why)
{
	p->failure = (struct postgres_failure){.reason = POSTGRES_REASON_UNREACHABLE};
	postgres_describe(p, &p->failure, "\"%s\" cannot be resolved: %s", p->resolved.host, why);
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *addresses)
{
	struct postgres *p = request->data;
	char text[64];
	p->resolving = false;
	if (p->closed || p->stage != STAGE_RESOLVING) {
		uv_freeaddrinfo(addresses);
		postgres_free_when_idle(p);
		return;
	}
	if (status < 0)
		fail_resolving(p, uv_strerror(status));
	for (struct addrinfo *a = addresses; a; a = a->ai_next)
		if (getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof(text), NULL, 0, NI_NUMERICHOST) == 0)
			add_candidate(p, text);
	uv_freeaddrinfo(addresses);
	resolve_next(p);
}

static void on_resolve_deadline(uv_timer_t *timer)
{
	struct postgres *p = timer->data;
	fail_resolving(p, "the resolver does not answer");
	postgres_start_connecting(p);
}

/* Takes the next host of the list; false when there was none. */
static bool next_host(struct postgres *p)
{
	const char *before = p->next_host;
	if (!before)
		return false;
	p->resolved = (struct candidate){0};
	next_field(&p->next_host, p->resolved.host, sizeof(p->resolved.host));
	next_field(&p->next_port, p->resolved.port, sizeof(p->resolved.port));
	next_field(&p->next_hostaddr, p->resolved.hostaddr, sizeof(p->resolved.hostaddr));
	if (p->next_host == before)
		p->next_host = NULL;
	return true;
}

/* One name at a time. Addresses, sockets and the default host need no resolver. */
static void resolve_next(struct postgres *p)
{
	while (next_host(p)) {
		const char *host = p->resolved.host;
		if (p->resolved.hostaddr[0] || !host[0] || host[0] == '/' || host[0] == '@') {
			add_candidate(p, p->resolved.hostaddr);
			continue;
		}
		struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
		int rc = uv_getaddrinfo(&p->loop->uv, &p->resolve, on_resolved, host, NULL, &hints);
		if (rc == 0) {
			p->resolving = true;
			return;
		}
		fail_resolving(p, uv_strerror(rc));
	}
	uv_timer_stop(&p->deadline);
	postgres_start_connecting(p);
}

/* ---- understanding the dsn, in the pool ---- */

/* libpq expands a dsn (service file, environment, defaults) only on its way to
 * connect. So it is sent on its way with an sslmode that it refuses, which it
 * does after all that and before it touches the network. */
#define NO_SSLMODE "podvisor-only-looks"

static void take_wishes(struct postgres *p, PGconn *conn)
{
	const struct {
		const char *key;
		char **value;
	} wanted[] = {
		{"host", &p->wishes.host},
		{"hostaddr", &p->wishes.hostaddr},
		{"port", &p->wishes.port},
		{"password", &p->wishes.password},
		{"application_name", &p->wishes.application_name},
		{"target_session_attrs", &p->wishes.target_session_attrs},
		{"tcp_user_timeout", &p->wishes.tcp_user_timeout},
		{"gssencmode", &p->wishes.gssencmode},
	};
	PQconninfoOption *options = pq.conninfo(conn);
	for (PQconninfoOption *o = options; o && o->keyword; o++)
		for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
			if (o->val && o->val[0] && strcmp(o->keyword, wanted[i].key) == 0)
				*wanted[i].value = strdup(o->val);
	pq.conninfoFree(options);
}

/* libpq's own words may quote the dsn, so only harmless ones are passed on. */
static const char *explain_refusal(const char *message)
{
	if (strstr(message, "local user"))
		return "the dsn names no user, and the system has no name for podvisor's own";
	if (strstr(message, "service"))
		return "the dsn names a service that libpq does not find";
	if (strstr(message, "could not match"))
		return "the dsn names different numbers of hosts, addresses and ports";
	return "libpq does not understand the dsn (its words are not shown, they may quote the password)";
}

void postgres_understand(uv_work_t *work)
{
	struct postgres *p = work->data;
	struct err err = {0};
	if (postgres_load(&err) < 0) {
		p->failure = (struct postgres_failure){.reason = POSTGRES_REASON_OTHER, .permanent = true};
		snprintf(p->failure.text, sizeof(p->failure.text), "%.150s", err.text);
		return;
	}
	const char *keys[] = {"dbname", "sslmode", NULL}, *values[] = {p->dsn, NO_SSLMODE, NULL};
	PGconn *conn = pq.connectStartParams(keys, values, 1);
	const char *message = conn ? pq.errorMessage(conn) : "";
	const char *trouble = NULL;
	if (!strstr(message, NO_SSLMODE))
		trouble = explain_refusal(message);
	else
		take_wishes(p, conn);
	pq.finish(conn);
	const char *misread = trouble ? NULL : postgres_dsn_misreading(p->wishes.host, p->wishes.port);
	if (trouble || misread) {
		p->failure = (struct postgres_failure){.reason = POSTGRES_REASON_OTHER, .permanent = true};
		snprintf(p->failure.text, sizeof(p->failure.text), "%s%s", misread ? "the dsn is misread: " : "",
			misread ? misread : trouble);
	}
}

void postgres_on_understood(uv_work_t *work, int status)
{
	(void)status;
	struct postgres *p = work->data;
	p->working = false;
	if (p->closed) {
		postgres_free_when_idle(p);
		return;
	}
	if (p->failure.text[0]) {
		postgres_end(p, &p->failure);
		return;
	}
	p->stage = STAGE_RESOLVING;
	p->next_host = p->wishes.host ? p->wishes.host : p->wishes.hostaddr ? p->wishes.hostaddr : "";
	p->next_hostaddr = p->wishes.hostaddr;
	p->next_port = p->wishes.port;
	postgres_set_deadline(p, p->options.resolve_timeout, on_resolve_deadline);
	resolve_next(p);
}
