/* openmetrics owns the text in which metrics are exposed: Prometheus' format
 * 0.0.4 and OpenMetrics 1.0 (its successor, on its way to become an RFC). One
 * family after the other, its samples directly after it.
 *
 * They differ in the name of a counter's family (OpenMetrics leaves _total to
 * the samples), in units, in the info type, and in the end mark. */
#ifndef PODVISOR_WIRE_OPENMETRICS_H
#define PODVISOR_WIRE_OPENMETRICS_H

#include <stddef.h>
#include <stdint.h>

#include "podvisor/base/buf.h"
#include "podvisor/base/span.h"

enum openmetrics_format { OPENMETRICS_PROMETHEUS, OPENMETRICS_1_0 };
/* COUNTER: the samples' names end in _total; INFO: in _info, their value is 1.
 */
enum openmetrics_type { OPENMETRICS_GAUGE, OPENMETRICS_COUNTER, OPENMETRICS_HISTOGRAM, OPENMETRICS_INFO };

struct openmetrics_label {
	const char *name, *value;
};

struct openmetrics {
	struct buf *out; /* borrowed; its failure is the writer's */
	enum openmetrics_format format;
	const char *family; /* borrowed until the next one, without _total and _info */
	enum openmetrics_type type;
};

void openmetrics_init(struct openmetrics *m, enum openmetrics_format format, struct buf *out);
/* Begins a family. name: without _total and _info; unit: what name ends in, or
 * NULL. */
void openmetrics_family(
	struct openmetrics *m, const char *name, enum openmetrics_type type, const char *unit, const char *help);
/* One sample of the family. Label values may hold any bytes. */
void openmetrics_number(struct openmetrics *m, double value, const struct openmetrics_label *labels, size_t n);
void openmetrics_count(struct openmetrics *m, int64_t value, const struct openmetrics_label *labels, size_t n);
/* Samples of a histogram: bounds ascending, n_bounds + 1 buckets, the last one
 * unbounded, none cumulative. */
void openmetrics_histogram(struct openmetrics *m, const double *bounds, size_t n_bounds, const uint64_t *buckets,
	double sum, const struct openmetrics_label *labels, size_t n);
/* After the last family. */
void openmetrics_end(struct openmetrics *m);

/* What an Accept header (RFC 9110 12.5.1) likes better; Prometheus' when it
 * does not tell. */
enum openmetrics_format openmetrics_choose(struct span accept);
/* The Content-Type of a format. */
const char *openmetrics_content_type(enum openmetrics_format format);

#endif
