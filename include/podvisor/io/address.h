/* address owns the two ways to write where a socket is: "host:port" (with "[v6]"
 * in brackets) and "unix:PATH". What can be read without asking anybody becomes
 * a socket address; a name stays a name, for the resolver. */
#ifndef PODVISOR_IO_ADDRESS_H
#define PODVISOR_IO_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "podvisor/base/err.h"

#define ADDRESS_TEXT 128 /* enough for address_print of any address, with its NUL */

struct address {
	bool known; /* at and len are filled; else host and port are to be resolved */
	struct sockaddr_storage at;
	socklen_t len;
	char host[256], port[8]; /* "" for a Unix socket; host without brackets */
};

/* "" and "*" as host are this machine: loopback to connect to, every address to
 * listen on. -EINVAL with a sentence when text is neither form or the path is
 * too long for a socket. */
int address_parse(struct address *out, const char *text, bool to_listen, struct err *err) MUST_CHECK;
/* "127.0.0.1:80", "[::1]:80", "unix:PATH" ("unix:" for an unnamed one). */
void address_print(const struct sockaddr *at, socklen_t len, char out[ADDRESS_TEXT]);

#endif
