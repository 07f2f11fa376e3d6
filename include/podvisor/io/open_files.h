/* open_files owns the answer to which files of one file system are in use by
 * some process: held by a descriptor, mapped, or its directory, root or program
 * (proc(5)). A picture of one moment; it walks /proc, so it belongs into a thread of
 * the pool. What only another PID namespace sees, or what travels through a socket,
 * is not in it. */
#ifndef PODVISOR_IO_OPEN_FILES_H
#define PODVISOR_IO_OPEN_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "podvisor/base/err.h"

/* With more than so many a picture cannot be taken. */
#define OPEN_FILES_MAX 65536

struct open_files {
	ino_t *inodes; /* owned; sorted */
	size_t n, cap;
	int unseen; /* processes that podvisor may not look at */
};

/* Those of the file system `device`. -EMFILE: more than OPEN_FILES_MAX; -ENOMEM; -errno when /proc cannot be read. */
int open_files_read(struct open_files *out, dev_t device, struct err *err) MUST_CHECK;
void open_files_fini(struct open_files *o);
bool open_files_has(const struct open_files *o, ino_t inode);

#endif
