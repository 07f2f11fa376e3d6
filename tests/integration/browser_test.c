/* A real Chrome under the real model: what the plan says is done, what happens is
 * folded in. The only thing that is played is the RAM disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "podvisor/base/buf.h"
#include "podvisor/io/process.h"
#include "podvisor/io/remove_tree.h"
#include "podvisor/model/reconcile.h"
#include "podvisor/model/world.h"
#include "podvisor/runtime/browsers.h"

#define PATIENCE_MS 90000

/* ---- a small podvisor ---- */

struct bench {
	struct loop loop;
	struct context context;
	struct meters meters;
	struct reaper reaper;
	struct world *world;
	struct browsers *browsers;
	struct plan plan;
	char shim[4096], dir[64];
	int port; /* of the stable address */
	uint64_t told; /* journal entries printed so far */
	uv_timer_t patience;
	bool expired;
};

static const char *chrome = NULL; /* executable; NULL: podvisor's own choice */
static const char *extra = ""; /* more keys of the browser, as JSON */
static bool narrow; /* one session at a time, and one that waits */

static void do_effect(struct bench *b, const struct effect *e)
{
	struct event answer = {.slot = e->slot};
	if (e->kind == EFFECT_VOLUME_PREPARE || e->kind == EFFECT_VOLUME_RELEASE) {
		answer.kind = e->kind == EFFECT_VOLUME_PREPARE ? EVENT_VOLUME_PREPARED : EVENT_VOLUME_RELEASED;
		loop_post(&b->loop, &answer);
	} else if (e->kind >= EFFECT_BROWSER_LAUNCH && e->kind <= EFFECT_BROWSER_CLEAN) {
		browsers_do(b->browsers, e);
	}
}

static void print_news(struct bench *b)
{
	for (; b->told < b->world->journal.last_seq; b->told++) {
		const struct journal_entry *e = journal_get(&b->world->journal, b->told + 1);
		if (e)
			print_message("  %8lld %s %s\n", (long long)(e->at % 10000000), e->subject, e->text);
	}
}

static void turn(void *ctx)
{
	struct bench *b = ctx;
	struct event e;
	while (loop_take(&b->loop, &e))
		world_apply(b->world, &e, loop_now());
	reconcile(b->world, loop_now(), loop_wall_ms(), &b->plan);
	for (size_t i = 0; i < b->plan.count; i++)
		do_effect(b, &b->plan.effects[i]);
	loop_wake_at(&b->loop, b->plan.wake_at);
	print_news(b);
}

static void on_expired(uv_timer_t *timer)
{
	((struct bench *)timer->data)->expired = true;
}

