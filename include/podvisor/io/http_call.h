/* http_call owns blocking HTTP requests over a Unix socket, by libcurl, for the
 * commands; podvisor's own loop uses http_client. libcurl is loaded by the first
 * request. Requests of one batch travel side by side, so that answers which
 * wait for each other's effects do not wait for ever. */
#ifndef PODVISOR_IO_HTTP_CALL_H
#define PODVISOR_IO_HTTP_CALL_H

#include <stddef.h>

#include "podvisor/base/buf.h"
#include "podvisor/base/clock.h"
#include "podvisor/base/err.h"

#define HTTP_CALL_TARGET_MAX 4096

struct http_call {
	const char *method; /* "GET" or "POST" (with an empty body); borrowed */
	char target[HTTP_CALL_TARGET_MAX]; /* "/api/v1/status?x=y", already escaped */
	int status; /* filled */
	struct buf body; /* initialised by the caller with its cap; appended to */
};

/* Carries out all n calls. timeout_ms: of each, from its start to its last
 * byte. cancel_fd: gives up as soon as it is readable; -1: never.
 * 0 when every one was answered, whatever the status. Otherwise the first
 * failure, with a sentence: connect(2)'s error (-ENOENT, -ECONNREFUSED, -EACCES)
 * when nobody answers at the socket, -ETIMEDOUT, -ECONNRESET (broken off),
 * -EMSGSIZE (a body beyond its cap), -ECANCELED, -ELIBACC, -EPROTO, -ENOMEM;
 * status and bodies are then meaningless. */
int http_call_all(const char *socket_path, struct http_call *calls, size_t n, ms_t timeout_ms, int cancel_fd,
	struct err *err) MUST_CHECK;

/* What else happens while answers are awaited. */
struct http_call_wait {
	int cancel_fd; /* as above */
	void (*tick)(void *ctx); /* four times a second; may make calls of its own. NULL: none */
	void *ctx;
};
/* The same. */
int http_call_all_waiting(const char *socket_path, struct http_call *calls, size_t n, ms_t timeout_ms,
	const struct http_call_wait *wait, struct err *err) MUST_CHECK;

/* Appends text to target, percent-encoding what may not stand in one segment of
 * a path or one value of a query (RFC 3986 2.3: all but unreserved). */
int http_call_escape(char *target, size_t size, const char *text) MUST_CHECK;

#endif
