/* act owns the commands that act on workers and browsers by name: start, stop and
 * restart. */
#ifndef PODVISOR_CLI_ACT_H
#define PODVISOR_CLI_ACT_H

#include "podvisor/cli/options.h"

/* As o->verb says. Returns the exit code. */
int act_run(const struct options *o);

#endif
