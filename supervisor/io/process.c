#include "podvisor/io/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "podvisor/base/buf.h"
#include "podvisor/io/descriptors.h"

#define OPTIONS_MAX       17
#define OPTIONS_MAX_BYTES 65536
#define FDS_MAX           6 /* 0, 1, 2, two extra ones, control */

/* --- what the shim is told at its birth --- */

static void add_number(struct buf *text, const char *option, int64_t value, bool given)
{
	if (given) {
		buf_printf(text, "%s=%lld", option, (long long)value);
		buf_putc(text, '\0');
	}
}

static void add_groups(struct buf *text, const struct process_spec *spec)
{
	if (spec->uid < 0 && !spec->groups)
		return;
	buf_puts(text, "--groups=");
	for (size_t i = 0; spec->groups && i < spec->n_groups; i++)
		buf_printf(text, "%s%u", i ? "," : "", (unsigned)spec->groups[i]);
	buf_putc(text, '\0');
}

/* The options of the shim, each with its NUL. */
static void write_options(struct buf *text, const struct process_spec *spec, int keep)
{
	add_number(text, "--control", keep, keep != 3);
	add_number(text, "--keep", keep, keep != 3);
	add_number(text, "--parent", getpid(), true);
	add_number(text, "--deadline", spec->deadline, spec->deadline != INT64_MAX);
	add_number(text, "--ignore", spec->ignore, spec->ignore != 0);
	add_number(text, "--uid", spec->uid, spec->uid >= 0);
	add_number(text, "--gid", spec->gid, spec->gid >= 0);
	add_groups(text, spec);
	add_number(text, "--umask", spec->umask, spec->umask != PROCESS_INHERIT);
	add_number(text, "--nice", spec->nice, spec->nice != PROCESS_INHERIT);
	add_number(text, "--oom-score-adj", spec->oom_score_adj, spec->oom_score_adj != PROCESS_INHERIT);
	add_number(text, "--rlimit-nofile", spec->open_files, spec->open_files >= 0);
	add_number(text, "--soft-nofile", descriptors_given(), spec->open_files < 0 && descriptors_given() >= 0);
	add_number(text, "--rlimit-core", spec->core_bytes, spec->core_bytes >= 0);
	add_number(text, "--rlimit-cpu", spec->cpu_seconds, spec->cpu_seconds >= 0);
	if (spec->terminal) {
		buf_puts(text, "--terminal");
		buf_putc(text, '\0');
	}
	if (spec->cwd) {
		buf_printf(text, "--cwd=%s", spec->cwd);
		buf_putc(text, '\0');
	}
}

static size_t count(char *const *list)
{
	size_t n = 0;
	while (list[n])
		n++;
	return n;
}

/* podvisor-shim NAME OPTIONS -- COMMAND; one malloc'ed array whose strings are
 * borrowed from spec and text. */
static char **make_argv(const struct process_spec *spec, const struct buf *text)
{
	size_t n = count(spec->argv), used = 0;
	char **argv = calloc(n + OPTIONS_MAX + 4, sizeof(*argv));
	if (!argv)
		return NULL;
	argv[used++] = (char *)"podvisor-shim";
	argv[used++] = (char *)spec->name;
	for (char *at = text->data; at < text->data + text->len; at += strlen(at) + 1)
		argv[used++] = at;
	argv[used++] = (char *)"--";
	memcpy(argv + used, spec->argv, n * sizeof(*argv));
	return argv;
}

/* The worker's environment, with the mark by which orphans knows its processes. */
static char **make_env(const struct process_spec *spec, char *marker, size_t size)
{
	size_t n = count(spec->env);
	char **env = calloc(n + 2, sizeof(*env));
	if (!env)
		return NULL;
	memcpy(env, spec->env, n * sizeof(*env));
	for (size_t i = 0; i < n; i++)
		if (!strncmp(env[i], ORPHANS_MARKER, sizeof(ORPHANS_MARKER) - 1))
			return env;
	snprintf(marker, size, "%s%s", ORPHANS_MARKER, spec->name);
	env[n] = marker;
	return env;
}

/* --- its descriptors --- */

/* Which descriptor of ours becomes number i of the shim; -1: /dev/null. */
struct fds {
	int source[FDS_MAX];
	int copies[FDS_MAX]; /* made by us, to be closed; -1: none */
	int n;
};

/* A source with a low number would be overwritten by an earlier dup2 onto it,
 * unless it stays in its place: such are copied out of the way first. */
