/* deadline owns points in time at which something has to be looked at, tens of
 * thousands of them behind one timer that is armed to the earliest. Moving one
 * later costs nothing until the old point comes; without deadlines the loop is
 * never woken. */
#ifndef PODVISOR_IO_DEADLINE_H
#define PODVISOR_IO_DEADLINE_H

#include <stddef.h>
#include <stdint.h>

#include "podvisor/base/clock.h"
#include "podvisor/base/err.h"
#include "podvisor/io/loop.h"

/* Lives inside what it is the deadline of. All zero, but for due: not set. */
struct deadline {
	ms_t at; /* read only; meaningful while set */
	uint32_t place; /* 1 + where in the heap; 0: not set */
	void (*due)(struct deadline *d); /* called once, from the loop; d is not set any more */
};

struct deadlines;

/* NULL: out of memory. */
struct deadlines *deadlines_new(struct loop *l);
/* Forgets all deadlines; none of them is called. NULL is fine. */
void deadlines_free(struct deadlines *ds);

/* The loop's idea of now, in ms; for nothing but setting deadlines and comparing with them. */
ms_t deadlines_now(const struct deadlines *ds);
/* Sets d, or moves it. CLOCK_NEVER clears it. */
void deadline_set(struct deadlines *ds, struct deadline *d, ms_t at);
/* d is not set afterwards, and may be freed. */
void deadline_clear(struct deadlines *ds, struct deadline *d);

#endif
