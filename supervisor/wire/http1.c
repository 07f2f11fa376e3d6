#include "podvisor/wire/http1.h"

#include <errno.h>
#include <string.h>

#include "podvisor/wire/http1_text.h"

/* What the fields of one head said, until they are all read and can be weighed
 * against each other. */
struct reading {
	struct http1_head *head;
	bool request;
	unsigned hosts, lengths, encodings, upgrades;
	bool close, keep_alive, connection_upgrade; /* named by Connection */
	bool websocket; /* an Upgrade field is "websocket" */
};

static int refuse(struct err *err, const char *why)
{
	return err_set(err, -EBADMSG, "%s", why);
}

static int too_long(struct span head, struct err *err)
{
	if (memchr(head.at, '\n', head.len))
		return err_set(err, -EMSGSIZE, "the head is longer than %zu bytes", head.len);
	return err_set(err, -ENAMETOOLONG, "the start line alone is longer than %zu bytes", head.len);
}

/* The length of the head, its empty line included, 0 when it is not here yet.
 * The only place that sees CR and LF; what follows knows that each line of the
 * head ends in CRLF and has none inside. */
static ssize_t find_end(struct span bytes, size_t *scanned, size_t limit, struct err *err)
{
	size_t end = bytes.len < limit ? bytes.len : limit;
	size_t i = *scanned;
	if (i == 0 && end && !http1_char_is(bytes.at[0], HTTP1_TOKEN))
		return refuse(err, "the message does not begin with a word");
	for (; i < end; i++) {
		unsigned char c = (unsigned char)bytes.at[i];
		if (c > '\r') /* nearly always */
			continue;
		if (c == '\0')
			return refuse(err, "a NUL byte in the head");
		if (c == '\n')
			return refuse(err, "a line that ends in LF without CR");
		if (c != '\r')
			continue;
		if (i + 1 == end)
			break; /* look at this CR again when the byte after it is here */
		if (bytes.at[++i] != '\n')
			return refuse(err, "a CR that ends no line");
		if (bytes.at[i - 2] == '\n')
			return (ssize_t)i + 1;
	}
	*scanned = i;
	return end == limit ? too_long((struct span){bytes.at, limit}, err) : 0;
}

static int take_host(struct reading *r, struct span value, struct err *err)
{
	if (!r->request)
		return 0;
	if (r->hosts++)
		return refuse(err, "a second Host field");
	if (value.len && !http1_is_authority(value))
		return refuse(err, "a Host field that is no host and port");
	if (!r->head->host.at)
		r->head->host = value;
	return 0;
}

static int take_length(struct reading *r, struct span value, struct err *err)
{
	uint64_t length = 0;
	if (r->lengths++)
		return refuse(err, "a repeated Content-Length");
	for (size_t i = 0; i < value.len; i++) {
		if (!http1_is_digit(value.at[i]))
			return refuse(err, "a Content-Length that is not all digits");
		uint64_t digit = (uint64_t)(value.at[i] - '0');
		if (length > (INT64_MAX - digit) / 10)
			return refuse(err, "a Content-Length beyond 2^63-1");
		length = length * 10 + digit;
	}
	if (!value.len)
		return refuse(err, "an empty Content-Length");
	r->head->has_length = true;
	r->head->length = length;
	return 0;
}

static int take_encoding(struct reading *r, struct span value, struct err *err)
{
	if (r->encodings++)
		return refuse(err, "a repeated Transfer-Encoding");
	if (!span_equals(value, "chunked"))
		return refuse(err, "a Transfer-Encoding other than chunked");
	return 0;
}

static int take_connection(struct reading *r, struct span value, struct err *err)
{
	struct span name;
	while (http1_next_element(&value, &name)) {
		if (!name.len)
			continue;
		if (!http1_is_all(name, HTTP1_TOKEN))
			return refuse(err, "a Connection field that is no list of names");
		if (span_equals_nocase(name, "close"))
			r->close = true;
		else if (span_equals_nocase(name, "keep-alive"))
			r->keep_alive = true;
		else if (span_equals_nocase(name, "upgrade"))
			r->connection_upgrade = true;
		else
			r->head->nominates = true;
	}
	return 0;
}

static int take_upgrade(struct reading *r, struct span value, struct err *err)
{
	(void)err;
	r->upgrades++;
	r->websocket = span_equals_nocase(value, "websocket");
	return 0;
}

