/* ws_peer is the backend or the clients of many WebSockets, and keeps account
 * of each: what was said, what arrived, how it ended.
 *
 *   ws_peer serve --listen HOST:PORT [--every MS [--parts N]] [--echo] [--size BYTES] [--report FILE]
 *       A backend. With --every it sends each client a numbered message so often, in that many parts
 *       spread evenly over the time. --echo answers each message with one of the same number. A request
 *       that is no upgrade is answered 200. SIGTERM: the report, and the end.
 *   ws_peer load --connect HOST:PORT --count N [--every MS [--parts N]] [--pingpong] [--size BYTES]
 *           [--seconds S] [--reconnect] [--heard] [--at-once N] [--report FILE]
 *       Clients. Prints {"open": N} when all are open; --heard: and each has heard something. --pingpong:
 *       each message waits for the answer to the one before; they are counted from that line on, and their
 *       number is told before the goodbyes. --reconnect: who was closed comes again at
 *       once. It ends when all have ended, S seconds after that line, or at SIGTERM; those that are still
 *       open then say goodbye with 1000.
 *
 * The report is one JSON object, on stdout or in the file. Times in it are of CLOCK_REALTIME, in
 * nanoseconds; that of a Close is the kernel's own, of when its bytes reached the socket. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "ws.h"

#define LIFE_S     900 /* nothing of a bench or test outlives it for long */
#define REMEMBERED 8 /* of the last messages: when the kernel took their last byte */
#define GOODBYE_MS 5000 /* at the end, for the others' answers */
#define RETRY_MS   20
#define LATENCIES  (1 << 20)
#define NONCE      "dGhlIHNhbXBsZSBub25jZQ==" /* RFC 6455 1.3, and what it is answered */
#define ACCEPT     "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
#define MAX_EVENTS 256
#define MS         1000000LL
#define READ_BYTES (256 * 1024)

enum state { CONNECTING, HANDSHAKE, OPEN, ENDED };

struct conn {
	struct conn *next, *next_due, *next_again; /* in all; in due; in again */
	struct ws_reader in;
	int fd;
	uint32_t id, client; /* client: who of the load it is; it may come more than once */
	enum state state;
	bool writable_wanted, due;
	bool said_close, heard_close; /* a Close is in out or sent; has come */
	bool own; /* the goodbye was ours first */
	bool broken, reset, extra; /* no frames; ended by an error; bytes behind the Close */
	bool whole_end; /* ended between two frames */
	uint16_t code;
	uint32_t begun, sent, received, gaps;
	int64_t due_ns, asked_ns, opened_ns, closed_ns, ended_ns;
	int64_t finished_ns[REMEMBERED];
	unsigned char *out; /* the frame or frames that are being sent */
	size_t out_len, out_at, out_allowed, out_room;
	bool out_is_message;
	char head[2048];
	size_t head_len;
};

static struct {
	bool serve, echo, pingpong, reconnect, heard;
	const char *address, *report;
	uint32_t count, at_once, parts;
	int64_t every_ns, seconds;
	size_t size;
} opt = {.at_once = 64, .parts = 1, .size = 64};

static struct conn *all, **last = &all;
static struct conn *due_first, **due_last = &due_first;
static struct conn *again_first, **again_last = &again_first; /* they will come again */
static int epoll_fd, signal_fd, listen_fd = -1;
static struct sockaddr_storage address;
static socklen_t address_len;
static uint32_t next_id, open_now, under_way, to_start, opened;
static uint32_t refused, failed, requests;
static int64_t start_after_ns, stop_at_ns, give_up_ns, told_ns;
static bool stopping, told_open;
static uint32_t *latencies;
static size_t n_latencies;
static uint64_t echoes, counted; /* counted: until the goodbyes */
static unsigned char scratch[READ_BYTES];

