#include "podvisor/shim/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum form { FORM_NUMBER, FORM_TEXT, FORM_FLAG };

static const struct {
	const char *name;
	enum form form;
	size_t at; /* where in struct options */
} table[] = {
	{"--control", FORM_NUMBER, offsetof(struct options, control)},
	{"--keep", FORM_NUMBER, offsetof(struct options, keep)},
	{"--parent", FORM_NUMBER, offsetof(struct options, parent)},
	{"--deadline", FORM_NUMBER, offsetof(struct options, deadline)},
	{"--ignore", FORM_NUMBER, offsetof(struct options, ignore)},
	{"--cwd", FORM_TEXT, offsetof(struct options, cwd)},
	{"--uid", FORM_NUMBER, offsetof(struct options, uid)},
	{"--gid", FORM_NUMBER, offsetof(struct options, gid)},
	{"--groups", FORM_TEXT, offsetof(struct options, group_list)},
	{"--umask", FORM_NUMBER, offsetof(struct options, umask)},
	{"--nice", FORM_NUMBER, offsetof(struct options, nice)},
	{"--oom-score-adj", FORM_NUMBER, offsetof(struct options, oom_score_adj)},
	{"--rlimit-nofile", FORM_NUMBER, offsetof(struct options, open_files)},
	{"--soft-nofile", FORM_NUMBER, offsetof(struct options, soft_files)},
	{"--rlimit-core", FORM_NUMBER, offsetof(struct options, core_bytes)},
	{"--rlimit-cpu", FORM_NUMBER, offsetof(struct options, cpu_seconds)},
	{"--terminal", FORM_FLAG, offsetof(struct options, terminal)},
	{"--scan-proc", FORM_FLAG, offsetof(struct options, scan_proc)},
};

static bool parse_number(const char *text, const char **end, int64_t *out)
{
	char *stop;
	errno = 0;
	long long value = strtoll(text, &stop, 10);
	if (stop == text || errno)
		return false;
	*end = stop;
	*out = value;
	return true;
}

static bool store(struct options *o, size_t row, const char *value)
{
	void *at = (char *)o + table[row].at;
	const char *end = "";
	switch (table[row].form) {
	case FORM_FLAG:
		*(bool *)at = true;
		return !value;
	case FORM_TEXT:
		*(const char **)at = value;
		return value != NULL;
	case FORM_NUMBER:
		return value && parse_number(value, &end, at) && !*end;
	}
	return false;
}

static bool parse_option(struct options *o, const char *arg)
{
	size_t len = strcspn(arg, "=");
	for (size_t row = 0; row < sizeof(table) / sizeof(table[0]); row++)
		if (strlen(table[row].name) == len && strncmp(table[row].name, arg, len) == 0)
			return store(o, row, arg[len] ? arg + len + 1 : NULL);
	return false;
}

/* "" is the empty list: no supplementary group at all. */
static bool parse_groups(struct options *o)
{
	const char *at = o->group_list;
	while (at && *at) {
		int64_t gid;
		if (o->n_groups == OPTIONS_GROUPS_MAX || !parse_number(at, &at, &gid) || gid < 0)
			return false;
		o->groups[o->n_groups++] = (gid_t)gid;
		if (*at && *at++ != ',')
			return false;
	}
	return true;
}

/* o is zeroed memory of the caller: clearing it here would touch the pages of
 * the group array, which most shims never need. */
bool options_parse(struct options *o, char **argv)
{
	for (size_t row = 0; row < sizeof(table) / sizeof(table[0]); row++)
		if (table[row].form == FORM_NUMBER)
			*(int64_t *)((char *)o + table[row].at) = OPTIONS_INHERIT;
	if (!argv[0] || !argv[1])
		return false;
	o->control = o->keep = 3;
	o->name = argv[1];
	for (argv += 2; *argv && strcmp(*argv, "--") != 0; argv++)
		if (!parse_option(o, *argv))
			return false;
	if (!argv[0] || !argv[1] || o->control < o->keep || o->keep < 3)
		return false;
	o->command = argv + 1;
	return parse_groups(o);
}
