/* termination owns the last words: why podvisor ended, in the file that
 * Kubernetes shows as the container's termination message. */
#ifndef PODVISOR_RUNTIME_TERMINATION_H
#define PODVISOR_RUNTIME_TERMINATION_H

#include "podvisor/base/buf.h"
#include "podvisor/base/err.h"

#define TERMINATION_MAX 4096 /* bytes that the kubelet takes */

/* Writes at most TERMINATION_MAX bytes, cut at a line where possible. The file is
 * not created: the kubelet mounts it, and elsewhere nobody would read it. 0 also
 * when it is not there. */
int termination_write(const char *path, const struct buf *text, struct err *err) MUST_CHECK;

#endif
