/* Real pipes, sockets, terminals and files as podvisor's stdout. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "podvisor/io/sink.h"

enum { PATIENCE_MS = 20000, CAP = 64 << 10 };

struct bench {
	int tellings;
	uint64_t told;
	struct loop loop;
	uv_timer_t deadline;
	bool expired;
	struct sink *sink;
	int out, in; /* what the sink writes to, and where that is read */
	int flags; /* of out, before the sink was opened */
	uint64_t next, dropped; /* lines put, lines that the sink says are gone */
	struct buf read;
};

static void nothing(void *ctx)
{
	(void)ctx;
}

static void on_deadline(uv_timer_t *timer)
{
	((struct bench *)timer->data)->expired = true;
}

static int set_up(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct err err;
	if (!b || loop_init(&b->loop, nothing, NULL, &err) < 0)
		return -1;
	b->out = b->in = -1;
	buf_init(&b->read, 64 << 20);
	uv_timer_init(&b->loop.uv, &b->deadline);
	b->deadline.data = b;
	uv_timer_start(&b->deadline, on_deadline, PATIENCE_MS, 0);
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;
	sink_close(b->sink, 0);
	uv_close((uv_handle_t *)&b->deadline, NULL);
	loop_fini(&b->loop);
	if (b->out >= 0)
		close(b->out);
	if (b->in >= 0)
		close(b->in);
	buf_fini(&b->read);
	free(b);
	return 0;
}

static void open_sink(struct bench *b)
{
	struct err err = {0};
	b->flags = fcntl(b->out, F_GETFL);
	if (sink_open(&b->sink, &b->loop, b->out, CAP, &err) < 0)
		fail_msg("%s", err.text);
}

static void use_pipe(struct bench *b)
{
	int ends[2];
	assert_return_code(pipe2(ends, O_CLOEXEC), errno);
	b->in = ends[0];
	b->out = ends[1];
	fcntl(b->in, F_SETFL, O_NONBLOCK);
	open_sink(b);
}

static void use_socket(struct bench *b)
{
	int ends[2];
	assert_return_code(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), errno);
	b->in = ends[0];
	b->out = ends[1];
	fcntl(b->in, F_SETFL, O_NONBLOCK);
	open_sink(b);
}

static void make_terminal(int *master, int *slave)
{
	struct termios raw;
	assert_return_code(openpty(master, slave, NULL, NULL, NULL), errno);
	assert_return_code(tcgetattr(*slave, &raw), errno);
	cfmakeraw(&raw);
	assert_return_code(tcsetattr(*slave, TCSANOW, &raw), errno);
}

/* ---- lines ---- */

enum { LINE = 100 };

/* Lines of 100 bytes that tell their number. */
static void put(struct bench *b, int lines)
{
	struct buf *out = sink_buffer(b->sink);
	for (int i = 0; i < lines; i++)
		assert_int_equal(buf_printf(out, "%020llu %078d\n", (unsigned long long)b->next++, 0), 0);
}

static void flush(struct bench *b)
{
	b->dropped += sink_flush(b->sink);
}

static void read_all(struct bench *b)
{
	char bytes[8192];
	ssize_t n;
	while ((n = read(b->in, bytes, sizeof(bytes))) > 0)
		assert_int_equal(buf_put(&b->read, bytes, (size_t)n), 0);
}

/* Reads and lets the sink write until nothing is left in it. */
static void read_the_rest(struct bench *b)
{
	while (sink_buffer(b->sink)->len && !b->expired) {
		read_all(b);
		uv_run(&b->loop.uv, UV_RUN_NOWAIT);
	}
	assert_false(b->expired);
	read_all(b);
}

/* Whole lines with rising numbers; returns how many. */
static uint64_t check_lines(const struct bench *b)
{
	uint64_t lines = 0, last = 0;
	assert_int_equal(b->read.len % LINE, 0);
	for (size_t at = 0; at < b->read.len; at += LINE) {
		const char *line = b->read.data + at;
		uint64_t number = strtoull(line, NULL, 10);
		assert_int_equal(line[20], ' ');
		assert_int_equal(line[LINE - 1], '\n');
		assert_true(lines == 0 || number > last);
		last = number;
		lines++;
	}
	return lines;
}

