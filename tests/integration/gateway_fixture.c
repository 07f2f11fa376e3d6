#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "gateway_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "podvisor/io/loop.h"
#include "podvisor/model/config.h"
#include "podvisor/runtime/gateway.h"

#define EVENTS_MAX 64

enum order { ORDER_NONE, ORDER_EFFECT, ORDER_WORKER, ORDER_METERS, ORDER_END };

struct gateway_fixture {
	pthread_t thread;
	struct loop loop;
	struct world *world;
	struct meters meters;
	struct context context;
	struct gateways *gateways;
	int listener; /* the backend's */
	char backend[64], address[64];
	uint64_t turns;
	/* between the threads */
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	uv_async_t async;
	enum order order;
	struct effect effect;
	bool ready;
	struct gateway_meter copy;
	struct event events[EVENTS_MAX];
	size_t n_events;
};

int64_t milliseconds(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* ---- the gateway's thread ---- */

static void on_turn(void *ctx)
{
	struct gateway_fixture *f = ctx;
	struct event e;
	pthread_mutex_lock(&f->mutex);
	while (loop_take(&f->loop, &e))
		if (f->n_events < EVENTS_MAX)
			f->events[f->n_events++] = e;
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->mutex);
}

static void carry_out(struct gateway_fixture *f, enum order order)
{
	switch (order) {
	case ORDER_EFFECT:
		gateways_do(f->gateways, &f->effect);
		break;
	case ORDER_WORKER:
		f->world->workers[0].state = f->ready ? WORKER_READY : WORKER_BACKOFF;
		gateways_world_changed(f->gateways);
		break;
	case ORDER_METERS:
		f->copy = f->meters.gateway;
		break;
	case ORDER_END:
		gateways_free(f->gateways);
		uv_close((uv_handle_t *)&f->async, NULL);
		loop_stop(&f->loop);
		break;
	default:
		break;
	}
}

static void on_order(uv_async_t *async)
{
	struct gateway_fixture *f = async->data;
	pthread_mutex_lock(&f->mutex);
	enum order order = f->order;
	pthread_mutex_unlock(&f->mutex);
	carry_out(f, order);
	pthread_mutex_lock(&f->mutex);
	f->order = ORDER_NONE;
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->mutex);
}

static void on_prepare(uv_prepare_t *prepare)
{
	struct gateway_fixture *f = prepare->data;
	f->turns++;
}

static void *run(void *ctx)
{
	struct gateway_fixture *f = ctx;
	uv_prepare_t prepare;
	uv_prepare_init(&f->loop.uv, &prepare);
	prepare.data = f;
	uv_prepare_start(&prepare, on_prepare);
	loop_run(&f->loop);
	uv_close((uv_handle_t *)&prepare, NULL);
	loop_fini(&f->loop);
	return NULL;
}

static void until(struct timespec *ts, int ms)
{
	clock_gettime(CLOCK_REALTIME, ts);
	ts->tv_sec += ms / 1000;
	ts->tv_nsec += ms % 1000 * 1000000L;
	if (ts->tv_nsec >= 1000000000L) {
		ts->tv_sec++;
		ts->tv_nsec -= 1000000000L;
	}
}

static void order(struct gateway_fixture *f, enum order what)
{
	struct timespec deadline;
	until(&deadline, GATEWAY_PATIENCE_MS);
	pthread_mutex_lock(&f->mutex);
	f->order = what;
	uv_async_send(&f->async);
	int rc = 0;
	while (f->order != ORDER_NONE && rc == 0)
		rc = pthread_cond_timedwait(&f->changed, &f->mutex, &deadline);
	pthread_mutex_unlock(&f->mutex);
	assert_int_equal(rc, 0);
}

void gateway_effect(struct gateway_fixture *f, enum effect_kind kind, int64_t value)
{
	f->effect = (struct effect){.kind = kind, .value = value};
	order(f, ORDER_EFFECT);
}

void gateway_worker(struct gateway_fixture *f, bool ready)
{
	f->ready = ready;
	order(f, ORDER_WORKER);
}

void gateway_meters(struct gateway_fixture *f, struct gateway_meter *out)
{
	order(f, ORDER_METERS);
	*out = f->copy;
}

