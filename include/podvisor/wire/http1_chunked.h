/* http1_chunked owns the chunked transfer coding (RFC 9112 7.1): where the
 * payload lies in a stream of bytes, and where the body ends. As strict as the
 * head's parser: CRLF alone ends a line, a size is 1 to 16 hexadecimal digits
 * up to 2^63-1, extensions are names with perhaps values, without blanks, at most
 * 256 bytes a chunk, trailers are checked, at most 8 KiB; both are dropped. It can stop and go on at every byte. */
#ifndef PODVISOR_WIRE_HTTP1_CHUNKED_H
#define PODVISOR_WIRE_HTTP1_CHUNKED_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "podvisor/base/err.h"
#include "podvisor/base/span.h"

#define HTTP1_CHUNK_EXTENSION_BYTES 256
#define HTTP1_TRAILER_BYTES         8192
#define HTTP1_CHUNK_HEAD_BYTES      18 /* 16 digits and CRLF */
#define HTTP1_CHUNK_LAST            "0\r\n\r\n"

/* All zero is the state before the first byte. */
struct http1_chunked {
	uint64_t left; /* payload bytes of this chunk still to come */
	uint32_t state; /* http1_chunked.c */
	uint32_t used; /* digits, extension bytes or trailer bytes so far */
};

/* Reads framing up to and with the next piece of payload. Returns how many
 * bytes that took and sets *payload to the piece, a view of bytes, perhaps
 * empty. Takes at least one byte unless there is none or the body has ended;
 * bytes after the end are left alone. -EBADMSG with a sentence when the coding
 * is broken, and so ever after. */
ssize_t http1_chunked_feed(
	struct http1_chunked *c, struct span bytes, struct span *payload, struct err *err) MUST_CHECK;

/* The last chunk, the trailers and the empty line have passed. */
bool http1_chunked_done(const struct http1_chunked *c);

/* Writes the line in front of a chunk of `bytes` (> 0) payload bytes; behind
 * them goes CRLF, and behind all chunks HTTP1_CHUNK_LAST. Returns the line's length. */
size_t http1_chunk_head(char out[HTTP1_CHUNK_HEAD_BYTES + 1], uint64_t bytes);

#endif
