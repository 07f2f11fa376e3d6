#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "podvisor/io/listener.h"
#include "podvisor/io/stream.h"

/* One loop, one hub, one listener whose streams echo, and a client end or two. */
struct fixture {
	struct loop loop;
	struct streams *hub;
	struct listener *listener;
	struct stream *served; /* the newest accepted one */
	int accepted, ended, end_status, connected, connect_status, drained, rounds;
	int reads;
	size_t bytes, largest_queue, largest_read;
	bool echo, finish_at_end;
	char last[64];
};

static void nothing(void *ctx)
{
	(void)ctx;
}

static void on_bytes(struct stream *s, char *bytes, size_t n)
{
	struct fixture *f = stream_context(s);
	f->bytes += n;
	f->reads++;
	f->largest_read = n > f->largest_read ? n : f->largest_read;
	snprintf(f->last, sizeof(f->last), "%.*s", (int)(n < 63 ? n : 63), bytes);
	if (!f->echo)
		return;
	ssize_t queued = stream_write(s, &(struct span){bytes, n}, 1);
	if (queued > 0)
		stream_read_stop(s);
	if (queued > 0 && (size_t)queued > f->largest_queue)
		f->largest_queue = (size_t)queued;
}

static void on_end(struct stream *s, int status)
{
	struct fixture *f = stream_context(s);
	f->ended++;
	f->end_status = status;
	f->served = NULL;
	if (f->finish_at_end)
		stream_finish(s, 2000);
	else
		stream_close(s);
}

static void on_drained(struct stream *s)
{
	struct fixture *f = stream_context(s);
	f->drained++;
	stream_read_start(s);
}

static void on_connected(struct stream *s, int status)
{
	struct fixture *f = stream_context(s);
	f->connected++;
	f->connect_status = status;
	if (status < 0)
		stream_close(s);
	else
		f->served = s;
}

static const struct stream_ops ops = {
	.connected = on_connected, .bytes = on_bytes, .end = on_end, .drained = on_drained};

static void on_accepted(void *ctx, int fd, const struct sockaddr_storage *peer, socklen_t peer_len)
{
	struct fixture *f = ctx;
	(void)peer;
	(void)peer_len;
	f->accepted++;
	f->served = stream_adopt(f->hub, fd, &ops, f);
	assert_non_null(f->served);
	stream_read_start(f->served);
}

static void listen_at(struct fixture *f, const char *at)
{
	struct err err = {0};
	if (listener_new(&f->listener, &f->loop, at, 128, on_accepted, f, &err) < 0)
		fail_msg("%s", err.text);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct err err = {0};
	assert_int_equal(loop_init(&f->loop, nothing, NULL, &err), 0);
	f->hub = streams_new(&f->loop, &err);
	assert_non_null(f->hub);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	listener_free(f->listener);
	if (f->served)
		stream_close(f->served);
	streams_free(f->hub);
	loop_fini(&f->loop);
	free(f);
	return 0;
}

/* Turns the loop until the number is reached, at most five seconds. */
static void await(struct fixture *f, const int *value, int at_least)
{
	for (ms_t until = loop_now() + 5000; *value < at_least && loop_now() < until;) {
		uv_run(&f->loop.uv, UV_RUN_NOWAIT);
		usleep(500);
	}
	assert_true(*value >= at_least);
}

static int connect_to(struct fixture *f)
{
	struct address a;
	assert_int_equal(address_parse(&a, listener_address(f->listener), false, NULL), 0);
	int fd = socket(a.at.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&a.at, a.len), 0);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