#define AWAIT(b, condition)                                                   \
	do {                                                                  \
		(b)->expired = false;                                         \
		uv_update_time(&(b)->loop.uv);                                \
		uv_timer_start(&(b)->patience, on_expired, PATIENCE_MS, 0);   \
		while (!(condition) && !(b)->expired)                         \
			uv_run(&(b)->loop.uv, UV_RUN_ONCE);                   \
		uv_timer_stop(&(b)->patience);                                \
		if (!(condition))                                             \
			fail_msg("%s has not come true in time", #condition); \
	} while (0)

static int free_port(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	close(fd);
	return ntohs(at.sin_port);
}

static struct config *make_config(struct bench *b)
{
	char text[4096];
	struct config_report report;
	struct config_source nothing = {0};
	snprintf(text, sizeof(text),
		"{\"instance\": \"test\", \"volumes\": {\"disk\": {\"path\": \"%s\", \"size\": \"1Gi\", \"mount\": "
		"\"any\"}},"
		" \"browsers\": {\"chrome\": {\"listen\": \"127.0.0.1:%d\", \"volume\": \"disk\", \"health\": {"
		" \"browser\": {\"interval\": \"500ms\", \"timeout\": \"1s\"},"
		" \"renderer\": {\"interval\": \"2s\", \"timeout\": \"5s\"},"
		" \"network\": {\"interval\": \"3s\", \"timeout\": \"4s\"}}%s%s%s%s}}}",
		b->dir, b->port, chrome ? ", \"executable\": \"" : "", chrome ? chrome : "", chrome ? "\"" : "", extra);
	struct config *config = config_parse(text, strlen(text), &nothing, &report);
	if (!config)
		fail_msg("%s: %s", report.items[0].path, report.items[0].text);
	if (narrow)
		config->browsers[0].max_sessions = config->browsers[0].queue = 1;
	return config;
}

static int raise_bench(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	signal(SIGPIPE, SIG_IGN);
	snprintf(b->dir, sizeof(b->dir), "/tmp/podvisor-browser-XXXXXX");
	assert_non_null(mkdtemp(b->dir));
	assert_int_equal(chmod(b->dir, 01777), 0);
	b->port = free_port();
	assert_int_equal(loop_init(&b->loop, turn, b, NULL), 0);
	assert_int_equal(process_find_shim(b->shim, sizeof(b->shim), NULL), 0);
	assert_int_equal(reaper_init(&b->reaper, &b->loop.uv, NULL), 0);
	uv_timer_init(&b->loop.uv, &b->patience);
	b->patience.data = b;
	struct config *config = make_config(b);
	b->world = world_new(config, 1, loop_now());
	config_release(config);
	b->context = (struct context){
		.loop = &b->loop, .world = b->world, .meters = &b->meters, .reaper = &b->reaper, .shim_path = b->shim};
	plan_init(&b->plan);
	assert_int_equal(browsers_new(&b->browsers, &b->context, NULL), 0);
	loop_ask(&b->loop);
	*state = b;
	return 0;
}

static int count_entries(const char *path)
{
	int n = 0;
	DIR *dir = opendir(path);
	for (struct dirent *d; dir && (d = readdir(dir));)
		n += strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0;
	if (dir)
		closedir(dir);
	return n;
}

static const struct browser *browser(const struct bench *b)
{
	return &b->world->browsers[0];
}

static const struct generation *lead(const struct bench *b)
{
	return browser_lead(browser(b));
}

static void ask(struct bench *b, enum event_kind kind)
{
	struct event e = {.kind = kind};
	loop_post(&b->loop, &e);
	turn(b);
}

/* ---- what the kernel knows ---- */

static ssize_t read_command_line(const char *pid, char *out, size_t size)
{
	char path[300];
	snprintf(path, sizeof(path), "/proc/%s/cmdline", pid);
	int fd = atoi(pid) > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	ssize_t len = fd < 0 ? 0 : read(fd, out, size - 1);
	if (fd >= 0)
		close(fd);
	out[len > 0 ? len : 0] = '\0';
	for (ssize_t i = 0; i < len - 1; i++)
		out[i] = out[i] ? out[i] : ' ';
	return len;
}

/* Not every process of the headless shell names its profile, but each began in its generation's directory. */
static bool began_in(const char *pid, const char *text)
{
	char path[300], cwd[4096] = "";
	snprintf(path, sizeof(path), "/proc/%s/cwd", pid);
	return readlink(path, cwd, sizeof(cwd) - 1) > 0 && strstr(cwd, text);
}

/* Processes that belong to this directory, and to this type, when given. Their pids into out. */
static int find_processes(const char *text, const char *type, pid_t *out, int max)
{
	int n = 0;
	DIR *proc = opendir("/proc");
	for (struct dirent *d; (d = readdir(proc));) {
		char line[16384];
		if (read_command_line(d->d_name, line, sizeof(line)) <= 0 || strstr(line, "podvisor-shim"))
			continue;
		if ((strstr(line, text) || began_in(d->d_name, text)) && (!type || strstr(line, type)) && n < max)
			out[n++] = atoi(d->d_name);
	}
	closedir(proc);
	return n;
}

static void await_death(const struct bench *b)
{
	pid_t pids[64];
	for (int i = 0; i < 500 && find_processes(b->dir, NULL, pids, 64) > 0; i++)
		usleep(20000);
	assert_int_equal(find_processes(b->dir, NULL, pids, 64), 0);
}

static int strike_bench(void **state)
{
	struct bench *b = *state;
	browsers_free(b->browsers);
	reaper_fini(&b->reaper);
	uv_close((uv_handle_t *)&b->patience, NULL);
	loop_fini(&b->loop);
	world_free(b->world);
	plan_fini(&b->plan);
	await_death(b); /* what still ran is killed by its shim, of whom nobody hears any more */
	int left = remove_tree_now(b->dir, NULL);
	free(b);
	return left;
}

static int count_of_generation(const struct bench *b, int generation)
{
	char text[128];
	pid_t pids[256];
	snprintf(text, sizeof(text), "%s/chrome/chrome/g%d", b->dir, generation);
	return find_processes(text, NULL, pids, 256);
}

static bool directory_exists(const struct bench *b, const char *name)
{
	char path[128];
	struct stat st;
	snprintf(path, sizeof(path), "%s/chrome/chrome/%s", b->dir, name);
	return stat(path, &st) == 0;
}

static void stop_and_find_nothing(struct bench *b)
{
	ask(b, EVENT_ASKED_BROWSER_STOP);
	AWAIT(b, browser(b)->state == BROWSER_STOPPED);
	char home[128];
	snprintf(home, sizeof(home), "%s/chrome/chrome", b->dir);
	assert_int_equal(count_entries(home), 0);
	pid_t pids[64];
	assert_int_equal(find_processes(b->dir, NULL, pids, 64), 0);
}

/* ---- a client, in a thread because it blocks ---- */

struct call {
	struct bench *bench;
	void (*talk)(struct call *c);
	int fd;
	char request[1024], answer[65536];
	size_t len;
	const char *commands[8]; /* of a WebSocket: sent one by one, each answered */
	char page[128];
	bool failed;
	pthread_t thread;
	uv_async_t done;
	bool over;
};

static bool connect_to(struct call *c)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct timeval limit = {.tv_sec = 30};
	at.sin_port = htons((uint16_t)c->bench->port);
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return connect(c->fd, (struct sockaddr *)&at, sizeof(at)) == 0;
}

