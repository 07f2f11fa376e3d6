/* http1_write owns how a message is written: a clean head made anew from the
 * parsed form, so that no byte of a received head is passed through unread. */
#ifndef PODVISOR_WIRE_HTTP1_WRITE_H
#define PODVISOR_WIRE_HTTP1_WRITE_H

#include "podvisor/base/buf.h"
#include "podvisor/wire/http1.h"

/* Append the head as HTTP/1.1. The caller may change the head's parsed parts
 * first (target, host, status, body, length, upgrade ...): they, not the
 * fields, become the start line, Host, Content-Length, Transfer-Encoding,
 * Expect, and for a WebSocket Connection and Upgrade. Hop-by-hop fields are
 * dropped, all others follow in their order.
 *
 * Each of `set` takes the place of every field of its name; a value whose `at`
 * is NULL only removes. Connection and Upgrade may be set ("Connection: close"
 * is the caller's to add, above all with HTTP1_BODY_UNTIL_CLOSE).
 *
 * Return 0, -ENOSPC or -ENOMEM (of out), or -EINVAL with a sentence when `set`
 * holds a name or value that no head may contain, or a field made from the
 * head's parts. On failure out holds what it held before. */
int http1_write_request(struct buf *out, const struct http1_head *head, const struct http1_header *set, size_t n_set,
	struct err *err) MUST_CHECK;
int http1_write_response(struct buf *out, const struct http1_head *head, const struct http1_header *set, size_t n_set,
	struct err *err) MUST_CHECK;

/* The reason phrase of RFC 9110 15; "Unknown" for a status that podvisor gives nowhere. */
const char *http1_reason(int status);

#endif
