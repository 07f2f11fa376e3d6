/* heap owns giving memory back to the kernel. What is freed between things
 * that live on stays with the process, and after a burst of connections that is
 * most of it: the C library returns only the heap's end by itself. */
#ifndef PODVISOR_IO_HEAP_H
#define PODVISOR_IO_HEAP_H

#include <stddef.h>

#include "podvisor/io/deadline.h"

/* Lives inside what frees much. */
struct heap {
	struct deadlines *deadlines;
	struct deadline deadline;
	size_t freed; /* bytes since it was looked at */
};

void heap_init(struct heap *h, struct deadlines *ds);
void heap_fini(struct heap *h);
/* So much was freed, or is about to be. When it has added up, what is free is
 * given back a second later, so once a second at most and never while idle. */
void heap_freed(struct heap *h, size_t bytes);

#endif