static void talk_http(struct call *c)
{
	c->failed = !connect_to(c) || write(c->fd, c->request, strlen(c->request)) < 0;
	for (ssize_t n; !c->failed && c->len < sizeof(c->answer) - 1; c->len += (size_t)n) {
		n = read(c->fd, c->answer + c->len, sizeof(c->answer) - 1 - c->len);
		if (n <= 0) {
			c->failed = n < 0;
			break;
		}
	}
	close(c->fd);
}

static bool read_exactly(int fd, void *out, size_t n)
{
	for (size_t got = 0; got < n;) {
		ssize_t k = read(fd, (char *)out + got, n - got);
		if (k <= 0)
			return false;
		got += (size_t)k;
	}
	return true;
}

/* RFC 6455 5.2, texts of up to 64 KiB, masked with zeros. */
static bool send_text(int fd, const char *text)
{
	size_t n = strlen(text);
	unsigned char frame[4096] = {0x81, (unsigned char)(0x80 | (n < 126 ? n : 126))};
	size_t at = 2;
	if (n >= 126) {
		frame[at++] = (unsigned char)(n >> 8);
		frame[at++] = (unsigned char)n;
	}
	at += 4;
	memcpy(frame + at, text, n);
	return write(fd, frame, at + n) == (ssize_t)(at + n);
}

static bool read_text(struct call *c)
{
	unsigned char head[2], more[8];
	if (!read_exactly(c->fd, head, 2))
		return false;
	size_t n = head[1] & 0x7f, size = n == 126 ? 2 : n == 127 ? 8 : 0;
	if (size && !read_exactly(c->fd, more, size))
		return false;
	for (size_t i = 0, wide = 0; i < size; i++)
		n = wide = wide << 8 | more[i];
	if (n >= sizeof(c->answer))
		return false;
	c->len = n;
	c->answer[n] = '\0';
	return read_exactly(c->fd, c->answer, n);
}

