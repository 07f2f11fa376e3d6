/* picture owns how the supervisor's status looks to people: what is wrong first,
 * then tables of what is configured. */
#ifndef PODVISOR_CLI_PICTURE_H
#define PODVISOR_CLI_PICTURE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* Writes what GET /api/v1/status answered (docs/api.md). Fields that are missing
 * or of another type are left blank. Tables take no more than so many columns (0:
 * as many as they need); other lines are as long as they are. */
void picture_print(FILE *to, const json_t *status, bool coloured, int columns);
/* The same as text, for free(); NULL: out of memory. */
char *picture_text(const json_t *status, bool coloured, int columns);

#endif
