#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config_secret.h"
#include "config_table.h"
#include "config_value.h"
#include "config_walk.h"
#include "podvisor/base/buf.h"
#include "podvisor/base/json.h"
#include "podvisor/model/config.h"

#define PRINTED_MAX ((size_t)64 << 20)

struct printer {
	const struct config *config;
	struct buf out;
	int depth;
	bool first; /* nothing stands yet in this object or list */
};

static void item(struct printer *p)
{
	buf_puts(&p->out, p->first ? "\n" : ",\n");
	for (int i = 0; i < p->depth; i++)
		buf_puts(&p->out, "  ");
	p->first = false;
}

static void put_name(struct printer *p, const char *name)
{
	item(p);
	json_put_string(&p->out, name, strlen(name));
	buf_puts(&p->out, ": ");
}

static void open_with(struct printer *p, char bracket)
{
	buf_putc(&p->out, bracket);
	p->depth++;
	p->first = true;
}

static void close_with(struct printer *p, char bracket)
{
	bool empty = p->first;
	p->depth--;
	p->first = true;
	if (!empty)
		item(p);
	buf_putc(&p->out, bracket);
	p->first = false;
}

/* With every dollar sign doubled, so that reading it gives the same text again. */
static void put_literal(struct printer *p, const char *text)
{
	struct buf doubled;
	buf_init(&doubled, PRINTED_MAX);
	for (; *text; text++)
		buf_puts(&doubled, *text == '$' ? "$$" : (char[]){*text, '\0'});
	if (doubled.failed)
		p->out.failed = doubled.failed;
	else
		json_put_string(&p->out, buf_str(&doubled), doubled.len);
	buf_fini(&doubled);
}

static void put_text(struct printer *p, enum config_syntax syntax, const char *text, bool secret)
{
	if (secret || config_is_secret(p->config, text)) {
		buf_puts(&p->out, "\"***\"");
		return;
	}
	char *masked = syntax == CONFIG_DSN ? config_masked_dsn(text) : config_masked_text(text);
	if (masked)
		put_literal(p, masked);
	else
		p->out.failed = -ENOMEM;
	free(masked);
}

static void put_strings(struct printer *p, char **strings)
{
	char **shown = config_shown_strings(p->config, strings);
	if (!shown)
		p->out.failed = -ENOMEM;
	buf_putc(&p->out, '[');
	for (size_t i = 0; shown && shown[i]; i++) {
		buf_puts(&p->out, i ? ", " : "");
		put_literal(p, shown[i]);
	}
	buf_putc(&p->out, ']');
	config_strings_free(shown);
}

static void put_pairs(struct printer *p, const struct config_key *key, void *base)
{
	const struct config_pair *pairs = *config_walk_array(key, base);
	open_with(p, '{');
	for (size_t i = 0; i < *config_walk_count(key, base); i++) {
		put_name(p, pairs[i].name);
		put_text(p, key->syntax, pairs[i].value, config_name_is_secret(pairs[i].name));
	}
	close_with(p, '}');
}

static void put_number(struct printer *p, const struct config_key *key, const void *base)
{
	char text[CONFIG_VALUE_TEXT_MAX];
	int64_t value = config_value_load(key, base);
	bool is_word = key->word && value == key->word_value;
	const char *shown = config_value_format(key, value, text);
	if (config_type_is_bare(key->type) && !is_word)
		buf_puts(&p->out, shown);
	else
		json_put_string(&p->out, shown, strlen(shown));
}

static void put_section(struct printer *p, const struct config_section *section, void *base);

static void put_entries(struct printer *p, const struct config_key *key, void *base)
{
	open_with(p, '{');
	for (size_t i = 0; i < *config_walk_count(key, base); i++) {
		void *row = config_walk_row(key, base, i);
		put_name(p, *(char **)row);
		put_section(p, key->section, row);
	}
	close_with(p, '}');
}

static void put_rows(struct printer *p, const struct config_key *key, void *base)
{
	open_with(p, '[');
	for (size_t i = 0; i < *config_walk_count(key, base); i++) {
		item(p);
		put_section(p, key->section, config_walk_row(key, base, i));
	}
	close_with(p, ']');
}

/* What is not there, or cannot be set in this version, is not printed: the
 * output is a configuration again. */
static bool is_printed(const struct config_key *key, void *base)
{
	if (key->planned || (key->of_job && ((struct config_worker *)base)->kind != WORKER_JOB))
		return false;
	switch (key->type) {
	case CONFIG_STRING:
		return *config_walk_array(key, base) || key->word;
	case CONFIG_STRINGS:
		return !key->at_least_one || **(char ***)config_walk_array(key, base);
	case CONFIG_PAIRS:
	case CONFIG_ENTRIES:
	case CONFIG_ROWS:
		return *config_walk_count(key, base) > 0;
	case CONFIG_SECTION:
		return config_walk_present(key->section, config_walk_section(key, base));
	default:
		return !key->quiet || config_value_load(key, base) != key->word_value;
	}
}

static void put_value(struct printer *p, const struct config_key *key, void *base)
{
	const char *text;
	switch (key->type) {
	case CONFIG_STRING:
		text = *config_walk_array(key, base);
		if (text)
			put_text(p, key->syntax, text, key->secret);
		else
			json_put_string(&p->out, key->word, strlen(key->word));
		break;
	case CONFIG_STRINGS:
		put_strings(p, *config_walk_array(key, base));
		break;
	case CONFIG_PAIRS:
		put_pairs(p, key, base);
		break;
	case CONFIG_SECTION:
		put_section(p, key->section, config_walk_section(key, base));
		break;
	case CONFIG_ENTRIES:
		put_entries(p, key, base);
		break;
	case CONFIG_ROWS:
		put_rows(p, key, base);
		break;
	default:
		put_number(p, key, base);
	}
}

/* Of an optional section without a field of its own for whether it is there. */
static bool lacks_what_it_requires(const struct config_section *section, void *base)
{
	for (const struct config_key *key = section->keys; key->name; key++)
		if (key->required && key->type == CONFIG_STRING && !*config_walk_array(key, base))
			return true;
	return false;
}

/* A section of planned keys only is not printed either. */
static bool has_anything(const struct config_section *section, void *base)
{
	if (lacks_what_it_requires(section, base))
		return false;
	for (const struct config_key *key = section->keys; key->name; key++)
		if (is_printed(key, base))
			return true;
	return false;
}

static void put_section(struct printer *p, const struct config_section *section, void *base)
{
	open_with(p, '{');
	for (const struct config_key *key = section->keys; key->name; key++) {
		bool nothing =
			key->type == CONFIG_SECTION && !has_anything(key->section, config_walk_section(key, base));
		if (!is_printed(key, base) || nothing)
			continue;
		put_name(p, key->name);
		put_value(p, key, base);
	}
	close_with(p, '}');
}

char *config_print(const struct config *c)
{
	struct printer p = {.config = c, .first = true};
	buf_init(&p.out, PRINTED_MAX);
	/* The walk serves the writers as well and so takes no const; nothing is written here. */
	put_section(&p, &config_root, (void *)(uintptr_t)c);
	buf_putc(&p.out, '\n');
	char *text = buf_take(&p.out);
	buf_fini(&p.out);
	return text;
}
