/* path_watch owns the kernel's word (inotify(7)) that a path may no longer lead where it led: what stands there, or a
 * directory or a symbolic link on the way, was removed, renamed or replaced. It costs no wake-up while nothing of that
 * happens, whatever goes on in those directories. It hears nothing of a file system that is mounted over them. */
#ifndef PODVISOR_IO_PATH_WATCH_H
#define PODVISOR_IO_PATH_WATCH_H

#include "podvisor/base/err.h"
#include "podvisor/io/loop.h"

struct path_watch;

/* path is absolute, and is there. touched is called once or more after something happened, or may have; then the path
 * is to be looked at and watched anew. Look once after this too, for what happened just before it. Fails with a
 * sentence where only looking helps: -EMFILE (the user's inotify instances are used up), -ENOSPC (its watches are),
 * -EACCES (a directory may not be read), -EOPNOTSUPP (a file system that others change behind this kernel's back). */
int path_watch_new(struct path_watch **out, struct loop *l, const char *path, void (*touched)(void *ctx), void *ctx,
	struct err *err) MUST_CHECK;
/* NULL is fine. May be called from touched. */
void path_watch_free(struct path_watch *w);

#endif
