/* floor COUNT STOP_SECONDS COMMAND ARGS...: a supervisor without features. It
 * starts COUNT times the command, starts each anew that ends, reaps orphans, and
 * on SIGTERM passes that on, kills after STOP_SECONDS, and ends when all have. */
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char **command;
static pid_t *pids;
static int count;
static sigset_t set;

static pid_t start(void)
{
	pid_t pid = vfork(); /* NOLINT(clang-analyzer-security.insecureAPI.vfork) */
	if (pid == 0) {
		sigprocmask(SIG_UNBLOCK, &set, NULL); /* NOLINT(clang-analyzer-unix.Vfork) */
		execv(command[0], command);
		_exit(127);
	}
	return pid;
}

static void signal_all(int number)
{
	for (int i = 0; i < count; i++)
		if (pids[i] > 0)
			kill(pids[i], number);
}

static int reap(bool stopping)
{
	int status, alive = 0;
	pid_t pid;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (int i = 0; i < count; i++)
			if (pids[i] == pid)
				pids[i] = stopping ? 0 : start();
	for (int i = 0; i < count; i++)
		alive += pids[i] > 0;
	return alive;
}

static void stop(time_t seconds)
{
	const struct timespec limit = {.tv_sec = seconds};
	signal_all(SIGTERM);
	while (reap(true) && sigtimedwait(&set, NULL, &limit) > 0)
		;
	signal_all(SIGKILL);
	while (reap(true))
		sigwaitinfo(&set, NULL);
}

int main(int argc, char **argv)
{
	if (argc < 4)
		return 64;
	count = atoi(argv[1]);
	command = argv + 3;
	pids = calloc((size_t)count + 1, sizeof(*pids));
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (int i = 0; pids && i < count; i++)
		pids[i] = start();
	while (sigwaitinfo(&set, NULL) != SIGTERM)
		reap(false);
	stop(atoi(argv[2]));
	return 0;
}
