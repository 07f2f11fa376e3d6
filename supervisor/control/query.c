#include "podvisor/control/query.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The value when arg is of that name, else NULL. */
static const char *value_of(const char *arg, const char *name)
{
	size_t n = strlen(name);
	if (strncmp(arg, name, n) != 0)
		return NULL;
	if (arg[n] == '\0')
		return "";
	return arg[n] == '=' ? arg + n + 1 : NULL;
}

const char *query_find(const struct query *q, const char *name)
{
	const char *value = NULL;
	for (size_t i = 0; i < q->n && !value; i++)
		value = value_of(q->args[i], name);
	return value;
}

void query_all(const struct query *q, const char *name, const char **out, size_t max)
{
	size_t n = 0;
	for (size_t i = 0; i < q->n && n < max - 1; i++) {
		const char *value = value_of(q->args[i], name);
		if (value)
			out[n++] = value;
	}
	out[n] = NULL;
}

bool query_is_set(const struct query *q, const char *name)
{
	const char *value = query_find(q, name);
	return value && strcmp(value, "0") != 0 && strcmp(value, "false") != 0;
}

int query_number(const struct query *q, const char *name, int64_t min, int64_t max, int64_t fallback, int64_t *out,
	struct err *err)
{
	const char *text = query_find(q, name);
	if (!text) {
		*out = fallback;
		return 0;
	}
	char *end;
	errno = 0;
	long long value = strtoll(text, &end, 10);
	if (errno || end == text || *end || text[0] == ' ' || text[0] == '+' || value < min || value > max)
		return err_set(err, -EINVAL, "%s is not a number from %" PRId64 " to %" PRId64, name, min, max);
	*out = value;
	return 0;
}
