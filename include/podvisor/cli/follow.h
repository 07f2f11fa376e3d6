/* follow owns the commands that show what happened and go on showing it: logs
 * and events. Each returns the exit code; Ctrl-C is an ordinary end of -f. */
#ifndef PODVISOR_CLI_FOLLOW_H
#define PODVISOR_CLI_FOLLOW_H

#include "podvisor/cli/options.h"

int follow_logs_run(const struct options *o);
int follow_events_run(const struct options *o);

#endif