static int64_t clock_ns(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

static void die(const char *what)
{
	fprintf(stderr, "ws_peer: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* ---- writing ---- */

static void want_writable(struct conn *c, bool wanted)
{
	struct epoll_event e = {.events = EPOLLIN | EPOLLRDHUP | (wanted ? EPOLLOUT : 0), .data.ptr = c};
	if (c->writable_wanted == wanted)
		return;
	c->writable_wanted = wanted;
	epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &e);
}

static unsigned char *room_for(struct conn *c, size_t n)
{
	if (c->out_len + n > c->out_room) {
		c->out_room = (c->out_len + n) * 2;
		c->out = realloc(c->out, c->out_room);
		if (!c->out)
			die("memory");
	}
	return c->out + c->out_len;
}

static void finish_out(struct conn *c)
{
	if (c->out_is_message) {
		c->sent++;
		c->finished_ns[(c->sent - 1) % REMEMBERED] = clock_ns(CLOCK_REALTIME);
		c->out_is_message = false;
	}
}

/* What is allowed of it by now. A failure shows when reading. */
static void flush(struct conn *c)
{
	while (c->out_at < c->out_allowed) {
		ssize_t n = send(c->fd, c->out + c->out_at, c->out_allowed - c->out_at, MSG_NOSIGNAL);
		if (n < 0)
			break;
		c->out_at += (size_t)n;
	}
	want_writable(c, c->out_at < c->out_allowed);
	if (c->out_at < c->out_len)
		return;
	finish_out(c);
	c->out_len = c->out_at = c->out_allowed = 0;
	if (c->said_close && opt.serve && c->heard_close)
		shutdown(c->fd, SHUT_WR);
}

static const unsigned char *key_of(const struct conn *c, unsigned char key[4])
{
	ws_put_number(key, 4, (c->id + 1) * 2654435761U + c->begun);
	return opt.serve ? NULL : key;
}

static void say(struct conn *c, uint32_t number, size_t length)
{
	unsigned char key[4];
	size_t n = ws_message(room_for(c, length + WS_HEAD_BYTES), c->id, number, length, key_of(c, key));
	c->out_len += n;
	c->out_is_message = true;
	c->asked_ns = now_ns();
}

/* A message of our own, or the next part of it; nothing when the peer takes none. */
static void say_next(struct conn *c)
{
	if (c->said_close || c->heard_close)
		return;
	if (!c->out_len) {
		say(c, ++c->begun, opt.size);
	} else if (c->out_at < c->out_allowed) {
		return;
	}
	size_t part = (c->out_len + opt.parts - 1) / opt.parts;
	c->out_allowed = c->out_allowed + part < c->out_len ? c->out_allowed + part : c->out_len;
	flush(c);
}

/* Behind what is being said, which now goes out whole. */
static void say_control(struct conn *c, unsigned opcode, const unsigned char *payload, size_t n)
{
	unsigned char key[4], *at = room_for(c, n + WS_HEAD_BYTES);
	const unsigned char *mask = key_of(c, key);
	size_t head = ws_head(at, opcode, n, mask);
	if (n)
		memcpy(at + head, payload, n);
	ws_mask(at + head, n, mask, 0);
	c->out_len += head + n;
	c->out_allowed = c->out_len;
	flush(c);
}

static void say_close(struct conn *c, uint16_t code)
{
	unsigned char payload[2];
	if (c->said_close)
		return;
	ws_put_number(payload, 2, code);
	c->said_close = true;
	say_control(c, WS_CLOSE, payload, code == 1005 ? 0 : 2);
}

static void put_due(struct conn *c)
{
	if (!opt.every_ns || c->due)
		return;
	c->due = true;
	c->due_ns = now_ns() + opt.every_ns / opt.parts;
	c->next_due = NULL;
	*due_last = c;
	due_last = &c->next_due;
}

/* The period is one for all: who was put last is due last. */
static void say_what_is_due(int64_t now)
{
	while (due_first && due_first->due_ns <= now) {
		struct conn *c = due_first;
		due_first = c->next_due;
		if (!due_first)
			due_last = &due_first;
		c->due = false;
		if (c->state != OPEN)
			continue;
		say_next(c);
		put_due(c);
	}
}

/* ---- birth and death ---- */

static struct conn *add(int fd, enum state state, uint32_t client)
{
	int on = 1;
	struct conn *c = calloc(1, sizeof(*c));
	if (!c)
		die("memory");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (!opt.serve && !opt.pingpong)
		setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on));
	c->fd = fd;
	c->state = state;
	c->client = client;
	c->in.from_client = opt.serve;
	*last = c;
	last = &c->next;
	c->writable_wanted = state == CONNECTING;
	struct epoll_event e = {.events = EPOLLIN | EPOLLRDHUP | (c->writable_wanted ? EPOLLOUT : 0), .data.ptr = c};
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e) < 0)
		die("epoll");
	return c;
}