static void assert_flags_unchanged(const struct bench *b)
{
	assert_int_equal(fcntl(b->out, F_GETFL), b->flags);
}

/* ---- what comes out ---- */

static void what_fits_goes_out_at_once(void **state)
{
	struct bench *b = *state;
	use_pipe(b);
	put(b, 10);
	flush(b);
	read_all(b);
	assert_int_equal(check_lines(b), 10);
	assert_int_equal(b->dropped, 0);
	assert_int_equal(sink_buffer(b->sink)->len, 0);
}

static void what_does_not_fit_goes_out_when_it_does(void **state)
{
	struct bench *b = *state;
	use_pipe(b);
	put(b, 900);
	flush(b);
	put(b, 300); /* 120,000 bytes in all: the pipe holds 64 KiB, the buffer the rest */
	flush(b);
	assert_true(sink_buffer(b->sink)->len > 0);
	assert_flags_unchanged(b);
	read_the_rest(b);
	assert_int_equal(check_lines(b), 1200);
	assert_int_equal(b->dropped, 0);
}

static void note_taken(void *ctx)
{
	struct bench *b = ctx;
	assert_true(sink_taken(b->sink) > b->told);
	b->told = sink_taken(b->sink);
	b->tellings++;
}

static void what_stdout_takes_in_its_own_time_is_told(void **state)
{
	struct bench *b = *state;
	use_pipe(b);
	sink_on_taken(b->sink, note_taken, b);
	put(b, 1200);
	flush(b);
	b->told = sink_taken(b->sink);
	assert_true(b->told > 0);
	assert_int_equal(sink_cap(b->sink), CAP);
	assert_in_range(sink_backlog(b->sink), CAP / 2, CAP);
	uv_run(&b->loop.uv, UV_RUN_NOWAIT);
	assert_int_equal(b->tellings, 0);
	read_the_rest(b);
	assert_true(b->tellings > 0);
	assert_int_equal(sink_backlog(b->sink), 0);
	assert_int_equal(sink_taken(b->sink), 1200 * LINE);
}

static void another_cap_is_taken(void **state)
{
	struct bench *b = *state;
	use_pipe(b);
	put(b, 700);
	flush(b);
	assert_int_equal(b->dropped, 0);
	sink_resize(b->sink, 4 * CAP);
	put(b, 2000);
	flush(b);
	assert_int_equal(b->dropped, 0);
	assert_in_range(sink_backlog(b->sink), 2 * CAP, 4 * CAP);
	/* What is too much for a smaller one goes, the oldest first. */
	sink_resize(b->sink, CAP);
	assert_true(sink_backlog(b->sink) <= CAP);
	flush(b);
	assert_true(b->dropped > 0);
	put(b, 10);
	read_the_rest(b);
	flush(b);
	assert_int_equal(check_lines(b) + b->dropped, b->next);
	assert_int_equal(strtoull(b->read.data + b->read.len - LINE, NULL, 10), b->next - 1);
}

static void a_line_larger_than_a_new_cap_comes_out_whole(void **state)
{
	struct bench *b = *state;
	use_pipe(b);
	sink_resize(b->sink, 32 << 20);
	size_t size = 20 << 20;
	assert_non_null(buf_reserve(sink_buffer(b->sink), size));
	for (size_t i = 0; i < size - 1; i++)
		buf_putc(sink_buffer(b->sink), 'x');
	buf_putc(sink_buffer(b->sink), '\n');
	flush(b);
	sink_resize(b->sink, CAP);
	for (int i = 0; i < 50; i++) {
		put(b, 90);
		flush(b);
	}
	read_the_rest(b);
	assert_true(b->read.len > size);
	assert_null(memchr(b->read.data, '\n', size - 1));
	assert_int_equal(b->read.data[size - 1], '\n');
}

