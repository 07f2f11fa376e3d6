/* cdp owns the language of Chrome's control pipe (--remote-debugging-pipe): JSON
 * messages, each ended by a NUL byte, and the few words of the DevTools protocol
 * that podvisor speaks (https://chromedevtools.github.io/devtools-protocol/). */
#ifndef PODVISOR_WIRE_CDP_H
#define PODVISOR_WIRE_CDP_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "podvisor/base/buf.h"
#include "podvisor/base/err.h"
#include "podvisor/base/span.h"

/* ---- bytes to messages ---- */

struct cdp_reader {
	struct buf pending; /* the message that is still incomplete */
	size_t max_bytes; /* a longer message is skipped, not kept */
	bool delivered; /* pending was handed out and is to be forgotten */
	bool skipping;
	uint64_t skipped; /* messages that were too long, or that no memory was left for */
};

void cdp_reader_init(struct cdp_reader *r, size_t max_bytes);
void cdp_reader_fini(struct cdp_reader *r);
/* Takes bytes off the front of chunk until a message is complete. True: message
 * is its text without the NUL, borrowed until the next call or the end of the
 * chunk's memory, and the rest of the chunk is to be offered again. False: all
 * of the chunk was taken. */
bool cdp_reader_take(struct cdp_reader *r, struct span *chunk, struct span *message) MUST_CHECK;

/* ---- messages to meaning ---- */

/* A reply (id > 0) or an event (id 0, method set). Strings are borrowed from root. */
struct cdp_message {
	json_t *root; /* owned */
	int64_t id;
	const char *method; /* of an event, else NULL */
	const char *session; /* NULL: from the browser itself */
	const char *error; /* sentence of a failed command, else NULL */
	const json_t *body; /* result of a reply, params of an event; may be NULL */
};

/* -EBADMSG when the text is no JSON object with an id or a method, -ENOMEM. */
int cdp_parse(struct span text, struct cdp_message *out) MUST_CHECK;
void cdp_message_fini(struct cdp_message *m);
/* A string of the body; NULL when it is not there. Borrowed. */
const char *cdp_text(const struct cdp_message *m, const char *key);
/* The answer to cdp_evaluate is this whole number. */
bool cdp_evaluated_to(const struct cdp_message *m, int64_t number);

/* What Browser.getVersion says. Cut when longer. */
struct cdp_version {
	char product[64], protocol[16], revision[64], user_agent[256], js_version[64];
};
bool cdp_read_version(const struct cdp_message *m, struct cdp_version *out) MUST_CHECK;

/* What stands in answers; strings are borrowed from the message. How many of them, max at the most. */
struct cdp_target {
	const char *id, *type, *context, *url; /* "" when it is not told */
	bool attached;
};
struct cdp_process {
	const char *type;
	int64_t pid;
	double cpu_seconds;
};
size_t cdp_read_targets(const struct cdp_message *m, struct cdp_target *out, size_t max);
size_t cdp_read_contexts(const struct cdp_message *m, const char **out, size_t max);
size_t cdp_read_processes(const struct cdp_message *m, struct cdp_process *out, size_t max);
/* One of the metrics of a page; -1 when it is not there. */
double cdp_read_metric(const struct cdp_message *m, const char *name);

/* Counts the pages in the answer to cdp_get_targets, apart from those of one
 * browser context (podvisor's own; NULL: count all). */
void cdp_count_pages(const struct cdp_message *m, const char *but_context, int64_t *attached, int64_t *detached);

/* Whether the event Target.targetCreated tells of a page outside that context. */
bool cdp_is_new_page(const struct cdp_message *m, const char *but_context);

/* ---- commands: append one message with its NUL; 0, -ENOSPC or -ENOMEM ---- */

int cdp_get_version(struct buf *out, int64_t id);
int cdp_get_targets(struct buf *out, int64_t id);
/* From now on targetCrashed and the like are told. */
int cdp_discover_targets(struct buf *out, int64_t id);
/* A context of its own, which goes when the pipe does. Answer: browserContextId. */
int cdp_create_context(struct buf *out, int64_t id);
/* A page in the background, so that it is never in front of a client's. Answer: targetId. */
int cdp_create_target(struct buf *out, int64_t id, const char *context, const char *url);
/* Answer: sessionId. */
int cdp_attach(struct buf *out, int64_t id, const char *target);
int cdp_close_target(struct buf *out, int64_t id, const char *target);
int cdp_evaluate(struct buf *out, int64_t id, const char *session, const char *expression);
/* Answered when the navigation is committed; errorText says why it was not. */
int cdp_navigate(struct buf *out, int64_t id, const char *session, const char *url);
/* A picture of one pixel: what draws works. Answer: data. */
int cdp_capture(struct buf *out, int64_t id, const char *session);
/* Answer: browserContextIds, without the default one. */
int cdp_get_contexts(struct buf *out, int64_t id);
/* With all its pages. */
int cdp_dispose_context(struct buf *out, int64_t id, const char *context);
int cdp_detach(struct buf *out, int64_t id, const char *session);
/* Answer: processInfo. */
int cdp_get_processes(struct buf *out, int64_t id);
int cdp_enable_metrics(struct buf *out, int64_t id, const char *session);
int cdp_get_metrics(struct buf *out, int64_t id, const char *session);
int cdp_close_browser(struct buf *out, int64_t id);

/* ---- the HTTP face of DevTools ---- */

/* The document of /json/version. id is the browser's in the WebSocket's address, query
 * is "" or "?token=...". */
int cdp_version_document(
	struct buf *out, const struct cdp_version *v, const char *host, const char *id, const char *query);
/* Whether podvisor keeps a target to itself. */
typedef bool (*cdp_is_hidden)(void *ctx, const char *target_id);
/* The document of /json/list without hidden targets. -EBADMSG: the text is no JSON array. */
int cdp_list_document(struct buf *out, struct span text, cdp_is_hidden is_hidden, void *ctx);
/* Two lists become one: what is in text, which is an array, is put behind what out holds, which is one or nothing. */
int cdp_list_append(struct buf *out, struct span text);
/* Every occurrence of `from` becomes `to`. */
int cdp_replace(struct buf *out, struct span text, const char *from, const char *to);

#endif
