/* probe owns `podvisor probe`: the answer of one of Kubernetes' probes as an
 * exit code, for exec probes. */
#ifndef PODVISOR_CLI_PROBE_H
#define PODVISOR_CLI_PROBE_H

#include "podvisor/cli/options.h"

/* Returns the exit code: 0 yes, 1 no, with the reasons on stdout. */
int probe_run(const struct options *o);

#endif
