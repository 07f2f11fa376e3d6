#include <string.h>

#include "config_equal.h"
#include "config_value.h"
#include "config_walk.h"
#include "podvisor/model/config.h"

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_strings(char **a, char **b)
{
	while (*a && *b && strcmp(*a, *b) == 0)
		a++, b++;
	return !*a && !*b;
}

/* The order of variables means nothing. */
static bool same_pairs(const struct config_key *key, void *a, void *b)
{
	const struct config_pair *x = *config_walk_array(key, a), *y = *config_walk_array(key, b);
	size_t n = *config_walk_count(key, a);
	if (n != *config_walk_count(key, b))
		return false;
	for (size_t i = 0; i < n; i++) {
		size_t j = 0;
		while (j < n && strcmp(x[i].name, y[j].name) != 0)
			j++;
		if (j == n || strcmp(x[i].value, y[j].value) != 0)
			return false;
	}
	return true;
}

static bool same_section(const struct config_section *section, void *a, void *b);

static bool same_rows(const struct config_key *key, void *a, void *b)
{
	size_t n = *config_walk_count(key, a);
	if (n != *config_walk_count(key, b))
		return false;
	for (size_t i = 0; i < n; i++) {
		void *x = config_walk_row(key, a, i), *y = config_walk_row(key, b, i);
		bool same_name = key->type != CONFIG_ENTRIES || same_text(*(char **)x, *(char **)y);
		if (!same_name || !same_section(key->section, x, y))
			return false;
	}
	return true;
}

static bool same_value(const struct config_key *key, void *a, void *b)
{
	switch (key->type) {
	case CONFIG_STRING:
		return same_text(*config_walk_array(key, a), *config_walk_array(key, b));
	case CONFIG_STRINGS:
		return same_strings(*config_walk_array(key, a), *config_walk_array(key, b));
	case CONFIG_PAIRS:
		return same_pairs(key, a, b);
	case CONFIG_SECTION:
		return same_section(key->section, config_walk_section(key, a), config_walk_section(key, b));
	case CONFIG_ENTRIES:
	case CONFIG_ROWS:
		return same_rows(key, a, b);
	default:
		return config_value_load(key, a) == config_value_load(key, b);
	}
}

static bool same_section(const struct config_section *section, void *a, void *b)
{
	if (config_walk_present(section, a) != config_walk_present(section, b))
		return false;
	for (const struct config_key *key = section->keys; key->name; key++)
		if (!same_value(key, a, b))
			return false;
	return true;
}

/* The walk takes no const because it serves the writers as well. */
static bool same(const struct config_section *section, const void *a, const void *b)
{
	return same_section(section, (void *)(uintptr_t)a, (void *)(uintptr_t)b);
}

bool config_equal_value(const struct config_key *key, void *a, void *b)
{
	return same_value(key, a, b);
}

bool config_equal(const struct config *a, const struct config *b)
{
	return same(&config_root, a, b);
}

/* How many run is no part of how one of them runs. */
bool config_worker_equal(const struct config_worker *a, const struct config_worker *b)
{
	struct config_worker other = *b;
	other.instances = a->instances;
	return same_text(a->name, b->name) && a->interactive == b->interactive &&
	       same(&config_section_worker, a, &other);
}

bool config_browser_equal(const struct config_browser *a, const struct config_browser *b)
{
	return same_text(a->name, b->name) && same(&config_section_browser, a, b);
}

bool config_postgres_equal(const struct config_postgres *a, const struct config_postgres *b)
{
	return same_text(a->name, b->name) && same(&config_section_postgres, a, b);
}

bool config_leases_equal(const struct config_leases *a, const struct config_leases *b)
{
	return same(&config_section_leases, a, b);
}

bool config_volume_equal(const struct config_volume *a, const struct config_volume *b)
{
	return same_text(a->name, b->name) && same(&config_section_volume, a, b);
}

bool config_gateway_equal(const struct config_gateway *a, const struct config_gateway *b)
{
	return same(&config_section_gateway, a, b);
}
