/* histogram owns a fixed-size distribution of durations, cumulative when it is
 * shown, as Prometheus wants it. Adding is a few comparisons, no allocation. */
#ifndef PODVISOR_BASE_HISTOGRAM_H
#define PODVISOR_BASE_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_BUCKETS 14

/* Upper bounds in seconds of the buckets; +Inf is implied. */
static const double histogram_bounds_seconds[HISTOGRAM_BUCKETS] = {
	0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30};

struct histogram {
	uint64_t buckets[HISTOGRAM_BUCKETS + 1]; /* not cumulative; the last one is +Inf */
	uint64_t count;
	double sum_seconds;
};

static inline void histogram_add(struct histogram *h, double seconds)
{
	size_t i = 0;
	while (i < HISTOGRAM_BUCKETS && seconds > histogram_bounds_seconds[i])
		i++;
	h->buckets[i]++;
	h->count++;
	h->sum_seconds += seconds;
}

#endif
