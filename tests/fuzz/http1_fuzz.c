/* Any bytes as a head: the verdict must not depend on how they are cut, and
 * what was accepted must, written anew, be accepted with the same meaning. A
 * request that we accept llhttp accepts too, and understands as we do, before
 * and after it is written anew. */
#include <string.h>

#include "fuzz.h"
#include "oracle.h"
#include "podvisor/wire/http1_text.h"
#include "podvisor/wire/http1_write.h"

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

/* ---- the second opinion ---- */

/* Known and wanted differences:
 *  - llhttp has a list of methods: another one is replaced by GET for it;
 *  - a value's blanks at its end belong to it for llhttp;
 *  - a URL stands in its target, while our target is the path;
 *  - Proxy-Connection decides for it whether the connection is kept, so that is not compared. */
static void check_with_oracle(const struct http1_head *head, struct span bytes, bool written)
{
	struct buf asked;
	bool known = oracle_knows_method(head->method);
	buf_init(&asked, 1 << 17);
	buf_puts(&asked, known ? "" : "GET");
	size_t skip = known ? 0 : head->method.len;
	buf_put(&asked, bytes.at + skip, bytes.len - skip);
	const struct oracle_request *o = oracle_ask((struct span){asked.data, asked.len});
	PROMISE(o->head && o->head_bytes == asked.len);
	PROMISE(!known || same(o->method, head->method));
	PROMISE(o->minor == (written ? 1 : head->minor));
	PROMISE(o->chunked == (head->body == HTTP1_BODY_CHUNKED));
	PROMISE(o->has_length == head->has_length && (!o->has_length || o->length == head->length));
	if (head->body == HTTP1_BODY_NONE || (head->body == HTTP1_BODY_LENGTH && head->length == 0))
		PROMISE(o->whole && o->bytes == o->head_bytes && o->body.len == 0);
	else
		PROMISE(!o->whole && !o->why);
	if (o->target.at[0] == '/' || o->target.at[0] == '*')
		PROMISE(same(o->target, head->target));
	else
		PROMISE(!written && memmem(o->target.at, o->target.len, head->host.at, head->host.len));
	PROMISE(written || o->n_fields == head->n_headers);
	for (size_t i = 0; i < o->n_fields; i++) {
		struct span value = span_trim(o->fields[i].value);
		if (written && span_equals_nocase(o->fields[i].name, "Host"))
			PROMISE(i == 0 && same(value, head->host));
		if (!written)
			PROMISE(same(o->fields[i].name, head->headers[i].name) && same(value, head->headers[i].value));
	}
	buf_fini(&asked);
}

/* ---- written anew ---- */

static void check_written(const struct http1_head *head, const struct http1_asked *asked)
{
	static const struct http1_limits wide = {.header_bytes = 1 << 16, .headers = HTTP1_HEADERS_MAX};
	static struct http1_head again;
	struct buf out;
	buf_init(&out, 1 << 16);
	PROMISE((asked ? http1_write_response(&out, head, NULL, 0, NULL)
		       : http1_write_request(&out, head, NULL, 0, NULL)) == 0);
	struct span bytes = {out.data, out.len};
	ssize_t len = asked ? http1_parse_response(&again, bytes, NULL, &wide, asked, NULL)
			    : http1_parse_request(&again, bytes, NULL, &wide, NULL);
	PROMISE(len == (ssize_t)out.len);
	PROMISE(same(head->method, again.method) && same(head->target, again.target) && same(head->host, again.host));
	PROMISE(head->status == again.status && same(head->reason, again.reason));
	PROMISE(head->body == again.body && head->has_length == again.has_length && head->length == again.length);
	PROMISE(head->expect_continue == again.expect_continue);
	PROMISE((head->upgrade == HTTP1_UPGRADE_WEBSOCKET) == (again.upgrade == HTTP1_UPGRADE_WEBSOCKET));
	if (!asked)
		check_with_oracle(head, bytes, true);
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
	PROMISE(rc == rc_pieces);
	if (rc > 0 && !response)
		check_with_oracle(&whole, (struct span){bytes.at, (size_t)rc}, false);
	if (rc > 0)
		check_written(&pieces, response);
	return 0;
}
