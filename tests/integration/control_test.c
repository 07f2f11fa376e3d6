#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "podvisor/control/control.h"
#include "podvisor/control/socket_guard.h"
#include "podvisor/io/loop.h"
#include "podvisor/model/reconcile.h"
#include "podvisor/wire/websocket.h"

#define DEADLINE_MS 20000
#define TOKEN       "s3cret"

static const char config_text[] =
	"{ \"instance\": \"pod-1\","
	"  \"volumes\": { \"tmp\": { \"path\": \"/tmp\", \"size\": \"1Gi\", \"mount\": \"any\" } },"
	"  \"postgres\": { \"main\": { \"dsn\": \"postgresql://u:hunter2@127.0.0.1/x\" } },"
	"  \"browsers\": { \"chrome\": { \"executable\": \"/bin/true\", \"volume\": \"tmp\" } },"
	"  \"workers\": {"
	"    \"api\": { \"command\": [\"a\"], \"critical\": true },"
	"    \"pool\": { \"command\": [\"b\"], \"instances\": 2 },"
	"    \"stuck\": { \"command\": [\"c\"], \"readiness\": { \"notify\": true } } },"
	"  \"gateway\": { \"listen\": \"127.0.0.1:8080\","
	"    \"routes\": [ { \"path\": \"/\", \"worker\": \"api\", \"to\": \"127.0.0.1:1\" } ] } }";

/* The model is the real one; what the runtime would do is answered at once. */
struct bench {
	struct loop loop;
	struct world *world;
	struct meters meters;
	struct plan plan;
	struct control *control;
	struct control_port port;
	uv_timer_t deadline;
	ms_t started_at;
	int measured, reloads;
	int refusal; /* what a reload answers */
	bool last_dry_run;
	struct event posted; /* the newest */
	char dir[64], socket[96];
	int port_number;
};

/* ---- the stand-ins ---- */

static void answer_effect(struct bench *b, const struct effect *e)
{
	struct event event = {.slot = e->slot, .run = e->run};
	switch (e->kind) {
	case EFFECT_WORKER_SPAWN:
		event.kind = EVENT_WORKER_STARTED;
		event.pid = getpid();
		break;
	case EFFECT_WORKER_SIGNAL:
	case EFFECT_WORKER_KILL:
		event.kind = EVENT_WORKER_EXITED;
		event.exited.status = SIGTERM;
		loop_post(&b->loop, &event);
		event = (struct event){.kind = EVENT_WORKER_GONE, .slot = e->slot, .run = e->run};
		break;
	case EFFECT_VOLUME_PREPARE:
	case EFFECT_VOLUME_MEASURE:
		event.kind = e->kind == EFFECT_VOLUME_PREPARE ? EVENT_VOLUME_PREPARED : EVENT_VOLUME_MEASURED;
		event.volume.size_bytes = 1 << 30;
		event.volume.used_bytes = 1 << 20;
		break;
	case EFFECT_GATEWAY_LISTEN:
		event.kind = EVENT_GATEWAY_LISTENING;
		snprintf(event.text, sizeof(event.text), "127.0.0.1:8080");
		break;
	case EFFECT_GATEWAY_DRAIN:
		event.kind = EVENT_GATEWAY_EMPTY;
		break;
	default:
		return;
	}
	loop_post(&b->loop, &event);
}

static void turn(void *ctx)
{
	struct bench *b = ctx;
	struct event e;
	while (loop_take(&b->loop, &e))
		world_apply(b->world, &e, loop_now());
	reconcile(b->world, loop_now(), loop_wall_ms(), &b->plan);
	for (size_t i = 0; i < b->plan.count; i++)
		answer_effect(b, &b->plan.effects[i]);
	loop_wake_at(&b->loop, b->plan.wake_at);
	if (b->control)
		control_turned(b->control);
}

static void take_picture(void *ctx, struct snapshot *out)
{
	struct bench *b = ctx;
	*out = (struct snapshot){.world = b->world,
		.meters = &b->meters,
		.now = loop_now(),
		.wall_ms = loop_wall_ms(),
		.started_at = b->started_at};
}

static int reload(void *ctx, bool dry_run, struct buf *out, struct buf *warnings, struct err *err)
{
	struct bench *b = ctx;
	b->reloads++;
	b->last_dry_run = dry_run;
	if (b->refusal) {
		buf_puts(out, "f.json:1:2: workers.api: is wrong\nf.json:3:4: x: is wrong too\n");
		return err_set(err, b->refusal, "f.json:1:2: workers.api: is wrong (and more mistakes)");
	}
	buf_puts(warnings, "f.json:5:6: y: warning: is hardly meant\n");
	buf_puts(out, "~ worker api: command; restarts\n+ worker new\n");
	return 0;
}

/* One line that tells what was asked for, and one of podvisor's own. */
static int logs(void *ctx, const struct logs_query *q, void (*each)(void *ctx, const struct logs_line *line),
	void *each_ctx, struct logs_answer *out)
{
	struct buf text;
	(void)ctx;
	buf_init(&text, 4096);
	buf_printf(&text, "%zu %s lines of", q->lines, q->plain ? "plain" : "logged");
	for (const char *const *name = q->names; *name; name++)
		buf_printf(&text, " %s", *name);
	if (q->after)
		buf_printf(&text, " after %llu, %llu", (unsigned long long)q->after->seq,
			(unsigned long long)q->after->total);
	struct logs_line line = {.wall_ms = 1795489845123,
		.thing = "worker",
		.name = "api",
		.level = "info",
		.stream = "stdout",
		.text = {text.data, text.len}};
	each(each_ctx, &line);
	line.stream = NULL;
	line.text = SPAN("\"quoted\"\nand \xff");
	each(each_ctx, &line);
	buf_fini(&text);
	*out = (struct logs_answer){.next = {18446744073709551615ULL, 17}, .missed = 3, .more = q->after != NULL};
	return 0;
}

