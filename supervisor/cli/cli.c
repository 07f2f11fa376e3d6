#include "podvisor/cli/cli.h"

#include <string.h>
#include <sysexits.h>

#include "podvisor/cli/act.h"
#include "podvisor/cli/check.h"
#include "podvisor/cli/commands.h"
#include "podvisor/cli/completion.h"
#include "podvisor/cli/follow.h"
#include "podvisor/cli/options.h"
#include "podvisor/cli/output.h"
#include "podvisor/cli/probe.h"
#include "podvisor/cli/status.h"
#include "podvisor/cli/steer.h"
#include "podvisor/cli/version.h"

static int help_run(const struct options *o)
{
	const struct command *c = o->n_names ? commands_find(o->names[0]) : NULL;
	if (o->n_names && !c) {
		commands_tell_unknown(o->names[0]);
		return EX_USAGE;
	}
	if (o->given[OPTION_JSON])
		return output_json(o->verb, commands_json());
	if (c)
		commands_help(stdout, c);
	else
		commands_help_all(stdout);
	return 0;
}

/* run is main's. */
static int (*const runs[COMMAND_COUNT])(const struct options *o) = {
	[COMMAND_CHECK] = check_run,
	[COMMAND_STATUS] = status_run,
	[COMMAND_START] = act_run,
	[COMMAND_STOP] = act_run,
	[COMMAND_RESTART] = act_run,
	[COMMAND_RELOAD] = steer_reload_run,
	[COMMAND_LOGS] = follow_logs_run,
	[COMMAND_EVENTS] = follow_events_run,
	[COMMAND_DRAIN] = steer_drain_run,
	[COMMAND_UNDRAIN] = steer_drain_run,
	[COMMAND_PROBE] = probe_run,
	[COMMAND_VERSION] = version_run,
	[COMMAND_COMPLETION] = completion_run,
	[COMMAND_HELP] = help_run,
};

static int refuse(const struct command *c)
{
	commands_usage(stderr, c);
	return EX_USAGE;
}

/* 0 when as many names as the command takes were given. */
static int check_names(const struct command *c, const struct options *o)
{
	if (o->n_names >= c->names_min && o->n_names <= c->names_max)
		return 0;
	if (o->n_names < c->names_min)
		fprintf(stderr, "podvisor %s: %s is missing\n", c->name,
			strncmp(c->arguments, " NAME", 5) == 0 ? "a name" : c->arguments + 1);
	else
		fprintf(stderr, "podvisor %s: \"%s\" is not expected\n", c->name, o->names[c->names_max]);
	return refuse(c);
}

/* 0 when a program stands behind a --, and only there. */
static int check_program(const struct command *c, const struct options *o)
{
	if (!o->dashes && o->n_names)
		fprintf(stderr, "podvisor %s: \"%s\" is not expected (a command goes behind --)\n", c->name,
			o->names[0]);
	else if (o->dashes && !o->n_names)
		fprintf(stderr, "podvisor %s: a command is expected behind --\n", c->name);
	else if (o->dashes && o->given[OPTION_CONFIG])
		fprintf(stderr, "podvisor %s: -c FILE and a command behind -- exclude each other\n", c->name);
	else
		return 0;
	return refuse(c);
}

static int run_command(const struct command *c, int argc, char **argv, int (*run)(const struct cli_run *wanted))
{
	struct options o;
	if (options_read(&o, c->options, argc, argv) < 0)
		return refuse(c);
	if (o.given[OPTION_HELP]) {
		commands_help(stdout, c);
		return 0;
	}
	int code = c->options & OPTIONS_PROGRAM ? check_program(c, &o) : check_names(c, &o);
	if (code)
		return code;
	if (c == &commands[COMMAND_RUN])
		return run(
			&(struct cli_run){.config = o.dashes ? NULL : o.config, .command = o.dashes ? o.names : NULL});
	return runs[c - commands](&o);
}

/* An answer that nobody can read was not given: a full disk or a reader that left, no defect. */
static int finish(int code)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	perror("podvisor: standard output");
	return code ? code : 1;
}

int cli_main(int argc, char **argv, int (*run)(const struct cli_run *wanted))
{
	if (argc < 2) {
		commands_help_all(stderr);
		return EX_USAGE;
	}
	const char *name = argv[1];
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
		name = "help";
	if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
		name = "version";
	const struct command *c = commands_find(name);
	if (!c) {
		commands_tell_unknown(name);
		return EX_USAGE;
	}
	return finish(run_command(c, argc - 1, argv + 1, run));
}
