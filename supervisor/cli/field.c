#include "podvisor/cli/field.h"

const char *field_text(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));
	return value ? value : "";
}

double field_number(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);
	return json_is_number(value) ? json_number_value(value) : -1;
}

const char *field_item(const json_t *list, size_t i)
{
	const char *value = json_string_value(json_array_get(list, i));
	return value ? value : "";
}
