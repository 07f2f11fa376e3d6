/* buf owns a growing byte buffer that is born with a cap. Exceeding the cap,
 * like running out of memory, is an error that the caller sees; the bytes that
 * were there stay there. */
#ifndef PODVISOR_BASE_BUF_H
#define PODVISOR_BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>

#include "podvisor/base/err.h"

struct buf {
	char *data; /* NULL while empty; always NUL-terminated when not NULL */
	size_t len; /* bytes in use, without the NUL */
	size_t cap; /* bytes allocated */
	size_t max; /* len never exceeds it */
	int failed; /* sticky: 0, -ENOSPC (cap) or -ENOMEM; makes a run of puts checkable once */
};

/* An empty buffer that may hold up to max bytes. Allocates nothing. */
void buf_init(struct buf *b, size_t max);
/* Frees the bytes; the buffer may be used again with the same cap. */
void buf_fini(struct buf *b);
/* Forgets the bytes and the failure, keeps the memory. */
void buf_clear(struct buf *b);

/* Append. Return 0, -ENOSPC or -ENOMEM; on failure nothing is appended and
 * b->failed is set, after which every append fails until buf_clear. */
int buf_put(struct buf *b, const void *bytes, size_t n);
int buf_puts(struct buf *b, const char *s);
int buf_putc(struct buf *b, char c);
int buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Room for n more bytes at data + len; the caller then adds to len itself.
 * NULL when that would pass the cap or memory is out. */
char *buf_reserve(struct buf *b, size_t n);
/* Drops the first n bytes (n <= len). Moves the rest: call it once a batch. */
void buf_consume(struct buf *b, size_t n);
/* The bytes as a C string, "" when empty. Borrowed. */
const char *buf_str(const struct buf *b);
/* Hands the NUL-terminated bytes to the caller, who frees them; the buffer is
 * then empty. NULL when failed or when an empty string cannot be allocated. */
char *buf_take(struct buf *b);

#endif
