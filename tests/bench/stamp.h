/* stamp owns how the programs of the bench tell the driver when something
 * happened: one record of CLOCK_MONOTONIC into a FIFO, small enough to be
 * written whole (pipe(7)). bench/processes.py reads them. */
#ifndef PODVISOR_BENCH_STAMP_H
#define PODVISOR_BENCH_STAMP_H

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum stamp_kind { STAMP_EXEC, STAMP_WORKER, STAMP_DAEMON, STAMP_BEGIN, STAMP_END };

struct stamp {
	int64_t ns;
	int32_t pid;
	int32_t kind;
};

static inline void stamp_write(const char *fifo, enum stamp_kind kind)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	struct stamp s = {.ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec, .pid = getpid(), .kind = (int32_t)kind};
	int fd = open(fifo, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, &s, sizeof(s)) != sizeof(s))
		_exit(99);
	close(fd);
}

/* Nothing that the bench starts outlives it for long, whatever happens to the driver. */
static inline void stamp_live_at_most(unsigned seconds)
{
	alarm(seconds);
}

#endif
