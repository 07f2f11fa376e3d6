/* forwarding owns the signals that `run -- COMMAND` passes on: each as it is, for the answer is the command's. */
#ifndef PODVISOR_RUNTIME_FORWARDING_H
#define PODVISOR_RUNTIME_FORWARDING_H

#include <stdint.h>

#include "podvisor/runtime/workers.h"

/* All zero: none came yet. */
struct forwarding {
	uint64_t early; /* they came before there was a command to take them */
};

void forwarding_pass(struct forwarding *f, struct workers *workers, int signum);
/* The command is there: what came too early is passed on now. */
void forwarding_begin(struct forwarding *f, struct workers *workers);

#endif
