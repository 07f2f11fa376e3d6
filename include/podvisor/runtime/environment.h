/* environment owns the making of a child's environment: podvisor's own, then
 * env_files, then env, then what podvisor tells its workers. */
#ifndef PODVISOR_RUNTIME_ENVIRONMENT_H
#define PODVISOR_RUNTIME_ENVIRONMENT_H

#include <stddef.h>

#include "podvisor/base/buf.h"
#include "podvisor/base/err.h"
#include "podvisor/model/config.h"

struct environment {
	char **vars; /* NULL-terminated "NAME=value", owned */
	size_t count, cap;
};

void environment_init(struct environment *e);
void environment_fini(struct environment *e);
/* A copy of podvisor's own, without what another supervisor told podvisor
 * (NOTIFY_SOCKET, WATCHDOG_*, LISTEN_*) and without its own PODVISOR_SOCKET. */
int environment_inherit(struct environment *e) MUST_CHECK;
/* Later settings win. */
int environment_set(struct environment *e, const char *name, const char *fmt, ...) PRINTF_LIKE(3, 4) MUST_CHECK;
/* Reads an env file, a regular one of at most 1 MiB, into out (initialised here). Blocks as long as its disk does. */
int environment_read_file(const char *path, struct buf *out, struct err *err) MUST_CHECK;
/* Takes what was read; text is used up. Lines NAME=value; blank lines, # comments and a leading "export " are
 * skipped; matching quotes round the value are taken off. A NUL or a carriage return within a line is refused; path
 * is for the sentence. */
int environment_take_file(struct environment *e, struct buf *text, const char *path, struct err *err) MUST_CHECK;
int environment_set_pairs(struct environment *e, const struct config_pair *pairs, size_t n) MUST_CHECK;

#endif
