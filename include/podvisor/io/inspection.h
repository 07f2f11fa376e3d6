/* inspection owns the looking at a worker that does not answer: what each of its
 * threads is doing, and whether the machine kept the processor from it. It walks
 * /proc (proc(5)) and takes INSPECTION_WINDOW_MS, so it belongs into a thread of
 * the pool. */
#ifndef PODVISOR_IO_INSPECTION_H
#define PODVISOR_IO_INSPECTION_H

#include <sys/types.h>

#include "podvisor/base/buf.h"
#include "podvisor/io/cgroup.h"
#include "podvisor/model/event.h"

#define INSPECTION_WINDOW_MS   200
#define INSPECTION_THREADS_MAX 64

/* Everything below shim. A line a thread into lines: its process, name, state, what
 * it waits in (wchan), and its kernel stack where podvisor may see it (root only).
 * cgroup may be NULL. What cannot be read is left out. */
void inspection_make(
	pid_t shim, pid_t main_pid, const struct cgroup *cgroup, struct buf *lines, struct event_inspection *out);

#endif
