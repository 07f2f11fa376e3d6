#include "podvisor/runtime/databases.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "podvisor/io/postgres.h"

/* One way to a database: the kept session, or a canary. */
struct path {
	struct databases *owner;
	uint32_t slot;
	bool canary;
	struct postgres *session; /* NULL: none */
	uint64_t run;
	bool asked; /* an answer is owed */
	uint64_t begun_ns; /* of the query; of a canary: of the connection */
	bool basic; /* the server did not understand the full question */
};

struct databases {
	const struct context *context;
	size_t n;
	struct path (*paths)[DATABASE_PATHS]; /* by slot */
	int64_t *call_max_us; /* by slot */
};

/* Everything in one round, readable for any role. A transaction, so that the
 * time limit is the server's own too and stays ours alone behind a pooler. The
 * timeline stands in the name of the current WAL file, where it is new right
 * after a promotion; a standby tells that of its last restart point. */
#define QUESTION_BEGIN "begin; set local statement_timeout = %lld; "
#define QUESTION_FULL                                                                                  \
	"select pg_is_in_recovery(), current_setting('transaction_read_only') = 'on', "                \
	"(select sum(numbackends) from pg_stat_database), current_setting('max_connections'), "        \
	"case when pg_is_in_recovery() "                                                               \
	"then (select greatest(c.timeline_id, r.min_recovery_end_timeline)::bigint "                   \
	"from pg_control_checkpoint() c, pg_control_recovery() r) "                                    \
	"else ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::bigint end, "     \
	"case when not pg_is_in_recovery() "                                                           \
	"or pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() then 0 else "                         \
	"extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp()) * 1000 end::bigint; " \
	"commit"
/* What speaks PostgreSQL's protocol may lack some of these functions. */
#define QUESTION_BASIC                                                                                          \
	"select pg_is_in_recovery(), current_setting('transaction_read_only') = 'on', null, null, null, null; " \
	"commit"

static const struct config_postgres *config_of(const struct path *p)
{
	return p->owner->context->world->databases[p->slot].config;
}

/* ---- facts ---- */

static void note_calls(struct path *p)
{
	int64_t us = p->session ? postgres_call_max_us(p->session) : 0;
	if (us > p->owner->call_max_us[p->slot])
		p->owner->call_max_us[p->slot] = us;
}

static void post(struct path *p, struct event *e)
{
	e->slot = p->slot;
	e->run = p->run;
	e->postgres.canary = p->canary;
	e->postgres.took_us = p->begun_ns ? (int64_t)(uv_hrtime() - p->begun_ns) / 1000 : 0;
	e->postgres.call_max_us = p->owner->call_max_us[p->slot];
	loop_post(p->owner->context->loop, e);
}

static void drop(struct path *p)
{
	note_calls(p);
	postgres_close(p->session);
	p->session = NULL;
	p->asked = false;
}

static void fail(struct path *p, const struct postgres_failure *why)
{
	struct event e = {.kind = p->asked ? EVENT_POSTGRES_FAILED : EVENT_POSTGRES_LOST};
	e.postgres.reason = why->reason;
	e.postgres.permanent = why->permanent;
	memcpy(e.postgres.sqlstate, why->sqlstate, sizeof(e.postgres.sqlstate));
	memcpy(e.text, why->text, sizeof(e.text));
	drop(p);
	post(p, &e);
}

static void fail_with(struct path *p, const struct err *err)
{
	struct postgres_failure why = {.reason = POSTGRES_REASON_OTHER};
	snprintf(why.text, sizeof(why.text), "%.150s", err->text);
	fail(p, &why);
}

/* ---- asking ---- */

static int64_t number(const struct postgres_rows *rows, int column)
{
	const char *text = postgres_value(rows, 0, column);
	return text ? strtoll(text, NULL, 10) : 0;
}

static bool flag(const struct postgres_rows *rows, int column)
{
	const char *text = postgres_value(rows, 0, column);
	return text && text[0] == 't';
}

static void ask(struct path *p);

/* Syntax error or access rule violation; feature not supported. */
static bool is_not_understood(const struct postgres_failure *why)
{
	return strncmp(why->sqlstate, "42", 2) == 0 || strncmp(why->sqlstate, "0A", 2) == 0;
}

