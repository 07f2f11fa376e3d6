#include "podvisor/io/postgres_dsn.h"

#if __has_include(<libpq-fe.h>)
#include <libpq-fe.h>
#else
#include <postgresql/libpq-fe.h>
#endif

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "podvisor/base/buf.h"
#include "podvisor/base/nearest.h"
#include "podvisor/io/library.h"

#define BLANKS     " \t\r\n\f\v"
#define OPTION_MAX 40 /* of a name that is told */

/* Where the values are tried: no server can be there, so that libpq comes back at once. */
#define NOWHERE     "/dev/null"
#define NOWHERE_MAX 1024

#define PQ_CALLS(X)           \
	X(conninfoParse)      \
	X(conninfoFree)       \
	X(freemem)            \
	X(connectStartParams) \
	X(status)             \
	X(errorMessage)       \
	X(finish)

static struct {
#define PQ_POINTER(name) __typeof__(PQ##name) *name;
	PQ_CALLS(PQ_POINTER)
#undef PQ_POINTER
} pq;

static bool load(void)
{
	static const struct library_call calls[] = {
#define PQ_CALL(name) {"PQ" #name, &pq.name},
		PQ_CALLS(PQ_CALL)
#undef PQ_CALL
	};
	return pq.finish || library_load("libpq.so.5", calls, sizeof(calls) / sizeof(calls[0]), NULL) == 0;
}

const char *postgres_dsn_misreading(const char *host, const char *port)
{
	if (host && strchr(host, '@') && host[0] != '@' && host[0] != '/')
		return "its host contains an @: is one in the password not written as %40?";
	if (port && port[strspn(port, "0123456789,")])
		return "its port is not a number: is a / in the password not written as %2F?";
	return NULL;
}

/* ---- options that libpq does not know ---- */

static bool is_secret(const char *name, size_t n)
{
	return memmem(name, n, "password", 8) != NULL;
}

/* One value of a list of pairs, as libpq reads it: quoted or up to a blank, with backslashes. */
static const char *skip_value(const char *at)
{
	bool quoted = *at == '\'';
	at += quoted;
	while (*at && (quoted ? *at != '\'' : !strchr(BLANKS, *at)))
		at += *at == '\\' && at[1] ? 2 : 1;
	return at + (quoted && *at == '\'');
}

/* A word behind a password is the rest of a password with a blank, rather than an option. */
static bool pair_is_behind_password(const char *at, const char *name)
{
	bool secret = false;
	for (at += strspn(at, BLANKS); *at; at += strspn(at, BLANKS)) {
		size_t n = strcspn(at, "=" BLANKS);
		if (n == strlen(name) && strncmp(at, name, n) == 0)
			return secret;
		secret = is_secret(at, n);
		at += n + strspn(at + n, BLANKS);
		at = skip_value(at + (*at == '=') + strspn(at + (*at == '='), BLANKS));
	}
	return true;
}

/* The same of a parameter behind "&". With an @ behind it, it stands in a password that was misread. */
static bool parameter_is_behind_password(const char *uri, const char *name)
{
	bool secret = false;
	const char *at = strchr(uri, '?');
	while (at && *at) {
		size_t n = strcspn(++at, "=&");
		if (n == strlen(name) && strncmp(at, name, n) == 0)
			return secret || strchr(at, '@');
		secret = is_secret(at, n);
		at += strcspn(at, "&");
	}
	return true;
}

static bool is_uri(const char *dsn)
{
	return strncmp(dsn, "postgres://", 11) == 0 || strncmp(dsn, "postgresql://", 13) == 0;
}

static bool may_be_told(const char *dsn, const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
	if (n == 0 || name[n])
		return false;
	return is_uri(dsn) ? !parameter_is_behind_password(dsn, name) : !pair_is_behind_password(dsn, name);
}

