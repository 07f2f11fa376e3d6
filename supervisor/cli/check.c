#include "podvisor/cli/check.h"

#include <stdlib.h>
#include <sysexits.h>

#include "podvisor/runtime/configuration.h"

/* Takes text, which is malloc'ed. */
static int print(char *text)
{
	if (!text) {
		fputs("podvisor check: out of memory\n", stderr);
		return EX_SOFTWARE;
	}
	fputs(text, stdout);
	free(text);
	return 0;
}

int check_run(const struct options *o)
{
	if (o->given[OPTION_SCHEMA])
		return print(config_schema());
	struct buf mistakes;
	struct err err = {0};
	buf_init(&mistakes, 1 << 20);
	struct config *config = configuration_read(o->config, &mistakes, &err);
	int code = EX_CONFIG;
	if (!config) {
		fputs(mistakes.len ? buf_str(&mistakes) : err.text, stderr);
		if (!mistakes.len)
			fputc('\n', stderr);
	} else if (o->given[OPTION_PRINT]) {
		code = print(config_print(config));
	} else {
		printf("%s: ok\n", o->config);
		code = 0;
	}
	buf_fini(&mistakes);
	config_release(config);
	return code;
}
