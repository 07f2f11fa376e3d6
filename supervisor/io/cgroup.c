#include "podvisor/io/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Version 1 says "no limit" with the greatest page-aligned number there is. */
#define V1_NO_LIMIT (INT64_C(1) << 60)

/* What one version calls its files. */
struct names {
	const char *limit, *use, *reclaimable;
};

static const struct names names_of[] = {
	[1] = {"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file "},
	[2] = {"memory.max", "memory.current", "inactive_file "},
};

/* The text of a small file; false when there is none. */
static bool read_text(const char *dir, const char *name, char *out, size_t size)
{
	char path[PATH_MAX + 64];
	snprintf(path, sizeof(path), "%s%s%s", dir, name[0] ? "/" : "", name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	size_t len = 0;
	ssize_t n;
	while (len < size - 1 && (n = read(fd, out + len, size - 1 - len)) > 0)
		len += (size_t)n;
	close(fd);
	out[len] = '\0';
	return len > 0;
}

/* -1: unreadable, or "max". */
static int64_t read_number(const char *dir, const char *name)
{
	char text[64], *end;
	if (!read_text(dir, name, text, sizeof(text)))
		return -1;
	long long value = strtoll(text, &end, 10);
	return end == text ? -1 : value;
}

/* The line of a file such as memory.stat that begins with key. */
static int64_t read_stat(const char *dir, const char *name, const char *key)
{
	char text[8192];
	size_t n = strlen(key);
	if (!read_text(dir, name, text, sizeof(text)))
		return -1;
	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, n) == 0)
			return strtoll(line + n, NULL, 10);
	}
	return -1;
}

/* In percent; -1: unknown. */
static double read_pressure(const char *dir, const char *name)
{
	char text[256];
	double percent;
	return read_text(dir, name, text, sizeof(text)) && sscanf(text, "some avg10=%lf", &percent) == 1 ? percent : -1;
}

/* ---- which group ---- */

/* The path of the line whose controllers are that; "0::/a/b", "4:memory:/a/b"
 * (cgroups(7)). Terminates it in place. */
static char *find_line(char *listing, const char *controllers)
{
	size_t n = strlen(controllers);
	for (char *line = listing; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		char *field = strchr(line, ':');
		if (!field || strncmp(field + 1, controllers, n) != 0 || field[1 + n] != ':')
			continue;
		char *path = field + 1 + n + 1;
		path[strcspn(path, "\n")] = '\0';
		return path;
	}
	return NULL;
}

/* In a container the listing may name a path of the host that is not visible;
 * what is mounted is then our own group. */
static bool settle(struct cgroup *c, int version, const char *root, const char *path)
{
	c->version = version;
	snprintf(c->root, sizeof(c->root), "%s", root);
	snprintf(c->path, sizeof(c->path), "%s%s", root, strcmp(path, "/") == 0 ? "" : path);
	if (read_number(c->path, names_of[version].use) >= 0)
		return true;
	snprintf(c->path, sizeof(c->path), "%s", root);
	return read_number(c->path, names_of[version].use) >= 0;
}

/* Of version 1 the controller may be mounted alone or together with cpuacct. */
static void find_cpu(struct cgroup *c, const char *mounted, const char *listing)
{
	static const char *const controllers[] = {"cpu", "cpu,cpuacct", "cpuacct,cpu"};
	if (c->version == 2) {
		memcpy(c->cpu_path, c->path, sizeof(c->cpu_path));
		return;
	}
	for (size_t i = 0; i < sizeof(controllers) / sizeof(controllers[0]); i++) {
		char text[4096];
		if (!read_text(listing, "", text, sizeof(text)))
			return;
		const char *path = find_line(text, controllers[i]);
		if (!path)
			continue;
		snprintf(c->cpu_path, sizeof(c->cpu_path), "%s/cpu%s", mounted, strcmp(path, "/") == 0 ? "" : path);
		if (read_stat(c->cpu_path, "cpu.stat", "throttled_time ") < 0)
			snprintf(c->cpu_path, sizeof(c->cpu_path), "%s/cpu", mounted);
		return;
	}
}

