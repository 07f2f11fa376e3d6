#include "podvisor/io/signal_watch.h"

void signal_watch_hold(void)
{
	sigset_t set;
	sigemptyset(&set);
	for (int signum = 1; signum < _NSIG; signum++)
		if (SIGNAL_WATCH_ALL & SIGNAL_WATCH_BIT(signum))
			sigaddset(&set, signum);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

bool signal_watch_holds(int signum)
{
	sigset_t pending;
	return sigpending(&pending) == 0 && sigismember(&pending, signum) == 1;
}

static void on_signal(uv_signal_t *handle, int signum)
{
	struct signal_watch *w = handle->data;
	w->arrived(w->ctx, signum);
}

/* The C library keeps two for itself. */
static bool can_be_watched(int signum)
{
	return signum <= SIGSYS || signum >= SIGRTMIN;
}

void signal_watch_ignore(uint64_t set)
{
	for (int signum = 1; signum < _NSIG; signum++)
		if (set & SIGNAL_WATCH_BIT(signum))
			signal(signum, SIG_IGN);
}

static void release(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_SETMASK, &set, NULL);
}

void signal_watch_open(
	struct signal_watch *w, struct loop *l, uint64_t set, void (*arrived)(void *ctx, int signum), void *ctx)
{
	signal(SIGPIPE, SIG_IGN);
	w->arrived = arrived;
	w->ctx = ctx;
	for (int signum = 1; signum < _NSIG; signum++) {
		if (!(set & SIGNAL_WATCH_BIT(signum)) || !can_be_watched(signum))
			continue;
		uv_signal_init(&l->uv, &w->handles[signum]);
		w->handles[signum].data = w;
		uv_signal_start(&w->handles[signum], on_signal, signum);
		w->watched |= SIGNAL_WATCH_BIT(signum);
	}
	release();
}

void signal_watch_close(struct signal_watch *w)
{
	for (int signum = 1; signum < _NSIG; signum++)
		if (w->watched & SIGNAL_WATCH_BIT(signum))
			uv_close((uv_handle_t *)&w->handles[signum], NULL);
	w->watched = 0;
}
