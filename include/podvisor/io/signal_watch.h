/* signal_watch owns how signals reach podvisor: held back from main's first line on, so that none is lost or does harm
 * while there is nobody to take it, then read by the loop. */
#ifndef PODVISOR_IO_SIGNAL_WATCH_H
#define PODVISOR_IO_SIGNAL_WATCH_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "podvisor/io/loop.h"

/* A set of signals. */
#define SIGNAL_WATCH_BIT(signum) (1ULL << ((signum)-1))
/* All that anybody may want: not the faults of podvisor's own, SIGCHLD (the reaper's), SIGPIPE (which a write of its
 * own may cause), and those that nobody can have. */
#define SIGNAL_WATCH_ALL                                                                           \
	(~(SIGNAL_WATCH_BIT(SIGILL) | SIGNAL_WATCH_BIT(SIGTRAP) | SIGNAL_WATCH_BIT(SIGABRT) |      \
		SIGNAL_WATCH_BIT(SIGBUS) | SIGNAL_WATCH_BIT(SIGFPE) | SIGNAL_WATCH_BIT(SIGSEGV) |  \
		SIGNAL_WATCH_BIT(SIGSYS) | SIGNAL_WATCH_BIT(SIGKILL) | SIGNAL_WATCH_BIT(SIGSTOP) | \
		SIGNAL_WATCH_BIT(SIGCHLD) | SIGNAL_WATCH_BIT(SIGPIPE)))

struct signal_watch {
	uv_signal_t handles[_NSIG];
	uint64_t watched;
	void (*arrived)(void *ctx, int signum);
	void *ctx;
};

/* Holds back all that could be watched. The kernel drops what would kill PID 1, until there is a handler or it is
 * blocked (kernel's sig_ignored). */
void signal_watch_hold(void);
/* Whether one is held back that came. */
bool signal_watch_holds(int signum);
/* Ignores that set for good; those that podvisor starts are not touched by it. */
void signal_watch_ignore(uint64_t set);
/* From here on arrived is called from the loop for each of that set: for those that were held back too, and those that
 * whoever started podvisor had blocked. SIGPIPE is ignored; SIGCHLD stays blocked, as the reaper wants it. */
void signal_watch_open(
	struct signal_watch *w, struct loop *l, uint64_t set, void (*arrived)(void *ctx, int signum), void *ctx);
/* Closes the handles; w must live until the loop has turned once more. All zero is fine. */
void signal_watch_close(struct signal_watch *w);

#endif
