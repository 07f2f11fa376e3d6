/* Real shims and real processes. Whether anything of a worker is left is asked of
 * the kernel: every process of it inherits the write end of the pipe that is its
 * stdout, so the pipe is at its end exactly when none of them lives. Run as root
 * it all runs a second time as PID 1 of a PID namespace. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include <cmocka.h>

#include "podvisor/io/process.h"
#include "podvisor/wire/procfs.h"

#define PATIENCE_MS 20000

extern char **environ;

struct run {
	struct process p;
	int calls_started, calls_failed, calls_exited, calls_gone;
	pid_t pid;
	struct process_exit end;
	int error, killed;
	enum shim_step step;
	int out; /* read end of its stdout; -1: none */
};

static uv_loop_t loop;
static struct reaper reaper;
static struct process_port port;
static char shim[4096], fixtures[4096];
static int gone_total;

/* --- waiting with a deadline --- */

static bool expired;

static void on_expired(uv_timer_t *timer)
{
	(void)timer;
	expired = true;
}

static void nothing_to_free(uv_handle_t *handle)
{
	free(handle);
}

/* Turns the loop until the condition holds; false after PATIENCE_MS. */
#define AWAIT(condition)                                            \
	do {                                                        \
		uv_timer_t *patience = begin_patience();            \
		while (!(condition) && !expired)                    \
			uv_run(&loop, UV_RUN_ONCE);                 \
		uv_close((uv_handle_t *)patience, nothing_to_free); \
		assert_true(condition);                             \
	} while (0)

static uv_timer_t *begin_patience(void)
{
	uv_timer_t *timer = malloc(sizeof(*timer));
	assert_non_null(timer);
	expired = false;
	uv_update_time(&loop);
	uv_timer_init(&loop, timer);
	uv_timer_start(timer, on_expired, PATIENCE_MS, 0);
	return timer;
}

/* --- the port's calls, whose order is checked as they come --- */

static void on_started(void *ctx, struct process *p, pid_t pid)
{
	struct run *r = (struct run *)p;
	assert_ptr_equal(ctx, &port);
	assert_int_equal(r->calls_started++ + r->calls_failed + r->calls_exited + r->calls_gone, 0);
	assert_int_equal(process_pid(p), pid);
	r->pid = pid;
}

static void on_exec_failed(void *ctx, struct process *p, int error, enum shim_step step)
{
	struct run *r = (struct run *)p;
	(void)ctx;
	assert_int_equal(r->calls_started + r->calls_failed++ + r->calls_exited + r->calls_gone, 0);
	r->error = error;
	r->step = step;
}

static void on_exited(void *ctx, struct process *p, const struct process_exit *end)
{
	struct run *r = (struct run *)p;
	(void)ctx;
	assert_int_equal(r->calls_started, 1);
	assert_int_equal(r->calls_exited++ + r->calls_gone, 0);
	r->end = *end;
}

static void on_gone(void *ctx, struct process *p, int killed)
{
	struct run *r = (struct run *)p;
	(void)ctx;
	assert_int_equal(r->calls_exited, 1);
	assert_int_equal(r->calls_gone++, 0);
	assert_int_equal(process_shim_pid(p), 0);
	r->killed = killed;
	gone_total++;
}

/* --- starting --- */

static const char *fixture(const char *name)
{
	static char path[4200];
	snprintf(path, sizeof(path), "%s/%s", fixtures, name);
	return path;
}

/* The worker's stdout is a pipe whose read end stays with r. */
static void start_spec(struct run *r, struct process_spec *spec)
{
	int out[2];
	struct err err = {0};
	memset(r, 0, sizeof(*r));
	assert_return_code(pipe2(out, O_CLOEXEC | O_NONBLOCK), errno);
	fcntl(out[1], F_SETFL, 0);
	r->out = out[0];
	spec->stdio[1] = out[1];
	if (spec->stdio[2] < 0)
		spec->stdio[2] = STDERR_FILENO;
	if (!spec->env)
		spec->env = environ;
	if (!spec->name)
		spec->name = "test";
	int rc = process_spawn(&port, &r->p, spec, &err);
	close(out[1]);
	if (rc < 0)
		fail_msg("%s", err.text);
}

/* One string of words for the fixture, separated by blanks. */
static char **split(char *words)
{
	static char *argv[16];
	size_t n = 0;
	for (char *at = strtok(words, " "); at && n < 15; at = strtok(NULL, " "))
		argv[n++] = at;
	argv[n] = NULL;
	return argv;
}

static void start_tree_on(struct run *r, const char *words, int in)
{
	char line[4400];
	snprintf(line, sizeof(line), "%s %s", fixture("tree"), words);
	struct process_spec spec = PROCESS_SPEC;
	spec.argv = split(line);
	spec.stdio[0] = in;
	start_spec(r, &spec);
}

static void start_tree(struct run *r, const char *words)
{
	start_tree_on(r, words, -1);
}

static void start_command(struct run *r, struct process_spec *spec, const char *a, const char *b, const char *c)
{
	char *argv[] = {(char *)a, (char *)b, (char *)c, NULL};
	spec->argv = argv;
	start_spec(r, spec);
}

/* --- looking --- */

static int poll_readable(int fd, int timeout_ms)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	int rc;
	do
		rc = poll(&poll_fd, 1, timeout_ms);
	while (rc < 0 && errno == EINTR);
	return rc;
}

/* What the tree prints first, when every process of it is what it shall be. */
static void await_ready(struct run *r)
{
	char text[8];
	assert_int_equal(poll_readable(r->out, PATIENCE_MS), 1);
	assert_int_equal(read(r->out, text, sizeof(text)), 6);
	assert_memory_equal(text, "ready\n", 6);
}

/* Right now, not soon: on_gone has promised it. */
static void assert_nothing_left(struct run *r)
{
	char text[256];
	ssize_t n;
	while ((n = read(r->out, text, sizeof(text))) > 0)
		;
	if (n < 0)
		fail_msg("a process of the worker is left: %s", strerror(errno));
	close(r->out);
	r->out = -1;
}

static void await_gone(struct run *r)
{
	AWAIT(r->calls_gone);
	assert_nothing_left(r);
}

