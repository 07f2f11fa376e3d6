/* podvisor-shim stands between podvisor and one worker. It is the subreaper of
 * everything the worker starts, and it outlives all of it: when the main process
 * ends, when podvisor says so, or when podvisor is gone, it kills the tree and
 * waits until nothing is left. It needs no privilege for that. A worker under a
 * lease has a deadline, which podvisor moves on with each renewal: when it passes,
 * the shim kills by itself, even while podvisor is stopped. Idle, it sleeps in poll,
 * without a timer unless there is a deadline. It is statically linked, so that it is small and that
 * nothing in the worker's environment (LD_PRELOAD and the like) can change it. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "podvisor/shim/expiry.h"
#include "podvisor/shim/kernel.h"
#include "podvisor/shim/launch.h"
#include "podvisor/shim/options.h"
#include "podvisor/shim/tree.h"
#include "podvisor/wire/shim.h"

#define EXIT_USAGE 64

/* What the kernel sends when podvisor dies: catchable, because the tree still
 * has to be killed then. From anybody else it means nothing. */
#define PARENT_DEATH_SIGNAL SIGCONT /* it wakes a shim that somebody has stopped */

struct shim {
	const struct options *options;
	int control; /* -1 when podvisor's end is closed */
	int signals;
	int deadline; /* timer; -1: none */
	pid_t main_pid; /* 0 when reaped */
	int main_fd; /* pidfd of a main process that may be no child of ours; -1: none */
	bool reaped; /* main_pid is, and may be somebody else's number by now */
	bool killing;
	int killed;
};

/* Zeroed, and its group array stays untouched memory for most. */
static struct options options;

/* Never waits: there are at most a handful of reports, and when podvisor is
 * gone there is nobody to tell. */
