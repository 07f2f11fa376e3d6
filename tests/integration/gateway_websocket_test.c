#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway_fixture.h"
#include "podvisor/base/buf.h"
#include "podvisor/base/random.h"
#include "podvisor/wire/websocket.h"

static const uint8_t key[4] = {1, 2, 3, 4};
static const uint8_t *const by_client = key, *const by_server = NULL;

static struct gateway_fixture *f;

/* ---- frames ---- */

static void add_frame(
	struct buf *out, enum websocket_opcode opcode, bool fin, const void *payload, size_t n, const uint8_t *mask)
{
	assert_int_equal(websocket_frame_head(out, opcode, fin, n, mask), 0);
	size_t at = out->len;
	assert_int_equal(buf_put(out, payload, n), 0);
	if (mask)
		websocket_mask(out->data + at, n, mask, 0);
}

static void send_text(int fd, const char *text, const uint8_t *mask)
{
	struct buf b;
	buf_init(&b, 1 << 20);
	add_frame(&b, WEBSOCKET_TEXT, true, text, strlen(text), mask);
	put_bytes(fd, b.data, b.len);
	buf_fini(&b);
}

static void send_close(int fd, uint16_t code, const uint8_t *mask)
{
	struct buf b;
	buf_init(&b, 200);
	assert_int_equal(websocket_close_frame(&b, code, "", mask), 0);
	put_bytes(fd, b.data, b.len);
	buf_fini(&b);
}

/* The next frame, unmasked; its payload as a string. */
static struct websocket_frame get_frame(int fd, char *payload, size_t size)
{
	struct websocket_frame frame;
	char head[WEBSOCKET_HEAD_BYTES];
	size_t n = 0;
	do {
		get_bytes(fd, head + n, 1);
		n++;
	} while (!websocket_frame_decode(&frame, (struct span){head, n}));
	assert_true(frame.length < size);
	get_bytes(fd, payload, frame.length);
	if (frame.masked)
		websocket_mask(payload, frame.length, frame.key, 0);
	payload[frame.length] = '\0';
	return frame;
}

static void expect_text(int fd, const char *text)
{
	char payload[4096];
	struct websocket_frame frame = get_frame(fd, payload, sizeof(payload));
	assert_int_equal(frame.opcode, WEBSOCKET_TEXT);
	assert_string_equal(payload, text);
}

static void expect_close(int fd, int code, const char *reason, bool masked)
{
	char payload[256];
	struct websocket_frame frame = get_frame(fd, payload, sizeof(payload));
	assert_int_equal(frame.opcode, WEBSOCKET_CLOSE);
	assert_int_equal(frame.masked, masked);
	assert_true(frame.fin && frame.rsv == 0 && frame.length >= 2);
	assert_int_equal((unsigned char)payload[0] << 8 | (unsigned char)payload[1], code);
	assert_string_equal(payload + 2, reason);
}

static void hang_up(struct pair p)
{
	close(p.client);
	close(p.backend);
}

/* A gateway with these settings, and one WebSocket through it. */
static struct pair open_pair(const char *settings)
{
	f = gateway_start(settings, NULL);
	return gateway_websocket(f);
}

/* Until the drain is over; what was counted by then. */
static struct gateway_meter await_empty(void)
{
	struct gateway_meter m;
	assert_true(gateway_awaits(f, EVENT_GATEWAY_EMPTY, GATEWAY_PATIENCE_MS, NULL));
	gateway_meters(f, &m);
	assert_int_equal(m.websocket, 0);
	return m;
}

/* ---- passing ---- */

/* A random but valid stream of one sender. */
static void make_stream(struct buf *out, struct random *r, size_t messages, const uint8_t *mask)
{
	static char payload[70000];
	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (char)random_next(r);
	for (size_t i = 0; i < messages; i++) {
		static const size_t sizes[] = {0, 1, 125, 126, 127, 1000, 65535, 65536, 69999};
		int parts = 1 + (int)random_below(r, 3);
		for (int p = 0; p < parts; p++) {
			if (random_below(r, 4) == 0)
				add_frame(out, WEBSOCKET_PING, true, payload, random_below(r, 126), mask);
			size_t n = sizes[random_below(r, i % 8 ? 6 : 9)];
			add_frame(out, p ? WEBSOCKET_CONTINUATION : WEBSOCKET_BINARY, p == parts - 1, payload, n, mask);
		}
	}
}

/* Moves both streams at a time, in random pieces; what arrives has to be what was sent. */
static void every_byte_passes_unchanged_however_the_stream_is_cut(void **state)
{
	(void)state;
	f = gateway_start("", NULL);
	struct random r = {11};
	uint64_t before[2] = {0, 0};
	for (int round = 0; round < 6; round++) {
		struct pair p = gateway_websocket(f);
		struct buf streams[2];
		size_t sent[2] = {0, 0}, got[2] = {0, 0};
		int from[2] = {p.client, p.backend}, to[2] = {p.backend, p.client};
		static char in[100000];
		for (int d = 0; d < 2; d++) {
			buf_init(&streams[d], 64 << 20);
			make_stream(&streams[d], &r, 60, d ? by_server : by_client);
		}
		size_t most = round == 0 ? 7 : round == 1 ? 200 : 90000;
		if (round == 0)
			streams[0].len = streams[1].len = 20000; /* in pieces of a few bytes; ends within a frame */
		for (int64_t until = milliseconds() + 30000; milliseconds() < until;) {
			for (int d = 0; d < 2; d++) {
				size_t left = streams[d].len - sent[d], n = 1 + random_below(&r, most);
				ssize_t done = send(from[d], streams[d].data + sent[d], n < left ? n : left,
					MSG_DONTWAIT | MSG_NOSIGNAL);
				sent[d] += done > 0 ? (size_t)done : 0;
				done = recv(to[d], in, 1 + random_below(&r, sizeof(in)), MSG_DONTWAIT);
				if (done > 0)
					assert_memory_equal(in, streams[d].data + got[d], (size_t)done);
				got[d] += done > 0 ? (size_t)done : 0;
			}
			if (got[0] == streams[0].len && got[1] == streams[1].len)
				break;
		}
		assert_int_equal(got[0], streams[0].len);
		assert_int_equal(got[1], streams[1].len);
		struct gateway_meter m;
		gateway_meters(f, &m);
		for (int d = 0; d < 2; d++) {
			if (round)
				assert_int_equal(m.messages[d] - before[d], 60);
			before[d] = m.messages[d];
			buf_fini(&streams[d]);
		}
		hang_up(p);
	}
}