/* Children of pid, zombies included. */
static int count_children(pid_t pid)
{
	char path[64], chunk[4096];
	struct procfs_pids list = {0};
	int found = 0;
	ssize_t n;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_return_code(fd, errno);
	while ((n = read(fd, chunk, sizeof(chunk))) > 0)
		for (ssize_t i = 0; i < n; i++)
			found += procfs_next_pid(&list, chunk[i]) > 0;
	close(fd);
	return found;
}

static int count_fds(void)
{
	int found = 0;
	for (int fd = 0; fd < 1024; fd++)
		found += fcntl(fd, F_GETFD) >= 0;
	return found;
}

/* --- ends --- */

static void exit_codes_come_through(void **state)
{
	(void)state;
	static const int codes[] = {0, 1, 7, 255};
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		struct run r;
		char words[32];
		snprintf(words, sizeof(words), "exit=%d", codes[i]);
		start_tree(&r, words);
		await_gone(&r);
		assert_true(WIFEXITED(r.end.status));
		assert_int_equal(WEXITSTATUS(r.end.status), codes[i]);
		assert_false(r.end.shim_killed);
		assert_int_equal(r.killed, 0);
		assert_true(r.end.peak_bytes > 100000);
	}
}

static void deaths_by_signal_come_through(void **state)
{
	(void)state;
	static const int signals[] = {SIGTERM, SIGKILL, SIGABRT, SIGUSR1, 34};
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		struct run r;
		char words[32];
		snprintf(words, sizeof(words), "signal=%d", signals[i]);
		start_tree(&r, words);
		await_gone(&r);
		assert_true(WIFSIGNALED(r.end.status));
		assert_int_equal(WTERMSIG(r.end.status), signals[i]);
	}
}

static void a_signal_reaches_the_main_process_only(void **state)
{
	(void)state;
	struct run r;
	start_tree(&r, "group");
	await_ready(&r);
	AWAIT(r.calls_started);
	assert_int_equal(process_signal(&r.p, SIGTERM), 0);
	await_gone(&r);
	assert_int_equal(WTERMSIG(r.end.status), SIGTERM);
	assert_int_equal(r.killed, 1);
	assert_int_equal(process_signal(&r.p, SIGTERM), -ESRCH);
}

static void a_signal_asked_for_before_the_start_is_not_lost(void **state)
{
	(void)state;
	struct run r;
	start_tree(&r, "");
	assert_int_equal(process_signal(&r.p, SIGTERM), 0);
	await_gone(&r);
	assert_int_equal(WTERMSIG(r.end.status), SIGTERM);
}

/* --- starts that fail --- */

static void assert_fails(struct process_spec *spec, const char *command, int error, enum shim_step step)
{
	struct run r;
	start_command(&r, spec, command, NULL, NULL);
	AWAIT(r.calls_failed);
	assert_int_equal(r.step, step);
	assert_int_equal(r.error, error);
	assert_nothing_left(&r);
	*spec = (struct process_spec)PROCESS_SPEC;
}

static void a_start_that_fails_names_the_step(void **state)
{
	(void)state;
	struct process_spec spec = PROCESS_SPEC;
	/* A directory in it that may not be searched would turn ENOENT into EACCES. */
	char *env[] = {(char *)"PATH=/usr/bin:/bin", NULL};
	assert_fails(&spec, "/no/such/program", -ENOENT, SHIM_STEP_EXEC);
	spec.env = env;
	assert_fails(&spec, "no-such-program-in-the-path", -ENOENT, SHIM_STEP_EXEC);
	assert_fails(&spec, "/etc/passwd", -EACCES, SHIM_STEP_EXEC);
	assert_fails(&spec, "/tmp", -EACCES, SHIM_STEP_EXEC);
	spec.cwd = "/no/such/directory";
	assert_fails(&spec, "/bin/true", -ENOENT, SHIM_STEP_CWD);
	spec.cwd = "/etc/passwd";
	assert_fails(&spec, "/bin/true", -ENOTDIR, SHIM_STEP_CWD);
	spec.oom_score_adj = 5000;
	assert_fails(&spec, "/bin/true", -EINVAL, SHIM_STEP_OOM_SCORE);
	spec.open_files = INT64_C(1) << 40;
	assert_fails(&spec, "/bin/true", -EPERM, SHIM_STEP_OPEN_FILES);
	if (geteuid() != 0) {
		spec.uid = 0;
		assert_fails(&spec, "/bin/true", -EPERM, SHIM_STEP_GROUPS);
	}
}

static void the_command_is_searched_in_the_workers_own_path(void **state)
{
	(void)state;
	char path[4200];
	snprintf(path, sizeof(path), "PATH=/nowhere:%s", fixtures);
	char *env[] = {path, NULL};
	struct process_spec spec = PROCESS_SPEC;
	struct run r;
	spec.env = env;
	start_command(&r, &spec, "tree", "exit=5", NULL);
	await_gone(&r);
	assert_int_equal(WEXITSTATUS(r.end.status), 5);
	spec.env = env;
	assert_fails(&spec, "true", -ENOENT, SHIM_STEP_EXEC);
}

/* Where vfork is emulated by fork, as under valgrind, posix_spawn cannot tell;
 * then the call that ends every start does. */
static void without_a_shim_the_spawn_says_so(void **state)
{
	(void)state;
	static struct process_port lost;
	static struct run r;
	struct process_spec spec = PROCESS_SPEC;
	char *argv[] = {(char *)"/bin/true", NULL};
	struct err err = {0};
	int fds = count_fds();
	lost = port;
	lost.shim_path = "/no/such/podvisor-shim";
	process_port_init(&lost);
	spec.name = "api";
	spec.argv = argv;
	spec.env = environ;
	int rc = process_spawn(&lost, &r.p, &spec, &err);
	if (rc == 0) {
		AWAIT(r.calls_failed);
		assert_int_equal(r.step, SHIM_STEP_SHIM);
	} else {
		assert_int_equal(rc, -ENOENT);
		assert_non_null(strstr(err.text, "/no/such/podvisor-shim"));
	}
	assert_int_equal(count_fds(), fds);
}

