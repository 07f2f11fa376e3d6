/* full_state owns the lines that SIGQUIT asks for: every thing's state and why, as a log line each. */
#ifndef PODVISOR_RUNTIME_FULL_STATE_H
#define PODVISOR_RUNTIME_FULL_STATE_H

#include "podvisor/model/world.h"
#include "podvisor/runtime/logs.h"

void full_state_tell(const struct world *w, struct logs *logs);

#endif