static void come_again(struct conn *c)
{
	if (!opt.reconnect || stopping)
		return;
	to_start++;
	*again_last = c;
	again_last = &c->next_again;
	if (!c->opened_ns)
		start_after_ns = now_ns() + RETRY_MS * MS;
}

static void end(struct conn *c, int error)
{
	enum state was = c->state;
	c->state = ENDED;
	c->ended_ns = clock_ns(CLOCK_REALTIME);
	c->reset = error != 0;
	c->whole_end = ws_between(&c->in);
	open_now -= was == OPEN;
	under_way -= !opt.serve && was != OPEN;
	close(c->fd);
	c->fd = -1;
	free(c->out);
	c->out = NULL;
	if (was != OPEN && !opt.serve) {
		refused += error == ECONNREFUSED;
		failed += error != ECONNREFUSED;
	}
	come_again(c);
}

/* ---- the handshake ---- */

static void send_text(struct conn *c, const char *text)
{
	size_t n = strlen(text);
	if (send(c->fd, text, n, MSG_NOSIGNAL) != (ssize_t)n)
		c->broken = true;
}

static void ask_upgrade(struct conn *c)
{
	char text[512];
	c->id = next_id++;
	snprintf(text, sizeof(text),
		"GET /live?id=%u HTTP/1.1\r\nHost: ws.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
		"Sec-WebSocket-Key: " NONCE "\r\nSec-WebSocket-Version: 13\r\n\r\n",
		c->id);
	c->state = HANDSHAKE;
	want_writable(c, false);
	send_text(c, text);
}

static void begin(struct conn *c)
{
	c->state = OPEN;
	c->opened_ns = clock_ns(CLOCK_REALTIME);
	open_now++;
	opened++;
	under_way -= !opt.serve;
	if (opt.pingpong)
		say_next(c);
	else
		put_due(c);
}