static void a_shim_that_is_not_there_is_not_found(void **state)
{
	(void)state;
	char buf[4096] = "untouched";
	struct err err = {0};
	setenv("PODVISOR_SHIM", "/no/such/podvisor-shim", 1);
	assert_int_equal(process_find_shim(buf, sizeof(buf), &err), -ENOENT);
	assert_non_null(strstr(err.text, "/no/such/podvisor-shim"));
	assert_string_equal(buf, "untouched");
	setenv("PODVISOR_SHIM", shim, 1);
	assert_int_equal(process_find_shim(buf, 4, &err), -ENAMETOOLONG);
	assert_int_equal(process_find_shim(buf, sizeof(buf), &err), 0);
	assert_string_equal(buf, shim);
}

/* --- trees --- */

#define ALL_KINDS   "deaf group session daemon stopped titled chain=5"
#define ALL_KINDS_N 10

static void the_tree_dies_when_main_exits(void **state)
{
	(void)state;
	struct run r;
	start_tree(&r, ALL_KINDS " exit=3");
	await_gone(&r);
	assert_int_equal(WEXITSTATUS(r.end.status), 3);
	assert_int_equal(r.killed, ALL_KINDS_N);
}

static void the_tree_dies_when_main_is_killed(void **state)
{
	(void)state;
	struct run r;
	start_tree(&r, ALL_KINDS);
	await_ready(&r);
	AWAIT(r.calls_started);
	kill(r.pid, SIGKILL);
	await_gone(&r);
	assert_int_equal(WTERMSIG(r.end.status), SIGKILL);
	assert_int_equal(r.killed, ALL_KINDS_N);
	assert_false(r.end.shim_killed);
}

static void the_tree_dies_when_it_is_told_to(void **state)
{
	(void)state;
	struct run r;
	start_tree(&r, ALL_KINDS);
	await_ready(&r);
	process_kill(&r.p);
	process_kill(&r.p);
	await_gone(&r);
	assert_int_equal(r.killed, ALL_KINDS_N);
	process_kill(&r.p);
}

/* ---- deadlines: nobody turns the loop, as when podvisor is stopped ---- */

static int64_t now_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void start_tree_until(struct run *r, int64_t deadline)
{
	char line[4400];
	snprintf(line, sizeof(line), "%s " ALL_KINDS, fixture("tree"));
	struct process_spec spec = PROCESS_SPEC;
	spec.argv = split(line);
	spec.deadline = deadline;
	start_spec(r, &spec);
}

/* Its pipe is at its end: POLLIN or POLLHUP, and nothing to read. */
static void await_end_of_output(const struct run *r)
{
	char text[8];
	assert_int_equal(poll_readable(r->out, PATIENCE_MS), 1);
	assert_int_equal(read(r->out, text, sizeof(text)), 0);
}

static void the_tree_dies_at_its_deadline_by_the_shim_alone(void **state)
{
	(void)state;
	struct run r;
	int64_t deadline = now_ms() + 3000;
	start_tree_until(&r, deadline);
	await_ready(&r);
	await_end_of_output(&r);
	assert_true(now_ms() >= deadline);
	await_gone(&r);
	assert_int_equal(WTERMSIG(r.end.status), SIGKILL);
	assert_false(r.end.shim_killed);
}

static void a_deadline_that_is_moved_on_counts_in_place_of_the_first(void **state)
{
	(void)state;
	struct run r;
	int64_t first = now_ms() + 2000;
	start_tree_until(&r, first);
	await_ready(&r);
	process_set_deadline(&r.p, first + 1500);
	await_end_of_output(&r);
	assert_true(now_ms() >= first + 1500);
	await_gone(&r);
}

static void a_deadline_can_be_taken_away(void **state)
{
	(void)state;
	struct run r;
	int64_t first = now_ms() + 1000;
	start_tree_until(&r, first);
	await_ready(&r);
	process_set_deadline(&r.p, INT64_MAX);
	assert_int_equal(poll_readable(r.out, (int)(first - now_ms()) + 500), 0);
	process_kill(&r.p);
	await_gone(&r);
}

static void nothing_is_started_after_its_deadline(void **state)
{
	(void)state;
	struct run r;
	start_tree_until(&r, now_ms() - 1);
	AWAIT(r.calls_failed);
	assert_int_equal(r.step, SHIM_STEP_DEADLINE);
	assert_int_equal(r.error, -ETIME);
	close(r.out);
}

static void a_stopped_main_process_is_killed_too(void **state)
{
	(void)state;
	struct run r;
	start_tree(&r, ALL_KINDS);
	await_ready(&r);
	AWAIT(r.calls_started);
	kill(r.pid, SIGSTOP);
	process_kill(&r.p);
	await_gone(&r);
}

static void a_tree_that_forks_for_ever_is_caught(void **state)
{
	(void)state;
	struct run r;
	for (int i = 0; i < 5; i++) {
		start_tree(&r, "comet comet");
		await_ready(&r);
		process_kill(&r.p);
		await_gone(&r);
	}
}

static void a_tree_that_forks_for_ever_is_caught_without_its_shim_too(void **state)
{
	(void)state;
	struct run r;
	for (int i = 0; i < 5; i++) {
		start_tree(&r, "comet comet");
		await_ready(&r);
		AWAIT(r.calls_started);
		kill(process_shim_pid(&r.p), SIGKILL);
		await_gone(&r);
	}
}

static void sixty_one_sessions_and_a_deep_chain_die(void **state)
{
	(void)state;
	struct run r;
	start_tree(&r, "sessions=61 chain=100");
	await_ready(&r);
	process_kill(&r.p);
	await_gone(&r);
	assert_int_equal(r.killed, 161);
}

static void an_orphan_of_a_living_worker_leaves_no_zombie(void **state)
{
	(void)state;
	struct run r;
	start_tree(&r, "orphans=2000");
	await_ready(&r);
	AWAIT(r.calls_started);
	struct timespec pause = {.tv_nsec = 1000000};
	for (int i = 0; i < PATIENCE_MS && count_children(process_shim_pid(&r.p)) != 1; i++)
		nanosleep(&pause, NULL);
	assert_int_equal(count_children(process_shim_pid(&r.p)), 1);
	process_kill(&r.p);
	await_gone(&r);
}

/* --- shims that come to harm --- */

