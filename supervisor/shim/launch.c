#include "podvisor/shim/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "podvisor/shim/kernel.h"

/* The child of vfork runs in our memory until it executes: it may only make
 * system calls and leave word of a failure here. */
static volatile struct {
	int error;
	enum shim_step step;
} failure;

static pid_t shim_pid;

/* Its own session, so that neither a terminal's Ctrl-C nor the worker's own
 * kill(0, ...) reaches anybody else. */
static int begin_session(const struct options *o)
{
	if (o->umask != OPTIONS_INHERIT)
		umask((mode_t)o->umask);
	if (setsid() < 0)
		return -1;
	/* Refused when it is no terminal or somebody else's: then there is none, as for any worker. */
	if (o->terminal)
		ioctl(STDIN_FILENO, TIOCSCTTY, 0);
	return 0;
}

static int set_oom_score(const struct options *o)
{
	if (o->oom_score_adj == OPTIONS_INHERIT)
		return 0;
	char text[24], *at = text + sizeof(text);
	uint64_t rest = (uint64_t)(o->oom_score_adj < 0 ? -o->oom_score_adj : o->oom_score_adj);
	do
		*--at = (char)('0' + rest % 10);
	while (rest /= 10);
	if (o->oom_score_adj < 0)
		*--at = '-';
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	ssize_t n = write(fd, at, (size_t)(text + sizeof(text) - at));
	int error = errno;
	close(fd);
	errno = error;
	return n < 0 ? -1 : 0;
}

static int set_nice(const struct options *o)
{
	return o->nice == OPTIONS_INHERIT ? 0 : setpriority(PRIO_PROCESS, 0, (int)o->nice);
}

static int set_limit(int resource, int64_t soft, int64_t hard)
{
	struct rlimit limit = {.rlim_cur = (rlim_t)soft, .rlim_max = (rlim_t)hard};
	return soft == OPTIONS_INHERIT ? 0 : setrlimit(resource, &limit);
}

static int set_open_files(const struct options *o)
{
	struct rlimit limit;
	if (o->soft_files == OPTIONS_INHERIT || getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return set_limit(RLIMIT_NOFILE, o->open_files, o->open_files);
	limit.rlim_cur = (rlim_t)o->soft_files;
	return setrlimit(RLIMIT_NOFILE, &limit);
}

static int set_core(const struct options *o)
{
	return set_limit(RLIMIT_CORE, o->core_bytes, o->core_bytes);
}

/* SIGXCPU at the limit names the cause; where the two are equal the kernel
 * sends SIGKILL at once (getrlimit(2)). */
static int set_cpu(const struct options *o)
{
	return set_limit(RLIMIT_CPU, o->cpu_seconds, o->cpu_seconds + 1);
}

/* setgroups needs a capability even when nothing changes; a worker that is to
 * run as the user that podvisor already is keeps the groups the pod gave it. */
static bool is_already(const struct options *o)
{
	return (o->uid == OPTIONS_INHERIT || o->uid == geteuid()) && (o->gid == OPTIONS_INHERIT || o->gid == getegid());
}

/* Bare system calls: the C library's own would tell other threads, in the
 * memory that we share with the shim. */
static int take_groups(const struct options *o)
{
	if (!o->group_list || is_already(o))
		return 0;
	return (int)syscall(SYS_setgroups, o->n_groups, o->groups);
}

static int take_gid(const struct options *o)
{
	return o->gid == OPTIONS_INHERIT ? 0 : (int)syscall(SYS_setresgid, o->gid, o->gid, o->gid);
}

static int become_user(const struct options *o)
{
	return o->uid == OPTIONS_INHERIT ? 0 : (int)syscall(SYS_setresuid, o->uid, o->uid, o->uid);
}

static int enter_cwd(const struct options *o)
{
	return o->cwd ? chdir(o->cwd) : 0;
}

/* After setresuid, which clears it. The shim may have died just before. */
static int tie_to_shim(const struct options *o)
{
	(void)o;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return -1;
	if (getppid() == shim_pid)
		return 0;
	errno = ESRCH;
	return -1;
}

/* posix_spawn leaves the C library's own two signals ignored; a worker that is
 * no C program may use them. */
static void restore_internal_signals(void)
{
	for (int n = 32; n <= 33; n++)
		kernel_default_action(n);
}

/* Everything podvisor opened is O_CLOEXEC already; close_range is for what
 * podvisor itself was started with. The environment is the worker's own, so it
 * is its PATH that is searched. */
static int execute(const struct options *o)
{
	kernel_close_range((unsigned)o->keep, ~0U, CLOSE_RANGE_CLOEXEC);
	restore_internal_signals();
	if (o->ignore != OPTIONS_INHERIT)
		kernel_ignore((int)o->ignore);
	kernel_mask_all(SIG_UNBLOCK);
	execvp(o->command[0], o->command);
	return -1;
}

/* In the order of enum shim_step. */
static int (*const steps[SHIM_STEP_COUNT])(const struct options *o) = {
	[SHIM_STEP_SESSION] = begin_session,
	[SHIM_STEP_OOM_SCORE] = set_oom_score,
	[SHIM_STEP_NICE] = set_nice,
	[SHIM_STEP_OPEN_FILES] = set_open_files,
	[SHIM_STEP_CORE] = set_core,
	[SHIM_STEP_CPU] = set_cpu,
	[SHIM_STEP_GROUPS] = take_groups,
	[SHIM_STEP_GID] = take_gid,
	[SHIM_STEP_UID] = become_user,
	[SHIM_STEP_CWD] = enter_cwd,
	[SHIM_STEP_PARENT] = tie_to_shim,
	[SHIM_STEP_EXEC] = execute,
};

static _Noreturn void become_worker(const struct options *o)
{
	for (int step = 0; step < SHIM_STEP_COUNT; step++)
		if (steps[step] && steps[step](o) < 0) {
			failure.error = errno;
			failure.step = (enum shim_step)step;
			break;
		}
	_exit(127);
}

/* vfork: no page of ours is copied, the exec's result is known when it returns,
 * and the worker's peak size does not begin with that of podvisor. */
pid_t launch_main(const struct options *o, int *error, enum shim_step *step)
{
	shim_pid = getpid();
	failure.error = 0;
	/* The checker's worries are answered above and at struct failure. */
	pid_t pid = vfork(); /* NOLINT(clang-analyzer-security.insecureAPI.vfork) */
	if (pid == 0)
		become_worker(o); /* NOLINT(clang-analyzer-unix.Vfork) */
	if (pid > 0 && !failure.error)
		return pid;
	*error = pid < 0 ? errno : failure.error;
	*step = pid < 0 ? SHIM_STEP_FORK : failure.step;
	if (pid > 0)
		waitpid(pid, NULL, 0);
	return -1;
}