static void serve_request(struct conn *c)
{
	const char *id = strstr(c->head, "id=");
	if (!strcasestr(c->head, "\r\nupgrade: websocket\r\n")) {
		requests++;
		send_text(c, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n");
		return;
	}
	c->id = id ? (uint32_t)strtoul(id + 3, NULL, 10) : UINT32_MAX;
	c->broken = !strstr(c->head, NONCE);
	send_text(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
		     "Sec-WebSocket-Accept: " ACCEPT "\r\n\r\n");
	begin(c);
}

static void take_answer(struct conn *c)
{
	if (strncmp(c->head, "HTTP/1.1 101 ", 13) == 0 && strstr(c->head, ACCEPT))
		begin(c);
	else
		end(c, EPROTO);
}

/* Returns how many bytes belong to the head. */
static size_t take_head(struct conn *c, const unsigned char *bytes, size_t n)
{
	size_t before = c->head_len, some = n < sizeof(c->head) - 1 - before ? n : sizeof(c->head) - 1 - before;
	memcpy(c->head + before, bytes, some);
	c->head_len += some;
	c->head[c->head_len] = '\0';
	char *found = strstr(c->head, "\r\n\r\n");
	if (!found) {
		if (c->head_len == sizeof(c->head) - 1)
			end(c, EMSGSIZE);
		return some;
	}
	size_t used = (size_t)(found + 4 - c->head) - before;
	c->head_len = 0;
	found[2] = '\0';
	if (opt.serve)
		serve_request(c);
	else
		take_answer(c);
	return used;
}

/* ---- frames ---- */

static void take_message(struct conn *c)
{
	uint32_t number = ws_its_number(&c->in);
	c->gaps += number != c->received + 1 || ws_who(&c->in) != c->id;
	c->received = number;
	if (opt.echo && !c->said_close && !c->out_len) {
		say(c, number, (size_t)c->in.length);
		c->out_allowed = c->out_len;
		flush(c);
	}
	if (opt.pingpong) {
		echoes++;
		if (n_latencies < LATENCIES)
			latencies[n_latencies++] = (uint32_t)((now_ns() - c->asked_ns) / 1000);
		say_next(c);
	}
}

static void take_close(struct conn *c, int64_t at_ns)
{
	c->heard_close = true;
	c->code = ws_code(&c->in);
	c->closed_ns = at_ns;
	say_close(c, c->code);
	if (opt.serve && !c->out_len)
		shutdown(c->fd, SHUT_WR);
}

static void take_frame(struct conn *c, int64_t at_ns)
{
	if (c->in.opcode == WS_BINARY)
		take_message(c);
	else if (c->in.opcode == WS_CLOSE)
		take_close(c, at_ns);
	else if (c->in.opcode == WS_PING)
		say_control(c, WS_PONG, c->in.first,
			c->in.length < WS_MESSAGE_BYTES ? (size_t)c->in.length : WS_MESSAGE_BYTES);
}

static void take_frames(struct conn *c, unsigned char *bytes, size_t n, int64_t at_ns)
{
	while (n && c->state == OPEN && !c->broken) {
		size_t taken;
		if (c->heard_close) {
			c->extra = true;
			return;
		}
		enum ws_result result = ws_read(&c->in, bytes, n, &taken);
		bytes += taken;
		n -= taken;
		c->broken |= result == WS_BROKEN;
		if (result == WS_FRAME)
			take_frame(c, at_ns);
	}
}

/* ---- events ---- */

/* When the last of these bytes came, as the kernel noted it; else now. */
static int64_t stamp_of(struct msghdr *msg)
{
	for (struct cmsghdr *m = CMSG_FIRSTHDR(msg); m; m = CMSG_NXTHDR(msg, m)) {
		struct timespec t;
		if (m->cmsg_level != SOL_SOCKET || m->cmsg_type != SCM_TIMESTAMPNS)
			continue;
		memcpy(&t, CMSG_DATA(m), sizeof(t));
		return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
	}
	return clock_ns(CLOCK_REALTIME);
}

static ssize_t receive(struct conn *c, int64_t *at_ns)
{
	char control[128];
	struct iovec part = {scratch, sizeof(scratch)};
	struct msghdr msg = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	*at_ns = 0;
	if (opt.serve || opt.pingpong)
		return recv(c->fd, scratch, sizeof(scratch), 0);
	ssize_t n = recvmsg(c->fd, &msg, 0);
	if (n > 0)
		*at_ns = stamp_of(&msg);
	return n;
}

static void on_readable(struct conn *c)
{
	int64_t at_ns;
	ssize_t n = receive(c, &at_ns);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		end(c, n < 0 ? errno : 0);
		return;
	}
	size_t used = 0;
	while (c->state == HANDSHAKE && used < (size_t)n)
		used += take_head(c, scratch + used, (size_t)n - used);
	take_frames(c, scratch + used, (size_t)n - used, at_ns ? at_ns : clock_ns(CLOCK_REALTIME));
}

static void on_connected(struct conn *c)
{
	int error = 0;
	socklen_t len = sizeof(error);
	getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error)
		end(c, error);
	else
		ask_upgrade(c);
}

static void on_event(struct conn *c, uint32_t events)
{
	if (c->state == CONNECTING) {
		on_connected(c);
		return;
	}
	if (events & EPOLLOUT)
		flush(c);
	if (c->state != ENDED && events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP))
		on_readable(c);
}

static void accept_all(void)
{
	for (;;) {
		int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0)
			return;
		add(fd, HANDSHAKE, 0);
	}
}

static void start_one(uint32_t client)
{
	int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		die("socket");
	int rc = connect(fd, (struct sockaddr *)&address, address_len);
	int error = rc < 0 && errno != EINPROGRESS ? errno : 0;
	struct conn *c = add(fd, CONNECTING, client);
	under_way++;
	if (error)
		end(c, error);
}

/* ---- the report ---- */

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