static void the_tree_dies_when_its_shim_is_killed(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		struct run r;
		start_tree(&r, ALL_KINDS);
		await_ready(&r);
		AWAIT(r.calls_started);
		kill(process_shim_pid(&r.p), SIGKILL);
		await_gone(&r);
		assert_true(r.end.shim_killed);
		assert_int_equal(WTERMSIG(r.end.status), SIGKILL);
		assert_true(r.end.peak_bytes > 0);
		assert_int_equal(count_children(getpid()), 0);
	}
}

static void many_shims_killed_at_once_leave_nothing(void **state)
{
	(void)state;
	struct run r[20];
	for (int i = 0; i < 20; i++)
		start_tree(&r[i], ALL_KINDS);
	for (int i = 0; i < 20; i++)
		await_ready(&r[i]);
	for (int i = 0; i < 20; i++)
		AWAIT(r[i].calls_started);
	for (int i = 0; i < 20; i++)
		kill(process_shim_pid(&r[i].p), SIGKILL);
	for (int i = 0; i < 20; i++)
		await_gone(&r[i]);
	assert_int_equal(count_children(getpid()), 0);
}

static void a_shim_killed_before_it_could_report_is_a_failed_start(void **state)
{
	(void)state;
	struct run r;
	start_tree(&r, ALL_KINDS);
	kill(process_shim_pid(&r.p), SIGKILL);
	AWAIT(r.calls_failed || r.calls_gone);
	if (r.calls_failed)
		assert_int_equal(r.step, SHIM_STEP_SHIM);
	assert_nothing_left(&r);
}

static void count_call(uv_poll_t *poll, int status, int events)
{
	(void)status, (void)events;
	++*(int *)poll->data;
}

/* libuv forgets a poll's descriptor by number, also when a poll that was stopped long ago is closed. */
static void a_control_socket_closed_early_does_not_silence_its_number_s_next_owner(void **state)
{
	(void)state;
	char path[] = "/tmp/podvisor-test-shim.XXXXXX";
	const char script[] = "#!/bin/sh\nexec 3>&-\nread word\n";
	int file = mkostemp(path, O_CLOEXEC), in[2], other[2], heard = 0;
	assert_int_equal(write(file, script, sizeof(script) - 1), sizeof(script) - 1);
	assert_return_code(fchmod(file, 0700), errno);
	close(file);
	assert_return_code(pipe2(in, O_CLOEXEC), errno);
	const char *own = port.shim_path;
	struct run r;
	port.shim_path = path;
	start_tree_on(&r, "", in[0]);
	int number = r.p.control;
	AWAIT(r.p.control < 0);
	assert_return_code(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, other), errno);
	int theirs = fcntl(other[1], F_DUPFD_CLOEXEC, number + 1);
	assert_return_code(theirs, errno);
	if (other[0] != number)
		assert_int_equal(dup3(other[0], number, O_CLOEXEC), number);
	uv_poll_t poll = {.data = &heard};
	assert_int_equal(uv_poll_init(&loop, &poll, number), 0);
	assert_int_equal(uv_poll_start(&poll, UV_READABLE, count_call), 0);
	uv_run(&loop, UV_RUN_NOWAIT);
	assert_int_equal(write(in[1], "\n", 1), 1);
	AWAIT(r.calls_failed);
	assert_int_equal(write(theirs, "x", 1), 1);
	AWAIT(heard);
	uv_close((uv_handle_t *)&poll, NULL);
	uv_run(&loop, UV_RUN_NOWAIT);
	port.shim_path = own;
	close(in[0]), close(in[1]), close(other[0]), close(theirs), close(r.out);
	if (other[0] != number)
		close(number);
	if (other[1] != number)
		close(other[1]);
	unlink(path);
}

static void start_all_kinds(struct run *r)
{
	start_tree(r, ALL_KINDS);
	await_ready(r);
	AWAIT(r->calls_started);
}

static void a_stopped_shim_is_woken_by_what_is_asked_of_it(void **state)
{
	(void)state;
	struct run r;
	start_all_kinds(&r);
	kill(process_shim_pid(&r.p), SIGSTOP);
	process_kill(&r.p);
	await_gone(&r);
	assert_false(r.end.shim_killed);
}

/* No SIGCONT helps a process that its tracer holds. */
static void hold_shim(const struct run *r)
{
	siginfo_t info;
	pid_t pid = process_shim_pid(&r->p);
	assert_return_code(ptrace(PTRACE_SEIZE, pid, NULL, NULL), errno);
	assert_return_code(ptrace(PTRACE_INTERRUPT, pid, NULL, NULL), errno);
	assert_return_code(waitid(P_PID, (id_t)pid, &info, WSTOPPED), errno);
}

static void a_shim_that_cannot_wake_does_not_save_its_tree(void **state)
{
	(void)state;
	struct run r;
	start_all_kinds(&r);
	hold_shim(&r);
	process_kill(&r.p);
	await_gone(&r);
	assert_true(r.end.shim_killed);
}

static void a_shim_held_while_it_kills_is_replaced(void **state)
{
	(void)state;
	struct run r;
	start_all_kinds(&r);
	hold_shim(&r);
	kill(r.pid, SIGKILL);
	process_kill(&r.p);
	await_gone(&r);
}

/* --- another main process --- */

/* Two children of it wait for a line each, and end with 4 and 5. */
struct pair {
	struct run r;
	int main, a, b, tell_a, tell_b;
};

static void start_pair(struct pair *p)
{
	static const char script[] = "exec 3<&0 4<&2; (read x; exit 4) <&3 & a=$!; (read x; exit 5) <&4 & "
				     "echo $$ $a $!; exec sleep 1000";
	struct process_spec spec = PROCESS_SPEC;
	char text[64] = "";
	int in[2], more[2];
	assert_return_code(pipe2(in, O_CLOEXEC), errno);
	assert_return_code(pipe2(more, O_CLOEXEC), errno);
	spec.stdio[0] = in[0];
	spec.stdio[2] = more[0];
	start_command(&p->r, &spec, "sh", "-c", script);
	close(in[0]);
	close(more[0]);
	p->tell_a = in[1];
	p->tell_b = more[1];
	assert_int_equal(poll_readable(p->r.out, PATIENCE_MS), 1);
	assert_true(read(p->r.out, text, sizeof(text) - 1) > 0);
	assert_int_equal(sscanf(text, "%d %d %d", &p->main, &p->a, &p->b), 3);
}

