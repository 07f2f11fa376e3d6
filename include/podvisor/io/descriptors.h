/* descriptors owns how many descriptors podvisor may hold. Container runtimes
 * give a soft limit of 1024, for programs that use select(2), and a hard one
 * that is plenty: podvisor takes what it needs of it, and what it starts gets
 * the limits that podvisor was given. */
#ifndef PODVISOR_IO_DESCRIPTORS_H
#define PODVISOR_IO_DESCRIPTORS_H

#include <stdint.h>

/* Raises RLIMIT_NOFILE's soft limit to so many, or to the hard one. Lowers nothing. */
void descriptors_want(int64_t most);
/* The soft limit before, to be handed on; -1: it is still that. */
int64_t descriptors_given(void);

#endif