static void post(void *ctx, const struct event *e)
{
	struct bench *b = ctx;
	b->posted = *e;
	loop_post(&b->loop, e);
}

static void measure(void *ctx)
{
	((struct bench *)ctx)->measured++;
}

/* ---- the bench ---- */

static void on_late(uv_timer_t *timer)
{
	(void)timer;
	fail_msg("the deadline of the test has passed");
}

static void make_world(struct bench *b, const char *token)
{
	char text[2048];
	struct config_report *report = calloc(1, sizeof(*report));
	struct config_source source = {0};
	snprintf(text, sizeof(text), "{ %s%s%s %s", token ? "\"control\": { \"token\": \"" : "", token ? token : "",
		token ? "\" }," : "", config_text + 1);
	struct config *config = config_parse(text, strlen(text), &source, report);
	if (!config)
		fail_msg("%d:%d %s: %s", report->items[0].line, report->items[0].column, report->items[0].path,
			report->items[0].text);
	free(report);
	b->world = world_new(config, 1, loop_now());
	config_release(config);
}

static int start_control(struct bench *b, struct err *err)
{
	char *end;
	int rc = control_new(&b->control, &b->loop, "127.0.0.1:0", b->socket, &b->port, err);
	if (rc == 0)
		b->port_number = (int)strtol(strrchr(control_address(b->control), ':') + 1, &end, 10);
	return rc;
}

static void set_up(struct bench *b, const char *token)
{
	struct err err = {0};
	memset(b, 0, sizeof(*b));
	strcpy(b->dir, "/tmp/podvisor-control-XXXXXX");
	assert_non_null(mkdtemp(b->dir));
	snprintf(b->socket, sizeof(b->socket), "%s/control.sock", b->dir);
	assert_int_equal(loop_init(&b->loop, turn, b, &err), 0);
	uv_timer_init(&b->loop.uv, &b->deadline);
	uv_timer_start(&b->deadline, on_late, DEADLINE_MS, 0);
	b->started_at = loop_now();
	b->meters.memory = (struct event_memory){-1, -1, -1, -1, -1, -1};
	plan_init(&b->plan);
	make_world(b, token);
	b->port = (struct control_port){.ctx = b,
		.snapshot = take_picture,
		.reload = reload,
		.logs = logs,
		.post = post,
		.measure = measure,
		.version = "1.2.3"};
	if (start_control(b, &err) < 0)
		fail_msg("%s", err.text);
	loop_ask(&b->loop);
}

static void tear_down(struct bench *b)
{
	control_free(b->control);
	assert_int_equal(access(b->socket, F_OK), -1);
	uv_close((uv_handle_t *)&b->deadline, NULL);
	loop_fini(&b->loop);
	plan_fini(&b->plan);
	world_free(b->world);
	assert_int_equal(rmdir(b->dir), 0);
}

/* ---- a client on the same loop ---- */

static void turn_loop(struct bench *b)
{
	uv_run(&b->loop.uv, UV_RUN_NOWAIT);
	usleep(500);
}

static int dial_tcp(struct bench *b)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)b->port_number),
		.sin_addr = {htonl(INADDR_LOOPBACK)}};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

static int dial_unix(struct bench *b)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	strcpy(at.sun_path, b->socket);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

struct reply {
	int status;
	char *head, *body; /* body: behind the head, in the same memory */
	size_t body_len;
	struct buf bytes;
};

/* True when a whole answer is there. */
static bool parse(struct reply *r, bool no_body)
{
	char *end = r->bytes.data ? strstr(r->bytes.data, "\r\n\r\n") : NULL;
	const char *length = end ? strcasestr(r->bytes.data, "Content-Length: ") : NULL;
	if (!end || (!length && !strstr(r->bytes.data, " 101 ")))
		return false;
	size_t want = length && !no_body ? strtoul(length + 16, NULL, 10) : 0;
	r->head = r->bytes.data;
	r->body = end + 4;
	r->body_len = r->bytes.len - (size_t)(r->body - r->bytes.data);
	r->status = atoi(r->head + 9);
	return r->body_len >= want;
}

