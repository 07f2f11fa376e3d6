/* options owns the command line of the shim. podvisor writes it, never a
 * person, so it is plain: podvisor-shim NAME [--OPTION=VALUE]... -- COMMAND... */
#ifndef PODVISOR_SHIM_OPTIONS_H
#define PODVISOR_SHIM_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define OPTIONS_INHERIT    INT64_MIN /* the option was not given */
#define OPTIONS_GROUPS_MAX 1024

struct options {
	const char *name; /* of the worker, for whoever reads ps */
	char **command; /* NULL-terminated, at least one */
	const char *cwd; /* NULL: inherit */
	const char *group_list; /* "4,20": supplementary groups; NULL: inherit */
	bool terminal; /* what stdin is becomes the worker's controlling terminal, if it is free for that */
	bool scan_proc; /* find children by scanning /proc, as on kernels without CONFIG_PROC_CHILDREN */
	int64_t control; /* descriptor of the socket to podvisor */
	int64_t keep; /* the worker keeps the descriptors below it */
	int64_t parent; /* podvisor's pid */
	int64_t deadline; /* CLOCK_BOOTTIME in ms: the tree is killed then */
	int64_t ignore; /* a signal that the worker ignores until it handles it */
	int64_t uid, gid, umask, nice, oom_score_adj;
	int64_t open_files, core_bytes, cpu_seconds;
	int64_t soft_files; /* the soft limit alone, below the hard one that is inherited */
	gid_t groups[OPTIONS_GROUPS_MAX];
	size_t n_groups;
};

/* Fills o, which must be zeroed; borrows argv. False when it is not what podvisor
 * writes. */
bool options_parse(struct options *o, char **argv);

#endif
