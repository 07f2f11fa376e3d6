/* config_expand owns what stands in a string for something else: ${VAR},
 * ${VAR:-default}, ${file:/path} and $$. A dollar sign before anything else is
 * itself, so that SQL's $1 and a shell's $HOME need no care. */
#ifndef MODEL_CONFIG_EXPAND_H
#define MODEL_CONFIG_EXPAND_H

#include <stdbool.h>

#include "podvisor/model/config.h"

#define CONFIG_EXPANDED_MAX (1 << 20) /* bytes of one string afterwards */

struct config_expand {
	const struct config_source *source;
	/* Is told every mistake of the string, as a predicate without values. */
	void (*mistake)(void *ctx, const char *text);
	/* Is told each part that is secret. */
	void (*kept)(void *ctx, const char *value, size_t n);
	void *ctx;
	bool secret; /* set when a part came from a file or from a variable of a secret's name */
	bool failed; /* set when there was a mistake */
};

/* The string with everything replaced, malloc'ed. NULL when there was a mistake
 * or memory is out (failed is then false). */
char *config_expand(struct config_expand *x, const char *text);

#endif
