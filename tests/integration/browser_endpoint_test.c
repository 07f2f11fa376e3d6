/* The browser's stable address beside a Chrome that cannot be reached: clients wait, once, and are then refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
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
};

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
	b->config->browsers[0].queue_timeout = 300;
	assert_int_equal(loop_init(&b->loop, on_turn, b, NULL), 0);
	uv_prepare_init(&b->loop.uv, &b->prepare);
	uv_timer_init(&b->loop.uv, &b->patience);
	b->prepare.data = b->patience.data = b;
	uv_prepare_start(&b->prepare, on_prepare);
	assert_int_equal(
		browser_endpoint_new(&b->endpoint, &b->loop, "i", "chrome", NULL, NULL, &b->sessions, NULL), 0);
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
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
