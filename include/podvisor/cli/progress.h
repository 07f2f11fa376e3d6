/* progress owns what a command tells on stderr while it waits: what it waits for. On
 * a terminal that is one line, which is drawn over itself and gone at the end;
 * elsewhere a line whenever something has changed. */
#ifndef PODVISOR_CLI_PROGRESS_H
#define PODVISOR_CLI_PROGRESS_H

#include <jansson.h>
#include <stdbool.h>

#include "podvisor/cli/supervisor.h"

struct progress {
	struct supervisor *s; /* borrowed */
	const char *target; /* what is asked again and again; borrowed */
	/* Writes one line for people of the answer; steady: without what changes with every look, such as spans of
	 * time. */
	void (*describe)(FILE *to, const json_t *answer, bool steady, const void *ctx);
	const void *ctx;
	bool drawn; /* on a terminal: over itself */
	bool shown;
	int ticks;
	char *told; /* the last line that is not drawn over; owned */
};

/* Arranges that s tells while it waits, unless the command speaks JSON. p lives until progress_end. */
void progress_begin(struct progress *p, struct supervisor *s);
void progress_end(struct progress *p);

#endif
