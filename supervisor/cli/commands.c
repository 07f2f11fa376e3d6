#include "podvisor/cli/commands.h"

#include <limits.h>
#include <string.h>

#include "podvisor/base/nearest.h"
#include "podvisor/cli/wrap.h"

#define HELP        OPTIONS_BIT(OPTION_HELP)
#define BIT(option) OPTIONS_BIT(OPTION_##option)
#define ASKS        (HELP | BIT(JSON) | BIT(SOCKET)) /* of the running supervisor */
#define SHOWS       (ASKS | BIT(COLOR)) /* states, in colour */
#define ANY         INT_MAX
#define ACTED                                                                                                      \
	"`{\"done\": true, \"workers\": [WORKER, ...], \"browsers\": [BROWSER, ...]}`, those that were named, as " \
	"they are then"

const struct command commands[COMMAND_COUNT] = {
	[COMMAND_RUN] = {"run", " [-- COMMAND ARGS...]", "supervise, in the foreground",
		"Right as PID 1 of a container and right as an ordinary process. Without COMMAND, what FILE says is "
		"supervised: SIGTERM and SIGINT begin the ordered stop (a second one skips what remains of the drain, "
		"a "
		"third kills at once), SIGHUP reads FILE again, SIGQUIT prints the full state to the log. "
		"Other signals are told in the log and neither end nor stop anything, Ctrl-Z included; a "
		"terminal's SIGTTIN and SIGTTOU are ignored.\n"
		"With COMMAND that one program is supervised with the defaults, as tini and dumb-init do it: it keeps "
		"stdin, stdout and stderr, gets every signal, and its exit code (128 and the signal when it is killed) "
		"is podvisor's. FILE and COMMAND exclude each other.",
		NULL, "@program", HELP | BIT(CONFIG) | OPTIONS_PROGRAM, 0, ANY},
	[COMMAND_CHECK] = {"check", "", "validate the configuration and print every mistake",
		"Needs no supervisor. Each mistake is one line on stderr, `FILE:LINE:COL: path.to.key: what is wrong "
		"(what was expected)`; a configuration that `run` or `reload` would refuse ends with exit code 78. "
		"What is allowed but hardly meant is such a line too, with `warning:` in it, and refuses nothing: a "
		"stop for which `shutdown.deadline` leaves no time. `run` and `reload` have these in the log.",
		"a list of mistakes, `[{\"file\": \"podvisor.json\", \"line\": 3, \"column\": 14, \"path\": "
		"\"workers.api.comand\", \"message\": \"...\"}]`, empty when there is none; `line` and `column` are "
		"`null` when the file cannot be read. `--print` and `--schema` print JSON anyway",
		NULL, HELP | BIT(CONFIG) | BIT(PRINT) | BIT(SCHEMA) | BIT(JSON), 0, 0},
	[COMMAND_STATUS] = {"status", "", "how everything is",
		"What is wrong comes first. `--watch` draws it again once a second, in place on a terminal, and goes "
		"on "
		"by itself when podvisor is restarted. On a narrow terminal columns of lesser weight are left out and "
		"long reasons are cut: no row wraps.",
		"what `GET /api/v1/status` answers; with `--watch` one object a line", NULL, SHOWS | BIT(WATCH), 0, 0},
	[COMMAND_START] = {"start", " NAME...", "start workers and browsers",
		"NAME is a worker (all its instances), one instance (`api.1`) or a browser. Waits until each is "
		"available, at most ten minutes, and tells meanwhile what keeps it. Exit code 1, with the reason, as "
		"soon as one has ended for good, backs off, or waits for a worker that does not come back by itself; "
		"podvisor goes on trying. Nothing is done when a name is wrong.",
		ACTED, "@names", SHOWS | BIT(NO_WAIT), 1, ANY},
	[COMMAND_STOP] = {"stop", " NAME...", "stop workers and browsers",
		"Waits until nothing of them runs. They stay stopped until somebody starts them.", ACTED, "@names",
		SHOWS | BIT(NO_WAIT), 1, ANY},
	[COMMAND_RESTART] = {"restart", " NAME...", "stop and start workers, replace browsers",
		"Waits until a new run of each is available, and no longer than `start` does; exit code 1 when one did "
		"not come up. A browser that serves goes when the new one has taken over, and its sessions have ended "
		"or its "
		"`drain` is over; `stop` and `start` cut them.",
		ACTED, "@names", SHOWS | BIT(NO_WAIT), 1, ANY},
	[COMMAND_RELOAD] = {"reload", "", "read the configuration again, as SIGHUP does",
		"Prints what changes, one line a thing: `+ worker x` is new, `- worker y` goes, `~ worker z: "
		"stop.timeout "
		"10s -> 30s; restarts` is changed. Only what changed is restarted. Exit code 78, and nothing is "
		"changed, "
		"when the configuration is refused; 1 when podvisor stops. What `podvisor check` warns of is on "
		"stderr.",
		"`{\"changes\": [\"+ worker x\", ...], \"warnings\": [], \"dry_run\": false}`; refused: `{\"error\": "
		"\"...\", "
		"\"mistakes\": "
		"[\"...\"]}`",
		NULL, SHOWS | BIT(DRY_RUN), 0, 0},
	[COMMAND_LOGS] = {"logs", " [NAME...]", "recent output of workers",
		"What workers wrote and podvisor said about them lately, from a bounded memory; of those named, or of "
		"all.",
		"every line as one object; a line that is none becomes `{\"msg\": \"the line\"}`", "@names",
		ASKS | BIT(FOLLOW) | BIT(LINES), 0, ANY},
	[COMMAND_EVENTS] = {"events", "", "what happened, newest last",
		"Each change of a state with its reason; podvisor remembers the last 512.",
		"one EVENT a line, as `GET /api/v1/events` has them", NULL, SHOWS | BIT(FOLLOW) | BIT(LINES), 0, 0},
	[COMMAND_DRAIN] = {"drain", "", "begin to drain without stopping",
		"For a preStop hook or by hand: `/readyz` answers 503, the gateway closes what it has in order, "
		"workers go "
		"on. `--wait` returns when the gateway is drained, at the latest after ten minutes with exit code 1.",
		"what `GET /api/v1/drain` answers", NULL, SHOWS | BIT(WAIT), 0, 0},
	[COMMAND_UNDRAIN] = {"undrain", "", "take a drain back", "The drain of an ordered stop cannot be taken back.",
		"what `GET /api/v1/drain` answers", NULL, SHOWS, 0, 0},
	[COMMAND_PROBE] = {"probe", " live|ready|startup", "the answer of a probe as the exit code, for exec probes",
		"Exit code 0 yes, 1 no, 69 when no supervisor answers; the reasons are printed.",
		"`{\"probe\": \"ready\", \"ok\": false, \"checks\": [{\"name\": \"worker:api\", \"ok\": false, "
		"\"text\": "
		"\"backoff: ...\"}]}`",
		"live ready startup", ASKS, 1, 1},
	[COMMAND_VERSION] = {"version", "", "version, build, and the libraries it runs on",
		"The libraries are asked themselves, so this is what is installed here.",
		"`{\"version\": \"...\", \"build\": {\"compiler\": \"...\", \"machine\": \"...\", \"sanitized\": "
		"false}, "
		"\"libraries\": {\"libuv\": \"1.44.2\", ...}}`; a library that cannot be loaded is `null`",
		NULL, HELP | BIT(JSON), 0, 0},
	[COMMAND_COMPLETION] = {"completion", " bash", "print the script that completes podvisor's words in a shell",
		"For one shell: `source <(podvisor completion bash)`. `make install` puts it where bash finds it by "
		"itself. "
		"Names of workers and browsers are asked of the running supervisor.",
		NULL, "bash", HELP | BIT(SOCKET), 1, 1},
	[COMMAND_HELP] = {"help", " [COMMAND]", "this text, or that of a command", "The same as `--help`.",
		"this table: commands, options and exit codes", "@commands", HELP | BIT(JSON), 0, 1},
};

