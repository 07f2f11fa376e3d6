#include "podvisor/runtime/recent.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	CHUNK_LEAST = 512, /* of an origin that says next to nothing; one that says more gets larger ones */
	CHUNK_MOST = 8 << 10,
	ALIGNED = sizeof(uint64_t),
};

/* Subject and text stand behind it. */
struct record {
	uint64_t seq;
	struct recent_meta meta;
	uint32_t subject_len, text_len;
};

struct recent_chunk {
	struct recent_chunk *next;
	uint64_t last_seq;
	uint32_t size, used; /* of what stands behind it, in bytes */
};

static char *records_of(const struct recent_chunk *chunk)
{
	return (char *)(uintptr_t)(chunk + 1);
}

static size_t record_size(size_t subject_len, size_t text_len)
{
	return (sizeof(struct record) + subject_len + text_len + ALIGNED - 1) / ALIGNED * ALIGNED;
}

/* ---- keeping ---- */

void recent_init(struct recent *r, uint64_t seq)
{
	*r = (struct recent){.max_bytes = RECENT_ALL_BYTES, .max_one = RECENT_ONE_BYTES};
	r->first_seq = r->last_seq = seq;
	list_init(&r->rings);
}

void recent_add(struct recent *r, struct recent_ring *ring, const char *name)
{
	*ring = (struct recent_ring){.name = name};
	list_append(&r->rings, &ring->node);
	r->n_rings++;
}

static void forget_oldest(struct recent *r, struct recent_ring *ring)
{
	struct recent_chunk *chunk = ring->oldest;
	ring->oldest = chunk->next;
	if (!ring->oldest)
		ring->newest = NULL;
	ring->bytes -= chunk->size;
	r->bytes -= chunk->size;
	free(chunk);
}

void recent_drop(struct recent *r, struct recent_ring *ring)
{
	while (ring->oldest)
		forget_oldest(r, ring);
	list_remove(&ring->node);
	r->n_rings--;
}

void recent_fini(struct recent *r)
{
	LIST_EACH (at, &r->rings)
		recent_drop(r, LIST_ENTRY(at, struct recent_ring, node));
}

static struct recent_ring *largest(const struct recent *r)
{
	struct recent_ring *best = NULL;
	LIST_EACH (at, &r->rings) {
		struct recent_ring *ring = LIST_ENTRY(at, struct recent_ring, node);
		if (!best || ring->bytes > best->bytes)
			best = ring;
	}
	return best;
}

/* Whoever has more than an equal share already gives of its own; so the search for the largest is rare. */
static void make_room(struct recent *r, struct recent_ring *ring, size_t size)
{
	while (ring->oldest && ring->bytes + size > r->max_one)
		forget_oldest(r, ring);
	while (r->bytes && r->bytes + size > r->max_bytes) {
		bool rich = ring->oldest && (ring->bytes + size) * r->n_rings > r->max_bytes;
		forget_oldest(r, rich ? ring : largest(r));
	}
}

static struct recent_chunk *add_chunk(struct recent *r, struct recent_ring *ring, size_t need)
{
	size_t size = ring->bytes < CHUNK_LEAST ? CHUNK_LEAST : ring->bytes > CHUNK_MOST ? CHUNK_MOST : ring->bytes;
	size = size < need ? need : size / ALIGNED * ALIGNED;
	if (size > r->max_one || size > r->max_bytes)
		return NULL;
	make_room(r, ring, size);
	struct recent_chunk *chunk = malloc(sizeof(*chunk) + size);
	if (!chunk)
		return NULL;
	*chunk = (struct recent_chunk){.size = (uint32_t)size};
	if (ring->newest)
		ring->newest->next = chunk;
	else
		ring->oldest = chunk;
	ring->newest = chunk;
	ring->bytes += size;
	r->bytes += size;
	return chunk;
}

void recent_put(struct recent *r, struct recent_ring *ring, const struct recent_meta *meta, struct span subject,
	struct span text)
{
	size_t size = record_size(subject.len, text.len);
	struct recent_chunk *chunk = ring->newest;
	r->last_seq++;
	ring->total++;
	if (!chunk || chunk->size - chunk->used < size)
		chunk = add_chunk(r, ring, size);
	if (!chunk)
		return;
	char *at = records_of(chunk) + chunk->used;
	const struct record record = {.seq = r->last_seq,
		.meta = *meta,
		.subject_len = (uint32_t)subject.len,
		.text_len = (uint32_t)text.len};
	memcpy(at, &record, sizeof(record));
	if (subject.len)
		memcpy(at + sizeof(record), subject.at, subject.len);
	if (text.len)
		memcpy(at + sizeof(record) + subject.len, text.at, text.len);
	chunk->used += (uint32_t)size;
	chunk->last_seq = r->last_seq;
}

/* ---- showing ---- */

/* Walks the records of a ring that are newer than seq. */
struct walk {
	const struct recent_chunk *chunk;
	size_t at;
	uint64_t seq;
};

