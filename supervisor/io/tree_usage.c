#include "podvisor/io/tree_usage.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "podvisor/io/proc_tree.h"

static int64_t private_bytes(pid_t pid)
{
	char text[128];
	long long resident, shared;
	if (proc_tree_file(pid, 0, "statm", text, sizeof(text)) <= 0 ||
		sscanf(text, "%*d %lld %lld", &resident, &shared) != 2)
		return 0;
	return (int64_t)(resident - shared) * sysconf(_SC_PAGESIZE);
}

int64_t tree_usage_memory_of(pid_t pid)
{
	char text[2048];
	long long kib;
	bool readable = proc_tree_file(pid, 0, "smaps_rollup", text, sizeof(text)) > 0;
	const char *at = readable ? strstr(text, "\nPss:") : NULL;
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

int tree_usage_read(const pid_t *roots, size_t n, struct tree_usage *out)
{
	struct proc_tree t;
	int rc = proc_tree_read(&t);
	if (rc < 0)
		return rc;
	memset(out, 0, n * sizeof(*out));
	for (size_t i = 0; i < t.n; i++) {
		const struct proc_entry *e = &t.entries[i];
		int root = proc_tree_root_of(&t, e, roots, n);
		if (root < 0)
			continue;
		out[root].processes++;
		out[root].memory_bytes += tree_usage_memory_of(e->pid);
		out[root].open_fds += fds_of(e->pid);
		out[root].cpu_seconds += (double)e->ticks / (double)sysconf(_SC_CLK_TCK);
	}
	proc_tree_fini(&t);
	return 0;
}
