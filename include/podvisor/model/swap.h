/* swap owns the wish to replace a generation that works, in order: why, whether now,
 * beside it or after it, how often, and what became of the last try. SPEC 4. */
#ifndef PODVISOR_MODEL_SWAP_H
#define PODVISOR_MODEL_SWAP_H

#include <stdbool.h>

#include "podvisor/base/histogram.h"
#include "podvisor/model/generation.h"
#include "podvisor/model/recycle.h"
#include "podvisor/model/restart.h"
#include "podvisor/model/turn.h"

/* How long sessions may go on at the most when the pod's memory or its disk is short. */
#define BROWSER_SHORT_DRAIN_MS 10000

struct swap {
	enum browser_recycle wish; /* RECYCLE_NONE: none */
	char text[120];
	bool held; /* that it is put off has been told */
	ms_t since; /* it is under way; 0: it is not */
	ms_t not_before; /* after a green that failed */
	struct restart failures; /* of greens */
	struct recycle_hour hour;
	struct histogram seconds;
};

enum swap_way { SWAP_NOT_NOW, SWAP_BESIDE, SWAP_DRAIN_FIRST };

void swap_init(struct swap *s);
/* Nothing is wished any more, and none is under way. */
void swap_forget(struct swap *s);
/* What made greens fail has changed. */
void swap_forgive(struct swap *s);
/* False when one is under way, or asked for with more right. */
bool swap_ask(struct swap *s, enum browser_recycle reason);
/* What is to be done about blue, which serves, now that there is a place beside it. What is not SWAP_NOT_NOW is under
 * way from then on, and told. */
enum swap_way swap_decide(struct swap *s, const struct generation *blue, const struct config_browser *config,
	const struct recycle_room *room, struct turn *t);
/* Blue gets no new sessions any more. Returns the reason that it counts for. */
enum browser_recycle swap_retire(struct swap *s, struct generation *blue, struct turn *t);
/* A green has never got ready: the next try waits. */
void swap_put_off(struct swap *s, const struct config_browser *config, struct turn *t);
/* The next one serves. */
void swap_done(struct swap *s, struct turn *t);

#endif
