/* tree owns the killing of everything that descends from this process. Being a
 * subreaper (prctl(2), PR_SET_CHILD_SUBREAPER) it becomes the parent of every
 * descendant whose own parent dies, whatever session or group it fled to. */
#ifndef PODVISOR_SHIM_TREE_H
#define PODVISOR_SHIM_TREE_H

#include <stdbool.h>

/* SIGKILL to each present child, once. Call it again after every SIGCHLD until
 * wait says that there is no child: a child's death hands us its own children,
 * and they are ours before its SIGCHLD comes, so nothing needs to be polled.
 * scan_proc: do not use the kernel's list of children but scan /proc. */
void tree_kill(bool scan_proc);

#endif
