#include "postgres_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

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

void postgres_classify(struct postgres_failure *f, const char *words)
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

void PRINTF_LIKE(3, 4) postgres_describe(const struct postgres *p, struct postgres_failure *f, const char *fmt, ...)
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
const char *postgres_where(const struct candidate *c, char out[300])
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
void postgres_read_message(struct postgres *p, const struct candidate *c, struct postgres_failure *f)
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
	postgres_classify(f, words);
	postgres_describe(p, f, "%s: %s", postgres_where(c, address), words[0] ? words : "no connection");
}
