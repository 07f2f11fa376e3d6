/* order owns who comes before whom: from "this one waits for that one" it makes
 * an order in which nobody comes before what it waits for, or it names the
 * circles that make such an order impossible. */
#ifndef PODVISOR_MODEL_ORDER_H
#define PODVISOR_MODEL_ORDER_H

#include <stddef.h>
#include <stdint.h>

struct order_edge {
	uint32_t from, to; /* from waits for to; both < n */
};

/* Fills order[n] with 0 .. n-1, each after all that it waits for; walks from the
 * lowest number on. cycle (may be NULL) is called for each circle found, with its
 * members in turn, the smallest first: members[0] waits for members[1], the last
 * for members[0]. Who breaks every circle that is told has broken all there are.
 * Returns the number of circles (each is then broken at one edge in order), or
 * -ENOMEM with order untouched. */
int order_sort(uint32_t n, const struct order_edge *edges, size_t n_edges, uint32_t *order,
	void (*cycle)(void *ctx, const uint32_t *members, size_t count), void *ctx);

#endif