static int by_latency(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

/* Exactly one Close of the peer's own accord or as our answer, nothing behind it, and then the orderly end. */
static bool is_clean(const struct conn *c)
{
	return c->heard_close && c->state == ENDED && !c->reset && !c->extra && !c->broken && c->whole_end;
}

/* The most of them that lie in any 100 ms. */
static size_t peak_of(int64_t *at, size_t n)
{
	size_t peak = 0;
	qsort(at, n, sizeof(*at), by_value);
	for (size_t from = 0, to = 0; to < n; to++) {
		while (at[to] - at[from] > 100 * MS)
			from++;
		peak = to - from + 1 > peak ? to - from + 1 : peak;
	}
	return peak;
}

static void put_ends(FILE *out)
{
	size_t n = 0, most = 1;
	for (struct conn *c = all; c; c = c->next)
		most++;
	int64_t *closes = calloc(most, sizeof(*closes)), *ends = calloc(most, sizeof(*ends));
	size_t n_ends = 0;
	if (!closes || !ends)
		die("memory");
	for (struct conn *c = all; c; c = c->next) {
		if (c->opened_ns && c->heard_close && !c->own)
			closes[n++] = c->closed_ns;
		if (c->opened_ns && c->ended_ns && !c->own)
			ends[n_ends++] = c->heard_close ? c->closed_ns : c->ended_ns;
	}
	fprintf(out, "\"peak_closes_100ms\": %zu, ", peak_of(closes, n));
	fprintf(out, "\"peak_ends_100ms\": %zu, ", peak_of(ends, n_ends));
	fprintf(out, "\"first_end_ns\": %lld, \"last_end_ns\": %lld, ", n_ends ? (long long)ends[0] : 0LL,
		n_ends ? (long long)ends[n_ends - 1] : 0LL);
	free(closes);
	free(ends);
}

static void put_codes(FILE *out)
{
	static uint32_t codes[5000];
	bool first = true;
	for (struct conn *c = all; c; c = c->next)
		if (c->opened_ns)
			codes[c->heard_close ? (c->code < 5000 ? c->code : 0) : 1006]++;
	fputs("\"codes\": {", out);
	for (unsigned i = 0; i < 5000; i++)
		if (codes[i]) {
			fprintf(out, "%s\"%u\": %u", first ? "" : ", ", i, codes[i]);
			first = false;
		}
	fputs("}, ", out);
}

static void put_sums(FILE *out)
{
	uint64_t clean = 0, cut = 0, reset = 0, broken = 0, torn = 0, gaps = 0, sent = 0, received = 0, goodbyes = 0;
	for (struct conn *c = all; c; c = c->next) {
		if (!c->opened_ns)
			continue;
		clean += is_clean(c);
		cut += c->state == ENDED && !c->whole_end;
		reset += c->reset;
		broken += c->broken;
		torn += c->in.torn;
		gaps += c->gaps;
		sent += c->sent;
		received += c->received;
		goodbyes += c->heard_close;
	}
	fprintf(out,
		"\"opened\": %u, \"open\": %u, \"refused\": %u, \"failed\": %u, \"requests\": %u, \"goodbyes\": %llu, "
		"\"clean\": %llu, \"cut\": %llu, \"reset\": %llu, \"broken\": %llu, \"torn\": %llu, \"gaps\": %llu, "
		"\"sent\": %llu, \"received\": %llu, ",
		opened, open_now, refused, failed, requests, (unsigned long long)goodbyes, (unsigned long long)clean,
		(unsigned long long)cut, (unsigned long long)reset, (unsigned long long)broken,
		(unsigned long long)torn, (unsigned long long)gaps, (unsigned long long)sent,
		(unsigned long long)received);
}

static void put_latencies(FILE *out)
{
	if (!opt.pingpong)
		return;
	qsort(latencies, n_latencies, sizeof(*latencies), by_latency);
	fprintf(out, "\"echoes\": %llu, \"p50_us\": %u, \"p99_us\": %u, ",
		(unsigned long long)(stopping ? counted : echoes), n_latencies ? latencies[n_latencies / 2] : 0,
		n_latencies ? latencies[n_latencies * 99 / 100] : 0);
}

/* finished: of the last messages that were sent whole, the newest last. */
static void put_row(FILE *out, const struct conn *c)
{
	fprintf(out, "[%u, %u, %u, %d, %d, %d, %d, %u, %u, %u, %lld, %lld, %lld, [", c->client, c->id,
		c->heard_close ? c->code : 1006, is_clean(c), c->own, c->state == ENDED,
		c->state == ENDED && !c->whole_end, c->sent, c->received, c->gaps, (long long)c->opened_ns,
		(long long)c->closed_ns, (long long)c->ended_ns);
	uint32_t n = c->sent < REMEMBERED ? c->sent : REMEMBERED;
	for (uint32_t i = c->sent - n; i < c->sent; i++)
		fprintf(out, "%s%lld", i == c->sent - n ? "" : ", ", (long long)c->finished_ns[i % REMEMBERED]);
	fputs("]]", out);
}

static void report(void)
{
	FILE *out = opt.report ? fopen(opt.report, "we") : stdout;
	bool first = true;
	if (!out)
		die(opt.report);
	fprintf(out, "{\"role\": \"%s\", ", opt.serve ? "serve" : "load");
	put_sums(out);
	put_codes(out);
	put_ends(out);
	put_latencies(out);
	fputs("\"columns\": [\"client\", \"id\", \"code\", \"clean\", \"own\", \"ended\", \"cut\", \"sent\", "
	      "\"received\", \"gaps\", "
	      "\"opened_ns\", \"closed_ns\", \"ended_ns\", \"finished_ns\"], \"rows\": [",
		out);
	for (struct conn *c = all; c; c = c->next) {
		if (!c->opened_ns)
			continue;
		fputs(first ? "\n" : ",\n", out);
		first = false;
		put_row(out, c);
	}
	fputs("]}\n", out);
	if (fflush(out) != 0 || (opt.report && fclose(out) != 0))
		die("report");
}

/* ---- the loop ---- */

/* Every client has its number; whoever comes again keeps it. */
static uint32_t next_client(void)
{
	static uint32_t fresh;
	struct conn *c = again_first;
	if (fresh < opt.count)
		return fresh++;
	again_first = c->next_again;
	if (!again_first)
		again_last = &again_first;
	return c->client;
}

static void start_some(int64_t now)
{
	while (!stopping && to_start && under_way < opt.at_once && now >= start_after_ns) {
		to_start--;
		start_one(next_client());
	}
}

static void stop(void)
{
	if (opt.serve) {
		report();
		exit(0);
	}
	stopping = true;
	give_up_ns = now_ns() + GOODBYE_MS * MS;
	counted = echoes;
	if (opt.pingpong) {
		printf("{\"echoes\": %llu, \"seconds\": %.6f}\n", (unsigned long long)counted,
			(double)(now_ns() - told_ns) / 1e9);
		fflush(stdout);
	}
	for (struct conn *c = all; c; c = c->next) {
		if (c->state != OPEN || c->said_close)
			continue;
		c->own = true;
		say_close(c, 1000);
	}
}

static void on_signal(void)
{
	struct signalfd_siginfo info;
	if (read(signal_fd, &info, sizeof(info)) == sizeof(info) && !stopping)
		stop();
}

static bool all_have_heard(void)
{
	for (struct conn *c = all; c; c = c->next)
		if (c->state == OPEN && !c->received)
			return false;
	return true;
}

static void tell_open(int64_t now)
{
	static int64_t looked_ns;
	if (told_open || opened < opt.count || now < looked_ns + 20 * MS)
		return;
	looked_ns = now;
	if (opt.heard && !all_have_heard())
		return;
	told_open = true;
	printf("{\"open\": %u}\n", open_now);
	fflush(stdout);
	echoes = n_latencies = 0;
	told_ns = now;
	if (opt.seconds)
		stop_at_ns = now + opt.seconds * 1000 * MS;
}

static int wait_ms(int64_t now)
{
	int64_t until = now + 100 * MS;
	if (due_first && due_first->due_ns < until)
		until = due_first->due_ns;
	return until <= now ? 0 : (int)((until - now + MS - 1) / MS);
}

static void on_events(void)
{
	struct epoll_event events[MAX_EVENTS];
	int n = epoll_wait(epoll_fd, events, MAX_EVENTS, wait_ms(now_ns()));
	for (int i = 0; i < n; i++) {
		if (events[i].data.ptr == &listen_fd)
			accept_all();
		else if (events[i].data.ptr == &signal_fd)
			on_signal();
		else if (((struct conn *)events[i].data.ptr)->state != ENDED)
			on_event(events[i].data.ptr, events[i].events);
	}
}

static void run(void)
{
	to_start = opt.serve ? 0 : opt.count;
	for (;;) {
		int64_t now = now_ns();
		start_some(now);
		on_events();
		say_what_is_due(now_ns());
		if (opt.serve)
			continue;
		now = now_ns();
		tell_open(now);
		if (!stopping && stop_at_ns && now >= stop_at_ns)
			stop();
		if ((!open_now && !under_way && (stopping || !to_start)) || (stopping && now >= give_up_ns))
			return;
	}
}

/* ---- the beginning ---- */

static void find_address(const char *text)
{
	char host[INET_ADDRSTRLEN];
	struct sockaddr_in *in = (struct sockaddr_in *)&address;
	const char *colon = strrchr(text, ':');
	errno = EINVAL;
	if (!colon || (size_t)(colon - text) >= sizeof(host))
		die(text);
	snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text);
	*in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(colon + 1))};
	if (inet_pton(AF_INET, host, &in->sin_addr) != 1)
		die(text);
	address_len = sizeof(*in);
}

