/* outer_notify owns podvisor's own voice towards whoever supervises it: datagrams to $NOTIFY_SOCKET, as sd_notify(3)
 * has them. It never waits: what the other side does not take yet is kept, and sent as soon as it does. */
#ifndef PODVISOR_IO_OUTER_NOTIFY_H
#define PODVISOR_IO_OUTER_NOTIFY_H

#include <stddef.h>

#include "podvisor/base/err.h"
#include "podvisor/io/loop.h"

struct outer_notify;

/* NULL in out when nobody is there: $NOTIFY_SOCKET is not set, or cannot be reached, which is a failure with a
 * sentence. */
int outer_notify_open(struct outer_notify **out, struct loop *loop, struct err *err) MUST_CHECK;
/* One message of n bytes, lines of NAME=value. NULL is fine. */
void outer_notify_send(struct outer_notify *o, const char *text, size_t n);
/* NULL is fine. */
void outer_notify_close(struct outer_notify *o);

#endif
