/* config_secret owns what must not be shown: it masks passwords in text that is
 * otherwise worth seeing. (What a name or a connection string tells is in config.h.) It also knows the secret values
 * themselves, which may come back from outside: a system's error names the file, a check prints what it was given. */
#ifndef MODEL_CONFIG_SECRET_H
#define MODEL_CONFIG_SECRET_H

#include <stdbool.h>
#include <stddef.h>

struct config;

/* Remembers a value for config_conceal, line by line, as sentences are lines. False: out of memory. */
bool config_secret_keep(struct config *c, const char *value, size_t n);
void config_secret_free(struct config *c);

/* Any text with the passwords of URIs and the values of "password=..." and the
 * like masked. malloc'ed; NULL: out of memory. */
char *config_masked_text(const char *text);

#endif
