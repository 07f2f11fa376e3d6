/* notify_socket owns the datagram socket on which one worker speaks sd_notify.
 * Each worker has its own, with an abstract name that cannot be guessed but is no
 * secret: /proc/net/unix shows it to everybody in the network namespace. So the
 * kernel's word for who sent a message goes with it. */
#ifndef PODVISOR_IO_NOTIFY_SOCKET_H
#define PODVISOR_IO_NOTIFY_SOCKET_H

#include <sys/types.h>

#include "podvisor/base/err.h"
#include "podvisor/io/loop.h"

struct notify_socket;

/* As the kernel vouches for it (SCM_CREDENTIALS). pid 0: of another PID namespace. */
struct notify_sender {
	pid_t pid;
	uid_t uid;
};

struct notify_socket_ops {
	/* bytes are valid during the call. */
	void (*heard)(void *ctx, const struct notify_sender *from, const char *bytes, size_t n);
	/* No more for now: once after one or many calls of heard. */
	void (*paused)(void *ctx);
};

/* Opens a socket and listens on the loop. ops is borrowed. */
int notify_socket_open(struct notify_socket **out, struct loop *loop, const struct notify_socket_ops *ops, void *ctx,
	struct err *err) MUST_CHECK;
/* What NOTIFY_SOCKET has to say: "@podvisor/..." (abstract). Borrowed. */
const char *notify_socket_name(const struct notify_socket *s);
/* Takes what has been sent up to now; NULL is fine. More than a thousand messages, of a sender that does not
 * stop, are not waited for. */
void notify_socket_take(struct notify_socket *s);
/* Closes without another call; NULL is fine. The memory goes with the loop's close callback. */
void notify_socket_close(struct notify_socket *s);

#endif