static bool upgrade(struct call *c)
{
	char head[2048] = "";
	size_t n = 0;
	if (!connect_to(c) || write(c->fd, c->request, strlen(c->request)) < 0)
		return false;
	while (n < sizeof(head) - 1 && !strstr(head, "\r\n\r\n") && read(c->fd, head + n, 1) == 1)
		n++;
	snprintf(c->answer, sizeof(c->answer), "%s", head);
	return strncmp(head, "HTTP/1.1 101", 12) == 0;
}

static void talk_websocket(struct call *c)
{
	c->failed = !upgrade(c);
	for (int i = 0; !c->failed && i < 8 && c->commands[i]; i++) {
		char id[32];
		snprintf(id, sizeof(id), "\"id\":%d", i + 1);
		c->failed = !send_text(c->fd, c->commands[i]);
		do
			c->failed = c->failed || !read_text(c);
		while (!c->failed && !strstr(c->answer, id));
		const char *target = strstr(c->answer, "\"targetId\":\"");
		if (!c->failed && target)
			snprintf(c->page, sizeof(c->page), "%.32s", target + 12);
	}
}

static void talk_websocket_and_close(struct call *c)
{
	talk_websocket(c);
	close(c->fd);
}

static void on_done(uv_async_t *async)
{
	((struct call *)async->data)->over = true;
}

static void *run_call(void *arg)
{
	struct call *c = arg;
	c->talk(c);
	uv_async_send(&c->done);
	return NULL;
}

static void begin(struct bench *b, struct call *c, void (*talk)(struct call *))
{
	c->bench = b;
	c->talk = talk;
	c->done.data = c;
	uv_async_init(&b->loop.uv, &c->done, on_done);
	assert_int_equal(pthread_create(&c->thread, NULL, run_call, c), 0);
}

static void on_async_closed(uv_handle_t *handle)
{
	((struct call *)handle->data)->over = false;
}

static void complete(struct bench *b, struct call *c)
{
	AWAIT(b, c->over);
	pthread_join(c->thread, NULL);
	uv_close((uv_handle_t *)&c->done, on_async_closed);
	AWAIT(b, !c->over);
}

static struct call *get(struct bench *b, const char *method, const char *target, const char *fields)
{
	static struct call c;
	c = (struct call){0};
	snprintf(c.request, sizeof(c.request), "%s %s HTTP/1.1\r\n%s\r\n", method, target, fields);
	begin(b, &c, talk_http);
	complete(b, &c);
	assert_false(c.failed);
	return &c;
}

#define UPGRADE                                                                      \
	"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" \
	"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"

/* The path of the virtual browser, from /json/version. */
static void browser_path(struct bench *b, char out[128])
{
	struct call *c = get(b, "GET", "/json/version", "Host: localhost\r\n");
	const char *at = strstr(c->answer, "ws://localhost/devtools/browser/");
	assert_non_null(at);
	snprintf(out, 128, "%.*s", (int)strcspn(at + 14, "\""), at + 14);
}

static void connect_browser(struct bench *b, struct call *c, const char *path)
{
	snprintf(c->request, sizeof(c->request), "GET %s HTTP/1.1\r\nHost: localhost\r\n" UPGRADE "\r\n", path);
	c->commands[0] = "{\"id\":1,\"method\":\"Browser.getVersion\"}";
	c->commands[1] = "{\"id\":2,\"method\":\"Target.createTarget\",\"params\":{\"url\":\"about:blank\"}}";
	begin(b, c, talk_websocket);
}

static bool was_told(const struct bench *b, const char *what, const char *text)
{
	const struct journal *j = &b->world->journal;
	for (uint64_t seq = journal_oldest(j); seq <= j->last_seq; seq++) {
		const struct journal_entry *e = journal_get(j, seq);
		if (e && !strcmp(e->what, what) && strstr(e->text, text))
			return true;
	}
	return false;
}

/* ---- the tests ---- */

