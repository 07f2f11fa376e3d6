/* version owns `podvisor version`: what this binary is, and which libraries it
 * runs on, asked of the libraries themselves and not of their headers. */
#ifndef PODVISOR_CLI_VERSION_H
#define PODVISOR_CLI_VERSION_H

#include "podvisor/cli/options.h"

/* "v1.2.0", or what git describes. */
const char *version_text(void);
/* Returns the exit code, 0. */
int version_run(const struct options *o);

#endif