static void await_dead(pid_t pid)
{
	char path[40], text[256] = "";
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	for (int ms = 0; ms < PATIENCE_MS; ms += 5, usleep(5000)) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return;
		ssize_t n = read(fd, text, sizeof(text) - 1);
		close(fd);
		if (n <= 0 || strstr(text, ") Z "))
			return;
	}
	fail_msg("%d has not ended: %s", (int)pid, text);
}

static void b_ends_the_run(struct pair *p)
{
	assert_int_equal(write(p->tell_b, "\n", 1), 1);
	await_gone(&p->r);
	assert_false(p->r.end.shim_killed);
	assert_true(WIFEXITED(p->r.end.status));
	assert_int_equal(WEXITSTATUS(p->r.end.status), 5);
	close(p->tell_a);
	close(p->tell_b);
}

static void a_main_process_named_before_the_start_was_heard_of_is_followed(void **state)
{
	(void)state;
	struct pair p;
	start_pair(&p); /* the loop has not turned yet */
	process_follow(&p.r.p, p.b);
	kill(p.main, SIGKILL);
	AWAIT(p.r.calls_started);
	assert_int_equal(process_pid(&p.r.p), p.b);
	b_ends_the_run(&p);
}

static void step_shim(const struct run *r)
{
	siginfo_t info;
	pid_t pid = process_shim_pid(&r->p);
	assert_return_code(ptrace(PTRACE_SYSCALL, pid, NULL, NULL), errno);
	assert_return_code(waitid(P_PID, (id_t)pid, &info, WSTOPPED), errno);
}

/* The shim has learnt from poll of nothing but a signal when both come. */
static void a_main_process_named_just_before_the_old_one_ends_is_followed(void **state)
{
	(void)state;
	struct pair p;
	start_pair(&p);
	AWAIT(p.r.calls_started);
	hold_shim(&p.r);
	step_shim(&p.r); /* in the poll that was interrupted */
	kill(process_shim_pid(&p.r.p), SIGCHLD);
	step_shim(&p.r); /* and out of it */
	process_follow(&p.r.p, p.b);
	kill(p.main, SIGKILL);
	await_dead(p.main);
	assert_return_code(ptrace(PTRACE_DETACH, process_shim_pid(&p.r.p), NULL, NULL), errno);
	b_ends_the_run(&p);
}

/* What a shim follows a main process by (pidfd_open(2)). */
static bool follows(pid_t shim_pid)
{
	char path[64], what[64];
	bool found = false;
	for (int fd = 0; fd < 64 && !found; fd++) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)shim_pid, fd);
		ssize_t n = readlink(path, what, sizeof(what) - 1);
		what[n > 0 ? n : 0] = '\0';
		found = strstr(what, "pidfd") != NULL;
	}
	return found;
}

static void a_main_process_hands_over_to_the_next_and_ends(void **state)
{
	(void)state;
	struct pair p;
	start_pair(&p);
	AWAIT(p.r.calls_started);
	process_follow(&p.r.p, p.a);
	for (int ms = 0; ms < PATIENCE_MS && !follows(process_shim_pid(&p.r.p)); ms += 5)
		usleep(5000);
	assert_true(follows(process_shim_pid(&p.r.p)));
	hold_shim(&p.r);
	process_follow(&p.r.p, p.b);
	assert_int_equal(write(p.tell_a, "\n", 1), 1);
	await_dead(p.a);
	assert_return_code(ptrace(PTRACE_DETACH, process_shim_pid(&p.r.p), NULL, NULL), errno);
	b_ends_the_run(&p);
}

static void other_signals_do_not_disturb_a_shim(void **state)
{
	(void)state;
	struct run r;
	start_tree(&r, "");
	await_ready(&r);
	AWAIT(r.calls_started);
	for (int n = 1; n <= 64; n++)
		if (n != SIGKILL && n != SIGSTOP)
			kill(process_shim_pid(&r.p), n);
	/* The answer to this one comes after all of those. */
	assert_int_equal(process_signal(&r.p, SIGUSR2), 0);
	await_gone(&r);
	assert_int_equal(WTERMSIG(r.end.status), SIGUSR2);
	assert_false(r.end.shim_killed);
}

/* As somebody's `kubectl exec` leaves it: it started after the shim, is now a
 * child of ours, and has an environment of its own. */
static pid_t start_foreign(int *pipe_end)
{
	int out[2];
	pid_t pid;
	posix_spawn_file_actions_t actions;
	char *argv[] = {(char *)fixture("tree"), (char *)"daemon", (char *)"exit=0", NULL};
	char *env[] = {(char *)"HOME=/root", (char *)"BASH_FUNC_hi%%=() { :; }", (char *)"EMPTY=", NULL};
	assert_return_code(pipe2(out, O_CLOEXEC), errno);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, out[1], 1);
	assert_int_equal(posix_spawn(&pid, argv[0], &actions, NULL, argv, env), 0);
	posix_spawn_file_actions_destroy(&actions);
	close(out[1]);
	*pipe_end = out[0];
	return pid;
}

static void what_does_not_belong_to_a_worker_survives_its_shim(void **state)
{
	(void)state;
	struct run r, foreign = {0};
	start_tree(&r, ALL_KINDS);
	await_ready(&r);
	AWAIT(r.calls_started);
	uint64_t before = reaper.orphans_total;
	start_foreign(&foreign.out);
	await_ready(&foreign);
	AWAIT(reaper.orphans_total >= before + 1);
	kill(process_shim_pid(&r.p), SIGKILL);
	await_gone(&r);
	assert_int_equal(count_children(getpid()), 1);
	assert_int_equal(poll_readable(foreign.out, 0), 0);
	/* An older one of ours is not touched either, however it looks. */
	start_tree(&r, ALL_KINDS);
	await_ready(&r);
	AWAIT(r.calls_started);
	kill(process_shim_pid(&r.p), SIGKILL);
	await_gone(&r);
	assert_int_equal(count_children(getpid()), 1);
	char path[64], pids[64] = "";
	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	int list = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(read(list, pids, sizeof(pids) - 1) > 0);
	close(list);
	kill(atoi(pids), SIGKILL);
	AWAIT(count_children(getpid()) == 0);
	close(foreign.out);
}

/* --- crowds --- */

