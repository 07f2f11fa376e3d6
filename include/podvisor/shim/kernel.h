/* kernel owns the system calls that not every C library that the shim is built
 * with (musl, glibc) has a call for, or has one that keeps something back. */
#ifndef PODVISOR_SHIM_KERNEL_H
#define PODVISOR_SHIM_KERNEL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif

/* First to last, both included; flags: 0 or CLOSE_RANGE_CLOEXEC (close_range(2)). */
static inline int kernel_close_range(unsigned first, unsigned last, unsigned flags)
{
	return (int)syscall(SYS_close_range, first, last, flags);
}

/* how: as for sigprocmask, applied to every signal there is. C libraries leave
 * out those that their threads use, and somebody may send one of these too. */
static inline int kernel_mask_all(int how)
{
	static const uint64_t all = UINT64_MAX;
	return (int)syscall(SYS_rt_sigprocmask, how, &all, NULL, sizeof(all));
}

/* Also of the signals that a C library keeps to itself. All zeroes is the
 * kernel's form of SIG_DFL. */
static inline int kernel_default_action(int signal)
{
	static const long default_action[8];
	return (int)syscall(SYS_rt_sigaction, signal, default_action, NULL, sizeof(uint64_t));
}

/* The first word of the kernel's form is the handler; 1 is SIG_IGN. */
static inline int kernel_ignore(int signal)
{
	static const long ignored[8] = {1};
	return (int)syscall(SYS_rt_sigaction, signal, ignored, NULL, sizeof(uint64_t));
}

#endif
