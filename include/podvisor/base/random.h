/* random owns a small seeded generator (splitmix64). The seed comes in as an
 * argument, so a simulator run with the same seed takes the same decisions.
 * Not for secrets. */
#ifndef PODVISOR_BASE_RANDOM_H
#define PODVISOR_BASE_RANDOM_H

#include <stdint.h>

struct random {
	uint64_t state;
};

static inline uint64_t random_next(struct random *r)
{
	uint64_t z = (r->state += 0x9e3779b97f4a7c15U);
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
	return z ^ (z >> 31);
}

/* Uniform in [0, n); 0 when n is 0. */
static inline uint64_t random_below(struct random *r, uint64_t n)
{
	return n ? random_next(r) % n : 0;
}

/* span changed by up to percent in either direction, for jitter. */
static inline int64_t random_jitter(struct random *r, int64_t span, int percent)
{
	int64_t width = span / 100 * percent + span % 100 * percent / 100;
	return span - width + (int64_t)random_below(r, (uint64_t)(2 * width) + 1);
}

#endif
