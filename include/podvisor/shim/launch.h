/* launch owns the birth of the worker's main process: everything between vfork
 * and exec, in an order that matters. */
#ifndef PODVISOR_SHIM_LAUNCH_H
#define PODVISOR_SHIM_LAUNCH_H

#include <sys/types.h>

#include "podvisor/shim/options.h"
#include "podvisor/wire/shim.h"

/* The pid of the main process once it executes its command; -1 when it does
 * not, with error and step filled in (the process is reaped then). Returns
 * after the exec: the caller is suspended until then (vfork(2)). */
pid_t launch_main(const struct options *o, int *error, enum shim_step *step);

#endif