static void it_becomes_ready_and_answers_at_its_address(void **state)
{
	struct bench *b = *state;
	AWAIT(b, browser(b)->state == BROWSER_READY);
	char path[128], field[256];
	browser_path(b, path);

	static struct call session;
	session = (struct call){0};
	connect_browser(b, &session, path);
	complete(b, &session);
	assert_false(session.failed);
	assert_int_equal(b->meters.browsers[0].sessions, 1);
	assert_int_equal(strlen(session.page), 32);

	struct call *c = get(b, "GET", "/json/list", "Host: chrome.example.svc:9222\r\n");
	assert_non_null(strstr(c->answer, "200 OK"));
	assert_non_null(strstr(c->answer, session.page));
	snprintf(field, sizeof(field), "ws://chrome.example.svc:9222/devtools/page/%s", session.page);
	assert_non_null(strstr(c->answer, field));
	int pages = 0;
	for (const char *at = c->answer; (at = strstr(at, "\"type\":\"page\"")); at++)
		pages++;
	assert_int_equal(pages, 2); /* Chrome's first page and the client's; podvisor's own is not shown */

	static struct call page;
	page = (struct call){0};
	snprintf(page.request, sizeof(page.request), "GET /devtools/page/%s HTTP/1.1\r\nHost: x\r\n" UPGRADE "\r\n",
		session.page);
	page.commands[0] = "{\"id\":1,\"method\":\"Runtime.evaluate\",\"params\":{\"expression\":\"6*7\"}}";
	begin(b, &page, talk_websocket_and_close);
	complete(b, &page);
	assert_false(page.failed);
	assert_non_null(strstr(page.answer, "42"));
	close(session.fd);
	AWAIT(b, b->meters.browsers[0].sessions == 0);
	AWAIT(b, b->meters.browsers[0].pages_attached + b->meters.browsers[0].pages_detached == 2);
	stop_and_find_nothing(b);
}

static void who_may_not_is_refused(void **state)
{
	struct bench *b = *state;
	AWAIT(b, browser(b)->state == BROWSER_READY);
	assert_non_null(
		strstr(get(b, "GET", "/json/version", "Host: a\r\nOrigin: http://evil.example\r\n")->answer, "403 "));
	assert_non_null(
		strstr(get(b, "GET", "/devtools/browser/00000000-0000", "Host: a\r\n" UPGRADE)->answer, "404 "));
	assert_non_null(strstr(get(b, "GET", "/devtools/page/NOSUCHPAGE", "Host: a\r\n" UPGRADE)->answer, "HTTP/1.1 "));
	assert_non_null(strstr(get(b, "GET", "/devtools/page/X", "Host: a\r\n")->answer, "426 "));
	assert_non_null(strstr(get(b, "GET", "/etc/passwd", "Host: a\r\n")->answer, "404 "));
	assert_non_null(strstr(get(b, "DELETE", "/json/list", "Host: a\r\n")->answer, "405 "));
	assert_non_null(strstr(get(b, "GET", "/json/version", "Host: a\r\nHost: b\r\n")->answer, "400 "));
	assert_non_null(strstr(get(b, "PUT", "/json/new?about:blank", "Host: a\r\n")->answer, "200 OK"));
	assert_non_null(strstr(get(b, "GET", "/podvisor-health", "Host: a\r\n")->answer, "200 OK"));
	stop_and_find_nothing(b);
}

static void a_killed_browser_is_replaced_behind_the_same_address(void **state)
{
	struct bench *b = *state;
	AWAIT(b, browser(b)->state == BROWSER_READY);
	char before[128], after[128];
	browser_path(b, before);
	static struct call session;
	session = (struct call){0};
	connect_browser(b, &session, before);
	complete(b, &session);
	assert_false(session.failed);
	assert_true(count_of_generation(b, 1) > 2);
	pid_t old = lead(b)->pid;
	kill(old, SIGKILL);
	AWAIT(b, lead(b)->run == 0 || browser(b)->generation == 2);
	browser_path(b, after); /* is held until the next one is ready */
	assert_string_equal(before, after);
	assert_int_equal(browser(b)->generation, 2);
	assert_int_equal(browser(b)->state, BROWSER_READY);
	assert_int_not_equal(lead(b)->pid, old);
	assert_int_equal(count_of_generation(b, 1), 0);
	assert_false(directory_exists(b, "g1"));
	assert_false(directory_exists(b, "trash-g1"));
	assert_int_equal(browser(b)->recycles[RECYCLE_CRASHED], 1);
	char byte;
	assert_true(read(session.fd, &byte, 1) <= 0); /* its client was cut */
	close(session.fd);
	static struct call again;
	again = (struct call){0};
	connect_browser(b, &again, before); /* a remembered endpoint */
	complete(b, &again);
	assert_false(again.failed);
	close(again.fd);
	stop_and_find_nothing(b);
}

