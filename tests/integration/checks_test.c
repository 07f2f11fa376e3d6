#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "podvisor/io/loop.h"
#include "podvisor/io/process.h"
#include "podvisor/io/reaper.h"
#include "podvisor/model/world.h"
#include "podvisor/runtime/checks.h"

#define DEADLINE_MS 20000

/* ---- a loop that collects events, and a world of one worker ---- */

struct bench {
	struct loop loop;
	struct context context;
	struct world world;
	struct worker worker;
	struct config_worker config;
	struct reaper reaper;
	char shim[4096];
	struct checks *checks;
	struct event events[8];
	size_t n_events, wanted;
	uv_timer_t deadline;
	bool late;
	uv_tcp_t server; /* answers with reply; NULL: never */
	const char *reply;
	char request[1024];
	int port, connections;
};

static void collect(void *ctx)
{
	struct bench *b = ctx;
	struct event e;
	while (loop_take(&b->loop, &e))
		if (b->n_events < 8)
			b->events[b->n_events++] = e;
	if (b->n_events >= b->wanted)
		loop_stop(&b->loop);
}

static void on_late(uv_timer_t *handle)
{
	struct bench *b = handle->data;
	b->late = true;
	loop_stop(&b->loop);
}

static void await_events(struct bench *b, size_t n)
{
	b->wanted = n;
	uv_update_time(&b->loop.uv);
	uv_timer_start(&b->deadline, on_late, DEADLINE_MS, 0);
	if (b->n_events < n)
		loop_run(&b->loop);
	uv_timer_stop(&b->deadline);
	assert_false(b->late);
	assert_int_equal(b->n_events, n);
}

static void free_connection(uv_handle_t *handle)
{
	free(handle);
}

static void give_buffer(uv_handle_t *handle, size_t hint, uv_buf_t *out)
{
	(void)hint;
	struct bench *b = handle->data;
	*out = uv_buf_init(b->request, sizeof(b->request) - 1);
}

static void on_request(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	(void)buf;
	struct bench *b = stream->data;
	if (n < 0) {
		uv_close((uv_handle_t *)stream, free_connection);
		return;
	}
	b->request[n] = '\0';
	if (!b->reply)
		return;
	uv_buf_t out = uv_buf_init((char *)(uintptr_t)b->reply, (unsigned)strlen(b->reply));
	uv_try_write(stream, &out, 1);
	uv_close((uv_handle_t *)stream, free_connection);
}

static void on_connection(uv_stream_t *server, int status)
{
	struct bench *b = server->data;
	assert_int_equal(status, 0);
	uv_tcp_t *connection = calloc(1, sizeof(*connection));
	uv_tcp_init(&b->loop.uv, connection);
	connection->data = b;
	assert_int_equal(uv_accept(server, (uv_stream_t *)connection), 0);
	b->connections++;
	uv_read_start((uv_stream_t *)connection, give_buffer, on_request);
}

static void serve(struct bench *b)
{
	struct sockaddr_in address;
	int len = sizeof(address);
	uv_tcp_init(&b->loop.uv, &b->server);
	b->server.data = b;
	uv_ip4_addr("127.0.0.1", 0, &address);
	assert_int_equal(uv_tcp_bind(&b->server, (struct sockaddr *)&address, 0), 0);
	assert_int_equal(uv_listen((uv_stream_t *)&b->server, 16, on_connection), 0);
	assert_int_equal(uv_tcp_getsockname(&b->server, (struct sockaddr *)&address, &len), 0);
	b->port = ntohs(address.sin_port);
}

static int set_up(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct err err;
	*state = b;
	if (loop_init(&b->loop, collect, b, &err) < 0)
		return -1;
	b->config.name = (char *)(uintptr_t) "api";
	b->config.readiness = (struct config_check){.timeout = 5000};
	b->worker.config = &b->config;
	b->world.workers = &b->worker;
	b->world.n_workers = 1;
	if (reaper_init(&b->reaper, &b->loop.uv, &err) < 0 || process_find_shim(b->shim, sizeof(b->shim), &err) < 0) {
		print_error("%s\n", err.text);
		return -1;
	}
	b->config.umask = -1;
	b->context = (struct context){.loop = &b->loop, .world = &b->world, .reaper = &b->reaper, .shim_path = b->shim};
	uv_timer_init(&b->loop.uv, &b->deadline);
	b->deadline.data = b;
	serve(b);
	return checks_new(&b->checks, &b->context, &err);
}