static void a_slow_reader_gets_every_byte_in_order_and_the_queue_stays_small(void **state)
{
	struct fixture *f = *state;
	f->echo = true;
	listen_at(f, "127.0.0.1:0");
	int fd = connect_to(f);
	enum { TOTAL = 8 * 1024 * 1024 };
	size_t sent = 0, got = 0;
	static unsigned char out[100000], in[50000];
	for (ms_t until = loop_now() + 20000; got < TOTAL && loop_now() < until;) {
		size_t want = sizeof(out) < TOTAL - sent ? sizeof(out) : TOTAL - sent;
		for (size_t i = 0; i < want; i++)
			out[i] = (unsigned char)((sent + i) * 31 >> 3);
		ssize_t n = want ? write(fd, out, want) : 0;
		sent += n > 0 ? (size_t)n : 0;
		uv_run(&f->loop.uv, UV_RUN_NOWAIT);
		/* reads only once the sender is stuck or done, so that queues build up */
		if (n > 0 && sent < TOTAL)
			continue;
		n = read(fd, in, sizeof(in));
		for (ssize_t i = 0; i < n; i++)
			assert_int_equal(in[i], (unsigned char)((got + (size_t)i) * 31 >> 3));
		got += n > 0 ? (size_t)n : 0;
	}
	assert_int_equal(got, TOTAL);
	assert_true(f->drained > 0);
	assert_true(f->largest_queue <= STREAM_READ_BYTES);
	close(fd);
	await(f, &f->ended, 1);
	assert_int_equal(f->end_status, 0);
}

static void finishing_delivers_what_was_written_although_bytes_are_unread(void **state)
{
	struct fixture *f = *state;
	listen_at(f, "127.0.0.1:0");
	int fd = connect_to(f);
	await(f, &f->accepted, 1);
	stream_read_stop(f->served);
	assert_int_equal(write(fd, "unread", 6), 6);
	assert_int_equal(stream_write(f->served, &SPAN("farewell"), 1), 0);
	stream_finish(f->served, 3000);
	f->served = NULL;
	assert_int_equal(streams_lingering(f->hub), 1);
	char bytes[16] = "";
	size_t got = 0;
	for (ms_t until = loop_now() + 5000; loop_now() < until;) {
		uv_run(&f->loop.uv, UV_RUN_NOWAIT);
		ssize_t n = read(fd, bytes + got, sizeof(bytes) - got);
		if (n == 0)
			break;
		if (n < 0)
			assert_int_equal(errno, EAGAIN);
		got += n > 0 ? (size_t)n : 0;
	}
	assert_int_equal(got, 8);
	assert_memory_equal(bytes, "farewell", 8);
	close(fd);
	for (ms_t until = loop_now() + 1000; streams_lingering(f->hub) && loop_now() < until;)
		uv_run(&f->loop.uv, UV_RUN_NOWAIT);
	assert_int_equal(streams_lingering(f->hub), 0);
}

static void a_peer_that_never_ends_is_closed_when_the_linger_time_is_over(void **state)
{
	struct fixture *f = *state;
	listen_at(f, "127.0.0.1:0");
	int fd = connect_to(f);
	await(f, &f->accepted, 1);
	stream_finish(f->served, 50);
	f->served = NULL;
	for (ms_t until = loop_now() + 5000; streams_lingering(f->hub) && loop_now() < until;) {
		uv_run(&f->loop.uv, UV_RUN_NOWAIT);
		usleep(1000);
	}
	assert_int_equal(streams_lingering(f->hub), 0);
	close(fd);
}

static void bytes_that_came_while_reading_was_off_are_not_forgotten(void **state)
{
	struct fixture *f = *state;
	listen_at(f, "127.0.0.1:0");
	int fd = connect_to(f);
	await(f, &f->accepted, 1);
	stream_read_stop(f->served);
	assert_int_equal(write(fd, "early", 5), 5);
	close(fd);
	for (int i = 0; i < 20; i++)
		uv_run(&f->loop.uv, UV_RUN_NOWAIT);
	assert_int_equal(f->bytes, 0);
	assert_int_equal(stream_unread(f->served), 5);
	stream_read_start(f->served);
	await(f, &f->ended, 1);
	assert_int_equal(f->bytes, 5);
	assert_string_equal(f->last, "early");
	assert_int_equal(f->end_status, 0);
}

