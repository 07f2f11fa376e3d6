#include "podvisor/io/account.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool read_id(const char *text, unsigned long *id)
{
	char *end;
	errno = 0;
	*id = strtoul(text, &end, 10);
	return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && *id < UINT32_MAX;
}

static int find_user(const char *user, struct account *out, struct err *err)
{
	unsigned long id;
	bool number = read_id(user, &id);
	const struct passwd *pw = number ? getpwuid((uid_t)id) : getpwnam(user);
	if (!pw && !number)
		return err_set(err, -ENOENT, "there is no user \"%s\"", user);
	out->uid = pw ? pw->pw_uid : (uid_t)id;
	out->gid = pw ? pw->pw_gid : (gid_t)id;
	if (pw) {
		snprintf(out->name, sizeof(out->name), "%s", pw->pw_name);
		snprintf(out->home, sizeof(out->home), "%s", pw->pw_dir);
	}
	return 0;
}

static int find_group(const char *group, struct account *out, struct err *err)
{
	unsigned long id;
	bool number = read_id(group, &id);
	const struct group *gr = number ? NULL : getgrnam(group);
	if (!gr && !number)
		return err_set(err, -ENOENT, "there is no group \"%s\"", group);
	out->gid = gr ? gr->gr_gid : (gid_t)id;
	return 0;
}

static void find_groups(struct account *out)
{
	out->n_groups = ACCOUNT_GROUPS_MAX;
	if (out->name[0] && getgrouplist(out->name, out->gid, out->groups, &out->n_groups) >= 0)
		return;
	out->groups[0] = out->gid;
	out->n_groups = 1;
}

int account_find(const char *user, const char *group, struct account *out, struct err *err)
{
	struct account found = {.uid = getuid(), .gid = getgid()};
	int rc = user ? find_user(user, &found, err) : 0;
	if (rc == 0 && group)
		rc = find_group(group, &found, err);
	if (rc < 0)
		return rc;
	find_groups(&found);
	*out = found;
	return 0;
}
