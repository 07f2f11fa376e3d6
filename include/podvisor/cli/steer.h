/* steer owns the commands that change the whole: reload, drain and undrain. Each
 * returns the exit code. */
#ifndef PODVISOR_CLI_STEER_H
#define PODVISOR_CLI_STEER_H

#include "podvisor/cli/options.h"

int steer_reload_run(const struct options *o);
/* drain and undrain, as o->verb says. */
int steer_drain_run(const struct options *o);

#endif