static void a_read_brings_no_more_than_was_asked_until_another_owner_comes(void **state)
{
	struct fixture *f = *state;
	char bytes[20000] = {0};
	listen_at(f, "127.0.0.1:0");
	int fd = connect_to(f);
	await(f, &f->accepted, 1);
	stream_read_stop(f->served);
	stream_read_most(f->served, 4096);
	assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
	stream_read_start(f->served);
	await(f, &f->reads, 5);
	assert_int_equal(f->bytes, sizeof(bytes));
	assert_int_equal(f->largest_read, 4096);
	stream_read_stop(f->served);
	stream_give(f->served, &ops, f);
	assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
	stream_read_start(f->served);
	await(f, &f->reads, 6);
	assert_int_equal(f->largest_read, sizeof(bytes));
	close(fd);
}

static struct streams *hub_with_limit(struct fixture *f, rlim_t most)
{
	struct rlimit before, limit;
	getrlimit(RLIMIT_NOFILE, &before);
	limit = (struct rlimit){.rlim_cur = most, .rlim_max = before.rlim_max};
	setrlimit(RLIMIT_NOFILE, &limit);
	struct streams *hub = streams_new(&f->loop, NULL);
	setrlimit(RLIMIT_NOFILE, &before);
	assert_non_null(hub);
	return hub;
}

/* The number of its descriptor. */
static int adopt_one(struct fixture *f, struct streams *hub, struct stream **stream)
{
	int pair[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	*stream = stream_adopt(hub, pair[0], &ops, f);
	assert_non_null(*stream);
	close(pair[1]);
	return pair[0];
}

static int adopt_until_scarce(struct fixture *f, struct streams *hub, struct stream **streams, int most, int *last)
{
	int n = 0;
	for (*last = 0; n < most && !streams_scarce(hub); n++)
		*last = adopt_one(f, hub, &streams[n]);
	return n;
}

static void many_streams_are_scarce_before_the_descriptors_are(void **state)
{
	enum { LIMIT = 64, CEILING = 56, OTHERS = 8 };
	struct fixture *f = *state;
	struct stream *streams[LIMIT];
	int others[OTHERS], last;
	struct streams *hub = hub_with_limit(f, LIMIT);
	int n = adopt_until_scarce(f, hub, streams, LIMIT, &last);
	assert_true(n > OTHERS && n <= CEILING);
	assert_true(last == CEILING || last == CEILING + 1);
	stream_close(streams[--n]);
	assert_false(streams_scarce(hub));
	/* What others hold counts as well, and what they give back. */
	for (int i = 0; i < n; i++)
		stream_close(streams[i]);
	for (int i = 0; i < OTHERS; i++)
		assert_return_code(others[i] = fcntl(0, F_DUPFD_CLOEXEC, 0), errno);
	int fewer = adopt_until_scarce(f, hub, streams, LIMIT, &last);
	assert_true(fewer <= n + 1 - OTHERS + 1);
	for (int i = 0; i < OTHERS; i++)
		close(others[i]);
	stream_close(streams[--fewer]);
	adopt_one(f, hub, &streams[fewer++]);
	assert_false(streams_scarce(hub));
	for (int i = 0; i < fewer; i++)
		stream_close(streams[i]);
	streams_free(hub);
}

static void of_many_descriptors_few_are_spared(void **state)
{
	enum { LIMIT = 8192, SPARED = 512 };
	struct fixture *f = *state;
	struct stream *low, *high;
	struct streams *hub = hub_with_limit(f, LIMIT);
	adopt_one(f, hub, &low);
	assert_false(streams_scarce(hub));
	int fd = fcntl(0, F_DUPFD_CLOEXEC, LIMIT - SPARED - 1);
	int pair[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	assert_int_equal(dup3(pair[0], fd, O_CLOEXEC), LIMIT - SPARED - 1);
	high = stream_adopt(hub, fd, &ops, f);
	assert_false(streams_scarce(hub));
	stream_close(high);
	fd = fcntl(pair[0], F_DUPFD_CLOEXEC, LIMIT - SPARED);
	high = stream_adopt(hub, fd, &ops, f);
	assert_true(streams_scarce(hub));
	stream_close(high);
	stream_close(low);
	close(pair[0]), close(pair[1]);
	streams_free(hub);
}

static void a_reset_is_told_even_while_reading_is_off(void **state)
{
	struct fixture *f = *state;
	listen_at(f, "127.0.0.1:0");
	int fd = connect_to(f);
	await(f, &f->accepted, 1);
	stream_read_stop(f->served);
	struct linger now = {.l_onoff = 1};
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
	await(f, &f->ended, 1);
	assert_int_equal(f->end_status, -ECONNRESET);
}

static void connect_and_expect(struct fixture *f, const char *to, int status)
{
	struct address a;
	assert_int_equal(address_parse(&a, to, false, NULL), 0);
	int before = f->connected;
	struct stream *s = stream_connect(f->hub, &a, 5000, &ops, f);
	assert_non_null(s);
	assert_int_equal(f->connected, before);
	await(f, &f->connected, before + 1);
	assert_int_equal(f->connect_status, status);
	if (status == 0)
		stream_close(s);
}

static void connecting_works_by_number_by_name_and_by_path(void **state)
{
	struct fixture *f = *state;
	char dir[] = "/tmp/podvisor-stream-XXXXXX", at[64], named[64];
	assert_non_null(mkdtemp(dir));
	listen_at(f, "127.0.0.1:0");
	connect_and_expect(f, listener_address(f->listener), 0);
	await(f, &f->ended, 1);
	snprintf(named, sizeof(named), "localhost%s", strrchr(listener_address(f->listener), ':'));
	connect_and_expect(f, named, 0);
	await(f, &f->ended, 2);
	listener_free(f->listener);
	snprintf(at, sizeof(at), "unix:%s/s", dir);
	listen_at(f, at);
	assert_string_equal(listener_address(f->listener), at);
	connect_and_expect(f, at, 0);
	await(f, &f->ended, 3);
	listener_free(f->listener);
	f->listener = NULL;
	assert_int_equal(access(at + 5, F_OK), -1);
	connect_and_expect(f, at, -ENOENT);
	rmdir(dir);
	f->served = NULL;
}

static void a_refused_connect_is_told_from_the_loop(void **state)
{
	struct fixture *f = *state;
	char at[64];
	listen_at(f, "127.0.0.1:0");
	snprintf(at, sizeof(at), "%s", listener_address(f->listener));
	listener_free(f->listener);
	f->listener = NULL;
	connect_and_expect(f, at, -ECONNREFUSED);
}

static void a_socket_that_was_left_behind_is_replaced_but_not_one_in_use(void **state)
{
	struct fixture *f = *state;
	char dir[] = "/tmp/podvisor-stream-XXXXXX", at[64];
	assert_non_null(mkdtemp(dir));
	snprintf(at, sizeof(at), "unix:%s/s", dir);
	struct address a;
	assert_int_equal(address_parse(&a, at, true, NULL), 0);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a.at, a.len), 0);
	close(fd);
	listen_at(f, at);
	struct err err = {0};
	struct listener *second = NULL;
	assert_int_equal(listener_new(&second, &f->loop, at, 8, on_accepted, f, &err), -EADDRINUSE);
	assert_null(second);
	assert_non_null(strstr(err.text, at));
	listener_free(f->listener);
	f->listener = NULL;
	rmdir(dir);
}

