/* browsers owns the runs of the browsers: each Chrome in its shim and on its RAM
 * disk, its control pipe, and the stable address in front of it. It does what the
 * plan says and posts what became of it. SPEC 4. */
#ifndef PODVISOR_RUNTIME_BROWSERS_H
#define PODVISOR_RUNTIME_BROWSERS_H

#include "podvisor/base/buf.h"
#include "podvisor/base/err.h"
#include "podvisor/model/plan.h"
#include "podvisor/runtime/context.h"

struct browsers;

/* Allocates context->meters->browsers, one for each browser of the world. */
int browsers_new(struct browsers **out, const struct context *c, struct err *err) MUST_CHECK;
/* The EFFECT_BROWSER_ family. A launch is answered by STARTED or UNSTARTABLE; what
 * started, by EXITED and GONE; a clean, by CLEANED. */
void browsers_do(struct browsers *b, const struct effect *e);
/* NULL is fine. Whatever still runs is killed by its shim, which sees the socket close. */
void browsers_free(struct browsers *b);

/* The whole command that a browser would be started with, as a shell takes it, for
 * `podvisor check --print`, secrets masked. */
int browsers_command(
	const struct config *config, const struct config_browser *browser, struct buf *out, struct err *err) MUST_CHECK;

#endif
