#include "podvisor/runtime/progress_queries.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "podvisor/base/buf.h"
#include "podvisor/base/list.h"
#include "podvisor/io/postgres.h"

/* A database, and those who ask it; the first of them is being answered. */
struct desk {
	struct progress_queries *owner;
	uint32_t slot;
	struct postgres *session; /* NULL: none */
	bool open; /* the session takes queries */
	bool torn; /* the last query failed: its transaction has to be ended */
	bool busy;
	struct list asks;
};

struct ask {
	struct list node;
	uint32_t slot;
	uint64_t run;
	char *sql; /* owned: a reload may take the configuration away */
};

struct progress_queries {
	const struct context *context;
	size_t n;
	struct desk *desks; /* by database slot */
};

/* ---- answers ---- */

static void post(const struct desk *d, const struct ask *a, struct event *e)
{
	e->kind = EVENT_WORKER_PROGRESSED;
	e->slot = a->slot;
	e->run = a->run;
	loop_post(d->owner->context->loop, e);
}

static void drop(struct ask *a)
{
	list_remove(&a->node);
	free(a->sql);
	free(a);
}

static struct ask *first(struct desk *d)
{
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what was dropped is in no list any more */
	return list_empty(&d->asks) ? NULL : LIST_ENTRY(d->asks.next, struct ask, node);
}

static void PRINTF_LIKE(2, 3) refuse_all(struct desk *d, const char *fmt, ...)
{
	struct event e = {0};
	va_list args;
	va_start(args, fmt);
	vsnprintf(e.text, sizeof(e.text), fmt, args);
	va_end(args);
	LIST_EACH (at, &d->asks) {
		struct ask *a = LIST_ENTRY(at, struct ask, node);
		post(d, a, &e);
		drop(a);
	}
}

static void close_session(struct desk *d)
{
	postgres_close(d->session);
	d->session = NULL;
	d->open = d->busy = d->torn = false;
}

/* One row with one number, or null. */
static void read_number(const struct postgres_rows *rows, struct event *e)
{
	const char *text = postgres_count(rows) ? postgres_value(rows, 0, 0) : NULL;
	char *end = NULL;
	if (postgres_count(rows) > 1 || postgres_columns(rows) != 1) {
		snprintf(e->text, sizeof(e->text), "the query answered %d row%s of %d column%s (expected one number)",
			postgres_count(rows), postgres_count(rows) == 1 ? "" : "s", postgres_columns(rows),
			postgres_columns(rows) == 1 ? "" : "s");
		return;
	}
	e->progressed.value = text ? strtod(text, &end) : NAN;
	e->progressed.ok = !text || (*text && !*end);
	if (!e->progressed.ok)
		snprintf(e->text, sizeof(e->text), "the query answered \"%.40s\" (expected a number)", text);
}

static void ask_next(struct desk *d);

static void on_answered(void *ctx, const struct postgres_rows *rows, const struct postgres_failure *why)
{
	struct desk *d = ctx;
	struct event e = {0};
	struct ask *a = first(d);
	d->busy = false;
	d->torn = why != NULL;
	if (why)
		snprintf(e.text, sizeof(e.text), "%s", why->text);
	else
		read_number(rows, &e);
	if (a) {
		post(d, a, &e);
		drop(a);
	}
	if (d->session && !postgres_is_alive(d->session)) {
		refuse_all(d, "%s", e.text);
		close_session(d);
		return;
	}
	ask_next(d);
}

/* ---- asking ---- */

static const struct config_postgres *config_of(const struct desk *d)
{
	return d->owner->context->world->databases[d->slot].config;
}

static void ask_next(struct desk *d)
{
	struct ask *a = first(d);
	struct err err = {0};
	if (!a || !d->open || d->busy)
		return;
	ms_t timeout = config_of(d)->timeout;
	struct buf sql;
	buf_init(&sql, 1 << 20);
	/* The server gives up a little before we do, so that the session can be kept. The
	 * newline is for a query that ends in a comment. */
	buf_printf(&sql, "%sbegin read only; set local statement_timeout = %lld; %s\n; commit",
		d->torn ? "rollback; " : "", (long long)(timeout - timeout / 10), a->sql);
	d->busy = true;
	int rc = sql.failed ? err_set(&err, -E2BIG, "the query is too long")
			    : postgres_query(d->session, buf_str(&sql), timeout, on_answered, d, &err);
	buf_fini(&sql);
	if (rc < 0) {
		refuse_all(d, "%s", err.text);
		close_session(d);
	}
}