static void close_rest(uv_handle_t *handle, void *ctx)
{
	struct bench *b = ctx;
	if (uv_is_closing(handle) || handle == (uv_handle_t *)&b->loop.prepare ||
		handle == (uv_handle_t *)&b->loop.check || handle == (uv_handle_t *)&b->loop.wake)
		return;
	bool connection = handle->type == UV_TCP && handle != (uv_handle_t *)&b->server;
	if (connection || handle == (uv_handle_t *)&b->deadline || handle == (uv_handle_t *)&b->server)
		uv_close(handle, connection ? free_connection : NULL);
}

static int tear_down(void **state)
{
	struct bench *b = *state;
	checks_free(b->checks);
	reaper_fini(&b->reaper);
	uv_walk(&b->loop.uv, close_rest, b);
	/* What is left is work in the pool and handles that close; the loop ends when they have. */
	uv_unref((uv_handle_t *)&b->loop.prepare);
	uv_unref((uv_handle_t *)&b->loop.check);
	loop_run(&b->loop);
	loop_fini(&b->loop);
	free(b);
	return 0;
}

static void ask(struct bench *b, uint64_t run)
{
	struct effect e = {.kind = EFFECT_WORKER_CHECK, .run = run, .value = PROBE_READINESS};
	checks_do(b->checks, &e);
}

static const struct event *check(struct bench *b)
{
	b->n_events = 0;
	ask(b, 7);
	await_events(b, 1);
	const struct event *e = &b->events[0];
	assert_int_equal(e->kind, EVENT_WORKER_CHECKED);
	assert_int_equal(e->slot, 0);
	assert_int_equal(e->run, 7);
	assert_int_equal(e->checked.probe, PROBE_READINESS);
	assert_true(e->checked.took_us >= 0);
	assert_true(e->checked.ok == (e->text[0] == '\0'));
	return e;
}

static const struct event *check_http(struct bench *b, const char *reply, const char *path)
{
	static char url[256];
	snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", b->port, path);
	b->config.readiness.kind = CHECK_HTTP;
	b->config.readiness.http = url;
	b->reply = reply;
	return check(b);
}

static const struct event *check_tcp(struct bench *b, const char *target)
{
	static char text[256];
	snprintf(text, sizeof(text), "%s", target);
	b->config.readiness.kind = CHECK_TCP;
	b->config.readiness.tcp = text;
	return check(b);
}

static int free_port(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	close(fd);
	return ntohs(address.sin_port);
}

/* ---- http ---- */

static void an_http_answer_of_2xx_or_3xx_is_good(void **state)
{
	struct bench *b = *state;
	assert_true(check_http(b, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "/healthz")->checked.ok);
	assert_memory_equal(b->request, "GET /healthz HTTP/1.1\r\n", 23);
	assert_true(check_http(b, "HTTP/1.1 204 No Content\r\n\r\n", "/")->checked.ok);
	assert_true(check_http(b, "HTTP/1.1 399 Odd\r\nContent-Length: 0\r\n\r\n", "/")->checked.ok);
}

static void a_redirect_is_good_and_is_not_followed(void **state)
{
	struct bench *b = *state;
	assert_true(check_http(b, "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n", "/")
			    ->checked.ok);
	assert_int_equal(b->connections, 1);
}

static void an_http_answer_of_503_is_bad_and_is_named(void **state)
{
	const struct event *e =
		check_http(*state, "HTTP/1.1 503 Unavailable\r\nContent-Length: 0\r\n\r\n", "/ready?token=hush");
	assert_false(e->checked.ok);
	assert_non_null(strstr(e->text, "/ready: answered 503"));
	assert_null(strstr(e->text, "hush"));
}

static void an_expected_status_is_the_only_good_one(void **state)
{
	struct bench *b = *state;
	b->config.readiness.expect_status = 418;
	assert_true(check_http(b, "HTTP/1.1 418 Teapot\r\nContent-Length: 0\r\n\r\n", "/")->checked.ok);
	const struct event *e = check_http(b, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "/");
	assert_false(e->checked.ok);
	assert_non_null(strstr(e->text, "answered 200, not 418"));
}

static void configured_headers_are_sent(void **state)
{
	struct bench *b = *state;
	char name[] = "X-Probe", value[] = "podvisor", host[] = "Host", backend[] = "backend.example";
	struct config_pair headers[] = {{name, value}, {host, backend}};
	b->config.readiness.headers = headers;
	b->config.readiness.n_headers = 2;
	assert_true(check_http(b, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "/")->checked.ok);
	assert_non_null(strstr(b->request, "X-Probe: podvisor\r\n"));
	assert_non_null(strstr(b->request, "Host: backend.example\r\n"));
}

