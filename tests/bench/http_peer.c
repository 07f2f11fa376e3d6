/* http_peer is the backend or the clients of plain HTTP on connections that are kept.
 *
 *   http_peer serve --listen HOST:PORT [--size BYTES] [--report FILE]
 *       Answers every request with 200 and so many bytes (1024). It has nothing to report.
 *   http_peer load --connect HOST:PORT --count N --seconds S
 *       So many clients, each with one request under way all the time. Prints {"open": N} when all had an
 *       answer; after S seconds {"answers": ..., "seconds": ..., "p50_us": ..., "p99_us": ..., "failed": ...}
 *       about the time since, and ends. A connection that is closed is made anew, and counted as failed. */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LIFE_S     900 /* nothing of a bench outlives it for long */
#define HEAD_BYTES 2048
#define LATENCIES  (1 << 20)
#define MAX_EVENTS 256
#define MS         1000000LL
#define REQUEST    "GET /thing?id=1 HTTP/1.1\r\nHost: http.test\r\nAccept: */*\r\nUser-Agent: http_peer\r\n\r\n"

struct conn {
	int fd;
	bool answered; /* once */
	char head[HEAD_BYTES];
	size_t have; /* of the head */
	size_t left; /* of the body */
	bool in_body;
	int64_t asked_ns;
};

static struct {
	bool serve;
	const char *address;
	size_t size;
	uint32_t count;
	int64_t seconds;
} opt = {.size = 1024, .seconds = 1};

static struct sockaddr_in address;
static int epoll_fd, listen_fd = -1;
static char *answer;
static size_t answer_len;
static uint32_t ready;
static uint64_t answers, failed;
static int64_t told_ns;
static uint32_t *latencies;
static size_t n_latencies;

static int64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "http_peer: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void watch(int fd, void *what)
{
	struct epoll_event e = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = what};
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e) < 0)
		die("epoll");
}

static void put(struct conn *c, const char *bytes, size_t n)
{
	/* Answers are small and one at a time: a socket that does not take one whole is a mistake of the bench. */
	ssize_t sent = send(c->fd, bytes, n, MSG_NOSIGNAL);
	if (sent >= 0 && (size_t)sent != n)
		die("a socket's buffer is too small");
}

/* Where the head ends behind bytes that are there; 0: not yet. */
static size_t head_end(const struct conn *c)
{
	const char *end = c->have >= 4 ? memmem(c->head, c->have, "\r\n\r\n", 4) : NULL;
	return end ? (size_t)(end - c->head) + 4 : 0;
}

static void ask(struct conn *c)
{
	c->asked_ns = now_ns();
	put(c, REQUEST, sizeof(REQUEST) - 1);
}

static void note_answer(struct conn *c)
{
	ready += !c->answered;
	c->answered = true;
	answers++;
	if (n_latencies < LATENCIES)
		latencies[n_latencies++] = (uint32_t)((now_ns() - c->asked_ns) / 1000);
	ask(c);
}

static size_t length_of(const struct conn *c, size_t head)
{
	static const char name[] = "content-length:";
	for (size_t i = 0; i + sizeof(name) < head; i++)
		if (strncasecmp(c->head + i, name, sizeof(name) - 1) == 0)
			return strtoul(c->head + i + sizeof(name) - 1, NULL, 10);
	errno = EPROTO;
	die("an answer without a length");
	return 0;
}

/* Takes bytes of one request or answer; how many. */
static size_t take(struct conn *c, const char *bytes, size_t n)
{
	if (c->in_body) {
		size_t some = n < c->left ? n : c->left;
		c->left -= some;
		if (!c->left) {
			c->in_body = false;
			note_answer(c);
		}
		return some;
	}
	size_t before = c->have, some = n < HEAD_BYTES - before ? n : HEAD_BYTES - before;
	memcpy(c->head + before, bytes, some);
	c->have += some;
	size_t head = head_end(c);
	if (!head)
		return some;
	if (opt.serve) {
		put(c, answer, answer_len);
	} else {
		c->left = length_of(c, head);
		c->in_body = true;
	}
	c->have = 0;
	return head - before;
}

static void start(struct conn *c)
{
	int on = 1;
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die("connect");
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	c->have = c->left = 0;
	c->in_body = false;
	watch(c->fd, c);
	ask(c);
}

