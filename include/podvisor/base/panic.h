/* panic owns the end of a podvisor that can no longer keep its promises, for want of memory mostly: a supervisor that
 * silently forgets to stop a worker is worse than one that ends. The shims then end the workers, and Kubernetes starts
 * the container anew. */
#ifndef PODVISOR_BASE_PANIC_H
#define PODVISOR_BASE_PANIC_H

/* Does not return. main sets it, to tell why and to end with a code; without it, panic aborts. */
extern void (*panic_handler)(const char *why);

_Noreturn void panic(const char *why);

#endif
