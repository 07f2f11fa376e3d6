/* runtime_dir owns the choice of the directory where podvisor keeps its Unix
 * socket when the configured one cannot be written (SPEC 3), and where the
 * commands look for it. */
#ifndef PODVISOR_IO_RUNTIME_DIR_H
#define PODVISOR_IO_RUNTIME_DIR_H

#include <stdbool.h>
#include <stddef.h>

#include "podvisor/base/err.h"

#define RUNTIME_DIR_CANDIDATES 4

/* Fills in the i-th place for the control socket, best first: the configured
 * path, $XDG_RUNTIME_DIR/podvisor/control.sock, /dev/shm/podvisor-UID/control.sock,
 * /tmp/podvisor-UID/control.sock. -ENOENT when there is no such (more) place. */
int runtime_dir_candidate(int i, const char *configured, char *out, size_t size) MUST_CHECK;
/* The first of them whose directory exists, or can be made, and can be written
 * by us, and, when it is not the configured one, belongs to us alone. */
int runtime_dir_choose(const char *configured, char *out, size_t size, struct err *err) MUST_CHECK;
/* Makes the directory of a socket that was chosen anew, should it be gone. Whether it can be used: as in choosing. */
bool runtime_dir_restore(const char *socket_path, const char *configured);
/* Whether nobody else can have put a socket at that path: its directory, which is
 * there, is ours or root's and nobody else may write to it; or is not there. */
bool runtime_dir_is_safe(const char *socket_path);

#endif
