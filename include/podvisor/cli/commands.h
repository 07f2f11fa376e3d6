/* commands owns the table of commands: names, options, arguments, and what is
 * told about each. It is the one source of dispatch, --help, usage errors, shell
 * completion, the man page and docs/commands.md (`podvisor help --json` gives it
 * to the generator of the last two). */
#ifndef PODVISOR_CLI_COMMANDS_H
#define PODVISOR_CLI_COMMANDS_H

#include <jansson.h>
#include <stdio.h>

#include "podvisor/cli/options.h"

enum command_id {
	COMMAND_RUN,
	COMMAND_CHECK,
	COMMAND_STATUS,
	COMMAND_START,
	COMMAND_STOP,
	COMMAND_RESTART,
	COMMAND_RELOAD,
	COMMAND_LOGS,
	COMMAND_EVENTS,
	COMMAND_DRAIN,
	COMMAND_UNDRAIN,
	COMMAND_PROBE,
	COMMAND_VERSION,
	COMMAND_COMPLETION,
	COMMAND_HELP,
	COMMAND_COUNT
};

/* What completes a word: words with a blank between them, or one of "@file",
 * "@names" (workers and browsers), "@commands", "@program" (a program, then
 * files). NULL: nothing does. */
struct command {
	const char *name, *arguments; /* "" or " NAME..." */
	const char *summary; /* half a line */
	const char *text; /* sentences; `code` and *emphasis* as in Markdown, paragraphs part at newlines */
	const char *json; /* what --json prints; NULL: there is no --json */
	const char *completes; /* its arguments */
	unsigned options; /* OPTIONS_BIT, OPTIONS_PROGRAM */
	int names_min, names_max;
};

extern const struct command commands[COMMAND_COUNT];

/* NULL when there is none of that name. */
const struct command *commands_find(const char *name);
/* A sentence on stderr that names the nearest. */
void commands_tell_unknown(const char *name);

void commands_usage(FILE *to, const struct command *c);
void commands_help(FILE *to, const struct command *c);
void commands_help_all(FILE *to);
/* The table, options and exit codes as JSON; the caller's, NULL: out of memory. */
json_t *commands_json(void);

#endif