static const struct record *next_record(struct walk *w)
{
	while (w->chunk && (w->at == w->chunk->used || w->chunk->last_seq <= w->seq)) {
		w->chunk = w->chunk->next;
		w->at = 0;
	}
	while (w->chunk) {
		const struct record *record = (const struct record *)(const void *)(records_of(w->chunk) + w->at);
		w->at += record_size(record->subject_len, record->text_len);
		if (w->at == w->chunk->used) {
			w->chunk = w->chunk->next;
			w->at = 0;
		}
		if (record->seq > w->seq)
			return record;
	}
	return NULL;
}

static size_t count_newer(const struct recent_ring *ring, uint64_t seq)
{
	struct walk w = {.chunk = ring->oldest, .seq = seq};
	size_t n = 0;
	while (next_record(&w))
		n++;
	return n;
}

static size_t add_newer(const struct recent_ring *ring, uint64_t seq, struct recent_message *out)
{
	struct walk w = {.chunk = ring->oldest, .seq = seq};
	size_t n = 0;
	for (const struct record *record; (record = next_record(&w));) {
		const char *subject = (const char *)(record + 1);
		out[n++] = (struct recent_message){.seq = record->seq,
			.ring = ring,
			.meta = record->meta,
			.subject = {subject, record->subject_len},
			.text = {subject + record->subject_len, record->text_len}};
	}
	return n;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = ((const struct recent_message *)a)->seq, y = ((const struct recent_message *)b)->seq;
	return x < y ? -1 : x > y;
}

/* How many of them go into the list: the newest without a cursor, else the oldest. */
static size_t choose(const struct recent_query *q, const struct recent_message *messages, size_t n)
{
	size_t most = n < q->max ? n : q->max, chosen = 0;
	for (size_t bytes = 0; chosen < most && bytes < q->max_bytes; chosen++)
		bytes += messages[q->after ? chosen : n - 1 - chosen].text.len;
	return chosen;
}

/* What this life of podvisor has not given is of an earlier one: such a reader has seen nothing of this. */
static struct recent_cursor go_on_at(const struct recent *r, const struct recent_query *q)
{
	bool ours = q->after && q->after->seq >= r->first_seq && q->after->seq <= r->last_seq;
	return ours ? *q->after : (struct recent_cursor){0};
}

static void fill(const struct recent *r, const struct recent_query *q, uint64_t total, struct recent_cursor from,
	size_t n, struct recent_list *out)
{
	size_t chosen = choose(q, out->messages, n), first = q->after ? 0 : n - chosen;
	memmove(out->messages, out->messages + first, chosen * sizeof(*out->messages));
	out->n = chosen;
	out->more = q->after && chosen < n;
	out->missed = q->after && total > from.total + n ? total - from.total - n : 0;
	out->next = (struct recent_cursor){.seq = r->last_seq, .total = total};
	if (out->more)
		out->next = (struct recent_cursor){
			.seq = chosen ? out->messages[chosen - 1].seq : from.seq, .total = total - (n - chosen)};
}

/* Of all that q wants: how many there ever were, and how many are newer than seq. */
static void count_wanted(
	const struct recent *r, const struct recent_query *q, uint64_t seq, uint64_t *total, size_t *newer)
{
	*total = 0;
	*newer = 0;
	LIST_EACH (at, &r->rings) {
		const struct recent_ring *ring = LIST_ENTRY(at, struct recent_ring, node);
		if (!q->wanted(q->ctx, ring))
			continue;
		*total += ring->total;
		*newer += count_newer(ring, seq);
	}
}

/* The newest are looked for among the last numbers first: all would be tens of thousands, to be sorted for a few. */
static uint64_t begin_at(const struct recent *r, const struct recent_query *q, uint64_t *total, size_t *newer)
{
	uint64_t all = r->last_seq - r->first_seq, back = q->max < all ? q->max : all;
	for (;; back = back * 4 + 64 < all ? back * 4 + 64 : all) {
		count_wanted(r, q, r->last_seq - back, total, newer);
		if (*newer >= q->max || back == all)
			return r->last_seq - back;
	}
}

int recent_list(const struct recent *r, const struct recent_query *q, struct recent_list *out)
{
	uint64_t total = 0;
	size_t newer = 0, n = 0;
	struct recent_cursor from = go_on_at(r, q);
	*out = (struct recent_list){0};
	if (q->after)
		count_wanted(r, q, from.seq, &total, &newer);
	else
		from.seq = begin_at(r, q, &total, &newer);
	out->messages = calloc(newer + 1, sizeof(*out->messages));
	if (!out->messages)
		return -ENOMEM;
	LIST_EACH (at, &r->rings) {
		const struct recent_ring *ring = LIST_ENTRY(at, struct recent_ring, node);
		n += q->wanted(q->ctx, ring) ? add_newer(ring, from.seq, out->messages + n) : 0;
	}
	qsort(out->messages, n, sizeof(*out->messages), by_number);
	fill(r, q, total, from, n, out);
	return 0;
}

void recent_list_fini(struct recent_list *list)
{
	free(list->messages);
	*list = (struct recent_list){0};
}
