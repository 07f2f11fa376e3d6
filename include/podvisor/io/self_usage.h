/* self_usage owns the reading of what podvisor itself uses, for the standard
 * process_ metrics. /proc/self is the kernel's memory, not a disk's, so reading
 * it does not block. proc(5). */
#ifndef PODVISOR_IO_SELF_USAGE_H
#define PODVISOR_IO_SELF_USAGE_H

#include <stdint.h>

/* What cannot be read is -1. */
struct self_usage {
	double cpu_seconds, start_time_seconds; /* user and system; Unix time */
	int64_t open_fds, max_fds, threads;
	int64_t virtual_bytes, resident_bytes;
};

void self_usage_read(struct self_usage *out);

#endif
