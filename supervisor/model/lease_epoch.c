#include "podvisor/model/lease_epoch.h"

enum lease_history lease_epoch_note(struct lease_epoch *e, uint64_t system, int64_t timeline, ms_t received)
{
	bool other = e->timeline && e->system != system;
	if (other && !e->follows)
		return LEASE_HISTORY_FOREIGN;
	if (!other && timeline < e->timeline)
		return LEASE_HISTORY_OLD;
	if (!other && timeline == e->timeline)
		return LEASE_HISTORY_SAME;
	e->system = system;
	e->timeline = timeline;
	e->first_sight = received;
	return LEASE_HISTORY_NEW;
}

ms_t lease_epoch_open_at(const struct lease_epoch *e, int64_t granted, ms_t ttl)
{
	if (!e->timeline)
		return CLOCK_NEVER;
	return granted == e->timeline ? e->first_sight : clock_after(e->first_sight, ttl);
}
