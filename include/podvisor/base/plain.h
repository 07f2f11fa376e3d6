/* plain owns text that can be shown anywhere: UTF-8, without colours and
 * without the control characters that a terminal would obey. */
#ifndef PODVISOR_BASE_PLAIN_H
#define PODVISOR_BASE_PLAIN_H

#include "podvisor/base/buf.h"
#include "podvisor/base/span.h"

/* Appends text. Newlines and tabs stay; a terminal's control sequences (ECMA-48
 * 5.4) are left out, other control characters become '?', what is no UTF-8 U+FFFD. */
int plain_put(struct buf *out, struct span text);

#endif