static void a_body_without_end_does_not_keep_the_answer_waiting(void **state)
{
	size_t size = 200 * 1024;
	char *reply = malloc(size + 1);
	int n = snprintf(reply, size, "HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n");
	memset(reply + n, 'x', size - (size_t)n);
	reply[size] = '\0';
	assert_true(check_http(*state, reply, "/")->checked.ok);
	free(reply);
}

static void a_silent_http_server_is_given_up_after_the_timeout(void **state)
{
	struct bench *b = *state;
	b->config.readiness.timeout = 50;
	const struct event *e = check_http(b, NULL, "/");
	assert_false(e->checked.ok);
	assert_non_null(strstr(e->text, "no answer within 50 ms"));
}

static void what_is_not_http_is_bad(void **state)
{
	struct bench *b = *state;
	assert_false(check_http(b, "SSH-2.0-OpenSSH_9.2\r\n", "/")->checked.ok);
	assert_false(check_http(b, "", "/")->checked.ok);
}

static void a_refused_http_connection_is_told(void **state)
{
	struct bench *b = *state;
	b->port = free_port();
	const struct event *e = check_http(b, "", "/");
	assert_false(e->checked.ok);
	assert_non_null(strstr(e->text, "Connection refused"));
}

/* ---- tcp and unix ---- */

static void an_accepted_connection_is_good(void **state)
{
	struct bench *b = *state;
	char target[32];
	snprintf(target, sizeof(target), "127.0.0.1:%d", b->port);
	assert_true(check_tcp(b, target)->checked.ok);
	snprintf(target, sizeof(target), "localhost:%d", b->port);
	assert_true(check_tcp(b, target)->checked.ok);
	snprintf(target, sizeof(target), ":%d", b->port);
	assert_true(check_tcp(b, target)->checked.ok);
}

static void a_refused_connection_is_bad_and_is_told(void **state)
{
	char target[32];
	snprintf(target, sizeof(target), "127.0.0.1:%d", free_port());
	const struct event *e = check_tcp(*state, target);
	assert_false(e->checked.ok);
	assert_memory_equal(e->text, target, strlen(target));
	assert_non_null(strstr(e->text, "connection refused"));
}

static void a_missing_unix_socket_is_bad(void **state)
{
	assert_false(check_tcp(*state, "unix:/nonexistent/socket")->checked.ok);
}

static void a_target_that_is_no_address_is_told(void **state)
{
	static const char *const targets[] = {"nonsense", "host:", "host:8x", "::1:80", "h:123456789"};
	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		const struct event *e = check_tcp(*state, targets[i]);
		assert_false(e->checked.ok);
		assert_non_null(strstr(e->text, "neither host:port nor unix:PATH"));
	}
}

/* ---- file ---- */

static void a_file_is_good_when_it_exists(void **state)
{
	struct bench *b = *state;
	char dir[] = "/tmp/podvisor-checks-XXXXXX", path[64];
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/ready", dir);
	b->config.readiness.kind = CHECK_FILE;
	b->config.readiness.file = path;
	const struct event *e = check(b);
	assert_false(e->checked.ok);
	assert_non_null(strstr(e->text, "no such file"));
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_true(check(b)->checked.ok);
	unlink(path);
	rmdir(dir);
}

/* ---- exec ---- */

static const struct event *check_exec(struct bench *b, const char *script)
{
	static char shell[] = "/bin/sh", option[] = "-c", text[512];
	static char *argv[] = {shell, option, text, NULL};
	snprintf(text, sizeof(text), "%s", script);
	b->config.readiness.kind = CHECK_EXEC;
	b->config.readiness.exec = argv;
	return check(b);
}

static void a_command_that_exits_0_is_good(void **state)
{
	assert_true(check_exec(*state, "echo fine")->checked.ok);
}

static void the_code_and_the_last_line_of_a_failed_command_are_told(void **state)
{
	const struct event *e = check_exec(*state, "echo first; echo; printf 'no\\tblocks' >&2; exit 3");
	assert_false(e->checked.ok);
	assert_string_equal(e->text, "/bin/sh: exited with code 3: no blocks");
	e = check_exec(*state, "kill -9 $$");
	assert_string_equal(e->text, "/bin/sh: killed by SIGKILL");
}

static void a_command_that_talks_a_lot_is_not_held_up(void **state)
{
	const struct event *e = check_exec(*state, "head -c 1000000 /dev/zero | tr '\\0' x; echo; echo end; exit 1");
	assert_string_equal(e->text, "/bin/sh: exited with code 1: end");
}

