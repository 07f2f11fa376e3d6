/* configuration owns the way from a file and the environment to a validated
 * configuration: reading, ${VAR}, ${file:}, and the mistakes as lines for people. */
#ifndef PODVISOR_RUNTIME_CONFIGURATION_H
#define PODVISOR_RUNTIME_CONFIGURATION_H

#include "podvisor/base/buf.h"
#include "podvisor/base/clock.h"
#include "podvisor/base/err.h"
#include "podvisor/model/config.h"

#define CONFIGURATION_MAX_BYTES   (4 << 20)
#define CONFIGURATION_PATIENCE_MS 30000 /* at a start */

/* NULL when the file cannot be read or has mistakes: each is then a line
 * "FILE:LINE:COL: path.to.key: what is wrong (what was expected)" in lines,
 * and err carries the first of them and how many there are. Else lines are
 * warnings of the same form. Reads local files
 * and blocks for as long as that takes, for starts and reloads; a pipe (`-c <(command)`)
 * has to come to its end within patience, 0: none is read. */
struct config *configuration_read(const char *path, ms_t patience, struct buf *lines, struct err *err) MUST_CHECK;

/* The same with the mistakes as they are, in report (caller's memory, filled anew):
 * NULL with an empty report when the file cannot be read, and err says why. */
struct config *configuration_check(
	const char *path, ms_t patience, struct config_report *report, struct err *err) MUST_CHECK;
/* What a report holds as lines. */
void configuration_tell(const char *path, const struct config_report *report, struct buf *out);

#endif
