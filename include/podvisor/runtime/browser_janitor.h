/* browser_janitor owns the tidying of one Chrome over its control pipe: it looks
 * at pages, contexts and renderers again and again, closes what model/janitor
 * names, and of a renderer that spins it finds out, by asking every page, whether
 * one hangs in it; only then it ends that process, and no other. */
#ifndef PODVISOR_RUNTIME_BROWSER_JANITOR_H
#define PODVISOR_RUNTIME_BROWSER_JANITOR_H

#include "podvisor/model/janitor.h"
#include "podvisor/runtime/browser_probe.h"

struct browser_janitor;

struct browser_janitor_calls {
	/* When the oldest session with this Chrome began; 0: there is none. */
	ms_t (*oldest_session)(void *ctx);
	/* Descends from Chrome's shim, so that it may be killed. In the loop's thread; quick. */
	bool (*is_ours)(void *ctx, pid_t pid);
	/* It has closed something; a sentence. */
	void (*tidied)(void *ctx, enum browser_tidied what, const char *text);
};

/* probe outlives it. idle, spin: as configured, 0: off; both off: *out is NULL. */
int browser_janitor_new(struct browser_janitor **out, struct loop *loop, struct browser_probe *probe, ms_t idle,
	ms_t spin, const struct browser_janitor_calls *calls, void *ctx, struct err *err) MUST_CHECK;
/* What the probe tells. NULL is fine, here and below. */
void browser_janitor_replied(struct browser_janitor *j, const struct cdp_message *m);
void browser_janitor_crashed(struct browser_janitor *j, const char *target);
/* No call comes any more. */
void browser_janitor_free(struct browser_janitor *j);

#endif
