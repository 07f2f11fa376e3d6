#include "podvisor/io/path_watch.h"

#include <errno.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Nothing that the kernel also tells of the entries of a directory: a busy one would wake us all the time. */
#define ON_THE_WAY (IN_DELETE_SELF | IN_MOVE_SELF | IN_DONT_FOLLOW)
/* A socket's inode outlives its name for as long as it is bound; what its removal changes is the number of its names.
 */
#define AT_THE_END (ON_THE_WAY | IN_ATTRIB)

struct path_watch {
	uv_poll_t poll;
	int fd;
	void (*touched)(void *ctx);
	void *ctx;
};

/* Which happened does not matter, an overflow included. */
static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct path_watch *w = poll->data;
	char told[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	(void)status, (void)events;
	while (read(w->fd, told, sizeof(told)) > 0)
		;
	w->touched(w->ctx);
}

static int watch_one(int fd, const char *path, uint32_t what, struct err *err)
{
	if (inotify_add_watch(fd, path, what) >= 0)
		return 0;
	return err_set(err, -errno, "inotify at %s: %s%s", path, strerror(errno),
		errno == ENOSPC ? " (fs.inotify.max_user_watches)" : "");
}

/* Every directory above path, / excepted: that one stays. */
static int watch_way(int fd, const char *path, struct err *err)
{
	char prefix[PATH_MAX];
	int rc = 0;
	snprintf(prefix, sizeof(prefix), "%s", path);
	for (char *at = prefix + 1; rc == 0 && *at && (at = strchr(at, '/')); at++) {
		*at = '\0';
		rc = watch_one(fd, prefix, ON_THE_WAY, err);
		*at = '/';
	}
	return rc;
}

/* As it is written, for the links on it, and as it is in the end, for what they lead to. */
static int watch_path(int fd, const char *path, struct err *err)
{
	char real[PATH_MAX];
	if (!realpath(path, real))
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	int rc = watch_way(fd, path, err);
	rc = rc < 0 ? rc : watch_way(fd, real, err);
	return rc < 0 ? rc : watch_one(fd, path, AT_THE_END, err);
}

static int refuse_remote(const char *path, struct err *err)
{
	static const long remote[] = {NFS_SUPER_MAGIC, V9FS_MAGIC, SMB_SUPER_MAGIC, CIFS_SUPER_MAGIC, SMB2_SUPER_MAGIC,
		CEPH_SUPER_MAGIC, AFS_SUPER_MAGIC, AFS_FS_MAGIC, FUSE_SUPER_MAGIC};
	struct statfs st;
	if (statfs(path, &st) < 0)
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	for (size_t i = 0; i < sizeof(remote) / sizeof(remote[0]); i++)
		if ((long)st.f_type == remote[i])
			return err_set(err, -EOPNOTSUPP, "others may change its file system unheard");
	return 0;
}

static int open_watch(const char *path, struct err *err)
{
	int rc = refuse_remote(path, err);
	if (rc < 0)
		return rc;
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (fd < 0)
		return err_set(err, -errno, "inotify: %s%s", strerror(errno),
			errno == EMFILE ? " (fs.inotify.max_user_instances, or open files)" : "");
	rc = watch_path(fd, path, err);
	if (rc == 0)
		return fd;
	close(fd);
	return rc;
}

int path_watch_new(struct path_watch **out, struct loop *l, const char *path, void (*touched)(void *ctx), void *ctx,
	struct err *err)
{
	int fd = open_watch(path, err);
	if (fd < 0)
		return fd;
	struct path_watch *w = calloc(1, sizeof(*w));
	int rc = w ? uv_poll_init(&l->uv, &w->poll, fd) : -ENOMEM;
	if (rc < 0) {
		close(fd);
		free(w);
		return err_set(err, rc, "inotify: %s", uv_strerror(rc));
	}
	w->fd = fd;
	w->touched = touched;
	w->ctx = ctx;
	w->poll.data = w;
	uv_poll_start(&w->poll, UV_READABLE, on_readable);
	*out = w;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	struct path_watch *w = handle->data;
	free(w);
}

void path_watch_free(struct path_watch *w)
{
	if (!w)
		return;
	uv_close((uv_handle_t *)&w->poll, on_closed);
	close(w->fd);
}
