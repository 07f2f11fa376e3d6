/* Real pipes in place of the workers' ends and of stdout; the workers themselves are only names. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "podvisor/model/reload.h"
#include "podvisor/runtime/intake.h"
#include "podvisor/runtime/logs.h"
#include "podvisor/runtime/outlet.h"

enum { PATIENCE_MS = 30000, PIPE_BYTES = 64 << 10 };

struct bench {
	struct loop loop;
	struct config *config;
	struct world *world;
	struct meters meters;
	struct context context;
	struct logs *logs;
	int in, out; /* stdout: where it is read, and its own end */
	struct buf read;
	size_t lines; /* in it */
	uint64_t next_run;
};

static void nothing(void *ctx)
{
	(void)ctx;
}

static const char *no_variable(void *ctx, const char *name)
{
	(void)ctx, (void)name;
	return NULL;
}

/* Single quotes stand for double ones. */
static struct config *configured(const char *text)
{
	static struct config_report report;
	const struct config_source source = {.variable = no_variable};
	char *copy = strdup(text);
	assert_non_null(copy);
	for (char *c = copy; *c; c++)
		*c = *c == '\'' ? '"' : *c;
	struct config *config = config_parse(copy, strlen(copy), &source, &report);
	if (!config)
		fail_msg("%s: %s", report.items[0].path, report.items[0].text);
	free(copy);
	return config;
}

static void begin(struct bench *b, const char *config)
{
	struct err err = {0};
	int ends[2];
	*b = (struct bench){.config = configured(config), .next_run = 1};
	assert_int_equal(loop_init(&b->loop, nothing, NULL, &err), 0);
	b->world = world_new(b->config, 1, loop_now());
	assert_non_null(b->world);
	assert_return_code(pipe2(ends, O_CLOEXEC), errno);
	b->in = ends[0];
	b->out = ends[1];
	fcntl(b->in, F_SETFL, O_NONBLOCK);
	buf_init(&b->read, 256 << 20);
	b->context = (struct context){.loop = &b->loop, .world = b->world, .meters = &b->meters};
	if (logs_new(&b->logs, &b->context, b->out, &err) < 0)
		fail_msg("%s", err.text);
}

static void finish(struct bench *b)
{
	logs_free(b->logs);
	loop_fini(&b->loop);
	world_free(b->world);
	config_release(b->config);
	close(b->in);
	close(b->out);
	buf_fini(&b->read);
}

#define ONE(log) "{'workers': {'api': {'command': ['x'], 'log': {" log "}}}}"

