#include "podvisor/wire/http1.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "podvisor/base/buf.h"
#include "podvisor/wire/http1_write.h"

static const struct http1_limits limits = {.header_bytes = 16384, .headers = 100};
static const struct http1_asked get = {0}, head_method = {.head = true}, websocket = {.websocket = true};

/* One parse: of a request when asked is NULL, else of a response. */
struct verdict {
	ssize_t rc;
	struct err err;
	struct http1_head head;
	char *bytes; /* what head views */
};

static ssize_t parse(struct verdict *v, struct span bytes, size_t *scanned, const struct http1_limits *l,
	const struct http1_asked *asked)
{
	if (asked)
		return http1_parse_response(&v->head, bytes, scanned, l, asked, &v->err);
	return http1_parse_request(&v->head, bytes, scanned, l, &v->err);
}

/* In a copy of exactly that size, so that a sanitizer sees a byte read too far. */
static char *copy_of(const char *text, size_t len)
{
	char *copy = malloc(len ? len : 1);
	assert_non_null(copy);
	memcpy(copy, text, len);
	return copy;
}

static struct verdict *in_one_piece(
	const char *text, size_t len, const struct http1_limits *l, const struct http1_asked *asked)
{
	struct verdict *v = calloc(1, sizeof(*v));
	assert_non_null(v);
	v->bytes = copy_of(text, len);
	v->rc = parse(v, (struct span){v->bytes, len}, NULL, l, asked);
	return v;
}

/* The bytes arrive one at a time, and lie elsewhere each time. */
static struct verdict *byte_by_byte(
	const char *text, size_t len, const struct http1_limits *l, const struct http1_asked *asked)
{
	struct verdict *v = calloc(1, sizeof(*v));
	assert_non_null(v);
	size_t scanned = 0;
	for (size_t n = 0; n <= len && v->rc == 0; n++) {
		free(v->bytes);
		v->bytes = copy_of(text, n);
		v->rc = parse(v, (struct span){v->bytes, n}, &scanned, l, asked);
	}
	return v;
}

static void drop(struct verdict *v)
{
	free(v->bytes);
	free(v);
}

static void assert_span(struct span a, const char *s)
{
	if (!span_equals(a, s))
		fail_msg("\"%.*s\" is not \"%s\"", (int)a.len, a.at, s);
}

static void assert_same_span(struct span a, struct span b)
{
	assert_int_equal(a.len, b.len);
	assert_memory_equal(a.at ? a.at : "", b.at ? b.at : "", a.len);
}

/* All that a head says but its fields. */
static void assert_same_meaning(const struct http1_head *a, const struct http1_head *b)
{
	assert_same_span(a->method, b->method);
	assert_same_span(a->target, b->target);
	assert_same_span(a->host, b->host);
	assert_same_span(a->reason, b->reason);
	assert_int_equal(a->status, b->status);
	assert_int_equal(a->body, b->body);
	assert_int_equal(a->has_length, b->has_length);
	assert_int_equal(a->length, b->length);
	assert_int_equal(a->expect_continue, b->expect_continue);
}

static struct verdict *judge(
	const char *text, size_t len, const struct http1_limits *l, const struct http1_asked *asked)
{
	struct verdict *whole = in_one_piece(text, len, l, asked), *bytes = byte_by_byte(text, len, l, asked);
	assert_int_equal(whole->rc, bytes->rc);
	assert_string_equal(whole->err.text, bytes->err.text);
	if (whole->rc > 0) {
		assert_same_meaning(&whole->head, &bytes->head);
		assert_int_equal(whole->head.n_headers, bytes->head.n_headers);
		assert_int_equal(whole->head.keep_alive, bytes->head.keep_alive);
		assert_int_equal(whole->head.upgrade, bytes->head.upgrade);
	}
	drop(bytes);
	return whole;
}

static void refused(const char *text, size_t len, const struct http1_limits *l, const struct http1_asked *asked,
	int code, const char *sentence)
{
	struct verdict *v = judge(text, len, l, asked);
	if (v->rc != code || !strstr(v->err.text, sentence))
		fail_msg("\"%s\" gave %zd \"%s\", not %d \"%s\"", text, v->rc, v->err.text, code, sentence);
	assert_int_equal(v->err.code, code);
	drop(v);
}

/* The whole text is one head that fits. The verdict is the caller's to drop. */
static struct verdict *accepted(const char *text, const struct http1_asked *asked)
{
	struct verdict *v = judge(text, strlen(text), &limits, asked);
	if (v->rc != (ssize_t)strlen(text))
		fail_msg("\"%s\" gave %zd \"%s\"", text, v->rc, v->err.text);
	return v;
}

#define REFUSES(text, sentence)                 refused(text, sizeof(text) - 1, &limits, NULL, -EBADMSG, sentence)
#define REFUSES_RESPONSE(asked, text, sentence) refused(text, sizeof(text) - 1, &limits, asked, -EBADMSG, sentence)
#define ACCEPTS(text)                           drop(accepted(text, NULL))
#define ACCEPTS_RESPONSE(asked, text)           drop(accepted(text, asked))
#define GET(fields)                             "GET / HTTP/1.1\r\nHost: a\r\n" fields "\r\n"
#define GET10(fields)                           "GET / HTTP/1.0\r\n" fields "\r\n"
#define POST(fields)                            "POST / HTTP/1.1\r\nHost: a\r\n" fields "\r\n"
#define OK(fields)                              "HTTP/1.1 200 OK\r\n" fields "\r\n"