#define WAVE 250

static void two_thousand_workers_exit_at_once_and_none_is_lost(void **state)
{
	(void)state;
	struct run *runs = calloc(WAVE, sizeof(*runs));
	assert_non_null(runs);
	for (int wave = 0; wave < 2000 / WAVE; wave++) {
		int gate[2];
		assert_return_code(pipe2(gate, O_CLOEXEC), errno);
		gone_total = 0;
		for (int i = 0; i < WAVE; i++) {
			char words[32];
			snprintf(words, sizeof(words), "eof=%d", i);
			start_tree_on(&runs[i], words, gate[0]);
		}
		for (int i = 0; i < WAVE; i++)
			await_ready(&runs[i]);
		close(gate[0]);
		close(gate[1]);
		AWAIT(gone_total == WAVE);
		for (int i = 0; i < WAVE; i++) {
			assert_true(WIFEXITED(runs[i].end.status));
			assert_int_equal(WEXITSTATUS(runs[i].end.status), i);
			assert_nothing_left(&runs[i]);
		}
		assert_int_equal(count_children(getpid()), 0);
	}
	free(runs);
}

static void two_thousand_orphans_are_reaped(void **state)
{
	(void)state;
	uint64_t before = reaper.orphans_total;
	char *argv[] = {(char *)fixture("tree"), (char *)"orphans=2000", (char *)"exit=0", NULL};
	pid_t pid;
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	assert_int_equal(posix_spawn(&pid, argv[0], &actions, NULL, argv, environ), 0);
	posix_spawn_file_actions_destroy(&actions);
	AWAIT(reaper.orphans_total == before + 2001);
	assert_int_equal(count_children(getpid()), 0);
}

static void a_struct_is_reused_and_no_descriptor_stays_open(void **state)
{
	(void)state;
	struct run r;
	int fds = count_fds();
	for (int i = 0; i < 30; i++) {
		start_tree(&r, i % 3 ? "group exit=0" : "group");
		await_ready(&r);
		if (i % 3 == 0)
			process_kill(&r.p);
		await_gone(&r);
	}
	assert_int_equal(count_fds(), fds);
}

/* --- how a worker is born --- */

/* A copy of a fixture where every user gets at it: the checkout may lie in somebody's home. */
struct public_copy {
	char dir[32], path[64];
};