/* The last piece in quotes. */
static bool take_quoted(const char *message, char *out, size_t size)
{
	const char *end = strrchr(message, '"'), *begin = end ? memrchr(message, '"', (size_t)(end - message)) : NULL;
	size_t n = begin ? (size_t)(end - begin) - 1 : size;
	if (n >= size)
		return false;
	memcpy(out, begin + 1, n);
	out[n] = '\0';
	return true;
}

/* Their names are libpq's own and stay; only the values are freed. */
static void offer_options(struct nearest *near)
{
	PQconninfoOption *known = pq.conninfoParse("", NULL);
	for (PQconninfoOption *o = known; o && o->keyword; o++)
		nearest_offer(near, o->keyword);
	pq.conninfoFree(known);
}

/* Behind a password only what was meant is told, if it can be guessed, and not what stands there. */
static int refuse_unnamed(const char *dsn, const struct nearest *near, struct err *err)
{
	if (near->best)
		return err_set(
			err, -EINVAL, "it has an option that libpq does not know (did you mean \"%s\"?)", near->best);
	return err_set(err, -EINVAL,
		"it has an option that libpq does not know, or a password that is not written as it has to be (%s)",
		is_uri(dsn) ? "@, /, ?, & and % percent-encoded" : "with blanks it stands in single quotes");
}

static int refuse_option(const char *dsn, const char *message, struct err *err)
{
	char name[OPTION_MAX + 1] = "";
	struct nearest near;
	bool known = take_quoted(message, name, sizeof(name));
	nearest_init(&near, name);
	offer_options(&near);
	if (!known || !may_be_told(dsn, name))
		return refuse_unnamed(dsn, &near, err);
	return err_set(err, -EINVAL, "libpq knows no option \"%s\"%s%s%s", name, near.best ? " (did you mean \"" : "",
		near.best ? near.best : "", near.best ? "\"?)" : "");
}

/* ---- the string ---- */

static int refuse_string(const char *dsn, const char *message, struct err *err)
{
	static const struct {
		const char *words, *sentence;
	} known[] = {
		{"missing \"=\"",
			"a word in it has no \"=\" (expected NAME=VALUE; a value with blanks stands in single "
			"quotes)"},
		{"unterminated quoted string", "a quote in it is not closed"},
		{"percent-encoded", "a % in it is not followed by two hexadecimal digits that stand for a character "
				    "(%25 is a percent sign)"},
		{"matching \"]\"", "a [ in it is not closed (expected an IPv6 address in [ ])"},
		{"IPv6 host address", "[ ] in it are empty (expected an IPv6 address)"},
		{"unexpected character", "behind its ] stands something else than a port or a path"},
		{"key/value separator", "a parameter behind its ? is not NAME=VALUE"},
		{"unexpected spaces", "it has blanks where none can be"},
	};
	if (strstr(message, "invalid connection option") || strstr(message, "invalid URI query parameter"))
		return refuse_option(dsn, message, err);
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strstr(message, known[i].words))
			return err_set(err, -EINVAL, "%s", known[i].sentence);
	return err_set(
		err, -EINVAL, "libpq does not understand it (its words are not shown, they may quote the password)");
}

/* ---- its values ---- */

static size_t count_items(const char *list)
{
	size_t n = 1;
	for (; *list; list++)
		n += *list == ',';
	return n;
}

/* As many as there are hosts; more than fit are tried by nobody. */
static void put_nowhere(struct buf *out, const char *hosts)
{
	for (size_t n = count_items(hosts); n && !out->failed; n--)
		buf_printf(out, "%s%s", out->len ? "," : "", NOWHERE);
}

static const char *value_of(const PQconninfoOption *options, const char *keyword)
{
	for (const PQconninfoOption *o = options; o->keyword; o++)
		if (strcmp(o->keyword, keyword) == 0)
			return o->val;
	return NULL;
}

/* What is asked of files, or of somebody else, is left out. */
static bool is_tried(const PQconninfoOption *o)
{
	static const char *const left_out[] = {"host", "hostaddr", "service", "password", "passfile"};
	for (size_t i = 0; i < sizeof(left_out) / sizeof(left_out[0]); i++)
		if (strcmp(o->keyword, left_out[i]) == 0)
			return false;
	return o->val != NULL;
}

