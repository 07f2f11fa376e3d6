/* tree_usage owns the measuring of what all descendants of a process use. It walks
 * /proc (proc(5)) once for all that are asked for, so it belongs into a thread of
 * the pool. */
#ifndef PODVISOR_IO_TREE_USAGE_H
#define PODVISOR_IO_TREE_USAGE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct tree_usage {
	int64_t processes;
	/* PSS: pages that several processes share are counted once in the sum. Of a process whose
	 * memory podvisor may not look at (Chrome's sandboxed ones, without privilege), what it
	 * shares with no file. */
	int64_t memory_bytes;
	double cpu_seconds; /* of those that live */
	int64_t open_fds; /* of those podvisor may look at */
};

/* Descendants of each root, without the root itself: out[i] of roots[i], which are
 * sorted. -errno when /proc cannot be read. */
int tree_usage_read(const pid_t *roots, size_t n, struct tree_usage *out);
/* memory_bytes of one process alone; 0 when it is gone. */
int64_t tree_usage_memory_of(pid_t pid);

#endif
