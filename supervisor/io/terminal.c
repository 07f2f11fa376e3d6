#include "podvisor/io/terminal.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* The kernel tells the group in the terminal's foreground, ours, that it is gone: SIGHUP, then SIGCONT. Both mean
 * nothing here. What is blocked would stay pending even though it is ignored. */
static void detach(void)
{
	sigset_t told, mask;
	sigemptyset(&told);
	sigaddset(&told, SIGHUP);
	sigaddset(&told, SIGCONT);
	signal(SIGHUP, SIG_IGN);
	sigprocmask(SIG_UNBLOCK, &told, &mask);
	ioctl(STDIN_FILENO, TIOCNOTTY);
	sigprocmask(SIG_SETMASK, &mask, NULL);
}

/* tcgetpgrp answers for the caller's own controlling terminal alone. (tcgetsid would say the same, but by an ioctl that
 * valgrind does not know.) */
void terminal_give_up(void)
{
	if (getsid(0) == getpid() && tcgetpgrp(STDIN_FILENO) >= 0)
		detach();
}
