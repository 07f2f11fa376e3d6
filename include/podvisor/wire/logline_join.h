/* logline_join owns which lines of a worker's output belong together: a stack
 * trace is one message, not forty (SPEC 3: log.multiline). */
#ifndef PODVISOR_WIRE_LOGLINE_JOIN_H
#define PODVISOR_WIRE_LOGLINE_JOIN_H

#include "podvisor/base/pattern.h"

#define LOGLINE_JOIN_LOOK_BYTES 1024 /* so much of a line is looked at */

/* "java", "python", "go" and "node" stand for what continues a stack trace there;
 * other text is the pattern of a line that continues the one before. Returns as
 * pattern_new. */
int logline_join_new(struct pattern **out, const char *text, struct err *err) MUST_CHECK;
/* Whether line, without its newline, continues the one before. */
bool logline_join_continues(struct pattern *p, struct span line);

#endif
