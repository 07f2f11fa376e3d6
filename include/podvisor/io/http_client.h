/* http_client owns HTTP requests of podvisor's own, by libcurl's multi
 * interface on the loop: nothing blocks, names are resolved by curl's threads,
 * redirects are reported and not followed, proxies of the environment are not
 * used, every request has its own connection unless it says otherwise. libcurl
 * is loaded, off the loop, when the first request is made. */
#ifndef PODVISOR_IO_HTTP_CLIENT_H
#define PODVISOR_IO_HTTP_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#include "podvisor/base/clock.h"
#include "podvisor/base/err.h"
#include "podvisor/io/loop.h"

struct http_client;
struct http_transfer;

struct http_header {
	const char *name, *value;
};

/* Borrowed for the call only. */
struct http_request {
	const char *method; /* NULL: GET */
	const char *url; /* http:// or https:// */
	const struct http_header *headers;
	size_t n_headers;
	ms_t timeout; /* from the start of the transfer to its last byte; 0: the caller aborts it */
	const char *body; /* sent as it is; NULL: none */
	int64_t max_body_bytes; /* the answer counts as complete there */
	bool verify_tls; /* false: any certificate will do, as Kubernetes' own probes have it */
	const char *ca_file; /* verify_tls: who is trusted; NULL: whom the system trusts */
	/* The connection is kept for the next such request to the same server. It is HTTP/1.1's, so one on which an
	 * answer did not come in time is closed: no later request waits on a dead one. */
	bool keep;
	/* The body as it comes; it must not touch the client. NULL: it is thrown away. */
	void (*received)(void *ctx, const char *bytes, size_t n);
};

struct http_answer {
	int error; /* 0: status is valid; else negative errno */
	int status;
	char text[160]; /* why not, for people; names neither the URL nor a header */
};

int http_client_new(struct http_client **out, struct loop *l, struct err *err) MUST_CHECK;
/* Aborts what is under way, without answers. NULL is fine. Not from within a done. */
void http_client_free(struct http_client *c);

/* done is called once, from the loop and never from within this call, unless
 * the transfer is aborted first; the transfer is gone when it returns. */
int http_client_send(struct http_client *c, const struct http_request *request,
	void (*done)(void *ctx, const struct http_answer *answer), void *ctx, struct http_transfer **out,
	struct err *err) MUST_CHECK;
/* Forgets the transfer; done is not called. */
void http_transfer_abort(struct http_transfer *t);

#endif
