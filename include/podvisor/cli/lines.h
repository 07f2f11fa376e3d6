/* lines owns what can be told about windows of log lines by looking at them:
 * what of a later window is new, and in which order lines of several belong.
 * A window is text that ends with a newline, or nothing. */
#ifndef PODVISOR_CLI_LINES_H
#define PODVISOR_CLI_LINES_H

#include <stdbool.h>
#include <stdio.h>

#include "podvisor/base/buf.h"
#include "podvisor/base/span.h"

/* How many bytes at the front of later stood already at the end of earlier: what
 * a reader of earlier has seen. Where equal lines leave a choice, the most. */
size_t lines_seen(struct span earlier, struct span later);
/* The last n lines. */
struct span lines_last(struct span window, size_t n);
/* Appends the lines of all windows to out in the order of their time stamps;
 * equal ones in the order of the windows. A line without one goes with the line
 * before it. 0 or buf_put's error. */
int lines_merge(struct buf *out, const struct span *windows, size_t n) MUST_CHECK;
/* Writes them; as_json: a line that is no JSON object as {"msg": line}. */
void lines_print(struct span window, bool as_json, FILE *to);

#endif
