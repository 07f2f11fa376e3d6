#include "podvisor/io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SLICE_MS 100

static ms_t now_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (ms_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* While signals are blocked a pipe that does not end must not be waited for in spite of them. */
static bool is_asked_to_stop(void)
{
	sigset_t pending;
	return sigpending(&pending) == 0 && (sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1);
}

/* A FIFO that nobody has opened yet is at its end as far as read(2) goes, but not for poll(2). */
static int await_bytes(int fd, ms_t until)
{
	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		int rc = poll(&p, 1, SLICE_MS);
		if (rc > 0)
			return 0;
		if (rc < 0 && errno != EINTR)
			return -errno;
		if (is_asked_to_stop())
			return -EINTR;
		if (now_ms() >= until)
			return -ETIMEDOUT;
	}
}

/* One byte more than may be is asked for, so that a file of exactly max bytes is told from a longer one. */
static int read_all(int fd, size_t max, bool pipe, ms_t until, struct buf *out)
{
	buf_init(out, max + 1);
	while (out->len <= max) {
		size_t room = max + 1 - out->len;
		char *at = buf_reserve(out, room < 4096 ? room : 4096);
		int rc = at ? 0 : out->failed;
		rc = rc == 0 && pipe ? await_bytes(fd, until) : rc;
		if (rc < 0)
			return rc;
		ssize_t n = read(fd, at, room < 4096 ? room : 4096);
		if (n == 0)
			return 0;
		if (n > 0)
			out->len += (size_t)n;
		else if (errno != EINTR && errno != EAGAIN)
			return -errno;
	}
	return -EFBIG;
}

static int read_kind(int fd, const struct stat *st, size_t max, ms_t patience, struct buf *out)
{
	bool pipe = S_ISFIFO(st->st_mode);
	if (S_ISDIR(st->st_mode))
		return -EISDIR;
	if (pipe && patience == 0)
		return -ESPIPE;
	if (!S_ISREG(st->st_mode) && !pipe)
		return -ENOTSUP;
	return read_all(fd, max, pipe, now_ms() + patience, out);
}

static int tell(const char *path, int code, size_t max, struct err *err)
{
	switch (code) {
	case -EFBIG:
		return err_set(err, code, "%s: larger than %zu KiB", path, max >> 10);
	case -ENOTSUP:
		return err_set(err, code, "%s: not a regular file", path);
	case -ESPIPE:
		return err_set(err, code, "%s: a pipe (a file that can be read again was expected)", path);
	case -ETIMEDOUT:
		return err_set(err, code, "%s: a pipe that does not come to its end", path);
	case -EINTR:
		return err_set(err, code, "%s: interrupted while reading", path);
	default:
		return err_set(err, code, "%s: %s", path, strerror(-code));
	}
}

/* O_NONBLOCK: a FIFO in place of a file must not hang in open(2). */
int file_read(const char *path, size_t max, ms_t patience, struct buf *out, struct err *err)
{
	buf_init(out, max);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	int rc = fd < 0 || fstat(fd, &st) < 0 ? -errno : read_kind(fd, &st, max, patience, out);
	if (fd >= 0)
		close(fd);
	if (rc == 0) {
		if (out->data)
			out->data[out->len] = '\0';
		return 0;
	}
	buf_fini(out);
	return tell(path, rc, max, err);
}

ssize_t file_read_small(const char *path, char *out, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -errno : 0, got;
	size_t len = 0;
	while (n >= 0 && len < size - 1 && (got = read(fd, out + len, size - 1 - len)) != 0) {
		n = got < 0 && errno != EINTR ? -errno : 0;
		len += got > 0 ? (size_t)got : 0;
	}
	if (fd >= 0)
		close(fd);
	out[n < 0 ? 0 : len] = '\0';
	return n < 0 ? n : (ssize_t)len;
}
