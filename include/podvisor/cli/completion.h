/* completion owns what a shell needs to complete podvisor's words: a script made
 * of the table of commands, and the names that the script asks for. */
#ifndef PODVISOR_CLI_COMPLETION_H
#define PODVISOR_CLI_COMPLETION_H

#include <stdio.h>

#include "podvisor/cli/options.h"

/* `podvisor completion bash` prints the script; `podvisor completion names`, which
 * the script runs, prints workers, instances and browsers, one a line, or nothing
 * when no supervisor answers. Returns the exit code. */
int completion_run(const struct options *o);
void completion_bash(FILE *to);

#endif
