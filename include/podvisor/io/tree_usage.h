/* tree_usage owns the measuring of what a process and all its descendants use. It
 * walks /proc (proc(5)), so it belongs into a thread of the pool. */
#ifndef PODVISOR_IO_TREE_USAGE_H
#define PODVISOR_IO_TREE_USAGE_H

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

/* Descendants of root, without root itself. -errno when /proc cannot be read. */
int tree_usage_read(pid_t root, struct tree_usage *out);

#endif
