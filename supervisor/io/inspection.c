#include "podvisor/io/inspection.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "podvisor/io/proc_tree.h"

/* "[<0>] do_epoll_wait+0x59c/0x660" a line becomes "do_epoll_wait < do_syscall_64". */
static void put_stack(struct buf *out, const char *stack)
{
	const char *between = "; stack: ";
	for (const char *line = stack; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		const char *name = strstr(line, "] ");
		if (!name)
			return;
		name += 2;
		buf_printf(out, "%s%.*s", between, (int)strcspn(name, "+\n"), name);
		between = " < ";
	}
}

static void put_thread(struct buf *out, pid_t pid, pid_t tid)
{
	char name[32], stat[512], wchan[64], stack[2048];
	if (proc_tree_file(pid, tid, "comm", name, sizeof(name)) <= 0 ||
		proc_tree_file(pid, tid, "stat", stat, sizeof(stat)) <= 0)
		return;
	const char *state = strrchr(stat, ')');
	name[strcspn(name, "\n")] = '\0';
	buf_printf(
		out, "pid %d, thread %d (%s): state %c", (int)pid, (int)tid, name, state && state[1] ? state[2] : '?');
	if (proc_tree_file(pid, tid, "wchan", wchan, sizeof(wchan)) > 0 && strcmp(wchan, "0") != 0)
		buf_printf(out, ", waits in %s", wchan);
	if (proc_tree_file(pid, tid, "stack", stack, sizeof(stack)) > 0)
		put_stack(out, stack);
	buf_putc(out, '\n');
}

/* How many of the threads that may be told are left. */
static int put_process(struct buf *out, pid_t pid, int left)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	DIR *dir = opendir(path);
	for (struct dirent *d; left > 0 && dir && (d = readdir(dir));) {
		int tid = atoi(d->d_name);
		if (tid <= 0)
			continue;
		put_thread(out, pid, tid);
		left--;
	}
	if (dir)
		closedir(dir);
	return left;
}

static void put_tree(struct buf *out, pid_t shim, pid_t main_pid, struct event_inspection *facts)
{
	struct proc_tree t;
	int left = INSPECTION_THREADS_MAX;
	if (proc_tree_read(&t) < 0)
		return;
	for (size_t i = 0; i < t.n && left > 0; i++) {
		const struct proc_entry *e = &t.entries[i];
		if (proc_tree_root_of(&t, e, &shim, 1) < 0)
			continue;
		if (e->pid == main_pid)
			facts->stopped = e->state == 'T' || e->state == 't';
		left = put_process(out, e->pid, left);
	}
	proc_tree_fini(&t);
}

static int64_t now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Over the window, which may last longer for whoever does not get the processor. */
static int throttled_percent(const struct cgroup *cgroup)
{
	const struct timespec window = {.tv_nsec = INSPECTION_WINDOW_MS * 1000000L};
	int64_t before = cgroup_throttled_us(cgroup), begun = now_us();
	if (before < 0)
		return 0;
	nanosleep(&window, NULL);
	int64_t throttled = cgroup_throttled_us(cgroup) - before, took = now_us() - begun;
	return throttled > 0 && took > 0 ? (int)(throttled * 100 / took) : 0;
}

void inspection_make(
	pid_t shim, pid_t main_pid, const struct cgroup *cgroup, struct buf *lines, struct event_inspection *out)
{
	*out = (struct event_inspection){0};
	put_tree(lines, shim, main_pid, out);
	if (!cgroup)
		return;
	out->throttled_percent = throttled_percent(cgroup);
	int pressure = cgroup_cpu_pressure_percent(cgroup);
	out->pressure_percent = pressure > 0 ? pressure : 0;
}