static void tell(const struct shim *s, const struct shim_report *report)
{
	if (s->control >= 0)
		send(s->control, report, sizeof(*report), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void fail(const struct shim *s, enum shim_step step, int error)
{
	tell(s, &(struct shim_report){.kind = SHIM_FAILED, .step = step, .error = error});
}

static bool parent_is_gone(const struct options *o)
{
	return o->parent != OPTIONS_INHERIT && getppid() != o->parent;
}

/* All signals are blocked for good: two are read from a descriptor, the others,
 * whoever sends them, do not disturb the shim. */
static int prepare(struct shim *s)
{
	sigset_t wanted;
	sigemptyset(&wanted);
	sigaddset(&wanted, SIGCHLD);
	sigaddset(&wanted, PARENT_DEATH_SIGNAL);
	if (kernel_mask_all(SIG_BLOCK) < 0)
		return -1;
	s->signals = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signals < 0 || fcntl(s->control, F_SETFD, FD_CLOEXEC) < 0)
		return -1;
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		return -1;
	return prctl(PR_SET_PDEATHSIG, PARENT_DEATH_SIGNAL);
}

/* The worker's output must be seen to end when the worker does, and no mount
 * must stay busy on our account. */
static void let_go(const struct options *o)
{
	kernel_close_range(0, (unsigned)o->keep - 1, 0);
	if (chdir("/") < 0)
		return;
}

static int64_t microseconds(struct timeval t)
{
	return (int64_t)t.tv_sec * 1000000 + t.tv_usec;
}

static void main_ended(struct shim *s, int status, const struct rusage *usage)
{
	tell(s, &(struct shim_report){
			.kind = SHIM_EXITED,
			.pid = s->main_pid,
			.status = status,
			.cpu_us = microseconds(usage->ru_utime) + microseconds(usage->ru_stime),
			.peak_bytes = (int64_t)usage->ru_maxrss * 1024,
		});
	s->main_pid = 0;
	s->killing = true;
}

static void forget_main_fd(struct shim *s)
{
	if (s->main_fd >= 0)
		close(s->main_fd);
	s->main_fd = -1;
}

/* One that already ended cannot be followed: the one before stays. A main process
 * further down is seen to end through its descriptor; it becomes our child, whose
 * code is known, when those between have ended. */
static void follow(struct shim *s, pid_t pid)
{
	int fd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
	if (fd < 0 || !s->main_pid || s->killing)
		return;
	forget_main_fd(s);
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	s->main_fd = fd;
	s->main_pid = pid;
	s->reaped = false;
}

/* It ended as somebody else's child. While its parent has not waited for it, it becomes
 * ours, and tells its code, when the parent is killed with the rest of the tree. Else
 * its parent, not we, has learnt how it ended: 0 is as good as any. */
static void main_vanished(struct shim *s)
{
	struct rusage none = {0};
	forget_main_fd(s);
	if (kill(s->main_pid, 0) == 0)
		s->killing = true;
	else
		main_ended(s, 0, &none);
}

static void obey(struct shim *s, const struct shim_request *request)
{
	switch (request->verb) {
	case SHIM_SIGNAL:
		if (s->main_pid && !s->reaped)
			kill(s->main_pid, (int)request->value);
		break;
	case SHIM_FOLLOW:
		follow(s, (pid_t)request->value);
		break;
	case SHIM_DEADLINE:
		/* What cannot be held to its deadline ends now. */
		s->killing |= expiry_set(&s->deadline, request->value) < 0;
		break;
	case SHIM_KILL:
		s->killing = true;
		tell(s, &(struct shim_report){.kind = SHIM_KILLING});
		break;
	default:
		break;
	}
}

static void listen_to_podvisor(struct shim *s)
{
	struct shim_request request;
	ssize_t n;
	while ((n = recv(s->control, &request, sizeof(request), MSG_DONTWAIT)) > 0)
		if (n == sizeof(request))
			obey(s, &request);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	close(s->control);
	s->control = -1;
	s->killing = true;
}

/* What podvisor asked for before it ended comes first, and poll may not have told of it: another one may be the main
 * process by then. */
static void main_reaped(struct shim *s, int status, const struct rusage *usage)
{
	s->reaped = true;
	if (s->control >= 0)
		listen_to_podvisor(s);
	if (s->reaped)
		main_ended(s, status, usage);
}

/* Whether there is still a child, which is: whether anything of the tree lives. */
static bool reap(struct shim *s)
{
	int status;
	struct rusage usage;
	pid_t pid;
	while ((pid = wait4(-1, &status, WNOHANG | __WALL, &usage)) > 0) {
		if (pid == s->main_pid)
			main_reaped(s, status, &usage);
		else if (s->killing && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
			s->killed++;
	}
	return pid == 0;
}

/* Neither signal queues, so that one read takes both, and as many orphans as
 * have ended by then: in a burst of them each system call counts. */
static void read_signals(struct shim *s)
{
	struct signalfd_siginfo info[2];
	ssize_t n = read(s->signals, info, sizeof(info));
	for (ssize_t i = 0; i < n / (ssize_t)sizeof(info[0]); i++)
		if (info[i].ssi_signo == PARENT_DEATH_SIGNAL && parent_is_gone(s->options))
			s->killing = true;
}

/* After podvisor's requests: one of them may have moved it. */
static void read_deadline(struct shim *s)
{
	if (!s->killing && expiry_passed(s->deadline)) {
		s->killing = true;
		tell(s, &(struct shim_report){.kind = SHIM_KILLING});
	}
}

/* The one that ended may be the main process no longer. */
static void look_after_main(struct shim *s, int ended_fd)
{
	if (s->control >= 0)
		listen_to_podvisor(s);
	if (s->main_fd == ended_fd && s->main_pid)
		main_vanished(s);
}

/* The signals are read before the children are waited for, and those before the
 * tree is killed: whoever dies later makes poll return again. */
static bool turn(struct shim *s)
{
	struct pollfd fds[] = {{.fd = s->control, .events = POLLIN}, {.fd = s->signals, .events = POLLIN},
		{.fd = s->main_fd, .events = POLLIN}, {.fd = s->killing ? -1 : s->deadline, .events = POLLIN}};
	if (poll(fds, 4, -1) < 0)
		return true;
	if (fds[0].revents)
		listen_to_podvisor(s);
	if (fds[1].revents)
		read_signals(s);
	if (fds[3].revents)
		read_deadline(s);
	bool any = reap(s);
	if (fds[2].revents)
		look_after_main(s, fds[2].fd);
	if (!any) {
		tell(s, &(struct shim_report){.kind = SHIM_GONE, .killed = s->killed});
		return false;
	}
	if (s->killing)
		tree_kill(s->options->scan_proc);
	return true;
}

static int refuse(void)
{
	static const char usage[] = "podvisor-shim is started by podvisor for each worker, not by hand\n";
	if (write(STDERR_FILENO, usage, sizeof(usage) - 1) < 0)
		return EXIT_FAILURE;
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	if (argc < 2 || !options_parse(&options, argv) || fcntl((int)options.control, F_GETFD) < 0)
		return refuse();
	struct shim s = {.options = &options, .control = (int)options.control, .deadline = -1, .main_fd = -1};
	enum shim_step step;
	int error;
	if (prepare(&s) < 0) {
		fail(&s, SHIM_STEP_SHIM, errno);
		return EXIT_FAILURE;
	}
	if (parent_is_gone(&options))
		return EXIT_FAILURE;
	if (options.deadline != OPTIONS_INHERIT && expiry_set(&s.deadline, options.deadline) < 0) {
		fail(&s, SHIM_STEP_SHIM, errno);
		return EXIT_FAILURE;
	}
	if (expiry_passed(s.deadline)) {
		fail(&s, SHIM_STEP_DEADLINE, ETIME);
		return EXIT_SUCCESS;
	}
	s.main_pid = launch_main(&options, &error, &step);
	let_go(&options);
	if (s.main_pid < 0) {
		fail(&s, step, error);
		return EXIT_SUCCESS;
	}
	tell(&s, &(struct shim_report){.kind = SHIM_STARTED, .pid = s.main_pid});
	while (turn(&s))
		;
	return EXIT_SUCCESS;
}
