/* volumes owns the carrying out of what is decided about RAM disks: preparing
 * one (look, mount, own, empty), measuring it, purging it in slices, releasing it. All
 * of it happens in libuv's pool, one job a volume at a time. */
#ifndef PODVISOR_RUNTIME_VOLUMES_H
#define PODVISOR_RUNTIME_VOLUMES_H

#include "podvisor/base/err.h"
#include "podvisor/model/plan.h"
#include "podvisor/runtime/context.h"

struct volumes;

int volumes_new(struct volumes **out, const struct context *c, struct err *err) MUST_CHECK;
/* VOLUME_PREPARE → EVENT_VOLUME_PREPARED or _REFUSED; VOLUME_MEASURE →
 * _MEASURED; VOLUME_PURGE → _PURGED, for a slice, the next of which is asked for; VOLUME_RELEASE → _RELEASED. The model
 * asks one thing at a time; VOLUME_CANCEL has what is under way answered earlier. */
void volumes_do(struct volumes *v, const struct effect *e);
/* Jobs that are under way end unheard. NULL is fine. */
void volumes_free(struct volumes *v);

#endif
