#include "podvisor/base/buf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){.max = max};
}

void buf_fini(struct buf *b)
{
	free(b->data);
	*b = (struct buf){.max = b->max};
}

void buf_clear(struct buf *b)
{
	b->len = 0;
	b->failed = 0;
	if (b->data)
		b->data[0] = '\0';
}

char *buf_reserve(struct buf *b, size_t n)
{
	if (b->failed)
		return NULL;
	if (n > b->max - b->len) {
		b->failed = -ENOSPC;
		return NULL;
	}
	size_t need = b->len + n + 1;
	if (need > b->cap) {
		size_t cap = b->cap ? b->cap : 64;
		while (cap < need)
			cap *= 2;
		if (cap > b->max + 1)
			cap = b->max + 1;
		char *data = realloc(b->data, cap);
		if (!data) {
			b->failed = -ENOMEM;
			return NULL;
		}
		b->data = data;
		b->cap = cap;
	}
	b->data[b->len] = '\0';
	return b->data + b->len;
}

int buf_put(struct buf *b, const void *bytes, size_t n)
{
	char *at = buf_reserve(b, n);
	if (!at)
		return b->failed;
	if (n)
		memcpy(at, bytes, n);
	at[n] = '\0';
	b->len += n;
	return 0;
}

int buf_puts(struct buf *b, const char *s)
{
	return buf_put(b, s, strlen(s));
}

int buf_putc(struct buf *b, char c)
{
	return buf_put(b, &c, 1);
}

int buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	va_list again;
	va_copy(again, args);
	int n = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	char *at = n < 0 ? NULL : buf_reserve(b, (size_t)n);
	if (at) {
		vsnprintf(at, (size_t)n + 1, fmt, again);
		b->len += (size_t)n;
	}
	va_end(again);
	return at ? 0 : b->failed;
}

void buf_consume(struct buf *b, size_t n)
{
	if (n == 0)
		return;
	memmove(b->data, b->data + n, b->len - n);
	b->len -= n;
	b->data[b->len] = '\0';
}

const char *buf_str(const struct buf *b)
{
	return b->data && b->len ? b->data : "";
}

char *buf_take(struct buf *b)
{
	char *data = b->failed ? NULL : b->data;
	if (!b->failed && !data)
		return calloc(1, 1);
	if (!data)
		return NULL;
	*b = (struct buf){.max = b->max};
	return data;
}
