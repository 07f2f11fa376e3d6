/* config_secret owns what must not be shown: it masks passwords in text that is
 * otherwise worth seeing. (What a name or a connection string tells is in config.h.) */
#ifndef MODEL_CONFIG_SECRET_H
#define MODEL_CONFIG_SECRET_H

/* Any text with the passwords of URIs and the values of "password=..." and the
 * like masked. malloc'ed; NULL: out of memory. */
char *config_masked_text(const char *text);

#endif
