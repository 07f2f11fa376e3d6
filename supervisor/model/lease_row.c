#include "podvisor/model/lease_row.h"

#include <stdio.h>
#include <string.h>

static const char *const request_names[LEASE_REQUEST_COUNT] = {
	[LEASE_NOTHING] = "nothing",
	[LEASE_OBSERVE] = "observe",
	[LEASE_ACQUIRE] = "acquire",
	[LEASE_RENEW] = "renew",
	[LEASE_RELEASE] = "release",
};

const char *lease_request_name(enum lease_request request)
{
	return request < LEASE_REQUEST_COUNT ? request_names[request] : "unknown";
}

/* The holder too: a hint, which anybody can send, may have said that it is free. */
static bool is_as_expected(const struct lease_row *row, const struct lease_row *expected)
{
	return row->token == expected->token && row->seq == expected->seq && strcmp(row->holder, expected->holder) == 0;
}

static bool acquire(struct lease_row *row, const struct lease_orders *o, const char *me, int64_t timeline)
{
	if (timeline != o->timeline || !is_as_expected(row, &o->expected))
		return false;
	row->token++;
	row->timeline = timeline;
	snprintf(row->holder, sizeof(row->holder), "%s", me);
	return true;
}

/* The timeline too: a failover that lost a grant lets its counter be granted again, to the same replica perhaps, and a
 * release of the lost grant may still be on its way. */
static bool is_granted(const struct lease_row *row, const struct lease_orders *o, const char *me)
{
	return row->token == o->token && row->timeline == o->timeline && strcmp(row->holder, me) == 0;
}

bool lease_row_carry_out(
	struct lease_row *row, const struct lease_orders *o, const char *me, int64_t timeline, int64_t wall_ms)
{
	bool done = o->request == LEASE_ACQUIRE ? acquire(row, o, me, timeline) : is_granted(row, o, me);
	if (o->request == LEASE_OBSERVE)
		return true;
	if (!done)
		return false;
	if (o->request == LEASE_RELEASE)
		row->holder[0] = '\0';
	row->seq++;
	row->renewed_ms = wall_ms;
	return true;
}
