#include "podvisor/io/orphans.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "podvisor/base/buf.h"
#include "podvisor/wire/procfs.h"

#define PROC_FILE_MAX     (2 << 20) /* an environment is limited by the stack's rlimit */
#define NANOSECONDS_IN_1S 1000000000L

uint64_t orphans_now_ticks(void)
{
	struct timespec now;
	clock_gettime(CLOCK_BOOTTIME, &now);
	uint64_t per_second = (uint64_t)sysconf(_SC_CLK_TCK);
	return (uint64_t)now.tv_sec * per_second + (uint64_t)now.tv_nsec / (NANOSECONDS_IN_1S / per_second);
}

/* Files of /proc never block for long. False: not there, or not ours to read. */
static bool read_proc(const char *path, struct buf *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t n = 0;
	char *at;
	while ((at = buf_reserve(out, 4096)) && (n = read(fd, at, 4096)) > 0)
		out->len += (size_t)n;
	close(fd);
	return at && n == 0;
}

static bool read_proc_of(pid_t pid, const char *name, struct buf *out)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	buf_init(out, PROC_FILE_MAX);
	return read_proc(path, out);
}

/* bash exports functions as BASH_FUNC_name%%=..., so names are taken generously;
 * titles have a path, an option or a blank before any '='. */
static bool is_assignment(const char *entry, size_t len)
{
	size_t name = 0;
	while (name < len && isgraph((unsigned char)entry[name]) && !strchr("=/", entry[name]))
		name++;
	return name < len && entry[name] == '=' && (isalpha((unsigned char)entry[0]) || entry[0] == '_');
}

bool orphans_is_foreign(const char *environment, size_t len)
{
	static const char marker[] = ORPHANS_MARKER;
	bool any = false;
	for (size_t at = 0; at < len;) {
		const char *entry = environment + at;
		size_t n = strnlen(entry, len - at);
		if (!is_assignment(entry, n) || (n >= sizeof(marker) - 1 && !memcmp(entry, marker, sizeof(marker) - 1)))
			return false;
		any = true;
		at += n + 1;
	}
	return any;
}

static bool started_before(pid_t pid, uint64_t ticks)
{
	struct buf text;
	uint64_t start;
	bool before = read_proc_of(pid, "stat", &text) && procfs_start_ticks(buf_str(&text), &start) && start < ticks;
	buf_fini(&text);
	return before;
}

static bool is_foreign(pid_t pid)
{
	struct buf text;
	bool foreign = read_proc_of(pid, "environ", &text) && orphans_is_foreign(buf_str(&text), text.len);
	buf_fini(&text);
	return foreign;
}

static bool is_child(pid_t pid)
{
	siginfo_t info;
	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0;
}

/* Returns 1 when it was a stray. The pid cannot be reused meanwhile: only our own
 * wait would free it. */
static int kill_stray(const struct orphans *o, pid_t pid)
{
	if (pid <= 0 || reaper_knows(o->reaper, pid) || !is_child(pid))
		return 0;
	if (started_before(pid, o->since_ticks) || is_foreign(pid))
		return 0;
	kill(pid, SIGKILL);
	return 1;
}

/* Children are adopted by the first living thread, which is the main one. */
static bool kill_listed(const struct orphans *o, int *strays)
{
	char name[48];
	snprintf(name, sizeof(name), "task/%d/children", (int)getpid());
	struct buf text;
	bool read = read_proc_of(getpid(), name, &text);
	struct procfs_pids list = {0};
	for (size_t i = 0; read && i <= text.len; i++)
		*strays += kill_stray(o, procfs_next_pid(&list, i < text.len ? text.data[i] : '\n'));
	buf_fini(&text);
	return read;
}

/* For kernels without CONFIG_PROC_CHILDREN. */
static void kill_scanned(const struct orphans *o, int *strays)
{
	DIR *proc = opendir("/proc");
	const struct dirent *entry;
	while (proc && (entry = readdir(proc)))
		*strays += kill_stray(o, atoi(entry->d_name));
	if (proc)
		closedir(proc);
}

static void on_ends(struct reaper_watcher *watcher)
{
	struct orphans *o = LIST_ENTRY(watcher, struct orphans, watcher);
	int strays = 0;
	if (!kill_listed(o, &strays))
		kill_scanned(o, &strays);
	if (strays || reaper_knows(o->reaper, o->await))
		return;
	reaper_leave(&o->watcher);
	o->on_none(o, (int)(o->reaper->orphans_total - o->reaped_before));
}

void orphans_sweep(struct orphans *o, struct reaper *r, uint64_t since_ticks, pid_t await)
{
	o->await = await;
	o->reaper = r;
	o->since_ticks = since_ticks;
	o->reaped_before = r->orphans_total;
	o->watcher.on_ends = on_ends;
	reaper_follow(r, &o->watcher);
}

void orphans_leave(struct orphans *o)
{
	reaper_leave(&o->watcher);
}
