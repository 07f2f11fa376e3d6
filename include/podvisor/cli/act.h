/* act owns the commands that change something: start, stop, restart, reload,
 * drain and undrain. Each returns the exit code. */
#ifndef PODVISOR_CLI_ACT_H
#define PODVISOR_CLI_ACT_H

#include "podvisor/cli/options.h"

/* start, stop and restart, as o->verb says. */
int act_run(const struct options *o);
int act_reload_run(const struct options *o);
/* drain and undrain, as o->verb says. */
int act_drain_run(const struct options *o);

#endif
