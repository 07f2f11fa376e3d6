/* expiry owns the time at which the shim kills on its own: a timer of CLOCK_BOOTTIME, which also counts while the
 * machine sleeps (timerfd_create(2)). */
#ifndef PODVISOR_SHIM_EXPIRY_H
#define PODVISOR_SHIM_EXPIRY_H

#include <stdbool.h>
#include <stdint.h>

/* Makes the timer when *timer is -1, and sets it to that time in ms; INT64_MAX: none. A time that is over passes at
 * once. -1 with errno. */
int expiry_set(int *timer, int64_t at_ms);
/* Whether it has passed since it was set. -1 is no timer: never. */
bool expiry_passed(int timer);

#endif