static void on_opened(void *ctx)
{
	struct desk *d = ctx;
	d->open = true;
	ask_next(d);
}

static void on_ended(void *ctx, const struct postgres_failure *why)
{
	struct desk *d = ctx;
	refuse_all(d, "%s", why->text);
	close_session(d);
}

static void open_session(struct desk *d)
{
	char name[64];
	struct err err = {0};
	const struct context *c = d->owner->context;
	const struct config_postgres *config = config_of(d);
	snprintf(name, sizeof(name), "podvisor-progress%s%.40s", c->world->config->instance ? "-" : "",
		c->world->config->instance ? c->world->config->instance : "");
	struct postgres_options options = {.dsn = config->dsn,
		.application_name = name,
		.resolve_timeout = config->resolve_timeout,
		.connect_timeout = config->timeout,
		.ctx = d,
		.opened = on_opened,
		.ended = on_ended};
	if (postgres_open(&d->session, c->loop, &options, &err) < 0)
		refuse_all(d, "%s", err.text);
}

/* The worker's own configuration names the database; by now it may be another's. */
static struct desk *find_desk(struct progress_queries *q, const char *database)
{
	for (size_t i = 0; i < q->n; i++)
		if (strcmp(q->context->world->databases[i].config->name, database) == 0)
			return &q->desks[i];
	return NULL;
}

static bool append(struct desk *d, const struct effect *e, const char *sql)
{
	struct ask *a = calloc(1, sizeof(*a));
	char *copy = strdup(sql);
	if (!a || !copy) {
		free(a);
		free(copy);
		return false;
	}
	*a = (struct ask){.slot = e->slot, .run = e->run, .sql = copy};
	list_append(&d->asks, &a->node);
	return true;
}

static void PRINTF_LIKE(3, 4) refuse(struct progress_queries *q, const struct effect *e, const char *fmt, ...)
{
	struct event failed = {.kind = EVENT_WORKER_PROGRESSED, .slot = e->slot, .run = e->run};
	va_list args;
	va_start(args, fmt);
	vsnprintf(failed.text, sizeof(failed.text), fmt, args);
	va_end(args);
	loop_post(q->context->loop, &failed);
}

/* A database that is down is not asked: its own watch finds out when it is back. */
void progress_queries_do(struct progress_queries *q, const struct effect *e)
{
	const struct config_progress *wanted = &q->context->world->workers[e->slot].config->progress;
	struct desk *d = find_desk(q, wanted->postgres);
	if (!d) {
		refuse(q, e, "postgres:%s is not configured", wanted->postgres);
		return;
	}
	const struct database *database = &q->context->world->databases[d->slot];
	if (!database_is_available(database))
		refuse(q, e, "postgres:%s is %s", wanted->postgres, database_state_name(database->state));
	else if (!append(d, e, wanted->sql))
		refuse(q, e, "out of memory");
	else if (!d->session)
		open_session(d);
	else
		ask_next(d);
}

void progress_queries_close(struct progress_queries *q, uint32_t database)
{
	if (database >= q->n)
		return;
	refuse_all(&q->desks[database], "the database is no longer watched");
	close_session(&q->desks[database]);
}

int progress_queries_new(struct progress_queries **out, const struct context *c, struct err *err)
{
	struct progress_queries *q = calloc(1, sizeof(*q));
	size_t n = c->world->n_databases;
	if (q)
		q->desks = calloc(n + 1, sizeof(*q->desks));
	if (!q || !q->desks) {
		free(q);
		return err_set(err, -ENOMEM, "out of memory");
	}
	q->context = c;
	q->n = n;
	for (uint32_t i = 0; i < n; i++) {
		q->desks[i] = (struct desk){.owner = q, .slot = i};
		list_init(&q->desks[i].asks);
	}
	*out = q;
	return 0;
}

void progress_queries_free(struct progress_queries *q)
{
	if (!q)
		return;
	for (size_t i = 0; i < q->n; i++) {
		LIST_EACH (at, &q->desks[i].asks)
			drop(LIST_ENTRY(at, struct ask, node));
		close_session(&q->desks[i]);
	}
	free(q->desks);
	free(q);
}
