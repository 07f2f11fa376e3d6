/* termination owns the file that tells why the pod ended: Kubernetes shows it as
 * the container's last state (terminationMessagePath). */
#ifndef PODVISOR_RUNTIME_TERMINATION_H
#define PODVISOR_RUNTIME_TERMINATION_H

#include "podvisor/base/err.h"
#include "podvisor/base/span.h"

#define TERMINATION_MAX 4096 /* bytes that the kubelet takes */

/* The default. The kubelet mounts a file there; where there is none, nobody would read
 * it, and nothing is put into /dev. Every other file is made if it is not there. */
#define TERMINATION_KUBERNETES "/dev/termination-log"

/* Whether it will be possible to write the file: it is opened, or made empty. 0; a
 * negative errno with a sentence; or 1 with one: nobody has made the default, and
 * outside Kubernetes nobody does. */
int termination_check(const char *path, struct err *err) MUST_CHECK;
/* Writes at most TERMINATION_MAX bytes, cut at a line where possible, in place: the
 * file may be a mount of its own. A symbolic link is not followed: it could lead
 * podvisor, which may be root, to any file. Allocates nothing. */
int termination_write(const char *path, struct span text, struct err *err) MUST_CHECK;

#endif