/* A mistaken path in a configuration must cost nobody a file: connect(2) refuses for those as well. */
static void what_is_no_socket_is_left_alone(void **state)
{
	struct fixture *f = *state;
	char path[] = "/tmp/podvisor-stream-XXXXXX", at[64];
	int fd = mkstemp(path);
	assert_int_equal(write(fd, "precious", 8), 8);
	snprintf(at, sizeof(at), "unix:%s", path);
	struct err err = {0};
	assert_int_equal(listener_new(&f->listener, &f->loop, at, 8, on_accepted, f, &err), -ENOTSOCK);
	assert_null(f->listener);
	assert_non_null(strstr(err.text, "is no socket"));
	assert_int_equal(lseek(fd, 0, SEEK_END), 8);
	assert_int_equal(access(path, F_OK), 0);
	close(fd);
	unlink(path);
}

static void a_socket_that_took_its_place_outlives_a_listener(void **state)
{
	struct fixture *f = *state;
	char dir[] = "/tmp/podvisor-stream-XXXXXX", at[64];
	assert_non_null(mkdtemp(dir));
	snprintf(at, sizeof(at), "unix:%s/s", dir);
	listen_at(f, at);
	unlink(at + 5);
	struct listener *first = f->listener;
	listen_at(f, at);
	listener_free(first);
	assert_int_equal(access(at + 5, F_OK), 0);
	listener_free(f->listener);
	f->listener = NULL;
	assert_int_equal(access(at + 5, F_OK), -1);
	rmdir(dir);
}

