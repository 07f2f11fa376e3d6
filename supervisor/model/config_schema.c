#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_table.h"
#include "config_value.h"
#include "podvisor/base/buf.h"
#include "podvisor/model/config.h"

/* jansson's setters take the new value in every case and fail on NULL, so that
 * a chain of them needs one look at the end: here, whether dumping works. */

static void put(json_t *object, const char *name, json_t *value)
{
	json_object_set_new(object, name, value);
}

static void put_text(json_t *object, const char *name, const char *text)
{
	put(object, name, json_string(text));
}

static json_t *of_type(const char *type)
{
	json_t *schema = json_object();
	put_text(schema, "type", type);
	return schema;
}

static json_t *string_like(const char *pattern)
{
	json_t *schema = of_type("string");
	if (pattern)
		put_text(schema, "pattern", pattern);
	return schema;
}

static json_t *reference(const struct config_section *section)
{
	char text[96];
	json_t *schema = json_object();
	snprintf(text, sizeof(text), "#/definitions/%s", section->name);
	put_text(schema, "$ref", text);
	return schema;
}

static json_t *words(const struct config_key *key)
{
	json_t *list = json_array();
	for (size_t i = 0; key->words[i].word; i++)
		if (!key->words[i].planned)
			json_array_append_new(list, json_string(key->words[i].word));
	json_t *schema = json_object();
	put(schema, "enum", list);
	return schema;
}

static json_t *any_of(json_t *a, json_t *b)
{
	json_t *list = json_array(), *schema = json_object();
	json_array_append_new(list, a);
	json_array_append_new(list, b);
	put(schema, "anyOf", list);
	return schema;
}

/* A value that is written bare may also be a string with a variable in it. */
static json_t *bare(const struct config_key *key)
{
	int64_t unit = key->type == CONFIG_FACTOR ? 100 : 1;
	json_t *schema = of_type(key->type == CONFIG_BOOL ? "boolean" : unit > 1 ? "number" : "integer");
	if (key->type == CONFIG_CLOSE_CODE) {
		put(schema, "minimum", json_integer(1000));
		put(schema, "maximum", json_integer(4999));
	} else if (key->type != CONFIG_BOOL) {
		put(schema, "minimum", json_integer(key->min / unit));
		if (key->max)
			put(schema, "maximum", json_integer(key->max / unit));
	}
	return any_of(schema, string_like("\\$\\{"));
}

static json_t *list_of(json_t *items, const struct config_key *key)
{
	json_t *schema = of_type("array");
	put(schema, "items", items);
	if (key->at_least_one)
		put(schema, "minItems", json_integer(1));
	return schema;
}

static json_t *object_of(json_t *values)
{
	json_t *schema = of_type("object");
	put(schema, "additionalProperties", values);
	return schema;
}

static json_t *section_or_shorthand(const struct config_key *key)
{
	json_t *schema = reference(key->section);
	return key->section->shorthand ? any_of(string_like("."), schema) : schema;
}

static json_t *value_of(const struct config_key *key)
{
	switch (key->type) {
	case CONFIG_BOOL:
	case CONFIG_NUMBER:
	case CONFIG_FACTOR:
	case CONFIG_CLOSE_CODE:
		return bare(key);
	case CONFIG_CHOICE:
		return any_of(words(key), string_like("\\$\\{"));
	case CONFIG_SIGNAL:
		return any_of(string_like(config_type_pattern(key->type)), of_type("integer"));
	case CONFIG_STRING:
		return string_like(config_syntax_pattern(key->syntax));
	case CONFIG_STRINGS:
		return list_of(string_like(config_syntax_pattern(key->syntax)), key);
	case CONFIG_PAIRS:
		return object_of(of_type("string"));
	case CONFIG_SECTION:
		return section_or_shorthand(key);
	case CONFIG_ENTRIES:
		return object_of(reference(key->section));
	case CONFIG_ROWS:
		return list_of(reference(key->section), key);
	default:
		return string_like(config_type_pattern(key->type));
	}
}

static json_t *with_word(json_t *schema, const char *word)
{
	json_t *constant = json_object();
	put_text(constant, "const", word);
	return any_of(constant, schema);
}

static json_t *default_of(const struct config_key *key)
{
	if (!key->fallback || key->type == CONFIG_STRINGS)
		return NULL;
	if (config_type_is_bare(key->type) && !(key->word && strcmp(key->fallback, key->word) == 0))
		return json_loads(key->fallback, JSON_DECODE_ANY, NULL);
	return json_string(key->fallback);
}

/* A $ref hides what stands beside it in draft-07, so it goes into an allOf. */
static json_t *property(const struct config_key *key)
{
	json_t *schema = value_of(key), *fallback = default_of(key);
	struct buf text;
	if (key->word)
		schema = with_word(schema, key->word);
	if (json_object_get(schema, "$ref")) {
		json_t *all = json_array(), *outer = json_object();
		json_array_append_new(all, schema);
		put(outer, "allOf", all);
		schema = outer;
	}
	buf_init(&text, 1024);
	buf_printf(&text, "%s%s", key->planned ? "Not available in this version. " : "", key->text);
	put_text(schema, "description", buf_str(&text));
	buf_fini(&text);
	if (fallback)
		put(schema, "default", fallback);
	return schema;
}

static json_t *section_schema(const struct config_section *section)
{
	json_t *schema = of_type("object"), *properties = json_object(), *required = json_array();
	put_text(schema, "description", section->text);
	for (const struct config_key *key = section->keys; key->name; key++) {
		put(properties, key->name, property(key));
		if (key->required)
			json_array_append_new(required, json_string(key->name));
	}
	put(schema, "properties", properties);
	if (json_array_size(required))
		put(schema, "required", json_incref(required));
	json_decref(required);
	put(schema, "additionalProperties", json_false());
	return schema;
}

static void define(json_t *definitions, const struct config_section *section)
{
	for (const struct config_key *key = section->keys; key->name; key++) {
		if (!key->section || json_object_get(definitions, key->section->name))
			continue;
		put(definitions, key->section->name, section_schema(key->section));
		define(definitions, key->section);
	}
}

char *config_schema(void)
{
	json_t *schema = json_object(), *root = section_schema(&config_root), *definitions = json_object();
	put_text(schema, "$schema", "http://json-schema.org/draft-07/schema#");
	put_text(schema, "title", "podvisor.json");
	json_object_update(schema, root);
	json_decref(root);
	define(definitions, &config_root);
	put(schema, "definitions", definitions);
	char *dumped = json_dumps(schema, JSON_INDENT(2));
	size_t len = dumped ? strlen(dumped) : 0;
	char *text = dumped ? realloc(dumped, len + 2) : NULL;
	if (text)
		memcpy(text + len, "\n", 2);
	else
		free(dumped);
	json_decref(schema);
	return text;
}
