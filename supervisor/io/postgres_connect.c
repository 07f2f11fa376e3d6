#include "postgres_internal.h"

#include <stdio.h>
#include <string.h>

#define PARAMETERS_MAX 16
/* Ends TCP that the peer no longer acknowledges, within and between checks. */
#define TCP_USER_TIMEOUT_MS "3000"

static void try_next(struct postgres *p);

static void give_up_candidate(struct postgres *p, const struct postgres_failure *f)
{
	/* A server that spoke tells more than one that did not answer. */
	if (f->sqlstate[0] || !p->failure.sqlstate[0])
		p->failure = *f;
	postgres_drop_connection(p);
	/* As libpq does: the other hosts would not like our password any better. */
	if (f->permanent && f->sqlstate[0])
		p->next_candidate = p->n_candidates;
	try_next(p);
}

static void on_connect_deadline(uv_timer_t *timer)
{
	struct postgres *p = timer->data;
	const struct candidate *c = &p->candidates[p->next_candidate - 1];
	char address[300];
	bool reached = pq.status(p->conn) != CONNECTION_STARTED;
	struct postgres_failure f = {.reason = reached ? POSTGRES_REASON_HUNG : POSTGRES_REASON_UNREACHABLE};
	postgres_describe(p, &f, "%s %s", postgres_where(c, address),
		reached ? "accepts connections but does not answer" : "does not answer");
	give_up_candidate(p, &f);
}

static void on_notice(void *ctx, const PGresult *notice)
{
	struct postgres *p = ctx;
	const char *sqlstate = pq.resultErrorField(notice, PG_DIAG_SQLSTATE);
	if (sqlstate)
		snprintf(p->notice, sizeof(p->notice), "%.5s", sqlstate);
}

static void connected(struct postgres *p)
{
	uv_timer_stop(&p->deadline);
	p->stage = STAGE_IDLE;
	p->failure = (struct postgres_failure){0};
	pq.setnonblocking(p->conn, 1);
	if (postgres_start_poll(p, UV_READABLE)) {
		p->options.opened(p->options.ctx);
		return;
	}
	struct postgres_failure f = {.reason = POSTGRES_REASON_OTHER, .text = "the connection cannot be polled"};
	postgres_end(p, &f);
}

static void go_on_connecting(struct postgres *p, PostgresPollingStatusType wanted)
{
	struct postgres_failure f;
	if (wanted == PGRES_POLLING_OK) {
		connected(p);
		return;
	}
	if (wanted != PGRES_POLLING_FAILED &&
		postgres_start_poll(p, wanted == PGRES_POLLING_READING ? UV_READABLE : UV_WRITABLE))
		return;
	postgres_read_message(p, &p->candidates[p->next_candidate - 1], &f);
	give_up_candidate(p, &f);
}

void postgres_poll_connection(struct postgres *p)
{
	uv_poll_stop(p->poll);
	uint64_t begun = uv_hrtime();
	PostgresPollingStatusType wanted = pq.connectPoll(p->conn);
	postgres_note_call(p, begun);
	go_on_connecting(p, wanted);
}

/* What overrides the dsn; later entries win, "" and NULL are left out. */
static void set_parameters(const struct postgres *p, const struct candidate *c, const char **keys, const char **values)
{
	const struct wishes *w = &p->wishes;
	const struct {
		const char *key, *value;
	} wanted[] = {
		{"dbname", p->dsn},
		{"host", c->host},
		{"hostaddr", c->hostaddr},
		{"port", c->port},
		{"target_session_attrs", c->attrs},
		{"application_name", w->application_name ? NULL : p->application_name},
		{"tcp_user_timeout", w->tcp_user_timeout ? NULL : TCP_USER_TIMEOUT_MS},
		/* Its default, prefer, looks for Kerberos tickets, which may ask the network. */
		{"gssencmode", w->gssencmode && strcmp(w->gssencmode, "require") == 0 ? NULL : "disable"},
	};
	size_t n = 0;
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		if (wanted[i].value && wanted[i].value[0]) {
			keys[n] = wanted[i].key;
			values[n++] = wanted[i].value;
		}
	keys[n] = values[n] = NULL;
}

static PGconn *begin_connection(struct postgres *p, const struct candidate *c)
{
	const char *keys[PARAMETERS_MAX], *values[PARAMETERS_MAX];
	set_parameters(p, c, keys, values);
	uint64_t begun = uv_hrtime();
	PGconn *conn = pq.connectStartParams(keys, values, 1);
	if (conn) {
		/* Or the SQLSTATE of a refusal would be lost. */
		pq.setErrorVerbosity(conn, PQERRORS_VERBOSE);
		pq.setNoticeReceiver(conn, on_notice, p);
	}
	postgres_note_call(p, begun);
	return conn;
}

/* Each address gets its share of the time that is left, so that a silent one
 * does not use up that of the others. */
static void try_next(struct postgres *p)
{
	if (p->next_candidate >= p->n_candidates) {
		postgres_end(p, &p->failure);
		return;
	}
	const struct candidate *c = &p->candidates[p->next_candidate++];
	uv_update_time(&p->loop->uv);
	uint64_t now = uv_now(&p->loop->uv);
	uint64_t left = p->connect_by_ms > now ? p->connect_by_ms - now : 0;
	p->conn = begin_connection(p, c);
	if (!p->conn) {
		struct postgres_failure f = {.reason = POSTGRES_REASON_OTHER, .text = "out of memory"};
		postgres_end(p, &f);
		return;
	}
	postgres_set_deadline(p, (ms_t)left / (p->n_candidates - p->next_candidate + 1), on_connect_deadline);
	go_on_connecting(p, pq.status(p->conn) == CONNECTION_BAD ? PGRES_POLLING_FAILED : PGRES_POLLING_WRITING);
}

/* libpq tries all hosts for a standby before it takes any other; so do we. */
static void add_second_round(struct postgres *p)
{
	const char *attrs = p->wishes.target_session_attrs;
	if (!attrs || strcmp(attrs, "prefer-standby") != 0)
		return;
	int n = p->n_candidates;
	for (int i = 0; i < n; i++) {
		p->candidates[i].attrs = "standby";
		if (p->n_candidates == CANDIDATES_MAX)
			continue;
		p->candidates[p->n_candidates] = p->candidates[i];
		p->candidates[p->n_candidates++].attrs = "any";
	}
}

void postgres_start_connecting(struct postgres *p)
{
	if (!p->n_candidates) {
		postgres_end(p, &p->failure);
		return;
	}
	add_second_round(p);
	p->stage = STAGE_CONNECTING;
	uv_update_time(&p->loop->uv);
	p->connect_by_ms = uv_now(&p->loop->uv) + (uint64_t)p->options.connect_timeout;
	p->failure = (struct postgres_failure){0};
	try_next(p);
}