static void a_stopped_browser_is_found_hung_and_replaced(void **state)
{
	struct bench *b = *state;
	AWAIT(b, browser(b)->state == BROWSER_READY);
	kill(lead(b)->pid, SIGSTOP);
	AWAIT(b, browser(b)->generation == 2 && browser(b)->state == BROWSER_READY);
	assert_int_equal(browser(b)->recycles[RECYCLE_HUNG], 1);
	assert_int_equal(count_of_generation(b, 1), 0);
	assert_false(directory_exists(b, "g1"));
	stop_and_find_nothing(b);
}

static void killed_renderers_are_noticed_and_the_browser_goes_on(void **state)
{
	struct bench *b = *state;
	AWAIT(b, browser(b)->state == BROWSER_READY);
	pid_t pids[32];
	int n = find_processes(b->dir, "--type=renderer", pids, 32);
	assert_true(n > 0);
	for (int i = 0; i < n; i++)
		kill(pids[i], SIGKILL);
	AWAIT(b, was_told(b, "page-lost", "podvisor's own page"));
	uint64_t answered = browser(b)->check_seconds[RUNG_RENDERER].count;
	AWAIT(b, browser(b)->check_seconds[RUNG_RENDERER].count >= answered + 2);
	assert_int_equal(browser(b)->state, BROWSER_READY);
	assert_int_equal(browser(b)->generation, 1);
	assert_int_equal(lead(b)->rungs[RUNG_RENDERER].misses, 0);
	stop_and_find_nothing(b);
}

static void a_stopped_renderer_does_not_outlive_its_browser(void **state)
{
	struct bench *b = *state;
	AWAIT(b, browser(b)->state == BROWSER_READY);
	pid_t pids[32];
	int n = find_processes(b->dir, "--type=", pids, 32);
	assert_true(n > 2);
	for (int i = 0; i < n; i++)
		kill(pids[i], SIGSTOP);
	kill(lead(b)->pid, SIGKILL);
	AWAIT(b, browser(b)->generation == 2 && browser(b)->state == BROWSER_READY);
	assert_int_equal(count_of_generation(b, 1), 0);
	assert_false(directory_exists(b, "g1"));
	stop_and_find_nothing(b);
}

/* Every answer of the browser itself stays good then. */
static void a_stopped_network_service_is_told_apart_and_cured(void **state)
{
	struct bench *b = *state;
	AWAIT(b, browser(b)->state == BROWSER_READY);
	pid_t pids[4];
	assert_int_equal(find_processes(b->dir, "network.mojom.NetworkService", pids, 4), 1);
	kill(pids[0], SIGSTOP);
	AWAIT(b, browser(b)->generation == 2 && browser(b)->state == BROWSER_READY);
	assert_int_equal(browser(b)->recycles[RECYCLE_NETWORK], 1);
	assert_int_equal(browser(b)->recycles[RECYCLE_HUNG], 0);
	assert_int_equal(count_of_generation(b, 1), 0);
	stop_and_find_nothing(b);
}