static const struct {
	int code;
	const char *text;
} exit_codes[] = {
	{0, "done"},
	{1, "a command's answer is no, or could not be written: a probe, a failed worker, an unknown name"},
	{64, "usage"},
	{69, "no supervisor answers at the socket"},
	{70, "a defect of podvisor's own"},
	{78, "the configuration is refused"},
};
enum { N_EXIT_CODES = sizeof(exit_codes) / sizeof(exit_codes[0]) };

const struct command *commands_find(const char *name)
{
	for (int i = 0; i < COMMAND_COUNT; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

void commands_tell_unknown(const char *name)
{
	struct nearest nearest;
	if (name[0] == '-') {
		fprintf(stderr, "podvisor: a command is expected before \"%s\"; `podvisor help` lists them\n", name);
		return;
	}
	nearest_init(&nearest, name);
	for (int i = 0; i < COMMAND_COUNT; i++)
		nearest_offer(&nearest, commands[i].name);
	fprintf(stderr, "podvisor: there is no command \"%s\"", name);
	if (nearest.best)
		fprintf(stderr, " (did you mean \"%s\"?)", nearest.best);
	fputs("; `podvisor help` lists them\n", stderr);
}

void commands_usage(FILE *to, const struct command *c)
{
	fprintf(to, "usage: podvisor %s", c->name);
	options_usage(to, c->options);
	fprintf(to, "%s\n", c->arguments);
}

void commands_help(FILE *to, const struct command *c)
{
	commands_usage(to, c);
	fprintf(to, "\n%s\n\n", c->summary);
	options_help(to, c->options);
	fputc('\n', to);
	wrap_put(to, c->text, 0, 0);
}

void commands_help_all(FILE *to)
{
	fputs("usage: podvisor COMMAND [OPTIONS] [NAMES]\n\n", to);
	for (int i = 0; i < COMMAND_COUNT; i++)
		fprintf(to, "  %-11s %s\n", commands[i].name, commands[i].summary);
	fputs("\n`podvisor COMMAND --help` tells about one of them.\n\nExit codes:\n", to);
	for (int i = 0; i < N_EXIT_CODES; i++)
		fprintf(to, "  %2d  %s\n", exit_codes[i].code, exit_codes[i].text);
}

/* ---- as JSON ---- */

static json_t *option_json(int id)
{
	const struct option_row *o = &options_table[id];
	const char letter[2] = {o->letter, '\0'};
	return json_pack("{s:s,s:s?,s:s?,s:s?,s:s}", "word", o->word, "letter", o->letter ? letter : NULL, "value",
		o->value, "completes", o->completes, "text", o->text);
}

static json_t *command_json(const struct command *c)
{
	json_t *options = json_array();
	for (int id = 0; id < OPTION_COUNT; id++)
		if (c->options & OPTIONS_BIT(id))
			json_array_append_new(options, json_string(options_table[id].word));
	return json_pack("{s:s,s:s,s:s,s:s,s:s?,s:s?,s:o}", "name", c->name, "arguments",
		c->arguments + (c->arguments[0] == ' '), "summary", c->summary, "text", c->text, "json", c->json,
		"completes", c->completes, "options", options);
}

json_t *commands_json(void)
{
	json_t *list = json_array(), *options = json_array(), *codes = json_array();
	for (int i = 0; i < COMMAND_COUNT; i++)
		json_array_append_new(list, command_json(&commands[i]));
	for (int id = 0; id < OPTION_COUNT; id++)
		json_array_append_new(options, option_json(id));
	for (int i = 0; i < N_EXIT_CODES; i++)
		json_array_append_new(
			codes, json_pack("{s:i,s:s}", "code", exit_codes[i].code, "text", exit_codes[i].text));
	return json_pack("{s:o,s:o,s:o}", "commands", list, "options", options, "exit_codes", codes);
}
