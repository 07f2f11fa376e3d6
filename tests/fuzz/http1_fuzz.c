/* Any bytes as a head: the verdict must not depend on how they are cut, and
 * what was accepted must, written anew, be accepted with the same meaning. */
#include <stdlib.h>
#include <string.h>

#include "podvisor/wire/http1_write.h"

#define CHECK(truth)             \
	do {                     \
		if (!(truth))    \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct http1_limits limits = {.header_bytes = 4096, .headers = 20};

static ssize_t parse(struct http1_head *head, struct span bytes, size_t *scanned, const struct http1_asked *asked)
{
	return asked ? http1_parse_response(head, bytes, scanned, &limits, asked, NULL)
		     : http1_parse_request(head, bytes, scanned, &limits, NULL);
}

static bool same(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static void check_written(const struct http1_head *head, const struct http1_asked *asked)
{
	static const struct http1_limits wide = {.header_bytes = 1 << 16, .headers = HTTP1_HEADERS_MAX};
	static struct http1_head again;
	struct buf out;
	buf_init(&out, 1 << 16);
	CHECK((asked ? http1_write_response(&out, head, NULL, 0, NULL)
		     : http1_write_request(&out, head, NULL, 0, NULL)) == 0);
	struct span bytes = {out.data, out.len};
	ssize_t len = asked ? http1_parse_response(&again, bytes, NULL, &wide, asked, NULL)
			    : http1_parse_request(&again, bytes, NULL, &wide, NULL);
	CHECK(len == (ssize_t)out.len);
	CHECK(same(head->method, again.method) && same(head->target, again.target) && same(head->host, again.host));
	CHECK(head->status == again.status && same(head->reason, again.reason));
	CHECK(head->body == again.body && head->has_length == again.has_length && head->length == again.length);
	CHECK(head->expect_continue == again.expect_continue);
	CHECK((head->upgrade == HTTP1_UPGRADE_WEBSOCKET) == (again.upgrade == HTTP1_UPGRADE_WEBSOCKET));
	buf_fini(&out);
}

/* The first byte chooses what is read and in pieces of which size. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct http1_head whole, pieces;
	if (size == 0)
		return 0;
	struct http1_asked asked = {.head = data[0] & 1, .websocket = data[0] & 2};
	const struct http1_asked *response = data[0] & 4 ? &asked : NULL;
	size_t step = 1 + (data[0] >> 3), scanned = 0;
	struct span bytes = {(const char *)data + 1, size - 1};
	ssize_t rc = parse(&whole, bytes, NULL, response), rc_pieces = 0;
	for (size_t n = 0; rc_pieces == 0; n += step) {
		size_t here = n < bytes.len ? n : bytes.len;
		rc_pieces = parse(&pieces, (struct span){bytes.at, here}, &scanned, response);
		if (here == bytes.len)
			break;
	}
	CHECK(rc == rc_pieces);
	if (rc > 0)
		check_written(&pieces, response);
	return 0;
}