static void send_all(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Reads what is there; 0 at the end, -1 when nothing is there yet. */
static ssize_t read_some(int fd, struct buf *out)
{
	char bytes[65536];
	ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	if (n > 0)
		assert_int_equal(buf_put(out, bytes, (size_t)n), 0);
	return n;
}

static void receive(struct bench *b, int fd, bool no_body, struct reply *r)
{
	memset(r, 0, sizeof(*r));
	buf_init(&r->bytes, 16 << 20);
	while (!parse(r, no_body)) {
		turn_loop(b);
		ssize_t n = read_some(fd, &r->bytes);
		if (n == 0 && !parse(r, no_body))
			fail_msg("the connection ended after \"%s\"", buf_str(&r->bytes));
	}
}

static void forget(struct reply *r)
{
	buf_fini(&r->bytes);
}

static void exchange(struct bench *b, int fd, struct reply *r, const char *request, const char *headers)
{
	char text[2048];
	snprintf(text, sizeof(text), "%s HTTP/1.1\r\nHost: pod\r\n%s\r\n", request, headers);
	send_all(fd, text);
	receive(b, fd, strncmp(request, "HEAD ", 5) == 0, r);
	close(fd);
}

static void ask_tcp(struct bench *b, struct reply *r, const char *request, const char *headers)
{
	exchange(b, dial_tcp(b), r, request, headers);
}

static void ask(struct bench *b, struct reply *r, const char *request)
{
	exchange(b, dial_unix(b), r, request, "");
}

static json_t *ask_json(struct bench *b, int status, const char *request)
{
	struct reply r;
	ask(b, &r, request);
	if (r.status != status)
		fail_msg("%s: %s", request, r.head);
	assert_non_null(strstr(r.head, "Content-Type: application/json"));
	json_t *json = json_loadb(r.body, r.body_len, 0, NULL);
	if (!json)
		fail_msg("no JSON: %s", r.body);
	forget(&r);
	return json;
}

static const char *text_at(json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	return text ? text : "(none)";
}

static json_t *named(json_t *list, const char *name)
{
	size_t i;
	json_t *item;
	json_array_foreach(list, i, item) if (strcmp(text_at(item, "name"), name) == 0) return item;
	fail_msg("nothing is named %s", name);
	return NULL;
}

static const struct worker *worker(struct bench *b, const char *name)
{
	int slot = world_find_worker(b->world, name);
	assert_true(slot >= 0);
	return &b->world->workers[slot];
}

static void settle(struct bench *b)
{
	while (!worker_is_available(worker(b, "api")) || worker(b, "pool.1")->state != WORKER_READY)
		turn_loop(b);
}

/* ---- probes ---- */

static void probes_answer_over_tcp_and_over_the_unix_socket(void **state)
{
	(void)state;
	struct bench b;
	struct reply r;
	set_up(&b, NULL);
	settle(&b);
	ask_tcp(&b, &r, "GET /livez", "");
	assert_int_equal(r.status, 200);
	assert_string_equal(r.body, "ok\n");
	forget(&r);
	ask(&b, &r, "GET /livez?verbose");
	assert_int_equal(r.status, 200);
	assert_string_equal(r.body, "[+]loop ok: turning\nlivez check passed\n");
	forget(&r);
	ask_tcp(&b, &r, "HEAD /livez", "");
	assert_int_equal(r.status, 200);
	assert_int_equal(r.body_len, 0);
	forget(&r);
	tear_down(&b);
}

static void an_unready_pod_says_why_and_checks_can_be_excluded(void **state)
{
	(void)state;
	struct bench b;
	struct reply r;
	set_up(&b, NULL);
	settle(&b);
	ask_tcp(&b, &r, "GET /readyz", "");
	assert_int_equal(r.status, 503);
	assert_non_null(strstr(r.body, "[+]worker:api ok"));
	assert_non_null(strstr(r.body, "[-]postgres:main failed: unknown"));
	assert_non_null(strstr(r.body, "readyz check failed\n"));
	forget(&r);
	ask_tcp(&b, &r, "GET /readyz?exclude=gateway&exclude=postgres%3Amain&verbose", "");
	assert_int_equal(r.status, 200);
	assert_non_null(strstr(r.body, "[+]postgres:main excluded: ok\n"));
	assert_non_null(strstr(r.body, "readyz check passed\n"));
	forget(&r);
	ask_tcp(&b, &r, "GET /startupz", "");
	assert_true(r.status == 200 || r.status == 503);
	forget(&r);
	tear_down(&b);
}

static void a_connection_serves_many_requests_also_pipelined_ones(void **state)
{
	(void)state;
	struct bench b;
	struct reply r;
	set_up(&b, NULL);
	int fd = dial_tcp(&b);
	for (int i = 0; i < 3; i++) {
		send_all(fd, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
		receive(&b, fd, false, &r);
		assert_int_equal(r.status, 200);
		forget(&r);
	}
	send_all(fd, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\nGET /none HTTP/1.1\r\nHost: x\r\n\r\n");
	struct buf both;
	buf_init(&both, 65536);
	while (!strstr(buf_str(&both), "404")) {
		turn_loop(&b);
		assert_int_not_equal(read_some(fd, &both), 0);
	}
	assert_non_null(strstr(buf_str(&both), "200 OK"));
	buf_fini(&both);
	close(fd);
	tear_down(&b);
}

/* ---- metrics ---- */

static int run_promtool(const char *path)
{
	pid_t pid;
	int status;
	char *argv[] = {
		(char *)(uintptr_t) "promtool", (char *)(uintptr_t) "check", (char *)(uintptr_t) "metrics", NULL};
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, path, O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, 2, 1);
	int rc = posix_spawnp(&pid, "promtool", &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (rc != 0)
		return -1;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static void promtool_finds_nothing_to_object(void **state)
{
	(void)state;
	struct bench b;
	struct reply r;
	char path[128];
	set_up(&b, NULL);
	settle(&b);
	b.meters.memory.limit_bytes = 4LL << 30;
	b.meters.memory.used_bytes = 1LL << 30;
	histogram_add(&b.meters.loop_lag_seconds, 0.02);
	ask_tcp(&b, &r, "GET /metrics", "");
	assert_int_equal(r.status, 200);
	assert_non_null(strstr(r.head, "Content-Type: text/plain; version=0.0.4; charset=utf-8"));
	assert_non_null(strstr(r.body, "\npodvisor_worker_state{worker=\"api\",state=\"ready\"} 1\n"));
	assert_non_null(strstr(r.body, "podvisor_build_info{version=\"1.2.3\"} 1\n"));
	assert_null(strstr(r.body, "hunter2"));
	assert_int_equal(b.measured, 1);
	snprintf(path, sizeof(path), "%s/metrics", b.dir);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fwrite(r.body, 1, r.body_len, file);
	fclose(file);
	forget(&r);
	int code = run_promtool(path);
	unlink(path);
	tear_down(&b);
	if (code < 0) {
		print_message("promtool is not installed\n");
		skip();
	}
	assert_int_equal(code, 0);
}

static void openmetrics_is_sent_to_who_prefers_it(void **state)
{
	(void)state;
	struct bench b;
	struct reply r;
	set_up(&b, NULL);
	ask_tcp(&b, &r, "GET /metrics",
		"Accept: application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5\r\n");
	assert_non_null(strstr(r.head, "Content-Type: application/openmetrics-text; version=1.0.0"));
	assert_string_equal(r.body + r.body_len - 6, "# EOF\n");
	forget(&r);
	tear_down(&b);
}

/* ---- the API ---- */

static void the_status_tells_of_everything_and_of_no_secret(void **state)
{
	(void)state;
	struct bench b;
	struct reply r;
	set_up(&b, TOKEN);
	settle(&b);
	json_t *status = ask_json(&b, 200, "GET /api/v1/status");
	assert_string_equal(text_at(status, "instance"), "pod-1");
	assert_string_equal(text_at(status, "version"), "1.2.3");
	json_t *api = named(json_object_get(status, "workers"), "api");
	assert_string_equal(text_at(api, "state"), "ready");
	assert_int_equal(json_integer_value(json_object_get(api, "pid")), getpid());
	assert_true(json_is_null(json_object_get(api, "usage")));
	assert_string_equal(text_at(named(json_object_get(status, "workers"), "pool.1"), "worker"), "pool");
	assert_string_equal(text_at(named(json_object_get(status, "volumes"), "tmp"), "state"), "ready");
	assert_string_equal(text_at(named(json_object_get(status, "postgres"), "main"), "state"), "unknown");
	assert_string_equal(text_at(named(json_object_get(status, "browsers"), "chrome"), "volume"), "tmp");
	assert_string_equal(text_at(json_object_get(status, "drain"), "state"), "serving");
	assert_true(json_is_array(json_object_get(json_object_get(status, "gateway"), "routes")));
	json_decref(status);
	ask(&b, &r, "GET /api/v1/status");
	assert_null(strstr(r.body, "hunter2"));
	assert_null(strstr(r.body, TOKEN));
	forget(&r);
	tear_down(&b);
}

static void a_name_means_an_instance_or_all_of_them(void **state)
{
	(void)state;
	struct bench b;
	set_up(&b, NULL);
	settle(&b);
	json_t *all = ask_json(&b, 200, "GET /api/v1/workers/pool");
	assert_int_equal(json_array_size(json_object_get(all, "workers")), 2);
	json_decref(all);
	json_t *one = ask_json(&b, 200, "GET /api/v1/workers/pool.1");
	assert_int_equal(json_array_size(json_object_get(one, "workers")), 1);
	assert_true(json_is_array(json_object_get(json_array_get(json_object_get(one, "workers"), 0), "runs")));
	json_decref(one);
	json_t *browser = ask_json(&b, 200, "GET /api/v1/workers/chrome");
	assert_int_equal(json_array_size(json_object_get(browser, "browsers")), 1);
	json_decref(browser);
	tear_down(&b);
}

static void an_unknown_name_gets_the_nearest_one(void **state)
{
	(void)state;
	struct bench b;
	set_up(&b, NULL);
	json_t *none = ask_json(&b, 404, "GET /api/v1/workers/apy");
	assert_string_equal(text_at(none, "nearest"), "api");
	assert_string_equal(text_at(none, "error"), "no worker or browser named \"apy\"; did you mean \"api\"?");
	json_decref(none);
	none = ask_json(&b, 404, "POST /api/v1/workers/crome/restart");
	assert_string_equal(text_at(none, "nearest"), "chrome");
	json_decref(none);
	none = ask_json(&b, 404, "GET /api/v1/logs?name=a%ffpi");
	json_decref(none);
	tear_down(&b);
}

static void wrong_paths_and_wrong_methods_are_told_apart(void **state)
{
	(void)state;
	struct bench b;
	struct reply r;
	set_up(&b, NULL);
	static const char *const missing[] = {"GET /nothing", "GET /api/v1/workers/",
		"GET /api/v1/workers/api/restart/x", "POST /api/v1/workers/api/explode", "GET /livez/x"};
	for (size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++) {
		ask(&b, &r, missing[i]);
		assert_int_equal(r.status, 404);
		forget(&r);
	}
	ask(&b, &r, "DELETE /livez");
	assert_int_equal(r.status, 405);
	assert_non_null(strstr(r.head, "Allow: GET, HEAD\r\n"));
	forget(&r);
	ask(&b, &r, "GET /api/v1/reload");
	assert_int_equal(r.status, 405);
	assert_non_null(strstr(r.head, "Allow: POST\r\n"));
	assert_int_equal(b.reloads, 0);
	forget(&r);
	ask(&b, &r, "PUT /api/v1/drain");
	assert_non_null(strstr(r.head, "Allow: GET, HEAD, POST\r\n"));
	forget(&r);
	tear_down(&b);
}

static void a_body_that_nobody_wants_is_refused_or_forgotten(void **state)
{
	(void)state;
	struct bench b;
	struct reply r;
	set_up(&b, NULL);
	int fd = dial_unix(&b);
	send_all(fd, "POST /api/v1/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel");
	for (int i = 0; i < 20; i++)
		turn_loop(&b);
	assert_int_equal(b.reloads, 0);
	send_all(fd, "lo");
	receive(&b, fd, false, &r);
	assert_int_equal(r.status, 200);
	assert_int_equal(b.reloads, 1);
	forget(&r);
	close(fd);
	exchange(&b, dial_unix(&b), &r, "POST /api/v1/reload", "Content-Length: 1000000\r\n");
	assert_int_equal(r.status, 413);
	assert_int_equal(b.reloads, 1);
	forget(&r);
	tear_down(&b);
}

static void acting_over_tcp_needs_the_token(void **state)
{
	(void)state;
	struct bench b;
	struct reply r;
	static const char *const wrong[] = {"", "Authorization: Bearer s3cre\r\n", "Authorization: Bearer s3cret2\r\n",
		"Authorization: Bearer S3cret\r\n", "Authorization: Basic s3cret\r\n", "Authorization: Bearer \r\n"};
	set_up(&b, TOKEN);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		ask_tcp(&b, &r, "POST /api/v1/reload", wrong[i]);
		assert_int_equal(r.status, 401);
		assert_non_null(strstr(r.head, "WWW-Authenticate: Bearer"));
		assert_null(strstr(r.body, TOKEN));
		forget(&r);
	}
	assert_int_equal(b.reloads, 0);
	ask_tcp(&b, &r, "POST /api/v1/reload", "Authorization: Bearer " TOKEN "\r\n");
	assert_int_equal(r.status, 200);
	assert_int_equal(b.reloads, 1);
	forget(&r);
	ask(&b, &r, "POST /api/v1/reload");
	assert_int_equal(r.status, 200);
	forget(&r);
	tear_down(&b);
}

static void another_token_counts_from_the_reload_on(void **state)
{
	(void)state;
	struct bench b;
	struct reply r;
	set_up(&b, TOKEN);
	struct world *before = b.world;
	make_world(&b, "an0ther");
	ask_tcp(&b, &r, "POST /api/v1/reload", "Authorization: Bearer " TOKEN "\r\n");
	assert_int_equal(r.status, 401);
	forget(&r);
	ask_tcp(&b, &r, "POST /api/v1/reload", "Authorization: Bearer an0ther\r\n");
	assert_int_equal(r.status, 200);
	forget(&r);
	world_free(before);
	tear_down(&b);
}

static void acting_over_tcp_without_a_configured_token_is_forbidden(void **state)
{
	(void)state;
	struct bench b;
	struct reply r;
	set_up(&b, NULL);
	ask_tcp(&b, &r, "POST /api/v1/workers/api/stop", "Authorization: Bearer x\r\n");
	assert_int_equal(r.status, 403);
	assert_non_null(strstr(r.body, "control.token"));
	assert_int_equal(b.posted.kind, 0);
	forget(&r);
	tear_down(&b);
}

static void a_restart_that_is_waited_for_ends_with_the_new_run(void **state)
{
	(void)state;
	struct bench b;
	set_up(&b, NULL);
	settle(&b);
	json_t *asked = ask_json(&b, 202, "POST /api/v1/workers/api/restart");
	assert_true(json_is_false(json_object_get(asked, "done")));
	json_decref(asked);
	json_t *done = ask_json(&b, 200, "POST /api/v1/workers/pool/restart?wait=20");
	assert_true(json_is_true(json_object_get(done, "done")));
	json_t *workers = json_object_get(done, "workers");
	assert_int_equal(json_array_size(workers), 2);
	for (size_t i = 0; i < 2; i++) {
		json_t *w = json_array_get(workers, i);
		assert_string_equal(text_at(w, "state"), "ready");
		assert_int_equal(json_integer_value(json_object_get(w, "run")), 2);
		assert_string_equal(text_at(json_object_get(w, "last_exit"), "signal_name"), "SIGTERM");
	}
	json_decref(done);
	tear_down(&b);
}

static void a_stop_and_a_start_that_are_waited_for(void **state)
{
	(void)state;
	struct bench b;
	set_up(&b, NULL);
	settle(&b);
	json_t *done = ask_json(&b, 200, "POST /api/v1/workers/pool.0/stop?wait=20");
	json_t *w = json_array_get(json_object_get(done, "workers"), 0);
	assert_string_equal(text_at(w, "state"), "stopped");
	assert_true(json_is_null(json_object_get(w, "pid")));
	json_decref(done);
	assert_int_equal(worker(&b, "pool.1")->state, WORKER_READY);
	done = ask_json(&b, 200, "POST /api/v1/workers/pool.0/start?wait=20");
	assert_string_equal(text_at(json_array_get(json_object_get(done, "workers"), 0), "state"), "ready");
	json_decref(done);
	tear_down(&b);
}

static void a_wait_that_is_over_tells_how_it_stands(void **state)
{
	(void)state;
	struct bench b;
	set_up(&b, NULL);
	json_t *late = ask_json(&b, 202, "POST /api/v1/workers/stuck/start?wait=1");
	assert_true(json_is_false(json_object_get(late, "done")));
	assert_string_not_equal(text_at(json_array_get(json_object_get(late, "workers"), 0), "state"), "ready");
	json_decref(late);
	static const char *const bad[] = {"POST /api/v1/workers/stuck/start?wait=x",
		"POST /api/v1/workers/stuck/start?wait=-1", "POST /api/v1/workers/stuck/start?wait=601",
		"POST /api/v1/workers/stuck/start?wait="};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		json_decref(ask_json(&b, 400, bad[i]));
	tear_down(&b);
}

static void browsers_are_asked_by_name_too(void **state)
{
	(void)state;
	struct bench b;
	set_up(&b, NULL);
	json_t *asked = ask_json(&b, 202, "POST /api/v1/workers/chrome/restart");
	assert_int_equal(b.posted.kind, EVENT_ASKED_BROWSER_RESTART);
	assert_int_equal(json_array_size(json_object_get(asked, "browsers")), 1);
	json_decref(asked);
	json_decref(ask_json(&b, 202, "POST /api/v1/workers/chrome/stop"));
	assert_int_equal(b.posted.kind, EVENT_ASKED_BROWSER_STOP);
	tear_down(&b);
}

static void a_refused_reload_names_every_mistake(void **state)
{
	(void)state;
	struct bench b;
	set_up(&b, NULL);
	json_t *changes = ask_json(&b, 200, "POST /api/v1/reload?dry_run=1");
	assert_true(b.last_dry_run);
	assert_string_equal(json_string_value(json_array_get(json_object_get(changes, "changes"), 1)), "+ worker new");
	assert_string_equal(json_string_value(json_array_get(json_object_get(changes, "warnings"), 0)),
		"f.json:5:6: y: warning: is hardly meant");
	json_decref(changes);
	b.refusal = -EINVAL;
	json_t *refused = ask_json(&b, 422, "POST /api/v1/reload");
	assert_false(b.last_dry_run);
	assert_int_equal(json_array_size(json_object_get(refused, "mistakes")), 2);
	json_decref(refused);
	b.refusal = -ENOTSUP;
	json_decref(ask_json(&b, 409, "POST /api/v1/reload"));
	tear_down(&b);
}

static void a_drain_can_be_watched_and_taken_back(void **state)
{
	(void)state;
	struct bench b;
	struct reply r;
	set_up(&b, NULL);
	settle(&b);
	json_decref(ask_json(&b, 202, "POST /api/v1/drain"));
	turn_loop(&b);
	json_t *drain = ask_json(&b, 200, "GET /api/v1/drain");
	assert_string_equal(text_at(drain, "state"), "lame-duck");
	assert_true(json_is_true(json_object_get(drain, "by_api")));
	json_decref(drain);
	ask_tcp(&b, &r, "GET /readyz", "");
	assert_int_equal(r.status, 503);
	assert_non_null(strstr(r.body, "[-]drain failed: draining (lame-duck)"));
	forget(&r);
	json_decref(ask_json(&b, 202, "POST /api/v1/undrain"));
	turn_loop(&b);
	assert_int_equal(b.world->drain.state, DRAIN_SERVING);
	tear_down(&b);
}

static void nothing_is_started_while_podvisor_stops(void **state)
{
	(void)state;
	struct bench b;
	set_up(&b, NULL);
	settle(&b);
	loop_post(&b.loop, &(struct event){.kind = EVENT_ASKED_SHUTDOWN, .count = 1});
	turn_loop(&b);
	json_decref(ask_json(&b, 409, "POST /api/v1/workers/api/restart"));
	json_decref(ask_json(&b, 409, "POST /api/v1/undrain"));
	json_decref(ask_json(&b, 202, "POST /api/v1/workers/api/stop"));
	tear_down(&b);
}

#define SECOND_LINE "\"quoted\"\nand \xff\n"

static void expect_text(struct bench *b, const char *request, const char *body)
{
	struct reply r;
	ask(b, &r, request);
	assert_int_equal(r.status, 200);
	assert_string_equal(r.body, body);
	forget(&r);
}

static void logs_are_text(void **state)
{
	(void)state;
	struct bench b;
	set_up(&b, NULL);
	expect_text(&b, "GET /api/v1/logs?name=api&lines=7", "7 logged lines of api\n" SECOND_LINE);
	expect_text(&b, "GET /api/v1/logs", "100 logged lines of\n" SECOND_LINE);
	expect_text(&b, "GET /api/v1/logs?name=&lines=0&plain", "0 plain lines of\n" SECOND_LINE);
	json_decref(ask_json(&b, 400, "GET /api/v1/logs?lines=10001"));
	json_decref(ask_json(&b, 400, "GET /api/v1/logs?lines=-1"));
	json_decref(ask_json(&b, 404, "GET /api/v1/logs?name=api&name=nobody"));
	tear_down(&b);
}

static void logs_are_json_with_a_cursor(void **state)
{
	(void)state;
	struct bench b;
	set_up(&b, NULL);
	json_t *got = ask_json(&b, 200, "GET /api/v1/logs?json&plain&lines=2&name=api&name=api");
	json_t *expected = json_pack("{s:[{s:s,s:s,s:s,s:s,s:n,s:s,s:s},{s:s,s:s,s:s,s:n,s:n,s:s,s:s}],s:s,s:i,s:b}",
		"lines", "time", "2026-11-24T03:10:45.123Z", "thing", "worker", "name", "api", "stream", "stdout",
		"command", "level", "info", "line", "2 plain lines of api api", "time", "2026-11-24T03:10:45.123Z",
		"thing", "worker", "name", "api", "stream", "command", "level", "info", "line",
		"\"quoted\"\nand \xef\xbf\xbd", "next", "18446744073709551615-17", "missed", 3, "more", 0);
	assert_true(json_equal(got, expected));
	json_decref(got);
	json_decref(expected);
	got = ask_json(&b, 200, "GET /api/v1/logs?after=18446744073709551615-17");
	assert_string_equal(
		json_string_value(json_object_get(json_array_get(json_object_get(got, "lines"), 0), "line")),
		"2000 logged lines of after 18446744073709551615, 17");
	assert_true(json_is_true(json_object_get(got, "more")));
	json_decref(got);
	static const char *const bad[] = {
		"", "7", "7-", "-7", "7-x", "a-1", "7-1x", "+1-1", "1-%201", "99999999999999999999-1"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char request[100];
		snprintf(request, sizeof(request), "GET /api/v1/logs?after=%s", bad[i]);
		json_decref(ask_json(&b, 400, request));
	}
	tear_down(&b);
}

/* ---- events ---- */

static void events_are_listed_and_waited_for(void **state)
{
	(void)state;
	struct bench b;
	char request[128];
	set_up(&b, NULL);
	settle(&b);
	json_t *list = ask_json(&b, 200, "GET /api/v1/events");
	size_t all = json_array_size(json_object_get(list, "events"));
	assert_true(all > 3);
	long long last = json_integer_value(json_object_get(list, "last"));
	json_decref(list);
	snprintf(request, sizeof(request), "GET /api/v1/events?after=%lld", last - 2);
	list = ask_json(&b, 200, request);
	assert_int_equal(json_array_size(json_object_get(list, "events")), 2);
	json_decref(list);
	list = ask_json(&b, 200, "GET /api/v1/events?limit=1");
	assert_int_equal(
		json_integer_value(json_object_get(json_array_get(json_object_get(list, "events"), 0), "seq")), last);
	json_decref(list);
	int fd = dial_unix(&b);
	snprintf(request, sizeof(request), "GET /api/v1/events?after=%lld&wait=20 HTTP/1.1\r\nHost: x\r\n\r\n", last);
	send_all(fd, request);
	for (int i = 0; i < 20; i++)
		turn_loop(&b);
	loop_post(&b.loop, &(struct event){.kind = EVENT_ASKED_STOP, .slot = worker(&b, "api")->slot});
	struct reply r;
	receive(&b, fd, false, &r);
	close(fd);
	list = json_loadb(r.body, r.body_len, 0, NULL);
	json_t *first = json_array_get(json_object_get(list, "events"), 0);
	assert_int_equal(json_integer_value(json_object_get(first, "seq")), last + 1);
	assert_string_equal(text_at(first, "subject"), "api");
	json_decref(list);
	forget(&r);
	tear_down(&b);
}

static void who_waited_and_went_away_is_forgotten(void **state)
{
	(void)state;
	struct bench b;
	char request[128];
	set_up(&b, NULL);
	settle(&b);
	snprintf(request, sizeof(request), "GET /api/v1/events?after=%llu&wait=60 HTTP/1.1\r\nHost: x\r\n\r\n",
		(unsigned long long)b.world->journal.last_seq);
	int fds[128]; /* as many as may wait at once */
	for (int i = 0; i < 128; i++) {
		fds[i] = i % 2 ? dial_unix(&b) : dial_tcp(&b);
		send_all(fds[i], request);
		turn_loop(&b);
	}
	json_decref(ask_json(&b, 503, "POST /api/v1/workers/stuck/start?wait=1"));
	for (int i = 0; i < 128; i++)
		close(fds[i]);
	struct reply r;
	do {
		ask(&b, &r, "POST /api/v1/workers/stuck/start?wait=1");
		if (r.status == 503)
			forget(&r);
	} while (r.status == 503);
	assert_int_equal(r.status, 202);
	forget(&r);
	tear_down(&b);
}

static int dial_live(struct bench *b, const char *headers, struct reply *r)
{
	char text[1024];
	int fd = dial_tcp(b);
	snprintf(text, sizeof(text),
		"GET /api/v1/events?after=0 HTTP/1.1\r\nHost: pod:9400\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n",
		headers);
	send_all(fd, text);
	receive(b, fd, false, r);
	return fd;
}

/* Takes a whole frame off the front of in; false when there is none yet. */
static bool take_frame(struct buf *in, struct websocket_frame *frame, char *payload, size_t size)
{
	size_t head = in->len ? websocket_frame_decode(frame, (struct span){in->data, in->len}) : 0;
	if (!head || in->len < head + frame->length)
		return false;
	assert_true(frame->length < size);
	memcpy(payload, in->data + head, frame->length);
	payload[frame->length] = '\0';
	buf_consume(in, head + frame->length);
	return true;
}

static void next_frame(
	struct bench *b, int fd, struct buf *in, struct websocket_frame *frame, char *payload, size_t size)
{
	while (!take_frame(in, frame, payload, size)) {
		turn_loop(b);
		assert_int_not_equal(read_some(fd, in), 0);
	}
}

static void events_come_live_over_a_websocket_that_is_closed_in_order(void **state)
{
	(void)state;
	struct bench b;
	struct reply r;
	struct websocket_frame frame;
	char payload[8192];
	struct buf in;
	set_up(&b, NULL);
	settle(&b);
	int fd = dial_live(&b, "Origin: http://pod:9400\r\n", &r);
	assert_int_equal(r.status, 101);
	buf_init(&in, 1 << 20);
	assert_int_equal(buf_put(&in, r.body, r.body_len), 0);
	forget(&r);
	uint64_t last = b.world->journal.last_seq;
	for (uint64_t seq = 1; seq <= last; seq++) {
		next_frame(&b, fd, &in, &frame, payload, sizeof(payload));
		assert_int_equal(frame.opcode, WEBSOCKET_TEXT);
		json_t *event = json_loads(payload, 0, NULL);
		assert_int_equal(json_integer_value(json_object_get(event, "seq")), seq);
		json_decref(event);
	}
	loop_post(&b.loop, &(struct event){.kind = EVENT_ASKED_STOP, .slot = worker(&b, "api")->slot});
	next_frame(&b, fd, &in, &frame, payload, sizeof(payload));
	assert_non_null(strstr(payload, "\"subject\":\"api\""));
	control_free(b.control);
	b.control = NULL;
	for (;;) {
		ssize_t n = read_some(fd, &in);
		if (n == 0)
			break;
		turn_loop(&b);
	}
	do
		assert_true(take_frame(&in, &frame, payload, sizeof(payload)));
	while (frame.opcode == WEBSOCKET_TEXT);
	assert_int_equal(frame.opcode, WEBSOCKET_CLOSE);
	assert_int_equal((unsigned char)payload[0] << 8 | (unsigned char)payload[1], WEBSOCKET_GOING_AWAY);
	buf_fini(&in);
	close(fd);
	tear_down(&b);
}

static void a_page_of_another_origin_gets_no_events(void **state)
{
	(void)state;
	struct bench b;
	struct reply r;
	set_up(&b, NULL);
	int fd = dial_live(&b, "Origin: http://evil.example\r\n", &r);
	assert_int_equal(r.status, 403);
	forget(&r);
	close(fd);
	tear_down(&b);
}

static void a_slow_live_reader_is_told_what_it_missed(void **state)
{
	(void)state;
	struct bench b;
	struct reply r;
	struct websocket_frame frame;
	char payload[8192];
	struct buf in;
	set_up(&b, NULL);
	settle(&b);
	for (int i = 0; i < JOURNAL_SIZE + 50; i++)
		journal_add(&b.world->journal, loop_now(), LOG_INFO, THING_POD, "", "test", "event %d", i);
	int fd = dial_live(&b, "", &r);
	buf_init(&in, 1 << 20);
	assert_int_equal(buf_put(&in, r.body, r.body_len), 0);
	forget(&r);
	next_frame(&b, fd, &in, &frame, payload, sizeof(payload));
	json_t *missed = json_loads(payload, 0, NULL);
	assert_int_equal(json_integer_value(json_object_get(missed, "missed")), journal_oldest(&b.world->journal) - 1);
	json_decref(missed);
	next_frame(&b, fd, &in, &frame, payload, sizeof(payload));
	assert_non_null(strstr(payload, "event 50"));
	buf_fini(&in);
	close(fd);
	tear_down(&b);
}

/* ---- the page, and the socket ---- */

static void the_dashboard_allows_no_script_but_its_own(void **state)
{
	(void)state;
	struct bench b;
	struct reply r;
	char script[64];
	set_up(&b, NULL);
	ask_tcp(&b, &r, "GET /", "");
	assert_int_equal(r.status, 200);
	assert_non_null(strstr(r.head, "Content-Type: text/html; charset=utf-8"));
	const char *nonce = strstr(r.head, "script-src 'nonce-");
	assert_non_null(nonce);
	snprintf(script, sizeof(script), "<script nonce=\"%.32s\">", nonce + 18);
	assert_non_null(strstr(r.body, script));
	assert_null(strstr(r.body, "{{"));
	assert_null(strstr(r.body, "src="));
	forget(&r);
	tear_down(&b);
}

static void the_socket_is_ours_alone_and_a_stale_one_is_replaced(void **state)
{
	(void)state;
	struct bench b;
	struct stat st;
	struct err err = {0};
	struct control *second = NULL;
	set_up(&b, NULL);
	assert_int_equal(stat(b.socket, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(control_new(&second, &b.loop, NULL, b.socket, &b.port, &err), -EADDRINUSE);
	assert_non_null(strstr(err.text, "another podvisor answers at"));
	assert_null(second);
	control_free(b.control);
	b.control = NULL;
	assert_int_equal(access(b.socket, F_OK), -1);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	strcpy(at.sun_path, b.socket);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	close(fd);
	assert_int_equal(start_control(&b, &err), 0);
	struct reply r;
	ask(&b, &r, "GET /livez");
	assert_int_equal(r.status, 200);
	forget(&r);
	tear_down(&b);
}

static void nothing_is_left_of_a_control_that_nobody_asked(void **state)
{
	(void)state;
	struct bench b;
	set_up(&b, NULL);
	tear_down(&b);
}

static void many_clients_at_once_are_served_or_closed(void **state)
{
	(void)state;
	struct bench b;
	struct reply r;
	int fds[300];
	set_up(&b, NULL);
	for (size_t i = 0; i < 300; i++) {
		fds[i] = dial_tcp(&b);
		send_all(fds[i], "GET /livez");
		turn_loop(&b);
	}
	for (size_t i = 0; i < 300; i++)
		close(fds[i]);
	for (int i = 0; i < 50; i++)
		turn_loop(&b);
	ask_tcp(&b, &r, "GET /livez", "");
	assert_int_equal(r.status, 200);
	forget(&r);
	tear_down(&b);
}

/* The watch of the path, which other parts of the loop know nothing of, is the one with that interval. */
static void on_handle(uv_handle_t *handle, void *ctx)
{
	int *ticking = ctx;
	if (handle->type != UV_TIMER || !uv_is_active(handle))
		return;
	const uv_timer_t *timer = (const uv_timer_t *)handle;
	*ticking += uv_timer_get_due_in(timer) <= SOCKET_GUARD_INTERVAL_MS;
}

static void at_rest_nothing_ticks_for_the_path_of_the_socket(void **state)
{
	(void)state;
	struct bench b;
	struct reply r;
	int ticking = 0;
	set_up(&b, NULL);
	ask_tcp(&b, &r, "GET /livez", "");
	forget(&r);
	loop_wake_at(&b.loop, CLOCK_NEVER);
	uv_walk(&b.loop.uv, on_handle, &ticking);
	assert_int_equal(ticking, 0);
	tear_down(&b);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(probes_answer_over_tcp_and_over_the_unix_socket),
		cmocka_unit_test(an_unready_pod_says_why_and_checks_can_be_excluded),
		cmocka_unit_test(a_connection_serves_many_requests_also_pipelined_ones),
		cmocka_unit_test(promtool_finds_nothing_to_object),
		cmocka_unit_test(openmetrics_is_sent_to_who_prefers_it),
		cmocka_unit_test(the_status_tells_of_everything_and_of_no_secret),
		cmocka_unit_test(a_name_means_an_instance_or_all_of_them),
		cmocka_unit_test(an_unknown_name_gets_the_nearest_one),
		cmocka_unit_test(wrong_paths_and_wrong_methods_are_told_apart),
		cmocka_unit_test(a_body_that_nobody_wants_is_refused_or_forgotten),
		cmocka_unit_test(acting_over_tcp_needs_the_token),
		cmocka_unit_test(another_token_counts_from_the_reload_on),
		cmocka_unit_test(acting_over_tcp_without_a_configured_token_is_forbidden),
		cmocka_unit_test(a_restart_that_is_waited_for_ends_with_the_new_run),
		cmocka_unit_test(a_stop_and_a_start_that_are_waited_for),
		cmocka_unit_test(a_wait_that_is_over_tells_how_it_stands),
		cmocka_unit_test(browsers_are_asked_by_name_too),
		cmocka_unit_test(a_refused_reload_names_every_mistake),
		cmocka_unit_test(a_drain_can_be_watched_and_taken_back),
		cmocka_unit_test(nothing_is_started_while_podvisor_stops),
		cmocka_unit_test(logs_are_text),
		cmocka_unit_test(logs_are_json_with_a_cursor),
		cmocka_unit_test(events_are_listed_and_waited_for),
		cmocka_unit_test(who_waited_and_went_away_is_forgotten),
		cmocka_unit_test(events_come_live_over_a_websocket_that_is_closed_in_order),
		cmocka_unit_test(a_page_of_another_origin_gets_no_events),
		cmocka_unit_test(a_slow_live_reader_is_told_what_it_missed),
		cmocka_unit_test(the_dashboard_allows_no_script_but_its_own),
		cmocka_unit_test(the_socket_is_ours_alone_and_a_stale_one_is_replaced),
		cmocka_unit_test(at_rest_nothing_ticks_for_the_path_of_the_socket),
		cmocka_unit_test(nothing_is_left_of_a_control_that_nobody_asked),
		cmocka_unit_test(many_clients_at_once_are_served_or_closed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
