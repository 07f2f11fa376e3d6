#include "podvisor/runtime/termination.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "podvisor/base/utf8.h"

int termination_write(const char *path, const struct buf *text, struct err *err)
{
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return errno == ENOENT ? 0 : err_set(err, -errno, "%s: %s", path, strerror(errno));
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
