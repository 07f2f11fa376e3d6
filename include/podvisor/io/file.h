/* file owns the reading of whole files, with a bound, and without hanging on what is not one. It blocks as long as
 * a disk does. */
#ifndef PODVISOR_IO_FILE_H
#define PODVISOR_IO_FILE_H

#include <stddef.h>
#include <sys/types.h>

#include "podvisor/base/buf.h"
#include "podvisor/base/clock.h"
#include "podvisor/base/err.h"

/* All of a file of at most max bytes into out, which is initialised here and empty on failure. A pipe (of
 * `<(command)`, or a FIFO) is read to its end too, which has to come within patience; 0: only files are read.
 * -EFBIG, -EISDIR, -ENOTSUP (a socket, a device), -ESPIPE (a pipe, without patience), -ETIMEDOUT, -EINTR (SIGTERM or
 * SIGINT is blocked, and waits to be taken), or what open(2) says; with a sentence that begins with the path. */
int file_read(const char *path, size_t max, ms_t patience, struct buf *out, struct err *err) MUST_CHECK;
/* The beginning of a small file, of /proc or /sys above all: up to size - 1 bytes and a NUL. Returns how many, or a
 * negative errno; out is then "". */
ssize_t file_read_small(const char *path, char *out, size_t size);

#endif
