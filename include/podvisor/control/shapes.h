/* shapes owns the JSON form of each thing, as docs/api.md describes it. All
 * return a new object, or NULL when memory is out. */
#ifndef PODVISOR_CONTROL_SHAPES_H
#define PODVISOR_CONTROL_SHAPES_H

#include <jansson.h>
#include <stdbool.h>

#include "podvisor/model/snapshot.h"

/* runs: with the history of its runs. */
json_t *shapes_worker(const struct snapshot *s, size_t slot, bool runs);
json_t *shapes_browser(const struct snapshot *s, size_t slot);
json_t *shapes_volume(const struct snapshot *s, const struct volume *v);
json_t *shapes_database(const struct snapshot *s, const struct database *d);
/* null when none is configured. */
json_t *shapes_gateway(const struct snapshot *s);
json_t *shapes_drain(const struct snapshot *s);
json_t *shapes_status(const struct snapshot *s, const char *version);
json_t *shapes_event(const struct snapshot *s, const struct journal_entry *e);

#endif
