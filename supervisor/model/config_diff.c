#include "podvisor/model/config_diff.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_equal.h"
#include "config_secret.h"
#include "config_value.h"
#include "config_walk.h"

/* A text that is longer than this is named, not shown. */
enum { SHOWN_MAX = 40, PATH_MAX_BYTES = 128 };

struct differ {
	const struct config *old, *new;
	struct buf *out;
	bool any;
};

static void name_key(struct differ *d, const char *sign, const char *path, const char *key)
{
	buf_printf(d->out, "%s%s%s%s%s", d->any ? ", " : "", sign, path, path[0] && key[0] ? "." : "", key);
	d->any = true;
}

static bool is_shown(const struct differ *d, const struct config_key *key, const char *a, const char *b)
{
	if (key->secret || key->syntax == CONFIG_DSN || config_name_is_secret(key->name))
		return false;
	if ((a && config_is_secret(d->old, a)) || (b && config_is_secret(d->new, b)))
		return false;
	return (!a || strlen(a) <= SHOWN_MAX) && (!b || strlen(b) <= SHOWN_MAX);
}

static void put_masked(struct differ *d, const char *text)
{
	char *masked = text ? config_masked_text(text) : NULL;
	buf_puts(d->out, text ? masked ? masked : "***" : "none");
	free(masked);
}

static void put_strings(struct differ *d, const struct config_key *key, void *a, void *b)
{
	const char *was = *config_walk_array(key, a), *is = *config_walk_array(key, b);
	if (!is_shown(d, key, was, is))
		return;
	buf_puts(d->out, d->any ? " " : "");
	put_masked(d, was);
	buf_puts(d->out, " -> ");
	put_masked(d, is);
}

static void put_numbers(struct differ *d, const struct config_key *key, const void *a, const void *b)
{
	char was[CONFIG_VALUE_TEXT_MAX], is[CONFIG_VALUE_TEXT_MAX];
	buf_printf(d->out, " %s -> %s", config_value_format(key, config_value_load(key, a), was),
		config_value_format(key, config_value_load(key, b), is));
}

static const char *find_pair(const struct config_key *key, void *base, const char *name)
{
	const struct config_pair *pairs = *config_walk_array(key, base);
	for (size_t i = 0; i < *config_walk_count(key, base); i++)
		if (strcmp(pairs[i].name, name) == 0)
			return pairs[i].value;
	return NULL;
}

/* Values of variables and headers are named only: too many of them are secret under harmless names. */
static void put_pairs(struct differ *d, const struct config_key *key, void *a, void *b, const char *path)
{
	const struct config_pair *x = *config_walk_array(key, a), *y = *config_walk_array(key, b);
	for (size_t i = 0; i < *config_walk_count(key, a); i++) {
		const char *now = find_pair(key, b, x[i].name);
		if (!now || strcmp(now, x[i].value) != 0)
			name_key(d, now ? "" : "-", path, x[i].name);
	}
	for (size_t i = 0; i < *config_walk_count(key, b); i++)
		if (!find_pair(key, a, y[i].name))
			name_key(d, "+", path, y[i].name);
}

static void put_section(struct differ *d, const struct config_section *section, void *a, void *b, const char *path);

static void put_key(struct differ *d, const struct config_key *key, void *a, void *b, const char *path)
{
	char below[PATH_MAX_BYTES];
	snprintf(below, sizeof(below), "%s%s%s", path, path[0] ? "." : "", key->name);
	switch (key->type) {
	case CONFIG_SECTION:
		put_section(d, key->section, config_walk_section(key, a), config_walk_section(key, b), below);
		break;
	case CONFIG_PAIRS:
		put_pairs(d, key, a, b, below);
		break;
	case CONFIG_STRING:
		name_key(d, "", path, key->name);
		put_strings(d, key, a, b);
		break;
	case CONFIG_STRINGS:
	case CONFIG_ENTRIES:
	case CONFIG_ROWS:
		name_key(d, "", path, key->name);
		break;
	default:
		name_key(d, "", path, key->name);
		put_numbers(d, key, a, b);
	}
}

static void put_section(struct differ *d, const struct config_section *section, void *a, void *b, const char *path)
{
	bool was = config_walk_present(section, a), is = config_walk_present(section, b);
	if (was != is) {
		name_key(d, is ? "+" : "-", path, "");
		return;
	}
	for (const struct config_key *key = section->keys; key->name; key++)
		if (!config_equal_value(key, a, b))
			put_key(d, key, a, b, path);
}

/* The walk takes no const because it serves the writers as well. */
static void diff(const struct config *old, const struct config *new, const struct config_section *section,
	const void *a, const void *b, struct buf *out)
{
	struct differ d = {.old = old, .new = new, .out = out};
	put_section(&d, section, (void *)(uintptr_t)a, (void *)(uintptr_t)b, "");
}

void config_diff_worker(const struct config *old, const struct config_worker *a, const struct config *new,
	const struct config_worker *b, struct buf *out)
{
	diff(old, new, &config_section_worker, a, b, out);
}

void config_diff_browser(const struct config *old, const struct config_browser *a, const struct config *new,
	const struct config_browser *b, struct buf *out)
{
	diff(old, new, &config_section_browser, a, b, out);
}

void config_diff_part(const struct config *old, const struct config *new, const char *name, struct buf *out)
{
	struct differ d = {.old = old, .new = new, .out = out};
	void *a = (void *)(uintptr_t)old, *b = (void *)(uintptr_t) new;
	for (const struct config_key *key = config_root.keys; key->name; key++) {
		if (strcmp(key->name, name) != 0 || config_equal_value(key, a, b))
			continue;
		if (key->type == CONFIG_SECTION)
			put_section(&d, key->section, config_walk_section(key, a), config_walk_section(key, b), "");
		else
			put_strings(&d, key, a, b);
		if (!out->len)
			buf_puts(out, "another");
	}
}
