/* words owns lines of podvisor's own that wait: what it says about a worker whose
 * run is over comes behind what that run has written, although stdout may take
 * its time with it. */
#ifndef PODVISOR_RUNTIME_WORDS_H
#define PODVISOR_RUNTIME_WORDS_H

#include <stdbool.h>
#include <stdint.h>

#include "podvisor/base/list.h"
#include "podvisor/base/span.h"
#include "podvisor/model/config.h"

#define WORDS_MAX 64 /* that wait for one worker; further ones do not wait */

struct words {
	struct list list;
	size_t n;
};

/* One line: about whom, and when it was said. */
struct word {
	enum log_level level;
	enum thing thing;
	const char *subject;
	struct span text;
	int64_t wall_ms;
};

void words_init(struct words *w);
void words_fini(struct words *w);
/* Copies it. False: it cannot wait. */
bool words_keep(struct words *w, const struct word *word);
/* Tells all, the oldest first, and forgets them. */
void words_release(struct words *w, void (*tell)(void *ctx, const struct word *word), void *ctx);

#endif
