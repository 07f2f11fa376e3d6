#include "podvisor/io/proc_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROCESSES_MAX   65536
#define GENERATIONS_MAX 64

ssize_t proc_tree_file(pid_t pid, pid_t tid, const char *name, char *out, size_t size)
{
	char path[96];
	if (tid)
		snprintf(path, sizeof(path), "/proc/%d/task/%d/%s", (int)pid, (int)tid, name);
	else
		snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	out[0] = '\0';
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ssize_t n = read(fd, out, size - 1);
	int error = n < 0 ? -errno : 0;
	close(fd);
	out[n > 0 ? n : 0] = '\0';
	return error < 0 ? error : n;
}

/* The command's name may contain blanks and parentheses: what counts stands behind the last one. */
static bool read_entry(pid_t pid, struct proc_entry *out)
{
	char text[1024], state;
	int parent;
	unsigned long long user, kernel;
	if (proc_tree_file(pid, 0, "stat", text, sizeof(text)) <= 0)
		return false;
	const char *at = strrchr(text, ')');
	if (!at || sscanf(at + 1, " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &state, &parent, &user,
			   &kernel) != 4)
		return false;
	*out = (struct proc_entry){.pid = pid, .parent = parent, .state = state, .ticks = user + kernel};
	return true;
}

static int by_pid(const void *a, const void *b)
{
	const struct proc_entry *x = a, *y = b;
	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

int proc_tree_read(struct proc_tree *out)
{
	struct proc_tree t = {0};
	size_t cap = 0;
	DIR *dir = opendir("/proc");
	if (!dir)
		return -errno;
	for (struct dirent *d; (d = readdir(dir)) && t.n < PROCESSES_MAX;) {
		int pid = atoi(d->d_name);
		if (pid <= 0)
			continue;
		if (t.n == cap) {
			cap = cap ? cap * 2 : 256;
			struct proc_entry *more = realloc(t.entries, cap * sizeof(*more));
			if (!more)
				break;
			t.entries = more;
		}
		t.n += read_entry(pid, &t.entries[t.n]);
	}
	closedir(dir);
	if (t.n)
		qsort(t.entries, t.n, sizeof(*t.entries), by_pid);
	*out = t;
	return 0;
}

void proc_tree_fini(struct proc_tree *t)
{
	free(t->entries);
	*t = (struct proc_tree){0};
}

const struct proc_entry *proc_tree_find(const struct proc_tree *t, pid_t pid)
{
	struct proc_entry wanted = {.pid = pid};
	return t->n ? bsearch(&wanted, t->entries, t->n, sizeof(*t->entries), by_pid) : NULL;
}

static int index_of(pid_t pid, const pid_t *roots, size_t n)
{
	size_t low = 0, high = n;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (roots[middle] == pid)
			return (int)middle;
		if (roots[middle] < pid)
			low = middle + 1;
		else
			high = middle;
	}
	return -1;
}

/* Follows the parents up; bounded, for the picture was not taken at one instant. */
int proc_tree_root_of(const struct proc_tree *t, const struct proc_entry *e, const pid_t *roots, size_t n)
{
	for (int i = 0; e && i < GENERATIONS_MAX; i++) {
		int found = index_of(e->parent, roots, n);
		if (found >= 0)
			return found;
		e = proc_tree_find(t, e->parent);
	}
	return -1;
}
