/* The verdict on a head does not depend on how its bytes were cut, and every view lies within them. */
#include "fuzz.h"

#include <string.h>

#include "podvisor/wire/http1.h"

static const struct http1_limits limits = {.header_bytes = 4096, .headers = 32};

static void check_view(struct span view, struct span bytes)
{
	if (view.len)
		PROMISE(view.at >= bytes.at && view.at + view.len <= bytes.at + bytes.len);
}

static void check_head(const struct http1_head *head, ssize_t length, struct span bytes)
{
	PROMISE((size_t)length <= bytes.len && (size_t)length <= limits.header_bytes);
	PROMISE(memcmp(bytes.at + length - 4, "\r\n\r\n", 4) == 0);
	check_view(head->target, bytes);
	check_view(head->host, bytes);
	PROMISE(head->n_headers <= limits.headers);
	for (size_t i = 0; i < head->n_headers; i++) {
		check_view(head->headers[i].name, bytes);
		check_view(head->headers[i].value, bytes);
		PROMISE(head->headers[i].name.len > 0);
		PROMISE(!memchr(head->headers[i].value.at, '\n', head->headers[i].value.len));
	}
}

static ssize_t parse(struct http1_head *head, struct span bytes, size_t *scanned, bool response)
{
	const struct http1_asked asked = {.websocket = true};
	struct err err = {0};
	ssize_t length = response ? http1_parse_response(head, bytes, scanned, &limits, &asked, &err)
				  : http1_parse_request(head, bytes, scanned, &limits, &err);
	PROMISE(length >= 0 || err.text[0]);
	return length;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct http1_head head;
	for (int response = 0; response < 2; response++) {
		struct span all = {(const char *)data, size};
		ssize_t whole = parse(&head, all, NULL, response);
		if (whole > 0)
			check_head(&head, whole, all);
		size_t scanned = 0;
		ssize_t pieces = 0;
		for (size_t have = 0; have <= size && pieces == 0; have++)
			pieces = parse(&head, (struct span){all.at, have}, &scanned, response);
		PROMISE(pieces == whole || (pieces < 0 && whole < 0));
	}
	return 0;
}
