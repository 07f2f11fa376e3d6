/* cgroup owns the reading of this process's control groups, versions 1 and 2:
 * memory's limit, use and pressure, and how the CPU limit throttles. The files are the kernel's memory, not a disk's,
 * so reading them does not block. */
#ifndef PODVISOR_IO_CGROUP_H
#define PODVISOR_IO_CGROUP_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "podvisor/base/err.h"

struct cgroup {
	int version; /* 1 or 2 */
	char root[128]; /* where it is mounted */
	char path[PATH_MAX]; /* of our group, absolute, below or equal to root */
	char cpu_path[PATH_MAX]; /* where cpu.stat stands; "": nowhere */
};

/* Of the group or, where its own use leaves more room, of the one above it that is nearest to its limit. */
struct cgroup_memory {
	int64_t limit_bytes; /* memory.max, memory.limit_in_bytes; -1: none */
	int64_t charged_bytes; /* everything that is charged, which the limit acts on; -1: unknown */
	/* Without page cache that the kernel would drop first, as Kubernetes counts its
	 * working set. RAM disks are in it. -1: unknown. */
	int64_t used_bytes;
	/* Share of the last 10 s in which some task waited for memory; -1: unknown (v1, unless its tasks stand still).
	 */
	double pressure_ratio;
	int64_t limit_hits; /* how often the limit was reached and the kernel had to reclaim; -1: unknown */
	int64_t oom_kills; /* processes killed by the kernel because that was not enough; -1: unknown */
};

/* Finds our group in /proc/self/cgroup. mounted and listing are "/sys/fs/cgroup" and
 * "/proc/self/cgroup" (NULL) but for tests. -ENOENT with a sentence when no memory cgroup is visible. */
int cgroup_find(struct cgroup *c, const char *mounted, const char *listing, struct err *err) MUST_CHECK;
/* What cannot be read is -1. */
void cgroup_read_memory(const struct cgroup *c, struct cgroup_memory *out);

/* For how long in all the group's processes were held back by its CPU limit, in
 * microseconds; -1: unknown. */
int64_t cgroup_throttled_us(const struct cgroup *c);
/* Share of the last 10 s in which some task waited for a CPU, in percent: of our
 * group, else (version 1) of the machine; -1: unknown. proc(5), PSI. */
int cgroup_cpu_pressure_percent(const struct cgroup *c);

#endif
