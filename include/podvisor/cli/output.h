/* output owns how commands write JSON for programs. */
#ifndef PODVISOR_CLI_OUTPUT_H
#define PODVISOR_CLI_OUTPUT_H

#include <jansson.h>

/* Writes value to stdout, indented, and takes it. Returns the exit code: 0, or
 * 70 after a sentence when value is NULL, which is how jansson says that memory
 * is out. */
int output_json(const char *verb, json_t *value);
/* The same on one line, for streams of them. */
int output_json_line(const char *verb, json_t *value);

#endif
