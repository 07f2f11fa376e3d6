/* field owns reading the API's answers without trusting them: a field that is
 * missing, null or of another type is "nothing", never a crash. */
#ifndef PODVISOR_CLI_FIELD_H
#define PODVISOR_CLI_FIELD_H

#include <jansson.h>

/* Borrowed; "" when it is no string. object may be NULL. */
const char *field_text(const json_t *object, const char *key);
/* -1 when it is no number. */
double field_number(const json_t *object, const char *key);
/* The i-th string of a list, borrowed; "" when it is no string. */
const char *field_item(const json_t *list, size_t i);

#endif
