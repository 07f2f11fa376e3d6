/* ancestry owns the question whether one process descends from another. */
#ifndef PODVISOR_IO_ANCESTRY_H
#define PODVISOR_IO_ANCESTRY_H

#include <sys/types.h>

enum ancestry { ANCESTRY_NO, ANCESTRY_YES, ANCESTRY_UNKNOWN /* the process is gone already */ };

/* The parent of pid; 0 when the process is gone. */
pid_t ancestry_parent(pid_t pid);
/* Follows the parents of pid up to 64 generations (proc(5), /proc/PID/stat). */
enum ancestry ancestry_of(pid_t pid, pid_t ancestor);

/* The process on the way from pid up to ancestor that is ancestor's child; 0 when pid
 * itself is, or does not descend from it. */
pid_t ancestry_below(pid_t ancestor, pid_t pid);

#endif
