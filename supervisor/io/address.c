#include "podvisor/io/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

static int parse_unix(struct address *out, const char *path, struct err *err)
{
	struct sockaddr_un *un = (struct sockaddr_un *)&out->at;
	size_t n = strlen(path);
	if (n == 0 || n >= sizeof(un->sun_path))
		return err_set(
			err, -EINVAL, "\"unix:%s\" is no path of 1 to %zu bytes", path, sizeof(un->sun_path) - 1);
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, path, n + 1);
	out->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1);
	out->known = true;
	return 0;
}

/* host and port apart; false when there are no two of them. */
static bool split(struct address *out, const char *text)
{
	const char *colon = strrchr(text, ':');
	if (!colon)
		return false;
	size_t n = (size_t)(colon - text);
	if (n >= 2 && text[0] == '[' && text[n - 1] == ']') {
		text++;
		n -= 2;
	} else if (memchr(text, ':', n)) {
		return false;
	}
	size_t digits = strspn(colon + 1, "0123456789");
	if (n >= sizeof(out->host) || digits == 0 || digits > 5 || colon[1 + digits] || atoi(colon + 1) > 65535)
		return false;
	memcpy(out->host, text, n);
	memcpy(out->port, colon + 1, digits);
	return true;
}

static void set_v4(struct address *out, struct in_addr host, unsigned port)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&out->at;
	*in = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = host, .sin_port = htons((uint16_t)port)};
	out->len = sizeof(*in);
	out->known = true;
}

static void set_v6(struct address *out, struct in6_addr host, unsigned port)
{
	struct sockaddr_in6 *in = (struct sockaddr_in6 *)&out->at;
	*in = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_addr = host, .sin6_port = htons((uint16_t)port)};
	out->len = sizeof(*in);
	out->known = true;
}

int address_parse(struct address *out, const char *text, bool to_listen, struct err *err)
{
	struct address a = {0};
	struct in_addr v4;
	struct in6_addr v6;
	if (strncmp(text, "unix:", 5) == 0) {
		int rc = parse_unix(&a, text + 5, err);
		if (rc == 0)
			*out = a;
		return rc;
	}
	if (!split(&a, text))
		return err_set(err, -EINVAL, "\"%s\" is neither host:port nor unix:PATH", text);
	unsigned port = (unsigned)atoi(a.port);
	bool any = !a.host[0] || strcmp(a.host, "*") == 0;
	if (any && to_listen)
		set_v6(&a, in6addr_any, port);
	else if (any)
		set_v4(&a, (struct in_addr){htonl(INADDR_LOOPBACK)}, port);
	else if (inet_pton(AF_INET, a.host, &v4) == 1)
		set_v4(&a, v4, port);
	else if (inet_pton(AF_INET6, a.host, &v6) == 1)
		set_v6(&a, v6, port);
	else if (to_listen && strcmp(a.host, "localhost") == 0)
		set_v4(&a, (struct in_addr){htonl(INADDR_LOOPBACK)}, port);
	*out = a;
	return 0;
}

void address_print(const struct sockaddr *at, socklen_t len, char out[ADDRESS_TEXT])
{
	char host[INET6_ADDRSTRLEN] = "";
	if (at->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)at;
		inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
		snprintf(out, ADDRESS_TEXT, "%s:%u", host, ntohs(in->sin_port));
	} else if (at->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)at;
		inet_ntop(AF_INET6, &in->sin6_addr, host, sizeof(host));
		snprintf(out, ADDRESS_TEXT, "[%s]:%u", host, ntohs(in->sin6_port));
	} else {
		const struct sockaddr_un *un = (const struct sockaddr_un *)at;
		size_t before = offsetof(struct sockaddr_un, sun_path);
		int n = len > before ? (int)(len - before) : 0;
		snprintf(out, ADDRESS_TEXT, "unix:%.*s", n, un->sun_path);
	}
}
