/* config_value owns single values: what text of each type must look like, the
 * number it stands for, and the field it is kept in. */
#ifndef MODEL_CONFIG_VALUE_H
#define MODEL_CONFIG_VALUE_H

#include "config_table.h"
#include "podvisor/base/buf.h"
#include "podvisor/base/err.h"

#define CONFIG_VALUE_TEXT_MAX 64

/* Types kept as a number: all before CONFIG_STRING. */
bool config_type_is_number(enum config_type type);
/* Whether JSON writes it without quotes: true, 10. */
bool config_type_is_bare(enum config_type type);

/* The number that text stands for. -EINVAL, -ERANGE, or -ENOTSUP for what this
 * version does not have; err is then a predicate that never quotes text. */
int config_value_parse(const struct config_key *key, const char *text, int64_t *out, struct err *err) MUST_CHECK;
/* The text of a number, as config_value_parse reads it; out is returned. */
const char *config_value_format(const struct config_key *key, int64_t value, char out[CONFIG_VALUE_TEXT_MAX]);

/* Fields of a section's struct: base + key->offset. */
int64_t config_value_load(const struct config_key *key, const void *base);
void config_value_store(const struct config_key *key, void *base, int64_t value);

/* Whether text is what the key's syntax asks for; references are looked up elsewhere. */
bool config_syntax_fits(enum config_syntax syntax, const char *text);
/* "HOST:PORT, for instance ..."; a regular expression (ECMA 262) for the schema, NULL: none. */
const char *config_syntax_expected(enum config_syntax syntax);
const char *config_syntax_pattern(enum config_syntax syntax);

/* "a duration, for instance \"30s\"": what the key takes, appended to out. */
void config_value_expected(const struct config_key *key, struct buf *out);
/* ", 1 to 64" or ", at least 10ms", each in quote; nothing when the key has no limits of its own. Appended to out. */
void config_value_limits(const struct config_key *key, const char *quote, struct buf *out);
/* The regular expression of a number that is written as a string; NULL: none. */
const char *config_type_pattern(enum config_type type);

/* Host of "host:port", without brackets, into out; false when it is no such address. */
bool config_address_host(const char *address, char *out, size_t size);

#endif
