/* relief owns who gives way when something is used up: RAM disks, browsers and
 * workers, in that order and one at a time, when memory_guard finds the pod's memory
 * short; those in on_full when a RAM disk stays full. */
#ifndef PODVISOR_MODEL_RELIEF_H
#define PODVISOR_MODEL_RELIEF_H

#include "podvisor/model/world.h"

/* What a worker has to have grown by to be worth a restart, in percent of the limit. */
#define RELIEF_GROWTH_PERCENT 1
/* Weights that are older say nothing. */
#define RELIEF_WEIGHTS_MS 10000

/* Asks the machines of w; their own plans of this turn carry it out. Nothing while podvisor stops. */
void relief_plan(struct world *w, struct turn *t);
/* Asks for the figures that it goes by. */
void relief_measure(struct world *w, struct turn *t);

#endif
