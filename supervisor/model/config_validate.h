/* config_validate owns the rules that tie values together: names that must
 * exist, times that must fit each other, circles of dependencies. */
#ifndef MODEL_CONFIG_VALIDATE_H
#define MODEL_CONFIG_VALIDATE_H

#include "config_text.h"
#include "podvisor/model/config.h"

/* Reports what is wrong in c, which was read from root. false: out of memory. */
bool config_validate(const struct config *c, const struct config_node *root, struct config_report *report);

#endif
