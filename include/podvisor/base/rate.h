/* rate owns a limit of so many a second: a bucket of tokens that holds what one
 * second gives, and is full at first. */
#ifndef PODVISOR_BASE_RATE_H
#define PODVISOR_BASE_RATE_H

#include <stdbool.h>
#include <stdint.h>

#include "podvisor/base/clock.h"

struct rate {
	int64_t a_second; /* 0: no limit */
	int64_t thousandths; /* of a token */
	ms_t at; /* when they were counted */
};

/* Another limit begins with a full bucket; the same one goes on. */
static inline void rate_set(struct rate *r, int64_t a_second, ms_t now)
{
	if (r->a_second == a_second)
		return;
	*r = (struct rate){.a_second = a_second, .thousandths = a_second * 1000, .at = now};
}

/* Takes a token if there is one. */
static inline bool rate_take(struct rate *r, ms_t now)
{
	if (!r->a_second)
		return true;
	ms_t passed = now > r->at ? now - r->at : 0;
	int64_t full = r->a_second * 1000;
	r->at = now > r->at ? now : r->at;
	r->thousandths = passed >= 1000 || r->thousandths + passed * r->a_second > full
				 ? full
				 : r->thousandths + passed * r->a_second;
	if (r->thousandths < 1000)
		return false;
	r->thousandths -= 1000;
	return true;
}

#endif
