/* metrics owns what /metrics shows: one table of families, each with its type,
 * unit, help and the writer of its samples. Labels are bounded by what is
 * configured. What is not known has no sample. */
#ifndef PODVISOR_CONTROL_METRICS_H
#define PODVISOR_CONTROL_METRICS_H

#include "podvisor/io/self_usage.h"
#include "podvisor/model/snapshot.h"
#include "podvisor/wire/openmetrics.h"

/* self: of podvisor. */
void metrics_write(const struct snapshot *s, const struct self_usage *self, const char *version,
	enum openmetrics_format format, struct buf *out);

#endif