/* Whatever is read, and whenever: each line comes out once and whole, or is counted. */
static void flood(struct bench *b)
{
	for (int round = 0; round < 400; round++) {
		put(b, 1 + round * 7 % 90);
		flush(b);
		assert_true(sink_buffer(b->sink)->cap <= CAP + SINK_SLACK_BYTES + 1);
		assert_true(sink_buffer(b->sink)->len <= CAP + CAP);
		char some[4096];
		ssize_t n = round % 3 ? 0 : read(b->in, some, (size_t)(1 + round * 37 % 3000));
		if (n > 0)
			assert_int_equal(buf_put(&b->read, some, (size_t)n), 0);
		uv_run(&b->loop.uv, UV_RUN_NOWAIT);
	}
	assert_flags_unchanged(b);
	assert_true(b->dropped > 0);
	read_the_rest(b);
	flush(b);
	assert_int_equal(check_lines(b) + b->dropped, b->next);
	/* The newest stay, the oldest go. */
	assert_int_equal(strtoull(b->read.data + b->read.len - LINE, NULL, 10), b->next - 1);
	assert_int_equal(strtoull(b->read.data, NULL, 10), 0);
}

static void a_slow_pipe_loses_whole_lines_and_counts_them(void **state)
{
	struct bench *b = *state;
	use_pipe(b);
	flood(b);
}

static void a_slow_socket_loses_whole_lines_and_counts_them(void **state)
{
	struct bench *b = *state;
	use_socket(b);
	flood(b);
}

static void a_slow_terminal_loses_whole_lines_and_counts_them(void **state)
{
	struct bench *b = *state;
	make_terminal(&b->in, &b->out);
	fcntl(b->in, F_SETFL, O_NONBLOCK);
	open_sink(b);
	flood(b);
}

/* Opened anew it would be another terminal; its flags are others' too. */
static void a_terminals_master_is_written_with_care(void **state)
{
	struct bench *b = *state;
	make_terminal(&b->out, &b->in);
	fcntl(b->in, F_SETFL, O_NONBLOCK);
	open_sink(b);
	flood(b);
}

/* A pipe that another user made and podvisor may not open anew. */
static void a_pipe_of_a_foreign_owner_is_not_waited_for(void **state)
{
	struct bench *b = *state;
	int ends[2];
	struct err err = {0};
	if (geteuid() != 0) {
		print_message("not root: nobody else to be\n");
		skip();
	}
	assert_return_code(pipe2(ends, O_CLOEXEC), errno);
	b->in = ends[0];
	b->out = ends[1];
	fcntl(b->in, F_SETFL, O_NONBLOCK);
	b->flags = fcntl(b->out, F_GETFL);
	assert_return_code(seteuid(65534), errno);
	int rc = sink_open(&b->sink, &b->loop, b->out, CAP, &err);
	assert_return_code(seteuid(0), errno);
	assert_int_equal(rc, 0);
	flood(b);
}

static void a_fifo_is_written_too(void **state)
{
	struct bench *b = *state;
	char dir[] = "/tmp/podvisor-sink.XXXXXX", path[64];
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/fifo", dir);
	assert_return_code(mkfifo(path, 0600), errno);
	b->in = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	b->out = open(path, O_WRONLY | O_CLOEXEC);
	unlink(path);
	rmdir(dir);
	assert_true(b->in >= 0 && b->out >= 0);
	open_sink(b);
	flood(b);
}

static int open_file(int flags)
{
	char path[] = "/tmp/podvisor-sink.XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC | flags);
	assert_return_code(fd, errno);
	unlink(path);
	return fd;
}

static void a_regular_file_is_written_where_its_owner_left_off(void **state)
{
	struct bench *b = *state;
	b->out = open_file(0);
	b->in = fcntl(b->out, F_DUPFD_CLOEXEC, 3);
	assert_int_equal(write(b->out, "before\n", 7), 7);
	open_sink(b);
	put(b, 5000);
	flush(b);
	assert_int_equal(sink_buffer(b->sink)->len, 0);
	assert_int_equal(write(b->out, "behind\n", 7), 7);
	assert_flags_unchanged(b);
	char head[7], tail[7];
	assert_int_equal(pread(b->in, head, 7, 0), 7);
	assert_memory_equal(head, "before\n", 7);
	assert_int_equal(pread(b->in, tail, 7, 7 + 5000 * LINE), 7);
	assert_memory_equal(tail, "behind\n", 7);
	lseek(b->in, 7, SEEK_SET);
	b->read.max = 5000 * LINE;
	char bytes[LINE];
	for (int i = 0; i < 5000; i++) {
		assert_int_equal(read(b->in, bytes, LINE), LINE);
		buf_put(&b->read, bytes, LINE);
	}
	assert_int_equal(check_lines(b), 5000);
}

