/* procfs owns the reading of the few lines of /proc that tell who descends from
 * whom; the bytes come in as arguments. proc(5). */
#ifndef PODVISOR_WIRE_PROCFS_H
#define PODVISOR_WIRE_PROCFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A list of pids separated by blanks, as in /proc/PID/task/TID/children, taken
 * byte by byte, so that it may be read in pieces of any size. Starts zeroed. */
struct procfs_pids {
	int32_t partial;
};

/* The pid that this byte ends, or 0. After the last byte feed a '\n'. */
int32_t procfs_next_pid(struct procfs_pids *list, char byte);

/* The start of the process in clock ticks since boot: field 22 of /proc/PID/stat.
 * False when text (NUL-terminated) is no such line. The command's name in it may
 * contain blanks and parentheses. */
bool procfs_start_ticks(const char *text, uint64_t *ticks);

#endif
