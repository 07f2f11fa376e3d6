/* status owns `podvisor status`: asking the supervisor how everything is, once
 * or once a second. */
#ifndef PODVISOR_CLI_STATUS_H
#define PODVISOR_CLI_STATUS_H

#include "podvisor/cli/options.h"

/* Returns the exit code. */
int status_run(const struct options *o);

#endif
