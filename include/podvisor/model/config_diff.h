/* config_diff owns how the difference between two configurations is told: which
 * keys, and of plain values what they were and are. Secrets are named, not shown. */
#ifndef PODVISOR_MODEL_CONFIG_DIFF_H
#define PODVISOR_MODEL_CONFIG_DIFF_H

#include "podvisor/base/buf.h"
#include "podvisor/model/config.h"

/* Appends "command, stop.timeout 10s -> 30s, +env.A": the keys of a worker, a
 * browser, or a part of the whole ("log", "instance") that differ; nothing when
 * they are equal. old and new are the configurations that they stand in. */
void config_diff_worker(const struct config *old, const struct config_worker *a, const struct config *new,
	const struct config_worker *b, struct buf *out);
void config_diff_browser(const struct config *old, const struct config_browser *a, const struct config *new,
	const struct config_browser *b, struct buf *out);
void config_diff_part(const struct config *old, const struct config *new, const char *name, struct buf *out);

#endif
