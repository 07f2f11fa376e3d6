#include <stdio.h>
#include <string.h>

#include "config_table.h"
#include "config_value.h"
#include "podvisor/base/buf.h"
#include "podvisor/model/config.h"

#define PAGE_MAX ((size_t)1 << 20)

static const char intro[] =
	"# Configuration\n"
	"\n"
	"<!-- Generated from the table of keys (supervisor/model/config_table.c); change it there. -->\n"
	"\n"
	"podvisor reads one JSON file, by default `/etc/podvisor/podvisor.json`. Every section is optional. Unknown "
	"keys\n"
	"and duplicate keys are refused; all mistakes are named in one run, each with its line and column:\n"
	"\n"
	"```\n"
	"podvisor check -c podvisor.json            # every mistake\n"
	"podvisor check -c podvisor.json --print    # the effective configuration, defaults filled in, secrets masked\n"
	"podvisor check --schema                    # JSON Schema for editors; config/podvisor.schema.json is the "
	"same\n"
	"```\n"
	"\n"
	"## Values\n"
	"\n"
	"| kind | how it is written |\n"
	"|---|---|\n"
	"| duration | `\"250ms\"`, `\"30s\"`, `\"5m\"`, `\"12h\"`, `\"2d\"`, also `\"1h30m\"` |\n"
	"| size | as Kubernetes writes it: `\"512Mi\"`, `\"1.5Gi\"`, `\"64k\"`, plain bytes `\"4096\"` |\n"
	"| percentage | `\"85%\"` |\n"
	"| address | `\"127.0.0.1:3000\"`, `\"[::1]:3000\"`, `\"db:5432\"` |\n"
	"| name | letters, digits, `.`, `_` and `-`, at most 48, beginning with a letter or a digit |\n"
	"\n"
	"In any string, `${VAR}` is replaced by the environment variable, `${VAR:-default}` by the default when it is "
	"unset\n"
	"or empty, `${file:/path}` by the contents of a file (without the newlines at its end), and `$$` is a dollar "
	"sign.\n"
	"`HOSTNAME` is the host's name where the environment has none.\n"
	"A dollar sign before anything else is itself. Numbers, true and false may come out of a variable too: "
	"`\"${N}\"`.\n"
	"\n"
	"All that is done once, when the file is read, with podvisor's own environment; no shell has a part in it. In "
	"a "
	"command that\n"
	"is a shell's script, `$HOME`, `$1` and `$(date)` reach the shell as they are; what podvisor would take for "
	"its "
	"own is written\n"
	"with one dollar more: `$${HOME}` for the shell's `${HOME}`, `$$$$` for its `$$`. From a Kubernetes manifest "
	"`$(VAR)` becomes `${VAR}`\n"
	"(but it may then not be unset), and `$$(VAR)` stays what it is.\n"
	"\n"
	"Passwords in connection strings, tokens, everything that came from `${file:...}` and the values of variables "
	"whose\n"
	"names tell that they are secret (`..._PASSWORD`, `..._TOKEN`, `..._KEY`) are shown nowhere:\n"
	"not in `check --print`, a status or a log, and not in a sentence that brings one back, as the error of a file "
	"that is not there or\n"
	"what a check has printed. There values of four bytes and more are replaced, and what a worker itself writes "
	"is "
	"left as it is.\n"
	"A name is a secret's when it has `password`, `passwd`, `passphrase`, `secret`, `token`, `credential`, "
	"`private`, "
	"`apikey`, `api_key`,\n"
	"`access_key`, `cookie`, `authorization`, `signature` or `scram_` in it, is `pass`, `auth` or `dsn`, or ends "
	"in "
	"`_pass`, `_key`, `_pw`, `_pwd`,\n"
	"`_auth` or `_dsn`, in capitals or not.\n"
	"\n"
	"Keys marked *not yet* are known, but not available in this version: to set one is a mistake.\n";

