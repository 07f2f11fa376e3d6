/* options owns the table of options and the reading of a command's words: what
 * may be written behind a verb, what it means, and how it is explained. */
#ifndef PODVISOR_CLI_OPTIONS_H
#define PODVISOR_CLI_OPTIONS_H

#include <stdbool.h>
#include <stdio.h>

#define OPTIONS_CONFIG_DEFAULT "/etc/podvisor/podvisor.json"
#define OPTIONS_SOCKET_DEFAULT "/run/podvisor/control.sock"
#define OPTIONS_LINES_MAX      10000

/* X(enumerator, letter or 0, word, value or NULL, what completes the value (see commands.h), what it does) */
#define OPTIONS(X)                                                                                               \
	X(OPTION_CONFIG, 'c', "config", "FILE", "@file",                                                         \
		"the configuration (" OPTIONS_CONFIG_DEFAULT "); - is standard input")                           \
	X(OPTION_PRINT, 0, "print", NULL, NULL,                                                                  \
		"print the configuration, defaults filled in, secrets masked; on stderr each browser's command") \
	X(OPTION_SCHEMA, 0, "schema", NULL, NULL, "print the JSON Schema of the configuration, for editors")     \
	X(OPTION_JSON, 0, "json", NULL, NULL, "JSON, for programs")                                              \
	X(OPTION_WATCH, 0, "watch", NULL, NULL, "once a second, until Ctrl-C")                                   \
	X(OPTION_NO_WAIT, 0, "no-wait", NULL, NULL, "return at once, do not wait until it is done")              \
	X(OPTION_WAIT, 0, "wait", NULL, NULL, "wait until it is done")                                           \
	X(OPTION_DRY_RUN, 0, "dry-run", NULL, NULL, "only tell what would change")                               \
	X(OPTION_FOLLOW, 'f', "follow", NULL, NULL, "go on with what comes, until Ctrl-C")                       \
	X(OPTION_LINES, 'n', "lines", "LINES", NULL, "only so many, the newest (logs: 100)")                     \
	X(OPTION_COLOR, 0, "color", "WHEN", "auto always never",                                                 \
		"auto (on a terminal, unless NO_COLOR is set or TERM is dumb), always or never")                 \
	X(OPTION_SOCKET, 0, "socket", "PATH", "@file",                                                           \
		"the supervisor's socket ($PODVISOR_SOCKET, else " OPTIONS_SOCKET_DEFAULT " and its fallbacks)") \
	X(OPTION_HELP, 'h', "help", NULL, NULL, "this text")

enum option_id {
#define OPTIONS_ENUM(id, letter, word, value, completes, text) id,
	OPTIONS(OPTIONS_ENUM)
#undef OPTIONS_ENUM
		OPTION_COUNT
};
#define OPTIONS_BIT(id) (1u << (id))
/* Beside the bits of options: what stands behind -- is a program and its
 * arguments, and nothing of it is an option of ours. */
#define OPTIONS_PROGRAM (1u << 31)

struct option_row {
	char letter;
	const char *word, *value, *completes, *text;
};
extern const struct option_row options_table[OPTION_COUNT];

enum options_color { OPTIONS_COLOR_AUTO, OPTIONS_COLOR_ALWAYS, OPTIONS_COLOR_NEVER };

/* What somebody wrote. Strings are borrowed from argv. */
struct options {
	const char *verb;
	bool given[OPTION_COUNT];
	const char *config, *socket; /* socket NULL: not given */
	int lines;
	enum options_color color;
	bool dashes; /* OPTIONS_PROGRAM: a -- was there, names are what stands behind it */
	char **names; /* n_names words that are no options; behind the last is NULL */
	int n_names;
};

/* Reads argv behind the verb (argv[0] is the verb), accepting the options whose
 * bits are set. 0, or -1 after a sentence on stderr. argv is reordered: names
 * and options may be mixed (but not with OPTIONS_PROGRAM). */
int options_read(struct options *out, unsigned accepted, int argc, char **argv);

/* " [--json] [-c FILE]": the accepted options, without --socket, --color and --help. */
void options_usage(FILE *to, unsigned accepted);
/* One line for each accepted option. */
void options_help(FILE *to, unsigned accepted);

#endif
