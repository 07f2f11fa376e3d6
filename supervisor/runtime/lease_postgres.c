#include "lease_postgres.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lease_sql.h"
#include "podvisor/base/json.h"
#include "podvisor/base/list.h"
#include "podvisor/io/postgres.h"

#define SQL_MAX   8192
#define NAMES_MAX (1 << 20)

/* What the session is at; the steps to READY are taken in order when there is something to ask. */
enum step { STEP_CLOSED, STEP_OPENING, STEP_SETTING_UP, STEP_MAKING, STEP_NAMING, STEP_READY };

/* A question that waits, or is being answered. */
struct request {
	struct list node;
	enum lease_request kind; /* LEASE_NOTHING: the heartbeat */
	uint32_t slot;
	struct lease_orders orders;
	bool leaving; /* of the heartbeat */
	ms_t due; /* unsent by then, it is dropped */
};

struct lease_postgres {
	const struct context *context;
	struct postgres *session; /* NULL: closed */
	enum step step;
	bool named; /* there is a row for each lease, as far as we know */
	struct list requests; /* the first is under way when `asked` */
	bool asked;
	ms_t sent; /* before the send of the one under way */
};

static const struct config_leases *config_of(const struct lease_postgres *l)
{
	return &l->context->world->config->leases;
}

static const struct lease_book *book_of(const struct lease_postgres *l)
{
	return &l->context->world->leases;
}

/* ---- requests ---- */

static struct request *first(struct lease_postgres *l)
{
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what was dropped is in no list any more */
	return list_empty(&l->requests) ? NULL : LIST_ENTRY(l->requests.next, struct request, node);
}

static void drop(struct request *r)
{
	list_remove(&r->node);
	free(r);
}

static void post(const struct lease_postgres *l, const struct request *r, struct event *e)
{
	e->slot = r->slot;
	e->run = r->orders.id;
	loop_post(l->context->loop, e);
}

static void refuse(struct lease_postgres *l, struct request *r, const char *why)
{
	struct event e = {.kind = EVENT_LEASE_FAILED};
	snprintf(e.text, sizeof(e.text), "%.150s", why);
	if (r->kind != LEASE_NOTHING)
		post(l, r, &e);
	drop(r);
}

static void refuse_all(struct lease_postgres *l, const char *why)
{
	l->asked = false;
	while (first(l))
		refuse(l, first(l), why);
}

static void close_session(struct lease_postgres *l)
{
	postgres_close(l->session);
	l->session = NULL;
	l->step = STEP_CLOSED;
	l->asked = false;
}

/* The model has given them up already: sent now, they could still take effect. */
static void drop_overdue(struct lease_postgres *l)
{
	ms_t now = loop_now();
	LIST_EACH (at, &l->requests) {
		struct request *r = LIST_ENTRY(at, struct request, node);
		if (clock_due(r->due, now) && !(l->asked && r == first(l)))
			drop(r);
	}
}

/* ---- answers ---- */

static int64_t number(const struct postgres_rows *rows, int column)
{
	const char *text = postgres_value(rows, 0, column);
	return text ? strtoll(text, NULL, 10) : 0;
}

static void read_answer(const struct lease_postgres *l, const struct postgres_rows *rows, struct event *e)
{
	const char *system = postgres_value(rows, 0, LEASE_COLUMN_SYSTEM);
	const char *holder = postgres_value(rows, 0, LEASE_COLUMN_HOLDER);
	bool granted = postgres_value(rows, 0, LEASE_COLUMN_TOKEN) != NULL;
	e->kind = granted ? EVENT_LEASE_ANSWERED : EVENT_LEASE_DENIED;
	e->lease.sent = l->sent;
	e->lease.received = loop_now();
	e->lease.system = system ? strtoull(system, NULL, 10) : 0;
	e->lease.timeline = number(rows, LEASE_COLUMN_TIMELINE);
	e->lease.server_ms = number(rows, LEASE_COLUMN_WALL_MS);
	e->lease.token = number(rows, LEASE_COLUMN_TOKEN);
	e->lease.seq = number(rows, LEASE_COLUMN_SEQ);
	e->lease.granted_on = number(rows, LEASE_COLUMN_GRANTED_ON);
	e->lease.renewed_ms = number(rows, LEASE_COLUMN_RENEWED_MS);
	snprintf(e->text, sizeof(e->text), "%s", holder ? holder : "");
}

