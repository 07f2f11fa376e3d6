/* context owns nothing: it is what every part of the runtime is given at birth,
 * so that parts need not know each other. Everything in it outlives them. */
#ifndef PODVISOR_RUNTIME_CONTEXT_H
#define PODVISOR_RUNTIME_CONTEXT_H

#include "podvisor/io/loop.h"
#include "podvisor/model/snapshot.h"
#include "podvisor/model/world.h"

struct reaper;

struct context {
	struct loop *loop; /* post events here */
	const struct world *world; /* read only: what is configured, by slot */
	struct meters *meters; /* each part writes its own corner */
	struct reaper *reaper;
	const char *shim_path; /* the podvisor-shim program */
	const char *runtime_dir; /* writable: sockets and the like */
};

#endif
