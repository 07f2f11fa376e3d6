#include "podvisor/cli/probe.h"

#include <string.h>
#include <sysexits.h>

#include "podvisor/cli/output.h"
#include "podvisor/cli/supervisor.h"
#include "podvisor/cli/table.h"

static const struct {
	const char *name, *path;
} probes[] = {{"live", "/livez"}, {"ready", "/readyz"}, {"startup", "/startupz"}};

static const char *path_of(const char *name)
{
	for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]); i++)
		if (strcmp(probes[i].name, name) == 0)
			return probes[i].path;
	return NULL;
}

/* Takes the next line, without its newline, off rest; false: there is none. */
static bool next_line(char **rest, char **line)
{
	*line = *rest;
	if (!**rest)
		return false;
	*rest += strcspn(*rest, "\n");
	if (**rest)
		*(*rest)++ = '\0';
	return true;
}

static void print_lines(char *body)
{
	for (char *line; next_line(&body, &line);) {
		table_put_clean(stdout, line);
		fputc('\n', stdout);
	}
}

/* "[+]worker:api ok: text" (docs/api.md); NULL for a line of another kind. */
static json_t *check_of(char *line)
{
	bool ok = strncmp(line, "[+]", 3) == 0;
	char *name = line + 3, *word = strchr(line, ' ');
	if ((!ok && strncmp(line, "[-]", 3) != 0) || !word)
		return NULL;
	*word++ = '\0';
	const char *text = strstr(word, ": ");
	return json_pack("{s:s,s:b,s:s}", "name", name, "ok", ok, "text", text ? text + 2 : "");
}

static int print_json(const struct options *o, char *body, bool ok)
{
	json_t *checks = json_array();
	for (char *line; next_line(&body, &line);) {
		json_t *check = check_of(line);
		if (check)
			json_array_append_new(checks, check);
	}
	return output_json(o->verb, json_pack("{s:s,s:b,s:o}", "probe", o->names[0], "ok", ok, "checks", checks));
}

int probe_run(const struct options *o)
{
	struct supervisor s;
	struct http_call call;
	const char *path = path_of(o->names[0]);
	char nothing[] = "";
	if (!path) {
		fprintf(stderr, "podvisor probe: there is no probe \"%s\" (live, ready or startup)\n", o->names[0]);
		return EX_USAGE;
	}
	supervisor_init(&s, o);
	supervisor_call(&call, "GET", "%s%s", path, o->given[OPTION_JSON] ? "?verbose" : "");
	int code = supervisor_ask(&s, &call, SUPERVISOR_PATIENCE_MS);
	if (code == 0) {
		char *body = call.body.data ? call.body.data : nothing;
		bool ok = call.status == 200;
		if (o->given[OPTION_JSON])
			code = print_json(o, body, ok);
		else
			print_lines(body);
		code = code ? code : !ok;
	}
	buf_fini(&call.body);
	return code;
}
