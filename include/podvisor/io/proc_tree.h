/* proc_tree owns one picture of all processes and who descends from whom. It
 * walks /proc (proc(5)), so it belongs into a thread of the pool. */
#ifndef PODVISOR_IO_PROC_TREE_H
#define PODVISOR_IO_PROC_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct proc_entry {
	pid_t pid, parent;
	char state; /* R, S, D, T, ... */
	unsigned long long ticks; /* user and system time */
};

struct proc_tree {
	struct proc_entry *entries; /* owned, by pid */
	size_t n;
};

/* -errno when /proc cannot be read. */
int proc_tree_read(struct proc_tree *out);
void proc_tree_fini(struct proc_tree *t);
/* Of these roots (sorted), the one that the process is below: its index, or -1. */
int proc_tree_root_of(const struct proc_tree *t, const struct proc_entry *e, const pid_t *roots, size_t n);
/* NULL when there was none. */
const struct proc_entry *proc_tree_find(const struct proc_tree *t, pid_t pid);
/* /proc/PID/NAME, or with tid /proc/PID/task/TID/NAME, cut to size and terminated. Its length, or -errno. */
ssize_t proc_tree_file(pid_t pid, pid_t tid, const char *name, char *out, size_t size);

#endif