static void addresses_that_are_none_are_refused(void **state)
{
	(void)state;
	static const char *const bad[] = {"", "8080", "host", "host:", ":70000", "a:b:1", "[::1", "unix:"};
	struct address a;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct err err = {0};
		assert_int_equal(address_parse(&a, bad[i], false, &err), -EINVAL);
		assert_true(err.text[0]);
	}
}

static void the_backlog_is_taken_before_the_listener_closes(void **state)
{
	struct fixture *f = *state;
	int fds[20];
	listen_at(f, "127.0.0.1:0");
	listener_pause(f->listener);
	for (int i = 0; i < 20; i++)
		fds[i] = connect_to(f);
	for (int i = 0; i < 5; i++)
		uv_run(&f->loop.uv, UV_RUN_NOWAIT);
	assert_int_equal(f->accepted, 0);
	listener_take_backlog(f->listener);
	listener_free(f->listener);
	f->listener = NULL;
	assert_int_equal(f->accepted, 20);
	for (int i = 0; i < 20; i++)
		close(fds[i]);
	await(f, &f->ended, 20);
}

/* ---- deadlines ---- */

struct timed {
	struct deadline deadline;
	ms_t fired_at;
};
static struct deadlines *timed_by;
static int fired;

static void on_due(struct deadline *d)
{
	((struct timed *)d)->fired_at = deadlines_now(timed_by);
	fired++;
}

static void deadlines_fire_once_each_and_not_before_their_time(void **state)
{
	struct fixture *f = *state;
	enum { N = 500 };
	static struct timed all[N];
	timed_by = streams_deadlines(f->hub);
	fired = 0;
	uv_update_time(&f->loop.uv);
	ms_t now = deadlines_now(timed_by);
	for (int i = 0; i < N; i++) {
		all[i] = (struct timed){.deadline.due = on_due};
		deadline_set(timed_by, &all[i].deadline, now + i * 7919 % 100);
	}
	for (int i = 0; i < N; i += 5)
		deadline_clear(timed_by, &all[i].deadline);
	for (int i = 1; i < N; i += 5)
		deadline_set(timed_by, &all[i].deadline, now + 120); /* later */
	for (int i = 2; i < N; i += 5)
		deadline_set(timed_by, &all[i].deadline, now + 1); /* earlier */
	await(f, &fired, N - N / 5);
	for (int i = 0; i < 5; i++)
		uv_run(&f->loop.uv, UV_RUN_NOWAIT);
	assert_int_equal(fired, N - N / 5);
	for (int i = 0; i < N; i++)
		assert_true(i % 5 == 0 ? all[i].fired_at == 0 : all[i].fired_at >= all[i].deadline.at);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_slow_reader_gets_every_byte_in_order_and_the_queue_stays_small),
		TEST(finishing_delivers_what_was_written_although_bytes_are_unread),
		TEST(a_peer_that_never_ends_is_closed_when_the_linger_time_is_over),
		TEST(bytes_that_came_while_reading_was_off_are_not_forgotten),
		TEST(a_read_brings_no_more_than_was_asked_until_another_owner_comes),
		TEST(many_streams_are_scarce_before_the_descriptors_are),
		TEST(of_many_descriptors_few_are_spared),
		TEST(a_reset_is_told_even_while_reading_is_off),
		TEST(connecting_works_by_number_by_name_and_by_path),
		TEST(a_refused_connect_is_told_from_the_loop),
		TEST(a_socket_that_was_left_behind_is_replaced_but_not_one_in_use),
		TEST(what_is_no_socket_is_left_alone),
		TEST(a_socket_that_took_its_place_outlives_a_listener),
		TEST(addresses_that_are_none_are_refused),
		TEST(the_backlog_is_taken_before_the_listener_closes),
		TEST(deadlines_fire_once_each_and_not_before_their_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
