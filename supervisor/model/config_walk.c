#include "config_walk.h"

#include <stdlib.h>
#include <string.h>

#include "config_value.h"

void *config_walk_section(const struct config_key *key, void *base)
{
	return (char *)base + key->offset;
}

void **config_walk_array(const struct config_key *key, void *base)
{
	return (void **)(void *)((char *)base + key->offset);
}

size_t *config_walk_count(const struct config_key *key, void *base)
{
	return (size_t *)(void *)((char *)base + key->count_offset);
}

void *config_walk_row(const struct config_key *key, void *base, size_t i)
{
	return (char *)*config_walk_array(key, base) + i * key->section->size;
}

bool config_walk_present(const struct config_section *section, const void *base)
{
	bool present = true;
	if (section->has_present)
		memcpy(&present, (const char *)base + section->present_offset, sizeof(present));
	return present;
}

char **config_strings_new(size_t n)
{
	return calloc(n + 1, sizeof(char *));
}

void config_strings_free(char **strings)
{
	for (size_t i = 0; strings && strings[i]; i++)
		free(strings[i]);
	free(strings);
}

/* "a,b,c" */
static char **split(const char *text)
{
	size_t n = *text != '\0';
	for (const char *c = text; *c; c++)
		n += *c == ',';
	char **strings = config_strings_new(n);
	for (size_t i = 0; strings && i < n; i++) {
		size_t len = strcspn(text, ",");
		strings[i] = strndup(text, len);
		if (!strings[i]) {
			config_strings_free(strings);
			return NULL;
		}
		text += len + (text[len] == ',');
	}
	return strings;
}

static bool default_string(const struct config_key *key, void *base)
{
	if (!key->fallback)
		return true;
	*config_walk_array(key, base) = strdup(key->fallback);
	return *config_walk_array(key, base) != NULL;
}

static bool default_number(const struct config_key *key, void *base)
{
	int64_t value = 0;
	if (key->fallback && config_value_parse(key, key->fallback, &value, NULL) < 0)
		return false; /* a slip in the table; a test looks at every key */
	config_value_store(key, base, value);
	return true;
}

bool config_walk_defaults(const struct config_section *section, void *base)
{
	bool ok = true;
	for (const struct config_key *key = section->keys; key->name && ok; key++) {
		if (key->type == CONFIG_SECTION) {
			ok = config_walk_defaults(key->section, config_walk_section(key, base));
		} else if (key->type == CONFIG_STRINGS) {
			*config_walk_array(key, base) = split(key->fallback ? key->fallback : "");
			ok = *config_walk_array(key, base) != NULL;
		} else if (key->type == CONFIG_STRING) {
			ok = default_string(key, base);
		} else if (config_type_is_number(key->type)) {
			ok = default_number(key, base);
		}
	}
	return ok;
}

static void free_pairs(const struct config_key *key, void *base)
{
	struct config_pair *pairs = *config_walk_array(key, base);
	for (size_t i = 0; i < *config_walk_count(key, base); i++) {
		free(pairs[i].name);
		free(pairs[i].value);
	}
	free(pairs);
}

static void free_rows(const struct config_key *key, void *base)
{
	for (size_t i = 0; i < *config_walk_count(key, base); i++) {
		void *row = config_walk_row(key, base, i);
		config_walk_free(key->section, row);
		if (key->type == CONFIG_ENTRIES)
			free(*(char **)row); /* its name */
	}
	free(*config_walk_array(key, base));
}

void config_walk_free(const struct config_section *section, void *base)
{
	for (const struct config_key *key = section->keys; key->name; key++) {
		switch (key->type) {
		case CONFIG_SECTION:
			config_walk_free(key->section, config_walk_section(key, base));
			break;
		case CONFIG_STRING:
			free(*config_walk_array(key, base));
			break;
		case CONFIG_STRINGS:
			config_strings_free(*config_walk_array(key, base));
			break;
		case CONFIG_PAIRS:
			free_pairs(key, base);
			break;
		case CONFIG_ENTRIES:
		case CONFIG_ROWS:
			free_rows(key, base);
			break;
		default:
			break;
		}
	}
}

const char *thing_name(enum thing thing)
{
	static const char *const names[THING_COUNT] = {
		[THING_WORKER] = "worker",
		[THING_POSTGRES] = "postgres",
		[THING_VOLUME] = "volume",
		[THING_BROWSER] = "browser",
		[THING_GATEWAY] = "gateway",
		[THING_LEASE] = "lease",
		[THING_POD] = "pod",
	};
	return names[thing];
}

enum thing config_thing(const char *word, size_t n)
{
	for (enum thing thing = 0; thing < THING_COUNT; thing++)
		if (strlen(thing_name(thing)) == n && memcmp(thing_name(thing), word, n) == 0)
			return thing;
	return THING_COUNT;
}

bool config_reference_split(const struct config_key *key, const char *text, enum thing *thing, const char **name)
{
	const char *colon = strchr(text, ':');
	bool only_bare = key->things == 1U << key->bare;
	*thing = key->bare;
	*name = text;
	if (!colon || only_bare)
		return true;
	*thing = config_thing(text, (size_t)(colon - text));
	*name = colon + 1;
	return *thing != THING_COUNT && (key->things & 1U << *thing);
}

size_t config_count(const struct config *c, enum thing thing)
{
	switch (thing) {
	case THING_WORKER:
		return c->n_workers;
	case THING_POSTGRES:
		return c->n_postgres;
	case THING_VOLUME:
		return c->n_volumes;
	case THING_BROWSER:
		return c->n_browsers;
	default:
		return 0;
	}
}

const char *config_name_of(const struct config *c, enum thing thing, size_t i)
{
	switch (thing) {
	case THING_WORKER:
		return c->workers[i].name;
	case THING_POSTGRES:
		return c->postgres[i].name;
	case THING_VOLUME:
		return c->volumes[i].name;
	case THING_BROWSER:
		return c->browsers[i].name;
	default:
		return NULL;
	}
}

int config_find(const struct config *c, enum thing thing, const char *name)
{
	for (size_t i = 0; i < config_count(c, thing); i++)
		if (strcmp(config_name_of(c, thing, i), name) == 0)
			return (int)i;
	return -1;
}

bool config_mark_secret(struct config *c, const char *text)
{
	const char **more = realloc(c->secrets, (c->n_secrets + 1) * sizeof(*more));
	if (!more)
		return false;
	c->secrets = more;
	c->secrets[c->n_secrets++] = text;
	return true;
}

bool config_is_secret(const struct config *c, const char *text)
{
	for (size_t i = 0; i < c->n_secrets; i++)
		if (c->secrets[i] == text)
			return true;
	return false;
}