static int take_expect(struct reading *r, struct span value, struct err *err)
{
	if (!r->request || r->head->minor == 0) /* RFC 9110 10.1.1: 1.0 does not know it */
		return 0;
	if (!span_equals_nocase(value, "100-continue"))
		return refuse(err, "an Expect other than 100-continue");
	r->head->expect_continue = true;
	return 0;
}

#define NAME(literal)                          \
	{                                      \
		(literal), sizeof(literal) - 1 \
	}

/* Each field that means something to a proxy. */
static const struct known {
	struct span name;
	bool hop_by_hop; /* RFC 9110 7.6.1, 11.7 (we are the proxy), RFC 7540 3.2.1 */
	bool frames; /* tells where the body ends */
	int (*take)(struct reading *r, struct span value, struct err *err);
} known_fields[] = {
	{NAME("Host"), false, false, take_host},
	{NAME("Content-Length"), false, true, take_length},
	{NAME("Transfer-Encoding"), true, true, take_encoding},
	{NAME("Connection"), true, false, take_connection},
	{NAME("Upgrade"), true, false, take_upgrade},
	{NAME("Expect"), false, false, take_expect},
	{NAME("Keep-Alive"), true, false, NULL},
	{NAME("Proxy-Connection"), true, false, NULL},
	{NAME("TE"), true, false, NULL},
	{NAME("Trailer"), true, false, NULL},
	{NAME("Proxy-Authenticate"), true, false, NULL},
	{NAME("Proxy-Authorization"), true, false, NULL},
	{NAME("HTTP2-Settings"), true, false, NULL},
};

static const struct known *known_field(struct span name)
{
	for (size_t i = 0; i < sizeof(known_fields) / sizeof(known_fields[0]); i++)
		if (http1_same_name(name, known_fields[i].name))
			return &known_fields[i];
	return NULL;
}

/* field-name ":" OWS field-value OWS, RFC 9112 5; the value still with what is around it. */
static int read_field(struct span line, struct http1_header *field, struct err *err)
{
	if (line.at[0] == ' ' || line.at[0] == '\t')
		return refuse(err, "a folded field line");
	if (!http1_cut(&line, ':', &field->name))
		return refuse(err, "a field line without a colon");
	if (!http1_is_all(field->name, HTTP1_TOKEN)) {
		char last = field->name.len ? field->name.at[field->name.len - 1] : ':';
		return refuse(err, last == ' ' || last == '\t' ? "a blank before the colon of a field"
							       : "a field name that is no token");
	}
	field->value = line;
	if (http1_run(line, HTTP1_VALUE) != line.len)
		return err_set(err, -EBADMSG, "a control character in the field %.*s",
			(int)(field->name.len < 64 ? field->name.len : 64), field->name.at);
	return 0;
}

/* A tab around a value is lawful, but some servers (nginx, llhttp) take it for a part of the value and so find another
 * end of the body, or none. */
static int take_field(struct reading *r, struct http1_header *field, struct err *err)
{
	const struct known *known = known_field(field->name);
	if (known && known->frames && memchr(field->value.at, '\t', field->value.len))
		return err_set(err, -EBADMSG, "a tab in the field %s", known->name.at);
	field->value = span_trim(field->value);
	return known && known->take ? known->take(r, field->value, err) : 0;
}

