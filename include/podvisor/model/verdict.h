/* verdict owns the answers to "is it live, ready, started?", each with its
 * reasons, read off the world; it never asks anybody. */
#ifndef PODVISOR_MODEL_VERDICT_H
#define PODVISOR_MODEL_VERDICT_H

#include <stdbool.h>
#include <stddef.h>

#include "podvisor/model/world.h"

enum verdict_question { VERDICT_LIVE, VERDICT_READY, VERDICT_STARTUP, VERDICT_QUESTION_COUNT };

#define VERDICT_ITEMS_MAX 128

struct verdict_item {
	char name[72]; /* "worker:api", "postgres:main", "gateway" */
	bool ok;
	char text[200]; /* why not, or a remark ("degraded"); "" */
};

struct verdict {
	bool ok;
	size_t count;
	struct verdict_item items[VERDICT_ITEMS_MAX];
};

/* excluded: names that do not count (NULL-terminated, may be NULL), as ?exclude= of Kubernetes. */
void verdict_of(const struct world *w, enum verdict_question question, const char *const *excluded, ms_t now,
	struct verdict *out);

#endif
