/* worker FIFO [deaf] [daemon]: stamps that it runs, and waits. deaf: ignores
 * SIGTERM. daemon: leaves a daemonised grandchild that ignores it too. */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "stamp.h"

#define LIFE_S 900

static void leave_daemon(const char *fifo)
{
	pid_t child = fork();
	if (child == 0) {
		setsid();
		if (fork() != 0)
			_exit(0);
		signal(SIGTERM, SIG_IGN);
		stamp_live_at_most(LIFE_S);
		stamp_write(fifo, STAMP_DAEMON);
		for (;;)
			pause();
	}
	waitpid(child, NULL, 0);
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 64;
	stamp_live_at_most(LIFE_S);
	for (int i = 2; i < argc; i++) {
		if (!strcmp(argv[i], "deaf"))
			signal(SIGTERM, SIG_IGN);
		else if (!strcmp(argv[i], "daemon"))
			leave_daemon(argv[1]);
	}
	stamp_write(argv[1], STAMP_WORKER);
	for (;;)
		pause();
}
