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

#define ENTRY_MAX (1 << 20) /* a group with very many members */

static bool read_id(const char *text, unsigned long *id)
{
	char *end;
	errno = 0;
	*id = strtoul(text, &end, 10);
	return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && *id < UINT32_MAX;
}

/* Calls look with a growing buffer (getpwnam_r(3)); the buffer is the caller's to free. NSS may report "not found" by
 * several codes. */
static int with_buffer(int (*look)(void *ctx, char *buffer, size_t size), void *ctx, char **buffer)
{
	int rc = ERANGE;
	*buffer = NULL;
	for (size_t size = 1024; rc == ERANGE && size <= ENTRY_MAX; size *= 4) {
		free(*buffer);
		*buffer = malloc(size);
		rc = *buffer ? look(ctx, *buffer, size) : ENOMEM;
	}
	return rc == 0 || rc == ENOENT || rc == ESRCH || rc == EBADF || rc == EPERM ? 0 : -rc;
}

struct user_query {
	const char *name; /* NULL: by id */
	uid_t id;
	struct passwd entry, *found;
};

static int look_for_user(void *ctx, char *buffer, size_t size)
{
	struct user_query *q = ctx;
	return q->name ? getpwnam_r(q->name, &q->entry, buffer, size, &q->found)
		       : getpwuid_r(q->id, &q->entry, buffer, size, &q->found);
}

static void take_user(const struct passwd *pw, struct account *out)
{
	out->uid = pw->pw_uid;
	out->gid = pw->pw_gid;
	snprintf(out->name, sizeof(out->name), "%s", pw->pw_name);
	snprintf(out->home, sizeof(out->home), "%s", pw->pw_dir);
}

static int find_user(const char *user, struct account *out, struct err *err)
{
	unsigned long id;
	char *buffer;
	bool number = read_id(user, &id);
	struct user_query q = {.name = number ? NULL : user, .id = (uid_t)id};
	int rc = with_buffer(look_for_user, &q, &buffer);
	if (q.found) {
		take_user(q.found, out);
		rc = 0;
	} else if (number) {
		out->uid = (uid_t)id;
		out->gid = (gid_t)id;
		rc = 0;
	} else {
		rc = rc < 0 ? err_set(err, rc, "user \"%s\" cannot be looked up: %s", user, strerror(-rc))
			    : err_set(err, -ENOENT, "there is no user \"%s\"", user);
	}
	free(buffer);
	return rc;
}

struct group_query {
	const char *name;
	struct group entry, *found;
};

static int look_for_group(void *ctx, char *buffer, size_t size)
{
	struct group_query *q = ctx;
	return getgrnam_r(q->name, &q->entry, buffer, size, &q->found);
}

static int find_group(const char *group, struct account *out, struct err *err)
{
	unsigned long id;
	char *buffer;
	if (read_id(group, &id)) {
		out->gid = (gid_t)id;
		return 0;
	}
	struct group_query q = {.name = group};
	int rc = with_buffer(look_for_group, &q, &buffer);
	if (q.found)
		out->gid = q.found->gr_gid;
	else
		rc = rc < 0 ? err_set(err, rc, "group \"%s\" cannot be looked up: %s", group, strerror(-rc))
			    : err_set(err, -ENOENT, "there is no group \"%s\"", group);
	free(buffer);
	return rc;
}

/* Never fewer than there are: a process without one of its groups is refused what it may. */
static int find_groups(struct account *out, struct err *err)
{
	out->n_groups = ACCOUNT_GROUPS_MAX;
	if (!out->name[0]) {
		out->groups[0] = out->gid;
		out->n_groups = 1;
		return 0;
	}
	if (getgrouplist(out->name, out->gid, out->groups, &out->n_groups) < 0)
		return err_set(err, -E2BIG, "user \"%s\" is in %d groups (expected at most %d)", out->name,
			out->n_groups, ACCOUNT_GROUPS_MAX);
	return 0;
}

int account_find(const char *user, const char *group, struct account *out, struct err *err)
{
	struct account found = {.uid = getuid(), .gid = getgid()};
	int rc = user ? find_user(user, &found, err) : 0;
	if (rc == 0 && group)
		rc = find_group(group, &found, err);
	rc = rc ? rc : find_groups(&found, err);
	if (rc == 0)
		*out = found;
	return rc;
}