/* The worker's end, without blocking. */
static int open_stream(struct bench *b, const char *worker, enum logs_stream stream, uint64_t run)
{
	struct err err = {0};
	int slot = world_find_worker(b->world, worker);
	const struct config_worker_log *config = slot < 0 ? NULL : &b->world->workers[slot].config->log;
	int fd = logs_open(b->logs, worker, slot < 0 ? UINT32_MAX : (uint32_t)slot, run, stream, config, &err);
	if (fd < 0)
		fail_msg("%s", err.text);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

static int open_run(struct bench *b, const char *worker)
{
	return open_stream(b, worker, LOGS_STDOUT, b->next_run++);
}

static void say(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

/* Takes what stdout has, but blocks nobody. */
static void read_stdout(struct bench *b)
{
	char bytes[65536];
	for (ssize_t n; (n = read(b->in, bytes, sizeof(bytes))) > 0;) {
		assert_int_equal(buf_put(&b->read, bytes, (size_t)n), 0);
		for (ssize_t i = 0; i < n; i++)
			b->lines += bytes[i] == '\n';
	}
}

static void on_tick(uv_timer_t *timer)
{
	(void)timer;
}

/* One round of the loop that ends by itself after a moment. */
static void turn(struct bench *b)
{
	uv_timer_t tick;
	uv_timer_init(&b->loop.uv, &tick);
	/* Again and again, for it may come due before poll, which would then wait for something else. */
	uv_timer_start(&tick, on_tick, 10, 10);
	uv_run(&b->loop.uv, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&tick, NULL);
	uv_run(&b->loop.uv, UV_RUN_NOWAIT);
}

static void await_lines(struct bench *b, size_t lines)
{
	for (ms_t until = loop_now() + PATIENCE_MS; read_stdout(b), b->lines < lines; turn(b))
		if (loop_now() > until)
			fail_msg("%zu lines instead of %zu:\n%s", b->lines, lines, buf_str(&b->read));
}

/* A few rounds, in which nothing more is expected to come. */
static void settle(struct bench *b)
{
	for (int i = 0; i < 5; i++)
		turn(b);
	read_stdout(b);
}

static json_t *line_at(const struct bench *b, size_t index)
{
	const char *at = buf_str(&b->read);
	for (size_t i = 0; i < index; i++)
		at = strchr(at, '\n') + 1;
	json_t *line = json_loadb(at, strcspn(at, "\n"), JSON_ALLOW_NUL, NULL);
	if (!line)
		fail_msg("no JSON: %.200s", at);
	return line;
}

static void expect_field(const struct bench *b, size_t index, const char *field, const char *value)
{
	json_t *line = line_at(b, index);
	const char *got = json_string_value(json_object_get(line, field));
	if (!got || !value)
		assert_true(!got && !value);
	else
		assert_string_equal(got, value);
	json_decref(line);
}

static void expect_msg(const struct bench *b, size_t index, const char *msg)
{
	expect_field(b, index, "msg", msg);
}

#define NAMES(...) ((const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

static void as_logged(void *ctx, const struct logs_line *line)
{
	buf_put(ctx, line->text.at, line->text.len);
	buf_putc(ctx, '\n');
}

/* ---- lines ---- */

static void what_a_worker_writes_becomes_lines_of_json(void **state)
{
	struct bench b;
	(void)state;
	begin(&b, ONE(""));
	int out = open_stream(&b, "api", LOGS_STDOUT, 1), err = open_stream(&b, "api", LOGS_STDERR, 1);
	say(out, "listening\n");
	await_lines(&b, 1);
	say(err, "oh\n");
	await_lines(&b, 2);
	logs_say(b.logs, LOG_WARN, THING_WORKER, "api", "restarted %d times", 3);
	await_lines(&b, 3);
	expect_msg(&b, 0, "listening");
	expect_field(&b, 0, "stream", "stdout");
	expect_field(&b, 0, "worker", "api");
	expect_field(&b, 1, "stream", "stderr");
	expect_msg(&b, 2, "restarted 3 times");
	expect_field(&b, 2, "stream", NULL);
	expect_field(&b, 2, "level", "warn");
	assert_int_equal(b.meters.logs[0].lines[0], 1);
	assert_int_equal(b.meters.logs[0].lines[1], 1);
	close(out);
	close(err);
	finish(&b);
}

static void any_bytes_become_one_line_of_valid_json(void **state)
{
	static const char bytes[] = "ok\r\nn\0l\n\xff\xed\xa0\x80 \xe2\x82\n\x1b[31m\t\"\\\n";
	struct bench b;
	(void)state;
	begin(&b, ONE(""));
	int fd = open_run(&b, "api");
	assert_int_equal(write(fd, bytes, sizeof(bytes) - 1), (ssize_t)sizeof(bytes) - 1);
	await_lines(&b, 4);
	expect_msg(&b, 0, "ok");
	json_t *nul = line_at(&b, 1);
	assert_int_equal(json_string_length(json_object_get(nul, "msg")), 3);
	json_decref(nul);
	expect_msg(&b, 2, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd \xef\xbf\xbd\xef\xbf\xbd");
	expect_msg(&b, 3, "\x1b[31m\t\"\\");
	close(fd);
	finish(&b);
}

static void what_passes_through_is_not_touched(void **state)
{
	static const char bytes[] = "{\"a\":1}\r\nn\0l\n\xff\n\n";
	struct bench b;
	(void)state;
	begin(&b, ONE("'format': 'passthrough'"));
	int fd = open_run(&b, "api");
	assert_int_equal(write(fd, bytes, sizeof(bytes) - 1), (ssize_t)sizeof(bytes) - 1);
	await_lines(&b, 4);
	assert_int_equal(b.read.len, sizeof(bytes) - 1);
	assert_memory_equal(b.read.data, bytes, sizeof(bytes) - 1);
	close(fd);
	finish(&b);
}

static void what_a_stop_command_writes_is_the_worker_s_and_marked(void **state)
{
	struct bench b;
	(void)state;
	begin(&b, ONE("'max_line': '256'"));
	int fd = open_stream(&b, "api", LOGS_STDOUT, 1);
	int out = open_stream(&b, "api", LOGS_STOP_STDOUT, 1), err = open_stream(&b, "api", LOGS_STOP_STDERR, 1);
	say(fd, "own\n");
	await_lines(&b, 1);
	say(out, "flushing\n{\"a\":1}\n\n");
	await_lines(&b, 4);
	assert_string_equal(logs_command_said(b.logs, "api", 1), "{\"a\":1}");
	say(err, "oh no\n  at \tx");
	close(err);
	await_lines(&b, 6);
	expect_field(&b, 0, "command", NULL);
	for (size_t i = 1; i < 6; i++)
		expect_field(&b, i, "command", "stop");
	expect_field(&b, 1, "stream", "stdout");
	expect_field(&b, 4, "stream", "stderr");
	assert_string_equal(logs_command_said(b.logs, "api", 1), "  at  x");
	assert_int_equal(b.meters.logs[0].lines[0], 4);
	assert_int_equal(b.meters.logs[0].lines[1], 2);
	/* What it has just said lies in the pipe yet, and counts although the turn has given all its time to others;
	 * and another run's has said nothing. */
	const struct timespec share = {.tv_nsec = 2 * INTAKE_ALL_NS};
	assert_int_equal(nanosleep(&share, NULL), 0);
	say(out, "last\n");
	assert_string_equal(logs_command_said(b.logs, "api", 1), "last");
	logs_ended(b.logs, 1);
	close(out);
	out = open_stream(&b, "api", LOGS_STOP_STDOUT, 2);
	assert_string_equal(logs_command_said(b.logs, "api", 2), "");
	assert_string_equal(logs_command_said(b.logs, "nobody", 2), "");
	close(out);
	close(fd);
	await_lines(&b, 7);
	/* It is remembered as it was logged. */
	struct buf shown;
	struct logs_answer answer;
	buf_init(&shown, 1 << 20);
	const struct logs_query q = {.names = NAMES("api"), .lines = 100};
	assert_int_equal(logs_recent(b.logs, &q, as_logged, &shown, &answer), 0);
	assert_string_equal(buf_str(&shown), buf_str(&b.read));
	buf_fini(&shown);
	finish(&b);
}

static void what_a_stop_command_said_last_is_known_whoever_has_had_the_turn(void **state)
{
	struct bench b;
	(void)state;
	begin(&b, ONE("'format': 'passthrough'"));
	int err = open_stream(&b, "api", LOGS_STOP_STDERR, 1);
	for (int i = 0; i < INTAKE_ONE_LINES; i++)
		say(err, "x\n");
	say(err, "last\n");
	assert_string_equal(logs_command_said(b.logs, "api", 1), "last");
	/* A stranger that writes on and on does not keep it. */
	for (int i = 0; i < INTAKE_ALL_LINES; i++)
		say(err, "y\n");
	assert_string_equal(logs_command_said(b.logs, "api", 1), "y");
	close(err);
	await_lines(&b, INTAKE_ONE_LINES + 1 + INTAKE_ALL_LINES);
	finish(&b);
}

static void the_last_message_of_a_stop_command_waits_for_nothing_more(void **state)
{
	struct bench b;
	(void)state;
	begin(&b, ONE("'multiline': '^ '"));
	int err = open_stream(&b, "api", LOGS_STOP_STDERR, 1);
	say(err, "oh no\n  at x\n");
	assert_string_equal(logs_command_said(b.logs, "api", 1), "  at x");
	close(err);
	await_lines(&b, 1);
	finish(&b);
}

static void a_line_of_exactly_max_line_is_one(void **state)
{
	struct bench b;
	char line[302];
	(void)state;
	begin(&b, ONE("'max_line': '256'"));
	memset(line, 'x', sizeof(line));
	int fd = open_run(&b, "api");
	assert_int_equal(write(fd, line, 256), 256);
	settle(&b);
	assert_int_equal(b.read.len, 0);
	say(fd, "\n");
	assert_int_equal(write(fd, line, 257), 257);
	say(fd, "\nend\n");
	await_lines(&b, 4);
	line[256] = '\0';
	expect_msg(&b, 0, line);
	expect_msg(&b, 1, line);
	expect_msg(&b, 2, "x");
	expect_msg(&b, 3, "end");
	for (size_t i = 0; i < 4; i++) {
		json_t *each = line_at(&b, i);
		assert_ptr_equal(json_object_get(each, "partial"), i == 1 ? json_true() : NULL);
		json_decref(each);
	}
	close(fd);
	finish(&b);
}

static void the_end_of_the_stream_ends_the_last_line(void **state)
{
	struct bench b;
	(void)state;
	begin(&b, ONE("'multiline': 'java'"));
	int fd = open_run(&b, "api");
	say(fd, "Exception\n\tat x\n\tat y");
	close(fd);
	await_lines(&b, 1);
	expect_msg(&b, 0, "Exception\n\tat x\n\tat y");
	finish(&b);
}

/* ---- lines that belong together ---- */

static void what_continues_a_line_waits_no_longer_than_a_moment(void **state)
{
	struct bench b;
	(void)state;
	begin(&b, ONE("'multiline': '^ '"));
	int fd = open_run(&b, "api");
	say(fd, "a\n b\n");
	await_lines(&b, 1);
	say(fd, " c\n");
	await_lines(&b, 2);
	expect_msg(&b, 0, "a\n b");
	expect_msg(&b, 1, " c");
	close(fd);
	finish(&b);
}

static void each_stream_and_each_worker_has_its_own_messages(void **state)
{
	struct bench b;
	(void)state;
	begin(&b, "{'workers': {'api': {'command': ['x'], 'instances': 2, 'log': {'multiline': '^ '}}}}");
	int fds[4] = {open_stream(&b, "api.0", LOGS_STDOUT, 1), open_stream(&b, "api.0", LOGS_STDERR, 1),
		open_stream(&b, "api.1", LOGS_STDOUT, 2), open_stream(&b, "api.1", LOGS_STDERR, 2)};
	for (int line = 0; line < 3; line++)
		for (int i = 0; i < 4; i++) {
			char text[16];
			snprintf(text, sizeof(text), "%s%d\n", line ? " " : "", i);
			say(fds[i], text);
			uv_run(&b.loop.uv, UV_RUN_NOWAIT);
		}
	await_lines(&b, 4);
	for (size_t i = 0; i < 4; i++) {
		json_t *line = line_at(&b, i);
		const char *msg = json_string_value(json_object_get(line, "msg"));
		char expected[16];
		snprintf(expected, sizeof(expected), "%c\n %c\n %c", msg[0], msg[0], msg[0]);
		assert_string_equal(msg, expected);
		json_decref(line);
	}
	for (int i = 0; i < 4; i++)
		close(fds[i]);
	finish(&b);
}

/* ---- rates ---- */

static void beyond_its_rate_a_worker_s_lines_are_dropped_counted_and_told(void **state)
{
	struct bench b;
	(void)state;
	begin(&b, ONE("'rate': 3"));
	int out = open_stream(&b, "api", LOGS_STDOUT, 1), err = open_stream(&b, "api", LOGS_STDERR, 1);
	for (int i = 0; i < 10; i++)
		say(out, "line\n");
	await_lines(&b, 3);
	for (int i = 0; i < 10; i++)
		say(err, "line\n");
	/* Both streams have one limit, and one line tells of both. */
	await_lines(&b, 4);
	json_t *last = line_at(&b, b.lines - 1);
	while (json_object_get(last, "stream")) {
		json_decref(last);
		await_lines(&b, b.lines + 1);
		last = line_at(&b, b.lines - 1);
	}
	uint64_t passed = b.lines - 1;
	char told[100];
	snprintf(told, sizeof(told), "%d lines of api were dropped by its rate limit", 20 - (int)passed);
	assert_string_equal(json_string_value(json_object_get(last, "msg")), told);
	assert_string_equal(json_string_value(json_object_get(last, "worker")), "api");
	assert_string_equal(json_string_value(json_object_get(last, "level")), "warn");
	json_decref(last);
	assert_int_equal(b.meters.logs[0].lines[0] + b.meters.logs[0].lines[1], 20);
	assert_int_equal(b.meters.logs[0].dropped, 20 - passed);
	assert_int_equal(b.meters.log_dropped_lines, 0);
	close(out);
	close(err);
	finish(&b);
}

static void another_run_has_no_new_bucket_and_the_end_tells_what_is_untold(void **state)
{
	struct bench b;
	(void)state;
	begin(&b, ONE("'rate': 1"));
	for (int run = 0; run < 5; run++) {
		int fd = open_run(&b, "api");
		say(fd, "line\n");
		close(fd);
		logs_ended(b.logs, b.next_run - 1);
	}
	logs_finish(b.logs);
	read_stdout(&b);
	char told[100];
	unsigned dropped = (unsigned)b.meters.logs[0].dropped;
	assert_true(dropped >= 1);
	assert_int_equal(b.lines, 5 - dropped + 1);
	snprintf(told, sizeof(told), "%u line%s of api %s dropped by its rate limit", dropped, dropped == 1 ? "" : "s",
		dropped == 1 ? "was" : "were");
	expect_msg(&b, b.lines - 1, told);
	finish(&b);
}

/* Whatever the order, each line is there once, in whole or dropped as a whole. */
static void joined_long_and_limited_lines_together(void **state)
{
	struct bench b;
	char line[400];
	(void)state;
	begin(&b, ONE("'multiline': '^ ', 'rate': 4, 'max_line': '256'"));
	memset(line, 'y', sizeof(line));
	int fd = open_run(&b, "api");
	say(fd, "a\n b\n");
	assert_int_equal(write(fd, line, 300), 300);
	say(fd, "\n c\n d\ne\nf\n");
	close(fd);
	logs_ended(b.logs, b.next_run - 1);
	logs_finish(b.logs);
	read_stdout(&b);
	line[256] = '\0';
	expect_msg(&b, 0, "a\n b");
	expect_msg(&b, 1, line);
	line[300 - 256] = '\0';
	expect_msg(&b, 2, line);
	expect_msg(&b, 3, " c\n d");
	expect_msg(&b, 4, "2 lines of api were dropped by its rate limit");
	assert_int_equal(b.lines, 5);
	finish(&b);
}

/* ---- a stdout that is slow ---- */

struct writer {
	int fd;
	int next, count; /* lines */
	char rest[128];
	size_t left;
};

/* As much as the pipe takes. True when all lines are written. */
static bool write_lines(struct writer *w, int worker)
{
	for (;;) {
		if (!w->left && w->next == w->count)
			return true;
		if (!w->left)
			w->left = (size_t)snprintf(w->rest, sizeof(w->rest), "%d %d %060d\n", worker, w->next++, 0);
		ssize_t n = write(w->fd, w->rest, w->left);
		if (n < 0)
			return false;
		memmove(w->rest, w->rest + n, w->left - (size_t)n);
		w->left -= (size_t)n;
	}
}

/* Every line of each worker is there, once and in its order. */
static void expect_all_lines(const struct bench *b, int workers, int count)
{
	int *next = calloc((size_t)workers, sizeof(*next));
	assert_non_null(next);
	const char *end_of_all = b->read.data + b->read.len;
	for (const char *at = b->read.data, *msg; (msg = memmem(at, (size_t)(end_of_all - at), "\"msg\":\"", 7));
		at = msg + 7) {
		char *end;
		long worker = strtol(msg + 7, &end, 10);
		assert_in_range(worker, 0, workers - 1);
		assert_int_equal(strtol(end, NULL, 10), next[worker]);
		next[worker]++;
	}
	for (int i = 0; i < workers; i++)
		assert_int_equal(next[i], count);
	free(next);
}

#define SMALL "{'log': {'buffer': '64Ki'%s}, 'workers': {'w': {'command': ['x'], 'instances': %d}}}"

static void begin_small(struct bench *b, int instances, const char *more)
{
	char config[300];
	snprintf(config, sizeof(config), SMALL, more, instances);
	begin(b, config);
}

static void a_burst_of_many_workers_loses_nothing_while_stdout_is_read(void **state)
{
	enum { WORKERS = 40, LINES = 1500 };
	struct bench b;
	struct writer writers[WORKERS];
	(void)state;
	begin_small(&b, WORKERS, "");
	for (int i = 0; i < WORKERS; i++) {
		char name[16];
		snprintf(name, sizeof(name), "w.%d", i);
		writers[i] = (struct writer){.fd = open_run(&b, name), .count = LINES};
	}
	for (int busy = WORKERS; busy;) {
		busy = 0;
		for (int i = 0; i < WORKERS; i++)
			busy += !write_lines(&writers[i], i);
		uv_run(&b.loop.uv, UV_RUN_NOWAIT);
		read_stdout(&b);
	}
	for (int i = 0; i < WORKERS; i++)
		close(writers[i].fd);
	await_lines(&b, WORKERS * LINES);
	expect_all_lines(&b, WORKERS, LINES);
	assert_int_equal(b.meters.log_dropped_lines, 0);
	finish(&b);
}

/* All end at once, each with a full pipe, which is much more than the buffer holds. */
static void the_ends_of_many_runs_lose_nothing_either(void **state)
{
	enum { WORKERS = 40 };
	struct bench b;
	struct writer writers[WORKERS];
	int count = INT32_MAX;
	(void)state;
	begin_small(&b, WORKERS, "");
	for (int i = 0; i < WORKERS; i++) {
		char name[16];
		snprintf(name, sizeof(name), "w.%d", i);
		writers[i] = (struct writer){.fd = open_run(&b, name), .count = 900};
		write_lines(&writers[i], i);
		count = writers[i].next < count ? writers[i].next : count;
	}
	assert_int_equal(count, 900);
	/* Somebody else holds their ends, as a daemon of theirs would. */
	for (int i = 0; i < WORKERS; i++)
		logs_ended(b.logs, (uint64_t)i + 1);
	await_lines(&b, WORKERS * 900);
	expect_all_lines(&b, WORKERS, 900);
	assert_int_equal(b.meters.log_dropped_lines, 0);
	/* And they are closed. */
	for (int i = 0; i < WORKERS; i++) {
		for (ms_t until = loop_now() + PATIENCE_MS; write(writers[i].fd, "x", 1) > 0; turn(&b))
			assert_true(loop_now() < until);
		close(writers[i].fd);
	}
	finish(&b);
}

static void read_until_closed(void *arg)
{
	struct bench *b = arg;
	struct pollfd p = {.fd = b->in, .events = POLLIN};
	while (poll(&p, 1, PATIENCE_MS) == 1) {
		size_t before = b->read.len;
		read_stdout(b);
		if (b->read.len == before)
			break;
	}
}

static void before_podvisor_ends_the_pipes_are_emptied(void **state)
{
	enum { WORKERS = 20, LINES = 900 };
	struct bench b;
	uv_thread_t reader;
	(void)state;
	begin_small(&b, WORKERS, "");
	for (int i = 0; i < WORKERS; i++) {
		char name[16];
		snprintf(name, sizeof(name), "w.%d", i);
		struct writer w = {.fd = open_run(&b, name), .count = LINES};
		assert_true(write_lines(&w, i));
		close(w.fd);
		if (i % 2)
			logs_ended(b.logs, (uint64_t)i + 1);
	}
	assert_int_equal(uv_thread_create(&reader, read_until_closed, &b), 0);
	logs_finish(b.logs);
	logs_free(b.logs);
	uv_run(&b.loop.uv, UV_RUN_NOWAIT);
	close(b.out);
	uv_thread_join(&reader);
	assert_int_equal(b.meters.log_dropped_lines, 0);
	expect_all_lines(&b, WORKERS, LINES);
	b.logs = NULL;
	b.out = dup(b.in);
	finish(&b);
}

/* The small buffer takes less at a time than a pipe holds, so the stranger never lets it run empty. */
static void a_stranger_who_keeps_writing_keeps_no_run_open(void **state)
{
	struct bench b;
	struct writer stranger = {.count = INT32_MAX};
	(void)state;
	begin_small(&b, 1, "");
	stranger.fd = open_run(&b, "w");
	write_lines(&stranger, 0);
	logs_ended(b.logs, 1);
	for (ms_t until = loop_now() + PATIENCE_MS; write_lines(&stranger, 0), errno == EAGAIN;) {
		assert_true(loop_now() < until);
		read_stdout(&b);
		uv_run(&b.loop.uv, UV_RUN_NOWAIT);
	}
	assert_int_equal(errno, EPIPE);
	assert_int_equal(b.meters.log_dropped_lines, 0);
	close(stranger.fd);
	finish(&b);
}

/* ---- turns ---- */

/* The shortest lines, as many as the pipe takes. */
static void fill_with_tiny_lines(int fd)
{
	char bytes[4096];
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = i % 2 ? '\n' : 'y';
	while (write(fd, bytes, sizeof(bytes)) > 0)
		;
	assert_int_equal(errno, EAGAIN);
}

/* stdout takes what a turn brings. */
static void begin_wide(struct bench *b, const char *config)
{
	begin(b, config);
	assert_return_code(fcntl(b->out, F_SETPIPE_SZ, 1 << 20), errno);
}

static uint64_t lines_of(const struct bench *b, size_t worker)
{
	return b->meters.logs[worker].lines[0];
}

static void count_ping(uv_poll_t *poll, int status, int events)
{
	(void)status, (void)events;
	char byte;
	*(int *)poll->data += read(poll->u.fd, &byte, 1) == 1;
}

/* What else becomes ready is served in every turn, whatever a worker writes. */
static void one_turn_takes_a_bounded_share_of_a_flood_of_tiny_lines(void **state)
{
	enum { TURNS = 60 };
	struct bench b;
	uv_poll_t ping;
	int ends[2], pings = 0;
	(void)state;
	begin_wide(&b, ONE(""));
	assert_return_code(pipe2(ends, O_CLOEXEC | O_NONBLOCK), errno);
	uv_poll_init(&b.loop.uv, &ping, ends[0]);
	ping.u.fd = ends[0];
	ping.data = &pings;
	uv_poll_start(&ping, UV_READABLE, count_ping);
	int fd = open_run(&b, "api");
	for (int i = 0; i < TURNS; i++) {
		uint64_t before = lines_of(&b, 0);
		fill_with_tiny_lines(fd);
		say(ends[1], ".");
		uv_run(&b.loop.uv, UV_RUN_NOWAIT);
		read_stdout(&b);
		uint64_t taken = lines_of(&b, 0) - before;
		assert_in_range(taken, 1, INTAKE_ONE_LINES + INTAKE_READ_MAX);
		/* Once it is known how short they are, to the line. */
		assert_true(i == 0 || taken <= INTAKE_ONE_LINES + 512);
		assert_int_equal(pings, i + 1);
	}
	assert_int_equal(b.meters.log_dropped_lines, 0);
	uv_close((uv_handle_t *)&ping, NULL);
	close(fd);
	finish(&b);
	close(ends[0]);
	close(ends[1]);
}

static void workers_that_flood_take_turns(void **state)
{
	enum { WORKERS = 24, TURNS = 200 };
	struct bench b;
	int fds[WORKERS], served[WORKERS] = {0};
	(void)state;
	begin_wide(&b, "{'workers': {'w': {'command': ['x'], 'instances': 24}}}");
	for (int i = 0; i < WORKERS; i++) {
		char name[16];
		snprintf(name, sizeof(name), "w.%d", i);
		fds[i] = open_run(&b, name);
	}
	for (int turns = 0; turns < TURNS; turns++) {
		uint64_t before[WORKERS], all = 0;
		int least = INT32_MAX, most = 0;
		for (int i = 0; i < WORKERS; i++) {
			before[i] = lines_of(&b, (size_t)i);
			fill_with_tiny_lines(fds[i]);
		}
		uv_run(&b.loop.uv, UV_RUN_NOWAIT);
		read_stdout(&b);
		for (int i = 0; i < WORKERS; i++) {
			uint64_t taken = lines_of(&b, (size_t)i) - before[i];
			all += taken;
			served[i] += taken > 0;
			least = served[i] < least ? served[i] : least;
			most = served[i] > most ? served[i] : most;
			assert_true(taken <= INTAKE_ONE_LINES + INTAKE_READ_MAX);
		}
		assert_in_range(all, 1, INTAKE_ALL_LINES + INTAKE_READ_MAX);
		if (most - least > 2)
			fail_msg("one was served in %d turns, another in %d", most, least);
	}
	assert_int_equal(b.meters.log_dropped_lines, 0);
	for (int i = 0; i < WORKERS; i++)
		close(fds[i]);
	finish(&b);
}

/* While the others flood, the timer finds their share used up. */
static void what_may_go_on_is_over_in_time_beside_a_flood(void **state)
{
	struct bench b;
	int fds[8];
	(void)state;
	begin_wide(&b, "{'workers': {'w': {'command': ['x'], 'instances': 8},"
		       "'api': {'command': ['x'], 'log': {'multiline': '^ '}}}}");
	for (int i = 0; i < 8; i++) {
		char name[16];
		snprintf(name, sizeof(name), "w.%d", i);
		fds[i] = open_run(&b, name);
	}
	int fd = open_run(&b, "api");
	say(fd, "Exception\n at x\n");
	for (ms_t until = loop_now() + PATIENCE_MS; !lines_of(&b, 8); read_stdout(&b)) {
		assert_true(loop_now() < until);
		for (int i = 0; i < 8; i++)
			fill_with_tiny_lines(fds[i]);
		uv_run(&b.loop.uv, UV_RUN_NOWAIT);
	}
	for (int i = 0; i < 8; i++)
		close(fds[i]);
	close(fd);
	finish(&b);
}

/* What podvisor says of a run that is over comes behind the run's own last words. */
static void the_end_is_told_behind_the_last_words(void **state)
{
	enum { WORKERS = 60 };
	struct bench b;
	char name[16];
	(void)state;
	begin_small(&b, WORKERS, "");
	for (int i = 0; i < WORKERS; i++) {
		snprintf(name, sizeof(name), "w.%d", i);
		struct writer w = {.fd = open_run(&b, name), .count = 700};
		assert_true(write_lines(&w, i));
		close(w.fd);
	}
	for (int i = 0; i < WORKERS; i++) {
		snprintf(name, sizeof(name), "w.%d", i);
		logs_ended(b.logs, (uint64_t)i + 1);
		logs_say(b.logs, LOG_INFO, THING_WORKER, name, "%d 700 succeeded", i);
		logs_say(b.logs, LOG_INFO, THING_WORKER, name, "%d 701 and more", i);
	}
	await_lines(&b, WORKERS * 702);
	expect_all_lines(&b, WORKERS, 702);
	assert_int_equal(b.meters.log_dropped_lines, 0);
	/* Then nothing waits any more. */
	logs_say(b.logs, LOG_INFO, THING_WORKER, "w.0", "again");
	read_stdout(&b);
	expect_msg(&b, WORKERS * 702, "again");
	finish(&b);
}

/* ---- a stdout that is stuck ---- */

static int waiting_in(int fd)
{
	int n = 0;
	assert_return_code(ioctl(fd, FIONREAD, &n), errno);
	return n;
}

/* Writes until the worker's pipe stays full: it is held back. */
static void write_until_held(struct bench *b, struct writer *w)
{
	for (int idle = 0; idle < 3; idle++) {
		int before = w->next;
		write_lines(w, 0);
		uv_run(&b->loop.uv, UV_RUN_NOWAIT);
		if (w->next != before)
			idle = -1;
	}
}

static ms_t await_release(struct bench *b, struct writer *w, ms_t since)
{
	int held = w->next;
	for (ms_t until = loop_now() + PATIENCE_MS; write_lines(w, 0), w->next == held; turn(b))
		assert_true(loop_now() < until);
	return loop_now() - since;
}

/* The clocks differ by a rounding. */
static void expect_at_least(ms_t waited, ms_t least)
{
	if (waited < least - 20)
		fail_msg("held for %lld ms, at least %lld expected", (long long)waited, (long long)least);
}

static void expect_held_for(const char *log, ms_t least)
{
	struct bench b;
	struct writer w = {.count = INT32_MAX};
	begin_small(&b, 1, log);
	w.fd = open_run(&b, "w");
	ms_t since = loop_now();
	write_until_held(&b, &w);
	assert_int_equal(b.meters.log_dropped_lines, 0);
	expect_at_least(await_release(&b, &w, since), least);
	/* From then on it is read regardless, and the oldest lines go: no turn of the loop waits. */
	int before = w.next;
	for (int i = 0; i < 1000 && w.next < before + 20000; i++) {
		write_lines(&w, 0);
		uv_run(&b.loop.uv, UV_RUN_NOWAIT);
	}
	assert_true(w.next >= before + 20000);
	assert_true(b.meters.log_dropped_lines > 0);
	/* Once stdout has caught up, it is trusted again. */
	for (int i = 0; i < 1000; i++) {
		uv_run(&b.loop.uv, UV_RUN_NOWAIT);
		read_stdout(&b);
	}
	uint64_t dropped = b.meters.log_dropped_lines;
	since = loop_now();
	write_until_held(&b, &w);
	assert_int_equal(b.meters.log_dropped_lines, dropped);
	expect_at_least(await_release(&b, &w, since), least);
	close(w.fd);
	finish(&b);
}

static void a_stuck_stdout_holds_workers_back_for_a_second(void **state)
{
	(void)state;
	expect_held_for("", OUTLET_STUCK_MS);
}

static void and_for_as_much_longer_as_is_asked_for(void **state)
{
	(void)state;
	expect_held_for(", 'block': '700ms'", OUTLET_STUCK_MS + 700);
}

static void a_stdout_that_takes_a_little_is_slow_and_not_stuck(void **state)
{
	struct bench b;
	struct writer w = {.count = INT32_MAX};
	char some[4096];
	(void)state;
	begin_small(&b, 1, "");
	w.fd = open_run(&b, "w");
	write_until_held(&b, &w);
	/* A page every 600 ms, until more than twice the patience is over. */
	for (int i = 0; i < 4; i++) {
		for (ms_t until = loop_now() + 600; loop_now() < until; turn(&b))
			;
		assert_int_equal(waiting_in(b.in) > 0, 1);
		assert_int_equal(read(b.in, some, sizeof(some)), sizeof(some));
		assert_int_equal(b.meters.log_dropped_lines, 0);
	}
	/* The last page was the last progress. */
	ms_t since = loop_now();
	expect_at_least(await_release(&b, &w, since), OUTLET_STUCK_MS - 50);
	close(w.fd);
	finish(&b);
}

static void another_block_counts_at_once(void **state)
{
	struct bench b;
	struct writer w = {.count = INT32_MAX};
	(void)state;
	begin_small(&b, 1, ", 'block': '1d'");
	w.fd = open_run(&b, "w");
	write_until_held(&b, &w);
	struct config_log log = b.world->config->log;
	log.block = 0;
	logs_configure(b.logs, &log);
	await_release(&b, &w, 0);
	close(w.fd);
	finish(&b);
}

/* ---- reloads ---- */

static void a_reload_changes_form_and_level(void **state)
{
	struct bench b;
	(void)state;
	begin(&b, ONE(""));
	int fd = open_run(&b, "api");
	logs_say(b.logs, LOG_DEBUG, THING_POD, "", "hidden");
	struct config_log log = b.world->config->log;
	log.format = LOG_FORMAT_TEXT;
	log.level = LOG_DEBUG;
	logs_configure(b.logs, &log);
	logs_say(b.logs, LOG_DEBUG, THING_POD, "", "shown");
	say(fd, "one\n");
	await_lines(&b, 2);
	assert_non_null(strstr(b.read.data, "Z debug shown\n"));
	assert_non_null(strstr(b.read.data, "Z info  api: one\n"));
	close(fd);
	finish(&b);
}

static void a_reload_changes_the_buffer(void **state)
{
	struct bench b;
	struct writer w = {.count = INT32_MAX};
	(void)state;
	begin_small(&b, 1, "");
	w.fd = open_run(&b, "w");
	write_until_held(&b, &w);
	int small = w.next;
	/* A larger one has room, so the worker goes on. */
	struct config_log log = b.world->config->log;
	log.buffer_bytes = 1 << 20;
	logs_configure(b.logs, &log);
	write_until_held(&b, &w);
	assert_true(w.next > 3 * small);
	assert_int_equal(b.meters.log_dropped_lines, 0);
	/* A smaller one drops the oldest, which is told. */
	log.buffer_bytes = 64 << 10;
	logs_configure(b.logs, &log);
	assert_true(b.meters.log_dropped_lines > 0);
	close(w.fd);
	finish(&b);
}

static void reload(struct bench *b, const char *text)
{
	struct err err = {0};
	struct config *config = configured(text);
	if (reload_apply(b->world, config, loop_now(), &err) < 0)
		fail_msg("%s", err.text);
	logs_configure(b->logs, &config->log);
	config_release(config);
}

/* What reconcile does once nothing of a removed worker runs. */
static void free_slot(struct bench *b, size_t slot)
{
	assert_true(b->world->workers[slot].removed);
	worker_fini(&b->world->workers[slot]);
	b->world->workers[slot] = (struct worker){0};
}

static void a_slot_s_next_worker_counts_anew(void **state)
{
	struct bench b;
	(void)state;
	begin(&b, "{'workers': {'a': {'command': ['x']}, 'b': {'command': ['x']}}}");
	int fd = open_run(&b, "a");
	say(fd, "one\ntwo\n");
	close(fd);
	await_lines(&b, 2);
	logs_ended(b.logs, 1);
	assert_string_equal(b.meters.logs[0].worker, "a");
	assert_int_equal(b.meters.logs[0].lines[0], 2);
	reload(&b, "{'workers': {'b': {'command': ['x']}}}");
	free_slot(&b, 0);
	reload(&b, "{'workers': {'b': {'command': ['x']}, 'c': {'command': ['x']}}}");
	assert_string_equal(b.world->workers[0].name, "c");
	fd = open_run(&b, "c");
	say(fd, "three\n");
	await_lines(&b, 3);
	assert_string_equal(b.meters.logs[0].worker, "c");
	assert_int_equal(b.meters.logs[0].lines[0], 1);
	close(fd);
	finish(&b);
}

struct seen {
	char text[4096];
};

static void note(void *ctx, const struct logs_line *line)
{
	struct seen *seen = ctx;
	size_t len = strlen(seen->text);
	snprintf(seen->text + len, sizeof(seen->text) - len, "%s%s%s:%.*s", len ? "|" : "", line->name,
		line->stream ? "" : "!", (int)line->text.len, line->text.at);
}

static struct logs_answer expect_recent(
	struct bench *b, const char *const *names, const struct recent_cursor *after, const char *expected)
{
	const struct logs_query q = {.names = names, .after = after, .lines = 100, .plain = true};
	struct logs_answer answer;
	struct seen seen = {0};
	assert_int_equal(logs_recent(b->logs, &q, note, &seen, &answer), 0);
	assert_string_equal(seen.text, expected);
	return answer;
}

static void what_is_gone_is_forgotten_with_the_reload_after(void **state)
{
	struct bench b;
	(void)state;
	begin(&b, "{'workers': {'a': {'command': ['x']}, 'b': {'command': ['x']}}}");
	int fd = open_run(&b, "a"), other = open_run(&b, "b");
	say(fd, "one\n");
	await_lines(&b, 1);
	say(other, "two\n");
	await_lines(&b, 2);
	reload(&b, "{'workers': {'b': {'command': ['x']}}}");
	/* It may have something to say while it stops, and podvisor about it. */
	say(fd, "last\n");
	await_lines(&b, 3);
	logs_ended(b.logs, 1);
	logs_say(b.logs, LOG_INFO, THING_WORKER, "a", "stopped");
	free_slot(&b, 0);
	expect_recent(&b, NAMES(), NULL, "a:one|b:two|a:last|a!:stopped");
	expect_recent(&b, NAMES("a"), NULL, "a:one|a:last|a!:stopped");
	reload(&b, "{'workers': {'b': {'command': ['x']}}}");
	expect_recent(&b, NAMES(), NULL, "b:two");
	close(fd);
	close(other);
	finish(&b);
}

/* ---- what is remembered ---- */

static void a_name_means_all_its_instances(void **state)
{
	struct bench b;
	(void)state;
	begin(&b, "{'workers': {'api': {'command': ['x'], 'instances': 2}, 'b': {'command': ['x']}}}");
	int fds[3] = {open_run(&b, "api.0"), open_run(&b, "api.1"), open_run(&b, "b")};
	for (size_t i = 0; i < 3; i++) {
		say(fds[i], i == 0 ? "zero\n" : i == 1 ? "one\n" : "b\n");
		await_lines(&b, i + 1);
	}
	logs_say(b.logs, LOG_INFO, THING_WORKER, "api.1", "ready");
	expect_recent(&b, NAMES("api"), NULL, "api.0:zero|api.1:one|api.1!:ready");
	expect_recent(&b, NAMES("api.1"), NULL, "api.1:one|api.1!:ready");
	expect_recent(&b, NAMES("b", "api.0"), NULL, "api.0:zero|b:b");
	struct logs_answer all = expect_recent(&b, NAMES(), NULL, "api.0:zero|api.1:one|b:b|api.1!:ready");
	say(fds[1], "one\n");
	await_lines(&b, 5);
	all = expect_recent(&b, NAMES(), &all.next, "api.1:one");
	assert_int_equal(all.missed, 0);
	expect_recent(&b, NAMES(), &all.next, "");
	for (size_t i = 0; i < 3; i++)
		close(fds[i]);
	finish(&b);
}

static void and_what_podvisor_said_about_it(void **state)
{
	struct bench b;
	(void)state;
	begin(&b, "{'postgres': {'api': {'dsn': 'host=x'}}, 'volumes': {'v': {'path': '/v', 'size': '1Mi'}},"
		  "'browsers': {'chrome': {'volume': 'v'}},"
		  "'workers': {'api': {'command': ['x'], 'instances': 2}, 'b': {'command': ['x']}}}");
	/* Before anything was started too; another thing of that name is not meant. */
	logs_say(b.logs, LOG_INFO, THING_WORKER, "api.0", "waiting");
	logs_say(b.logs, LOG_INFO, THING_POSTGRES, "api", "up");
	logs_say(b.logs, LOG_INFO, THING_BROWSER, "chrome", "serving");
	logs_say(b.logs, LOG_INFO, THING_POD, "", "hello");
	expect_recent(&b, NAMES("api"), NULL, "api.0!:waiting");
	expect_recent(&b, NAMES("chrome"), NULL, "chrome!:serving");
	struct logs_answer all = expect_recent(&b, NAMES(), NULL, "api.0!:waiting|api!:up|chrome!:serving|!:hello");
	struct logs_answer api = expect_recent(&b, NAMES("api"), NULL, "api.0!:waiting");
	int fd = open_run(&b, "api.0");
	say(fd, "one\n");
	await_lines(&b, 5);
	logs_say(b.logs, LOG_WARN, THING_WORKER, "api.0", "stopping");
	logs_say(b.logs, LOG_WARN, THING_WORKER, "b", "stopping");
	expect_recent(&b, NAMES(), &all.next, "api.0:one|api.0!:stopping|b!:stopping");
	api = expect_recent(&b, NAMES("api"), &api.next, "api.0:one|api.0!:stopping");
	assert_int_equal(api.missed, 0);
	/* What it says is remembered beside the worker's own flood, ... */
	for (int i = 0; i < 20000; i++) {
		say(fd, "0123456789\n");
		if (i % 1000 == 999)
			settle(&b);
	}
	await_lines(&b, 20007);
	const struct logs_query q = {.names = NAMES("api"), .after = &all.next, .lines = 1, .plain = true};
	struct seen seen = {0};
	assert_int_equal(logs_recent(b.logs, &q, note, &seen, &all), 0);
	assert_string_equal(seen.text, "api.0!:stopping");
	assert_true(all.missed > 1);
	close(fd);
	finish(&b);
}

static void what_is_shown_is_what_was_logged(void **state)
{
	struct bench b;
	struct buf shown;
	struct logs_answer answer;
	(void)state;
	begin(&b, "{'workers': {'a': {'command': ['x'], 'log': {'multiline': '^ '}},"
		  "'p': {'command': ['x'], 'log': {'format': 'passthrough'}}}}");
	int fd = open_run(&b, "a"), raw = open_run(&b, "p");
	char long_line[16386];
	memset(long_line, 'x', sizeof(long_line));
	long_line[sizeof(long_line) - 1] = '\n';
	say(fd, "{\"level\":\"error\",\"msg\":\"own\"}\nplain \xff\n and more\nlast\n");
	await_lines(&b, 3);
	say(raw, "as\tit is \xfe\r\n");
	await_lines(&b, 4);
	logs_say(b.logs, LOG_ERROR, THING_POSTGRES, "main", "gone: %s", "\"why\"");
	logs_say(b.logs, LOG_INFO, THING_POD, "", "bye");
	await_lines(&b, 6);
	assert_int_equal(write(fd, long_line, sizeof(long_line)), (ssize_t)sizeof(long_line));
	await_lines(&b, 8);
	buf_init(&shown, 1 << 20);
	const struct logs_query q = {.names = NAMES(), .lines = 100};
	assert_int_equal(logs_recent(b.logs, &q, as_logged, &shown, &answer), 0);
	assert_string_equal(buf_str(&shown), buf_str(&b.read));
	buf_fini(&shown);
	close(fd);
	close(raw);
	finish(&b);
}

/* ---- last words ---- */

static void expect_last_words(struct bench *b, size_t max, const char *words)
{
	struct buf out;
	buf_init(&out, 1 << 20);
	logs_last_words(b->logs, "api", max, &out);
	assert_string_equal(buf_str(&out), words);
	assert_true(out.len <= max);
	buf_fini(&out);
}

static void last_words_are_plain_text(void **state)
{
	struct bench b;
	(void)state;
	begin(&b, ONE("'multiline': '^ '"));
	int fd = open_run(&b, "api");
	expect_last_words(&b, 4096, "");
	say(fd, "\x1b[31mError:\x1b[0m b\xffo\n at x\n{\"msg\":\"own\"}\n");
	await_lines(&b, 2);
	logs_say(b.logs, LOG_ERROR, THING_WORKER, "api", "not its own");
	expect_last_words(&b, 4096, "Error: b\xef\xbf\xbdo\n at x\n{\"msg\":\"own\"}\n");
	close(fd);
	finish(&b);
}

static void of_many_the_last_whole_ones_that_fit_are_told(void **state)
{
	struct bench b;
	(void)state;
	begin(&b, ONE(""));
	int fd = open_run(&b, "api");
	for (int i = 10; i < 40; i++) {
		char line[16];
		snprintf(line, sizeof(line), "line %d\n", i);
		say(fd, line);
	}
	await_lines(&b, 30);
	expect_last_words(&b, 16, "line 38\nline 39\n");
	expect_last_words(&b, 23, "line 38\nline 39\n");
	expect_last_words(&b, 24, "line 37\nline 38\nline 39\n");
	expect_last_words(&b, 8, "line 39\n");
	expect_last_words(&b, 7, "line 3\n");
	expect_last_words(&b, 1, "");
	expect_last_words(&b, 0, "");
	struct buf out;
	buf_init(&out, 4096);
	logs_last_words(b.logs, "api", 4096, &out);
	assert_int_equal(strncmp(out.data, "line 20\n", 8), 0);
	buf_fini(&out);
	close(fd);
	finish(&b);
}

static void no_character_of_the_last_words_is_cut_in_two(void **state)
{
	struct bench b;
	(void)state;
	begin(&b, ONE(""));
	int fd = open_run(&b, "api");
	say(fd, "first\n\xc3\xbc\xf0\x9f\x98\x80\xe2\x82\xac\n");
	await_lines(&b, 2);
	static const char *const cut[] = {"", "", "", "\xc3\xbc\n", "\xc3\xbc\n", "\xc3\xbc\n", "\xc3\xbc\n",
		"\xc3\xbc\xf0\x9f\x98\x80\n", "\xc3\xbc\xf0\x9f\x98\x80\n", "\xc3\xbc\xf0\x9f\x98\x80\n",
		"\xc3\xbc\xf0\x9f\x98\x80\xe2\x82\xac\n"};
	for (size_t max = 0; max < sizeof(cut) / sizeof(cut[0]); max++)
		expect_last_words(&b, max, cut[max]);
	close(fd);
	finish(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_worker_writes_becomes_lines_of_json),
		cmocka_unit_test(any_bytes_become_one_line_of_valid_json),
		cmocka_unit_test(what_passes_through_is_not_touched),
		cmocka_unit_test(what_a_stop_command_writes_is_the_worker_s_and_marked),
		cmocka_unit_test(what_a_stop_command_said_last_is_known_whoever_has_had_the_turn),
		cmocka_unit_test(the_last_message_of_a_stop_command_waits_for_nothing_more),
		cmocka_unit_test(a_line_of_exactly_max_line_is_one),
		cmocka_unit_test(the_end_of_the_stream_ends_the_last_line),
		cmocka_unit_test(what_continues_a_line_waits_no_longer_than_a_moment),
		cmocka_unit_test(each_stream_and_each_worker_has_its_own_messages),
		cmocka_unit_test(beyond_its_rate_a_worker_s_lines_are_dropped_counted_and_told),
		cmocka_unit_test(another_run_has_no_new_bucket_and_the_end_tells_what_is_untold),
		cmocka_unit_test(joined_long_and_limited_lines_together),
		cmocka_unit_test(a_burst_of_many_workers_loses_nothing_while_stdout_is_read),
		cmocka_unit_test(the_ends_of_many_runs_lose_nothing_either),
		cmocka_unit_test(before_podvisor_ends_the_pipes_are_emptied),
		cmocka_unit_test(a_stranger_who_keeps_writing_keeps_no_run_open),
		cmocka_unit_test(one_turn_takes_a_bounded_share_of_a_flood_of_tiny_lines),
		cmocka_unit_test(workers_that_flood_take_turns),
		cmocka_unit_test(what_may_go_on_is_over_in_time_beside_a_flood),
		cmocka_unit_test(the_end_is_told_behind_the_last_words),
		cmocka_unit_test(a_stuck_stdout_holds_workers_back_for_a_second),
		cmocka_unit_test(and_for_as_much_longer_as_is_asked_for),
		cmocka_unit_test(a_stdout_that_takes_a_little_is_slow_and_not_stuck),
		cmocka_unit_test(another_block_counts_at_once),
		cmocka_unit_test(a_reload_changes_form_and_level),
		cmocka_unit_test(a_reload_changes_the_buffer),
		cmocka_unit_test(a_slot_s_next_worker_counts_anew),
		cmocka_unit_test(what_is_gone_is_forgotten_with_the_reload_after),
		cmocka_unit_test(a_name_means_all_its_instances),
		cmocka_unit_test(and_what_podvisor_said_about_it),
		cmocka_unit_test(what_is_shown_is_what_was_logged),
		cmocka_unit_test(last_words_are_plain_text),
		cmocka_unit_test(of_many_the_last_whole_ones_that_fit_are_told),
		cmocka_unit_test(no_character_of_the_last_words_is_cut_in_two),
	};
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("logs", tests, NULL, NULL);
}
