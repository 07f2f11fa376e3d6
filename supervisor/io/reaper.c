#include "podvisor/io/reaper.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* Ends taken at a time; after a burst of ten thousand the loop must not wait for
 * all of them before it answers a probe. */
#define BATCH_MAX 256

static struct list *bucket_of(struct reaper *r, pid_t pid)
{
	return &r->children[(unsigned)pid % REAPER_BUCKETS];
}

static struct reaper_child *find(const struct reaper *r, pid_t pid)
{
	const struct list *bucket = &r->children[(unsigned)pid % REAPER_BUCKETS];
	for (struct list *at = bucket->next; at != bucket; at = at->next) {
		struct reaper_child *child = LIST_ENTRY(at, struct reaper_child, node);
		if (child->pid == pid)
			return child;
	}
	return NULL;
}

static void ended(struct reaper *r, pid_t pid, int status, const struct rusage *usage)
{
	struct reaper_child *child = find(r, pid);
	if (!child) {
		r->orphans_total++;
		return;
	}
	list_remove(&child->node);
	child->on_end(child, status, usage);
}

static void tell_watchers(struct reaper *r)
{
	LIST_EACH (at, &r->watchers) {
		struct reaper_watcher *watcher = LIST_ENTRY(at, struct reaper_watcher, node);
		watcher->on_ends(watcher);
	}
}

static pid_t wait_for_one(int *status, struct rusage *usage)
{
	pid_t pid;
	do
		pid = wait4(-1, status, WNOHANG | __WALL, usage);
	while (pid < 0 && errno == EINTR);
	return pid;
}

/* SIGCHLD does not queue: one may stand for many, so wait until there is none. */
static void reap(struct reaper *r)
{
	int status;
	struct rusage usage;
	pid_t pid = 0;
	int n = 0;
	while (n < BATCH_MAX && (pid = wait_for_one(&status, &usage)) > 0) {
		ended(r, pid, status, &usage);
		n++;
	}
	if (n)
		tell_watchers(r);
	if (pid <= 0)
		uv_idle_stop(&r->more);
}

static void on_idle(uv_idle_t *handle)
{
	reap(handle->data);
}

static void on_sigchld(uv_poll_t *handle, int status, int events)
{
	(void)status;
	(void)events;
	struct reaper *r = handle->data;
	struct signalfd_siginfo info;
	if (read(r->signals, &info, sizeof(info)) < 0)
		return;
	uv_idle_start(&r->more, on_idle);
	reap(r);
}

static void mask_sigchld(int how, sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGCHLD);
	pthread_sigmask(how, set, NULL);
}

/* A descriptor, not libuv's handler: that one costs a write, a read and a return
 * from the handler for each SIGCHLD, and among 10,000 orphans that is felt. Where
 * podvisor was started with SIGCHLD ignored, the kernel would keep no exit for us
 * (wait(2)). */
static int open_signals(struct reaper *r, uv_loop_t *loop)
{
	sigset_t set;
	signal(SIGCHLD, SIG_DFL);
	mask_sigchld(SIG_BLOCK, &set);
	r->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	int rc = r->signals < 0 ? -errno : uv_poll_init(loop, &r->poll, r->signals);
	if (rc == 0)
		return 0;
	if (r->signals >= 0)
		close(r->signals);
	mask_sigchld(SIG_UNBLOCK, &set);
	return rc;
}

static bool proc_is_ours(void)
{
	char text[24] = "";
	return readlink("/proc/self", text, sizeof(text) - 1) > 0 && atoi(text) == getpid();
}

int reaper_init(struct reaper *r, uv_loop_t *loop, struct err *err)
{
	if (!proc_is_ours())
		return err_set(
			err, -ENOTSUP, "/proc is not mounted, or belongs to another PID namespace than podvisor");
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		return err_set(err, -errno, "cannot adopt orphans: %s", strerror(errno));
	memset(r, 0, sizeof(*r));
	for (size_t i = 0; i < REAPER_BUCKETS; i++)
		list_init(&r->children[i]);
	list_init(&r->watchers);
	int rc = open_signals(r, loop);
	if (rc < 0)
		return err_set(err, rc, "cannot take SIGCHLD: %s", uv_strerror(rc));
	uv_idle_init(loop, &r->more);
	r->poll.data = r->more.data = r;
	uv_poll_start(&r->poll, UV_READABLE, on_sigchld);
	/* Children may have ended before podvisor was executed. */
	uv_idle_start(&r->more, on_idle);
	return 0;
}

void reaper_fini(struct reaper *r)
{
	sigset_t set;
	uv_close((uv_handle_t *)&r->poll, NULL);
	uv_close((uv_handle_t *)&r->more, NULL);
	close(r->signals);
	mask_sigchld(SIG_UNBLOCK, &set);
}

void reaper_watch(struct reaper *r, struct reaper_child *child)
{
	list_append(bucket_of(r, child->pid), &child->node);
}

void reaper_forget(struct reaper_child *child)
{
	if (child->node.next)
		list_remove(&child->node);
}

bool reaper_knows(const struct reaper *r, pid_t pid)
{
	return find(r, pid) != NULL;
}

void reaper_follow(struct reaper *r, struct reaper_watcher *watcher)
{
	list_append(&r->watchers, &watcher->node);
}

void reaper_leave(struct reaper_watcher *watcher)
{
	if (watcher->node.next)
		list_remove(&watcher->node);
}
