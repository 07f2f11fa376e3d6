/* browser_output owns what one Chrome writes on stdout and stderr: it is passed on
 * to the log at a limited rate (Chrome is talkative), and its last line is kept,
 * because that is why it died. */
#ifndef PODVISOR_RUNTIME_BROWSER_OUTPUT_H
#define PODVISOR_RUNTIME_BROWSER_OUTPUT_H

#include <stdbool.h>

#include "podvisor/base/err.h"
#include "podvisor/runtime/context.h"

/* Lines a second that are passed on; the rest is counted in one line. */
#define BROWSER_OUTPUT_RATE 20

struct browser_output;

/* child_fd receives the write end; the caller closes it once the child has it. */
int browser_output_open(struct browser_output **out, const struct context *c, const char *name, uint64_t run,
	int *child_fd, struct err *err) MUST_CHECK;
/* Takes what is there by now, to EAGAIN and not to the end: somebody may hold the other end. */
void browser_output_drain(struct browser_output *o);
/* The last line that says something; "" when there was none. Borrowed. */
const char *browser_output_last(const struct browser_output *o);
/* It has said that it cannot have a sandbox here. */
bool browser_output_sandbox_refused(const struct browser_output *o);
/* NULL is fine. The memory goes with the loop's close callback. */
void browser_output_close(struct browser_output *o);

#endif
