#include "activation.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The directory is closed to other users, but for one who has a file there: it may pass, and list nothing. */
static int let_pass(const char *dir, uid_t uid)
{
	struct stat st;
	if (uid == geteuid() || uid == 0)
		return 0;
	if (stat(dir, &st) < 0)
		return -errno;
	return st.st_mode & S_IXOTH || chmod(dir, (st.st_mode & 07777) | S_IXOTH) == 0 ? 0 : -errno;
}

int activation_prepare(const char *control_socket, uint64_t run, uid_t uid, char *out, size_t size, struct err *err)
{
	char dir[PATH_MAX];
	const char *slash = strrchr(control_socket, '/');
	if (!slash)
		return err_set(err, -ENOENT, "there is no place for its activation file, as for the control socket");
	snprintf(dir, sizeof(dir), "%.*s", (int)(slash - control_socket), control_socket);
	int n = snprintf(out, size, "%s.activation.%llu", control_socket, (unsigned long long)run);
	int rc = n < 0 || (size_t)n >= size ? -ENAMETOOLONG : let_pass(dir, uid);
	/* One that is there already would tell it that it may work. */
	if (rc == 0 && unlink(out) < 0 && errno != ENOENT)
		rc = -errno;
	if (rc == 0)
		return 0;
	err_set(err, rc, "its activation file cannot be in %s: %s", dir, strerror(-rc));
	out[0] = '\0';
	return rc;
}

/* The directory is a RAM disk, or a small write to a disk's cache. */
static int write_all(const char *path, const char *text, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return -errno;
	ssize_t written = fchmod(fd, 0644) < 0 ? -1 : write(fd, text, n);
	int rc = written < 0 ? -errno : (size_t)written < n ? -ENOSPC : 0;
	close(fd);
	return rc;
}

int activation_write(const char *path, int64_t token)
{
	char text[24], fresh[PATH_MAX];
	int n = snprintf(text, sizeof(text), "%lld\n", (long long)token);
	snprintf(fresh, sizeof(fresh), "%s.new", path);
	int rc = write_all(fresh, text, (size_t)n);
	if (rc == 0 && rename(fresh, path) < 0)
		rc = -errno;
	if (rc < 0)
		unlink(fresh);
	return rc;
}

void activation_remove(const char *path)
{
	if (path[0])
		unlink(path);
}