static void dev_null_takes_everything(void **state)
{
	struct bench *b = *state;
	b->out = open("/dev/null", O_WRONLY | O_CLOEXEC);
	open_sink(b);
	put(b, 5000);
	flush(b);
	assert_int_equal(b->dropped, 0);
	assert_int_equal(sink_buffer(b->sink)->len, 0);
	assert_flags_unchanged(b);
}

/* ---- who takes no more ---- */

static void a_reader_that_is_gone_is_no_end_and_every_line_is_counted(void **state)
{
	struct bench *b = *state;
	use_pipe(b);
	put(b, 900);
	flush(b);
	assert_true(sink_buffer(b->sink)->len > 0);
	read_all(b);
	close(b->in);
	b->in = -1;
	/* The loop tells of it; it must not spin on it either. */
	uv_run(&b->loop.uv, UV_RUN_NOWAIT);
	for (int i = 0; i < 3; i++)
		assert_int_equal(uv_run(&b->loop.uv, UV_RUN_NOWAIT), 1);
	flush(b);
	put(b, 10);
	flush(b);
	put(b, 10);
	flush(b);
	/* 655 lines were read whole, of the 656th 36 bytes: that one is counted once. */
	assert_int_equal(b->read.len, 65536);
	assert_int_equal(b->dropped, 900 - 655 + 20);
	ms_t before = loop_now();
	sink_close(b->sink, loop_now() + PATIENCE_MS);
	b->sink = NULL;
	assert_true(loop_now() - before < PATIENCE_MS);
}

static void a_socket_whose_peer_is_gone_is_no_end(void **state)
{
	struct bench *b = *state;
	use_socket(b);
	close(b->in);
	b->in = -1;
	put(b, 10);
	flush(b);
	assert_int_equal(b->dropped, 10);
	put(b, 10);
	flush(b);
	assert_int_equal(b->dropped, 20);
	assert_flags_unchanged(b);
}

static void a_full_disk_loses_lines_but_glues_no_halves(void **state)
{
	struct bench *b = *state;
	b->out = open_file(O_APPEND);
	b->in = fcntl(b->out, F_DUPFD_CLOEXEC, 3);
	struct rlimit old, small;
	open_sink(b);
	assert_return_code(getrlimit(RLIMIT_FSIZE, &old), errno);
	small = old;
	small.rlim_cur = 1030;
	/* Ten lines and 30 bytes of the next fit. */
	assert_return_code(setrlimit(RLIMIT_FSIZE, &small), errno);
	put(b, 20);
	flush(b);
	put(b, 2);
	flush(b);
	assert_return_code(setrlimit(RLIMIT_FSIZE, &old), errno);
	assert_int_equal(b->dropped, 12);
	put(b, 1);
	flush(b);
	assert_int_equal(b->dropped, 12);
	char bytes[2048];
	assert_int_equal(pread(b->in, bytes, sizeof(bytes), 0), 1030 + 1 + LINE);
	assert_int_equal(bytes[1030], '\n');
	assert_int_equal(strtoull(bytes + 1031, NULL, 10), 22);
}

/* ---- sizes ---- */

static void a_line_larger_than_the_buffer_comes_out_whole(void **state)
{
	struct bench *b = *state;
	use_pipe(b);
	size_t size = 5 << 20;
	char *large = malloc(size);
	assert_non_null(large);
	memset(large, 'x', size);
	large[size - 1] = '\n';
	assert_int_equal(buf_put(sink_buffer(b->sink), large, size), 0);
	flush(b);
	for (int i = 0; i < 100; i++) {
		put(b, 90);
		flush(b);
		assert_true(sink_buffer(b->sink)->cap <= CAP + SINK_SLACK_BYTES + 1);
	}
	read_the_rest(b);
	flush(b);
	assert_true(b->read.len > size);
	assert_memory_equal(b->read.data, large, size);
	buf_consume(&b->read, size);
	free(large);
	assert_int_equal(check_lines(b) + b->dropped, b->next);
	/* And its memory is given back. */
	assert_true(sink_buffer(b->sink)->cap <= 1 << 20);
}

