#include "podvisor/wire/procfs.h"

#include <stdlib.h>
#include <string.h>

#define FIELD_STATE 3 /* the first one behind the command's name */
#define FIELD_START 22

int32_t procfs_next_pid(struct procfs_pids *list, char byte)
{
	if (byte >= '0' && byte <= '9' && list->partial < INT32_MAX / 10) {
		list->partial = list->partial * 10 + (byte - '0');
		return 0;
	}
	int32_t pid = list->partial;
	list->partial = 0;
	return pid;
}

bool procfs_start_ticks(const char *text, uint64_t *ticks)
{
	const char *at = strrchr(text, ')');
	for (int field = FIELD_STATE; at && field <= FIELD_START; field++) {
		at = strchr(at, ' ');
		at = at ? at + 1 : NULL;
	}
	if (!at || *at < '0' || *at > '9')
		return false;
	*ticks = strtoull(at, NULL, 10);
	return true;
}