static void post_members(const struct lease_postgres *l, const struct postgres_rows *rows)
{
	for (int i = 0; i < postgres_count(rows); i++) {
		struct event e = {.kind = EVENT_LEASE_MEMBER, .count = i};
		snprintf(e.text, sizeof(e.text), "%s", postgres_value(rows, i, 0));
		loop_post(l->context->loop, &e);
	}
}

static void take_answer(struct lease_postgres *l, struct request *r, const struct postgres_rows *rows)
{
	struct event e = {0};
	if (r->kind == LEASE_NOTHING) {
		post_members(l, rows);
		e.kind = EVENT_LEASE_MET;
		e.count = postgres_count(rows);
	} else if (postgres_count(rows) == 1) {
		read_answer(l, rows, &e);
		/* There is no row yet: it is made before the next question. */
		l->named &= !(r->kind == LEASE_OBSERVE && e.kind == EVENT_LEASE_DENIED);
	} else {
		e.kind = EVENT_LEASE_FAILED;
		snprintf(e.text, sizeof(e.text), "the lease has more than one row");
	}
	post(l, r, &e);
	drop(r);
}

static void go_on(struct lease_postgres *l);

/* Whatever it was: behind a session that failed a statement of ours may stand anything. */
static void fail(struct lease_postgres *l, const struct postgres_failure *why)
{
	char text[EVENT_TEXT_MAX];
	snprintf(text, sizeof(text), "%s", why->text);
	close_session(l);
	refuse_all(l, text);
}

static void on_answered(void *ctx, const struct postgres_rows *rows, const struct postgres_failure *why)
{
	struct lease_postgres *l = ctx;
	struct request *r = first(l);
	bool asked = l->asked;
	if (why) {
		fail(l, why);
		return;
	}
	l->asked = false;
	if (asked && r)
		take_answer(l, r, rows);
	else if (l->step == STEP_SETTING_UP && postgres_count(rows) && postgres_value(rows, 0, 0)[0] != 't')
		l->step = STEP_MAKING;
	else if (l->step == STEP_SETTING_UP || l->step == STEP_MAKING)
		l->step = STEP_NAMING;
	else if (l->step == STEP_NAMING)
		l->step = STEP_READY, l->named = true;
	go_on(l);
}

/* ---- asking ---- */

/* All of them, or those that could run here. */
static void list_leases(const struct lease_postgres *l, bool offered, struct buf *out)
{
	const struct lease_book *book = book_of(l);
	buf_putc(out, '[');
	for (size_t i = 0; i < book->n; i++) {
		const struct lease_entry *e = book->entries[i];
		if (offered ? !e->offered : !e->named)
			continue;
		buf_puts(out, out->len > 1 ? "," : "");
		json_put_string(out, e->name, strlen(e->name));
	}
	buf_putc(out, ']');
}

static int ask_names(struct lease_postgres *l, struct buf *sql, struct err *err)
{
	struct buf names;
	buf_init(&names, NAMES_MAX);
	list_leases(l, false, &names);
	const char *values[] = {buf_str(&names)};
	lease_sql_name(sql, config_of(l)->schema);
	int rc = postgres_query_with(l->session, buf_str(sql), values, 1, config_of(l)->attempt, on_answered, l, err);
	buf_fini(&names);
	return rc;
}

static int ask_meeting(
	struct lease_postgres *l, const struct request *r, struct buf *sql, ms_t timeout, struct err *err)
{
	char ttl[24];
	struct buf names;
	buf_init(&names, NAMES_MAX);
	list_leases(l, true, &names);
	snprintf(ttl, sizeof(ttl), "%lld", (long long)config_of(l)->ttl);
	const char *values[] = {book_of(l)->settings.me, buf_str(&names), r->leaving ? "true" : "false", ttl};
	lease_sql_meet(sql, config_of(l)->schema);
	int rc = postgres_query_with(l->session, buf_str(sql), values, 4, timeout, on_answered, l, err);
	buf_fini(&names);
	return rc;
}

