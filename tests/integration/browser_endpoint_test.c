/* The browser's stable address in front of several Chromes, which are played: each knows its own page and its own id,
 * and says over a WebSocket which one it is. One that cannot be reached makes clients wait, once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "podvisor/runtime/browser_endpoint.h"

#define PATIENCE_MS 60000
#define TURNS_MAX   2000 /* of the loop in one wait; a busy one makes a hundred thousand */

struct bench {
	struct loop loop;
	struct browser_endpoint *endpoint;
	struct config *config;
	int64_t sessions;
	uv_prepare_t prepare;
	uv_timer_t patience;
	uint64_t turns;
	bool expired;
	int port, dead_port;
	uint64_t generation; /* the newest that was offered */
	int64_t queued, counted[256], served[256]; /* as told, by generation */
};

static void on_counted(void *ctx, uint64_t generation, int64_t sessions, int64_t served)
{
	struct bench *b = ctx;
	b->counted[generation] = sessions;
	b->served[generation] = served;
}

static void on_queued(void *ctx, int64_t n)
{
	((struct bench *)ctx)->queued = n;
}

static const struct browser_endpoint_calls calls = {.counted = on_counted, .queued = on_queued};

static void on_turn(void *ctx)
{
	(void)ctx;
}

static void on_prepare(uv_prepare_t *prepare)
{
	((struct bench *)prepare->data)->turns++;
}

static void on_expired(uv_timer_t *timer)
{
	((struct bench *)timer->data)->expired = true;
}

/* Bound and not listening: whoever connects is refused, and nobody else can take it. */
static int reserve_port(int *fd)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);
	*fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(*fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(getsockname(*fd, (struct sockaddr *)&at, &len), 0);
	return ntohs(at.sin_port);
}

static int reserved = -1;

static bool is_own(void *ctx, const char *id)
{
	(void)ctx;
	return !strcmp(id, "own");
}

static int raise_bench(void **state)
{
	static struct config_report report;
	struct config_source nothing = {0};
	struct bench *b = calloc(1, sizeof(*b));
	char text[512];
	int fd;
	signal(SIGPIPE, SIG_IGN);
	b->port = reserve_port(&fd);
	close(fd);
	b->dead_port = reserve_port(&reserved);
	snprintf(text, sizeof(text),
		"{\"volumes\":{\"d\":{\"path\":\"/tmp\",\"size\":\"1Gi\",\"mount\":\"any\"}},"
		"\"browsers\":{\"chrome\":{\"listen\":\"127.0.0.1:%d\",\"volume\":\"d\",\"max_sessions\":2}}}",
		b->port);
	b->config = config_parse(text, strlen(text), &nothing, &report);
	if (!b->config)
		fail_msg("%s: %s", report.items[0].path, report.items[0].text);
	b->config->browsers[0].queue_timeout = 2000;
	assert_int_equal(loop_init(&b->loop, on_turn, b, NULL), 0);
	uv_prepare_init(&b->loop.uv, &b->prepare);
	uv_timer_init(&b->loop.uv, &b->patience);
	b->prepare.data = b->patience.data = b;
	uv_prepare_start(&b->prepare, on_prepare);
	assert_int_equal(browser_endpoint_new(&b->endpoint, &b->loop, "i", "chrome", &calls, b, &b->sessions, NULL), 0);
	assert_int_equal(browser_endpoint_configure(b->endpoint, &b->config->browsers[0], NULL), 0);
	*state = b;
	return 0;
}

static int strike_bench(void **state)
{
	struct bench *b = *state;
	browser_endpoint_free(b->endpoint);
	uv_close((uv_handle_t *)&b->prepare, NULL);
	uv_close((uv_handle_t *)&b->patience, NULL);
	loop_fini(&b->loop);
	config_release(b->config);
	close(reserved);
	free(b);
	return 0;
}

static void offer(struct bench *b, int port)
{
	static const struct cdp_version version = {.product = "Chrome/1"};
	browser_endpoint_offer(
		b->endpoint, &(struct browser_backend){
				     .generation = ++b->generation, .port = port, .id = "real", .version = &version});
}

static int ask(const struct bench *b, const char *request)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)b->port)};
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
	return fd;
}

/* Turns until the answer is whole; its text. */
static void await_answer(struct bench *b, int fd, char *out, size_t size)
{
	size_t len = 0;
	ssize_t n = 1;
	b->expired = false;
	uv_timer_start(&b->patience, on_expired, PATIENCE_MS, 0);
	while (n != 0 && !b->expired) {
		uv_run(&b->loop.uv, UV_RUN_ONCE);
		while ((n = recv(fd, out + len, size - 1 - len, MSG_DONTWAIT)) > 0)
			len += (size_t)n;
	}
	uv_timer_stop(&b->patience);
	out[len] = '\0';
	close(fd);
	if (b->expired)
		fail_msg("no answer in time, %llu turns", (unsigned long long)b->turns);
}

