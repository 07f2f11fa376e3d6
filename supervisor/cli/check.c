#include "podvisor/cli/check.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "podvisor/cli/output.h"
#include "podvisor/runtime/browsers.h"
#include "podvisor/runtime/configuration.h"

#define COMMAND_BYTES ((size_t)1 << 20)

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

/* On stderr, for what stands on stdout is JSON. The program is looked for on this machine. */
static void print_browser(const struct config *config, const struct config_browser *browser)
{
	struct buf command;
	struct err err = {0};
	buf_init(&command, COMMAND_BYTES);
	if (browsers_command(config, browser, &command, &err) == 0 && buf_putc(&command, '\0') == 0) {
		config_conceal(config, command.data);
		fprintf(stderr, "browsers.%s runs: %s\n", browser->name, command.data);
	} else {
		fprintf(stderr, "browsers.%s cannot run here: %s\n", browser->name, err.text);
	}
	buf_fini(&command);
}

/* The effective configuration, and what follows from it. */
static int print_effective(const struct config *config)
{
	int code = print(config_print(config));
	for (size_t i = 0; code == 0 && i < config->n_browsers; i++)
		print_browser(config, &config->browsers[i]);
	return code;
}

/* A mistake without a place has line 0. */
static json_t *mistake(const char *file, int line, int column, const char *path, const char *message)
{
	json_t *name = json_string(file);
	return json_pack("{s:o,s:o,s:o,s:s,s:s}", "file", name ? name : json_string("not UTF-8"), "line",
		line ? json_integer(line) : json_null(), "column", line ? json_integer(column) : json_null(), "path",
		path, "message", message);
}

/* What err says of the file begins with its path, which has a field of its own here. */
static const char *without_file(const char *file, const char *text)
{
	size_t n = strlen(file);
	return strncmp(text, file, n) == 0 && strncmp(text + n, ": ", 2) == 0 ? text + n + 2 : text;
}

static json_t *mistakes_json(const char *file, const struct config_report *report, const struct err *err)
{
	json_t *list = json_array();
	char more[64];
	for (size_t i = 0; i < report->count; i++) {
		const struct config_mistake *m = &report->items[i];
		json_array_append_new(list, mistake(file, m->line, m->column, m->path, m->text));
	}
	snprintf(more, sizeof(more), "and %zu more", report->more);
	if (report->more)
		json_array_append_new(list, mistake(file, 0, 0, "", more));
	if (err->code && report->count == 0)
		json_array_append_new(list, mistake(file, 0, 0, "", without_file(file, err->text)));
	return list;
}

/* Warnings are for people, and refuse nothing. */
static void warn(const char *file, const struct config_report *report)
{
	struct buf lines;
	buf_init(&lines, 1 << 20);
	configuration_tell(file, report, &lines);
	fputs(buf_str(&lines), stderr);
	buf_fini(&lines);
}

static int check_json(const struct options *o)
{
	struct err err = {0};
	struct config_report *report = calloc(1, sizeof(*report));
	if (!report)
		return print(NULL);
	struct config *config = configuration_check(o->config, CONFIGURATION_PATIENCE_MS, report, &err);
	if (config)
		warn(o->config, report);
	int code = config && o->given[OPTION_PRINT] ? print_effective(config)
		   : config                         ? output_json(o->verb, json_array())
						    : output_json(o->verb, mistakes_json(o->config, report, &err));
	free(report);
	code = code || config ? code : EX_CONFIG;
	config_release(config);
	return code;
}

static int check_text(const struct options *o)
{
	struct buf lines;
	struct err err = {0};
	buf_init(&lines, 1 << 20);
	struct config *config = configuration_read(o->config, CONFIGURATION_PATIENCE_MS, &lines, &err);
	int code = EX_CONFIG;
	fputs(buf_str(&lines), stderr);
	if (!config) {
		if (!lines.len)
			fprintf(stderr, "%s\n", err.text);
	} else if (o->given[OPTION_PRINT]) {
		code = print_effective(config);
	} else {
		printf("%s: ok\n", o->config);
		code = 0;
	}
	buf_fini(&lines);
	config_release(config);
	return code;
}

int check_run(const struct options *o)
{
	if (o->given[OPTION_SCHEMA])
		return print(config_schema());
	return o->given[OPTION_JSON] ? check_json(o) : check_text(o);
}