static int read_fields(struct reading *r, struct span rest, size_t limit, struct err *err)
{
	struct http1_head *head = r->head;
	if (limit > HTTP1_HEADERS_MAX)
		limit = HTTP1_HEADERS_MAX;
	for (struct span line = http1_next_line(&rest); line.len; line = http1_next_line(&rest)) {
		if (head->n_headers == limit)
			return err_set(err, -EMSGSIZE, "more than %zu field%s", limit, limit == 1 ? "" : "s");
		struct http1_header *field = &head->headers[head->n_headers];
		int rc = read_field(line, field, err);
		if (rc < 0)
			return rc;
		head->n_headers++;
		rc = take_field(r, field, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int read_version(struct span version, struct http1_head *head, struct err *err)
{
	if (!span_equals(version, "HTTP/1.1") && !span_equals(version, "HTTP/1.0"))
		return refuse(err, "a version other than HTTP/1.1 and HTTP/1.0");
	head->minor = version.at[7] - '0';
	return 0;
}

/* RFC 9112 3.2.2: the host of a URL wins over the Host field. */
static int read_url(struct span rest, struct http1_head *head, struct err *err)
{
	size_t n = 0;
	while (n < rest.len && rest.at[n] != '/' && rest.at[n] != '?')
		n++;
	head->host = (struct span){rest.at, n};
	if (!http1_is_authority(head->host))
		return refuse(err, "a target URL whose host is no host and port");
	head->target = http1_skip(rest, n);
	if (!head->target.len)
		head->target = span_equals(head->method, "OPTIONS") ? SPAN("*") : SPAN("/");
	return head->target.at[0] == '?' ? refuse(err, "a target URL without a path before its query") : 0;
}

static int read_target(struct span target, struct http1_head *head, struct err *err)
{
	if (span_equals(head->method, "CONNECT"))
		return err_set(err, -EOPNOTSUPP, "CONNECT is not served here");
	if (!http1_is_all(target, HTTP1_TARGET))
		return refuse(err, "a target that is empty or has a forbidden character");
	head->target = target;
	if (target.at[0] == '/' || (span_equals(target, "*") && span_equals(head->method, "OPTIONS")))
		return 0;
	static const struct span schemes[] = {NAME("http://"), NAME("https://")};
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
		if (target.len > schemes[i].len &&
			http1_same_name((struct span){target.at, schemes[i].len}, schemes[i]))
			return read_url(http1_skip(target, schemes[i].len), head, err);
	return refuse(err, "a target that is neither a path nor an http URL");
}

/* method SP target SP version, RFC 9112 3. */
static int read_request_line(struct span line, struct http1_head *head, struct err *err)
{
	struct span target;
	if (!http1_cut(&line, ' ', &head->method) || !http1_cut(&line, ' ', &target))
		return refuse(err, "a request line that is not method, target and version");
	if (!http1_is_all(head->method, HTTP1_TOKEN))
		return refuse(err, "a method that is no token");
	int rc = read_version(line, head, err);
	return rc < 0 ? rc : read_target(target, head, err);
}

/* version SP status [SP reason], RFC 9112 4. The second blank is asked for even
 * before an empty reason, but many servers forget it, and nothing hangs on it. */
static int read_status_line(struct span line, struct http1_head *head, struct err *err)
{
	struct span version, status = line;
	if (!http1_cut(&status, ' ', &version))
		return refuse(err, "a status line that is not version, status and reason");
	int rc = read_version(version, head, err);
	if (rc < 0)
		return rc;
	size_t digits = 0;
	for (; digits < status.len && http1_is_digit(status.at[digits]); digits++)
		head->status = digits < 3 ? head->status * 10 + (status.at[digits] - '0') : 0;
	if (digits != 3 || head->status < 100)
		return refuse(err, "a status that is not three digits from 100 on");
	head->reason = http1_skip(status, 3);
	if (head->reason.len && head->reason.at[0] != ' ')
		return refuse(err, "a status that is not followed by a blank");
	if (head->reason.len)
		head->reason = http1_skip(head->reason, 1);
	if (http1_run(head->reason, HTTP1_VALUE) != head->reason.len)
		return refuse(err, "a control character in the reason");
	return 0;
}

/* RFC 9112 6.3, as far as requests and responses agree. */
static int settle_framing(const struct reading *r, struct err *err)
{
	struct http1_head *head = r->head;
	if (r->encodings && r->lengths)
		return refuse(err, "both Transfer-Encoding and Content-Length");
	if (r->encodings && head->minor == 0)
		return refuse(err, "a Transfer-Encoding in HTTP/1.0");
	if (r->encodings)
		head->body = HTTP1_BODY_CHUNKED;
	else if (r->lengths)
		head->body = HTTP1_BODY_LENGTH;
	head->keep_alive = !r->close && (head->minor == 1 || r->keep_alive);
	head->upgrade = r->upgrades ? HTTP1_UPGRADE_OTHER : HTTP1_UPGRADE_NONE;
	return 0;
}

static bool is_websocket(const struct reading *r)
{
	const struct http1_head *head = r->head;
	return r->upgrades == 1 && r->websocket && r->connection_upgrade && head->minor == 1 &&
	       head->body != HTTP1_BODY_CHUNKED && head->length == 0;
}

static int settle_request(const struct reading *r, struct err *err)
{
	struct http1_head *head = r->head;
	if (head->minor == 1 && !r->hosts)
		return refuse(err, "no Host field");
	if (!head->host.at)
		head->host = SPAN("");
	int rc = settle_framing(r, err);
	if (rc < 0)
		return rc;
	if (is_websocket(r) && span_equals(head->method, "GET"))
		head->upgrade = HTTP1_UPGRADE_WEBSOCKET;
	return 0;
}

/* A 101 ends HTTP on the connection: it must be what was asked for, exactly. */
static int settle_switch(const struct reading *r, const struct http1_asked *asked, struct err *err)
{
	if (!asked->websocket)
		return refuse(err, "a 101 that nobody asked for");
	if (!is_websocket(r))
		return refuse(err, "a 101 that does not upgrade to websocket");
	r->head->upgrade = HTTP1_UPGRADE_WEBSOCKET;
	r->head->keep_alive = false;
	return 0;
}

static int settle_response(const struct reading *r, const struct http1_asked *asked, struct err *err)
{
	struct http1_head *head = r->head;
	int rc = settle_framing(r, err);
	if (rc < 0)
		return rc;
	bool bare = head->status < 200 || head->status == 204; /* RFC 9112 6.1, RFC 9110 8.6 */
	if (bare && (head->body == HTTP1_BODY_CHUNKED || head->length))
		return err_set(err, -EBADMSG, "a body announced with a %d", head->status);
	if (bare || head->status == 304 || asked->head)
		head->body = HTTP1_BODY_NONE;
	else if (head->body == HTTP1_BODY_NONE)
		head->body = HTTP1_BODY_UNTIL_CLOSE;
	if (bare)
		head->has_length = false;
	if (head->body == HTTP1_BODY_UNTIL_CLOSE)
		head->keep_alive = false;
	return head->status == 101 ? settle_switch(r, asked, err) : 0;
}

static void forget(struct http1_head *head)
{
	memset(head, 0, offsetof(struct http1_head, headers)); /* not the 4 KiB behind */
}

static ssize_t whole_head(struct span bytes, size_t *scanned, const struct http1_limits *limits, struct err *err)
{
	size_t none = 0;
	return find_end(bytes, scanned ? scanned : &none, limits->header_bytes, err);
}

ssize_t http1_parse_request(
	struct http1_head *head, struct span bytes, size_t *scanned, const struct http1_limits *limits, struct err *err)
{
	ssize_t len = whole_head(bytes, scanned, limits, err);
	if (len <= 0)
		return len;
	struct reading r = {.head = head, .request = true};
	struct span rest = {bytes.at, (size_t)len};
	forget(head);
	int rc = read_request_line(http1_next_line(&rest), head, err);
	if (rc == 0)
		rc = read_fields(&r, rest, limits->headers, err);
	if (rc == 0)
		rc = settle_request(&r, err);
	return rc < 0 ? rc : len;
}

ssize_t http1_parse_response(struct http1_head *head, struct span bytes, size_t *scanned,
	const struct http1_limits *limits, const struct http1_asked *asked, struct err *err)
{
	ssize_t len = whole_head(bytes, scanned, limits, err);
	if (len <= 0)
		return len;
	struct reading r = {.head = head};
	struct span rest = {bytes.at, (size_t)len};
	forget(head);
	int rc = read_status_line(http1_next_line(&rest), head, err);
	if (rc == 0)
		rc = read_fields(&r, rest, limits->headers, err);
	if (rc == 0)
		rc = settle_response(&r, asked, err);
	return rc < 0 ? rc : len;
}

int http1_refusal_status(int code)
{
	switch (code) {
	case -EMSGSIZE:
		return 431;
	case -ENAMETOOLONG:
		return 414;
	case -EOPNOTSUPP:
		return 501;
	default:
		return 400;
	}
}

const struct span *http1_find(const struct http1_head *head, const char *name)
{
	struct span wanted = span_of(name);
	for (size_t i = 0; i < head->n_headers; i++)
		if (http1_same_name(head->headers[i].name, wanted))
			return &head->headers[i].value;
	return NULL;
}

static bool is_nominated(const struct http1_head *head, struct span name)
{
	for (size_t i = 0; i < head->n_headers; i++) {
		struct span element, rest = head->headers[i].value;
		if (!span_equals_nocase(head->headers[i].name, "Connection"))
			continue;
		while (http1_next_element(&rest, &element))
			if (http1_same_name(element, name))
				return true;
	}
	return false;
}

bool http1_bearer(struct span field, struct span *token)
{
	struct span scheme;
	if (!http1_cut(&field, ' ', &scheme) || !span_equals_nocase(scheme, "Bearer"))
		return false;
	*token = span_trim(field);
	return true;
}

bool http1_is_hop_by_hop(const struct http1_head *head, struct span name)
{
	const struct known *known = known_field(name);
	return (known && known->hop_by_hop) || (head->nominates && is_nominated(head, name));
}