#define SESSION                                                                                           \
	"GET /devtools/browser/real HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" \
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

static void expect_refusal(struct bench *b, const char *request)
{
	char answer[2048];
	int fd = ask(b, request);
	b->turns = 0;
	await_answer(b, fd, answer, sizeof(answer));
	if (!strstr(answer, "HTTP/1.1 503 ") || !strstr(answer, "Retry-After: "))
		fail_msg("%s", answer);
	assert_true(b->turns < TURNS_MAX);
	assert_int_equal(b->sessions, 0);
	assert_int_equal(b->queued, 0);
}

/* ---- a Chrome that is played ---- */

struct chrome {
	pthread_t thread;
	int listener, port, number;
};

static void say(int fd, const char *status, const char *fields, const char *body)
{
	dprintf(fd, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n%s\r\n%s", status, strlen(body), fields, body);
}

/* It says who it is, and waits for the client's end. */
static void converse(int fd, int number)
{
	char byte;
	dprintf(fd, "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x02g%d", number);
	while (read(fd, &byte, 1) > 0)
		;
	close(fd);
}

struct conversation {
	int fd, number;
};

static void *run_conversation(void *arg)
{
	struct conversation c = *(struct conversation *)arg;
	free(arg);
	converse(c.fd, c.number);
	return NULL;
}

static void begin_conversation(int fd, int number)
{
	pthread_t thread;
	struct conversation *c = malloc(sizeof(*c));
	*c = (struct conversation){fd, number};
	assert_int_equal(pthread_create(&thread, NULL, run_conversation, c), 0);
	pthread_detach(thread);
}

static bool answer_request(const struct chrome *c, int fd, const char *request)
{
	char page[32], id[32], list[256];
	snprintf(page, sizeof(page), "page%d ", c->number);
	snprintf(id, sizeof(id), "browser/real%d ", c->number);
	snprintf(list, sizeof(list), "[ {\"id\":\"page%d\",\"url\":\"ws://127.0.0.1:%d/x\"}, {\"id\":\"own\"} ]",
		c->number, c->port);
	bool upgrade = strstr(request, "Upgrade: websocket"), mine = strstr(request, page) || strstr(request, id);
	assert_null(strstr(request, "Sec-WebSocket-Extensions"));
	if (upgrade && mine)
		begin_conversation(fd, c->number);
	else if (strstr(request, "GET /json/list"))
		say(fd, "200 OK", "Content-Type: application/json\r\n", list);
	else if (mine)
		say(fd, "200 OK", "", page);
	else
		say(fd, "404 Not Found", "", "No such target id");
	return upgrade && mine;
}

static void *run_chrome(void *arg)
{
	const struct chrome *c = arg;
	for (int fd; (fd = accept4(c->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0;) {
		char request[4096] = "";
		for (size_t n = 0; n < sizeof(request) - 1 && !strstr(request, "\r\n\r\n"); n++)
			if (read(fd, request + n, 1) != 1)
				break;
		if (!answer_request(c, fd, request))
			close(fd);
	}
	return NULL;
}

static struct chrome *begin_chrome(struct bench *b, int number)
{
	struct chrome *c = calloc(1, sizeof(*c));
	c->number = number;
	c->port = reserve_port(&c->listener);
	assert_int_equal(listen(c->listener, 16), 0);
	assert_int_equal(pthread_create(&c->thread, NULL, run_chrome, c), 0);
	static const struct cdp_version version = {.product = "Chrome/1"};
	char id[16];
	snprintf(id, sizeof(id), "real%d", number);
	b->generation = (uint64_t)number;
	browser_endpoint_offer(b->endpoint, &(struct browser_backend){.generation = (uint64_t)number,
						    .port = c->port,
						    .id = id,
						    .version = &version,
						    .is_hidden = is_own});
	return c;
}

static void end_chrome(struct chrome *c)
{
	shutdown(c->listener, SHUT_RDWR);
	pthread_join(c->thread, NULL);
	close(c->listener);
	free(c);
}

#define WEBSOCKET(path)                                                                          \
	"GET " path " HTTP/1.1\r\nHost: name:1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" \
	"Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Version: 13\r\n"          \
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
#define DOCUMENT(method, path) method " " path " HTTP/1.1\r\nHost: name:1\r\n\r\n"

/* Turns until the text has come; what has come so far. */
static void await_text(struct bench *b, int fd, const char *text, char *out, size_t size)
{
	size_t len = 0;
	ssize_t n;
	out[0] = '\0';
	b->expired = false;
	uv_timer_start(&b->patience, on_expired, PATIENCE_MS, 0);
	while (!memmem(out, len, text, strlen(text)) && !b->expired) {
		uv_run(&b->loop.uv, UV_RUN_ONCE);
		while ((n = recv(fd, out + len, size - 1 - len, MSG_DONTWAIT)) > 0)
			len += (size_t)n;
		out[len] = '\0';
	}
	uv_timer_stop(&b->patience);
	if (b->expired)
		fail_msg("%s has not come, but %s", text, out);
}

static int expect_session(struct bench *b, const char *request, const char *says)
{
	char out[2048];
	int fd = ask(b, request);
	await_text(b, fd, says, out, sizeof(out));
	assert_non_null(strstr(out, "101 "));
	return fd;
}

static void expect_answer(struct bench *b, const char *request, const char *status, const char *body)
{
	char out[4096];
	await_answer(b, ask(b, request), out, sizeof(out));
	if (!strstr(out, status) || !strstr(out, body))
		fail_msg("%s", out);
}

static void virtual_path(struct bench *b, char *out, size_t size)
{
	char answer[4096];
	await_answer(b, ask(b, DOCUMENT("GET", "/json/version")), answer, sizeof(answer));
	const char *at = strstr(answer, "ws://name:1/devtools/browser/");
	assert_non_null(at);
	snprintf(out, size, "GET %.*s%s", (int)strcspn(at + 11, "\""), at + 11, strchr(WEBSOCKET(""), ' ') + 1);
}

static void a_session_stays_on_the_chrome_that_it_began_on(void **state)
{
	struct bench *b = *state;
	char before[512], after[512], out[256];
	struct chrome *blue = begin_chrome(b, 1);
	virtual_path(b, before, sizeof(before));
	int old = expect_session(b, before, "g1");
	struct chrome *green = begin_chrome(b, 2);
	virtual_path(b, after, sizeof(after));
	assert_string_equal(before, after);
	int new = expect_session(b, before, "g2");
	assert_int_equal(b->sessions, 2);
	assert_true(b->counted[1] == 1 && b->counted[2] == 1 && b->served[1] == 1 && b->served[2] == 1);
	assert_int_equal(recv(old, out, sizeof(out), MSG_DONTWAIT), -1); /* nothing has happened to it */
	browser_endpoint_withdraw(b->endpoint, 1);
	await_text(b, old, "connect again", out, sizeof(out)); /* the reason of its Close */
	assert_memory_equal(out + 2, "\x03\xe9", 2); /* 1001 */
	assert_int_equal(b->counted[1], 0);
	assert_int_equal(b->sessions, 1);
	browser_endpoint_withdraw(b->endpoint, 2);
	close(old);
	close(new);
	end_chrome(blue);
	end_chrome(green);
}

static void ids_and_pages_go_to_the_chrome_that_has_them(void **state)
{
	struct bench *b = *state;
	struct chrome *blue = begin_chrome(b, 1), *green = begin_chrome(b, 2);
	char list[512];
	snprintf(list, sizeof(list),
		"[{\"id\":\"page2\",\"url\":\"ws://name:1/x\"},{\"id\":\"page1\",\"url\":\"ws://name:1/x\"}]");
	expect_answer(b, DOCUMENT("GET", "/json/list"), "200 OK", list);
	expect_answer(b, DOCUMENT("GET", "/json/close/page1"), "200 OK", "page1");
	expect_answer(b, DOCUMENT("GET", "/json/activate/page2"), "200 OK", "page2");
	expect_answer(b, DOCUMENT("GET", "/json/close/page3"), "404 ", "No such target id");
	int fds[] = {expect_session(b, WEBSOCKET("/devtools/page/page1"), "g1"),
		expect_session(b, WEBSOCKET("/devtools/browser/real1"), "g1")};
	close(fds[0]);
	close(fds[1]);
	close(expect_session(b, WEBSOCKET("/devtools/page/page2"), "g2"));
	expect_answer(b, WEBSOCKET("/devtools/page/page3"), "404 ", "no such target");
	expect_answer(b, WEBSOCKET("/devtools/browser/real3"), "404 ", "no such browser");
	browser_endpoint_retire(b->endpoint, 1);
	close(expect_session(b, WEBSOCKET("/devtools/page/page1"), "g1"));
	browser_endpoint_withdraw(b->endpoint, 1);
	expect_answer(b, WEBSOCKET("/devtools/browser/real1"), "404 ", "no such browser");
	browser_endpoint_withdraw(b->endpoint, 2);
	end_chrome(blue);
	end_chrome(green);
}

/* The older one dies while it is asked; the newer one has it. */
static void a_chrome_that_cannot_be_reached_does_not_hide_the_others(void **state)
{
	struct bench *b = *state;
	offer(b, b->dead_port);
	struct chrome *green = begin_chrome(b, 2);
	expect_answer(b, DOCUMENT("GET", "/json/list"), "200 OK", "page2");
	expect_answer(b, WEBSOCKET("/devtools/page/page1"), "404 ", "no Chrome knows it");
	close(expect_session(b, WEBSOCKET("/devtools/page/page2"), "g2"));
	browser_endpoint_withdraw(b->endpoint, 1);
	browser_endpoint_withdraw(b->endpoint, 2);
	end_chrome(green);
}

static void who_waits_goes_on_with_the_chrome_that_comes(void **state)
{
	struct bench *b = *state;
	char path[512], out[256];
	struct chrome *blue = begin_chrome(b, 1);
	virtual_path(b, path, sizeof(path));
	browser_endpoint_retire(b->endpoint, 1); /* it ends before the next one begins */
	int fd = ask(b, path);
	while (b->queued != 1)
		uv_run(&b->loop.uv, UV_RUN_ONCE);
	struct chrome *green = begin_chrome(b, 2);
	await_text(b, fd, "g2", out, sizeof(out));
	assert_int_equal(b->queued, 0);
	browser_endpoint_withdraw(b->endpoint, 1);
	browser_endpoint_withdraw(b->endpoint, 2);
	close(fd);
	end_chrome(blue);
	end_chrome(green);
}

static void a_session_that_chrome_refuses_waits_once_and_is_refused(void **state)
{
	offer(*state, ((struct bench *)*state)->dead_port);
	expect_refusal(*state, SESSION);
}

static void a_document_that_chrome_refuses_waits_once_and_is_refused(void **state)
{
	offer(*state, ((struct bench *)*state)->dead_port);
	expect_refusal(*state, "GET /json/list HTTP/1.1\r\nHost: x\r\n\r\n");
}

/* Offered anew again and again, each time in vain. */
static void on_again(uv_timer_t *timer)
{
	struct bench *b = timer->data;
	offer(b, b->dead_port);
}

static void further_chromes_do_not_lengthen_the_wait(void **state)
{
	struct bench *b = *state;
	uv_timer_t again;
	offer(b, b->dead_port);
	uv_timer_init(&b->loop.uv, &again);
	again.data = b;
	uv_timer_start(&again, on_again, 500, 500);
	expect_refusal(b, SESSION);
	uv_close((uv_handle_t *)&again, NULL);
	uv_run(&b->loop.uv, UV_RUN_NOWAIT);
}

static void the_next_chrome_gets_who_waits(void **state)
{
	struct bench *b = *state;
	char answer[2048];
	int listener, port = reserve_port(&listener), fd = ask(b, SESSION);
	assert_int_equal(listen(listener, 4), 0);
	assert_int_equal(fcntl(listener, F_SETFL, O_NONBLOCK), 0);
	offer(b, b->dead_port);
	for (int i = 0; i < 20; i++)
		uv_run(&b->loop.uv, UV_RUN_NOWAIT);
	offer(b, port);
	int chrome = -1;
	uv_timer_start(&b->patience, on_expired, PATIENCE_MS, 0);
	while (chrome < 0 && !b->expired) {
		uv_run(&b->loop.uv, UV_RUN_NOWAIT);
		chrome = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	}
	assert_true(chrome >= 0);
	close(chrome); /* without an answer: nobody but the next one may give it */
	close(listener);
	await_answer(b, fd, answer, sizeof(answer));
	assert_non_null(strstr(answer, "HTTP/1.1 503 "));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, raise_bench, strike_bench)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_session_that_chrome_refuses_waits_once_and_is_refused),
		TEST(a_document_that_chrome_refuses_waits_once_and_is_refused),
		TEST(further_chromes_do_not_lengthen_the_wait),
		TEST(the_next_chrome_gets_who_waits),
		TEST(a_session_stays_on_the_chrome_that_it_began_on),
		TEST(ids_and_pages_go_to_the_chrome_that_has_them),
		TEST(a_chrome_that_cannot_be_reached_does_not_hide_the_others),
		TEST(who_waits_goes_on_with_the_chrome_that_comes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
