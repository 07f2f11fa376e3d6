/* tmpfs owns RAM disks: looking at one, mounting and unmounting it, emptying it
 * and measuring what is in it. Every call here may block (a walk over a full
 * disk, a lazy unmount): make them from libuv's pool, never on the loop. */
#ifndef PODVISOR_IO_TMPFS_H
#define PODVISOR_IO_TMPFS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "podvisor/base/err.h"

struct tmpfs_facts {
	bool is_tmpfs; /* statfs(2): TMPFS_MAGIC */
	bool own_mount; /* the path is where it is mounted: all of it is ours */
	int64_t size_bytes, used_bytes; /* of the whole file system; size 0: no limit */
	int64_t size_inodes, used_inodes;
	mode_t mode; /* permission bits */
};

/* -ENOENT, -ENOTDIR, -EACCES with a sentence. */
int tmpfs_look(const char *path, struct tmpfs_facts *out, struct err *err) MUST_CHECK;
/* Makes the directory, and those above it with 0755. Returns 1 when it made the
 * last one, 0 when it was there. */
int tmpfs_make_directory(const char *path, mode_t mode, struct err *err) MUST_CHECK;
/* Mounts a tmpfs (nosuid, nodev). -EPERM says which capability is missing. */
int tmpfs_mount(const char *path, int64_t size_bytes, mode_t mode, struct err *err) MUST_CHECK;
/* It was mounted by tmpfs_mount, perhaps by a podvisor that was killed. */
bool tmpfs_is_ours(const char *path);
/* Another size for a mounted tmpfs. */
int tmpfs_resize(const char *path, int64_t size_bytes, struct err *err) MUST_CHECK;
/* Unmounts; a busy one lazily (MNT_DETACH), which *lazily then tells. */
int tmpfs_unmount(const char *path, bool *lazily, struct err *err) MUST_CHECK;
/* owner: "user", "user:group" or ":group", names or numbers; NULL: leave. What has that
 * mode and owner already is left alone, so that an ordinary user may ask too. */
int tmpfs_own(const char *path, mode_t mode, const char *owner, struct err *err) MUST_CHECK;

/* Space and entries below path, counted by walking: for what is not a file
 * system of its own. Does not cross into other file systems. Ends early, with what was counted until then, once
 * *cancel (may be NULL) is true. */
int tmpfs_count(
	const char *path, const atomic_bool *cancel, int64_t *bytes, int64_t *inodes, struct err *err) MUST_CHECK;

struct tmpfs_emptied {
	int64_t removed, failed;
	char text[96]; /* the first failure, "" when there was none */
};

/* -EPERM when path is a directory of the system ("/", "/usr", a home, a /tmp on
 * disk ...), which nobody can have meant to be emptied. */
int tmpfs_check_emptiable(const char *path, struct err *err) MUST_CHECK;
/* Deletes everything below path but what is in keep (NULL-terminated; paths that do
 * not exist are fine) and the directories on the way there. Follows no symbolic
 * link and crosses into no other file system. -EPERM as above. What cannot be
 * deleted is counted, not an error. Ends early once *cancel (may be NULL) is true. */
int tmpfs_empty(const char *path, const char *const *keep, const atomic_bool *cancel, struct tmpfs_emptied *out,
	struct err *err) MUST_CHECK;

#endif
