/* tcp_check owns the question whether something accepts connections at an
 * address: it resolves, connects, closes, and says what went wrong. */
#ifndef PODVISOR_IO_TCP_CHECK_H
#define PODVISOR_IO_TCP_CHECK_H

#include "podvisor/base/err.h"
#include "podvisor/io/loop.h"

struct tcp_check;

/* target: "host:port", "[v6]:port", ":port" (this host) or "unix:PATH"; borrowed
 * for the call. All addresses of a name are tried in turn. done is called once,
 * from the loop and never from within this call, with "" when a connection
 * stood, else with the reason; the check is gone then. There is no deadline of
 * its own: abort it. -EINVAL with a sentence when target is none of the above. */
int tcp_check_start(struct tcp_check **out, struct loop *l, const char *target,
	void (*done)(void *ctx, const char *failure), void *ctx, struct err *err) MUST_CHECK;
/* Forgets the check; done is not called. */
void tcp_check_abort(struct tcp_check *t);

#endif
