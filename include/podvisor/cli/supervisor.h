/* supervisor owns a command's way to the running supervisor: which socket it
 * answers at, one batch of requests, and the sentences when there is no answer. */
#ifndef PODVISOR_CLI_SUPERVISOR_H
#define PODVISOR_CLI_SUPERVISOR_H

#include <jansson.h>

#include "podvisor/cli/options.h"
#include "podvisor/io/http_call.h"

#define SUPERVISOR_PATIENCE_MS 10000 /* for answers that wait for nothing */
#define SUPERVISOR_WAIT_S      600 /* the longest the API waits */
/* An answer that waited is late by what the network of one machine takes. */
#define SUPERVISOR_WAITED_MS (SUPERVISOR_WAIT_S * 1000 + SUPERVISOR_PATIENCE_MS)

struct supervisor {
	const char *verb; /* for the sentences */
	const char *given; /* --socket or PODVISOR_SOCKET: then only that one is tried; else NULL */
	char path[108]; /* where it answered; "" before */
	int cancel_fd; /* see http_call.h; -1 */
	bool json; /* a refusal is also told on stdout, as the supervisor's own JSON */
	bool quiet; /* no sentence goes to stderr: the last one is in said */
	char said[1024];
	void (*tick)(void *ctx); /* see http_call.h; NULL */
	void *tick_ctx;
};

void supervisor_init(struct supervisor *s, const struct options *o);
/* "podvisor VERB: SENTENCE" on stderr, or kept; see quiet. */
void supervisor_say(struct supervisor *s, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Fills in method and target (printf) and an empty body. */
void supervisor_call(struct http_call *call, const char *method, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* 0, or the exit code after a sentence on stderr: 69 when nobody answers (naming
 * the sockets that were tried), 70 for what should not happen. -ECANCELED, and
 * no sentence, when cancel_fd became readable. */
int supervisor_ask_all(struct supervisor *s, struct http_call *calls, size_t n, ms_t timeout_ms) MUST_CHECK;
int supervisor_ask(struct supervisor *s, struct http_call *call, ms_t timeout_ms) MUST_CHECK;

/* The body as a JSON object or NULL, which the caller json_decref()s. */
json_t *supervisor_json(const struct http_call *call);
/* An answer that is no success: tells its "error" and "mistakes". */
void supervisor_tell_refusal(struct supervisor *s, const struct http_call *call);
/* GET target: its JSON in *out (the caller's), 0; or the exit code after a sentence. */
int supervisor_get_json(struct supervisor *s, const char *target, json_t **out) MUST_CHECK;

#endif