static int clear_the_way(struct fds *fds)
{
	for (int i = 0; i < fds->n; i++)
		fds->copies[i] = -1;
	for (int i = 0; i < fds->n; i++) {
		if (fds->source[i] < 0 || fds->source[i] >= fds->n || fds->source[i] == i)
			continue;
		fds->copies[i] = fcntl(fds->source[i], F_DUPFD_CLOEXEC, FDS_MAX);
		if (fds->copies[i] < 0)
			return -errno;
		fds->source[i] = fds->copies[i];
	}
	return 0;
}

static void close_copies(const struct fds *fds)
{
	for (int i = 0; i < fds->n; i++)
		if (fds->copies[i] >= 0)
			close(fds->copies[i]);
}

static int add_file_actions(posix_spawn_file_actions_t *actions, const struct fds *fds)
{
	for (int i = 0; i < fds->n; i++) {
		int rc = fds->source[i] >= 0 ? posix_spawn_file_actions_adddup2(actions, fds->source[i], i)
					     : posix_spawn_file_actions_addopen(actions, i, "/dev/null", O_RDWR, 0);
		if (rc)
			return -rc;
	}
	return -posix_spawn_file_actions_addclosefrom_np(actions, fds->n);
}

/* A session of its own, default dispositions (a library may have ignored SIGPIPE
 * for us), an empty mask, and only the descriptors that are listed. */
static int spawn_shim(const char *path, const struct fds *fds, char **argv, char **env, pid_t *pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t all, none;
	sigfillset(&all);
	sigemptyset(&none);
	int rc = -posix_spawnattr_init(&attributes);
	if (rc < 0)
		return rc;
	rc = -posix_spawn_file_actions_init(&actions);
	if (rc < 0)
		goto without_actions;
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	rc = add_file_actions(&actions, fds);
	if (rc == 0)
		rc = -posix_spawn(pid, path, &actions, &attributes, argv, env);
	posix_spawn_file_actions_destroy(&actions);
without_actions:
	posix_spawnattr_destroy(&attributes);
	return rc;
}

/* --- the end --- */

static void finish(struct process *p)
{
	struct process_port *port = p->port;
	list_remove(&p->node);
	p->port = NULL;
	p->shim.pid = 0;
	if (p->started)
		port->on_gone(port->ctx, p, p->killed);
	else
		port->on_exec_failed(port->ctx, p, -p->error, p->step);
}

static void on_closed(uv_handle_t *handle)
{
	struct process *p = handle->data;
	if (--p->closing == 0 && p->ending && p->port)
		finish(p);
}

/* The poll goes with its descriptor, not later: libuv, closing it, forgets the
 * number once more, and by then it may be somebody else's. */
static void close_control(struct process *p)
{
	if (p->control < 0)
		return;
	p->closing++;
	uv_close((uv_handle_t *)&p->poll, on_closed);
	close(p->control);
	p->control = -1;
}

/* The last call comes when libuv has let go of the handles, in this same turn. */
static void close_handles(struct process *p)
{
	if (p->ending)
		return;
	p->ending = true;
	close_control(p);
	p->closing++;
	uv_close((uv_handle_t *)&p->answer, on_closed);
}

static void tell_exited(struct process *p, const struct process_exit *end)
{
	if (p->exited)
		return;
	p->exited = true;
	p->pid = 0;
	p->port->on_exited(p->port->ctx, p, end);
}

/* --- asking --- */

