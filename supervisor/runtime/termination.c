#include "podvisor/runtime/termination.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "podvisor/base/utf8.h"

/* The kubelet's, and there is no kubelet. */
static bool is_nobodys(const char *path, int error)
{
	return error == -ENOENT && strcmp(path, TERMINATION_KUBERNETES) == 0;
}

static int open_file(const char *path, int flags, struct err *err)
{
	int make = strcmp(path, TERMINATION_KUBERNETES) == 0 ? 0 : O_CREAT;
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_NONBLOCK | flags | make, 0644);
	return fd < 0 ? err_set(err, -errno, "%s: %s", path, strerror(errno)) : fd;
}

int termination_check(const char *path, struct err *err)
{
	int fd = open_file(path, 0, err);
	if (fd < 0)
		return is_nobodys(path, fd) ? 0 : fd;
	close(fd);
	return 0;
}

int termination_write(const char *path, const struct buf *text, struct err *err)
{
	int fd = open_file(path, O_TRUNC, err);
	if (fd < 0)
		return is_nobodys(path, fd) ? 0 : fd;
	size_t n = text->len;
	if (n > TERMINATION_MAX) {
		const char *newline = memrchr(text->data, '\n', TERMINATION_MAX);
		n = newline ? (size_t)(newline - text->data) + 1 : utf8_cut(text->data, TERMINATION_MAX);
	}
	ssize_t written = n ? write(fd, text->data, n) : 0;
	int rc = written < 0 ? err_set(err, -errno, "%s: %s", path, strerror(errno)) : 0;
	close(fd);
	return rc;
}
