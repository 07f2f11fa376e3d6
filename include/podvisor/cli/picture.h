/* status owns `podvisor status`: the supervisor's picture of everything, as
 * tables for people or as it came for programs. */
#ifndef PODVISOR_CLI_STATUS_H
#define PODVISOR_CLI_STATUS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "podvisor/cli/options.h"

/* Returns the exit code. */
int status_run(const struct options *o);
/* Writes what GET /api/v1/status answered (docs/api.md) for people. Fields that
 * are missing or of another type are left blank. */
void status_print(FILE *to, const json_t *status, bool coloured);

#endif
