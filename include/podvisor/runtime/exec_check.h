/* exec_check owns checks that are commands: it runs one as the worker would run
 * it (user, directory, environment), in a shim of its own so that nothing of it
 * is left, and keeps the last line of its output for the sentence. */
#ifndef PODVISOR_RUNTIME_EXEC_CHECK_H
#define PODVISOR_RUNTIME_EXEC_CHECK_H

#include <stdbool.h>

#include "podvisor/base/err.h"
#include "podvisor/runtime/context.h"

struct exec_checks; /* all that are under way */
struct exec_check;

int exec_checks_new(struct exec_checks **out, const struct context *c, struct err *err) MUST_CHECK;
/* Gives up all; their shims kill what runs. NULL is fine. */
void exec_checks_free(struct exec_checks *c);

/* argv is of the worker's configuration. output: its stdout and stderr, closed here in any case; NULL: they are read
 * here. done is called once, from the loop and never from within this call: "" when the command exited 0, else how it
 * ended and, of what is read here, the last thing it said. There is no deadline of its own: abort it. */
int exec_check_start(struct exec_check **out, struct exec_checks *c, const struct worker *worker, char *const argv[],
	const int output[2], void (*done)(void *ctx, const char *failure), void *ctx, struct err *err) MUST_CHECK;
/* Kills the command and all it started; done is not called. */
void exec_check_abort(struct exec_check *e);
/* Aborts all. True: nothing of any of them is left; else the loop is asked for a turn whenever one is gone. NULL is
 * fine. */
bool exec_checks_end(struct exec_checks *c);

#endif
