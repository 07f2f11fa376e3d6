/* Whatever a worker writes to its notify socket is read without harm, and its status is printable. */
#include "fuzz.h"

#include <ctype.h>
#include <string.h>

#include "podvisor/wire/notify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct notify_message m;
	int understood = notify_parse((const char *)data, size, &m);
	PROMISE(understood >= 0);
	if (m.has_status) {
		size_t len = strnlen(m.status, sizeof(m.status));
		PROMISE(len < sizeof(m.status));
		for (size_t i = 0; i < len; i++)
			PROMISE(!iscntrl((unsigned char)m.status[i]));
	}
	return 0;
}
