#include "podvisor/io/postgres.h"

#if __has_include(<libpq-fe.h>)
#include <libpq-fe.h>
#else
#include <postgresql/libpq-fe.h>
#endif

#include <errno.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "podvisor/io/library.h"
#include "podvisor/io/postgres_dsn.h"

/* ---- the library, loaded late ---- */

#define PQ_CALLS(X)           \
	X(connectStartParams) \
	X(connectPoll)        \
	X(conninfo)           \
	X(conninfoFree)       \
	X(status)             \
	X(socket)             \
	X(errorMessage)       \
	X(finish)             \
	X(setErrorVerbosity)  \
	X(setNoticeReceiver)  \
	X(setnonblocking)     \
	X(sendQuery)          \
	X(flush)              \
	X(consumeInput)       \
	X(isBusy)             \
	X(getResult)          \
	X(clear)              \
	X(resultStatus)       \
	X(resultErrorField)   \
	X(ntuples)            \
	X(nfields)            \
	X(getvalue)           \
	X(getisnull)

static struct {
#define PQ_POINTER(name) __typeof__(PQ##name) *name;
	PQ_CALLS(PQ_POINTER)
#undef PQ_POINTER
} pq;

static uv_once_t load_once = UV_ONCE_INIT;
static struct err load_error; /* code 0: loaded */

static void load(void)
{
	static const struct library_call calls[] = {
#define PQ_CALL(name) {"PQ" #name, &pq.name},
		PQ_CALLS(PQ_CALL)
#undef PQ_CALL
	};
	load_error.code = library_load("libpq.so.5", calls, sizeof(calls) / sizeof(calls[0]), &load_error);
}

/* ---- one connection ---- */

/* Addresses of one dsn that are tried: names times their addresses. */
#define CANDIDATES_MAX 16
#define PARAMETERS_MAX 16
/* Ends TCP that the peer no longer acknowledges, within and between checks. */
#define TCP_USER_TIMEOUT_MS "3000"

enum stage {
	STAGE_PREPARING, /* in the pool: the library, the dsn and the files it names */
	STAGE_RESOLVING,
	STAGE_CONNECTING,
	STAGE_IDLE,
	STAGE_BUSY,
	STAGE_DEAD,
};

/* What of the dsn, the environment and the service file must be known. Owned strings, NULL when absent. */
struct wishes {
	char *host, *hostaddr, *port, *password, *application_name, *target_session_attrs, *tcp_user_timeout,
		*gssencmode;
};

struct candidate {
	char host[256], hostaddr[64], port[8]; /* "": leave to libpq */
	const char *attrs; /* target_session_attrs; NULL: the dsn's */
};

/* It may be freed when its pool work and its timer are done. */
struct postgres {
	struct loop *loop;
	char *dsn, *application_name;
	struct postgres_options options; /* its strings are the copies above */
	enum stage stage; /* set where a stage begins; only die ends one */
	uv_work_t prepare;
	uv_getaddrinfo_t resolve;
	bool working, resolving, closed, timer_closed;
	uv_timer_t deadline;
	struct wishes wishes;
	struct postgres_failure failure; /* of the pool, and the most telling of the candidates */
	const char *next_host, *next_port, *next_hostaddr; /* into wishes, while they are split */
	struct candidate resolved; /* host and port being resolved */
	struct candidate candidates[CANDIDATES_MAX];
	int n_candidates, next_candidate;
	uint64_t connect_by_ms; /* of the loop's clock */
	PGconn *conn;
	uv_poll_t *poll; /* its own memory, because closing takes a turn; NULL: none */
	int poll_fd;
	char notice[6]; /* SQLSTATE of the last notice: 57P01 comes as one when idle */
	int64_t call_max_us;
	PGresult *rows; /* last rows of the query under way */
	bool failed;
	ms_t query_timeout;
	void (*answered)(void *ctx, const struct postgres_rows *rows, const struct postgres_failure *why);
	void *answer_ctx;
};

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

bool postgres_is_alive(const struct postgres *p)
{
	return p->stage != STAGE_DEAD;
}

int64_t postgres_call_max_us(const struct postgres *p)
{
	return p->call_max_us;
}

