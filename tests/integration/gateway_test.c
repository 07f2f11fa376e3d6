#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway_fixture.h"
#include "podvisor/base/pace.h"

static char text[65536];

static struct gateway_fixture *f;

static void start(const char *gateway)
{
	f = gateway_start(gateway, NULL);
}

static void expect(const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" is not in: %s", part, text);
}

static void expect_no(const char *part)
{
	if (strstr(text, part))
		fail_msg("\"%s\" is in: %s", part, text);
}

/* A request, and the backend's connection after it has read it into text. */
static int ask(int client, const char *request)
{
	put(client, request);
	int backend = gateway_backend(f);
	get_head(backend, text, sizeof(text));
	return backend;
}

static void a_request_is_written_anew_and_its_answer_comes_back(void **state)
{
	(void)state;
	start("");
	int client = gateway_client(f);
	int backend = ask(client, "GET /a?b=c HTTP/1.1\r\nHost: example.org\r\nConnection: keep-alive, X-Hop\r\n"
				  "X-Hop: 1\r\nKeep-Alive: 5\r\nTE: trailers\r\nX-Kept:  two words \r\n\r\n");
	assert_ptr_equal(strstr(text, "GET /a?b=c HTTP/1.1\r\n"), text);
	expect("\r\nHost: example.org\r\n");
	expect("\r\nX-Kept: two words\r\n");
	expect("\r\nX-Forwarded-For: 127.0.0.1\r\n");
	expect("\r\nX-Forwarded-Proto: http\r\n");
	expect("\r\nX-Forwarded-Host: example.org\r\n");
	expect("\r\nForwarded: for=127.0.0.1;host=\"example.org\";proto=http\r\n");
	expect_no("X-Hop");
	expect_no("Keep-Alive");
	expect_no("TE:");
	put(backend, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-B: 1\r\nConnection: close\r\n\r\nhello");
	get_head(client, text, sizeof(text));
	expect("HTTP/1.1 200 OK\r\n");
	expect("\r\nX-B: 1\r\n");
	expect_no("Connection");
	get_bytes(client, text, 5);
	assert_memory_equal(text, "hello", 5);
	close(client);
	close(backend);
}

static void both_connections_are_used_again(void **state)
{
	(void)state;
	start("");
	int client = gateway_client(f);
	int backend = ask(client, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
	for (int i = 0; i < 5; i++) {
		put(backend, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
		get_head(client, text, sizeof(text));
		get_bytes(client, text, 2);
		put(client, "GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
		get_head(backend, text, sizeof(text));
		expect("GET /next ");
	}
	close(client);
	close(backend);
}

static void an_upstream_that_was_closed_meanwhile_is_replaced_unseen(void **state)
{
	(void)state;
	start("");
	int client = gateway_client(f);
	int backend = ask(client, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
	put(backend, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	get_head(client, text, sizeof(text));
	close(backend);
	put(client, "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
	backend = gateway_backend(f);
	get_head(backend, text, sizeof(text));
	expect("GET /2 ");
	put(backend, "HTTP/1.1 204 No Content\r\n\r\n");
	get_head(client, text, sizeof(text));
	expect("HTTP/1.1 204 ");
	close(client);
	close(backend);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
	(void)state;
	start("");
	int client = gateway_client(f);
	int backend =
		ask(client, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n"
			    "\r\nabcGET /3 HTTP/1.1\r\nHost: a\r\n\r\n");
	for (int i = 1; i <= 3; i++) {
		char want[16];
		snprintf(want, sizeof(want), " /%d ", i);
		expect(want);
		if (i == 2)
			get_bytes(backend, text, 3);
		char answer[64];
		snprintf(answer, sizeof(answer), "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d", i);
		put(backend, answer);
		get_head(client, text, sizeof(text));
		get_bytes(client, text, 1);
		assert_int_equal(text[0], '0' + i);
		if (i < 3)
			get_head(backend, text, sizeof(text));
	}
	close(client);
	close(backend);
}

/* ---- what does not fit ---- */

static void refused_with(const char *request, const char *status)
{
	int client = gateway_client(f);
	put(client, request);
	get_rest(client, text, sizeof(text));
	if (strncmp(text + 9, status, 3) != 0)
		fail_msg("not %s but %.40s for %s", status, text, request);
	expect("\r\nConnection: close\r\n");
	close(client);
}

static void smuggled_requests_are_refused_and_the_connection_closes(void **state)
{
	(void)state;
	start("");
	static const char *const bad[] = {
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\nabc",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"PUT / HTTP/1.1\r\nHost:a\r\nTransfer-Encoding:chunked\r\nTransfer-Encoding:chunked\r\n\r\n0\r\n\r\n",
		"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"GET / HTTP/1.1\nHost: a\n\n",
		"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nX : a\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n folded\r\n\r\n",
		"GET / HTTP/1.1\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
		"GET / HTTP/1.2\r\nHost: a\r\n\r\n",
		"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
		" GET / HTTP/1.1\r\nHost: a\r\n\r\n",
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		refused_with(bad[i], "400");
	struct gateway_meter m;
	gateway_meters(f, &m);
	assert_int_equal(m.requests[1][4], sizeof(bad) / sizeof(*bad));
	assert_int_equal(m.http + m.idle, 0);
}

static void a_chunked_body_that_does_not_fit_is_refused_and_the_backend_sees_no_end(void **state)
{
	(void)state;
	start("");
	static const char *const bad[] = {
		"3\nabc\r\n0\r\n\r\n", "3\r\nabcX\r\n", "zz\r\n", "10000000000000000\r\n", " 3\r\nabc\r\n"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		int client = gateway_client(f);
		put(client, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
		int backend = gateway_backend(f);
		get_head(backend, text, sizeof(text));
		put(client, bad[i]);
		get_rest(client, text, sizeof(text));
		expect("HTTP/1.1 400 ");
		get_rest(backend, text, sizeof(text));
		expect_no("0\r\n\r\n");
		close(client);
		close(backend);
	}
}

static void limits_have_their_own_answers(void **state)
{
	(void)state;
	start("\"limits\": {\"header_bytes\": \"2Ki\", \"headers\": 10, \"body\": \"1Ki\"}");
	char big[8192] = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
	size_t n = strlen(big);
	memset(big + n, 'x', 4000);
	strcpy(big + n + 4000, "\r\n\r\n");
	refused_with(big, "431");
	char uri[8192] = "GET /";
	memset(uri + 5, 'x', 4000);
	strcpy(uri + 4005, " HTTP/1.1\r\nHost: a\r\n\r\n");
	refused_with(uri, "414");
	char many[2048] = "GET / HTTP/1.1\r\nHost: a\r\n";
	for (int i = 0; i < 10; i++)
		strcat(many, "X: 1\r\n");
	strcat(many, "\r\n");
	refused_with(many, "431");
	refused_with("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1025\r\n\r\n", "413");
	refused_with("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", "501");
	int client = gateway_client(f);
	int backend = ask(client, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
	memset(big, 'x', sizeof(big));
	put(client, "401\r\n");
	put_bytes(client, big, 0x401);
	get_rest(client, text, sizeof(text));
	expect("HTTP/1.1 413 ");
	close(client);
	close(backend);
}

static void slow_heads_and_idle_connections_are_ended(void **state)
{
	(void)state;
	start("\"timeouts\": {\"header\": \"200ms\", \"idle\": \"300ms\"}");
	refused_with("GET / HTTP/1.1\r\nHos", "408");
	int silent = gateway_client(f);
	get_end(silent);
	close(silent);
	int client = gateway_client(f);
	int backend = ask(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	put(backend, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	get_head(client, text, sizeof(text));
	get_end(client);
	close(client);
	close(backend);
}

/* As much as there is room for on its way. */
static void put_what_fits(int fd)
{
	static char big[65536];
	struct pollfd p = {fd, POLLOUT, 0};
	while (poll(&p, 1, 500) == 1)
		assert_true(send(fd, big, sizeof(big), MSG_DONTWAIT | MSG_NOSIGNAL) > 0);
}

static void take_what_is_there(int fd)
{
	static char big[65536];
	struct pollfd p = {fd, POLLIN, 0};
	while (poll(&p, 1, 500) == 1)
		assert_true(recv(fd, big, sizeof(big), MSG_DONTWAIT) > 0);
}

#define LONG_BODY "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n"

static void a_body_that_stops_coming_is_a_408(void **state)
{
	(void)state;
	start("\"timeouts\": {\"idle\": \"300ms\"}");
	static const char *const bodies[] = {
		"Content-Length: 10\r\n\r\n12345", "Transfer-Encoding: chunked\r\n\r\n5\r\n123"};
	for (size_t i = 0; i < 2; i++) {
		char request[256];
		int client = gateway_client(f);
		snprintf(request, sizeof(request), "POST / HTTP/1.1\r\nHost: a\r\n%s", bodies[i]);
		int backend = ask(client, request);
		get_rest(backend, text, sizeof(text)); /* the worker is given back */
		get_head(client, text, sizeof(text));
		expect("HTTP/1.1 408 ");
		expect("\r\nConnection: close\r\n");
		close(client);
		close(backend);
	}
}

static void a_body_that_trickles_is_a_408_where_it_has_to_keep_a_pace(void **state)
{
	(void)state;
	start("\"limits\": {\"body_rate\": \"240\"}");
	int client = gateway_client(f), backend = ask(client, LONG_BODY);
	struct pollfd p = {client, POLLIN, 0};
	int64_t until = milliseconds() + PACE_GRACE_MS + GATEWAY_PATIENCE_MS;
	while (poll(&p, 1, 100) == 0) {
		assert_true(milliseconds() < until);
		put(client, "x");
	}
	get_head(client, text, sizeof(text));
	expect("HTTP/1.1 408 ");
	get_rest(backend, text, sizeof(text));
	close(client);
	close(backend);
}

static void for_a_worker_s_slowness_its_client_does_not_pay(void **state)
{
	(void)state;
	start("\"limits\": {\"body_rate\": \"1Ki\"}");
	int client = gateway_client(f), backend = ask(client, LONG_BODY);
	put_what_fits(client);
	get_nothing(client, PACE_GRACE_MS + 1000);
	take_what_is_there(backend);
	put(client, "more");
	get_nothing(client, 500);
	put(backend, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	get_head(client, text, sizeof(text));
	expect("HTTP/1.1 200 OK\r\n");
	close(client);
	close(backend);
}

static void a_worker_that_does_not_take_a_body_is_a_504(void **state)
{
	(void)state;
	start("\"timeouts\": {\"response\": \"1s\"}");
	int client = gateway_client(f), backend = ask(client, LONG_BODY);
	put_what_fits(client);
	get_head(client, text, sizeof(text));
	expect("HTTP/1.1 504 ");
	close(client);
	close(backend);
}

/* ---- bodies ---- */

static void one_hundred_continue_is_relayed_end_to_end(void **state)
{
	(void)state;
	start("");
	int client = gateway_client(f);
	int backend = ask(client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
	expect("\r\nExpect: 100-continue\r\n");
	get_nothing(client, 50);
	put(backend, "HTTP/1.1 100 Continue\r\n\r\n");
	get_head(client, text, sizeof(text));
	expect("HTTP/1.1 100 Continue\r\n\r\n");
	put(client, "data");
	get_bytes(backend, text, 4);
	put(backend,
		"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok");
	get_head(client, text, sizeof(text));
	expect("HTTP/1.1 103 ");
	expect("Link: </a>");
	get_head(client, text, sizeof(text));
	expect("HTTP/1.1 201 Created\r\n");
	get_bytes(client, text, 2);
	close(client);
	close(backend);
}

static void an_early_answer_is_relayed_and_then_the_connection_closes(void **state)
{
	(void)state;
	start("");
	int client = gateway_client(f);
	int backend = ask(client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nabc");
	put(backend, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno");
	get_rest(client, text, sizeof(text));
	expect("HTTP/1.1 413 ");
	expect("\r\nConnection: close\r\n");
	expect("\r\n\r\nno");
	close(client);
	close(backend);
}

/* Reads a chunked body; its length. */
static size_t get_chunked(int fd, char *out, size_t size)
{
	size_t n = 0;
	for (;;) {
		char line[32];
		size_t k = 0;
		while (k < 2 || line[k - 1] != '\n')
			get_bytes(fd, &line[k++], 1);
		line[k] = '\0';
		size_t len = strtoul(line, NULL, 16);
		assert_true(n + len < size);
		get_bytes(fd, out + n, len);
		n += len;
		get_bytes(fd, line, 2);
		assert_memory_equal(line, "\r\n", 2);
		if (len == 0)
			return n;
	}
}

static void chunked_bodies_pass_in_both_directions_whatever_their_cut(void **state)
{
	(void)state;
	start("");
	static const char body[] = "5;ext=1\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\nX-Trailer: 1\r\n\r\n";
	int client = gateway_client(f);
	int backend = -1;
	for (int step = 1; step < 12; step += 5) {
		put(client, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
		if (backend < 0)
			backend = gateway_backend(f);
		get_head(backend, text, sizeof(text));
		expect("\r\nTransfer-Encoding: chunked\r\n");
		for (size_t at = 0; at < sizeof(body) - 1; at += (size_t)step) {
			size_t left = sizeof(body) - 1 - at;
			put_bytes(client, body + at, left < (size_t)step ? left : (size_t)step);
			usleep(300);
		}
		assert_int_equal(get_chunked(backend, text, sizeof(text)), 11);
		assert_memory_equal(text, "hello world", 11);
		put(backend, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
		for (size_t at = 0; at < sizeof(body) - 1; at += (size_t)step) {
			size_t left = sizeof(body) - 1 - at;
			put_bytes(backend, body + at, left < (size_t)step ? left : (size_t)step);
			usleep(300);
		}
		get_head(client, text, sizeof(text));
		assert_int_equal(get_chunked(client, text, sizeof(text)), 11);
		assert_memory_equal(text, "hello world", 11);
	}
	close(client);
	close(backend);
}

static void a_body_that_ends_with_the_connection_becomes_chunked(void **state)
{
	(void)state;
	start("");
	int client = gateway_client(f);
	int backend = ask(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	put(backend, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil");
	usleep(2000);
	put(backend, " the end");
	close(backend);
	get_head(client, text, sizeof(text));
	expect("\r\nTransfer-Encoding: chunked\r\n");
	assert_int_equal(get_chunked(client, text, sizeof(text)), 13);
	assert_memory_equal(text, "until the end", 13);
	put(client, "GET /again HTTP/1.1\r\nHost: a\r\n\r\n");
	backend = gateway_backend(f);
	close(backend);
	close(client);
}

static void an_http_1_0_client_gets_a_body_without_chunks(void **state)
{
	(void)state;
	start("");
	int client = gateway_client(f);
	int backend = ask(client, "GET / HTTP/1.0\r\n\r\n");
	expect("GET / HTTP/1.1\r\n");
	put(backend, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
	get_rest(client, text, sizeof(text));
	expect("\r\nConnection: close\r\n");
	expect("\r\n\r\nabcde");
	expect_no("chunked");
	close(client);
	client = gateway_client(f);
	put(client, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	get_head(backend, text, sizeof(text));
	put(backend, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx");
	get_head(client, text, sizeof(text));
	expect("\r\nConnection: keep-alive\r\n");
	close(client);
	close(backend);
}

static void answers_without_a_body_have_none(void **state)
{
	(void)state;
	start("");
	int client = gateway_client(f);
	int backend = ask(client, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
	put(backend, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
	get_head(client, text, sizeof(text));
	expect("\r\nContent-Length: 1000\r\n");
	put(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	get_head(backend, text, sizeof(text));
	put(backend, "HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\nETag: \"x\"\r\n\r\n");
	get_head(client, text, sizeof(text));
	expect("HTTP/1.1 304 ");
	put(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	get_head(backend, text, sizeof(text));
	put(backend, "HTTP/1.1 204 No Content\r\n\r\n");
	get_head(client, text, sizeof(text));
	expect("HTTP/1.1 204 ");
	close(client);
	close(backend);
}

static size_t resident(void)
{
	size_t pages = 0, ignored;
	FILE *statm = fopen("/proc/self/statm", "re");
	assert_int_equal(fscanf(statm, "%zu %zu", &ignored, &pages), 2);
	fclose(statm);
	return pages * 4096;
}

enum { BIG = 50 * 1024 * 1024 };

static unsigned char byte_at(size_t i)
{
	return (unsigned char)(i * 2654435761U >> 13);
}

/* Sends BIG bytes from one socket and reads them from the other, which only looks when the first is stuck. */
static void stream_big(int from, int to)
{
	static unsigned char out[1 << 16], in[1 << 16];
	size_t sent = 0, got = 0, most = 0, before = resident();
	for (int64_t until = milliseconds() + 60000; got < BIG && milliseconds() < until;) {
		size_t n = sizeof(out) < BIG - sent ? sizeof(out) : BIG - sent;
		for (size_t i = 0; i < n; i++)
			out[i] = byte_at(sent + i);
		ssize_t done = n ? send(from, out, n, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
		sent += done > 0 ? (size_t)done : 0;
		if (done > 0 && (size_t)done == n)
			continue;
		usleep(500);
		done = recv(to, in, sizeof(in), MSG_DONTWAIT);
		for (ssize_t i = 0; i < done; i++)
			if (in[i] != byte_at(got + (size_t)i))
				fail_msg("byte %zu differs", got + (size_t)i);
		got += done > 0 ? (size_t)done : 0;
		most = resident() > most ? resident() : most;
	}
	assert_int_equal(got, BIG);
	(void)before;
#ifndef __SANITIZE_ADDRESS__ /* which keeps what was freed */
	assert_true(most < before + 4 * 1024 * 1024);
#endif
}

static void big_bodies_pass_slow_readers_in_little_memory(void **state)
{
	(void)state;
	start("");
	char head[128];
	int client = gateway_client(f);
	snprintf(head, sizeof(head), "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", BIG);
	int backend = ask(client, head);
	stream_big(client, backend);
	snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", BIG);
	put(backend, head);
	get_head(client, text, sizeof(text));
	stream_big(backend, client);
	put(client, "GET /after HTTP/1.1\r\nHost: a\r\n\r\n");
	get_head(backend, text, sizeof(text));
	expect("GET /after ");
	close(client);
	close(backend);
}

/* ---- when the backend is not there ---- */

static void a_request_waits_while_the_worker_restarts(void **state)
{
	(void)state;
	start("\"hold\": \"5s\"");
	gateway_worker(f, false);
	int client = gateway_client(f);
	put(client, "POST /held HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\ndata");
	get_nothing(client, 100);
	gateway_worker(f, true);
	int backend = gateway_backend(f);
	get_head(backend, text, sizeof(text));
	expect("POST /held ");
	get_bytes(backend, text, 4);
	put(backend, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	get_head(client, text, sizeof(text));
	expect("HTTP/1.1 200 ");
	close(client);
	close(backend);
}

static void a_refused_connect_is_tried_again_until_somebody_listens(void **state)
{
	(void)state;
	start("\"hold\": \"5s\"");
	gateway_backend_stop(f);
	int client = gateway_client(f);
	put(client, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
	get_nothing(client, 150);
	gateway_backend_start(f);
	int backend = gateway_backend(f);
	get_head(backend, text, sizeof(text));
	expect("GET /later ");
	put(backend, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	get_head(client, text, sizeof(text));
	close(client);
	close(backend);
}

static void after_the_hold_there_is_an_answer_that_says_when_to_try_again(void **state)
{
	(void)state;
	start("\"hold\": \"100ms\"");
	gateway_worker(f, false);
	int client = gateway_client(f);
	put(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	get_head(client, text, sizeof(text));
	expect("HTTP/1.1 503 ");
	expect("\r\nRetry-After: 1\r\n");
	close(client);
	gateway_worker(f, true);
	gateway_backend_stop(f);
	client = gateway_client(f);
	put(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	get_head(client, text, sizeof(text));
	expect("HTTP/1.1 502 ");
	expect("\r\nRetry-After: 1\r\n");
	close(client);
	gateway_backend_start(f);
}

static void only_so_many_requests_are_held(void **state)
{
	(void)state;
	start("\"hold\": \"5s\", \"hold_requests\": 2");
	gateway_worker(f, false);
	int clients[3];
	for (int i = 0; i < 3; i++) {
		clients[i] = gateway_client(f);
		put(clients[i], "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
		if (i < 2)
			get_nothing(clients[i], 30);
	}
	get_head(clients[2], text, sizeof(text));
	expect("HTTP/1.1 503 ");
	for (int i = 0; i < 3; i++)
		close(clients[i]);
}

static void a_backend_that_dies_before_it_answers_is_a_502(void **state)
{
	(void)state;
	start("");
	int client = gateway_client(f);
	int backend = ask(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	close(backend);
	get_head(client, text, sizeof(text));
	expect("HTTP/1.1 502 ");
	close(client);
}

static void a_backend_that_dies_within_its_answer_leaves_it_visibly_cut(void **state)
{
	(void)state;
	start("");
	int client = gateway_client(f);
	int backend = ask(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	put(backend, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
	get_head(client, text, sizeof(text));
	close(backend);
	get_rest(client, text, sizeof(text));
	assert_string_equal(text, "3\r\nabc\r\n");
	close(client);
}

static void a_backend_that_speaks_nonsense_is_a_502(void **state)
{
	(void)state;
	start("");
	static const char *const bad[] = {"HTTP/1.1 OK\r\n\r\n", "hello\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		int client = gateway_client(f);
		int backend = ask(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
		put(backend, bad[i]);
		get_head(client, text, sizeof(text));
		expect("HTTP/1.1 502 ");
		get_end(backend);
		close(client);
		close(backend);
	}
}

static void a_silent_backend_is_a_504(void **state)
{
	(void)state;
	start("\"timeouts\": {\"response\": \"150ms\"}");
	int client = gateway_client(f);
	int backend = ask(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	get_head(client, text, sizeof(text));
	expect("HTTP/1.1 504 ");
	close(client);
	close(backend);
}

static void bytes_that_nobody_asked_for_end_an_upstream_connection(void **state)
{
	(void)state;
	start("");
	int client = gateway_client(f);
	int backend = ask(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	put(backend, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 Poison\r\nContent-Length: 0\r\n\r\n");
	get_head(client, text, sizeof(text));
	put(client, "GET /second HTTP/1.1\r\nHost: a\r\n\r\n");
	int other = gateway_backend(f);
	get_head(other, text, sizeof(text));
	expect("GET /second ");
	put(other, "HTTP/1.1 200 Clean\r\nContent-Length: 0\r\n\r\n");
	get_head(client, text, sizeof(text));
	expect("200 Clean");
	close(client);
	close(backend);
	close(other);
}

/* ---- routes and fields ---- */

static void the_longest_prefix_wins_and_is_matched_by_segments(void **state)
{
	(void)state;
	f = gateway_start("", "[{\"path\": \"/api\", \"worker\": \"api\", \"to\": \"BACKEND\"},"
			      " {\"path\": \"/api/none\", \"to\": \"127.0.0.1:1\"}]");
	int client = gateway_client(f);
	int backend = ask(client, "GET /api?x HTTP/1.1\r\nHost: a\r\n\r\n");
	expect("GET /api?x ");
	put(backend, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	get_head(client, text, sizeof(text));
	put(client, "GET /apiary HTTP/1.1\r\nHost: a\r\n\r\n");
	get_head(client, text, sizeof(text));
	expect("HTTP/1.1 404 ");
	close(client);
	close(backend);
}

static void a_rewrite_takes_the_place_of_the_prefix(void **state)
{
	(void)state;
	static const char *const cases[][4] = {
		/* path, rewrite, asked, seen */
		{"/api", "/", "/api/x?y", "/x?y"},
		{"/api", "/", "/api", "/"},
		{"/api", "/", "/api?q", "/?q"},
		{"/api/", "/v2", "/api/x", "/v2/x"},
		{"/api", "/v2/", "/api/x", "/v2/x"},
		{"/api", "/v2", "/api//x", "/v2//x"},
		{"/", "/base", "/x", "/base/x"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char route[256], request[128], want[64];
		snprintf(route, sizeof(route), "[{\"path\": \"%s\", \"to\": \"BACKEND\", \"rewrite\": \"%s\"}]",
			cases[i][0], cases[i][1]);
		snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", cases[i][2]);
		snprintf(want, sizeof(want), "GET %s HTTP/1.1\r\n", cases[i][3]);
		f = gateway_start("", route);
		int client = gateway_client(f);
		int backend = ask(client, request);
		expect(want);
		close(client);
		close(backend);
		gateway_tear_down(NULL);
	}
}

static void forwarding_fields_are_extended_for_those_who_are_trusted_and_replaced_for_others(void **state)
{
	(void)state;
	static const char request[] =
		"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4\r\n"
		"X-Forwarded-For: 5.6.7.8\r\nX-Forwarded-Proto: https\r\nForwarded: for=1.2.3.4\r\n\r\n";
	static const char *const modes[] = {
		"", "\"trusted\": [\"10.0.0.0/8\"]", "\"forwarded\": \"replace\"", "\"forwarded\": \"off\""};
	for (int i = 0; i < 4; i++) {
		start(modes[i]);
		int client = gateway_client(f);
		int backend = ask(client, request);
		if (i == 0) {
			expect("\r\nX-Forwarded-For: 1.2.3.4, 5.6.7.8, 127.0.0.1\r\n");
			expect("\r\nX-Forwarded-Proto: https\r\n");
			expect("\r\nForwarded: for=1.2.3.4, for=127.0.0.1;");
		} else if (i < 3) {
			expect("\r\nX-Forwarded-For: 127.0.0.1\r\n");
			expect("\r\nX-Forwarded-Proto: http\r\n");
			expect("\r\nForwarded: for=127.0.0.1;");
			expect_no("1.2.3.4");
		} else {
			expect("\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-For: 5.6.7.8\r\n");
			expect_no("127.0.0.1;");
		}
		close(client);
		close(backend);
		gateway_tear_down(NULL);
	}
}

static void absolute_targets_win_over_host(void **state)
{
	(void)state;
	start("");
	int client = gateway_client(f);
	int backend = ask(client, "GET http://right.example/x HTTP/1.1\r\nHost: wrong.example\r\n\r\n");
	expect("GET /x HTTP/1.1\r\n");
	expect("\r\nHost: right.example\r\n");
	expect_no("wrong");
	close(client);
	close(backend);
}

static void a_client_that_ends_its_direction_still_gets_its_answer(void **state)
{
	(void)state;
	start("");
	int client = gateway_client(f);
	int backend = ask(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	shutdown(client, SHUT_WR);
	usleep(20000);
	put(backend, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
	get_rest(client, text, sizeof(text));
	expect("\r\n\r\nok");
	close(client);
	close(backend);
}

static void a_client_that_is_gone_takes_its_request_along(void **state)
{
	(void)state;
	start("");
	int client = gateway_client(f);
	int backend = ask(client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
	get_bytes(backend, text, 3);
	close(client);
	get_end(backend);
	close(backend);
}

static void connections_beyond_the_limit_wait_their_turn(void **state)
{
	(void)state;
	start("\"limits\": {\"connections\": 1}");
	int first = gateway_client(f), second = gateway_client(f);
	int backend = ask(first, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
	put(second, "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
	get_nothing(backend, 100);
	put(backend, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	get_head(first, text, sizeof(text));
	close(first);
	get_head(backend, text, sizeof(text));
	expect("GET /2 ");
	close(second);
	close(backend);
}

static void an_idle_gateway_does_not_wake_up(void **state)
{
	(void)state;
	start("");
	gateway_meters(f, &(struct gateway_meter){0});
	uint64_t before = gateway_turns(f);
	usleep(300000);
	assert_true(gateway_turns(f) - before <= 1);
}

/* ---- the drain of HTTP ---- */

static void a_lame_duck_serves_and_says_close(void **state)
{
	(void)state;
	start("");
	int client = gateway_client(f);
	int backend = ask(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	gateway_effect(f, EFFECT_GATEWAY_LAME_DUCK, 0);
	put(backend, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	get_head(client, text, sizeof(text));
	expect("\r\nConnection: close\r\n");
	get_end(client);
	close(client);
	client = gateway_client(f);
	put(client, "GET /new HTTP/1.1\r\nHost: a\r\n\r\n");
	get_head(backend, text, sizeof(text));
	put(backend, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	get_head(client, text, sizeof(text));
	expect("\r\nConnection: close\r\n");
	close(client);
	gateway_effect(f, EFFECT_GATEWAY_SERVE, 0);
	client = gateway_client(f);
	put(client, "GET /again HTTP/1.1\r\nHost: a\r\n\r\n");
	get_head(backend, text, sizeof(text));
	put(backend, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	get_head(client, text, sizeof(text));
	expect_no("Connection: close");
	close(client);
	close(backend);
}

static void draining_ends_what_is_idle_at_once_and_what_is_under_way_when_it_is_done(void **state)
{
	(void)state;
	start("");
	int idle = gateway_client(f), busy = gateway_client(f);
	int backend = ask(idle, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
	put(backend, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	get_head(idle, text, sizeof(text));
	put(busy, "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
	get_head(backend, text, sizeof(text));
	gateway_effect(f, EFFECT_GATEWAY_DRAIN, 1000);
	get_end(idle);
	close(idle);
	assert_false(gateway_awaits(f, EVENT_GATEWAY_EMPTY, 100, NULL));
	put(backend, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlast");
	get_rest(busy, text, sizeof(text));
	expect("\r\nConnection: close\r\n");
	expect("\r\n\r\nlast");
	close(busy);
	assert_true(gateway_awaits(f, EVENT_GATEWAY_EMPTY, GATEWAY_PATIENCE_MS, NULL));
	get_end(backend);
	close(backend);
	assert_int_equal(gateway_count(f, EVENT_GATEWAY_EMPTY), 1);
}

static void what_waits_in_the_backlog_is_served_before_the_listener_closes(void **state)
{
	(void)state;
	start("\"limits\": {\"connections\": 1}");
	int first = gateway_client(f), second = gateway_client(f);
	put(first, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
	put(second, "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
	int one = gateway_backend(f);
	gateway_effect(f, EFFECT_GATEWAY_DRAIN, 1000);
	int two = gateway_backend(f);
	put(one, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	put(two, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	get_rest(first, text, sizeof(text));
	expect("200 OK");
	get_rest(second, text, sizeof(text));
	expect("200 OK");
	close(first);
	close(second);
	assert_true(gateway_awaits(f, EVENT_GATEWAY_EMPTY, GATEWAY_PATIENCE_MS, NULL));
	close(one);
	close(two);
}

static void requests_are_cut_when_http_grace_is_over(void **state)
{
	(void)state;
	start("\"drain\": {\"http_grace\": \"200ms\"}");
	int client = gateway_client(f);
	int backend = ask(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	gateway_effect(f, EFFECT_GATEWAY_DRAIN, 1000);
	get_rest(client, text, sizeof(text));
	expect("HTTP/1.1 502 ");
	close(client);
	close(backend);
	assert_true(gateway_awaits(f, EVENT_GATEWAY_EMPTY, GATEWAY_PATIENCE_MS, NULL));
}

static void after_an_undrain_it_listens_again(void **state)
{
	(void)state;
	start("");
	gateway_effect(f, EFFECT_GATEWAY_DRAIN, 1000);
	assert_true(gateway_awaits(f, EVENT_GATEWAY_EMPTY, GATEWAY_PATIENCE_MS, NULL));
	gateway_effect(f, EFFECT_GATEWAY_SERVE, 0);
	for (int64_t until = milliseconds() + 5000;
		gateway_count(f, EVENT_GATEWAY_LISTENING) < 2 && milliseconds() < until;)
		usleep(1000);
	assert_int_equal(gateway_count(f, EVENT_GATEWAY_LISTENING), 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, gateway_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_request_is_written_anew_and_its_answer_comes_back),
		TEST(both_connections_are_used_again),
		TEST(an_upstream_that_was_closed_meanwhile_is_replaced_unseen),
		TEST(pipelined_requests_are_answered_in_order),
		TEST(smuggled_requests_are_refused_and_the_connection_closes),
		TEST(a_chunked_body_that_does_not_fit_is_refused_and_the_backend_sees_no_end),
		TEST(limits_have_their_own_answers),
		TEST(slow_heads_and_idle_connections_are_ended),
		TEST(a_body_that_stops_coming_is_a_408),
		TEST(a_body_that_trickles_is_a_408_where_it_has_to_keep_a_pace),
		TEST(for_a_worker_s_slowness_its_client_does_not_pay),
		TEST(a_worker_that_does_not_take_a_body_is_a_504),
		TEST(one_hundred_continue_is_relayed_end_to_end),
		TEST(an_early_answer_is_relayed_and_then_the_connection_closes),
		TEST(chunked_bodies_pass_in_both_directions_whatever_their_cut),
		TEST(a_body_that_ends_with_the_connection_becomes_chunked),
		TEST(an_http_1_0_client_gets_a_body_without_chunks),
		TEST(answers_without_a_body_have_none),
		TEST(big_bodies_pass_slow_readers_in_little_memory),
		TEST(a_request_waits_while_the_worker_restarts),
		TEST(a_refused_connect_is_tried_again_until_somebody_listens),
		TEST(after_the_hold_there_is_an_answer_that_says_when_to_try_again),
		TEST(only_so_many_requests_are_held),
		TEST(a_backend_that_dies_before_it_answers_is_a_502),
		TEST(a_backend_that_dies_within_its_answer_leaves_it_visibly_cut),
		TEST(a_backend_that_speaks_nonsense_is_a_502),
		TEST(a_silent_backend_is_a_504),
		TEST(bytes_that_nobody_asked_for_end_an_upstream_connection),
		TEST(the_longest_prefix_wins_and_is_matched_by_segments),
		TEST(a_rewrite_takes_the_place_of_the_prefix),
		TEST(forwarding_fields_are_extended_for_those_who_are_trusted_and_replaced_for_others),
		TEST(absolute_targets_win_over_host),
		TEST(a_client_that_ends_its_direction_still_gets_its_answer),
		TEST(a_client_that_is_gone_takes_its_request_along),
		TEST(connections_beyond_the_limit_wait_their_turn),
		TEST(an_idle_gateway_does_not_wake_up),
		TEST(a_lame_duck_serves_and_says_close),
		TEST(draining_ends_what_is_idle_at_once_and_what_is_under_way_when_it_is_done),
		TEST(what_waits_in_the_backlog_is_served_before_the_listener_closes),
		TEST(requests_are_cut_when_http_grace_is_over),
		TEST(after_an_undrain_it_listens_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
