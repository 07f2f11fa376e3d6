#include "podvisor/cli/completion.h"

#include <string.h>
#include <sysexits.h>

#include "podvisor/cli/commands.h"
#include "podvisor/cli/field.h"
#include "podvisor/cli/supervisor.h"
#include "podvisor/cli/table.h"

/* ---- names ---- */

enum { NAMES_PATIENCE_MS = 1000 }; /* somebody sits there with a finger on the key */

/* Several instances have a name together ("api") beside their own ("api.1"). */
static void print_names(const json_t *items)
{
	const char *before = "";
	for (size_t i = 0; i < json_array_size(items); i++) {
		const json_t *item = json_array_get(items, i);
		const char *name = field_text(item, "name"), *worker = field_text(item, "worker");
		if (worker[0] && strcmp(worker, name) != 0 && strcmp(worker, before) != 0) {
			table_put_clean(stdout, worker);
			fputc('\n', stdout);
		}
		before = worker;
		table_put_clean(stdout, name);
		fputc('\n', stdout);
	}
}

/* Whatever goes wrong, nothing is said: it would stand in the middle of a command line. */
static int names_run(const struct options *o)
{
	struct supervisor s;
	struct http_call call;
	supervisor_init(&s, o);
	s.quiet = true;
	supervisor_call(&call, "GET", "/api/v1/workers");
	int code = supervisor_ask(&s, &call, NAMES_PATIENCE_MS);
	json_t *json = code == 0 && call.status == 200 ? supervisor_json(&call) : NULL;
	print_names(json_object_get(json, "workers"));
	print_names(json_object_get(json, "browsers"));
	json_decref(json);
	buf_fini(&call.body);
	return code;
}

/* ---- bash ---- */

/* The command line is read without the functions of the package bash-completion, which may not be there. "=" stands
 * alone in COMP_WORDS, as in "--socket = /path". Names come from elsewhere and are not given to compgen -W, which would
 * expand them. */
static const char head[] = "# bash completion for podvisor, as `podvisor completion bash` prints it.\n"
			   "_podvisor_files() {\n"
			   "\tcompopt -o filenames 2>/dev/null\n"
			   "\tmapfile -t COMPREPLY < <(compgen -f -- \"$1\")\n"
			   "}\n"
			   "_podvisor_words() {\n"
			   "\tmapfile -t COMPREPLY < <(compgen -W \"$2\" -- \"$1\")\n"
			   "}\n"
			   "_podvisor_names() {\n"
			   "\tlocal podvisor=${COMP_WORDS[0]} socket=() name i\n"
			   "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
			   "\t\t[[ ${COMP_WORDS[i]} == --socket ]] || continue\n"
			   "\t\t[[ ${COMP_WORDS[i + 1]} == = ]] && i=$((i + 1))\n"
			   "\t\tsocket=(--socket \"${COMP_WORDS[i + 1]}\")\n"
			   "\tdone\n"
			   "\twhile IFS= read -r name; do\n"
			   "\t\t[[ $name == \"$1\"* ]] && printf -v name %q \"$name\" && COMPREPLY+=(\"$name\")\n"
			   "\tdone < <(\"${podvisor/#\\~/$HOME}\" completion names \"${socket[@]}\" 2>/dev/null)\n"
			   "}\n"
			   "_podvisor_program() {\n"
			   "\tlocal i at=0\n"
			   "\tfor ((i = 2; i < COMP_CWORD; i++)); do\n"
			   "\t\t[[ ${COMP_WORDS[i]} == -- ]] && at=$i && break\n"
			   "\tdone\n"
			   "\tif ((at == 0)); then\n"
			   "\t\t_podvisor_words \"$1\" --\n"
			   "\telif ((at + 1 == COMP_CWORD)); then\n"
			   "\t\tmapfile -t COMPREPLY < <(compgen -c -- \"$1\")\n"
			   "\telse\n"
			   "\t\t_podvisor_files \"$1\"\n"
			   "\tfi\n"
			   "}\n"
			   "_podvisor() {\n"
			   "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} i dashes=\n"
			   "\tCOMPREPLY=()\n"
			   "\tif [[ $cur == = ]]; then\n"
			   "\t\tcur=\n"
			   "\telif [[ $prev == = ]]; then\n"
			   "\t\tprev=${COMP_WORDS[COMP_CWORD - 2]}\n"
			   "\tfi\n"
			   "\tfor ((i = 2; i < COMP_CWORD; i++)); do\n"
			   "\t\t[[ ${COMP_WORDS[i]} == -- ]] && dashes=1\n"
			   "\tdone\n"
			   "\tif ((COMP_CWORD == 1)); then\n";

