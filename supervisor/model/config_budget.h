/* config_budget owns how shutdown.deadline is shared out between the drain and the workers, and the warnings about what
 * does not fit. */
#ifndef MODEL_CONFIG_BUDGET_H
#define MODEL_CONFIG_BUDGET_H

#include <stdbool.h>

#include "config_text.h"
#include "podvisor/model/config.h"

/* Fills in shutdown.stop_share, and adds a warning to the report for a drain that is shortened and for the first worker
 * of each chain that may be killed before its stop.timeout is over. c is linked. false: out of memory. */
bool config_budget_settle(struct config *c, const struct config_node *root, struct config_report *report);

#endif