static void a_plain_request_is_taken_apart(void **state)
{
	(void)state;
	struct verdict *v = accepted(
		"GET /a/b?c=d HTTP/1.1\r\nHost: example.org:80\r\nX-Empty:\r\nAccept: \t text/html, */* \t\r\n\r\n",
		NULL);
	assert_span(v->head.method, "GET");
	assert_span(v->head.target, "/a/b?c=d");
	assert_span(v->head.host, "example.org:80");
	assert_int_equal(v->head.minor, 1);
	assert_int_equal(v->head.body, HTTP1_BODY_NONE);
	assert_int_equal(v->head.upgrade, HTTP1_UPGRADE_NONE);
	assert_true(v->head.keep_alive);
	assert_false(v->head.expect_continue);
	assert_int_equal(v->head.n_headers, 3);
	assert_span(v->head.headers[2].name, "Accept");
	assert_span(v->head.headers[2].value, "text/html, */*");
	assert_span(*http1_find(&v->head, "x-empty"), "");
	assert_null(http1_find(&v->head, "x-emptyy"));
	drop(v);
}

static void an_incomplete_head_asks_for_more(void **state)
{
	(void)state;
	static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
	for (size_t n = 0; n < sizeof(text) - 1; n++) {
		struct verdict *v = in_one_piece(text, n, &limits, NULL);
		assert_int_equal(v->rc, 0);
		drop(v);
	}
}

static void what_follows_the_head_is_not_looked_at(void **state)
{
	(void)state;
	static const char text[] = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n\0\n\r\n";
	struct verdict *v = judge(text, sizeof(text) - 1, &limits, NULL);
	assert_int_equal(v->rc, sizeof(text) - 1 - 4);
	drop(v);
}

static void a_line_ends_in_crlf_and_nothing_else(void **state)
{
	(void)state;
	ACCEPTS(GET("A: b\r\n"));
	REFUSES("GET / HTTP/1.1\nHost: a\r\n\r\n", "LF without CR");
	REFUSES("GET / HTTP/1.1\r\nHost: a\n\r\n", "LF without CR");
	REFUSES("GET / HTTP/1.1\r\nHost: a\r\n\n", "LF without CR");
	REFUSES("GET / HTTP/1.1\rHost: a\r\n\r\n", "CR that ends no line");
	REFUSES("GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", "CR that ends no line");
	REFUSES("GET / HTTP/1.1\r\nHost: a\r\n\rX", "CR that ends no line");
	REFUSES(GET("A: b\rc\r\n"), "CR that ends no line");
}

static void a_nul_or_another_control_is_refused(void **state)
{
	(void)state;
	ACCEPTS(GET("A: b\tc \xff\x80\r\n"));
	REFUSES("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", "NUL");
	REFUSES(GET("A: b\0c\r\n"), "NUL");
	REFUSES(GET("A: b\x01\r\n"), "control character in the field A");
	REFUSES(GET("A: b\x0b\x63\r\n"), "control character in the field A");
	REFUSES(GET("A: b\x7f\r\n"), "control character in the field A");
}

