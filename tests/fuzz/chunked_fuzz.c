/* Any bytes as a chunked body: payload, end and refusal must not depend on how
 * they are cut, and the payload, encoded anew, must come out again. */
#include <stdlib.h>
#include <string.h>

#include "podvisor/base/buf.h"
#include "podvisor/wire/http1_chunked.h"

#define CHECK(truth)             \
	do {                     \
		if (!(truth))    \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
		CHECK(n > 0 && (size_t)n <= piece.len);
		CHECK(payload.at >= piece.at && payload.at + payload.len <= piece.at + n);
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
	CHECK(again.done && again.taken == out.len && same_payload(d, &again));
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
	CHECK(whole.done == pieces.done && whole.refused == pieces.refused);
	CHECK(same_payload(&whole, &pieces));
	if (whole.done) {
		CHECK(whole.taken == pieces.taken);
		check_encoded(&whole);
	}
	buf_fini(&whole.payload);
	buf_fini(&pieces.payload);
	return 0;
}
