#include "podvisor/shim/expiry.h"

#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

int expiry_set(int *timer, int64_t at_ms)
{
	if (*timer < 0)
		*timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (*timer < 0)
		return -1;
	struct itimerspec spec = {0}; /* disarmed */
	int64_t at = at_ms > 0 ? at_ms : 1;
	if (at_ms != INT64_MAX)
		spec.it_value =
			(struct timespec){.tv_sec = (time_t)(at / 1000), .tv_nsec = (long)(at % 1000) * 1000000};
	return timerfd_settime(*timer, TFD_TIMER_ABSTIME, &spec, NULL);
}

bool expiry_passed(int timer)
{
	uint64_t times;
	return timer >= 0 && read(timer, &times, sizeof(times)) == sizeof(times);
}
