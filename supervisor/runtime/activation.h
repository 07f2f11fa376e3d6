/* activation owns how a process that stands by warm learns that it holds its lease: a file with its token, which is
 * there whole or not at all, and then SIGUSR1. */
#ifndef PODVISOR_RUNTIME_ACTIVATION_H
#define PODVISOR_RUNTIME_ACTIVATION_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "podvisor/base/err.h"

/* Where the file of a run will be, beside the control socket, into out; nothing is there yet, whatever an earlier
 * podvisor has left. uid: of the process, which has to reach it. */
int activation_prepare(
	const char *control_socket, uint64_t run, uid_t uid, char *out, size_t size, struct err *err) MUST_CHECK;
/* Puts the token there. 0 or a negative errno. */
int activation_write(const char *path, int64_t token) MUST_CHECK;
/* "" is fine. */
void activation_remove(const char *path);

#endif
