#include "postgres_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct postgres_rows {
	PGresult *result;
};

int postgres_count(const struct postgres_rows *rows)
{
	return pq.ntuples(rows->result);
}

int postgres_columns(const struct postgres_rows *rows)
{
	return pq.nfields(rows->result);
}

const char *postgres_value(const struct postgres_rows *rows, int row, int column)
{
	return pq.getisnull(rows->result, row, column) ? NULL : pq.getvalue(rows->result, row, column);
}

static void answer(struct postgres *p, const struct postgres_failure *why)
{
	struct postgres_rows rows = {p->rows};
	void (*answered)(void *, const struct postgres_rows *, const struct postgres_failure *) = p->answered;
	p->rows = NULL;
	p->answered = NULL;
	uv_timer_stop(&p->deadline);
	answered(p->answer_ctx, why ? NULL : &rows, why);
	if (rows.result)
		pq.clear(rows.result);
}

static void die_answering(struct postgres *p, const struct postgres_failure *why)
{
	struct postgres_failure f = *why;
	postgres_die(p);
	answer(p, &f);
}

static void on_query_deadline(uv_timer_t *timer)
{
	struct postgres *p = timer->data;
	struct postgres_failure f = {.reason = POSTGRES_REASON_HUNG};
	postgres_describe(p, &f, "no answer within %lld ms", (long long)p->query_timeout);
	die_answering(p, &f);
}

/* The server is gone, or libpq gave up on it. */
static void lose(struct postgres *p)
{
	struct postgres_failure f = {.reason = POSTGRES_REASON_UNREACHABLE};
	if (strncmp(p->notice, "57", 2) == 0) {
		memcpy(f.sqlstate, p->notice, sizeof(f.sqlstate));
		postgres_classify(&f, "");
	}
	postgres_describe(p, &f, "the server closed the session%s",
		strcmp(p->notice, "57P01") == 0   ? ": it shuts down, or an administrator ended it"
		: strcmp(p->notice, "57P02") == 0 ? ": another of its processes crashed"
						  : "");
	if (p->stage != STAGE_BUSY)
		postgres_end(p, &f);
	else
		die_answering(p, p->failed ? &p->failure : &f);
}

static void take_result(struct postgres *p, PGresult *result)
{
	ExecStatusType status = pq.resultStatus(result);
	if (status == PGRES_TUPLES_OK) {
		if (p->rows)
			pq.clear(p->rows);
		p->rows = result;
		return;
	}
	if (status != PGRES_COMMAND_OK && !p->failed) {
		const char *sqlstate = pq.resultErrorField(result, PG_DIAG_SQLSTATE);
		const char *message = pq.resultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
		p->failed = true;
		p->failure = (struct postgres_failure){0};
		snprintf(p->failure.sqlstate, sizeof(p->failure.sqlstate), "%.5s", sqlstate ? sqlstate : "");
		postgres_classify(&p->failure, message ? message : "");
		postgres_describe(p, &p->failure, "%s", message ? message : "the statement failed");
	}
	pq.clear(result);
}

/* Returns whether the answer is complete. */
static bool take_results(struct postgres *p)
{
	while (!pq.isBusy(p->conn)) {
		PGresult *result = pq.getResult(p->conn);
		if (!result)
			return true;
		take_result(p, result);
	}
	return false;
}

static void finish_query(struct postgres *p)
{
	p->stage = STAGE_IDLE;
	if (!p->failed && !p->rows) {
		p->failed = true;
		p->failure = (struct postgres_failure){.reason = POSTGRES_REASON_OTHER, .text = "no rows came"};
	}
	if (p->failed && p->rows) {
		pq.clear(p->rows);
		p->rows = NULL;
	}
	struct postgres_failure why = p->failure;
	answer(p, p->failed ? &why : NULL);
}

/* The owner may close it within the call: then the rest is his no more. */
static void tell_notified(struct postgres *p)
{
	PGnotify *note;
	while (p->conn && (note = pq.notifies(p->conn))) {
		if (p->options.notified)
			p->options.notified(p->options.ctx, note->extra);
		pq.freemem(note);
	}
}

static void serve_session(struct postgres *p)
{
	uint64_t begun = uv_hrtime();
	bool alive = pq.consumeInput(p->conn) == 1;
	/* Also when it failed: what the server said last is still to be read. */
	bool complete = p->stage == STAGE_BUSY ? take_results(p) : (pq.isBusy(p->conn), false);
	int unsent = alive && p->stage == STAGE_BUSY ? pq.flush(p->conn) : 0;
	postgres_note_call(p, begun);
	if (!alive || unsent < 0 || pq.status(p->conn) != CONNECTION_OK)
		lose(p);
	else if (!postgres_start_poll(p, UV_READABLE | (unsent ? UV_WRITABLE : 0)))
		lose(p);
	else if (complete)
		finish_query(p);
	tell_notified(p);
}

void postgres_on_poll(uv_poll_t *handle, int status, int events)
{
	(void)status;
	(void)events;
	struct postgres *p = handle->data;
	/* Whatever was seen, libpq finds out itself: an error is a read that fails. */
	if (p->stage == STAGE_CONNECTING)
		postgres_poll_connection(p);
	else
		serve_session(p);
}

/* ---- asking ---- */

typedef void answer_call(void *ctx, const struct postgres_rows *rows, const struct postgres_failure *why);

static int begin_asking(struct postgres *p, int sent, ms_t timeout, answer_call *answered, void *ctx, struct err *err)
{
	int unsent = sent ? pq.flush(p->conn) : -1;
	if (unsent < 0 || !postgres_start_poll(p, UV_READABLE | (unsent ? UV_WRITABLE : 0))) {
		postgres_die(p);
		return err_set(err, -ENOTCONN, "the session is broken");
	}
	p->stage = STAGE_BUSY;
	p->answered = answered;
	p->answer_ctx = ctx;
	p->query_timeout = timeout;
	postgres_set_deadline(p, timeout, on_query_deadline);
	return 0;
}

static int check_idle(struct postgres *p, struct err *err)
{
	if (p->stage != STAGE_IDLE)
		return err_set(err, -EBUSY, "the session is not idle");
	p->failed = false;
	p->notice[0] = '\0';
	return 0;
}

int postgres_query(struct postgres *p, const char *sql, ms_t timeout, answer_call *answered, void *ctx, struct err *err)
{
	int rc = check_idle(p, err);
	if (rc < 0)
		return rc;
	uint64_t begun = uv_hrtime();
	rc = begin_asking(p, pq.sendQuery(p->conn, sql), timeout, answered, ctx, err);
	postgres_note_call(p, begun);
	return rc;
}

int postgres_query_with(struct postgres *p, const char *sql, const char *const *values, int n, ms_t timeout,
	answer_call *answered, void *ctx, struct err *err)
{
	int rc = check_idle(p, err);
	if (rc < 0)
		return rc;
	uint64_t begun = uv_hrtime();
	int sent = pq.sendQueryParams(p->conn, sql, n, NULL, values, NULL, NULL, 0);
	rc = begin_asking(p, sent, timeout, answered, ctx, err);
	postgres_note_call(p, begun);
	return rc;
}