static void on_readable(struct conn *c)
{
	static char bytes[65536];
	ssize_t n = recv(c->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	for (size_t at = 0; n > 0 && at < (size_t)n;)
		at += take(c, bytes + at, (size_t)n - at);
	if (n > 0)
		return;
	close(c->fd);
	if (opt.serve) {
		free(c);
		return;
	}
	failed++;
	start(c);
}

static void accept_all(void)
{
	int on = 1, fd;
	while ((fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		struct conn *c = calloc(1, sizeof(*c));
		if (!c)
			die("memory");
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		c->fd = fd;
		watch(fd, c);
	}
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

static void report(void)
{
	double seconds = (double)(now_ns() - told_ns) / 1e9;
	qsort(latencies, n_latencies, sizeof(*latencies), by_value);
	printf("{\"answers\": %llu, \"seconds\": %.6f, \"p50_us\": %u, \"p99_us\": %u, \"failed\": %llu}\n",
		(unsigned long long)answers, seconds, n_latencies ? latencies[n_latencies / 2] : 0,
		n_latencies ? latencies[n_latencies * 99 / 100] : 0, (unsigned long long)failed);
	fflush(stdout);
}

static void tell_open(void)
{
	if (told_ns || ready < opt.count)
		return;
	printf("{\"open\": %u}\n", ready);
	fflush(stdout);
	answers = n_latencies = failed = 0;
	told_ns = now_ns();
}

static void run(void)
{
	struct epoll_event events[MAX_EVENTS];
	while (!told_ns || now_ns() < told_ns + opt.seconds * 1000 * MS) {
		int n = epoll_wait(epoll_fd, events, MAX_EVENTS, 100);
		for (int i = 0; i < n; i++)
			if (events[i].data.ptr == &listen_fd)
				accept_all();
			else
				on_readable(events[i].data.ptr);
		if (!opt.serve)
			tell_open();
	}
}

static void open_listener(void)
{
	int on = 1;
	listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listen_fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(listen_fd, SOMAXCONN) < 0)
		die(opt.address);
	watch(listen_fd, &listen_fd);
	answer = calloc(1, opt.size + HEAD_BYTES);
	if (!answer)
		die("memory");
	answer_len = (size_t)sprintf(
		answer, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n", opt.size);
	memset(answer + answer_len, 'x', opt.size);
	answer_len += opt.size;
}

static void open_clients(void)
{
	struct conn *all = calloc(opt.count, sizeof(*all));
	latencies = calloc(LATENCIES, sizeof(*latencies));
	if (!all || !latencies)
		die("memory");
	for (uint32_t i = 0; i < opt.count; i++)
		start(&all[i]);
}

static void find_address(void)
{
	char host[INET_ADDRSTRLEN];
	const char *colon = strrchr(opt.address, ':');
	errno = EINVAL;
	if (!colon || (size_t)(colon - opt.address) >= sizeof(host))
		die(opt.address);
	snprintf(host, sizeof(host), "%.*s", (int)(colon - opt.address), opt.address);
	address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(colon + 1))};
	if (inet_pton(AF_INET, host, &address.sin_addr) != 1)
		die(opt.address);
}

static void prepare(void)
{
	struct rlimit files;
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	alarm(LIFE_S);
	find_address();
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (opt.serve)
		open_listener();
	else
		open_clients();
}

static void usage(void)
{
	fputs("usage: http_peer serve --listen HOST:PORT ... | load --connect HOST:PORT --count N ...; see "
	      "tests/bench/http_peer.c\n",
		stderr);
	exit(64);
}

static void parse(int argc, char **argv)
{
	static const struct option options[] = {{"listen", 1, NULL, 'a'}, {"connect", 1, NULL, 'a'},
		{"report", 1, NULL, 'r'}, {"size", 1, NULL, 's'}, {"count", 1, NULL, 'n'}, {"seconds", 1, NULL, 'S'},
		{0}};
	if (argc < 2 || (strcmp(argv[1], "serve") != 0 && strcmp(argv[1], "load") != 0))
		usage();
	opt.serve = strcmp(argv[1], "serve") == 0;
	for (int o; (o = getopt_long(argc - 1, argv + 1, "", options, NULL)) != -1;) {
		switch (o) {
		case 'a':
			opt.address = optarg;
			break;
		case 's':
			opt.size = strtoul(optarg, NULL, 10);
			break;
		case 'r':
			break;
		case 'n':
			opt.count = (uint32_t)strtoul(optarg, NULL, 10);
			break;
		case 'S':
			opt.seconds = strtol(optarg, NULL, 10);
			break;
		default:
			usage();
		}
	}
	if (!opt.address || (!opt.serve && !opt.count))
		usage();
}

int main(int argc, char **argv)
{
	parse(argc, argv);
	prepare();
	run();
	if (!opt.serve)
		report();
	return 0;
}
