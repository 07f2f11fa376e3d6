#include "podvisor/io/ancestry.h"

#include <stdio.h>
#include <string.h>

#include "podvisor/io/file.h"

/* The command's name, in parentheses, may itself contain parentheses: the last one counts. */
pid_t ancestry_parent(pid_t pid)
{
	char path[40], text[512];
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (file_read_small(path, text, sizeof(text)) <= 0)
		return 0;
	const char *name_end = strrchr(text, ')');
	int parent = 0;
	if (!name_end || sscanf(name_end + 1, " %*c %d", &parent) != 1)
		return 0;
	return parent;
}

enum ancestry ancestry_of(pid_t pid, pid_t ancestor)
{
	for (int i = 0; i < 64; i++) {
		if (pid == ancestor)
			return ANCESTRY_YES;
		if (pid <= 1)
			return ANCESTRY_NO;
		pid = ancestry_parent(pid);
		if (pid == 0)
			return i == 0 ? ANCESTRY_UNKNOWN : ANCESTRY_NO;
	}
	return ANCESTRY_NO;
}

pid_t ancestry_below(pid_t ancestor, pid_t pid)
{
	pid_t below = 0;
	for (int i = 0; i < 64 && pid > 0; i++) {
		pid_t parent = ancestry_parent(pid);
		if (parent == ancestor)
			return below ? pid : 0;
		below = pid;
		pid = parent;
	}
	return 0;
}
