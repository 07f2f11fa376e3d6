#include "podvisor/model/order.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* A depth-first walk with a stack of its own, for chains of any length. An edge
 * back to a member of the current path closes a circle. */
enum mark { ORDER_NEW, ORDER_ON_PATH, ORDER_DONE };

struct walk {
	uint32_t n;
	const struct order_edge *edges; /* sorted by from, then to */
	size_t *first; /* first[i] .. first[i + 1]: the edges of i */
	size_t *next; /* the edge of i to look at next */
	enum mark *marks;
	uint32_t *path, *members;
	size_t depth;
	uint32_t *order, placed;
	int cycles;
};

static int compare_edges(const void *a, const void *b)
{
	const struct order_edge *x = a, *y = b;
	if (x->from != y->from)
		return x->from < y->from ? -1 : 1;
	return x->to == y->to ? 0 : x->to < y->to ? -1 : 1;
}

static void enter(struct walk *w, uint32_t node)
{
	w->marks[node] = ORDER_ON_PATH;
	w->path[w->depth++] = node;
}

/* The circle is the path from node on; told with its smallest member first. */
static void tell(
	struct walk *w, uint32_t node, void (*cycle)(void *ctx, const uint32_t *members, size_t count), void *ctx)
{
	size_t start = w->depth, smallest = 0;
	while (w->path[--start] != node)
		;
	size_t count = w->depth - start;
	for (size_t i = 1; i < count; i++)
		if (w->path[start + i] < w->path[start + smallest])
			smallest = i;
	for (size_t i = 0; i < count; i++)
		w->members[i] = w->path[start + (smallest + i) % count];
	w->cycles++;
	if (cycle)
		cycle(ctx, w->members, count);
}

static void walk_from(
	struct walk *w, uint32_t root, void (*cycle)(void *ctx, const uint32_t *members, size_t count), void *ctx)
{
	enter(w, root);
	while (w->depth) {
		uint32_t at = w->path[w->depth - 1];
		if (w->next[at] == w->first[at + 1]) {
			w->marks[at] = ORDER_DONE;
			w->order[w->placed++] = at;
			w->depth--;
			continue;
		}
		const struct order_edge *edge = &w->edges[w->next[at]++];
		bool repeated = edge > w->edges && compare_edges(edge, edge - 1) == 0;
		if (w->marks[edge->to] == ORDER_ON_PATH && !repeated)
			tell(w, edge->to, cycle, ctx);
		else if (w->marks[edge->to] == ORDER_NEW)
			enter(w, edge->to);
	}
}

static void index_edges(struct walk *w, size_t n_edges)
{
	for (size_t i = 0; i < n_edges; i++)
		w->first[w->edges[i].from + 1]++;
	for (uint32_t i = 0; i < w->n; i++)
		w->first[i + 1] += w->first[i];
	memcpy(w->next, w->first, w->n * sizeof(*w->next));
}

int order_sort(uint32_t n, const struct order_edge *edges, size_t n_edges, uint32_t *order,
	void (*cycle)(void *ctx, const uint32_t *members, size_t count), void *ctx)
{
	struct order_edge *sorted = calloc(n_edges + 1, sizeof(*sorted));
	struct walk w = {
		.n = n,
		.edges = sorted,
		.first = calloc((size_t)n + 1, sizeof(*w.first)),
		.next = calloc((size_t)n + 1, sizeof(*w.next)),
		.marks = calloc((size_t)n + 1, sizeof(*w.marks)),
		.path = calloc((size_t)n + 1, sizeof(*w.path)),
		.members = calloc((size_t)n + 1, sizeof(*w.members)),
		.order = order,
	};
	int rc = -ENOMEM;
	if (sorted && w.first && w.next && w.marks && w.path && w.members) {
		if (n_edges) {
			memcpy(sorted, edges, n_edges * sizeof(*sorted));
			qsort(sorted, n_edges, sizeof(*sorted), compare_edges);
		}
		index_edges(&w, n_edges);
		for (uint32_t i = 0; i < n; i++)
			if (w.marks[i] == ORDER_NEW)
				walk_from(&w, i, cycle, ctx);
		rc = w.cycles;
	}
	free(sorted);
	free(w.first);
	free(w.next);
	free(w.marks);
	free(w.path);
	free(w.members);
	return rc;
}
