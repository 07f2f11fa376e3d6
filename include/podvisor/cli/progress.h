/* progress owns the line on a terminal that tells, while a command waits, what it
 * waits for. It stands on stderr, is drawn over itself, and is gone at the end. */
#ifndef PODVISOR_CLI_PROGRESS_H
#define PODVISOR_CLI_PROGRESS_H

#include <jansson.h>
#include <stdbool.h>

#include "podvisor/cli/supervisor.h"

struct progress {
	struct supervisor *s; /* borrowed */
	const char *target; /* what is asked again and again; borrowed */
	/* Writes one line for people of the answer. */
	void (*describe)(FILE *to, const json_t *answer, const void *ctx);
	const void *ctx;
	bool shown;
};

/* Arranges that s tells while it waits; nothing when stderr is no terminal or
 * the command speaks JSON. p lives until progress_end. */
void progress_begin(struct progress *p, struct supervisor *s);
void progress_end(struct progress *p);

#endif