static void note_call(struct postgres *p, uint64_t begun_ns)
{
	int64_t us = (int64_t)(uv_hrtime() - begun_ns) / 1000;
	if (us > p->call_max_us)
		p->call_max_us = us;
}

/* ---- what a failure means ---- */

/* X(SQLSTATE or its class, reason, whether trying again soon is useless) */
static const struct {
	const char *prefix;
	enum postgres_reason reason;
	bool permanent;
} sqlstates[] = {
	{"28", POSTGRES_REASON_UNAUTHORIZED, true},
	{"42501", POSTGRES_REASON_UNAUTHORIZED, true}, /* no CONNECT privilege */
	{"3D000", POSTGRES_REASON_NO_DATABASE, true},
	{"57P03", POSTGRES_REASON_STARTING, false},
	{"53300", POSTGRES_REASON_REFUSING, false},
	{"25006", POSTGRES_REASON_READ_ONLY, false},
	{"57014", POSTGRES_REASON_HUNG, false}, /* our statement_timeout */
	{"57P", POSTGRES_REASON_UNREACHABLE, false},
	{"08", POSTGRES_REASON_UNREACHABLE, false},
};

/* For failures without a SQLSTATE: libpq's own words, untranslated because podvisor sets no locale. */
static const struct {
	const char *words;
	enum postgres_reason reason;
	bool permanent;
} phrases[] = {
	{"SYSCALL", POSTGRES_REASON_UNREACHABLE, false}, /* "SSL SYSCALL error: EOF detected" */
	{"SSL connection has been closed", POSTGRES_REASON_UNREACHABLE, false},
	{"SSL", POSTGRES_REASON_TLS, true},
	{"certificate", POSTGRES_REASON_TLS, true},
	{"no password supplied", POSTGRES_REASON_UNAUTHORIZED, true},
	{"authentication", POSTGRES_REASON_UNAUTHORIZED, true},
	{"hot standby mode", POSTGRES_REASON_RECOVERING, false},
	{"read-only", POSTGRES_REASON_READ_ONLY, false},
};

static void classify(struct postgres_failure *f, const char *words)
{
	if (f->sqlstate[0]) {
		f->reason = POSTGRES_REASON_OTHER;
		for (size_t i = sizeof(sqlstates) / sizeof(sqlstates[0]); i-- > 0;)
			if (strncmp(f->sqlstate, sqlstates[i].prefix, strlen(sqlstates[i].prefix)) == 0) {
				f->reason = sqlstates[i].reason;
				f->permanent = sqlstates[i].permanent;
			}
		return;
	}
	f->reason = POSTGRES_REASON_UNREACHABLE;
	for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++)
		if (strstr(words, phrases[i].words)) {
			f->reason = phrases[i].reason;
			f->permanent = phrases[i].permanent;
			return;
		}
}

/* No message that we know of quotes the password; if one does, it is not seen. A
 * very short one is left alone, for it would only mark its own letters. */
static void hide_password(const struct postgres *p, char *text)
{
	const char *password = p->wishes.password;
	size_t n = password ? strlen(password) : 0;
	if (n < 4)
		return;
	for (char *at; (at = strstr(text, password));) {
		memset(at, '*', 3);
		memmove(at + 3, at + n, strlen(at + n) + 1);
	}
}

static void PRINTF_LIKE(3, 4) describe(const struct postgres *p, struct postgres_failure *f, const char *fmt, ...)
{
	char text[1024];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	hide_password(p, text);
	snprintf(f->text, sizeof(f->text), "%.*s", (int)sizeof(f->text) - 1, text);
}

/* "10.0.0.7:5432", "/run/postgresql:5432" */
static const char *where(const struct candidate *c, char out[300])
{
	const char *host = c->hostaddr[0] ? c->hostaddr : c->host[0] ? c->host : "the local socket";
	bool brackets = strchr(c->hostaddr, ':');
	snprintf(
		out, 300, "%s%s%s%s%s", brackets ? "[" : "", host, brackets ? "]" : "", c->port[0] ? ":" : "", c->port);
	return out;
}

/* VERBOSE puts the SQLSTATE after the severity: "FATAL:  28P01: password ...".
 * Returns the message behind it, or NULL. */
