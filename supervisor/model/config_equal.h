/* config_equal owns the question whether two values of one key mean the same. */
#ifndef MODEL_CONFIG_EQUAL_H
#define MODEL_CONFIG_EQUAL_H

#include "config_table.h"

/* a and b: the structs of the key's section, of two configurations. */
bool config_equal_value(const struct config_key *key, void *a, void *b);

#endif