static void publish(struct public_copy *copy, const char *name)
{
	strcpy(copy->dir, "/tmp/podvisor-born-XXXXXX");
	assert_non_null(mkdtemp(copy->dir));
	assert_int_equal(chmod(copy->dir, 0755), 0);
	snprintf(copy->path, sizeof(copy->path), "%s/%s", copy->dir, name);
	int from = open(fixture(name), O_RDONLY | O_CLOEXEC),
	    to = open(copy->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	assert_true(from >= 0 && to >= 0);
	ssize_t n;
	while ((n = sendfile(to, from, NULL, 1 << 20)) > 0)
		;
	assert_int_equal(n, 0);
	assert_int_equal(fchmod(to, 0755), 0);
	close(from);
	close(to);
}

static void withdraw(const struct public_copy *copy)
{
	unlink(copy->path);
	rmdir(copy->dir);
}

static char *born_of(struct process_spec *spec, const char *program)
{
	static char text[65536];
	struct run r;
	size_t len = 0;
	ssize_t n;
	start_command(&r, spec, program, NULL, NULL);
	AWAIT(r.calls_gone);
	assert_int_equal(r.end.status, 0);
	while ((n = read(r.out, text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	close(r.out);
	return text;
}

static char *born(struct process_spec *spec)
{
	return born_of(spec, fixture("birth"));
}

static void assert_says(const char *text, const char *line)
{
	const char *at = strstr(text, line);
	if (!at || (at != text && at[-1] != '\n') || (at[strlen(line)] != '\n'))
		fail_msg("no line \"%s\" in:\n%s", line, text);
}

static void a_worker_is_born_clean(void **state)
{
	(void)state;
	sigset_t set, old;
	sigfillset(&set);
	sigprocmask(SIG_BLOCK, &set, &old);
	signal(SIGPIPE, SIG_IGN);
	int leak = dup(STDERR_FILENO), far = fcntl(STDERR_FILENO, F_DUPFD, 500);
	struct process_spec spec = PROCESS_SPEC;
	spec.cwd = "/usr";
	char *env[] = {(char *)"A=1", (char *)"B=two words", NULL};
	spec.env = env;
	spec.name = "api";
	sigprocmask(SIG_SETMASK, &old, NULL);
	const char *text = born(&spec);
	signal(SIGPIPE, SIG_DFL);
	close(leak);
	close(far);
	assert_says(text, "fds=0,1,2,");
	assert_says(text, "SigIgn:\t0000000000000000");
	assert_says(text, "SigBlk:\t0000000000000000");
	assert_says(text, "SigCgt:\t0000000000000000");
	assert_says(text, "leader=11");
	assert_says(text, "death=9");
	assert_says(text, "cwd=/usr");
	assert_says(text, "env A=1");
	assert_says(text, "env B=two words");
	assert_says(text, "env PODVISOR_WORKER=api");
	assert_int_equal(strstr(text, "env ") - strstr(text, "env A=1"), 0);
}

static void a_worker_is_born_as_it_was_configured(void **state)
{
	(void)state;
	struct process_spec spec = PROCESS_SPEC;
	int extra[2];
	assert_return_code(pipe2(extra, O_CLOEXEC), errno);
	spec.umask = 027;
	spec.nice = 5;
	spec.oom_score_adj = 321;
	spec.open_files = 77;
	spec.core_bytes = 0;
	spec.cpu_seconds = 1000;
	spec.extra_fds[0] = extra[0];
	spec.extra_fds[1] = extra[1];
	const char *text = born(&spec);
	close(extra[0]);
	close(extra[1]);
	assert_says(text, "fds=0,1,2,3,4,");
	assert_says(text, "umask=27");
	assert_says(text, "nice=5");
	assert_says(text, "nofile=77");
	assert_says(text, "core=0");
	assert_says(text, "cpu=1000");
	assert_says(text, "/proc/self/oom_score_adj=321");
}

static void a_worker_is_born_as_its_user(void **state)
{
	(void)state;
	struct process_spec spec = PROCESS_SPEC;
	gid_t groups[] = {4, 20};
	char same[128];
	struct public_copy birth;
	if (geteuid() != 0)
		skip();
	publish(&birth, "birth");
	spec.uid = 12345;
	spec.gid = 23456;
	const char *text = born_of(&spec, birth.path);
	assert_says(text, "uid=12345 euid=12345 gid=23456 egid=23456 groups=");
	assert_says(text, "death=9");
	spec.groups = groups;
	spec.n_groups = 2;
	assert_says(born_of(&spec, birth.path), "uid=12345 euid=12345 gid=23456 egid=23456 groups=4,20,");
	spec = (struct process_spec)PROCESS_SPEC;
	spec.uid = geteuid();
	snprintf(same, sizeof(same), "uid=%u euid=%u", geteuid(), geteuid());
	assert_non_null(strstr(born_of(&spec, birth.path), same));
	withdraw(&birth);
}

/* The control socket, the worker's stdin and so on may have any numbers. */
static void low_descriptor_numbers_do_not_get_mixed_up(void **state)
{
	(void)state;
	int a[2], b[2];
	char text[8] = "";
	struct run r;
	assert_return_code(pipe2(a, O_CLOEXEC), errno);
	assert_return_code(pipe2(b, O_CLOEXEC), errno);
	struct process_spec spec = PROCESS_SPEC;
	/* Crosswise, with the lowest free numbers: 3 becomes 4 and 4 becomes 3. */
	spec.extra_fds[0] = b[1];
	spec.extra_fds[1] = a[1];
	start_command(&r, &spec, "/bin/sh", "-c", "echo three >&3; echo four >&4");
	await_gone(&r);
	assert_int_equal(read(b[0], text, 8), 6);
	assert_memory_equal(text, "three\n", 6);
	assert_int_equal(read(a[0], text, 8), 5);
	assert_memory_equal(text, "four\n", 5);
	for (int i = 0; i < 2; i++) {
		close(a[i]);
		close(b[i]);
	}
}

/* --- the end of podvisor --- */

/* Not /proc/self/exe itself, which is valgrind under valgrind. */
static char *self_path(void)
{
	static char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = '\0';
	return path;
}

/* Another instance of this test, which owns a worker and is then killed. */
static int own_a_worker(void)
{
	char *argv[] = {(char *)fixture("tree"), (char *)"deaf", (char *)"group", (char *)"session", (char *)"daemon",
		(char *)"stopped", (char *)"titled", (char *)"chain=5", NULL};
	struct run r = {0};
	struct process_spec spec = PROCESS_SPEC;
	struct err err = {0};
	spec.name = "owned";
	spec.argv = argv;
	spec.env = environ;
	spec.stdio[1] = STDOUT_FILENO;
	if (process_spawn(&port, &r.p, &spec, &err) < 0)
		return 1;
	uv_run(&loop, UV_RUN_DEFAULT);
	return 0;
}

static void nothing_outlives_a_killed_podvisor(void **state)
{
	(void)state;
	int out[2];
	struct run r = {0};
	pid_t owner;
	posix_spawn_file_actions_t actions;
	char *argv[] = {(char *)"process_test", (char *)"--own-a-worker", NULL};
	assert_return_code(pipe2(out, O_CLOEXEC | O_NONBLOCK), errno);
	fcntl(out[1], F_SETFL, 0);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, out[1], 1);
	assert_int_equal(posix_spawn(&owner, self_path(), &actions, NULL, argv, environ), 0);
	posix_spawn_file_actions_destroy(&actions);
	close(out[1]);
	r.out = out[0];
	await_ready(&r);
	kill(owner, SIGKILL);
	AWAIT(count_children(getpid()) == 0);
	assert_nothing_left(&r);
}

static void a_port_that_is_given_up_takes_its_workers_with_it(void **state)
{
	(void)state;
	struct process_port other = port;
	struct run r = {0};
	struct process_spec spec = PROCESS_SPEC;
	char line[4400];
	int out[2];
	process_port_init(&other);
	snprintf(line, sizeof(line), "%s %s", fixture("tree"), ALL_KINDS);
	assert_return_code(pipe2(out, O_CLOEXEC | O_NONBLOCK), errno);
	fcntl(out[1], F_SETFL, 0);
	r.out = out[0];
	spec.name = "left";
	spec.argv = split(line);
	spec.env = environ;
	spec.stdio[1] = out[1];
	assert_int_equal(process_spawn(&other, &r.p, &spec, NULL), 0);
	close(out[1]);
	await_ready(&r);
	process_port_fini(&other);
	AWAIT(count_children(getpid()) == 0);
	assert_nothing_left(&r);
	assert_int_equal(r.calls_exited + r.calls_gone, 0);
}

/* --- the shim alone, where the kernel has no list of children --- */

static void a_shim_finds_its_children_by_scanning_proc_too(void **state)
{
	(void)state;
	int pair[2], out[2];
	struct run r = {0};
	struct shim_report report;
	pid_t pid;
	posix_spawn_file_actions_t actions;
	char *argv[] = {(char *)"podvisor-shim", (char *)"scan", (char *)"--scan-proc", (char *)"--",
		(char *)fixture("tree"), (char *)"group", (char *)"session", (char *)"daemon", (char *)"chain=5",
		(char *)"exit=4", NULL};
	assert_return_code(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), errno);
	assert_return_code(pipe2(out, O_CLOEXEC | O_NONBLOCK), errno);
	fcntl(out[1], F_SETFL, 0);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, out[1], 1);
	posix_spawn_file_actions_adddup2(&actions, pair[1], 3);
	assert_int_equal(posix_spawn(&pid, shim, &actions, NULL, argv, environ), 0);
	posix_spawn_file_actions_destroy(&actions);
	close(pair[1]);
	close(out[1]);
	assert_int_equal(recv(pair[0], &report, sizeof(report), 0), sizeof(report));
	assert_int_equal(report.kind, SHIM_STARTED);
	assert_int_equal(recv(pair[0], &report, sizeof(report), 0), sizeof(report));
	assert_int_equal(report.kind, SHIM_EXITED);
	assert_int_equal(WEXITSTATUS(report.status), 4);
	assert_int_equal(recv(pair[0], &report, sizeof(report), 0), sizeof(report));
	assert_int_equal(report.kind, SHIM_GONE);
	assert_int_equal(report.killed, 8);
	assert_int_equal(recv(pair[0], &report, sizeof(report), 0), 0);
	close(pair[0]);
	r.out = out[0];
	assert_nothing_left(&r);
	AWAIT(count_children(getpid()) == 0);
}

/* --- running --- */

static void init(void)
{
	struct err err = {0};
	const char *dir = getenv("PODVISOR_FIXTURES");
	if (process_find_shim(shim, sizeof(shim), &err) < 0 || !dir) {
		fprintf(stderr, "%s\n", dir ? err.text : "PODVISOR_FIXTURES is not set");
		exit(1);
	}
	snprintf(fixtures, sizeof(fixtures), "%s", dir);
	uv_loop_init(&loop);
	if (reaper_init(&reaper, &loop, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		exit(1);
	}
	port = (struct process_port){
		.loop = &loop,
		.reaper = &reaper,
		.shim_path = shim,
		.ctx = &port,
		.on_started = on_started,
		.on_exec_failed = on_exec_failed,
		.on_exited = on_exited,
		.on_gone = on_gone,
	};
	process_port_init(&port);
}

static int fini(void)
{
	process_port_fini(&port);
	reaper_fini(&reaper);
	uv_run(&loop, UV_RUN_DEFAULT);
	return uv_loop_close(&loop);
}

static int run_in_pid_namespace(const char *program, const char *arg)
{
	char *argv[] = {(char *)"unshare", (char *)"-fp", (char *)"--mount-proc", (char *)program, (char *)arg, NULL};
	int status = 0;
	pid_t pid;
	int error = posix_spawnp(&pid, "unshare", NULL, NULL, argv, environ);
	if (error || waitpid(pid, &status, 0) < 0)
		return error ? -error : 1;
	return status != 0;
}

/* Where this process may make namespaces. In a chroot it may not even as root, when / is no mount point. */
static void all_of_it_holds_for_pid_1_too(void **state)
{
	(void)state;
	int rc = geteuid() == 0 ? run_in_pid_namespace("true", NULL) : 1;
	if (rc) {
		print_message("skipped: %s\n",
			rc < 0 ? "unshare is not installed" : "no PID namespace with a /proc of its own here");
		skip();
	}
	assert_int_equal(run_in_pid_namespace(self_path(), "--pid-1"), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exit_codes_come_through),
		cmocka_unit_test(deaths_by_signal_come_through),
		cmocka_unit_test(a_signal_reaches_the_main_process_only),
		cmocka_unit_test(a_signal_asked_for_before_the_start_is_not_lost),
		cmocka_unit_test(a_start_that_fails_names_the_step),
		cmocka_unit_test(the_command_is_searched_in_the_workers_own_path),
		cmocka_unit_test(without_a_shim_the_spawn_says_so),
		cmocka_unit_test(a_shim_that_is_not_there_is_not_found),
		cmocka_unit_test(the_tree_dies_when_main_exits),
		cmocka_unit_test(the_tree_dies_when_main_is_killed),
		cmocka_unit_test(the_tree_dies_when_it_is_told_to),
		cmocka_unit_test(the_tree_dies_at_its_deadline_by_the_shim_alone),
		cmocka_unit_test(a_deadline_that_is_moved_on_counts_in_place_of_the_first),
		cmocka_unit_test(a_deadline_can_be_taken_away),
		cmocka_unit_test(nothing_is_started_after_its_deadline),
		cmocka_unit_test(a_stopped_main_process_is_killed_too),
		cmocka_unit_test(a_tree_that_forks_for_ever_is_caught),
		cmocka_unit_test(a_tree_that_forks_for_ever_is_caught_without_its_shim_too),
		cmocka_unit_test(sixty_one_sessions_and_a_deep_chain_die),
		cmocka_unit_test(an_orphan_of_a_living_worker_leaves_no_zombie),
		cmocka_unit_test(the_tree_dies_when_its_shim_is_killed),
		cmocka_unit_test(many_shims_killed_at_once_leave_nothing),
		cmocka_unit_test(a_shim_killed_before_it_could_report_is_a_failed_start),
		cmocka_unit_test(a_control_socket_closed_early_does_not_silence_its_number_s_next_owner),
		cmocka_unit_test(a_stopped_shim_is_woken_by_what_is_asked_of_it),
		cmocka_unit_test(a_shim_that_cannot_wake_does_not_save_its_tree),
		cmocka_unit_test(a_shim_held_while_it_kills_is_replaced),
		cmocka_unit_test(a_main_process_named_before_the_start_was_heard_of_is_followed),
		cmocka_unit_test(a_main_process_named_just_before_the_old_one_ends_is_followed),
		cmocka_unit_test(a_main_process_hands_over_to_the_next_and_ends),
		cmocka_unit_test(other_signals_do_not_disturb_a_shim),
		cmocka_unit_test(what_does_not_belong_to_a_worker_survives_its_shim),
		cmocka_unit_test(two_thousand_workers_exit_at_once_and_none_is_lost),
		cmocka_unit_test(two_thousand_orphans_are_reaped),
		cmocka_unit_test(a_struct_is_reused_and_no_descriptor_stays_open),
		cmocka_unit_test(a_worker_is_born_clean),
		cmocka_unit_test(a_worker_is_born_as_it_was_configured),
		cmocka_unit_test(a_worker_is_born_as_its_user),
		cmocka_unit_test(low_descriptor_numbers_do_not_get_mixed_up),
		cmocka_unit_test(nothing_outlives_a_killed_podvisor),
		cmocka_unit_test(a_port_that_is_given_up_takes_its_workers_with_it),
		cmocka_unit_test(a_shim_finds_its_children_by_scanning_proc_too),
	};
	const struct CMUnitTest once_more[] = {cmocka_unit_test(all_of_it_holds_for_pid_1_too)};
	const char *mode = argc > 1 ? argv[1] : "";
	/* First, for a loop's children are the reaper's. */
	if (!*mode && cmocka_run_group_tests(once_more, NULL, NULL))
		return 1;
	init();
	if (!strcmp(mode, "--own-a-worker"))
		return own_a_worker();
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	return failed || fini();
}