static int ask(const struct process *p, enum shim_verb verb, int64_t value)
{
	struct shim_request request = {.verb = verb, .value = value};
	if (p->control < 0)
		return -ESRCH;
	if (reaper_knows(p->port->reaper, p->shim.pid))
		kill(p->shim.pid, SIGCONT); /* its worker may have stopped it */
	return send(p->control, &request, sizeof(request), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

static void ask_to_kill(struct process *p)
{
	p->answered = false;
	ask(p, SHIM_KILL, 0);
}

/* A shim that answers is asked again, for it may be stopped later; a process
 * that hangs in the kernel keeps it, and us, waiting. Our own child's pid is not
 * reused before we wait for it. */
static void on_answer_due(uv_timer_t *timer)
{
	struct process *p = timer->data;
	if (p->answered)
		ask_to_kill(p);
	else
		kill(p->shim.pid, SIGKILL);
}

static void expect_end(struct process *p)
{
	uv_timer_start(&p->answer, on_answer_due, PROCESS_ANSWER_MS, PROCESS_ANSWER_MS);
}

int process_signal(struct process *p, int signum)
{
	return p->port && !p->exited ? ask(p, SHIM_SIGNAL, signum) : -ESRCH;
}

void process_follow(struct process *p, pid_t pid)
{
	if (p->port && !p->exited && ask(p, SHIM_FOLLOW, pid) == 0)
		p->pid = pid;
}

int process_set_deadline(struct process *p, int64_t at_ms)
{
	return p->port && !p->exited ? ask(p, SHIM_DEADLINE, at_ms) : -ESRCH;
}

void process_kill(struct process *p)
{
	if (!p->port || p->killing || p->shim_died || p->ending)
		return;
	p->killing = true;
	ask_to_kill(p);
	expect_end(p);
}

pid_t process_pid(const struct process *p)
{
	return p->pid;
}

pid_t process_shim_pid(const struct process *p)
{
	return p->shim.pid;
}

/* --- what the shim reports --- */

static void heed(struct process *p, const struct shim_report *report)
{
	struct process_port *port = p->port;
	switch ((enum shim_kind)report->kind) {
	case SHIM_STARTED:
		p->started = true;
		if (!p->pid) /* else it has named another one already */
			p->pid = report->pid;
		port->on_started(port->ctx, p, p->pid);
		break;
	case SHIM_FAILED:
		p->failed = true;
		p->error = report->error;
		p->step = (enum shim_step)report->step;
		break;
	case SHIM_EXITED:
		p->answered = true;
		if (!p->killing)
			expect_end(p);
		tell_exited(p, &(struct process_exit){
				       .status = report->status,
				       .cpu_us = report->cpu_us,
				       .peak_bytes = report->peak_bytes,
			       });
		break;
	case SHIM_KILLING:
		p->answered = true;
		break;
	case SHIM_GONE:
		p->gone = true;
		p->killed = report->killed;
		break;
	}
}

static void listen_to_shim(struct process *p)
{
	struct shim_report report;
	ssize_t n = 0;
	while (p->control >= 0 && (n = recv(p->control, &report, sizeof(report), MSG_DONTWAIT)) > 0)
		if (n == sizeof(report))
			heed(p, &report);
	if (n == 0 || (errno != EAGAIN && errno != EINTR))
		close_control(p);
}

static void on_readable(uv_poll_t *handle, int status, int events)
{
	(void)status;
	(void)events;
	listen_to_shim(handle->data);
}

/* --- when the shim ends --- */

static void on_none_left(struct orphans *o, int killed)
{
	struct process *p = LIST_ENTRY(o, struct process, orphans);
	p->killed = killed;
	if (p->started)
		tell_exited(p, &(struct process_exit){.status = SIGKILL, .shim_killed = true});
	close_handles(p);
}

/* The main process, adopted from a dead shim, which tied its life to its own. */
static void on_main_end(struct reaper_child *child, int status, const struct rusage *usage)
{
	struct process *p = LIST_ENTRY(child, struct process, main);
	tell_exited(p, &(struct process_exit){
			       .status = status,
			       .cpu_us = (int64_t)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1000000 +
					 usage->ru_utime.tv_usec + usage->ru_stime.tv_usec,
			       .peak_bytes = (int64_t)usage->ru_maxrss * 1024,
			       .shim_killed = true,
		       });
}

/* The kernel gave us the shim's children before it told of its death, so the main
 * process, unless the shim had waited for it already, is ours to wait for now. */
static void take_over(struct process *p)
{
	siginfo_t info;
	p->shim_died = true;
	if (!p->started) {
		p->error = ECHILD;
		p->step = SHIM_STEP_SHIM;
	}
	if (p->pid && waitid(P_PID, (id_t)p->pid, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0) {
		p->main.pid = p->pid;
		p->main.on_end = on_main_end;
		kill(p->pid, SIGKILL);
		reaper_watch(p->port->reaper, &p->main);
	}
	orphans_sweep(&p->orphans, p->port->reaper, p->since_ticks, p->main.pid);
}

static void on_shim_end(struct reaper_child *child, int status, const struct rusage *usage)
{
	(void)status;
	(void)usage;
	struct process *p = LIST_ENTRY(child, struct process, shim);
	listen_to_shim(p);
	close_control(p);
	uv_timer_stop(&p->answer);
	if (p->gone || p->failed)
		close_handles(p);
	else
		take_over(p);
}

/* --- spawning --- */

static int start_shim(struct process_port *port, struct process *p, const struct process_spec *spec, struct fds *fds)
{
	char marker[256];
	struct buf text;
	buf_init(&text, OPTIONS_MAX_BYTES);
	write_options(&text, spec, fds->n - 1);
	char **argv = text.failed ? NULL : make_argv(spec, &text);
	char **env = make_env(spec, marker, sizeof(marker));
	int rc = argv && env ? clear_the_way(fds) : text.failed == -ENOSPC ? -E2BIG : -ENOMEM;
	p->since_ticks = orphans_now_ticks();
	if (rc == 0) {
		rc = spawn_shim(port->shim_path, fds, argv, env, &p->shim.pid);
		close_copies(fds);
	}
	free(env);
	free(argv);
	buf_fini(&text);
	return rc;
}

static struct fds list_fds(const struct process_spec *spec, int control)
{
	struct fds fds = {.source = {spec->stdio[0], spec->stdio[1], spec->stdio[2]}, .n = 3};
	if (spec->extra_fds[0] >= 0 || spec->extra_fds[1] >= 0) {
		fds.source[fds.n++] = spec->extra_fds[0];
		fds.source[fds.n++] = spec->extra_fds[1];
	}
	fds.source[fds.n++] = control;
	return fds;
}

/* When it fails the caller closes the socket: the shim then ends by itself, and
 * is nobody's. */
static int listen_on(struct process_port *port, struct process *p, int control)
{
	int rc = uv_poll_init(port->loop, &p->poll, control);
	if (rc < 0)
		return rc;
	uv_timer_init(port->loop, &p->answer);
	p->poll.data = p->answer.data = p;
	p->control = control;
	uv_poll_start(&p->poll, UV_READABLE | UV_DISCONNECT, on_readable);
	return 0;
}

static void begin(struct process_port *port, struct process *p)
{
	p->port = port;
	list_append(&port->live, &p->node);
	p->shim.on_end = on_shim_end;
	p->orphans.on_none = on_none_left;
	reaper_watch(port->reaper, &p->shim);
}

static void forget_run(struct process *p)
{
	void *data = p->data;
	memset(p, 0, sizeof(*p));
	p->data = data;
	p->control = -1;
}

int process_spawn(struct process_port *port, struct process *p, const struct process_spec *spec, struct err *err)
{
	if (!spec->argv[0] || spec->n_groups > PROCESS_GROUPS_MAX)
		return err_set(err, -EINVAL, "%s", spec->argv[0] ? "too many groups" : "no command to start");
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_set(err, -errno, "cannot start %s: no socket for its shim: %s", spec->name, strerror(errno));
	forget_run(p);
	struct fds fds = list_fds(spec, pair[1]);
	int rc = start_shim(port, p, spec, &fds);
	close(pair[1]);
	if (rc == 0)
		rc = listen_on(port, p, pair[0]);
	if (rc < 0) {
		close(pair[0]);
		return err_set(err, rc, "cannot start %s through %s: %s", spec->name, port->shim_path, strerror(-rc));
	}
	begin(port, p);
	return 0;
}

void process_port_init(struct process_port *port)
{
	list_init(&port->live);
}

void process_port_fini(struct process_port *port)
{
	LIST_EACH (at, &port->live) {
		struct process *p = LIST_ENTRY(at, struct process, node);
		list_remove(&p->node);
		reaper_forget(&p->shim);
		reaper_forget(&p->main);
		orphans_leave(&p->orphans);
		p->port = NULL;
		close_handles(p);
	}
}

/* --- where the shim is --- */

static bool try_shim(char *buf, size_t size, const char *dir, const char *rest)
{
	int n = snprintf(buf, size, "%s%s", dir, rest);
	return n > 0 && (size_t)n < size && access(buf, X_OK) == 0;
}

int process_find_shim(char *buf, size_t size, struct err *err)
{
	char dir[4096] = "", found[4096];
	const char *wish = getenv("PODVISOR_SHIM");
	ssize_t n = readlink("/proc/self/exe", dir, sizeof(dir) - 1);
	char *slash = n > 0 ? strrchr(dir, '/') : NULL;
	if (slash)
		*slash = '\0';
	if (wish && *wish ? !try_shim(found, sizeof(found), wish, "")
			  : !try_shim(found, sizeof(found), dir, "/podvisor-shim") &&
				    !try_shim(found, sizeof(found), dir, "/../libexec/podvisor/podvisor-shim"))
		return err_set(err, -ENOENT,
			"no podvisor-shim at %s (looked beside podvisor and in ../libexec/podvisor; set PODVISOR_SHIM)",
			wish && *wish ? wish : dir);
	if (strlen(found) >= size)
		return err_set(err, -ENAMETOOLONG, "the path of podvisor-shim is too long: %s", found);
	memcpy(buf, found, strlen(found) + 1);
	return 0;
}