static const char foot[] = "\tesac\n"
			   "}\n"
			   "complete -F _podvisor podvisor\n";

/* The words that stand for every command. */
static void put_commands(FILE *to)
{
	for (int i = 0; i < COMMAND_COUNT; i++)
		fprintf(to, "%s%s", i ? " " : "", commands[i].name);
}

/* What completes "$cur", as in struct command. */
static void put_completer(FILE *to, const char *completes)
{
	if (strcmp(completes, "@commands") == 0) {
		fputs("_podvisor_words \"$cur\" \"", to);
		put_commands(to);
		fputs("\"", to);
	} else if (completes[0] == '@') {
		fprintf(to, "_podvisor_%s \"$cur\"", strcmp(completes, "@file") == 0 ? "files" : completes + 1);
	} else {
		fprintf(to, "_podvisor_words \"$cur\" \"%s\"", completes);
	}
}

/* Values: the same for each command that has the option. */
static void put_values(FILE *to)
{
	fputs("\t[[ $dashes ]] || case $prev in\n", to);
	for (int id = 0; id < OPTION_COUNT; id++) {
		const struct option_row *o = &options_table[id];
		if (!o->value)
			continue;
		fputs("\t", to);
		if (o->letter)
			fprintf(to, "-%c | ", o->letter);
		fprintf(to, "--%s)\n\t\t", o->word);
		if (o->completes)
			put_completer(to, o->completes);
		else
			fputs(":", to);
		fputs("\n\t\treturn\n\t\t;;\n", to);
	}
	fputs("\tesac\n", to);
}

static void put_command(FILE *to, const struct command *c)
{
	fprintf(to, "\t%s)\n\t\tif [[ $cur == -* && ! $dashes ]]; then\n\t\t\t_podvisor_words \"$cur\" \"", c->name);
	for (int id = 0; id < OPTION_COUNT; id++)
		if (c->options & OPTIONS_BIT(id))
			fprintf(to, "--%s ", options_table[id].word);
	fprintf(to, "%s\"\n", c->options & OPTIONS_PROGRAM ? "--" : "");
	if (c->completes) {
		fputs("\t\telse\n\t\t\t", to);
		put_completer(to, c->completes);
		fputc('\n', to);
	}
	fputs("\t\tfi\n\t\t;;\n", to);
}

void completion_bash(FILE *to)
{
	fputs(head, to);
	fputs("\t\t_podvisor_words \"$cur\" \"", to);
	put_commands(to);
	fputs(" --help --version\"\n\t\treturn\n\tfi\n", to);
	put_values(to);
	fputs("\tcase ${COMP_WORDS[1]} in\n", to);
	for (int i = 0; i < COMMAND_COUNT; i++)
		put_command(to, &commands[i]);
	fputs(foot, to);
}

int completion_run(const struct options *o)
{
	const char *what = o->names[0];
	if (strcmp(what, "names") == 0)
		return names_run(o);
	if (strcmp(what, "bash") != 0) {
		fprintf(stderr, "podvisor completion: there is no script for \"%s\" (bash)\n", what);
		return EX_USAGE;
	}
	completion_bash(stdout);
	return 0;
}
