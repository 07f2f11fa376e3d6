/* termination owns the last words: why podvisor ended, in the file that
 * Kubernetes shows as the container's termination message. */
#ifndef PODVISOR_RUNTIME_TERMINATION_H
#define PODVISOR_RUNTIME_TERMINATION_H

#include "podvisor/base/buf.h"
#include "podvisor/base/err.h"

#define TERMINATION_MAX 4096 /* bytes that the kubelet takes */

/* The default. The kubelet mounts a file there; where there is none, nobody would read
 * it, and nothing is put into /dev. Every other file is made if it is not there. */
#define TERMINATION_KUBERNETES "/dev/termination-log"

/* Whether it will be possible to write the file: it is opened, or made empty. 0 or a
 * negative errno with a sentence. */
int termination_check(const char *path, struct err *err) MUST_CHECK;
/* Writes at most TERMINATION_MAX bytes, cut at a line where possible, in place: the
 * file may be a mount of its own. */
int termination_write(const char *path, const struct buf *text, struct err *err) MUST_CHECK;

#endif