static void the_handshake_passes_its_fields_both_ways(void **state)
{
	(void)state;
	f = gateway_start("", NULL);
	char head[2048];
	int client = gateway_client(f);
	put(client, "GET /live HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
		    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
		    "Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Protocol: chat\r\n\r\n");
	int backend = gateway_backend(f);
	get_head(backend, head, sizeof(head));
	static const char *const up[] = {"\r\nConnection: upgrade\r\n", "\r\nUpgrade: websocket\r\n",
		"\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "\r\nSec-WebSocket-Version: 13\r\n",
		"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n", "\r\nSec-WebSocket-Protocol: chat\r\n"};
	for (size_t i = 0; i < sizeof(up) / sizeof(*up); i++)
		assert_non_null(strstr(head, up[i]));
	/* The backend speaks in the same packet that grants the upgrade, and the client's frame comes in pieces. */
	struct buf b;
	buf_init(&b, 4096);
	buf_puts(&b, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		     "Sec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: chat\r\n\r\n");
	add_frame(&b, WEBSOCKET_TEXT, true, "welcome", 7, by_server);
	put_bytes(backend, b.data, b.len);
	buf_fini(&b);
	get_head(client, head, sizeof(head));
	assert_non_null(strstr(head, "\r\nSec-WebSocket-Accept: x\r\n"));
	assert_non_null(strstr(head, "\r\nSec-WebSocket-Protocol: chat\r\n"));
	assert_null(strstr(head, "close"));
	expect_text(client, "welcome");
	send_text(client, "thanks", by_client);
	expect_text(backend, "thanks");
	close(client);
	close(backend);
}

