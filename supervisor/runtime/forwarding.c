#include "podvisor/runtime/forwarding.h"

#include <signal.h>
#include <stdbool.h>

#include "podvisor/io/signal_watch.h"

static bool stops_a_job(int signum)
{
	return signum == SIGTSTP || signum == SIGTTIN || signum == SIGTTOU;
}

/* The command leads a session of its own, where the kernel does not let a terminal's stop signals stop it (an orphaned
 * process group): SIGSTOP does, and podvisor stops with it, so that the shell that started both sees its job stopped.
 */
void forwarding_pass(struct forwarding *f, struct workers *workers, int signum)
{
	if (!workers_forward(workers, stops_a_job(signum) ? SIGSTOP : signum))
		f->early |= SIGNAL_WATCH_BIT(signum);
	else if (stops_a_job(signum))
		raise(SIGSTOP);
}

void forwarding_begin(struct forwarding *f, struct workers *workers)
{
	uint64_t early = f->early;
	f->early = 0;
	for (int signum = 1; signum < _NSIG; signum++)
		if (early & SIGNAL_WATCH_BIT(signum))
			forwarding_pass(f, workers, signum);
}