static void on_answered(void *ctx, const struct postgres_rows *rows, const struct postgres_failure *why)
{
	struct path *p = ctx;
	struct event e = {.kind = EVENT_POSTGRES_ANSWERED};
	if (why && !p->basic && is_not_understood(why) && postgres_is_alive(p->session)) {
		p->basic = true;
		ask(p);
		return;
	}
	if (why) {
		fail(p, why);
		return;
	}
	e.postgres.in_recovery = flag(rows, 0);
	e.postgres.read_only = flag(rows, 1);
	e.postgres.connections = number(rows, 2);
	e.postgres.max_connections = number(rows, 3);
	e.postgres.timeline = number(rows, 4);
	e.postgres.lag_ms = number(rows, 5);
	note_calls(p);
	p->asked = false;
	if (p->canary)
		drop(p);
	post(p, &e);
}

static void ask(struct path *p)
{
	char sql[1536];
	struct err err = {0};
	ms_t timeout = config_of(p)->timeout;
	/* The server gives up a little before we do, so that the session can be kept. */
	snprintf(sql, sizeof(sql), "%s" QUESTION_BEGIN "%s", p->basic ? "rollback; " : "",
		(long long)(timeout - timeout / 10), p->basic ? QUESTION_BASIC : QUESTION_FULL);
	if (!p->canary)
		p->begun_ns = uv_hrtime();
	if (postgres_query(p->session, sql, timeout, on_answered, p, &err) < 0)
		fail_with(p, &err);
}

static void on_opened(void *ctx)
{
	ask(ctx);
}

static void on_ended(void *ctx, const struct postgres_failure *why)
{
	fail(ctx, why);
}

static void open_session(struct path *p)
{
	char name[64];
	struct err err = {0};
	const struct context *c = p->owner->context;
	const struct config_postgres *config = config_of(p);
	const char *instance = c->world->config ? c->world->config->instance : NULL;
	snprintf(name, sizeof(name), "podvisor%s%.50s", instance ? "-" : "", instance ? instance : "");
	struct postgres_options options = {.dsn = config->dsn,
		.application_name = name,
		.resolve_timeout = config->resolve_timeout,
		.connect_timeout = config->timeout,
		.ctx = p,
		.opened = on_opened,
		.ended = on_ended};
	p->begun_ns = uv_hrtime();
	p->basic = false;
	if (postgres_open(&p->session, c->loop, &options, &err) < 0)
		fail_with(p, &err);
}

/* ---- effects ---- */

static void check(struct path *p, uint64_t run)
{
	if (p->session && (p->run != run || p->canary))
		drop(p);
	p->run = run;
	if (p->asked)
		return;
	p->asked = true;
	if (p->session)
		ask(p);
	else
		open_session(p);
}

static void close_paths(struct path *paths, const struct effect *e)
{
	struct event closed = {.kind = EVENT_POSTGRES_CLOSED};
	for (int i = 0; i < DATABASE_PATHS; i++)
		drop(&paths[i]);
	paths[DATABASE_KEPT].run = e->run;
	paths[DATABASE_KEPT].begun_ns = 0;
	post(&paths[DATABASE_KEPT], &closed);
}

void databases_do(struct databases *d, const struct effect *e)
{
	if (e->slot >= d->n)
		return;
	struct path *paths = d->paths[e->slot];
	if (e->kind == EFFECT_POSTGRES_CHECK)
		check(&paths[DATABASE_KEPT], e->run);
	else if (e->kind == EFFECT_POSTGRES_CANARY)
		check(&paths[DATABASE_CANARY], e->run);
	else if (e->kind == EFFECT_POSTGRES_CLOSE)
		close_paths(paths, e);
}

int databases_new(struct databases **out, const struct context *c, struct err *err)
{
	struct databases *d = calloc(1, sizeof(*d));
	size_t n = c->world->n_databases + 1;
	if (d) {
		d->paths = calloc(n, sizeof(*d->paths));
		d->call_max_us = calloc(n, sizeof(*d->call_max_us));
	}
	if (!d || !d->paths || !d->call_max_us) {
		if (d) {
			free(d->paths);
			free(d->call_max_us);
		}
		free(d);
		return err_set(err, -ENOMEM, "out of memory");
	}
	d->context = c;
	d->n = c->world->n_databases;
	for (uint32_t i = 0; i < d->n; i++)
		for (int j = 0; j < DATABASE_PATHS; j++)
			d->paths[i][j] = (struct path){.owner = d, .slot = i, .canary = j == DATABASE_CANARY};
	*out = d;
	return 0;
}

void databases_free(struct databases *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < d->n; i++)
		for (int j = 0; j < DATABASE_PATHS; j++)
			drop(&d->paths[i][j]);
	free(d->paths);
	free(d->call_max_us);
	free(d);
}
