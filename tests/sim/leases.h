/* leases owns the simulation of the lease protocol: three replicas with the real machine, clocks that run at
 * different rates, and one database that is late, loses answers and writes, and fails over. */
#ifndef SIM_LEASES_H
#define SIM_LEASES_H

#include <stdint.h>

/* One life by that seed, which fails the test when a promise is broken; returns how many steps it took. */
uint64_t leases_live(uint64_t seed);

#endif
