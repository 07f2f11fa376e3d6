#include "podvisor/wire/http1_write.h"

#include <errno.h>
#include <string.h>

#include "podvisor/wire/http1_text.h"

/* Made from the head's parts: never copied from a field, never taken from `set`. */
static const struct span made_anew[] = {{"Host", 4}, {"Content-Length", 14}, {"Transfer-Encoding", 17}, {"Expect", 6}};

static bool is_made_anew(struct span name)
{
	for (size_t i = 0; i < sizeof(made_anew) / sizeof(made_anew[0]); i++)
		if (http1_same_name(name, made_anew[i]))
			return true;
	return false;
}

static int check_set(const struct http1_header *set, size_t n, struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		if (!http1_is_all(set[i].name, HTTP1_TOKEN))
			return err_set(err, -EINVAL, "a field to be set has a name that is no token");
		if (is_made_anew(set[i].name))
			return err_set(err, -EINVAL, "%.*s is written from the head, not set", (int)set[i].name.len,
				set[i].name.at);
		if (set[i].value.at && http1_run(set[i].value, HTTP1_VALUE) != set[i].value.len)
			return err_set(err, -EINVAL, "the field %.*s to be set has a control character",
				(int)set[i].name.len, set[i].name.at);
	}
	return 0;
}

static bool names(const struct http1_header *set, size_t n, struct span name)
{
	for (size_t i = 0; i < n; i++)
		if (http1_same_name(set[i].name, name))
			return true;
	return false;
}

static char *append(char *at, struct span s)
{
	return s.len ? (char *)mempcpy(at, s.at, s.len) : at;
}

static void put_field(struct buf *out, struct span name, struct span value)
{
	char *at = buf_reserve(out, name.len + value.len + 4);
	if (!at)
		return;
	at = append(append(append(append(at, name), SPAN(": ")), value), SPAN("\r\n"));
	*at = '\0';
	out->len += name.len + value.len + 4;
}

static void put_framing(struct buf *out, const struct http1_head *head)
{
	if (head->body == HTTP1_BODY_CHUNKED)
		put_field(out, SPAN("Transfer-Encoding"), SPAN("chunked"));
	else if (head->body == HTTP1_BODY_LENGTH || (head->body == HTTP1_BODY_NONE && head->has_length))
		buf_printf(out, "Content-Length: %llu\r\n", (unsigned long long)head->length);
}

static void put_upgrade(struct buf *out, const struct http1_header *set, size_t n)
{
	if (!names(set, n, SPAN("Connection")))
		put_field(out, SPAN("Connection"), SPAN("upgrade"));
	if (!names(set, n, SPAN("Upgrade")))
		put_field(out, SPAN("Upgrade"), SPAN("websocket"));
}

/* All behind the start line and the parts that only requests have. */
static void put_fields(struct buf *out, const struct http1_head *head, const struct http1_header *set, size_t n)
{
	for (size_t i = 0; i < head->n_headers; i++) {
		struct span name = head->headers[i].name;
		if (!is_made_anew(name) && !names(set, n, name) && !http1_is_hop_by_hop(head, name))
			put_field(out, name, head->headers[i].value);
	}
	for (size_t i = 0; i < n; i++)
		if (set[i].value.at)
			put_field(out, set[i].name, set[i].value);
	if (head->upgrade == HTTP1_UPGRADE_WEBSOCKET)
		put_upgrade(out, set, n);
	put_framing(out, head);
	buf_puts(out, "\r\n");
}

/* Nothing or the whole head: half of one must never reach a socket. */
static int conclude(struct buf *out, size_t before, struct err *err)
{
	if (!out->failed)
		return 0;
	out->len = before;
	if (out->data)
		out->data[before] = '\0';
	return err_set(err, out->failed, "no room for a head");
}

int http1_write_request(
	struct buf *out, const struct http1_head *head, const struct http1_header *set, size_t n_set, struct err *err)
{
	size_t before = out->len;
	int rc = check_set(set, n_set, err);
	if (rc < 0)
		return rc;
	buf_put(out, head->method.at, head->method.len);
	buf_putc(out, ' ');
	buf_put(out, head->target.at, head->target.len);
	buf_puts(out, " HTTP/1.1\r\n");
	put_field(out, SPAN("Host"), head->host);
	if (head->expect_continue)
		put_field(out, SPAN("Expect"), SPAN("100-continue"));
	put_fields(out, head, set, n_set);
	return conclude(out, before, err);
}

int http1_write_response(
	struct buf *out, const struct http1_head *head, const struct http1_header *set, size_t n_set, struct err *err)
{
	size_t before = out->len;
	int rc = check_set(set, n_set, err);
	if (rc < 0)
		return rc;
	buf_printf(out, "HTTP/1.1 %03d ", head->status);
	buf_put(out, head->reason.at, head->reason.len);
	buf_puts(out, "\r\n");
	put_fields(out, head, set, n_set);
	return conclude(out, before, err);
}

const char *http1_reason(int status)
{
	static const struct {
		int status;
		const char *reason;
	} reasons[] = {
		{200, "OK"},
		{202, "Accepted"},
		{400, "Bad Request"},
		{401, "Unauthorized"},
		{403, "Forbidden"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{408, "Request Timeout"},
		{409, "Conflict"},
		{413, "Content Too Large"},
		{414, "URI Too Long"},
		{422, "Unprocessable Content"},
		{426, "Upgrade Required"},
		{431, "Request Header Fields Too Large"},
		{500, "Internal Server Error"},
		{501, "Not Implemented"},
		{502, "Bad Gateway"},
		{503, "Service Unavailable"},
		{504, "Gateway Timeout"},
	};
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "Unknown";
}
