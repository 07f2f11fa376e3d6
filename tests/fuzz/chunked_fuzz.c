/* Any bytes as a chunked body: payload, end and refusal must not depend on how
 * they are cut, and the payload, encoded anew, must come out again. What we
 * accept llhttp accepts too, with the same payload and the same end. */
#include <string.h>

#include "fuzz.h"
#include "oracle.h"
#include "podvisor/base/buf.h"
#include "podvisor/wire/http1_chunked.h"

struct decoded {
	struct buf payload;
	size_t taken; /* up to the end of the body, when done */
	bool done, refused;
};

static struct decoded decode(struct span bytes, size_t step)
{
	struct decoded d = {0};
	struct http1_chunked c = {0};
	buf_init(&d.payload, 1 << 20);
	while (d.taken < bytes.len && !http1_chunked_done(&c)) {
		size_t left = bytes.len - d.taken;
		struct span payload;
		struct span piece = {bytes.at + d.taken, left < step ? left : step};
		ssize_t n = http1_chunked_feed(&c, piece, &payload, NULL);
		d.refused = n < 0;
		if (d.refused)
			break;
		PROMISE(n > 0 && (size_t)n <= piece.len);
		PROMISE(payload.at >= piece.at && payload.at + payload.len <= piece.at + n);
		buf_put(&d.payload, payload.at, payload.len);
		d.taken += (size_t)n;
	}
	d.done = http1_chunked_done(&c);
	return d;
}

static bool same_payload(const struct decoded *a, const struct decoded *b)
{
	return a->payload.len == b->payload.len &&
	       memcmp(buf_str(&a->payload), buf_str(&b->payload), a->payload.len) == 0;
}

/* Copies a body that was accepted without its extensions and trailers, read in the plainest way. */
static void put_bare(struct buf *out, struct span body)
{
	for (size_t size = 1; size;) {
		const char *end = memmem(body.at, body.len, "\r\n", 2);
		size = strtoul(body.at, NULL, 16);
		buf_put(out, body.at, strspn(body.at, "0123456789abcdefABCDEF"));
		buf_put(out, size ? end : "\r\n\r\n", size + 4); /* the data between two CRLF */
		if (!size)
			return;
		body.len -= (size_t)(end - body.at) + size + 4;
		body.at = end + size + 4;
	}
}

/* llhttp refuses some extensions that are none of its business (a second one
 * behind a value without quotes, and what is escaped in quotes), and reads
 * trailers as if they stood in the head (a Content-Length that is no number).
 * Without the two there is no difference at all, and with them none in what it
 * accepts. */
static void check_with_oracle(const struct decoded *d, struct span bytes)
{
	struct buf asked[2];
	for (int with = 0; with < 2; with++) {
		struct buf *b = &asked[with];
		buf_init(b, 1 << 21);
		buf_puts(b, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
		if (with)
			buf_put(b, bytes.at, d->taken);
		else
			put_bare(b, (struct span){bytes.at, d->taken});
		size_t len = b->len;
		buf_puts(b, "more");
		const struct oracle_request *o = oracle_ask((struct span){b->data, b->len});
		PROMISE(o->whole || with);
		if (o->whole)
			PROMISE(o->bytes == len && o->body.len == d->payload.len &&
				memcmp(buf_str(&o->body), buf_str(&d->payload), o->body.len) == 0);
		buf_fini(b);
	}
}

static void check_encoded(const struct decoded *d)
{
	char head[HTTP1_CHUNK_HEAD_BYTES + 1];
	struct buf out;
	buf_init(&out, 1 << 21);
	if (d->payload.len) {
		buf_put(&out, head, http1_chunk_head(head, d->payload.len));
		buf_put(&out, d->payload.data, d->payload.len);
		buf_puts(&out, "\r\n");
	}
	buf_puts(&out, HTTP1_CHUNK_LAST);
	struct decoded again = decode((struct span){out.data, out.len}, out.len);
	PROMISE(again.done && again.taken == out.len && same_payload(d, &again));
	buf_fini(&again.payload);
	buf_fini(&out);
}

/* The first byte is the size of the pieces. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	struct span bytes = {(const char *)data + 1, size - 1};
	struct decoded whole = decode(bytes, bytes.len), pieces = decode(bytes, 1 + data[0] % 32u);
	PROMISE(whole.done == pieces.done && whole.refused == pieces.refused);
	PROMISE(same_payload(&whole, &pieces));
	if (whole.done) {
		PROMISE(whole.taken == pieces.taken);
		check_with_oracle(&whole, bytes);
		check_encoded(&whole);
	}
	buf_fini(&whole.payload);
	buf_fini(&pieces.payload);
	return 0;
}