/* The time of the send is taken before it: the holder's term begins there. */
static int ask_lease(struct lease_postgres *l, const struct request *r, struct buf *sql, ms_t timeout, struct err *err)
{
	static const int counts[LEASE_REQUEST_COUNT] = {
		[LEASE_OBSERVE] = 1, [LEASE_ACQUIRE] = 6, [LEASE_RENEW] = 4, [LEASE_RELEASE] = 6};
	const struct lease_orders *o = &r->orders;
	bool acquires = r->kind == LEASE_ACQUIRE;
	char token[24], seq[24], timeline[24], ttl[24];
	snprintf(token, sizeof(token), "%lld", (long long)(acquires ? o->expected.token : o->token));
	snprintf(seq, sizeof(seq), "%lld", (long long)o->expected.seq);
	snprintf(timeline, sizeof(timeline), "%lld", (long long)o->timeline);
	snprintf(ttl, sizeof(ttl), "%lld", (long long)config_of(l)->ttl);
	/* A share is wanted by nobody but who shall hold it. */
	bool spread = book_of(l)->entries[r->slot]->shares > 0;
	const char *prefer = config_of(l)->prefer == LEASE_PREFER_NEWEST && !spread ? "newest" : "any";
	const char *values[] = {book_of(l)->entries[r->slot]->name, book_of(l)->settings.me, token,
		acquires ? seq : timeline, acquires ? o->expected.holder : ttl, acquires ? timeline : prefer};
	lease_sql_ask(sql, config_of(l)->schema, r->kind);
	l->sent = loop_now();
	return postgres_query_with(l->session, buf_str(sql), values, counts[r->kind], timeout, on_answered, l, err);
}

static int ask_first(struct lease_postgres *l, struct buf *sql, struct err *err)
{
	struct request *r = first(l);
	ms_t timeout = r->due - loop_now();
	l->asked = true;
	return r->kind == LEASE_NOTHING ? ask_meeting(l, r, sql, timeout, err) : ask_lease(l, r, sql, timeout, err);
}

static int take_step(struct lease_postgres *l, struct buf *sql, struct err *err)
{
	ms_t attempt = config_of(l)->attempt;
	if (l->step == STEP_NAMING)
		return ask_names(l, sql, err);
	if (l->step == STEP_READY)
		return ask_first(l, sql, err);
	if (l->step == STEP_SETTING_UP)
		/* The server gives up a little before we do. */
		lease_sql_open(sql, config_of(l)->schema, attempt - attempt / 10);
	else
		lease_sql_make(sql, config_of(l)->schema);
	return postgres_query(l->session, buf_str(sql), attempt, on_answered, l, err);
}

static void open_session(struct lease_postgres *l);

/* One question at a time, each in the order it came. */
static void go_on(struct lease_postgres *l)
{
	struct buf sql;
	struct err err = {0};
	drop_overdue(l);
	if (l->asked || l->step == STEP_OPENING || !first(l))
		return;
	if (l->step == STEP_CLOSED) {
		open_session(l);
		return;
	}
	if (l->step == STEP_READY && !l->named)
		l->step = STEP_NAMING;
	buf_init(&sql, SQL_MAX);
	int rc = take_step(l, &sql, &err);
	buf_fini(&sql);
	if (rc < 0 && rc != -EBUSY) {
		close_session(l);
		refuse_all(l, err.text);
	}
}

static void on_opened(void *ctx)
{
	struct lease_postgres *l = ctx;
	l->step = STEP_SETTING_UP;
	go_on(l);
}

static void on_ended(void *ctx, const struct postgres_failure *why)
{
	fail(ctx, why);
}

/* ---- hints ---- */

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	return text ? text : "";
}