static void a_command_that_does_not_exist_is_told(void **state)
{
	struct bench *b = *state;
	static char name[] = "/nonexistent/check";
	static char *argv[] = {name, NULL};
	b->config.readiness.kind = CHECK_EXEC;
	b->config.readiness.exec = argv;
	const struct event *e = check(b);
	assert_string_equal(e->text, "/nonexistent/check: cannot be run: No such file or directory");
}

static void a_command_runs_with_the_environment_and_in_the_directory_of_its_worker(void **state)
{
	struct bench *b = *state;
	char name[] = "COLOUR", value[] = "green", root[] = "/";
	struct config_pair env[] = {{name, value}};
	b->config.env = env;
	b->config.n_env = 1;
	b->config.cwd = root;
	snprintf(b->worker.name, sizeof(b->worker.name), "api.2");
	b->worker.instance = 2;
	assert_true(
		check_exec(b, "test $COLOUR$PWD$PODVISOR_WORKER$PODVISOR_INSTANCE_INDEX = green/api.22")->checked.ok);
}

/* The pipe of the grandchild ends when it dies: EOF is the proof. */
static void a_command_that_takes_too_long_is_killed_with_all_it_started(void **state)
{
	struct bench *b = *state;
	char dir[] = "/tmp/podvisor-checks-XXXXXX", fifo[64], script[256], byte;
	assert_non_null(mkdtemp(dir));
	snprintf(fifo, sizeof(fifo), "%s/fifo", dir);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	int reader = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	snprintf(script, sizeof(script), "setsid sh -c 'echo x; sleep 1000' > %s & sleep 1000", fifo);
	b->config.readiness.timeout = 300;
	const struct event *e = check_exec(b, script);
	assert_string_equal(e->text, "/bin/sh: no answer within 300 ms");
	struct pollfd poller = {.fd = reader, .events = POLLIN};
	ssize_t n;
	b->wanted = SIZE_MAX;
	do {
		uv_run(&b->loop.uv, UV_RUN_NOWAIT);
		assert_int_equal(poll(&poller, 1, DEADLINE_MS), 1);
		n = read(reader, &byte, 1);
	} while (n != 0);
	close(reader);
	unlink(fifo);
	rmdir(dir);
}

/* ---- attempts ---- */

static void a_second_attempt_is_not_begun_while_one_is_under_way(void **state)
{
	struct bench *b = *state;
	char url[64];
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/", b->port);
	b->config.readiness = (struct config_check){.kind = CHECK_HTTP, .http = url, .timeout = 5000};
	b->reply = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
	ask(b, 7);
	ask(b, 7);
	await_events(b, 1);
	/* Were there two, the second would come before the answer to a third. */
	assert_true(check_http(b, b->reply, "/")->checked.ok);
	assert_int_equal(b->connections, 2);
}

static void a_forgotten_run_is_not_answered(void **state)
{
	struct bench *b = *state;
	char url[64];
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/", b->port);
	b->config.readiness.kind = CHECK_HTTP;
	b->config.readiness.http = url;
	ask(b, 6);
	checks_forget(b->checks, 0, 5);
	checks_forget(b->checks, 0, 6);
	/* The next run's answer is the first and only one. */
	check_http(b, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "/");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(an_http_answer_of_2xx_or_3xx_is_good),
		TEST(a_redirect_is_good_and_is_not_followed),
		TEST(an_http_answer_of_503_is_bad_and_is_named),
		TEST(an_expected_status_is_the_only_good_one),
		TEST(configured_headers_are_sent),
		TEST(a_body_without_end_does_not_keep_the_answer_waiting),
		TEST(a_silent_http_server_is_given_up_after_the_timeout),
		TEST(what_is_not_http_is_bad),
		TEST(a_refused_http_connection_is_told),
		TEST(an_accepted_connection_is_good),
		TEST(a_refused_connection_is_bad_and_is_told),
		TEST(a_missing_unix_socket_is_bad),
		TEST(a_target_that_is_no_address_is_told),
		TEST(a_file_is_good_when_it_exists),
		TEST(a_command_that_exits_0_is_good),
		TEST(the_code_and_the_last_line_of_a_failed_command_are_told),
		TEST(a_command_that_talks_a_lot_is_not_held_up),
		TEST(a_command_that_does_not_exist_is_told),
		TEST(a_command_runs_with_the_environment_and_in_the_directory_of_its_worker),
		TEST(a_command_that_takes_too_long_is_killed_with_all_it_started),
		TEST(a_second_attempt_is_not_begun_while_one_is_under_way),
		TEST(a_forgotten_run_is_not_answered),
	};
	return cmocka_run_group_tests_name("checks", tests, NULL, NULL);
}
