#include "podvisor/runtime/termination.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "podvisor/base/utf8.h"

static bool is_default(const char *path)
{
	return strcmp(path, TERMINATION_KUBERNETES) == 0;
}

static const char *reason_of(int code)
{
	switch (code) {
	case -ENOENT:
		return "its directory is not there";
	case -ELOOP:
		return "it is a symbolic link, and none is followed";
	case -ENXIO:
		return "it is a pipe that nobody reads";
	default:
		return strerror(-code);
	}
}

static int tell(const char *path, int code, struct err *err)
{
	return err_set(err, code, "%s cannot be written: %s", path, reason_of(code));
}

/* O_EXCL with O_CREAT: what appears there meanwhile is not taken for ours. */
static int open_file(const char *path, int flags)
{
	flags |= O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW;
	int fd = open(path, flags);
	if (fd < 0 && errno == ENOENT && !is_default(path))
		fd = open(path, flags | O_CREAT | O_EXCL, 0644);
	return fd < 0 ? -errno : fd;
}

/* In Kubernetes it is missing when the container's terminationMessagePath names another. */
static int tell_missing(struct err *err)
{
	if (getenv("KUBERNETES_SERVICE_HOST"))
		return err_set(err, -ENOENT,
			TERMINATION_KUBERNETES
			" is not there (shutdown.termination_log has to name the same file as the "
			"container's terminationMessagePath)");
	err_set(err, 0,
		TERMINATION_KUBERNETES " is made by Kubernetes alone (shutdown.termination_log can name "
				       "another file)");
	return 1;
}

int termination_check(const char *path, struct err *err)
{
	int fd = open_file(path, 0);
	if (fd == -ENOENT && is_default(path))
		return tell_missing(err);
	if (fd < 0)
		return tell(path, fd, err);
	close(fd);
	return 0;
}

static size_t cut(struct span text)
{
	if (text.len <= TERMINATION_MAX)
		return text.len;
	const char *newline = memrchr(text.at, '\n', TERMINATION_MAX);
	return newline ? (size_t)(newline - text.at) + 1 : utf8_cut(text.at, TERMINATION_MAX);
}

int termination_write(const char *path, struct span text, struct err *err)
{
	size_t n = cut(text);
	int fd = open_file(path, O_TRUNC);
	if (fd == -ENOENT && is_default(path))
		return 0;
	if (fd < 0)
		return tell(path, fd, err);
	ssize_t written = n ? write(fd, text.at, n) : 0;
	int rc = written < 0 ? -errno : (size_t)written < n ? -ENOSPC : 0;
	close(fd);
	return rc < 0 ? tell(path, rc, err) : 0;
}
