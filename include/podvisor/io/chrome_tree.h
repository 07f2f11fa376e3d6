/* chrome_tree owns one look at the processes of one Chrome: how many of each type
 * there are, what they use, and which of them Chrome cannot do without. It walks
 * /proc (proc(5)), so it belongs into a thread of the pool. */
#ifndef PODVISOR_IO_CHROME_TREE_H
#define PODVISOR_IO_CHROME_TREE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "podvisor/base/span.h"
#include "podvisor/model/event.h"

#define CHROME_ZYGOTES_MAX 4

struct chrome_tree {
	int64_t processes[CHROME_TYPE_COUNT];
	int64_t memory_bytes[CHROME_TYPE_COUNT]; /* PSS, as tree_usage counts it; 0 when it was not asked for */
	pid_t gpu, network; /* 0: none */
	pid_t zygotes[CHROME_ZYGOTES_MAX]; /* those that the browser itself has started */
	int n_zygotes;
};

/* Everything below the shim; main is Chrome's own first process. -errno when /proc cannot be read. */
int chrome_tree_read(pid_t shim, pid_t main, bool with_memory, struct chrome_tree *out);
/* Certain that it has ended: what cannot be looked at is not. */
bool chrome_tree_is_gone(pid_t pid);
/* Kills every orphan that podvisor has adopted which began in this directory or names it, as long as that helps. The
 * number of those that are still there. */
int chrome_tree_sweep(const char *directory);
/* The words of the command line name this directory, or something in it. */
bool chrome_tree_names(struct span command_line, const char *directory);
/* What kind of Chrome's processes has this command line, which may have NULs or blanks between its words. */
enum chrome_type chrome_tree_type_of(struct span command_line);

#endif