static void a_token_opens_what_is_closed_without_it(void **state)
{
	struct bench *b = *state;
	AWAIT(b, browser(b)->state == BROWSER_READY);
	assert_non_null(strstr(get(b, "GET", "/json/version", "Host: a\r\n")->answer, "401 "));
	assert_non_null(strstr(get(b, "GET", "/json/version?token=secre", "Host: a\r\n")->answer, "401 "));
	assert_non_null(strstr(
		get(b, "GET", "/json/list", "Host: a\r\nAuthorization: Bearer secretsecret\r\n")->answer, "401 "));
	assert_non_null(
		strstr(get(b, "GET", "/json/list", "Host: a\r\nAuthorization: bearer secret\r\n")->answer, "200 OK"));
	struct call *c = get(b, "GET", "/json/version?token=secret", "Host: localhost\r\n");
	const char *at = strstr(c->answer, "ws://localhost/devtools/browser/");
	assert_non_null(at);
	char path[128];
	snprintf(path, sizeof(path), "%.*s", (int)strcspn(at + 14, "\""), at + 14);
	assert_non_null(strstr(path, "?token=secret"));
	static struct call session;
	session = (struct call){0};
	connect_browser(b, &session, path);
	complete(b, &session);
	assert_false(session.failed);
	close(session.fd);
	assert_non_null(
		strstr(get(b, "PUT", "/json/new?token=secret&about:blank", "Host: a\r\n")->answer, "about:blank"));
	stop_and_find_nothing(b);
}

static void a_session_too_many_waits_until_another_one_ends(void **state)
{
	struct bench *b = *state;
	AWAIT(b, browser(b)->state == BROWSER_READY);
	char path[128];
	browser_path(b, path);
	static struct call first, second, third;
	first = second = third = (struct call){0};
	connect_browser(b, &first, path);
	complete(b, &first);
	assert_false(first.failed);
	connect_browser(b, &second, path);
	connect_browser(b, &third, path); /* the queue has one place */
	AWAIT(b, second.over || third.over);
	struct call *refused = third.over ? &third : &second, *waits = third.over ? &second : &third;
	assert_true(refused->failed);
	assert_non_null(strstr(refused->answer, "503 "));
	assert_non_null(strstr(refused->answer, "Retry-After: "));
	assert_false(waits->over);
	close(first.fd);
	complete(b, waits);
	assert_false(waits->failed);
	complete(b, refused);
	close(waits->fd);
	close(refused->fd);
	stop_and_find_nothing(b);
}

static void a_restart_gives_another_generation(void **state)
{
	struct bench *b = *state;
	AWAIT(b, browser(b)->state == BROWSER_READY);
	ask(b, EVENT_ASKED_BROWSER_RESTART);
	AWAIT(b, lead(b)->number == 2 && lead(b)->state == GENERATION_READY && !browser_other(browser(b)));
	assert_int_equal(browser(b)->recycles[RECYCLE_COMMAND], 1);
	AWAIT(b, b->meters.browsers[0].processes[CHROME_RENDERER] > 0);
	assert_int_equal(b->meters.browsers[0].processes[CHROME_BROWSER], 1);
	assert_true(b->meters.browsers[0].memory_bytes[CHROME_BROWSER] > 1 << 20);
	stop_and_find_nothing(b);
}

static void a_stop_in_the_middle_of_a_start_leaves_nothing(void **state)
{
	struct bench *b = *state;
	for (int i = 0; i < 8; i++) {
		AWAIT(b, browser(b)->state == BROWSER_STARTING);
		for (int turns = 0; turns < i * 3 && browser(b)->state == BROWSER_STARTING; turns++)
			uv_run(&b->loop.uv, UV_RUN_ONCE);
		stop_and_find_nothing(b);
		ask(b, EVENT_ASKED_BROWSER_START);
	}
	AWAIT(b, browser(b)->state == BROWSER_READY);
	stop_and_find_nothing(b);
}

/* The rest is in the teardown: nobody stops it, and nothing of it may be left. */
static void what_still_runs_at_the_end_dies_with_podvisor(void **state)
{
	struct bench *b = *state;
	AWAIT(b, browser(b)->state == BROWSER_READY);
	assert_true(count_of_generation(b, 1) > 2);
}

static void one_that_is_not_installed_fails_and_says_why(void **state)
{
	struct bench *b = *state;
	AWAIT(b, browser(b)->state == BROWSER_FAILED);
	assert_non_null(strstr(browser(b)->reason, "/no/such/chrome"));
}