static const char *find_sqlstate(const char *line, char out[6])
{
	for (const char *at = line; (at = strstr(at, ":  ")); at++)
		if (strspn(at + 3, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5 && at[8] == ':' && at[9] == ' ') {
			memcpy(out, at + 3, 5);
			out[5] = '\0';
			return at + 10;
		}
	return NULL;
}

/* From libpq's message of a connection that failed: its first line, without what it says of the address. */
static void read_message(struct postgres *p, const struct candidate *c, struct postgres_failure *f)
{
	char line[1024], address[300];
	*f = (struct postgres_failure){0};
	snprintf(line, sizeof(line), "%s", pq.errorMessage(p->conn));
	line[strcspn(line, "\n")] = '\0';
	const char *words = find_sqlstate(line, f->sqlstate);
	if (!words) {
		const char *failed = strstr(line, "failed: ");
		words = failed ? failed + 8 : line;
	}
	classify(f, words);
	describe(p, f, "%s: %s", where(c, address), words[0] ? words : "no connection");
}

/* ---- the end ---- */

static void free_poll(uv_handle_t *handle)
{
	free(handle);
}

/* Before PQfinish and before every PQconnectPoll: either may close the socket, and a new one
 * may get its number. */
static void drop_poll(struct postgres *p)
{
	if (p->poll)
		uv_close((uv_handle_t *)p->poll, free_poll);
	p->poll = NULL;
}

static void drop_connection(struct postgres *p)
{
	drop_poll(p);
	if (p->rows)
		pq.clear(p->rows);
	p->rows = NULL;
	if (p->conn) {
		uint64_t begun = uv_hrtime();
		pq.finish(p->conn);
		note_call(p, begun);
	}
	p->conn = NULL;
}

static void free_wishes(struct wishes *w)
{
	free(w->host);
	free(w->hostaddr);
	free(w->port);
	free(w->password);
	free(w->application_name);
	free(w->target_session_attrs);
	free(w->tcp_user_timeout);
	free(w->gssencmode);
}

static void free_when_idle(struct postgres *p)
{
	if (!p->closed || !p->timer_closed || p->working || p->resolving)
		return;
	if (p->wishes.password)
		explicit_bzero(p->wishes.password, strlen(p->wishes.password));
	explicit_bzero(p->dsn, strlen(p->dsn));
	free_wishes(&p->wishes);
	free(p->dsn);
	free(p->application_name);
	free(p);
}

static void die(struct postgres *p)
{
	p->stage = STAGE_DEAD;
	uv_timer_stop(&p->deadline);
	drop_connection(p);
}

static void end(struct postgres *p, const struct postgres_failure *why)
{
	struct postgres_failure f = *why;
	die(p);
	p->options.ended(p->options.ctx, &f);
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct postgres *p = handle->data;
	p->timer_closed = true;
	free_when_idle(p);
}

void postgres_close(struct postgres *p)
{
	if (!p || p->closed)
		return;
	p->closed = true;
	die(p);
	if (p->resolving)
		uv_cancel((uv_req_t *)&p->resolve);
	uv_close((uv_handle_t *)&p->deadline, on_timer_closed);
}

/* ---- polling ---- */

static void on_poll(uv_poll_t *handle, int status, int events);

static bool start_poll(struct postgres *p, int events)
{
	int fd = pq.socket(p->conn);
	if (p->poll && p->poll_fd != fd)
		drop_poll(p);
	if (!p->poll) {
		p->poll = calloc(1, sizeof(*p->poll));
		if (!p->poll || fd < 0 || uv_poll_init(&p->loop->uv, p->poll, fd) < 0) {
			free(p->poll);
			p->poll = NULL;
			return false;
		}
		p->poll->data = p;
		p->poll_fd = fd;
	}
	return uv_poll_start(p->poll, events, on_poll) == 0;
}

static void set_deadline(struct postgres *p, ms_t span, uv_timer_cb on_deadline)
{
	uv_update_time(&p->loop->uv);
	uv_timer_start(&p->deadline, on_deadline, (uint64_t)(span > 0 ? span : 0), 0);
}

/* ---- connecting ---- */

static void try_next(struct postgres *p);

static void give_up_candidate(struct postgres *p, const struct postgres_failure *f)
{
	/* A server that spoke tells more than one that did not answer. */
	if (f->sqlstate[0] || !p->failure.sqlstate[0])
		p->failure = *f;
	drop_connection(p);
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
	describe(p, &f, "%s %s", where(c, address),
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
	if (start_poll(p, UV_READABLE)) {
		p->options.opened(p->options.ctx);
		return;
	}
	struct postgres_failure f = {.reason = POSTGRES_REASON_OTHER, .text = "the connection cannot be polled"};
	end(p, &f);
}

static void go_on_connecting(struct postgres *p, PostgresPollingStatusType wanted)
{
	struct postgres_failure f;
	if (wanted == PGRES_POLLING_OK) {
		connected(p);
		return;
	}
	if (wanted != PGRES_POLLING_FAILED &&
		start_poll(p, wanted == PGRES_POLLING_READING ? UV_READABLE : UV_WRITABLE))
		return;
	read_message(p, &p->candidates[p->next_candidate - 1], &f);
	give_up_candidate(p, &f);
}

static void poll_connection(struct postgres *p)
{
	uv_poll_stop(p->poll);
	uint64_t begun = uv_hrtime();
	PostgresPollingStatusType wanted = pq.connectPoll(p->conn);
	note_call(p, begun);
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
	note_call(p, begun);
	return conn;
}

/* Each address gets its share of the time that is left, so that a silent one
 * does not use up that of the others. */
static void try_next(struct postgres *p)
{
	if (p->next_candidate >= p->n_candidates) {
		end(p, &p->failure);
		return;
	}
	const struct candidate *c = &p->candidates[p->next_candidate++];
	uv_update_time(&p->loop->uv);
	uint64_t now = uv_now(&p->loop->uv);
	uint64_t left = p->connect_by_ms > now ? p->connect_by_ms - now : 0;
	p->conn = begin_connection(p, c);
	if (!p->conn) {
		struct postgres_failure f = {.reason = POSTGRES_REASON_OTHER, .text = "out of memory"};
		end(p, &f);
		return;
	}
	set_deadline(p, (ms_t)left / (p->n_candidates - p->next_candidate + 1), on_connect_deadline);
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

static void start_connecting(struct postgres *p)
{
	if (!p->n_candidates) {
		end(p, &p->failure);
		return;
	}
	add_second_round(p);
	p->stage = STAGE_CONNECTING;
	uv_update_time(&p->loop->uv);
	p->connect_by_ms = uv_now(&p->loop->uv) + (uint64_t)p->options.connect_timeout;
	p->failure = (struct postgres_failure){0};
	try_next(p);
}

/* ---- resolving ---- */

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
	describe(p, &p->failure, "\"%s\" cannot be resolved: %s", p->resolved.host, why);
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *addresses)
{
	struct postgres *p = request->data;
	char text[64];
	p->resolving = false;
	if (p->closed || p->stage != STAGE_RESOLVING) {
		uv_freeaddrinfo(addresses);
		free_when_idle(p);
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
	start_connecting(p);
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
	start_connecting(p);
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

static void understand(uv_work_t *work)
{
	struct postgres *p = work->data;
	uv_once(&load_once, load);
	if (load_error.code) {
		p->failure = (struct postgres_failure){.reason = POSTGRES_REASON_OTHER, .permanent = true};
		snprintf(p->failure.text, sizeof(p->failure.text), "%.150s", load_error.text);
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

static void on_understood(uv_work_t *work, int status)
{
	(void)status;
	struct postgres *p = work->data;
	p->working = false;
	if (p->closed) {
		free_when_idle(p);
		return;
	}
	if (p->failure.text[0]) {
		end(p, &p->failure);
		return;
	}
	p->stage = STAGE_RESOLVING;
	p->next_host = p->wishes.host ? p->wishes.host : p->wishes.hostaddr ? p->wishes.hostaddr : "";
	p->next_hostaddr = p->wishes.hostaddr;
	p->next_port = p->wishes.port;
	set_deadline(p, p->options.resolve_timeout, on_resolve_deadline);
	resolve_next(p);
}

int postgres_open(struct postgres **out, struct loop *l, const struct postgres_options *o, struct err *err)
{
	struct postgres *p = calloc(1, sizeof(*p));
	if (!p)
		return err_set(err, -ENOMEM, "out of memory");
	p->loop = l;
	p->options = *o;
	p->dsn = strdup(o->dsn);
	p->application_name = strdup(o->application_name);
	p->prepare.data = p->resolve.data = p->deadline.data = p;
	int rc =
		p->dsn && p->application_name ? uv_queue_work(&l->uv, &p->prepare, understand, on_understood) : -ENOMEM;
	if (rc < 0) {
		free(p->dsn);
		free(p->application_name);
		free(p);
		return err_set(err, rc, "cannot open a connection: %s", uv_strerror(rc));
	}
	p->working = true;
	uv_timer_init(&l->uv, &p->deadline);
	*out = p;
	return 0;
}

/* ---- a session, idle and busy ---- */

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
	die(p);
	answer(p, &f);
}

static void on_query_deadline(uv_timer_t *timer)
{
	struct postgres *p = timer->data;
	struct postgres_failure f = {.reason = POSTGRES_REASON_HUNG};
	describe(p, &f, "no answer within %lld ms", (long long)p->query_timeout);
	die_answering(p, &f);
}

/* The server is gone, or libpq gave up on it. */
static void lose(struct postgres *p)
{
	struct postgres_failure f = {.reason = POSTGRES_REASON_UNREACHABLE};
	if (strncmp(p->notice, "57", 2) == 0) {
		memcpy(f.sqlstate, p->notice, sizeof(f.sqlstate));
		classify(&f, "");
	}
	describe(p, &f, "the server closed the session%s",
		strcmp(p->notice, "57P01") == 0   ? ": it shuts down, or an administrator ended it"
		: strcmp(p->notice, "57P02") == 0 ? ": another of its processes crashed"
						  : "");
	if (p->stage != STAGE_BUSY)
		end(p, &f);
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
		classify(&p->failure, message ? message : "");
		describe(p, &p->failure, "%s", message ? message : "the statement failed");
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

static void serve_session(struct postgres *p)
{
	uint64_t begun = uv_hrtime();
	bool alive = pq.consumeInput(p->conn) == 1;
	/* Also when it failed: what the server said last is still to be read. */
	bool complete = p->stage == STAGE_BUSY ? take_results(p) : (pq.isBusy(p->conn), false);
	int unsent = alive && p->stage == STAGE_BUSY ? pq.flush(p->conn) : 0;
	note_call(p, begun);
	if (!alive || unsent < 0 || pq.status(p->conn) != CONNECTION_OK)
		lose(p);
	else if (!start_poll(p, UV_READABLE | (unsent ? UV_WRITABLE : 0)))
		lose(p);
	else if (complete)
		finish_query(p);
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
	(void)status;
	(void)events;
	struct postgres *p = handle->data;
	/* Whatever was seen, libpq finds out itself: an error is a read that fails. */
	if (p->stage == STAGE_CONNECTING)
		poll_connection(p);
	else
		serve_session(p);
}

int postgres_query(struct postgres *p, const char *sql, ms_t timeout,
	void (*answered)(void *ctx, const struct postgres_rows *rows, const struct postgres_failure *why), void *ctx,
	struct err *err)
{
	if (p->stage != STAGE_IDLE)
		return err_set(err, -EBUSY, "the session is not idle");
	p->failed = false;
	p->notice[0] = '\0';
	uint64_t begun = uv_hrtime();
	int unsent = pq.sendQuery(p->conn, sql) ? pq.flush(p->conn) : -1;
	note_call(p, begun);
	if (unsent < 0 || !start_poll(p, UV_READABLE | (unsent ? UV_WRITABLE : 0))) {
		die(p);
		return err_set(err, -ENOTCONN, "the session is broken");
	}
	p->stage = STAGE_BUSY;
	p->answered = answered;
	p->answer_ctx = ctx;
	p->query_timeout = timeout;
	set_deadline(p, timeout, on_query_deadline);
	return 0;
}
