#include "podvisor/cli/output.h"

#include <stdio.h>
#include <sysexits.h>

static int write_json(const char *verb, json_t *value, size_t flags)
{
	if (!value) {
		fprintf(stderr, "podvisor %s: out of memory\n", verb);
		return EX_SOFTWARE;
	}
	json_dumpf(value, stdout, flags | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
	fputc('\n', stdout);
	json_decref(value);
	return 0;
}

int output_json(const char *verb, json_t *value)
{
	return write_json(verb, value, JSON_INDENT(2));
}

int output_json_line(const char *verb, json_t *value)
{
	return write_json(verb, value, JSON_COMPACT);
}