uint64_t gateway_turns(struct gateway_fixture *f)
{
	return f->turns;
}

static const struct event *find(const struct gateway_fixture *f, enum event_kind kind)
{
	for (size_t i = f->n_events; i > 0; i--)
		if (f->events[i - 1].kind == kind)
			return &f->events[i - 1];
	return NULL;
}

bool gateway_awaits(struct gateway_fixture *f, enum event_kind kind, int within_ms, struct event *out)
{
	struct timespec deadline;
	until(&deadline, within_ms);
	pthread_mutex_lock(&f->mutex);
	int rc = 0;
	while (!find(f, kind) && rc == 0)
		rc = pthread_cond_timedwait(&f->changed, &f->mutex, &deadline);
	const struct event *e = find(f, kind);
	if (e && out)
		*out = *e;
	pthread_mutex_unlock(&f->mutex);
	return e != NULL;
}

int gateway_count(struct gateway_fixture *f, enum event_kind kind)
{
	int n = 0;
	pthread_mutex_lock(&f->mutex);
	for (size_t i = 0; i < f->n_events; i++)
		n += f->events[i].kind == kind;
	pthread_mutex_unlock(&f->mutex);
	return n;
}

/* ---- birth and death ---- */

static const char *variable(void *ctx, const char *name)
{
	(void)ctx;
	(void)name;
	return NULL;
}

static char *file(void *ctx, const char *path, struct err *err)
{
	(void)ctx;
	err_set(err, -ENOENT, "no file %s", path);
	return NULL;
}

static void replace(char *text, size_t size, const char *what, const char *with)
{
	char copy[8192];
	for (char *at; (at = strstr(text, what));) {
		snprintf(copy, sizeof(copy), "%.*s%s%s", (int)(at - text), text, with, at + strlen(what));
		snprintf(text, size, "%s", copy);
	}
}

static struct config *configure(const struct gateway_fixture *f, const char *gateway, const char *routes)
{
	static const struct config_source source = {.variable = variable, .file = file};
	static struct config_report report;
	char text[8192];
	snprintf(text, sizeof(text),
		"{\"workers\": {\"api\": {\"command\": [\"api\"]}},"
		" \"gateway\": {\"listen\": \"127.0.0.1:1\", \"routes\": %s%s%s}}",
		routes ? routes : "[{\"path\": \"/\", \"worker\": \"api\", \"to\": \"BACKEND\"}]",
		gateway && *gateway ? ", " : "", gateway ? gateway : "");
	replace(text, sizeof(text), "BACKEND", f->backend);
	struct config *config = config_parse(text, strlen(text), &source, &report);
	if (!config)
		fail_msg("%s: %s", report.items[0].path, report.items[0].text);
	/* Any free port, which a configuration cannot ask for. */
	config->gateway.listen[strlen(config->gateway.listen) - 1] = '0';
	return config;
}

