/* query owns the parameters of a request: "?wait=30&verbose". */
#ifndef PODVISOR_CONTROL_QUERY_H
#define PODVISOR_CONTROL_QUERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "podvisor/base/err.h"

struct query {
	const char *const *args; /* borrowed: "name=value" or "name", decoded */
	size_t n;
};

/* The value of the first parameter of that name, "" when it has none; NULL when
 * it is absent. */
const char *query_find(const struct query *q, const char *name);
/* All values of that name, at most max - 1, NULL-terminated. */
void query_all(const struct query *q, const char *name, const char **out, size_t max);
/* It is there, and neither "0" nor "false". */
bool query_is_set(const struct query *q, const char *name);
/* A whole number within the bounds; fallback when absent. -EINVAL with a
 * sentence. */
int query_number(const struct query *q, const char *name, int64_t min, int64_t max, int64_t fallback, int64_t *out,
	struct err *err) MUST_CHECK;

#endif