int cgroup_find(struct cgroup *c, const char *mounted, const char *listing, struct err *err)
{
	char text[4096], again[4096], v1_root[160];
	struct cgroup found = {0};
	if (!mounted)
		mounted = "/sys/fs/cgroup";
	if (!listing)
		listing = "/proc/self/cgroup";
	if (!read_text(listing, "", text, sizeof(text)))
		return err_set(err, -ENOENT, "no list of control groups");
	memcpy(again, text, sizeof(again));
	snprintf(v1_root, sizeof(v1_root), "%s/memory", mounted);
	const char *v1 = find_line(text, "memory"), *v2 = find_line(again, "");
	if ((v1 && settle(&found, 1, v1_root, v1)) || (v2 && settle(&found, 2, mounted, v2))) {
		find_cpu(&found, mounted, listing);
		*c = found;
		return 0;
	}
	return err_set(err, -ENOENT, "no memory control group is visible");
}

/* ---- what it says ---- */

static void read_level(const struct cgroup *c, const char *dir, struct cgroup_memory *m)
{
	int64_t charged = read_number(dir, names_of[c->version].use);
	int64_t reclaimable = read_stat(dir, "memory.stat", names_of[c->version].reclaimable);
	int64_t limit = read_number(dir, names_of[c->version].limit);
	m->limit_bytes = limit < V1_NO_LIMIT ? limit : -1;
	m->charged_bytes = charged;
	m->used_bytes = charged < 0 ? -1 : reclaimable > charged ? 0 : charged - (reclaimable > 0 ? reclaimable : 0);
}

static double fullness(const struct cgroup_memory *m)
{
	return m->limit_bytes < 0 ? -1 : (double)m->used_bytes / (double)(m->limit_bytes + 1);
}

/* A limit above counts too, and what others use of it. Where their use cannot be seen, our own is all that is known. */
static void find_nearest_limit(const struct cgroup *c, struct cgroup_memory *m)
{
	char path[PATH_MAX];
	memcpy(path, c->path, sizeof(path));
	read_level(c, path, m);
	struct cgroup_memory own = *m;
	for (char *slash; (slash = strrchr(path, '/')) && (size_t)(slash - path) >= strlen(c->root);) {
		struct cgroup_memory above;
		*slash = '\0';
		read_level(c, path, &above);
		if (above.used_bytes < 0) {
			above.used_bytes = own.used_bytes;
			above.charged_bytes = own.charged_bytes;
		}
		if (fullness(&above) > fullness(m))
			*m = above;
	}
}

/* Version 1 has no PSI of a group; under_oom: its tasks stand still until somebody makes room. */
static double read_memory_pressure(const struct cgroup *c)
{
	if (c->version == 1)
		return read_stat(c->path, "memory.oom_control", "under_oom ") == 1 ? 1 : -1;
	double percent = read_pressure(c->path, "memory.pressure");
	return percent < 0 ? -1 : percent / 100;
}

void cgroup_read_memory(const struct cgroup *c, struct cgroup_memory *out)
{
	bool v1 = c->version == 1;
	struct cgroup_memory m = {0};
	find_nearest_limit(c, &m);
	m.pressure_ratio = read_memory_pressure(c);
	m.limit_hits = v1 ? read_number(c->path, "memory.failcnt") : read_stat(c->path, "memory.events", "max ");
	m.oom_kills = read_stat(c->path, v1 ? "memory.oom_control" : "memory.events", "oom_kill ");
	*out = m;
}

int64_t cgroup_throttled_us(const struct cgroup *c)
{
	if (!c->cpu_path[0])
		return -1;
	if (c->version == 2)
		return read_stat(c->cpu_path, "cpu.stat", "throttled_usec ");
	int64_t ns = read_stat(c->cpu_path, "cpu.stat", "throttled_time ");
	return ns < 0 ? -1 : ns / 1000;
}

int cgroup_cpu_pressure_percent(const struct cgroup *c)
{
	double percent = c->version == 2 ? read_pressure(c->path, "cpu.pressure") : -1;
	return (int)(percent < 0 ? read_pressure("/proc/pressure/cpu", "") : percent);
}