static void hint(struct lease_postgres *l, uint32_t slot, const json_t *note)
{
	const char *to = text_of(note, "to");
	struct event e = {.kind = EVENT_LEASE_HINTED, .slot = slot};
	e.lease.token = json_integer_value(json_object_get(note, "token"));
	e.lease.seq = json_integer_value(json_object_get(note, "seq"));
	e.lease.received = loop_now();
	/* To nobody in particular is to everybody. */
	e.lease.preferred = !to[0] || strcmp(to, book_of(l)->settings.me) == 0;
	loop_post(l->context->loop, &e);
}

/* Anybody may notify: what does not look like ours is nothing. */
static void on_notified(void *ctx, const char *payload)
{
	struct lease_postgres *l = ctx;
	json_t *note = json_loads(payload, 0, NULL);
	const struct lease_book *book = book_of(l);
	bool ours = strcmp(text_of(note, "schema"), config_of(l)->schema) == 0;
	if (ours && json_is_true(json_object_get(note, "meet")))
		loop_post(l->context->loop, &(struct event){.kind = EVENT_LEASE_CALLED});
	for (uint32_t i = 0; ours && i < book->n; i++)
		if (strcmp(book->entries[i]->name, text_of(note, "name")) == 0)
			hint(l, i, note);
	json_decref(note);
}

/* ---- the session ---- */

static const struct config_postgres *database_of(const struct lease_postgres *l)
{
	const struct config *c = l->context->world->config;
	for (size_t i = 0; c->leases.postgres && i < c->n_postgres; i++)
		if (strcmp(c->postgres[i].name, c->leases.postgres) == 0)
			return &c->postgres[i];
	return NULL;
}

static void open_session(struct lease_postgres *l)
{
	char name[64];
	struct err err = {0};
	const struct context *c = l->context;
	const struct config_postgres *database = database_of(l);
	const char *instance = c->world->config->instance;
	snprintf(name, sizeof(name), "podvisor-leases%s%.45s", instance ? "-" : "", instance ? instance : "");
	ms_t attempt = config_of(l)->attempt;
	struct postgres_options options = {.dsn = database ? database->dsn : "",
		.application_name = name,
		.resolve_timeout = attempt,
		.connect_timeout = attempt,
		.ctx = l,
		.opened = on_opened,
		.ended = on_ended,
		.notified = on_notified};
	l->step = STEP_OPENING;
	if (postgres_open(&l->session, c->loop, &options, &err) < 0) {
		l->step = STEP_CLOSED;
		refuse_all(l, err.text);
	}
}

/* ---- the part ---- */

void lease_postgres_do(struct lease_postgres *l, const struct effect *e)
{
	struct request *r = calloc(1, sizeof(*r));
	struct event failed = {.kind = EVENT_LEASE_FAILED, .slot = e->slot, .run = e->run};
	if (!r) {
		snprintf(failed.text, sizeof(failed.text), "out of memory");
		if (e->kind == EFFECT_LEASE_ASK)
			loop_post(l->context->loop, &failed);
		return;
	}
	*r = (struct request){.slot = e->slot, .due = clock_after(loop_now(), config_of(l)->attempt)};
	if (e->kind == EFFECT_LEASE_ASK) {
		r->orders = book_of(l)->entries[e->slot]->orders;
		r->kind = r->orders.request;
	} else {
		r->leaving = e->value != 0;
	}
	list_append(&l->requests, &r->node);
	go_on(l);
}

int lease_postgres_new(struct lease_postgres **out, const struct context *c, struct err *err)
{
	struct lease_postgres *l = calloc(1, sizeof(*l));
	if (!l)
		return err_set(err, -ENOMEM, "out of memory");
	l->context = c;
	list_init(&l->requests);
	*out = l;
	return 0;
}

void lease_postgres_free(struct lease_postgres *l)
{
	if (!l)
		return;
	LIST_EACH (at, &l->requests)
		drop(LIST_ENTRY(at, struct request, node));
	close_session(l);
	free(l);
}