static void the_newest_line_is_kept_if_it_fits_at_all(void **state)
{
	struct bench *b = *state;
	use_pipe(b);
	put(b, 700); /* more than the pipe takes */
	flush(b);
	struct buf *out = sink_buffer(b->sink);
	put(b, 600);
	for (int i = 0; i < CAP - 1000; i++)
		buf_putc(out, 'y');
	buf_putc(out, '\n');
	flush(b);
	read_the_rest(b);
	flush(b);
	assert_true(b->dropped >= 600);
	assert_true(b->read.len > CAP);
	assert_int_equal(b->read.data[b->read.len - 2], 'y');
}

/* ---- closing ---- */

static void read_slowly(void *arg)
{
	struct bench *b = arg;
	struct pollfd p = {.fd = b->in, .events = POLLIN};
	while (poll(&p, 1, PATIENCE_MS) == 1) {
		size_t before = b->read.len;
		read_all(b);
		if (b->read.len == before)
			break;
	}
}

static void closing_waits_for_a_reader_that_is_slow(void **state)
{
	struct bench *b = *state;
	uv_thread_t reader;
	use_pipe(b);
	put(b, 1200);
	flush(b);
	close(b->out);
	b->out = -1;
	assert_int_equal(uv_thread_create(&reader, read_slowly, b), 0);
	sink_close(b->sink, loop_now() + PATIENCE_MS);
	b->sink = NULL;
	uv_run(&b->loop.uv, UV_RUN_NOWAIT);
	uv_thread_join(&reader);
	assert_int_equal(check_lines(b), 1200);
}

static void closing_does_not_wait_for_ever(void **state)
{
	struct bench *b = *state;
	use_pipe(b);
	put(b, 1200);
	flush(b);
	sink_close(b->sink, loop_now() + 20);
	b->sink = NULL;
	assert_flags_unchanged(b);
}

static int count_fds(void)
{
	int found = 0;
	for (int fd = 0; fd < 1024; fd++)
		found += fcntl(fd, F_GETFD) >= 0;
	return found;
}

static void no_descriptor_stays_open(void **state)
{
	struct bench *b = *state;
	int before = count_fds();
	use_socket(b);
	put(b, 5000);
	flush(b);
	sink_close(b->sink, 0);
	b->sink = NULL;
	uv_run(&b->loop.uv, UV_RUN_NOWAIT);
	assert_int_equal(count_fds(), before + 2);
}

static void a_closed_stdout_is_said(void **state)
{
	struct bench *b = *state;
	struct err err;
	assert_int_equal(sink_open(&b->sink, &b->loop, 1000, CAP, &err), -EBADF);
	assert_non_null(strstr(err.text, "Bad file descriptor"));
	assert_null(b->sink);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_fits_goes_out_at_once),
		TEST(what_does_not_fit_goes_out_when_it_does),
		TEST(what_stdout_takes_in_its_own_time_is_told),
		TEST(another_cap_is_taken),
		TEST(a_line_larger_than_a_new_cap_comes_out_whole),
		TEST(a_slow_pipe_loses_whole_lines_and_counts_them),
		TEST(a_slow_socket_loses_whole_lines_and_counts_them),
		TEST(a_slow_terminal_loses_whole_lines_and_counts_them),
		TEST(a_terminals_master_is_written_with_care),
		TEST(a_pipe_of_a_foreign_owner_is_not_waited_for),
		TEST(a_fifo_is_written_too),
		TEST(a_regular_file_is_written_where_its_owner_left_off),
		TEST(dev_null_takes_everything),
		TEST(a_reader_that_is_gone_is_no_end_and_every_line_is_counted),
		TEST(a_socket_whose_peer_is_gone_is_no_end),
		TEST(a_full_disk_loses_lines_but_glues_no_halves),
		TEST(a_line_larger_than_the_buffer_comes_out_whole),
		TEST(the_newest_line_is_kept_if_it_fits_at_all),
		TEST(closing_waits_for_a_reader_that_is_slow),
		TEST(closing_does_not_wait_for_ever),
		TEST(no_descriptor_stays_open),
		TEST(a_closed_stdout_is_said),
	};
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	return cmocka_run_group_tests_name("sink", tests, NULL, NULL);
}
