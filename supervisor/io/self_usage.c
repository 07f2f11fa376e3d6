#include "podvisor/io/self_usage.h"

#include <dirent.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "podvisor/io/file.h"

static int64_t count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	if (!dir)
		return -1;
	int64_t n = -1; /* the directory itself */
	for (struct dirent *d; (d = readdir(dir));)
		n += d->d_name[0] != '.';
	closedir(dir);
	return n;
}

/* Unix time of the boot. It moves by the microseconds between two readings:
 * what is made of it is rounded to a clock tick. */
static double boot_time(void)
{
	struct timespec wall, boot;
	clock_gettime(CLOCK_REALTIME, &wall);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	return (double)(wall.tv_sec - boot.tv_sec) + (double)(wall.tv_nsec - boot.tv_nsec) / 1e9;
}

/* Fields 14, 15, 20, 22, 23 and 24; the name before them may hold blanks and
 * parentheses. */
static void read_stat(struct self_usage *out)
{
	char text[1024];
	unsigned long long user, kernel, started, virtual;
	long long threads, resident;
	const char *at = file_read_small("/proc/self/stat", text, sizeof(text)) > 0 ? strrchr(text, ')') : NULL;
	if (!at || sscanf(at + 1,
			   " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d "
			   "%*d %*d %lld %*d %llu %llu %lld",
			   &user, &kernel, &threads, &started, &virtual, &resident) != 6)
		return;
	double ticks = (double)sysconf(_SC_CLK_TCK);
	out->cpu_seconds = (double)(user + kernel) / ticks;
	out->start_time_seconds = round((boot_time() + (double)started / ticks) * 100) / 100;
	out->threads = threads;
	out->virtual_bytes = (int64_t) virtual;
	out->resident_bytes = resident * sysconf(_SC_PAGESIZE);
}

void self_usage_read(struct self_usage *out)
{
	struct rlimit limit;
	*out = (struct self_usage){.cpu_seconds = -1,
		.start_time_seconds = -1,
		.open_fds = count_fds(),
		.max_fds = -1,
		.threads = -1,
		.virtual_bytes = -1,
		.resident_bytes = -1};
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
		out->max_fds = (int64_t)limit.rlim_cur;
	read_stat(out);
}
