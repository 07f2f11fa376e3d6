/* config_walk owns the recursion over a section's keys that life needs: filling
 * in defaults, freeing, finding what was named. */
#ifndef MODEL_CONFIG_WALK_H
#define MODEL_CONFIG_WALK_H

#include <stdbool.h>

#include "config_table.h"

/* The struct of a nested SECTION, the array of ENTRIES and ROWS, a counted length. */
void *config_walk_section(const struct config_key *key, void *base);
void **config_walk_array(const struct config_key *key, void *base);
size_t *config_walk_count(const struct config_key *key, void *base);

/* The struct of one of ENTRIES or ROWS. */
void *config_walk_row(const struct config_key *key, void *base, size_t i);

/* Whether the section is there: always, unless it has a flag for it. */
bool config_walk_present(const struct config_section *section, const void *base);

/* A list of strings, NULL-terminated, of room for n; for config_strings_free. */
char **config_strings_new(size_t n);

/* Fills every field of a zeroed struct. false: out of memory. */
bool config_walk_defaults(const struct config_section *section, void *base);
/* Frees what the fields hold; the struct stays. */
void config_walk_free(const struct config_section *section, void *base);

/* The word before the colon in references: THING_COUNT when it is none. */
enum thing config_thing(const char *word, size_t n);
/* Splits "postgres:main": the thing and the bare name. false: this key takes no such thing. */
bool config_reference_split(const struct config_key *key, const char *text, enum thing *thing, const char **name);
/* Index of that name; -1 when there is none. */
int config_find(const struct config *c, enum thing thing, const char *name);
/* How many of that thing there are, and the name of one. */
size_t config_count(const struct config *c, enum thing thing);
const char *config_name_of(const struct config *c, enum thing thing, size_t i);

/* Strings that are shown nowhere, by address. */
bool config_mark_secret(struct config *c, const char *text);
bool config_is_secret(const struct config *c, const char *text);

#endif
