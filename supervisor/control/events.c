#include "podvisor/control/events.h"

#include <inttypes.h>

#include "podvisor/control/shapes.h"

struct range {
	int64_t after, limit, wait_s;
};

static json_t *list(const struct snapshot *s, uint64_t after, uint64_t limit)
{
	const struct journal *j = &s->world->journal;
	uint64_t oldest = journal_oldest(j);
	uint64_t first = after + 1 > oldest ? after + 1 : oldest;
	uint64_t missed = after && oldest > after + 1 ? oldest - after - 1 : 0;
	if (j->last_seq >= limit && j->last_seq - limit + 1 > first)
		first = j->last_seq - limit + 1;
	json_t *events = json_array();
	for (uint64_t seq = first; seq <= j->last_seq; seq++) {
		const struct journal_entry *e = journal_get(j, seq);
		if (e)
			json_array_append_new(events, shapes_event(s, e));
	}
	return json_pack("{s:I,s:I,s:I,s:o}", "last", (json_int_t)j->last_seq, "oldest", (json_int_t)oldest, "missed",
		(json_int_t)missed, "events", events);
}

/* A number that is still to come is of an earlier life of podvisor: such a
 * reader has missed everything. */
static void mind_restart(const struct snapshot *s, struct range *r)
{
	if ((uint64_t)r->after > s->world->journal.last_seq)
		r->after = 0;
}

static bool read_range(const struct snapshot *s, const struct query *q, struct range *out, struct answer *a)
{
	struct err err;
	bool good = query_number(q, "after", 0, INT64_MAX - 1, 0, &out->after, &err) == 0 &&
		    query_number(q, "limit", 0, JOURNAL_SIZE, JOURNAL_SIZE, &out->limit, &err) == 0 &&
		    query_number(q, "wait", 0, EVENTS_WAIT_MAX_S, 0, &out->wait_s, &err) == 0;
	if (good)
		mind_restart(s, out);
	else
		answer_error(a, 400, "%s", err.text);
	return good;
}

void events_answer(const struct snapshot *s, const struct query *q, struct answer *a, struct wait *wait)
{
	struct range r;
	if (!read_range(s, q, &r, a))
		return;
	uint64_t after = (uint64_t)r.after;
	if (r.wait_s > 0 && after == s->world->journal.last_seq)
		*wait = (struct wait){
			.kind = WAIT_EVENT, .until = clock_after(s->now, r.wait_s * 1000), .after = after};
	else
		answer_json(a, 200, list(s, after, (uint64_t)r.limit));
}

void events_answer_waited(const struct snapshot *s, const struct wait *wait, struct answer *a)
{
	answer_json(a, 200, list(s, wait->after, JOURNAL_SIZE));
}

bool events_begin(const struct snapshot *s, const struct query *q, uint64_t *cursor, struct answer *a)
{
	struct range r;
	if (!read_range(s, q, &r, a))
		return false;
	*cursor = query_find(q, "after") ? (uint64_t)r.after : s->world->journal.last_seq;
	return true;
}

static void put_json(struct buf *out, json_t *json)
{
	struct answer a;
	answer_init(&a, out);
	answer_json(&a, 200, json);
}

bool events_next(const struct snapshot *s, uint64_t *cursor, struct buf *out)
{
	const struct journal *j = &s->world->journal;
	uint64_t oldest = journal_oldest(j);
	if (*cursor >= j->last_seq)
		return false;
	if (oldest > *cursor + 1) {
		put_json(out, json_pack("{s:I}", "missed", (json_int_t)(oldest - *cursor - 1)));
		*cursor = oldest - 1;
		return true;
	}
	const struct journal_entry *e = journal_get(j, ++*cursor);
	if (e)
		put_json(out, shapes_event(s, e));
	return e != NULL;
}
