#include "podvisor/model/snapshot.h"

const char *gateway_close_name(enum gateway_close close)
{
	static const char *const names[GATEWAY_CLOSE_COUNT] = {
		[GATEWAY_CLEAN] = "clean",
		[GATEWAY_PEER_FIRST] = "peer_first",
		[GATEWAY_CLIENT_TIMEOUT] = "client_timeout",
		[GATEWAY_UNCLEAN] = "unclean_mid_frame",
		[GATEWAY_RESET] = "reset",
	};
	return close < GATEWAY_CLOSE_COUNT ? names[close] : "unknown";
}
