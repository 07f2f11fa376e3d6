/* browser_census owns the regular look at the processes of one Chrome, in a thread:
 * every 5 s, and every second for a while after one of its parts was lost. */
#ifndef PODVISOR_RUNTIME_BROWSER_CENSUS_H
#define PODVISOR_RUNTIME_BROWSER_CENSUS_H

#include "podvisor/base/err.h"
#include "podvisor/io/chrome_tree.h"
#include "podvisor/io/loop.h"

struct browser_census;

/* Parts that have ended since the look before. */
struct browser_losses {
	int gpu, network, zygotes;
};

/* tree is borrowed for the call. Its memory may be that of the look before. */
typedef void (*browser_census_looked)(void *ctx, const struct chrome_tree *tree, const struct browser_losses *lost);

int browser_census_new(struct browser_census **out, struct loop *loop, pid_t shim, pid_t main,
	browser_census_looked looked, void *ctx, struct err *err) MUST_CHECK;
/* It is complete now: from the next look on, what is lost counts. */
void browser_census_trust(struct browser_census *c);
/* No call comes any more. NULL is fine; the memory goes with the loop's close callback, or with the thread. */
void browser_census_free(struct browser_census *c);

#endif
