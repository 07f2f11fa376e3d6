/* config_report owns the wording and the place of each mistake. */
#ifndef MODEL_CONFIG_REPORT_H
#define MODEL_CONFIG_REPORT_H

#include <stdbool.h>

#include "config_text.h"
#include "podvisor/model/config.h"

/* At the value of a node, at its key, and at the object that lacks a key. */
void config_report_value(struct config_report *r, const struct config_node *at, const char *fmt, ...) PRINTF_LIKE(3, 4);
void config_report_key(struct config_report *r, const struct config_node *at, const char *fmt, ...) PRINTF_LIKE(3, 4);
void config_report_missing(struct config_report *r, const struct config_node *object, const char *key);
/* Without a node: the text is no JSON, or memory is out. */
void config_report_place(struct config_report *r, int line, int column, const char *text);

/* Brings the mistakes into the order of the file. */
void config_report_sort(struct config_report *r);

#define CONFIG_QUOTE_MAX 96
/* The value as a sentence names it: quoted and cut, or "the value" when it is
 * secret. out is returned. */
const char *config_quote(const char *text, bool secret, char out[CONFIG_QUOTE_MAX]);

#endif
