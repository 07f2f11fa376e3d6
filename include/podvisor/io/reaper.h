/* reaper owns the waiting for every child of this process, its own and those it
 * adopts: as PID 1 the orphans of the whole PID namespace, otherwise (it is made a
 * subreaper) those of its descendants. There is only one, because a second
 * waiter beside waitpid(-1) loses exits; libuv's uv_spawn would be one. */
#ifndef PODVISOR_IO_REAPER_H
#define PODVISOR_IO_REAPER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <uv.h>

#include "podvisor/base/err.h"
#include "podvisor/base/list.h"

#define REAPER_BUCKETS 256

/* A child whose end is of interest; lives inside whoever waits. */
struct reaper_child {
	struct list node; /* set by reaper */
	pid_t pid;
	/* status as waitpid gives it; usage is its own and its waited-for children's.
	 * The child is forgotten already. */
	void (*on_end)(struct reaper_child *child, int status, const struct rusage *usage);
};

/* Somebody who wants to look again whenever a child, known or not, has ended. */
struct reaper_watcher {
	struct list node; /* set by reaper */
	void (*on_ends)(struct reaper_watcher *watcher);
};

struct reaper {
	int signals; /* where SIGCHLD is read from; it is blocked for that */
	uv_poll_t poll;
	uv_idle_t more; /* active while a burst is taken in slices */
	struct list children[REAPER_BUCKETS]; /* by pid */
	struct list watchers;
	uint64_t orphans_total; /* ended without anybody having asked for them */
};

/* Threads that were made before must have SIGCHLD blocked, or they take it away.
 * Makes this process a subreaper and takes SIGCHLD, which stays blocked in this
 * thread and those it starts until reaper_fini. -ENOTSUP when /proc is missing
 * or shows another PID namespace (`unshare --pid` without `--mount-proc`), for
 * then nobody could find the children of ours that have to be killed. */
int reaper_init(struct reaper *r, uv_loop_t *loop, struct err *err) MUST_CHECK;
/* Closes the handles; r must live until the loop has turned once more. */
void reaper_fini(struct reaper *r);

/* child->pid and child->on_end are set and the pid is an unwaited child: call it in
 * the same turn of the loop that made the process. */
void reaper_watch(struct reaper *r, struct reaper_child *child);
/* Its end is then that of an orphan. Harmless when it is not watched. */
void reaper_forget(struct reaper_child *child);
bool reaper_knows(const struct reaper *r, pid_t pid);

/* From now on, at the end of each batch, until reaper_leave (harmless to repeat,
 * and allowed inside the callback). */
void reaper_follow(struct reaper *r, struct reaper_watcher *watcher);
void reaper_leave(struct reaper_watcher *watcher);

#endif
