/* wrap owns text in lines that a terminal of 80 columns does not break. */
#ifndef PODVISOR_CLI_WRAP_H
#define PODVISOR_CLI_WRAP_H

#include <stdio.h>

enum { WRAP_COLUMNS = 80 };

/* Writes text, which parts at blanks, and a newline at its end. Of the first line
 * so many columns are taken already; those that follow are indented. */
void wrap_put(FILE *to, const char *text, int taken, int indent);

#endif