static void one_that_ends_at_once_waits_longer_and_longer(void **state)
{
	struct bench *b = *state;
	AWAIT(b, browser(b)->state == BROWSER_BACKOFF);
	assert_true(was_told(b, "stopping", "exited with code 1"));
	assert_true(browser(b)->recycles[RECYCLE_CRASHED] == 2);
	assert_false(directory_exists(b, "g1"));
}

static void as_a_user_it_keeps_its_sandbox_where_that_is_possible(void **state)
{
	struct bench *b = *state;
	AWAIT(b, browser(b)->state == BROWSER_READY);
	char path[128];
	struct stat st;
	snprintf(path, sizeof(path), "%s/chrome/chrome/g%d/profile", b->dir, (int)browser(b)->generation);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_uid, getpwnam("nobody")->pw_uid);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(b->meters.browsers[0].sandboxed, !was_told(b, "unsandboxed", "WITHOUT"));
	kill(lead(b)->pid, SIGKILL);
	int old = (int)browser(b)->generation;
	AWAIT(b, (int)browser(b)->generation > old && browser(b)->state == BROWSER_READY);
	assert_int_equal(count_of_generation(b, old), 0);
	stop_and_find_nothing(b);
}

static int raise_missing(void **state)
{
	chrome = "/no/such/chrome";
	int rc = raise_bench(state);
	chrome = NULL;
	return rc;
}

static int raise_short_lived(void **state)
{
	chrome = "/bin/false";
	int rc = raise_bench(state);
	chrome = NULL;
	return rc;
}

static int raise_nobody(void **state)
{
	extra = ", \"user\": \"nobody\"";
	int rc = raise_bench(state);
	extra = "";
	return rc;
}

static int raise_token(void **state)
{
	extra = ", \"token\": \"secret\"";
	int rc = raise_bench(state);
	extra = "";
	return rc;
}

static int raise_narrow(void **state)
{
	narrow = true;
	int rc = raise_bench(state);
	narrow = false;
	return rc;
}

/* The full browser: crashpad's handlers flee into sessions of their own. */
static int raise_chromium(void **state)
{
	chrome = "/usr/bin/chromium";
	int rc = raise_bench(state);
	chrome = NULL;
	return rc;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, raise_bench, strike_bench)
#define TEST_WITH(f, set)                                    \
	{                                                    \
#f " (" #set ")", f, set, strike_bench, NULL \
	}

int main(void)
{
	struct CMUnitTest tests[20] = {
		TEST(it_becomes_ready_and_answers_at_its_address),
		TEST(who_may_not_is_refused),
		TEST(a_killed_browser_is_replaced_behind_the_same_address),
		TEST(a_stopped_browser_is_found_hung_and_replaced),
		TEST(killed_renderers_are_noticed_and_the_browser_goes_on),
		TEST(a_stopped_renderer_does_not_outlive_its_browser),
		TEST(a_restart_gives_another_generation),
		TEST(a_stop_in_the_middle_of_a_start_leaves_nothing),
		TEST(a_stopped_network_service_is_told_apart_and_cured),
		TEST_WITH(a_token_opens_what_is_closed_without_it, raise_token),
		TEST_WITH(a_session_too_many_waits_until_another_one_ends, raise_narrow),
		TEST(what_still_runs_at_the_end_dies_with_podvisor),
		TEST_WITH(one_that_is_not_installed_fails_and_says_why, raise_missing),
		TEST_WITH(one_that_ends_at_once_waits_longer_and_longer, raise_short_lived),
	};
	size_t n = 14;
	if (getuid() == 0)
		tests[n++] = (struct CMUnitTest)TEST_WITH(
			as_a_user_it_keeps_its_sandbox_where_that_is_possible, raise_nobody);
	if (access("/usr/bin/chromium", X_OK) == 0) {
		tests[n++] = (struct CMUnitTest)TEST_WITH(
			a_killed_browser_is_replaced_behind_the_same_address, raise_chromium);
		tests[n++] =
			(struct CMUnitTest)TEST_WITH(a_stopped_renderer_does_not_outlive_its_browser, raise_chromium);
	}
	return _cmocka_run_group_tests("browsers", tests, n, NULL, NULL);
}