static void the_message_begins_with_its_start_line(void **state)
{
	(void)state;
	REFUSES("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "does not begin with a word");
	REFUSES(" GET / HTTP/1.1\r\nHost: a\r\n\r\n", "does not begin with a word");
	REFUSES("\x16\x03\x01\x02", "does not begin with a word"); /* a TLS client at the wrong port, told at once */
}

static void a_request_line_is_method_target_and_version(void **state)
{
	(void)state;
	ACCEPTS("PROPFIND /x HTTP/1.1\r\nHost: a\r\n\r\n");
	ACCEPTS("M-SEARCH /x HTTP/1.1\r\nHost: a\r\n\r\n");
	REFUSES("GET /\r\n\r\n", "not method, target and version");
	REFUSES("GET\r\n\r\n", "not method, target and version");
	REFUSES("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "a version other");
	REFUSES("GET /  HTTP/1.1\r\nHost: a\r\n\r\n", "a version other");
	REFUSES("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", "a version other");
	REFUSES("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", "a version other");
	REFUSES("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", "not method, target and version");
	REFUSES("G(T / HTTP/1.1\r\nHost: a\r\n\r\n", "a method that is no token");
	REFUSES("GET@ / HTTP/1.1\r\nHost: a\r\n\r\n", "a method that is no token");
}

static void only_versions_1_1_and_1_0_are_known(void **state)
{
	(void)state;
	struct verdict *v = accepted(GET10(""), NULL);
	assert_int_equal(v->head.minor, 0);
	assert_span(v->head.host, "");
	drop(v);
	REFUSES("GET / HTTP/1.2\r\nHost: a\r\n\r\n", "a version other");
	REFUSES("GET / HTTP/2.0\r\nHost: a\r\n\r\n", "a version other");
	REFUSES("GET / HTTP/0.9\r\n\r\n", "a version other");
	REFUSES("GET / http/1.1\r\nHost: a\r\n\r\n", "a version other");
	REFUSES("GET / HTTP/1.10\r\nHost: a\r\n\r\n", "a version other");
	REFUSES("GET / HTTP/01.1\r\nHost: a\r\n\r\n", "a version other");
	REFUSES("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "a version other");
	REFUSES_RESPONSE(&get, "HTTP/1.2 200 OK\r\n\r\n", "a version other");
	REFUSES_RESPONSE(&get, "ICY/1.1 200 OK\r\n\r\n", "a version other");
}

static void a_target_is_a_path_an_http_url_or_options_star(void **state)
{
	(void)state;
	ACCEPTS("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
	ACCEPTS("GET //a/../%00/\"<>\\^`{|}?x HTTP/1.1\r\nHost: a\r\n\r\n");
	REFUSES("GET * HTTP/1.1\r\nHost: a\r\n\r\n", "neither a path nor an http URL");
	REFUSES("GET a HTTP/1.1\r\nHost: a\r\n\r\n", "neither a path nor an http URL");
	REFUSES("GET example.org:80 HTTP/1.1\r\nHost: a\r\n\r\n", "neither a path nor an http URL");
	REFUSES("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "neither a path nor an http URL");
	REFUSES("GET ?a HTTP/1.1\r\nHost: a\r\n\r\n", "neither a path nor an http URL");
	REFUSES("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", "empty or has a forbidden character");
	REFUSES("GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n", "empty or has a forbidden character");
	REFUSES("GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n", "empty or has a forbidden character");
	REFUSES("GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n", "empty or has a forbidden character");
}

static void connect_is_not_served(void **state)
{
	(void)state;
	static const char text[] = "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n";
	refused(text, sizeof(text) - 1, &limits, NULL, -EOPNOTSUPP, "CONNECT");
}

static void the_host_of_an_absolute_target_wins_over_the_host_field(void **state)
{
	(void)state;
	static const struct {
		const char *text, *target, *host;
	} cases[] = {
		{"GET http://b:81/x?y HTTP/1.1\r\nHost: a\r\n\r\n", "/x?y", "b:81"},
		{"GET HTTPS://b/ HTTP/1.1\r\nHost: a\r\n\r\n", "/", "b"},
		{"GET http://b HTTP/1.1\r\nHost: a\r\n\r\n", "/", "b"},
		{"OPTIONS http://b:1 HTTP/1.1\r\nHost: a\r\n\r\n", "*", "b:1"},
		{"GET http://[::1]:8/ HTTP/1.0\r\n\r\n", "/", "[::1]:8"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct verdict *v = accepted(cases[i].text, NULL);
		assert_span(v->head.target, cases[i].target);
		assert_span(v->head.host, cases[i].host);
		drop(v);
	}
	REFUSES("GET http://b/ HTTP/1.1\r\n\r\n", "no Host");
	REFUSES("GET http:/// HTTP/1.1\r\nHost: a\r\n\r\n", "whose host is no host");
	REFUSES("GET http:// HTTP/1.1\r\nHost: a\r\n\r\n", "neither a path nor an http URL");
	REFUSES("GET http://u@b/ HTTP/1.1\r\nHost: a\r\n\r\n", "whose host is no host");
	REFUSES("GET http://b:x/ HTTP/1.1\r\nHost: a\r\n\r\n", "whose host is no host");
	REFUSES("GET http://b?x HTTP/1.1\r\nHost: a\r\n\r\n", "without a path before its query");
}

static void a_1_1_request_has_exactly_one_host(void **state)
{
	(void)state;
	REFUSES("GET / HTTP/1.1\r\n\r\n", "no Host field");
	REFUSES(GET("Host: a\r\n"), "a second Host");
	REFUSES(GET("hOST: b\r\n"), "a second Host");
	REFUSES(GET10("Host: a\r\nHost: a\r\n"), "a second Host");
	ACCEPTS(GET10("Host: a\r\n"));
}

static void a_host_is_a_name_or_an_address_with_perhaps_a_port(void **state)
{
	(void)state;
	static const char *const good[] = {
		"", "a", "a.b-c_d~e", "a:", "a:80", "10.0.0.1:65535", "[::1]", "[fe80::1.2.3.4]:1", "%41"};
	static const char *const bad[] = {":80", "a b", "a,b", "a:b", "a:80:80", "a:65536", "a:4294967376", "u@a",
		"a/b", "http://a", "[]", "[", "[::1", "[::1]x", "[g]", "::1", "a?b", "a#b", "a\\b", "\xc3\xa4"};
	char text[128];
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", good[i]);
		struct verdict *v = accepted(text, NULL);
		assert_span(v->head.host, good[i]);
		drop(v);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", bad[i]);
		refused(text, strlen(text), &limits, NULL, -EBADMSG, "a Host field that is no host and port");
	}
}

static void a_field_name_is_a_token_right_before_its_colon(void **state)
{
	(void)state;
	ACCEPTS(GET("!#$%&'*+-.^_`|~09azAZ: x\r\n"));
	ACCEPTS(GET("A::b\r\n"));
	REFUSES(GET("A : b\r\n"), "a blank before the colon");
	REFUSES(GET("A\t: b\r\n"), "a blank before the colon");
	REFUSES(GET("A b: c\r\n"), "a field name that is no token");
	REFUSES(GET(": b\r\n"), "a field name that is no token");
	REFUSES(GET("A\"b: c\r\n"), "a field name that is no token");
	REFUSES(GET("\xe4: c\r\n"), "a field name that is no token");
	REFUSES(GET("Content-Length\x0b: 1\r\n"), "a field name that is no token");
	REFUSES(GET("A\r\n"), "a field line without a colon");
}

static void a_folded_line_is_refused(void **state)
{
	(void)state;
	REFUSES(GET("A: b\r\n c\r\n"), "a folded field line");
	REFUSES(GET("A: b\r\n\tc: d\r\n"), "a folded field line");
	REFUSES("GET / HTTP/1.1\r\n Host: a\r\n\r\n", "a folded field line");
	REFUSES(GET("A: b\r\n \r\n"), "a folded field line");
	REFUSES_RESPONSE(&get, OK("A: b\r\n c\r\n"), "a folded field line");
}

static void a_length_is_one_number_of_digits_alone(void **state)
{
	(void)state;
	struct verdict *v = accepted(POST("Content-Length: 9223372036854775807\r\n"), NULL);
	assert_int_equal(v->head.body, HTTP1_BODY_LENGTH);
	assert_true(v->head.length == INT64_MAX);
	drop(v);
	v = accepted(POST("content-LENGTH:0007\r\n"), NULL);
	assert_int_equal(v->head.length, 7);
	drop(v);
	REFUSES(POST("Content-Length: 5\r\nContent-Length: 5\r\n"), "a repeated Content-Length");
	REFUSES(POST("Content-Length: 5\r\ncontent-length: 6\r\n"), "a repeated Content-Length");
	REFUSES(POST("Content-Length: 5, 5\r\n"), "not all digits");
	REFUSES(POST("Content-Length: +5\r\n"), "not all digits");
	REFUSES(POST("Content-Length: -5\r\n"), "not all digits");
	REFUSES(POST("Content-Length: 0x5\r\n"), "not all digits");
	REFUSES(POST("Content-Length: 5 5\r\n"), "not all digits");
	REFUSES(POST("Content-Length: 5.0\r\n"), "not all digits");
	REFUSES(POST("Content-Length: 5_0\r\n"), "not all digits");
	REFUSES(POST("Content-Length:\r\n"), "an empty Content-Length");
	REFUSES(POST("Content-Length: 9223372036854775808\r\n"), "beyond 2^63-1");
	REFUSES(POST("Content-Length: 18446744073709551617\r\n"), "beyond 2^63-1");
	REFUSES_RESPONSE(&get, OK("Content-Length: 1\r\nContent-Length: 1\r\n"), "a repeated Content-Length");
}

static void a_transfer_encoding_is_exactly_chunked_once_and_in_1_1(void **state)
{
	(void)state;
	struct verdict *v = accepted(POST("Transfer-Encoding: chunked\r\n"), NULL);
	assert_int_equal(v->head.body, HTTP1_BODY_CHUNKED);
	assert_true(v->head.keep_alive);
	drop(v);
	REFUSES(POST("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), "a repeated Transfer-Encoding");
	REFUSES(POST("Transfer-Encoding: chunked, chunked\r\n"), "other than chunked");
	REFUSES(POST("Transfer-Encoding: gzip, chunked\r\n"), "other than chunked");
	REFUSES(POST("Transfer-Encoding: identity\r\n"), "other than chunked");
	REFUSES(POST("Transfer-Encoding: xchunked\r\n"), "other than chunked");
	REFUSES(POST("Transfer-Encoding: Chunked\r\n"), "other than chunked");
	REFUSES(POST("Transfer-Encoding: \"chunked\"\r\n"), "other than chunked");
	REFUSES(POST("Transfer-Encoding:\r\n"), "other than chunked");
	REFUSES(POST("Transfer-Encoding: \x0b\x63hunked\r\n"), "control character");
	REFUSES(POST("Transfer-Encoding:\tchunked\r\n"), "a tab in the field Transfer-Encoding");
	REFUSES(POST("transfer-encoding: chunked \t\r\n"), "a tab in the field Transfer-Encoding");
	REFUSES(POST("Content-Length:\t5\r\n"), "a tab in the field Content-Length");
	REFUSES_RESPONSE(&get, OK("Content-Length: 5\t\r\n"), "a tab in the field Content-Length");
	REFUSES("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "a Transfer-Encoding in HTTP/1.0");
	REFUSES_RESPONSE(
		&get, "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "a Transfer-Encoding in HTTP/1.0");
}

static void both_framings_at_once_are_refused(void **state)
{
	(void)state;
	REFUSES(POST("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
		"both Transfer-Encoding and Content-Length");
	REFUSES(POST("Content-Length: 0\r\ntransfer-encoding: chunked\r\n"),
		"both Transfer-Encoding and Content-Length");
	REFUSES_RESPONSE(&get, OK("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), "both Transfer-Encoding");
}

static void keep_alive_follows_version_and_connection(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool keep_alive;
	} cases[] = {
		{GET(""), true},
		{GET("Connection: close\r\n"), false},
		{GET("Connection: foo, CLOSE\r\n"), false},
		{GET("Connection: foo\r\nConnection: close\r\n"), false},
		{GET("Connection: close, keep-alive\r\n"), false},
		{GET("Connection: , ,\r\n"), true},
		{GET10(""), false},
		{GET10("Connection: keep-alive\r\n"), true},
		{GET10("Connection: Keep-Alive, close\r\n"), false},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct verdict *v = accepted(cases[i].text, NULL);
		assert_int_equal(v->head.keep_alive, cases[i].keep_alive);
		drop(v);
	}
	REFUSES(GET("Connection: \"close\"\r\n"), "no list of names");
	REFUSES(GET("Connection: a b\r\n"), "no list of names");
}

static void only_100_continue_may_be_expected(void **state)
{
	(void)state;
	struct verdict *v = accepted(POST("Content-Length: 1\r\nExpect: 100-Continue\r\n"), NULL);
	assert_true(v->head.expect_continue);
	drop(v);
	v = accepted("POST / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n", NULL);
	assert_false(v->head.expect_continue);
	drop(v);
	REFUSES(POST("Expect: 200-ok\r\n"), "an Expect other than");
}

static enum http1_upgrade upgrade_of(const char *text)
{
	struct verdict *v = accepted(text, NULL);
	enum http1_upgrade upgrade = v->head.upgrade;
	drop(v);
	return upgrade;
}

static void a_websocket_is_asked_for_by_get_in_1_1_without_a_body(void **state)
{
	(void)state;
	static const char *const others[] = {
		GET("Upgrade: websocket\r\n"),
		GET("Connection: upgrade\r\nUpgrade: h2c\r\n"),
		GET("Connection: upgrade\r\nUpgrade: websocket, h2c\r\n"),
		GET("Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: websocket\r\n"),
		GET("Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n"),
		GET("Connection: upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n"),
		POST("Connection: upgrade\r\nUpgrade: websocket\r\n"),
		GET10("Connection: upgrade\r\nUpgrade: websocket\r\n"),
	};
	assert_int_equal(upgrade_of(GET("Connection: Upgrade\r\nUpgrade: WebSocket\r\n")), HTTP1_UPGRADE_WEBSOCKET);
	assert_int_equal(
		upgrade_of(GET("Connection: keep-alive, upgrade\r\nUpgrade: websocket\r\n")), HTTP1_UPGRADE_WEBSOCKET);
	assert_int_equal(upgrade_of(GET("Connection: upgrade\r\n")), HTTP1_UPGRADE_NONE);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_int_equal(upgrade_of(others[i]), HTTP1_UPGRADE_OTHER);
}

static void a_head_has_no_more_bytes_than_allowed(void **state)
{
	(void)state;
	static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
	struct http1_limits exact = {.header_bytes = sizeof(text) - 1, .headers = 1};
	struct verdict *v = judge(text, sizeof(text) - 1, &exact, NULL);
	assert_int_equal(v->rc, sizeof(text) - 1);
	drop(v);
	for (size_t n = 16; n < sizeof(text) - 1; n++) {
		struct http1_limits less = {.header_bytes = n, .headers = 1};
		refused(text, sizeof(text) - 1, &less, NULL, -EMSGSIZE, "the head is longer than");
	}
	for (size_t n = 1; n < 16; n++) {
		struct http1_limits less = {.header_bytes = n, .headers = 1};
		refused(text, sizeof(text) - 1, &less, NULL, -ENAMETOOLONG, "the start line alone is longer than");
	}
}

static void a_head_has_no_more_fields_than_allowed(void **state)
{
	(void)state;
	struct buf text;
	buf_init(&text, 1 << 16);
	buf_puts(&text, "GET / HTTP/1.1\r\nHost: a\r\n");
	for (int i = 1; i < HTTP1_HEADERS_MAX; i++)
		buf_puts(&text, "A: b\r\n");
	buf_puts(&text, "\r\n");
	struct http1_limits most = {.header_bytes = 1 << 16, .headers = HTTP1_HEADERS_MAX};
	struct http1_limits fewer = {.header_bytes = 1 << 16, .headers = HTTP1_HEADERS_MAX - 1};
	struct http1_limits beyond = {.header_bytes = 1 << 16, .headers = 10000};
	struct verdict *v = judge(text.data, text.len, &most, NULL);
	assert_int_equal(v->rc, text.len);
	assert_int_equal(v->head.n_headers, HTTP1_HEADERS_MAX);
	drop(v);
	refused(text.data, text.len, &fewer, NULL, -EMSGSIZE, "more than 127 fields");
	text.len -= 2;
	buf_puts(&text, "A: b\r\n\r\n");
	refused(text.data, text.len, &beyond, NULL, -EMSGSIZE, "more than 128 fields");
	buf_fini(&text);
}

static void each_refusal_has_its_status(void **state)
{
	(void)state;
	assert_int_equal(http1_refusal_status(-EBADMSG), 400);
	assert_int_equal(http1_refusal_status(-EMSGSIZE), 431);
	assert_int_equal(http1_refusal_status(-ENAMETOOLONG), 414);
	assert_int_equal(http1_refusal_status(-EOPNOTSUPP), 501);
}

static void a_status_line_is_version_status_and_reason(void **state)
{
	(void)state;
	struct verdict *v = accepted("HTTP/1.1 404 Not \xe4here\r\nContent-Length: 3\r\n\r\n", &get);
	assert_int_equal(v->head.status, 404);
	assert_span(v->head.reason, "Not \xe4here");
	assert_true(v->head.keep_alive);
	drop(v);
	ACCEPTS_RESPONSE(&get, "HTTP/1.1 200 \r\n\r\n");
	ACCEPTS_RESPONSE(&get, "HTTP/1.1 200\r\n\r\n");
	ACCEPTS_RESPONSE(&get, "HTTP/1.1 999 x\r\n\r\n");
	REFUSES_RESPONSE(&get, "HTTP/1.1\r\n\r\n", "not version, status and reason");
	REFUSES_RESPONSE(&get, "HTTP/1.1 20 OK\r\n\r\n", "not three digits");
	REFUSES_RESPONSE(&get, "HTTP/1.1 2000 OK\r\n\r\n", "not three digits");
	REFUSES_RESPONSE(&get, "HTTP/1.1 0200 OK\r\n\r\n", "not three digits");
	REFUSES_RESPONSE(&get, "HTTP/1.1 099 OK\r\n\r\n", "not three digits");
	REFUSES_RESPONSE(&get, "HTTP/1.1 2x0 OK\r\n\r\n", "not three digits");
	REFUSES_RESPONSE(&get, "HTTP/1.1  200 OK\r\n\r\n", "not three digits");
	REFUSES_RESPONSE(&get, "HTTP/1.1 200OK\r\n\r\n", "not followed by a blank");
	REFUSES_RESPONSE(&get, "HTTP/1.1 200 O\x01K\r\n\r\n", "control character in the reason");
}

static void what_body_a_response_has_depends_on_what_was_asked(void **state)
{
	(void)state;
	static const struct {
		const struct http1_asked *asked;
		const char *text;
		enum http1_body body;
		bool has_length, keep_alive;
	} cases[] = {
		{&get, OK("Content-Length: 5\r\n"), HTTP1_BODY_LENGTH, true, true},
		{&get, OK("Content-Length: 0\r\n"), HTTP1_BODY_LENGTH, true, true},
		{&get, OK("Transfer-Encoding: chunked\r\n"), HTTP1_BODY_CHUNKED, false, true},
		{&get, OK(""), HTTP1_BODY_UNTIL_CLOSE, false, false},
		{&get, "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", HTTP1_BODY_UNTIL_CLOSE, false, false},
		{&get, "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n", HTTP1_BODY_LENGTH,
			true, true},
		{&head_method, OK("Content-Length: 5\r\n"), HTTP1_BODY_NONE, true, true},
		{&head_method, OK("Transfer-Encoding: chunked\r\n"), HTTP1_BODY_NONE, false, true},
		{&head_method, OK(""), HTTP1_BODY_NONE, false, true},
		{&get, "HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n", HTTP1_BODY_NONE, true, true},
		{&get, "HTTP/1.1 204 x\r\n\r\n", HTTP1_BODY_NONE, false, true},
		{&get, "HTTP/1.1 204 x\r\nContent-Length: 0\r\n\r\n", HTTP1_BODY_NONE, false, true},
		{&get, "HTTP/1.1 100 Continue\r\n\r\n", HTTP1_BODY_NONE, false, true},
		{&get, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", HTTP1_BODY_NONE, false, true},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct verdict *v = accepted(cases[i].text, cases[i].asked);
		assert_int_equal(v->head.body, cases[i].body);
		assert_int_equal(v->head.has_length, cases[i].has_length);
		assert_int_equal(v->head.keep_alive, cases[i].keep_alive);
		drop(v);
	}
	REFUSES_RESPONSE(&get, "HTTP/1.1 204 x\r\nContent-Length: 5\r\n\r\n", "a body announced with a 204");
	REFUSES_RESPONSE(&get, "HTTP/1.1 100 x\r\nTransfer-Encoding: chunked\r\n\r\n", "a body announced with a 100");
}

static void a_101_comes_only_when_asked_for(void **state)
{
	(void)state;
	static const char good[] = "HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
	struct verdict *v = accepted(good, &websocket);
	assert_int_equal(v->head.upgrade, HTTP1_UPGRADE_WEBSOCKET);
	assert_int_equal(v->head.body, HTTP1_BODY_NONE);
	assert_false(v->head.keep_alive);
	drop(v);
	refused(good, sizeof(good) - 1, &limits, &get, -EBADMSG, "a 101 that nobody asked for");
	REFUSES_RESPONSE(&websocket, "HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
		"does not upgrade to websocket");
	REFUSES_RESPONSE(&websocket, "HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n", "does not upgrade to websocket");
	REFUSES_RESPONSE(&websocket, "HTTP/1.0 101 x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
		"does not upgrade to websocket");
	REFUSES_RESPONSE(&websocket, "HTTP/1.1 101 x\r\n\r\n", "does not upgrade to websocket");
	v = accepted("HTTP/1.1 426 x\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n", &websocket);
	assert_int_equal(v->head.upgrade, HTTP1_UPGRADE_OTHER);
	drop(v);
}

static void hop_by_hop_fields_are_the_known_and_the_nominated(void **state)
{
	(void)state;
	struct verdict *v = accepted(GET("Connection: x-a, close\r\nConnection: ,X-B\r\n"), NULL);
	static const char *const hops[] = {"connection", "Keep-Alive", "proxy-connection", "te", "Trailer",
		"transfer-encoding", "upgrade", "proxy-authorization", "X-A", "x-b"};
	static const char *const ends[] = {"host", "cookie", "x-c", "x", "sec-websocket-key", "x-forwarded-for"};
	for (size_t i = 0; i < sizeof(hops) / sizeof(hops[0]); i++)
		assert_true(http1_is_hop_by_hop(&v->head, span_of(hops[i])));
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		assert_false(http1_is_hop_by_hop(&v->head, span_of(ends[i])));
	drop(v);
}

static void assert_writes(
	const char *text, const struct http1_asked *asked, const struct http1_header *set, size_t n, const char *wanted)
{
	struct verdict *v = accepted(text, asked);
	struct buf out;
	buf_init(&out, 4096);
	assert_int_equal(asked ? http1_write_response(&out, &v->head, set, n, NULL)
			       : http1_write_request(&out, &v->head, set, n, NULL),
		0);
	assert_string_equal(buf_str(&out), wanted);
	buf_fini(&out);
	drop(v);
}

static void a_head_is_written_anew(void **state)
{
	(void)state;
	const struct http1_header set[] = {
		{SPAN("X-Forwarded-For"), SPAN("1.2.3.4, 5.6.7.8")}, {SPAN("x-secret"), {NULL, 0}}};
	assert_writes("POST http://b/x HTTP/1.1\r\nhost: a\r\ncookie:  c \r\nConnection: x-hop, close\r\nX-Hop: 1\r\n"
		      "x-forwarded-for: 1.2.3.4\r\nX-Secret: y\r\nExpect: 100-continue\r\nTE: trailers\r\n"
		      "content-length: 007\r\nUpgrade: h2c\r\ncookie: d\r\n\r\n",
		NULL, set, 2,
		"POST /x HTTP/1.1\r\nHost: b\r\nExpect: 100-continue\r\ncookie: c\r\ncookie: d\r\n"
		"X-Forwarded-For: 1.2.3.4, 5.6.7.8\r\nContent-Length: 7\r\n\r\n");
	assert_writes(GET("Connection: upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Key: k\r\n"), NULL, NULL, 0,
		"GET / HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Key: k\r\nConnection: upgrade\r\nUpgrade: "
		"websocket\r\n\r\n");
	assert_writes("HTTP/1.0 200 Fine\r\nKeep-Alive: x\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\n", &get,
		&(struct http1_header){SPAN("Connection"), SPAN("close")}, 1,
		"HTTP/1.1 200 Fine\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nConnection: close\r\n\r\n");
	assert_writes(OK("Transfer-Encoding: chunked\r\nTrailer: x\r\n"), &get, NULL, 0,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
	assert_writes(
		OK("Content-Length: 5\r\n"), &head_method, NULL, 0, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
	assert_writes("HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s\r\n\r\n",
		&websocket, NULL, 0,
		"HTTP/1.1 101 x\r\nSec-WebSocket-Accept: s\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
}

static void a_nomination_cannot_remove_what_frames_the_message(void **state)
{
	(void)state;
	assert_writes(POST("Connection: host, content-length, x-forwarded-for\r\nContent-Length: 3\r\n"), NULL,
		&(struct http1_header){SPAN("X-Forwarded-For"), SPAN("1.2.3.4")}, 1,
		"POST / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4\r\nContent-Length: 3\r\n\r\n");
}

static void what_no_head_may_contain_cannot_be_set(void **state)
{
	(void)state;
	static const struct {
		struct http1_header field;
		const char *sentence;
	} cases[] = {
		{{{"A\r\nB", 4}, {"c", 1}}, "no token"},
		{{{"", 0}, {"c", 1}}, "no token"},
		{{{"A", 1}, {"b\r\nC: d", 7}}, "control character"},
		{{{"content-length", 14}, {"5", 1}}, "written from the head"},
		{{{"Transfer-Encoding", 17}, {"chunked", 7}}, "written from the head"},
		{{{"HOST", 4}, {"x", 1}}, "written from the head"},
	};
	struct verdict *v = accepted(GET(""), NULL);
	struct buf out;
	buf_init(&out, 4096);
	buf_puts(&out, "before");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err err = {0};
		assert_int_equal(http1_write_request(&out, &v->head, &cases[i].field, 1, &err), -EINVAL);
		assert_non_null(strstr(err.text, cases[i].sentence));
		assert_string_equal(buf_str(&out), "before");
	}
	buf_fini(&out);
	drop(v);
}

static void a_head_that_has_no_room_is_not_written_at_all(void **state)
{
	(void)state;
	struct verdict *v = accepted(GET("A: b\r\nContent-Length: 1\r\n"), NULL);
	size_t whole = strlen("beforeGET / HTTP/1.1\r\nHost: a\r\nA: b\r\nContent-Length: 1\r\n\r\n");
	for (size_t room = 6; room <= whole; room++) {
		struct buf out;
		buf_init(&out, room);
		buf_puts(&out, "before");
		int rc = http1_write_request(&out, &v->head, NULL, 0, NULL);
		assert_int_equal(rc, room == whole ? 0 : -ENOSPC);
		assert_int_equal(out.len, room == whole ? whole : 6);
		buf_fini(&out);
	}
	drop(v);
}

static const struct span *next_end_to_end(const struct http1_head *head, size_t *i)
{
	for (; *i < head->n_headers; (*i)++) {
		struct span name = head->headers[*i].name;
		if (!http1_is_hop_by_hop(head, name) && !span_equals_nocase(name, "Host") &&
			!span_equals_nocase(name, "Content-Length") && !span_equals_nocase(name, "Expect"))
			return &head->headers[(*i)++].value;
	}
	return NULL;
}

static void what_is_written_parses_to_the_same(void **state)
{
	(void)state;
	static const struct {
		const struct http1_asked *asked;
		const char *text;
	} cases[] = {
		{NULL, GET("A: b\r\nC:\r\nA: d\r\n")},
		{NULL, GET10("A: b\r\n")},
		{NULL, POST("Content-Length: 00012\r\nA: b\r\n")},
		{NULL, POST("Transfer-Encoding: chunked\r\nExpect: 100-continue\r\nTE: x\r\n")},
		{NULL, GET("Connection: upgrade, a\r\nA: x\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n")},
		{NULL, "OPTIONS https://[::1]:1 HTTP/1.1\r\nHost: x\r\n\r\n"},
		{&get, OK("Content-Length: 12\r\nA:b\r\nSet-Cookie: a\r\nSet-Cookie: a\r\n")},
		{&get, OK("Transfer-Encoding: chunked\r\n")},
		{&get, OK("")},
		{&get, "HTTP/1.1 304\r\nContent-Length: 9\r\nETag: \"x\"\r\n\r\n"},
		{&head_method, OK("Content-Length: 12\r\n")},
		{&websocket, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"},
		{&get, "HTTP/1.0 204 \r\nContent-Length: 0\r\n\r\n"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct verdict *a = accepted(cases[i].text, cases[i].asked);
		struct buf out;
		buf_init(&out, 4096);
		int rc = cases[i].asked ? http1_write_response(&out, &a->head, NULL, 0, NULL)
					: http1_write_request(&out, &a->head, NULL, 0, NULL);
		assert_int_equal(rc, 0);
		struct verdict *b = accepted(buf_str(&out), cases[i].asked);
		assert_same_meaning(&a->head, &b->head);
		assert_int_equal(a->head.upgrade, b->head.upgrade);
		size_t in_a = 0, in_b = 0;
		for (const struct span *x = NULL, *y = NULL;;) {
			x = next_end_to_end(&a->head, &in_a);
			y = next_end_to_end(&b->head, &in_b);
			assert_int_equal(x == NULL, y == NULL);
			if (!x)
				break;
			assert_same_span(*x, *y);
		}
		drop(b);
		buf_fini(&out);
		drop(a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plain_request_is_taken_apart),
		cmocka_unit_test(an_incomplete_head_asks_for_more),
		cmocka_unit_test(what_follows_the_head_is_not_looked_at),
		cmocka_unit_test(a_line_ends_in_crlf_and_nothing_else),
		cmocka_unit_test(a_nul_or_another_control_is_refused),
		cmocka_unit_test(the_message_begins_with_its_start_line),
		cmocka_unit_test(a_request_line_is_method_target_and_version),
		cmocka_unit_test(only_versions_1_1_and_1_0_are_known),
		cmocka_unit_test(a_target_is_a_path_an_http_url_or_options_star),
		cmocka_unit_test(connect_is_not_served),
		cmocka_unit_test(the_host_of_an_absolute_target_wins_over_the_host_field),
		cmocka_unit_test(a_1_1_request_has_exactly_one_host),
		cmocka_unit_test(a_host_is_a_name_or_an_address_with_perhaps_a_port),
		cmocka_unit_test(a_field_name_is_a_token_right_before_its_colon),
		cmocka_unit_test(a_folded_line_is_refused),
		cmocka_unit_test(a_length_is_one_number_of_digits_alone),
		cmocka_unit_test(a_transfer_encoding_is_exactly_chunked_once_and_in_1_1),
		cmocka_unit_test(both_framings_at_once_are_refused),
		cmocka_unit_test(keep_alive_follows_version_and_connection),
		cmocka_unit_test(only_100_continue_may_be_expected),
		cmocka_unit_test(a_websocket_is_asked_for_by_get_in_1_1_without_a_body),
		cmocka_unit_test(a_head_has_no_more_bytes_than_allowed),
		cmocka_unit_test(a_head_has_no_more_fields_than_allowed),
		cmocka_unit_test(each_refusal_has_its_status),
		cmocka_unit_test(a_status_line_is_version_status_and_reason),
		cmocka_unit_test(what_body_a_response_has_depends_on_what_was_asked),
		cmocka_unit_test(a_101_comes_only_when_asked_for),
		cmocka_unit_test(hop_by_hop_fields_are_the_known_and_the_nominated),
		cmocka_unit_test(a_head_is_written_anew),
		cmocka_unit_test(a_nomination_cannot_remove_what_frames_the_message),
		cmocka_unit_test(what_no_head_may_contain_cannot_be_set),
		cmocka_unit_test(a_head_that_has_no_room_is_not_written_at_all),
		cmocka_unit_test(what_is_written_parses_to_the_same),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