static void an_upgrade_that_the_backend_declines_is_an_ordinary_answer(void **state)
{
	(void)state;
	f = gateway_start("", NULL);
	char head[2048];
	int client = gateway_client(f);
	put(client, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
	int backend = gateway_backend(f);
	get_head(backend, head, sizeof(head));
	put(backend, "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n");
	get_head(client, head, sizeof(head));
	assert_non_null(strstr(head, "HTTP/1.1 426 "));
	put(client,
		"POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n");
	get_head(backend, head, sizeof(head));
	assert_null(strstr(head, "pgrade"));
	close(client);
	close(backend);
}

static void a_goodbye_of_the_two_ends_passes_as_it_is(void **state)
{
	(void)state;
	struct pair p = open_pair("");
	send_close(p.client, 1000, by_client);
	expect_close(p.backend, 1000, "", true);
	send_close(p.backend, 1000, by_server);
	shutdown(p.backend, SHUT_WR);
	expect_close(p.client, 1000, "", false);
	get_end(p.client);
	close(p.client);
	get_end(p.backend);
	close(p.backend);
	struct gateway_meter m;
	gateway_meters(f, &m);
	assert_int_equal(m.closes_by_client, 1);
	assert_int_equal(m.closes_by_podvisor, 0);
}

static void a_client_that_vanishes_ends_the_backend_s_side(void **state)
{
	(void)state;
	struct pair p = open_pair("");
	close(p.client);
	get_end(p.backend);
	close(p.backend);
}

/* ---- the drain ---- */

static void raise_descriptors(void)
{
	struct rlimit limit;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* One end of one of many WebSockets, read without blocking. */
struct ear {
	int fd;
	struct buf heard;
	bool ended;
};

static void listen_to(struct ear *ears, size_t n, int ms)
{
	static struct pollfd polls[1024];
	assert_true(n <= 1024);
	for (size_t i = 0; i < n; i++)
		polls[i] = (struct pollfd){ears[i].ended ? -1 : ears[i].fd, POLLIN, 0};
	if (poll(polls, n, ms) <= 0)
		return;
	for (size_t i = 0; i < n; i++) {
		char in[4096];
		if (!polls[i].revents)
			continue;
		ssize_t done = recv(ears[i].fd, in, sizeof(in), MSG_DONTWAIT);
		if (done < 0)
			fail_msg("an end was broken: %s", strerror(errno));
		ears[i].ended = done == 0;
		buf_put(&ears[i].heard, in, (size_t)done);
	}
}

/* Whole frames only; the Closes among them. */
static int count_closes(const struct buf *heard, int code, size_t *texts)
{
	size_t at = 0;
	int closes = 0;
	*texts = 0;
	while (at < heard->len) {
		struct websocket_frame frame;
		size_t n = websocket_frame_decode(&frame, (struct span){heard->data + at, heard->len - at});
		assert_true(n && at + n + frame.length <= heard->len);
		if (frame.opcode == WEBSOCKET_CLOSE) {
			char payload[128];
			memcpy(payload, heard->data + at + n, frame.length);
			if (frame.masked)
				websocket_mask(payload, frame.length, frame.key, 0);
			assert_int_equal((unsigned char)payload[0] << 8 | (unsigned char)payload[1], code);
			closes++;
		} else {
			assert_int_equal(closes, 0);
			++*texts;
		}
		at += n + frame.length;
	}
	return closes;
}

/* 200 WebSockets; every fourth backend is within a frame when the drain begins, and ends it a while later. */
static void every_client_and_every_backend_is_told_once_and_no_frame_is_cut(void **state)
{
	(void)state;
	enum { N = 200 };
	static struct ear clients[N], backends[N];
	static bool answered[N];
	raise_descriptors();
	f = gateway_start("\"drain\": {\"message_wait\": \"3s\"}", NULL);
	for (int i = 0; i < N; i++) {
		struct pair p = gateway_websocket(f);
		clients[i] = (struct ear){.fd = p.client};
		backends[i] = (struct ear){.fd = p.backend};
		buf_init(&clients[i].heard, 1 << 16);
		buf_init(&backends[i].heard, 1 << 16);
		answered[i] = false;
	}
	for (int i = 0; i < N; i += 4)
		put_bytes(backends[i].fd, "\x81\x05he", 4);
	for (int i = 1; i < N; i += 4)
		send_text(backends[i].fd, "whole", by_server);
	gateway_effect(f, EFFECT_GATEWAY_DRAIN, 400);
	int64_t begun = milliseconds();
	bool completed = false;
	for (size_t open = 1; open && milliseconds() < begun + 10000;) {
		listen_to(clients, N, 5);
		listen_to(backends, N, 0);
		if (!completed && milliseconds() > begun + 600) {
			for (int i = 0; i < N; i += 4)
				put_bytes(backends[i].fd, "llo", 3);
			completed = true;
		}
		open = 0;
		for (int i = 0; i < N; i++) {
			size_t texts, len = clients[i].heard.len;
			const char *last = clients[i].heard.data;
			open += !clients[i].ended || !backends[i].ended;
			if (answered[i] || len < 19 || memcmp(last + len - 19, "\x88\x11", 2) != 0)
				continue;
			assert_int_equal(count_closes(&clients[i].heard, 1012, &texts), 1);
			send_close(clients[i].fd, 1012, by_client);
			answered[i] = true;
		}
	}
	for (int i = 0; i < N; i++) {
		size_t texts;
		assert_true(clients[i].ended && backends[i].ended);
		assert_int_equal(count_closes(&clients[i].heard, 1012, &texts), 1);
		assert_int_equal(texts, i % 4 < 2);
		assert_int_equal(count_closes(&backends[i].heard, 1012, &texts), 1);
		close(clients[i].fd);
		close(backends[i].fd);
		buf_fini(&clients[i].heard);
		buf_fini(&backends[i].heard);
	}
	struct gateway_meter m = await_empty();
	assert_int_equal(m.drained[GATEWAY_CLEAN], N);
	assert_int_equal(m.discarded_bytes, 0);
	assert_int_equal(m.closes_by_podvisor, N);
	assert_int_equal(m.close_delay_seconds.count, N);
	assert_int_equal(m.handshake_seconds.count, N);
	assert_int_equal(m.drained[GATEWAY_UNCLEAN] + m.drained[GATEWAY_RESET] + m.drained[GATEWAY_CLIENT_TIMEOUT], 0);
}

static void a_few_websockets_do_not_wait_for_the_whole_window(void **state)
{
	(void)state;
	f = gateway_start("", NULL);
	struct pair p[3];
	for (int i = 0; i < 3; i++)
		p[i] = gateway_websocket(f);
	gateway_effect(f, EFFECT_GATEWAY_DRAIN, 20000);
	for (int i = 0; i < 3; i++) {
		expect_close(p[i].client, 1012, "service restart", false);
		send_close(p[i].client, 1012, by_client);
		expect_close(p[i].backend, 1012, "", true);
		get_end(p[i].client);
		get_end(p[i].backend);
		hang_up(p[i]);
	}
	struct gateway_meter m = await_empty();
	assert_int_equal(m.drained[GATEWAY_CLEAN], 3);
}

static void code_and_reason_are_the_route_s(void **state)
{
	(void)state;
	f = gateway_start("", "[{\"path\": \"/\", \"worker\": \"api\", \"to\": \"BACKEND\","
			      " \"drain\": {\"code\": 4001, \"reason\": \"moving\"}}]");
	struct pair p = gateway_websocket(f);
	gateway_effect(f, EFFECT_GATEWAY_DRAIN, 0);
	expect_close(p.client, 4001, "moving", false);
	send_close(p.client, 4001, by_client);
	hang_up(p);
	await_empty();
}

static void what_the_backend_had_sent_before_its_slot_arrives_before_the_close(void **state)
{
	(void)state;
	struct pair p = open_pair("");
	char message[1000];
	memset(message, 'x', sizeof(message) - 1);
	message[sizeof(message) - 1] = '\0';
	/* More than one read of it, so that at the slot some lies in the kernel. */
	for (int i = 0; i < 300; i++)
		send_text(p.backend, message, by_server);
	gateway_effect(f, EFFECT_GATEWAY_DRAIN, 0);
	for (int i = 0; i < 300; i++)
		expect_text(p.client, message);
	expect_close(p.client, 1012, "service restart", false);
	send_close(p.client, 1012, by_client);
	hang_up(p);
	struct gateway_meter m = await_empty();
	assert_int_equal(m.messages[1], 300);
}

static void between_the_fragments_of_a_message_it_is_closed_after_message_wait(void **state)
{
	(void)state;
	struct pair p = open_pair("\"drain\": {\"message_wait\": \"100ms\"}");
	put_bytes(p.backend, "\x01\x02hi", 4);
	char payload[16];
	get_frame(p.client, payload, sizeof(payload));
	gateway_effect(f, EFFECT_GATEWAY_DRAIN, 0);
	int64_t begun = milliseconds();
	expect_close(p.client, 1012, "service restart", false);
	assert_true(milliseconds() - begun >= 90);
	send_close(p.client, 1012, by_client);
	hang_up(p);
	struct gateway_meter m = await_empty();
	assert_int_equal(m.drained[GATEWAY_CLEAN], 1);
}

static void a_message_that_ends_in_time_is_not_cut_off_by_the_close(void **state)
{
	(void)state;
	struct pair p = open_pair("");
	char payload[64];
	put_bytes(p.backend, "\x01\x02hi", 4);
	get_frame(p.client, payload, sizeof(payload));
	gateway_effect(f, EFFECT_GATEWAY_DRAIN, 0);
	get_nothing(p.client, 50);
	put_bytes(p.backend, "\x89\x00\x80\x02!!\x81\x04late", 12);
	assert_int_equal(get_frame(p.client, payload, sizeof(payload)).opcode, WEBSOCKET_PING);
	assert_int_equal(get_frame(p.client, payload, sizeof(payload)).opcode, WEBSOCKET_CONTINUATION);
	expect_close(p.client, 1012, "service restart", false);
	send_close(p.client, 1012, by_client);
	expect_close(p.backend, 1012, "", true);
	hang_up(p);
	struct gateway_meter m = await_empty();
	assert_int_equal(m.discarded_bytes, 6);
}

static void a_frame_that_never_ends_is_given_up_without_a_close(void **state)
{
	(void)state;
	struct pair p = open_pair(
		"\"drain\": {\"message_wait\": \"50ms\", \"boundary_wait\": \"50ms\", \"linger\": \"200ms\"}");
	char rest[64];
	put_bytes(p.backend, "\x81\x05he", 4);
	gateway_effect(f, EFFECT_GATEWAY_DRAIN, 0);
	assert_int_equal(get_rest(p.client, rest, sizeof(rest)), 4);
	expect_close(p.backend, 1001, "", true);
	get_end(p.backend);
	hang_up(p);
	struct gateway_meter m = await_empty();
	assert_int_equal(m.drained[GATEWAY_UNCLEAN], 1);
}

static void a_silent_client_is_left_and_its_backend_told_1001(void **state)
{
	(void)state;
	struct pair p = open_pair("\"drain\": {\"close_timeout\": \"100ms\", \"linger\": \"200ms\"}");
	gateway_effect(f, EFFECT_GATEWAY_DRAIN, 0);
	expect_close(p.client, 1012, "service restart", false);
	expect_close(p.backend, 1001, "", true);
	get_end(p.client);
	get_end(p.backend);
	struct gateway_meter m = await_empty();
	assert_int_equal(m.drained[GATEWAY_CLIENT_TIMEOUT], 1);
	hang_up(p);
}

static void within_a_frame_of_the_client_the_backend_is_not_told(void **state)
{
	(void)state;
	struct pair p = open_pair("\"drain\": {\"close_timeout\": \"100ms\", \"linger\": \"200ms\"}");
	char rest[64];
	put_bytes(p.client, "\x81\x85", 2);
	gateway_effect(f, EFFECT_GATEWAY_DRAIN, 0);
	expect_close(p.client, 1012, "service restart", false);
	assert_int_equal(get_rest(p.backend, rest, sizeof(rest)), 2);
	hang_up(p);
	await_empty();
}

static void a_client_that_goes_instead_of_answering_is_a_reset(void **state)
{
	(void)state;
	struct pair p = open_pair("");
	gateway_effect(f, EFFECT_GATEWAY_DRAIN, 0);
	expect_close(p.client, 1012, "service restart", false);
	close(p.client);
	expect_close(p.backend, 1001, "", true);
	close(p.backend);
	struct gateway_meter m = await_empty();
	assert_int_equal(m.drained[GATEWAY_RESET], 1);
}

static void a_backend_that_closed_first_is_not_spoken_over(void **state)
{
	(void)state;
	struct pair p = open_pair("");
	char rest[64];
	send_close(p.backend, 1000, by_server);
	expect_close(p.client, 1000, "", false);
	gateway_effect(f, EFFECT_GATEWAY_DRAIN, 0);
	get_nothing(p.client, 50);
	send_close(p.client, 1000, by_client);
	expect_close(p.backend, 1000, "", true);
	assert_int_equal(get_rest(p.client, rest, sizeof(rest)), 0);
	hang_up(p);
	struct gateway_meter m = await_empty();
	assert_int_equal(m.drained[GATEWAY_PEER_FIRST], 1);
	assert_int_equal(m.closes_by_backend, 1);
}

static void a_client_that_closed_first_gets_its_backend_s_answer(void **state)
{
	(void)state;
	struct pair p = open_pair("");
	send_close(p.client, 1000, by_client);
	expect_close(p.backend, 1000, "", true);
	gateway_effect(f, EFFECT_GATEWAY_DRAIN, 0);
	get_nothing(p.client, 50);
	send_close(p.backend, 1000, by_server);
	expect_close(p.client, 1000, "", false);
	get_end(p.client);
	hang_up(p);
	struct gateway_meter m = await_empty();
	assert_int_equal(m.drained[GATEWAY_PEER_FIRST], 1);
}

/* RFC 6455 7.1.1: the server ends the connection. A FIN right behind the
 * client's Close would cut off what it still writes. */
static void a_backend_may_answer_the_close_before_it_sees_an_end(void **state)
{
	(void)state;
	struct pair p = open_pair("");
	gateway_effect(f, EFFECT_GATEWAY_DRAIN, 0);
	expect_close(p.client, 1012, "service restart", false);
	send_close(p.client, 1012, by_client);
	expect_close(p.backend, 1012, "", true);
	get_end(p.client);
	get_nothing(p.backend, 50);
	send_close(p.backend, 1012, by_server);
	get_end(p.backend);
	hang_up(p);
	struct gateway_meter m = await_empty();
	assert_int_equal(m.drained[GATEWAY_CLEAN], 1);
}

static void a_backend_that_does_not_answer_the_close_is_ended_after_the_linger_time(void **state)
{
	(void)state;
	struct pair p = open_pair("\"drain\": {\"linger\": \"100ms\"}");
	gateway_effect(f, EFFECT_GATEWAY_DRAIN, 0);
	expect_close(p.client, 1012, "service restart", false);
	send_close(p.client, 1012, by_client);
	expect_close(p.backend, 1012, "", true);
	get_end(p.backend);
	struct gateway_meter m = await_empty();
	assert_int_equal(m.drained[GATEWAY_CLEAN], 1);
	hang_up(p);
}

static void closes_that_cross_reach_each_side_once(void **state)
{
	(void)state;
	struct pair p = open_pair("");
	char rest[64];
	gateway_effect(f, EFFECT_GATEWAY_DRAIN, 0);
	expect_close(p.client, 1012, "service restart", false);
	send_close(p.backend, 1000, by_server);
	usleep(20000);
	send_close(p.client, 3000, by_client);
	expect_close(p.backend, 3000, "", true);
	assert_int_equal(get_rest(p.client, rest, sizeof(rest)), 0);
	assert_int_equal(get_rest(p.backend, rest, sizeof(rest)), 0);
	hang_up(p);
	struct gateway_meter m = await_empty();
	assert_int_equal(m.drained[GATEWAY_CLEAN], 1);
}

static void what_the_backend_says_behind_the_close_is_counted_but_for_its_own_goodbye(void **state)
{
	(void)state;
	struct pair p = open_pair("");
	char rest[64];
	gateway_effect(f, EFFECT_GATEWAY_DRAIN, 0);
	expect_close(p.client, 1012, "service restart", false);
	send_text(p.backend, "early", by_server);
	send_close(p.client, 1012, by_client);
	expect_close(p.backend, 1012, "", true);
	send_text(p.backend, "late!", by_server);
	send_close(p.backend, 1012, by_server);
	assert_int_equal(get_rest(p.client, rest, sizeof(rest)), 0);
	get_end(p.backend);
	hang_up(p);
	struct gateway_meter m = await_empty();
	assert_int_equal(m.discarded_bytes, 14);
	assert_int_equal(m.drained[GATEWAY_CLEAN], 1);
}

static void the_backend_s_own_goodbye_is_not_counted_however_it_is_cut(void **state)
{
	(void)state;
	struct pair p = open_pair("");
	gateway_effect(f, EFFECT_GATEWAY_DRAIN, 0);
	expect_close(p.client, 1012, "service restart", false);
	const char *bytes = "\x81\x02hi\x88\x02\x03\xf4";
	for (int i = 0; i < 8; i++) {
		put_bytes(p.backend, bytes + i, 1);
		usleep(2000);
	}
	send_close(p.client, 1012, by_client);
	expect_close(p.backend, 1012, "", true);
	get_end(p.backend);
	hang_up(p);
	struct gateway_meter m = await_empty();
	assert_int_equal(m.discarded_bytes, 4);
	assert_int_equal(m.drained[GATEWAY_CLEAN], 1);
}

static void what_the_client_says_before_its_answer_still_arrives(void **state)
{
	(void)state;
	struct pair p = open_pair("");
	gateway_effect(f, EFFECT_GATEWAY_DRAIN, 0);
	expect_close(p.client, 1012, "service restart", false);
	send_text(p.client, "one more", by_client);
	expect_text(p.backend, "one more");
	send_close(p.client, 1012, by_client);
	send_text(p.client, "too late", by_client);
	expect_close(p.backend, 1012, "", true);
	send_close(p.backend, 1012, by_server);
	get_end(p.backend);
	hang_up(p);
	await_empty();
}

static void a_client_that_does_not_read_is_given_up_in_time(void **state)
{
	(void)state;
	f = gateway_start("\"drain\": {\"message_wait\": \"50ms\", \"boundary_wait\": \"50ms\","
			  " \"close_timeout\": \"100ms\", \"linger\": \"100ms\"}",
		NULL);
	struct pair p = gateway_websocket(f);
	static char bytes[1 << 16];
	ssize_t done;
	memcpy(bytes, "\x82\x7f\0\0\0\0\0\0\xff\xf6", 10);
	for (int idle = 0; idle < 50; usleep(idle ? 1000 : 0)) {
		done = send(p.backend, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL);
		idle = done > 0 ? 0 : idle + 1;
		if (done > 0 && (size_t)done < sizeof(bytes))
			break;
	}
	gateway_effect(f, EFFECT_GATEWAY_DRAIN, 0);
	struct gateway_meter m = await_empty();
	assert_int_equal(m.drained[GATEWAY_UNCLEAN] + m.drained[GATEWAY_CLIENT_TIMEOUT], 1);
	hang_up(p);
}

static void bytes_that_are_no_frames_get_no_close(void **state)
{
	(void)state;
	struct pair p = open_pair("");
	char rest[64];
	put_bytes(p.backend, "\xf3nonsense", 9);
	gateway_effect(f, EFFECT_GATEWAY_DRAIN, 0);
	assert_int_equal(get_rest(p.client, rest, sizeof(rest)), 9);
	hang_up(p);
	struct gateway_meter m = await_empty();
	assert_int_equal(m.drained[GATEWAY_UNCLEAN], 1);
}

static void an_upgrade_under_way_when_the_listener_closes_completes_and_is_closed_properly(void **state)
{
	(void)state;
	f = gateway_start("", NULL);
	char head[1024];
	struct pair p = {.client = gateway_client(f)};
	put(p.client, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
	p.backend = gateway_backend(f);
	get_head(p.backend, head, sizeof(head));
	gateway_effect(f, EFFECT_GATEWAY_DRAIN, 0);
	put(p.backend, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
	get_head(p.client, head, sizeof(head));
	expect_close(p.client, 1012, "service restart", false);
	send_close(p.client, 1012, by_client);
	expect_close(p.backend, 1012, "", true);
	hang_up(p);
	struct gateway_meter m = await_empty();
	assert_int_equal(m.drained[GATEWAY_CLEAN], 1);
}

static void an_undrain_leaves_those_open_whose_slot_has_not_come(void **state)
{
	(void)state;
	struct pair p = open_pair("");
	put_bytes(p.backend, "\x81\x05he", 4);
	gateway_effect(f, EFFECT_GATEWAY_DRAIN, 0);
	usleep(20000);
	gateway_effect(f, EFFECT_GATEWAY_SERVE, 0);
	put_bytes(p.backend, "llo", 3);
	expect_text(p.client, "hello");
	send_text(p.client, "still here", by_client);
	expect_text(p.backend, "still here");
	get_nothing(p.client, 50);
	hang_up(p);
}

static void a_close_at_once_cuts_everything(void **state)
{
	(void)state;
	struct pair p = open_pair("");
	gateway_effect(f, EFFECT_GATEWAY_CLOSE, 0);
	get_end(p.client);
	get_end(p.backend);
	hang_up(p);
}

/* ---- the drain: frames of every kind and cut ---- */

static void a_frame_that_comes_byte_by_byte_is_waited_for(void **state)
{
	(void)state;
	struct pair p = open_pair("");
	const char *frame = "\x81\x05hello";
	for (int i = 0; i < 7; i++) {
		put_bytes(p.backend, frame + i, 1);
		if (i == 2)
			gateway_effect(f, EFFECT_GATEWAY_DRAIN, 0);
		usleep(3000);
	}
	expect_text(p.client, "hello");
	expect_close(p.client, 1012, "service restart", false);
	send_close(p.client, 1012, by_client);
	expect_close(p.backend, 1012, "", true);
	hang_up(p);
	struct gateway_meter m = await_empty();
	assert_int_equal(m.drained[GATEWAY_CLEAN], 1);
	assert_int_equal(m.discarded_bytes, 0);
}

static void frames_without_payload_and_with_a_64_bit_length_are_whole_too(void **state)
{
	(void)state;
	struct pair p = open_pair("");
	static char payload[65537];
	const char shorter[] = "\x82\x7f\0\0\0\0\0\0\0\x02"
			       "ab";
	put_bytes(p.backend, shorter, 12);
	assert_int_equal(get_frame(p.client, payload, sizeof(payload)).length, 2);
	put_bytes(p.backend, "\x01\x00", 2); /* an empty fragment: the message goes on */
	assert_int_equal(get_frame(p.client, payload, sizeof(payload)).length, 0);
	gateway_effect(f, EFFECT_GATEWAY_DRAIN, 0);
	get_nothing(p.client, 50);
	put_bytes(p.backend, "\x80\x00", 2);
	assert_int_equal(get_frame(p.client, payload, sizeof(payload)).opcode, WEBSOCKET_CONTINUATION);
	expect_close(p.client, 1012, "service restart", false);
	send_close(p.client, 1012, by_client);
	hang_up(p);
	struct gateway_meter m = await_empty();
	assert_int_equal(m.drained[GATEWAY_CLEAN], 1);
}

static void a_frame_with_a_64_bit_length_is_waited_for(void **state)
{
	(void)state;
	struct pair p = open_pair("");
	static char payload[65537];
	const char head[] = "\x82\x7f\0\0\0\0\0\x01\0\0";
	put_bytes(p.backend, head, 10);
	put_bytes(p.backend, payload, 30000);
	gateway_effect(f, EFFECT_GATEWAY_DRAIN, 0);
	get_bytes(p.client, payload, 30010);
	get_nothing(p.client, 50);
	put_bytes(p.backend, payload, 65536 - 30000);
	get_bytes(p.client, payload, 65536 - 30000);
	expect_close(p.client, 1012, "service restart", false);
	send_close(p.client, 1012, by_client);
	hang_up(p);
}

static void a_ping_of_the_client_passes_behind_our_close_and_its_pong_is_dropped(void **state)
{
	(void)state;
	struct pair p = open_pair("");
	char payload[64];
	gateway_effect(f, EFFECT_GATEWAY_DRAIN, 0);
	expect_close(p.client, 1012, "service restart", false);
	put_bytes(p.client, "\x89\x80\0\0\0\0", 6);
	assert_int_equal(get_frame(p.backend, payload, sizeof(payload)).opcode, WEBSOCKET_PING);
	put_bytes(p.backend, "\x8a\x00", 2);
	get_nothing(p.client, 50);
	send_close(p.client, 1012, by_client);
	expect_close(p.backend, 1012, "", true);
	assert_int_equal(get_rest(p.client, payload, sizeof(payload)), 0);
	hang_up(p);
	struct gateway_meter m = await_empty();
	assert_int_equal(m.drained[GATEWAY_CLEAN], 1);
	assert_int_equal(m.discarded_bytes, 2);
}

static void a_backend_that_dies_within_a_frame_of_the_drain_leaves_the_end_alone(void **state)
{
	(void)state;
	struct pair p = open_pair("");
	char rest[64];
	put_bytes(p.backend, "\x81\x05he", 4);
	gateway_effect(f, EFFECT_GATEWAY_DRAIN, 0);
	get_bytes(p.client, rest, 4);
	close(p.backend);
	assert_int_equal(get_rest(p.client, rest, sizeof(rest)), 0);
	close(p.client);
	struct gateway_meter m = await_empty();
	assert_int_equal(m.drained[GATEWAY_UNCLEAN], 1);
}

/* Messages until the socket takes no more for a while; how many were finished. rest: what is missing of the last one.
 */
static size_t stuff(int fd, struct buf *rest)
{
	struct buf one;
	static char payload[4000];
	size_t finished = 0, at = 0;
	buf_init(&one, 8192);
	add_frame(&one, WEBSOCKET_TEXT, true, payload, sizeof(payload), by_server);
	for (int idle = 0; idle < 100;) {
		ssize_t n = send(fd, one.data + at, one.len - at, MSG_DONTWAIT | MSG_NOSIGNAL);
		at += n > 0 ? (size_t)n : 0;
		finished += at == one.len;
		at = at == one.len ? 0 : at;
		idle = n > 0 ? 0 : idle + 1;
		if (idle)
			usleep(1000);
	}
	if (at)
		assert_int_equal(buf_put(rest, one.data + at, one.len - at), 0);
	buf_fini(&one);
	return finished;
}

/* Its slot comes, and message_wait is over, long before it reads on. */
static void a_client_that_reads_late_gets_all_that_was_finished_before_its_slot(void **state)
{
	(void)state;
	struct pair p = open_pair("\"drain\": {\"message_wait\": \"50ms\", \"boundary_wait\": \"20s\"}");
	static struct ear ear;
	struct buf rest;
	size_t sent = 0, texts;
	buf_init(&rest, 8192);
	buf_init(&ear.heard, 64 << 20);
	ear.fd = p.client;
	ear.ended = false;
	size_t finished = stuff(p.backend, &rest);
	gateway_effect(f, EFFECT_GATEWAY_DRAIN, 0);
	usleep(300000);
	for (int64_t until = milliseconds() + GATEWAY_PATIENCE_MS; milliseconds() < until;) {
		listen_to(&ear, 1, 20);
		ssize_t n = sent < rest.len
				    ? send(p.backend, rest.data + sent, rest.len - sent, MSG_DONTWAIT | MSG_NOSIGNAL)
				    : 0;
		sent += n > 0 ? (size_t)n : 0;
		if (ear.heard.len >= 19 && memcmp(ear.heard.data + ear.heard.len - 19, "\x88\x11\x03\xf4", 4) == 0)
			break;
	}
	assert_int_equal(count_closes(&ear.heard, 1012, &texts), 1);
	assert_true(texts >= finished);
	send_close(p.client, 1012, by_client);
	hang_up(p);
	buf_fini(&ear.heard);
	buf_fini(&rest);
	struct gateway_meter m = await_empty();
	assert_int_equal(m.drained[GATEWAY_CLEAN], 1);
}

static void without_websockets_the_drain_is_over_at_once(void **state)
{
	(void)state;
	f = gateway_start("", NULL);
	struct event e;
	gateway_effect(f, EFFECT_GATEWAY_DRAIN, 20000);
	assert_true(gateway_awaits(f, EVENT_GATEWAY_EMPTY, GATEWAY_PATIENCE_MS, &e));
	assert_non_null(strstr(e.text, "clean 0, peer first 0, client time-out 0, unclean 0, reset 0;"));
}

/* ---- a backend that dies ---- */

static void the_client_of_a_backend_that_died_is_told_to_come_again(void **state)
{
	(void)state;
	struct pair p = open_pair("");
	send_text(p.backend, "last words", by_server);
	close(p.backend);
	expect_text(p.client, "last words");
	expect_close(p.client, 1012, "service restart", false);
	send_close(p.client, 1012, by_client);
	get_end(p.client);
	close(p.client);
}

static void within_a_frame_it_gets_the_end_alone(void **state)
{
	(void)state;
	struct pair p = open_pair("");
	char rest[64];
	put_bytes(p.backend, "\x81\x05he", 4);
	close(p.backend);
	assert_int_equal(get_rest(p.client, rest, sizeof(rest)), 4);
	close(p.client);
}

static void a_backend_that_dies_during_the_drain_leaves_its_clients_told(void **state)
{
	(void)state;
	f = gateway_start("", NULL);
	struct pair p[20];
	for (int i = 0; i < 20; i++)
		p[i] = gateway_websocket(f);
	gateway_effect(f, EFFECT_GATEWAY_DRAIN, 5000);
	for (int i = 0; i < 20; i++)
		close(p[i].backend);
	for (int i = 0; i < 20; i++) {
		expect_close(p[i].client, 1012, "service restart", false);
		send_close(p[i].client, 1012, by_client);
		get_end(p[i].client);
		close(p[i].client);
	}
	struct gateway_meter m = await_empty();
	assert_int_equal(m.drained[GATEWAY_CLEAN], 20);
}

static void a_websocket_that_is_idle_for_too_long_is_closed_with_1001(void **state)
{
	(void)state;
	struct pair p = open_pair("\"timeouts\": {\"websocket_idle\": \"200ms\"}");
	int64_t begun = milliseconds();
	for (int i = 0; i < 4; i++) {
		usleep(100000);
		send_text(p.client, "busy", by_client);
		expect_text(p.backend, "busy");
	}
	expect_close(p.client, 1001, "idle for too long", false);
	assert_true(milliseconds() - begun >= 550);
	send_close(p.client, 1001, by_client);
	hang_up(p);
}

/* ---- memory ---- */

static long resident_bytes(void)
{
	long pages = 0;
	FILE *statm = fopen("/proc/self/statm", "re");
	assert_int_equal(fscanf(statm, "%*s %ld", &pages), 1);
	fclose(statm);
	return pages * 4096;
}

static void an_idle_websocket_costs_little_memory_even_after_traffic(void **state)
{
	(void)state;
	enum { N = 1000 };
	static struct pair p[N];
	char message[4000];
	raise_descriptors();
	f = gateway_start("", NULL);
	memset(message, 'x', sizeof(message) - 1);
	message[sizeof(message) - 1] = '\0';
	hang_up(gateway_websocket(f));
	long before = resident_bytes();
	for (int i = 0; i < N; i++)
		p[i] = gateway_websocket(f);
	long idle = resident_bytes();
	for (int i = 0; i < N; i++) {
		send_text(p[i].backend, message, by_server);
		expect_text(p[i].client, message);
		send_text(p[i].client, message, by_client);
		expect_text(p[i].backend, message);
	}
	long after = resident_bytes();
	print_message("%ld bytes each while idle, %ld after traffic\n", (idle - before) / N, (after - before) / N);
#ifndef __SANITIZE_ADDRESS__
	assert_true((idle - before) / N <= 1536);
	assert_true((after - before) / N <= 1536);
#endif
	for (int i = 0; i < N; i++)
		hang_up(p[i]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, gateway_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(every_byte_passes_unchanged_however_the_stream_is_cut),
		TEST(the_handshake_passes_its_fields_both_ways),
		TEST(an_upgrade_that_the_backend_declines_is_an_ordinary_answer),
		TEST(a_goodbye_of_the_two_ends_passes_as_it_is),
		TEST(a_client_that_vanishes_ends_the_backend_s_side),
		TEST(every_client_and_every_backend_is_told_once_and_no_frame_is_cut),
		TEST(a_few_websockets_do_not_wait_for_the_whole_window),
		TEST(code_and_reason_are_the_route_s),
		TEST(what_the_backend_had_sent_before_its_slot_arrives_before_the_close),
		TEST(between_the_fragments_of_a_message_it_is_closed_after_message_wait),
		TEST(a_message_that_ends_in_time_is_not_cut_off_by_the_close),
		TEST(a_frame_that_never_ends_is_given_up_without_a_close),
		TEST(a_silent_client_is_left_and_its_backend_told_1001),
		TEST(within_a_frame_of_the_client_the_backend_is_not_told),
		TEST(a_client_that_goes_instead_of_answering_is_a_reset),
		TEST(a_backend_that_closed_first_is_not_spoken_over),
		TEST(a_client_that_closed_first_gets_its_backend_s_answer),
		TEST(a_backend_may_answer_the_close_before_it_sees_an_end),
		TEST(a_backend_that_does_not_answer_the_close_is_ended_after_the_linger_time),
		TEST(closes_that_cross_reach_each_side_once),
		TEST(what_the_backend_says_behind_the_close_is_counted_but_for_its_own_goodbye),
		TEST(the_backend_s_own_goodbye_is_not_counted_however_it_is_cut),
		TEST(what_the_client_says_before_its_answer_still_arrives),
		TEST(a_client_that_does_not_read_is_given_up_in_time),
		TEST(bytes_that_are_no_frames_get_no_close),
		TEST(an_upgrade_under_way_when_the_listener_closes_completes_and_is_closed_properly),
		TEST(an_undrain_leaves_those_open_whose_slot_has_not_come),
		TEST(a_close_at_once_cuts_everything),
		TEST(a_frame_that_comes_byte_by_byte_is_waited_for),
		TEST(frames_without_payload_and_with_a_64_bit_length_are_whole_too),
		TEST(a_frame_with_a_64_bit_length_is_waited_for),
		TEST(a_ping_of_the_client_passes_behind_our_close_and_its_pong_is_dropped),
		TEST(a_backend_that_dies_within_a_frame_of_the_drain_leaves_the_end_alone),
		TEST(a_client_that_reads_late_gets_all_that_was_finished_before_its_slot),
		TEST(without_websockets_the_drain_is_over_at_once),
		TEST(the_client_of_a_backend_that_died_is_told_to_come_again),
		TEST(within_a_frame_it_gets_the_end_alone),
		TEST(a_backend_that_dies_during_the_drain_leaves_its_clients_told),
		TEST(a_websocket_that_is_idle_for_too_long_is_closed_with_1001),
		TEST(an_idle_websocket_costs_little_memory_even_after_traffic),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
