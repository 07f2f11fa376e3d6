#include "podvisor/cli/cli.h"

#include <limits.h>
#include <string.h>
#include <sysexits.h>

#include "podvisor/base/nearest.h"
#include "podvisor/cli/act.h"
#include "podvisor/cli/check.h"
#include "podvisor/cli/follow.h"
#include "podvisor/cli/options.h"
#include "podvisor/cli/probe.h"
#include "podvisor/cli/status.h"
#include "podvisor/cli/version.h"

struct verb {
	const char *name, *arguments, *summary;
	unsigned options; /* OPTIONS_BIT; --help goes with every one */
	int names_min, names_max;
	int (*run)(const struct options *o); /* NULL: main's */
};

static int help_run(const struct options *o);

#define HELP        OPTIONS_BIT(OPTION_HELP)
#define BIT(option) OPTIONS_BIT(OPTION_##option)
#define ASKS        (HELP | BIT(SOCKET)) /* of the running supervisor */

static const struct verb verbs[] = {
	{"run", " [-- COMMAND ARGS...]", "supervise, in the foreground", HELP | BIT(CONFIG), 0, INT_MAX, NULL},
	{"check", "", "validate the configuration and print every mistake",
		HELP | BIT(CONFIG) | BIT(PRINT) | BIT(SCHEMA), 0, 0, check_run},
	{"status", "", "how everything is", ASKS | BIT(JSON) | BIT(WATCH), 0, 0, status_run},
	{"start", " NAME...", "start workers and browsers", ASKS | BIT(NO_WAIT), 1, INT_MAX, act_run},
	{"stop", " NAME...", "stop workers and browsers", ASKS | BIT(NO_WAIT), 1, INT_MAX, act_run},
	{"restart", " NAME...", "stop and start workers and browsers", ASKS | BIT(NO_WAIT), 1, INT_MAX, act_run},
	{"reload", "", "read the configuration again, as SIGHUP does", ASKS | BIT(DRY_RUN), 0, 0, act_reload_run},
	{"logs", " [NAME...]", "recent output of workers", ASKS | BIT(FOLLOW) | BIT(LINES), 0, INT_MAX,
		follow_logs_run},
	{"events", "", "what happened, newest last", ASKS | BIT(FOLLOW) | BIT(LINES) | BIT(JSON), 0, 0,
		follow_events_run},
	{"drain", "", "begin to drain without stopping", ASKS | BIT(WAIT), 0, 0, act_drain_run},
	{"undrain", "", "take a drain back", ASKS, 0, 0, act_drain_run},
	{"probe", " live|ready|startup", "the answer of a probe as the exit code, for exec probes", ASKS, 1, 1,
		probe_run},
	{"version", "", "version, build, and the libraries it runs on", HELP, 0, 0, version_run},
	{"help", " [COMMAND]", "this text, or that of a command", HELP, 0, 1, help_run},
};
enum { N_VERBS = sizeof(verbs) / sizeof(verbs[0]) };

static const struct verb *find(const char *name)
{
	for (int i = 0; i < N_VERBS; i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

static void help_all(FILE *to)
{
	fputs("usage: podvisor COMMAND [OPTIONS] [NAMES]\n\n", to);
	for (int i = 0; i < N_VERBS; i++)
		fprintf(to, "  %-10s %s\n", verbs[i].name, verbs[i].summary);
	fputs("\n`podvisor COMMAND --help` tells about one of them.\n"
	      "Exit codes: 0 done; 1 the answer is no; 64 usage; 69 no supervisor answers at the socket;\n"
	      "70 a defect of podvisor's own; 78 the configuration is refused.\n",
		to);
}

static void usage(FILE *to, const struct verb *v)
{
	fprintf(to, "usage: podvisor %s", v->name);
	options_usage(to, v->options);
	fprintf(to, "%s\n", v->arguments);
}

int cli_help(FILE *to, const char *verb)
{
	const struct verb *v = verb ? find(verb) : NULL;
	if (!v) {
		help_all(to);
		return 0;
	}
	usage(to, v);
	fprintf(to, "\n%s\n\n", v->summary);
	options_help(to, v->options);
	return 0;
}

static int unknown(const char *name)
{
	struct nearest nearest;
	nearest_init(&nearest, name);
	for (int i = 0; i < N_VERBS; i++)
		nearest_offer(&nearest, verbs[i].name);
	fprintf(stderr, "podvisor: there is no command \"%s\"", name);
	if (nearest.best)
		fprintf(stderr, " (did you mean \"%s\"?)", nearest.best);
	fputs("; `podvisor help` lists them\n", stderr);
	return EX_USAGE;
}

static int help_run(const struct options *o)
{
	if (o->n_names && !find(o->names[0]))
		return unknown(o->names[0]);
	return cli_help(stdout, o->n_names ? o->names[0] : NULL);
}

/* 0 when as many names as the verb takes were given. */
static int check_names(const struct verb *v, const struct options *o)
{
	if (o->n_names >= v->names_min && o->n_names <= v->names_max)
		return 0;
	if (o->n_names < v->names_min)
		fprintf(stderr, "podvisor %s: a name is missing\n", v->name);
	else
		fprintf(stderr, "podvisor %s: \"%s\" is not expected\n", v->name, o->names[v->names_max]);
	usage(stderr, v);
	return EX_USAGE;
}

static int run_verb(const struct verb *v, int argc, char **argv)
{
	struct options o;
	if (options_read(&o, v->options, argc, argv) < 0) {
		usage(stderr, v);
		return EX_USAGE;
	}
	if (o.given[OPTION_HELP])
		return cli_help(stdout, v->name);
	int code = check_names(v, &o);
	return code ? code : v->run(&o);
}

/* An answer that nobody can read was not given. */
static int finish(int code)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	perror("podvisor: standard output");
	return code ? code : EX_SOFTWARE;
}

int cli_main(int argc, char **argv)
{
	if (argc < 2) {
		help_all(stderr);
		return EX_USAGE;
	}
	const char *name = argv[1];
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
		name = "help";
	if (strcmp(name, "--version") == 0)
		name = "version";
	const struct verb *v = find(name);
	if (!v || !v->run)
		return unknown(name);
	return finish(run_verb(v, argc - 1, argv + 1));
}
