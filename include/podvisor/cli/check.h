/* check owns `podvisor check`: the configuration's mistakes, its effective form
 * and its schema. It needs no supervisor. */
#ifndef PODVISOR_CLI_CHECK_H
#define PODVISOR_CLI_CHECK_H

#include "podvisor/cli/options.h"

/* Returns the exit code: 0 or 78. */
int check_run(const struct options *o);

#endif
