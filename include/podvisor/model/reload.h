/* reload owns the exchange of the world's configuration while it runs: what is
 * unchanged is left alone, what changed is started anew, what is gone is stopped. */
#ifndef PODVISOR_MODEL_RELOAD_H
#define PODVISOR_MODEL_RELOAD_H

#include "podvisor/base/buf.h"
#include "podvisor/base/err.h"
#include "podvisor/model/world.h"

/* Whether there can be one now: 0, or -EBUSY with a sentence once podvisor stops. To be asked before anything is read;
 * reload_apply and reload_preview ask it themselves. */
int reload_allowed(const struct world *w, struct err *err) MUST_CHECK;
/* Another desired state. -ENOTSUP with a sentence when a part changed that cannot
 * change in a running podvisor (instance, control's addresses, volumes,
 * postgres, gateway); nothing is applied then. Holds config on success. */
int reload_apply(struct world *w, struct config *config, ms_t now, struct err *err) MUST_CHECK;
/* What reload_apply would do, one line for each thing, into out; nothing when there is nothing to do:
 *   + worker x
 *   - worker y
 *   ~ worker z: command, stop.timeout 10s -> 30s; restarts
 *   ~ log: level info -> debug
 * Secrets are not shown. Returns what reload_apply would return for parts that
 * cannot change; out is then untouched. */
int reload_preview(const struct world *w, const struct config *config, struct buf *out, struct err *err) MUST_CHECK;

#endif
