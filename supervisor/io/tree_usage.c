#include "podvisor/io/tree_usage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROCESSES_MAX   65536
#define GENERATIONS_MAX 64

struct entry {
	pid_t pid, parent;
	unsigned long long ticks; /* user and system time */
};

static ssize_t read_file(pid_t pid, const char *name, char *out, size_t size)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ssize_t n = read(fd, out, size - 1);
	int rc = n < 0 ? -errno : 0;
	close(fd);
	out[n > 0 ? n : 0] = '\0';
	return rc < 0 ? rc : n;
}

/* The command's name may contain blanks and parentheses: what counts stands behind the last one. */
static bool read_entry(pid_t pid, struct entry *out)
{
	char text[1024];
	int parent;
	unsigned long long user, kernel;
	if (read_file(pid, "stat", text, sizeof(text)) <= 0)
		return false;
	const char *at = strrchr(text, ')');
	if (!at ||
		sscanf(at + 1, " %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &parent, &user, &kernel) != 3)
		return false;
	*out = (struct entry){.pid = pid, .parent = parent, .ticks = user + kernel};
	return true;
}

static int read_all(struct entry **out, size_t *count)
{
	struct entry *entries = NULL;
	size_t n = 0, cap = 0;
	DIR *dir = opendir("/proc");
	if (!dir)
		return -errno;
	for (struct dirent *d; (d = readdir(dir)) && n < PROCESSES_MAX;) {
		int pid = atoi(d->d_name);
		if (pid <= 0)
			continue;
		if (n == cap) {
			cap = cap ? cap * 2 : 256;
			struct entry *more = realloc(entries, cap * sizeof(*more));
			if (!more)
				break;
			entries = more;
		}
		n += read_entry(pid, &entries[n]);
	}
	closedir(dir);
	*out = entries;
	*count = n;
	return 0;
}

static int by_pid(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

/* Follows the parents up; bounded, for the picture was not taken at one instant. */
static bool is_below(const struct entry *e, const struct entry *entries, size_t n, pid_t root)
{
	for (int i = 0; e && i < GENERATIONS_MAX; i++) {
		if (e->parent == root)
			return true;
		struct entry parent = {.pid = e->parent};
		e = bsearch(&parent, entries, n, sizeof(*entries), by_pid);
	}
	return false;
}

static int64_t private_bytes(pid_t pid)
{
	char text[128];
	long long resident, shared;
	if (read_file(pid, "statm", text, sizeof(text)) <= 0 || sscanf(text, "%*d %lld %lld", &resident, &shared) != 2)
		return 0;
	return (int64_t)(resident - shared) * sysconf(_SC_PAGESIZE);
}

static int64_t memory_of(pid_t pid)
{
	char text[2048];
	long long kib;
	const char *at = read_file(pid, "smaps_rollup", text, sizeof(text)) > 0 ? strstr(text, "\nPss:") : NULL;
	return at && sscanf(at, "\nPss: %lld kB", &kib) == 1 ? (int64_t)kib * 1024 : private_bytes(pid);
}

static int64_t fds_of(pid_t pid)
{
	char path[64];
	int64_t n = 0;
	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	DIR *dir = opendir(path);
	for (struct dirent *d; dir && (d = readdir(dir));)
		n += d->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return n;
}

int tree_usage_read(pid_t root, struct tree_usage *out)
{
	struct entry *entries = NULL;
	size_t n = 0;
	int rc = read_all(&entries, &n);
	if (rc < 0)
		return rc;
	struct tree_usage usage = {0};
	if (n)
		qsort(entries, n, sizeof(*entries), by_pid);
	for (size_t i = 0; i < n; i++) {
		if (!is_below(&entries[i], entries, n, root))
			continue;
		usage.processes++;
		usage.memory_bytes += memory_of(entries[i].pid);
		usage.open_fds += fds_of(entries[i].pid);
		usage.cpu_seconds += (double)entries[i].ticks / (double)sysconf(_SC_CLK_TCK);
	}
	free(entries);
	*out = usage;
	return 0;
}
