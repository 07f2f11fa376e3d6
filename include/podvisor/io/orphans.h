/* orphans owns the finding and killing of what a shim leaves behind when it dies
 * by violence: its worker's processes are then children of podvisor. Not every
 * adopted child is such a stray: as PID 1 podvisor also adopts what somebody
 * started with `kubectl exec`, and that is none of its business. */
#ifndef PODVISOR_IO_ORPHANS_H
#define PODVISOR_IO_ORPHANS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "podvisor/io/reaper.h"

/* Stands in the environment of every worker, with its name as the value. */
#define ORPHANS_MARKER "PODVISOR_WORKER="

/* One sweep; lives inside whoever asks for it. */
struct orphans {
	struct reaper_watcher watcher;
	struct reaper *reaper;
	uint64_t since_ticks, reaped_before;
	pid_t await;
	/* Nothing is left; killed: orphans reaped meanwhile. Inside the reaper's batch. */
	void (*on_none)(struct orphans *o, int killed);
};

/* Now, in the clock ticks since boot in which /proc tells a process's start. */
uint64_t orphans_now_ticks(void);

/* Kills every child of ours that the reaper does not know, that started at
 * since_ticks or later and that is not demonstrably foreign; again after each
 * batch of ends, because a stray's own children become ours when it dies; until
 * there is none, and until the reaper no longer watches await, the dead shim's
 * main process (0: none). Call it inside reaper_child.on_end of the shim: the first look
 * is at the end of that batch. A stray that we may not kill (EPERM) or that hangs in
 * the kernel keeps the sweep waiting, without polling. */
void orphans_sweep(struct orphans *o, struct reaper *r, uint64_t since_ticks, pid_t await);
/* Gives up; harmless when no sweep is on. */
void orphans_leave(struct orphans *o);

/* Whether these bytes of /proc/PID/environ prove that the process is no worker's:
 * NAME=value throughout, and no marker. A process that wrote its title over its
 * environment (Chrome, PostgreSQL) or cleared it proves nothing. */
bool orphans_is_foreign(const char *environment, size_t len);

#endif
