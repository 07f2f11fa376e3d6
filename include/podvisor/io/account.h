/* account owns the look-up of users and groups: names or numbers in, what a
 * process needs to become them out. */
#ifndef PODVISOR_IO_ACCOUNT_H
#define PODVISOR_IO_ACCOUNT_H

#include <stddef.h>
#include <sys/types.h>

#include "podvisor/base/err.h"

#define ACCOUNT_GROUPS_MAX 1024 /* as many as a process may be started with (PROCESS_GROUPS_MAX) */

struct account {
	uid_t uid;
	gid_t gid;
	gid_t groups[ACCOUNT_GROUPS_MAX];
	int n_groups;
	char name[64], home[256]; /* "" when the number has no entry */
};

/* user: a name or a number, NULL: podvisor's own. group: likewise, NULL: the
 * user's primary group. A number needs no entry in /etc/passwd (restricted
 * pods have none); its groups are then just its group. -ENOENT with a sentence
 * for an unknown name, -E2BIG when it is in too many groups. Asks NSS, which may
 * take its time: for any thread but the loop's, unless both are NULL. */
int account_find(const char *user, const char *group, struct account *out, struct err *err) MUST_CHECK;

#endif
