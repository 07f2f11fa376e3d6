#include "podvisor/io/heap.h"

#include <malloc.h>

#include "podvisor/base/list.h"

#define ENOUGH_FREED (128 * 1024) /* to look at all */
#define ENOUGH_FREE  (512 * 1024) /* unused in the heap, to give it back */
#define KEPT_BYTES   (128 * 1024) /* at its end, for what comes next */
#define AFTER_MS     1000

static void on_due(struct deadline *d)
{
	struct heap *h = LIST_ENTRY(d, struct heap, deadline);
	h->freed = 0;
	if (mallinfo2().fordblks >= ENOUGH_FREE)
		malloc_trim(KEPT_BYTES);
}

void heap_init(struct heap *h, struct deadlines *ds)
{
	*h = (struct heap){.deadlines = ds, .deadline.due = on_due};
}

void heap_fini(struct heap *h)
{
	deadline_clear(h->deadlines, &h->deadline);
}

void heap_freed(struct heap *h, size_t bytes)
{
	h->freed += bytes;
	if (h->freed >= ENOUGH_FREED && !h->deadline.place)
		deadline_set(h->deadlines, &h->deadline, deadlines_now(h->deadlines) + AFTER_MS);
}
