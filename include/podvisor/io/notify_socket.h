/* notify_socket owns the datagram socket on which one worker speaks sd_notify.
 * Each worker has its own, with an unguessable abstract name: the socket tells
 * who speaks even when the sender is dead before its message is read. */
#ifndef PODVISOR_IO_NOTIFY_SOCKET_H
#define PODVISOR_IO_NOTIFY_SOCKET_H

#include <sys/types.h>

#include "podvisor/base/err.h"
#include "podvisor/io/loop.h"

struct notify_socket;

/* bytes are valid during the call. pid as the kernel vouches for it (SCM_CREDENTIALS). */
typedef void (*notify_socket_heard)(void *ctx, pid_t pid, const char *bytes, size_t n);

/* Opens a socket and listens on the loop. */
int notify_socket_open(struct notify_socket **out, struct loop *loop, notify_socket_heard heard, void *ctx,
	struct err *err) MUST_CHECK;
/* What NOTIFY_SOCKET has to say: "@podvisor/..." (abstract). Borrowed. */
const char *notify_socket_name(const struct notify_socket *s);
/* Takes what is queued, then closes; NULL is fine. The memory goes with the loop's close callback. */
void notify_socket_close(struct notify_socket *s);

#endif
