/* config_job owns what is special about jobs in a configuration: which keys are
 * theirs, and their schedule in the form that it is run from. */
#ifndef MODEL_CONFIG_JOB_H
#define MODEL_CONFIG_JOB_H

#include "config_text.h"
#include "podvisor/model/config.h"

/* Reads each job's cron expression and time zone and fills in what is a job's
 * default alone; mistakes go into the report. */
void config_job_settle(struct config *c, const struct config_node *root, const struct config_source *source,
	struct config_report *report);

#endif
