/* config_text owns where things stand: it reads JSON text into a tree whose
 * every node knows its line and column. jansson judges whether the text is JSON
 * and decodes strings, but it keeps no positions and only one of two equal keys;
 * both are needed to name every mistake. */
#ifndef MODEL_CONFIG_TEXT_H
#define MODEL_CONFIG_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "podvisor/base/err.h"

enum config_node_kind {
	CONFIG_NODE_OBJECT,
	CONFIG_NODE_ARRAY,
	CONFIG_NODE_STRING,
	CONFIG_NODE_INTEGER,
	CONFIG_NODE_REAL,
	CONFIG_NODE_TRUE,
	CONFIG_NODE_FALSE,
	CONFIG_NODE_NULL,
};

/* Lines and columns count from 1; columns count characters, not bytes. */
struct config_node {
	enum config_node_kind kind;
	int line, column; /* of the value */
	int key_line, key_column;
	char *key; /* NULL in lists and at the root */
	size_t index; /* in a list */
	char *text; /* a string, decoded; a number, as written; else NULL */
	const struct config_node *first_of; /* the earlier entry with the same key; NULL: there is none */
	struct config_node *parent, *next, *children, *last;
	size_t n;
};

/* NULL with a sentence and its position when text is not JSON, or out of memory (err->code -ENOMEM). */
struct config_node *config_node_read(const char *text, size_t len, int *line, int *column, struct err *err);
void config_node_free(struct config_node *node);

/* The child of that key, the first if there are two; NULL when there is none or node is NULL. */
const struct config_node *config_node_get(const struct config_node *node, const char *key);
/* "workers.api.depends_on[0]" into out, cut when it is too long. */
void config_node_path(const struct config_node *node, char *out, size_t size);
/* "a number", "an object", ... */
const char *config_node_noun(const struct config_node *node);

#endif
