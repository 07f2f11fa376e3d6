#include "podvisor/io/deadline.h"

#include <stdlib.h>

#include "podvisor/base/panic.h"

/* The key stands beside the pointer: sifting touches the heap alone, and a
 * deadline that was moved later keeps its old key until that comes up. */
struct entry {
	ms_t key; /* never later than d->at */
	struct deadline *d;
};

struct deadlines {
	uv_timer_t timer;
	struct entry *heap; /* owned; children of i are 2i+1 and 2i+2 */
	size_t n, cap;
	ms_t armed; /* when the timer fires; CLOCK_NEVER: it does not */
	bool firing; /* on_timer arms it when it is done */
};

static void on_timer(uv_timer_t *timer);

struct deadlines *deadlines_new(struct loop *l)
{
	struct deadlines *ds = calloc(1, sizeof(*ds));
	if (!ds)
		return NULL;
	uv_timer_init(&l->uv, &ds->timer);
	ds->timer.data = ds;
	ds->armed = CLOCK_NEVER;
	return ds;
}

static void on_closed(uv_handle_t *handle)
{
	struct deadlines *ds = handle->data;
	free(ds->heap);
	free(ds);
}

void deadlines_free(struct deadlines *ds)
{
	if (!ds)
		return;
	while (ds->n)
		ds->heap[--ds->n].d->place = 0;
	uv_close((uv_handle_t *)&ds->timer, on_closed);
}

ms_t deadlines_now(const struct deadlines *ds)
{
	return (ms_t)uv_now(ds->timer.loop);
}

static void put(struct deadlines *ds, size_t i, struct entry e)
{
	ds->heap[i] = e;
	e.d->place = (uint32_t)i + 1;
}

static void sift_up(struct deadlines *ds, size_t i, struct entry e)
{
	while (i > 0 && ds->heap[(i - 1) / 2].key > e.key) {
		put(ds, i, ds->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	put(ds, i, e);
}

static void sift_down(struct deadlines *ds, size_t i, struct entry e)
{
	for (size_t child; (child = 2 * i + 1) < ds->n; i = child) {
		if (child + 1 < ds->n && ds->heap[child + 1].key < ds->heap[child].key)
			child++;
		if (ds->heap[child].key >= e.key)
			break;
		put(ds, i, ds->heap[child]);
	}
	put(ds, i, e);
}

static void take_out(struct deadlines *ds, size_t i)
{
	struct entry last = ds->heap[--ds->n];
	ds->heap[i].d->place = 0;
	if (i == ds->n)
		return;
	if (i > 0 && ds->heap[(i - 1) / 2].key > last.key)
		sift_up(ds, i, last);
	else
		sift_down(ds, i, last);
}

static void arm(struct deadlines *ds)
{
	ms_t first = ds->n ? ds->heap[0].key : CLOCK_NEVER, now = deadlines_now(ds);
	if (ds->firing || first == ds->armed)
		return;
	ds->armed = first;
	if (first == CLOCK_NEVER)
		uv_timer_stop(&ds->timer);
	else
		uv_timer_start(&ds->timer, on_timer, first > now ? (uint64_t)(first - now) : 0, 0);
}

static void on_timer(uv_timer_t *timer)
{
	struct deadlines *ds = timer->data;
	ms_t now = deadlines_now(ds);
	ds->firing = true;
	while (ds->n && ds->heap[0].key <= now) {
		struct deadline *d = ds->heap[0].d;
		if (d->at > now) {
			sift_down(ds, 0, (struct entry){d->at, d});
			continue;
		}
		take_out(ds, 0);
		d->due(d);
	}
	ds->firing = false;
	ds->armed = CLOCK_NEVER;
	arm(ds);
}

/* Without memory for a deadline something would wait for ever: ending, which
 * Kubernetes sees, is better. */
static void make_room(struct deadlines *ds)
{
	if (ds->n < ds->cap)
		return;
	size_t cap = ds->cap ? ds->cap * 2 : 64;
	struct entry *heap = realloc(ds->heap, cap * sizeof(*heap));
	if (!heap)
		panic("out of memory");
	ds->heap = heap;
	ds->cap = cap;
}

void deadline_set(struct deadlines *ds, struct deadline *d, ms_t at)
{
	if (at == CLOCK_NEVER) {
		deadline_clear(ds, d);
		return;
	}
	d->at = at;
	if (!d->place) {
		make_room(ds);
		ds->n++;
		sift_up(ds, ds->n - 1, (struct entry){at, d});
	} else if (at < ds->heap[d->place - 1].key) {
		sift_up(ds, d->place - 1, (struct entry){at, d});
	}
	arm(ds);
}

/* The timer may then fire for nothing, once, instead of being set anew each time. */
void deadline_clear(struct deadlines *ds, struct deadline *d)
{
	if (!d->place)
		return;
	take_out(ds, d->place - 1);
	if (!ds->n)
		arm(ds);
}
