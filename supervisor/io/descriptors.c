#include "podvisor/io/descriptors.h"

#include <sys/resource.h>

static int64_t given = -1; /* limits are the process's, and so is this */

void descriptors_want(int64_t most)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= (rlim_t)most)
		return;
	int64_t before = (int64_t)limit.rlim_cur;
	limit.rlim_cur = (rlim_t)most < limit.rlim_max ? (rlim_t)most : limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) == 0 && given < 0)
		given = before;
}

int64_t descriptors_given(void)
{
	return given;
}
