/* http1 owns the meaning of the head of an HTTP/1.0 or 1.1 message: one
 * accept-list (RFC 9110, RFC 9112), and what does not fit is refused, never
 * repaired, because two parsers that repair differently can be played against
 * each other. Names and values are views of the caller's bytes; nothing is
 * allocated.
 *
 * Refused:
 *  - a line that does not end in CRLF; CR, LF, NUL or another control elsewhere
 *  - an empty line in front; blanks around, or more than two in, the start line
 *  - a version other than HTTP/1.1 and HTTP/1.0; CONNECT
 *  - a target that is not a path, an http(s) URL with a path or without
 *    anything, or OPTIONS' "*"; a '#' or a byte beyond ASCII in it
 *  - a blank before the colon, a line without one, a folded line, a field name
 *    that is no token
 *  - in 1.1 no Host; ever two of them or one that is no host[:port]
 *  - Content-Length repeated, not all digits, or above 2^63-1; a tab in it or in
 *    Transfer-Encoding
 *  - Transfer-Encoding repeated, other than exactly "chunked", beside a
 *    Content-Length, or in 1.0
 *  - a Connection that is no list of tokens, an unknown Expect
 *  - a 101 that was not asked for; a body announced with 1xx or 204 */
#ifndef PODVISOR_WIRE_HTTP1_H
#define PODVISOR_WIRE_HTTP1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "podvisor/base/err.h"
#include "podvisor/base/span.h"

#define HTTP1_HEADERS_MAX 128

enum http1_body {
	HTTP1_BODY_NONE,
	HTTP1_BODY_LENGTH, /* exactly `length` bytes follow, perhaps 0 */
	HTTP1_BODY_CHUNKED, /* see http1_chunked.h */
	HTTP1_BODY_UNTIL_CLOSE /* responses only */
};

enum http1_upgrade {
	HTTP1_UPGRADE_NONE,
	HTTP1_UPGRADE_WEBSOCKET, /* asked for by GET, 1.1, no body, Connection: upgrade; or granted by a 101 */
	HTTP1_UPGRADE_OTHER /* an Upgrade field that is not passed on; the message is served without it */
};

struct http1_header {
	struct span name, value; /* value without blanks at its ends, perhaps empty */
};

/* About 4 KiB: keep one for the loop, not one for each connection. */
struct http1_head {
	struct span method; /* request; case matters */
	struct span target; /* request: path and query ("/a?b"), or "*" */
	struct span host; /* request: of the URL when the target was one, else of Host; "" in 1.0 without it */
	int status; /* response, 100..999 */
	struct span reason; /* response, perhaps empty */
	int minor; /* of HTTP/1.minor */
	enum http1_body body;
	bool has_length; /* Content-Length was there; beside HTTP1_BODY_NONE it describes what GET would give */
	uint64_t length; /* its value, else 0 */
	bool keep_alive; /* the sender will take (request) or send (response) another message */
	bool expect_continue; /* 1.1 with Expect: 100-continue */
	bool nominates; /* Connection names fields beyond close, keep-alive and upgrade */
	enum http1_upgrade upgrade;
	size_t n_headers;
	struct http1_header headers[HTTP1_HEADERS_MAX]; /* all, in their order, those above too */
};

struct http1_limits {
	size_t header_bytes; /* of the whole head, its last CRLF included */
	size_t headers; /* fields, at most HTTP1_HEADERS_MAX */
};

/* What a response answers: its own head does not tell whether a body follows. */
struct http1_asked {
	bool head; /* the method was HEAD */
	bool websocket; /* the request left with HTTP1_UPGRADE_WEBSOCKET */
};

/* Reads one head from the front of bytes. Returns its length (> 0), 0 when it
 * is not complete yet, or a negative errno with a sentence: -EBADMSG does not
 * fit, -EMSGSIZE passes a limit, -ENAMETOOLONG its start line alone does,
 * -EOPNOTSUPP CONNECT. *head is meaningful only after a positive return, and
 * as long as the bytes stay where they are.
 *
 * *scanned (0 before the first byte of a message) remembers how far the search
 * for the end has come, so that a head in many pieces is read only once; the
 * bytes may move between calls. NULL: start over each time. The verdict does
 * not depend on how the bytes were cut. */
ssize_t http1_parse_request(struct http1_head *head, struct span bytes, size_t *scanned,
	const struct http1_limits *limits, struct err *err) MUST_CHECK;
ssize_t http1_parse_response(struct http1_head *head, struct span bytes, size_t *scanned,
	const struct http1_limits *limits, const struct http1_asked *asked, struct err *err) MUST_CHECK;

/* The status to answer a client whose request was refused with this code:
 * 400, 414, 431 or 501. (A refused response is always a 502.) */
int http1_refusal_status(int code);

/* The value of the first field of that name, without regard to case, or NULL. */
const struct span *http1_find(const struct http1_head *head, const char *name);

/* The token of an Authorization field of the scheme Bearer (RFC 6750 2.1); false when it is of another. */
bool http1_bearer(struct span field, struct span *token);

/* A field that concerns this connection alone and must not be passed on
 * (RFC 9110 7.6.1): the well-known ones and those that Connection names. */
bool http1_is_hop_by_hop(const struct http1_head *head, struct span name);

#endif