static PGconn *try_values(const PQconninfoOption *options, const char *nowhere)
{
	size_t n = 0;
	while (options[n].keyword)
		n++;
	const char **keys = calloc(n + 4, sizeof(*keys)), **values = calloc(n + 4, sizeof(*values));
	PGconn *conn = NULL;
	if (keys && values) {
		size_t used = 0;
		/* The password would be looked for in a file, the user in the system; later ones count. */
		keys[used] = "host", values[used++] = nowhere;
		keys[used] = "password", values[used++] = "none";
		keys[used] = "user", values[used++] = "none";
		for (const PQconninfoOption *o = options; o->keyword; o++)
			if (is_tried(o))
				keys[used] = o->keyword, values[used++] = o->val;
		conn = pq.connectStartParams(keys, values, 0);
	}
	free(keys);
	free(values);
	return conn;
}

/* The option whose value libpq has named, which is shown by its name alone. */
static const char *named_option(const PQconninfoOption *options, const char *message)
{
	const char *best = NULL, *quote = strstr(message, "connection option \"");
	if (strstr(message, "port number"))
		return "port";
	for (const PQconninfoOption *o = options; o->keyword; o++) {
		size_t n = strlen(o->keyword);
		bool here = quote ? strncmp(quote + 19, o->keyword, n) == 0 && quote[19 + n] == '"'
				  : memmem(message, strcspn(message, "\""), o->keyword, n) != NULL;
		if (o->val && here && (!best || n > strlen(best)))
			best = o->keyword;
	}
	return best;
}

static int refuse_numbers(struct err *err)
{
	return err_set(err, -EINVAL, "it names different numbers of hosts, addresses and ports");
}

static int refuse_value(const PQconninfoOption *options, const char *message, struct err *err)
{
	if (strstr(message, "could not match"))
		return refuse_numbers(err);
	const char *option = named_option(options, message);
	if (option)
		return err_set(err, -EINVAL, "libpq does not take the value of its option \"%s\"", option);
	return err_set(err, -EINVAL,
		"libpq does not take one of its values, or of the PG* variables around it (its words are not shown, "
		"they may quote the password)");
}

/* What was tried at all has been taken before. A service is that of PGSERVICE, for the string's own is left out. */
static bool was_tried(const char *message)
{
	return strstr(message, NOWHERE) || strstr(message, "service");
}

static int check_values(const PQconninfoOption *options, struct err *err)
{
	const char *host = value_of(options, "host"), *port = value_of(options, "port");
	const char *address = value_of(options, "hostaddr"), *misread = postgres_dsn_misreading(host, port);
	if (misread)
		return err_set(err, -EINVAL, "%s", misread);
	if (host && address && count_items(host) != count_items(address))
		return refuse_numbers(err);
	struct buf nowhere;
	buf_init(&nowhere, NOWHERE_MAX);
	put_nowhere(&nowhere, address ? address : host ? host : "");
	PGconn *conn = nowhere.failed ? NULL : try_values(options, buf_str(&nowhere));
	bool taken = !conn || pq.status(conn) != CONNECTION_BAD || was_tried(pq.errorMessage(conn));
	int rc = taken ? 0 : refuse_value(options, pq.errorMessage(conn), err);
	pq.finish(conn);
	buf_fini(&nowhere);
	return rc;
}

int postgres_dsn_check(const char *dsn, struct err *err)
{
	char *message = NULL;
	if (!load())
		return 0;
	PQconninfoOption *options = pq.conninfoParse(dsn, &message);
	int rc = options   ? check_values(options, err)
		 : message ? refuse_string(dsn, message, err)
			   : err_set(err, -ENOMEM, "out of memory");
	pq.conninfoFree(options);
	pq.freemem(message);
	return rc;
}
