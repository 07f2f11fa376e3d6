/* purge owns the deletion of the oldest files of a directory that match
 * patterns, in slices of bounded time and with bounded memory, however many there
 * are. It blocks: a slice belongs into a thread of the pool.
 *
 * A file's age counts from the newest of its three times: mtime alone makes old what
 * was just unpacked or copied, ctime tells of that, and atime of what is still read. Only regular files are deleted,
 * through directories that are opened one by one: no symbolic link is followed, no other file system entered. One
 * that is in use stays: what /proc shows (io/open_files) is read anew for each
 * slice, and right before the unlink the kernel is asked for a lease, which it
 * grants only for a file that nobody at all has open, in whatever namespace, and
 * under which whoever opens it now waits until it is gone. Where no lease is given
 * (another user's file, without CAP_LEASE) a file may be opened within the slice:
 * who has it then keeps what is in it, only the name is gone. */
#ifndef PODVISOR_IO_PURGE_H
#define PODVISOR_IO_PURGE_H

#include <stddef.h>
#include <stdint.h>

#include "podvisor/base/clock.h"
#include "podvisor/base/err.h"

/* Levels below the path; what lies deeper stays. */
#define PURGE_DEPTH 64
/* Files that one walk remembers, the oldest; and bytes of their names. When more have to go it walks again. */
#define PURGE_REMEMBER 65536
#define PURGE_NAMES    ((size_t)8 << 20)
struct purge;

/* Lists end with NULL and may be NULL. */
struct purge_order {
	const char *path;
	const char *const *globs; /* base/glob.h, relative to path */
	ms_t min_age, directory_age; /* of files; of directories, which go only when they are empty */
	const char *const *keep; /* absolute: these and all below them stay; they need not exist */
	/* Relative to path: below these only a pattern counts that names something there, as
	 * "**" followed by "Cache" does and "**" alone does not. */
	const char *const *guarded;
	int64_t bytes, inodes; /* so much is to become free */
	size_t remember; /* 0: PURGE_REMEMBER */
};

struct purge_report {
	int64_t files, directories; /* deleted */
	int64_t bytes; /* that became free by it */
	int64_t open, young, failed; /* files that match and stayed, in the last look through all */
	int unseen; /* processes whose open files podvisor may not see */
	char text[96]; /* the first failure; "" when there was none */
};

/* Copies the order. -errno when the path cannot be opened. */
int purge_new(struct purge **out, const struct purge_order *order, struct err *err) MUST_CHECK;
/* Goes on for about so long. 1: there is more to do; 0: enough is free, or nothing
 * is left that may go; -errno with a sentence. */
int purge_step(struct purge *p, ms_t budget, struct err *err) MUST_CHECK;
/* Valid until the next step. */
const struct purge_report *purge_report(const struct purge *p);
/* At any time. NULL is fine. */
void purge_free(struct purge *p);

#endif