static void watch(int fd, void *what)
{
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = what};
	if (fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e) < 0)
		die("epoll");
}

static void open_listener(void)
{
	int on = 1;
	listen_fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listen_fd, (struct sockaddr *)&address, address_len) < 0 || listen(listen_fd, SOMAXCONN) < 0)
		die(opt.address);
	watch(listen_fd, &listen_fd);
}

static void prepare(void)
{
	struct rlimit files;
	sigset_t set;
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	alarm(LIFE_S);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	watch(signal_fd, &signal_fd);
	find_address(opt.address);
	if (opt.serve)
		open_listener();
	if (opt.pingpong && !(latencies = calloc(LATENCIES, sizeof(*latencies))))
		die("memory");
}

static void usage(void)
{
	fputs("usage: ws_peer serve --listen HOST:PORT ... | load --connect HOST:PORT --count N ...; see "
	      "tests/bench/ws_peer.c\n",
		stderr);
	exit(64);
}

static void parse(int argc, char **argv)
{
	static const struct option options[] = {{"listen", 1, NULL, 'l'}, {"connect", 1, NULL, 'c'},
		{"count", 1, NULL, 'n'}, {"every", 1, NULL, 'e'}, {"parts", 1, NULL, 'p'}, {"size", 1, NULL, 's'},
		{"echo", 0, NULL, 'E'}, {"pingpong", 0, NULL, 'P'}, {"seconds", 1, NULL, 'S'},
		{"reconnect", 0, NULL, 'r'}, {"heard", 0, NULL, 'h'}, {"at-once", 1, NULL, 'a'},
		{"report", 1, NULL, 'o'}, {0}};
	if (argc < 2 || (strcmp(argv[1], "serve") != 0 && strcmp(argv[1], "load") != 0))
		usage();
	opt.serve = strcmp(argv[1], "serve") == 0;
	for (int o; (o = getopt_long(argc - 1, argv + 1, "", options, NULL)) != -1;) {
		long value = optarg ? strtol(optarg, NULL, 10) : 0;
		switch (o) {
		case 'l':
		case 'c':
			opt.address = optarg;
			break;
		case 'n':
			opt.count = (uint32_t)value;
			break;
		case 'e':
			opt.every_ns = value * MS;
			break;
		case 'p':
			opt.parts = (uint32_t)value;
			break;
		case 's':
			opt.size = (size_t)value;
			break;
		case 'E':
			opt.echo = true;
			break;
		case 'P':
			opt.pingpong = true;
			break;
		case 'S':
			opt.seconds = value;
			break;
		case 'r':
			opt.reconnect = true;
			break;
		case 'h':
			opt.heard = true;
			break;
		case 'a':
			opt.at_once = (uint32_t)value;
			break;
		case 'o':
			opt.report = optarg;
			break;
		default:
			usage();
		}
	}
	if (!opt.address || opt.size < WS_MESSAGE_BYTES || !opt.parts || (!opt.serve && !opt.count))
		usage();
}

int main(int argc, char **argv)
{
	parse(argc, argv);
	prepare();
	run();
	report();
	return 0;
}