void gateway_backend_start(struct gateway_fixture *f)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof(at);
	int on = 1;
	if (f->backend[0])
		at.sin_port = htons((uint16_t)atoi(strchr(f->backend, ':') + 1));
	f->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(f->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(f->listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	assert_int_equal(bind(f->listener, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(f->listener, 1024), 0);
	getsockname(f->listener, (struct sockaddr *)&at, &len);
	snprintf(f->backend, sizeof(f->backend), "127.0.0.1:%d", ntohs(at.sin_port));
}

void gateway_backend_stop(struct gateway_fixture *f)
{
	close(f->listener);
}

static struct gateway_fixture *running;

struct gateway_fixture *gateway_start(const char *gateway, const char *routes)
{
	struct gateway_fixture *f = calloc(1, sizeof(*f));
	struct err err = {0};
	struct event listening;
	gateway_backend_start(f);
	struct config *config = configure(f, gateway, routes);
	pthread_mutex_init(&f->mutex, NULL);
	pthread_cond_init(&f->changed, NULL);
	assert_int_equal(loop_init(&f->loop, on_turn, f, &err), 0);
	f->world = world_new(config, 1, loop_now());
	config_release(config);
	f->world->workers[0].state = WORKER_READY;
	f->context = (struct context){.loop = &f->loop, .world = f->world, .meters = &f->meters};
	if (gateways_new(&f->gateways, &f->context, &err) < 0)
		fail_msg("%s", err.text);
	uv_async_init(&f->loop.uv, &f->async, on_order);
	f->async.data = f;
	assert_int_equal(pthread_create(&f->thread, NULL, run, f), 0);
	gateway_effect(f, EFFECT_GATEWAY_LISTEN, 0);
	assert_true(gateway_awaits(f, EVENT_GATEWAY_LISTENING, GATEWAY_PATIENCE_MS, &listening));
	snprintf(f->address, sizeof(f->address), "%.60s", listening.text);
	running = f;
	return f;
}

void gateway_end(struct gateway_fixture *f)
{
	order(f, ORDER_END);
	pthread_join(f->thread, NULL);
	world_free(f->world);
	close(f->listener);
	running = running == f ? NULL : running;
	free(f);
}

int gateway_tear_down(void **state)
{
	(void)state;
	if (running)
		gateway_end(running);
	return 0;
}

/* ---- sockets ---- */

static int patient(int fd)
{
	struct timeval patience = {.tv_sec = GATEWAY_PATIENCE_MS / 1000};
	int on = 1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

int gateway_client(struct gateway_fixture *f)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	at.sin_port = htons((uint16_t)atoi(strchr(f->address, ':') + 1));
	int fd = patient(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	if (connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		fail_msg("connect to the gateway: %s", strerror(errno));
	return fd;
}

int gateway_backend(struct gateway_fixture *f)
{
	struct pollfd p = {f->listener, POLLIN, 0};
	if (poll(&p, 1, GATEWAY_PATIENCE_MS) != 1)
		fail_msg("the gateway did not connect to the backend");
	return patient(accept(f->listener, NULL, NULL));
}

void put_bytes(int fd, const void *bytes, size_t n)
{
	const char *at = bytes;
	while (n) {
		ssize_t done = send(fd, at, n, MSG_NOSIGNAL);
		if (done <= 0)
			fail_msg("send: %s", strerror(errno));
		at += done;
		n -= (size_t)done;
	}
}

void put(int fd, const char *text)
{
	put_bytes(fd, text, strlen(text));
}

void get_bytes(int fd, void *bytes, size_t n)
{
	char *at = bytes;
	while (n) {
		ssize_t done = recv(fd, at, n, 0);
		if (done <= 0)
			fail_msg("expected %zu more bytes, got %s", n, done ? strerror(errno) : "the end");
		at += done;
		n -= (size_t)done;
	}
}

void get_head(int fd, char *out, size_t size)
{
	size_t n = 0;
	out[0] = '\0';
	while (n < 4 || memcmp(out + n - 4, "\r\n\r\n", 4) != 0) {
		if (n + 1 >= size)
			fail_msg("a head of more than %zu bytes", size);
		ssize_t done = recv(fd, out + n, 1, 0);
		if (done <= 0)
			fail_msg("no head but %s after: %s", done ? strerror(errno) : "the end", out);
		out[++n] = '\0';
	}
}

size_t get_rest(int fd, char *out, size_t size)
{
	size_t n = 0;
	ssize_t done;
	while ((done = recv(fd, out + n, size - 1 - n, 0)) > 0)
		n += (size_t)done;
	if (done < 0)
		fail_msg("no end but %s after %zu bytes", strerror(errno), n);
	out[n] = '\0';
	return n;
}

void get_end(int fd)
{
	char c;
	ssize_t done = recv(fd, &c, 1, 0);
	if (done != 0)
		fail_msg("no end but %s", done < 0 ? strerror(errno) : "a byte");
}

void get_nothing(int fd, int ms)
{
	struct pollfd p = {fd, POLLIN, 0};
	assert_int_equal(poll(&p, 1, ms), 0);
}

struct pair gateway_websocket(struct gateway_fixture *f)
{
	char head[2048];
	struct pair p = {.client = gateway_client(f)};
	put(p.client, "GET /live HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
		      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n");
	p.backend = gateway_backend(f);
	get_head(p.backend, head, sizeof(head));
	assert_non_null(strstr(head, "\r\nUpgrade: websocket\r\n"));
	put(p.backend, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		       "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
	get_head(p.client, head, sizeof(head));
	assert_non_null(strstr(head, "HTTP/1.1 101 "));
	return p;
}
