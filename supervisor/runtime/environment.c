#include "podvisor/runtime/environment.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "podvisor/io/file.h"

enum { FILE_MAX = 1 << 20 };

void environment_init(struct environment *e)
{
	*e = (struct environment){0};
}

void environment_fini(struct environment *e)
{
	for (size_t i = 0; i < e->count; i++)
		free(e->vars[i]);
	free(e->vars);
	environment_init(e);
}

/* Takes the string over. */
static int put(struct environment *e, char *var)
{
	if (!var)
		return -ENOMEM;
	size_t name = (size_t)(strchrnul(var, '=') - var) + 1;
	for (size_t i = 0; i < e->count; i++)
		if (strncmp(e->vars[i], var, name) == 0) {
			free(e->vars[i]);
			e->vars[i] = var;
			return 0;
		}
	if (e->count + 1 >= e->cap) {
		size_t cap = e->cap ? e->cap * 2 : 64;
		char **vars = realloc(e->vars, cap * sizeof(*vars));
		if (!vars) {
			free(var);
			return -ENOMEM;
		}
		e->vars = vars;
		e->cap = cap;
	}
	e->vars[e->count++] = var;
	e->vars[e->count] = NULL;
	return 0;
}

static bool is_private(const char *var)
{
	static const char *const names[] = {
		"NOTIFY_SOCKET=", "WATCHDOG_USEC=", "WATCHDOG_PID=", "LISTEN_FDS=", "LISTEN_PID=", "LISTEN_FDNAMES=",
		"PODVISOR_SOCKET=", "PODVISOR_SHIM=", "PODVISOR_LEASE=", "PODVISOR_FENCING_TOKEN="};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strncmp(var, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

int environment_inherit(struct environment *e)
{
	for (char **var = environ; *var; var++)
		if (!is_private(*var) && put(e, strdup(*var)) < 0)
			return -ENOMEM;
	return 0;
}

int environment_set(struct environment *e, const char *name, const char *fmt, ...)
{
	char *value = NULL, *var = NULL;
	va_list args;
	va_start(args, fmt);
	int n = vasprintf(&value, fmt, args);
	va_end(args);
	if (n < 0 || asprintf(&var, "%s=%s", name, value) < 0)
		var = NULL;
	if (n >= 0)
		free(value);
	return put(e, var);
}

int environment_set_pairs(struct environment *e, const struct config_pair *pairs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (environment_set(e, pairs[i].name, "%s", pairs[i].value) < 0)
			return -ENOMEM;
	return 0;
}

static void unquote(char *value)
{
	size_t n = strlen(value);
	if (n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n - 1] == value[0]) {
		memmove(value, value + 1, n - 2);
		value[n - 2] = '\0';
	}
}

static int take_line(struct environment *e, char *line, const char *path, int number, struct err *err)
{
	line += strspn(line, " \t");
	if (line[0] == '\0' || line[0] == '#')
		return 0;
	if (strncmp(line, "export ", 7) == 0)
		line += 7;
	char *equals = strchr(line, '=');
	if (!equals || equals == line)
		return err_set(err, -EINVAL, "%s:%d: no NAME=value (expected one on each line)", path, number);
	*equals = '\0';
	unquote(equals + 1);
	return environment_set(e, line, "%s", equals + 1);
}

/* What no variable can hold, or nobody means, is told and not cut. */
static int check_line(const char *line, size_t n, const char *path, int number, struct err *err)
{
	if (memchr(line, '\0', n))
		return err_set(err, -EINVAL, "%s:%d: a NUL byte (expected text)", path, number);
	if (memchr(line, '\r', n))
		return err_set(err, -EINVAL,
			"%s:%d: a carriage return within the line (expected lines that end in \\n)", path, number);
	return 0;
}

int environment_take_file(struct environment *e, struct buf *text, const char *path, struct err *err)
{
	char *at = text->data, *end = at + text->len;
	int rc = 0;
	for (int number = 1; rc == 0 && at < end; number++) {
		char *newline = memchr(at, '\n', (size_t)(end - at)), *stop = newline ? newline : end;
		char *last = stop > at && stop[-1] == '\r' ? stop - 1 : stop;
		*last = '\0'; /* a buf has room for one byte behind its end */
		rc = check_line(at, (size_t)(last - at), path, number, err);
		rc = rc ? rc : take_line(e, at, path, number, err);
		at = stop + 1;
	}
	return rc;
}

int environment_read_file(const char *path, struct buf *out, struct err *err)
{
	int rc = file_read(path, FILE_MAX, 0, out, err);
	return rc < 0 ? err_prefix(err, "env file"), rc : 0;
}