static void put_type(struct buf *out, const struct config_key *key)
{
	static const char *const names[CONFIG_TYPE_COUNT] = {
		[CONFIG_BOOL] = "true or false",
		[CONFIG_NUMBER] = "number",
		[CONFIG_FACTOR] = "number",
		[CONFIG_DURATION] = "duration",
		[CONFIG_SIZE] = "size",
		[CONFIG_PERCENT] = "percentage",
		[CONFIG_SIGNAL] = "signal",
		[CONFIG_MODE] = "octal string",
		[CONFIG_CLOSE_CODE] = "number",
		[CONFIG_STRING] = "string",
		[CONFIG_STRINGS] = "list of strings",
		[CONFIG_PAIRS] = "object of strings",
		[CONFIG_SECTION] = "object",
		[CONFIG_ENTRIES] = "object, by name",
		[CONFIG_ROWS] = "list of objects",
	};
	static const char *const syntaxes[CONFIG_SYNTAX_COUNT] = {
		[CONFIG_PATH] = "path",
		[CONFIG_SOCKET] = "path",
		[CONFIG_ADDRESS] = "address",
		[CONFIG_TARGET] = "address or `unix:PATH`",
		[CONFIG_URL] = "URL",
		[CONFIG_REFERENCE] = "name",
	};
	if (key->type == CONFIG_CHOICE) {
		for (size_t i = 0; key->words[i].word; i++)
			buf_printf(out, "%s`%s`%s", i ? ", " : "", key->words[i].word,
				key->words[i].planned ? " (*not yet*)" : "");
		return;
	}
	if (key->type == CONFIG_STRING && syntaxes[key->syntax])
		buf_puts(out, syntaxes[key->syntax]);
	else
		buf_puts(out, names[key->type]);
	config_value_limits(key, config_type_is_bare(key->type) ? "" : "`", out);
	if (key->word)
		buf_printf(out, ", `%s`", key->word);
}

static void put_default(struct buf *out, const struct config_key *key)
{
	if (key->required)
		buf_puts(out, "**required**");
	else if (key->fallback_text)
		buf_puts(out, key->fallback_text);
	else if (key->fallback && *key->fallback)
		buf_printf(out, "`%s`", key->fallback);
	else if (key->type == CONFIG_STRINGS && key->fallback)
		buf_puts(out, "`[]`");
}

static void put_row(struct buf *out, const char *prefix, const struct config_key *key)
{
	buf_printf(out, "| `%s%s` | ", prefix, key->name);
	put_type(out, key);
	buf_puts(out, " | ");
	put_default(out, key);
	buf_printf(out, " | %s%s |\n", key->planned ? "*Not yet.* " : "", key->text);
}

/* One table of the section and all within it that is no map or list of its own. */
static void put_rows(struct buf *out, const char *prefix, const struct config_section *section)
{
	for (const struct config_key *key = section->keys; key->name; key++) {
		put_row(out, prefix, key);
		/* Checks stand in three places and have a table of their own. */
		if (key->type != CONFIG_SECTION || strcmp(key->section->name, "check") == 0)
			continue;
		struct buf longer;
		buf_init(&longer, 256);
		buf_printf(&longer, "%s%s.", prefix, key->name);
		put_rows(out, buf_str(&longer), key->section);
		buf_fini(&longer);
	}
}

static void put_table(struct buf *out, const char *title, const struct config_section *section)
{
	buf_printf(
		out, "\n## %s\n\n%s\n\n| key | value | default | meaning |\n|---|---|---|---|\n", title, section->text);
	put_rows(out, "", section);
}

static const struct config_section *find_check(const struct config_section *section)
{
	for (const struct config_key *key = section->keys; key->name; key++)
		if (strcmp(key->name, "readiness") == 0)
			return key->section;
	return NULL;
}

static void put_nested_rows(struct buf *out, const struct config_section *section)
{
	for (const struct config_key *key = section->keys; key->name; key++) {
		char title[96];
		if (key->type != CONFIG_ROWS)
			continue;
		snprintf(title, sizeof(title), "%s.%s[]", section->name, key->name);
		put_table(out, title, key->section);
	}
}

char *config_reference(void)
{
	struct buf out;
	buf_init(&out, PAGE_MAX);
	buf_puts(&out, intro);
	buf_puts(&out, "\n## The file\n\n| key | value | default | meaning |\n|---|---|---|---|\n");
	for (const struct config_key *key = config_root.keys; key->name; key++)
		put_row(&out, "", key);
	for (const struct config_key *key = config_root.keys; key->name; key++) {
		char title[96];
		if (!key->section)
			continue;
		snprintf(title, sizeof(title), "%s%s", key->name, key->type == CONFIG_ENTRIES ? ".NAME" : "");
		put_table(&out, title, key->section);
		put_nested_rows(&out, key->section);
	}
	put_table(&out, "workers.NAME.readiness, liveness, startup", find_check(&config_section_worker));
	char *text = buf_take(&out);
	buf_fini(&out);
	return text;
}
