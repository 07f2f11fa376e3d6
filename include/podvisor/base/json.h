/* json owns the writing of JSON text: strings that are always valid UTF-8, and
 * a shallow, allocation-free look at text that may or may not be JSON. Reading
 * JSON with a meaning is jansson's. */
#ifndef PODVISOR_BASE_JSON_H
#define PODVISOR_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>

#include "podvisor/base/buf.h"
#include "podvisor/base/span.h"

/* Appends a quoted string (RFC 8259 7). Each byte that is no UTF-8 becomes U+FFFD.
 * 0 or the buffer's failure. */
int json_put_string(struct buf *b, const char *bytes, size_t n);

/* How many bytes from s on stand in a JSON string as they are. Log lines spend
 * their time here. */
size_t json_plain(const char *s, size_t n);

/* Whether text is exactly one JSON object (RFC 8259), nested at most 64 deep.
 * seen, when not NULL, is called for each key of the outermost object; the key
 * is given raw, without its quotes. (json_is_object is a macro of jansson's.) */
bool json_check_object(struct span text, void (*seen)(void *ctx, struct span key), void *ctx);

#endif
