#include "podvisor/shim/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "podvisor/wire/procfs.h"

/* Asking wait first makes it impossible to hit a stranger, even where /proc
 * belongs to another PID namespace: only a child of ours can be waited for, and
 * until we wait for it its number is not given to anybody else. */
static void kill_child(pid_t pid)
{
	siginfo_t info;
	if (pid > 0 && waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0)
		kill(pid, SIGKILL);
}

/* The kernel's list may skip entries while others are removed from it. Here
 * only wait removes them, which this thread does not do meanwhile, and new ones
 * are appended, so no child is missed (proc(5), /proc/pid/task/tid/children). */
static bool kill_listed(void)
{
	int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	char chunk[512];
	struct procfs_pids list = {0};
	ssize_t n;
	while ((n = read(fd, chunk, sizeof(chunk))) > 0)
		for (ssize_t i = 0; i < n; i++)
			kill_child(procfs_next_pid(&list, chunk[i]));
	kill_child(procfs_next_pid(&list, '\n'));
	close(fd);
	return true;
}

static void kill_scanned(void)
{
	int fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	_Alignas(struct dirent64) char chunk[2048];
	ssize_t n;
	while ((n = getdents64(fd, (void *)chunk, sizeof(chunk))) > 0)
		for (ssize_t i = 0; i < n;) {
			const struct dirent64 *entry = (const struct dirent64 *)(chunk + i);
			kill_child(atoi(entry->d_name));
			i += entry->d_reclen;
		}
	close(fd);
}

void tree_kill(bool scan_proc)
{
	if (scan_proc || !kill_listed())
		kill_scanned();
}
