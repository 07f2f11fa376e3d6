#include "config_text.h"

#include <errno.h>
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Walks text that jansson has accepted; still never reads past its end. */
struct scanner {
	const char *at, *end;
	int line, column;
	bool failed; /* out of memory */
};

static void scanner_step(struct scanner *s)
{
	unsigned char c = (unsigned char)*s->at++;
	if (c == '\n') {
		s->line++;
		s->column = 1;
	} else if ((c & 0xC0) != 0x80) { /* the first byte of a character */
		s->column++;
	}
}

static void scanner_skip(struct scanner *s, const char *set)
{
	while (s->at < s->end && *s->at && strchr(set, *s->at))
		scanner_step(s);
}

static char scanner_peek(struct scanner *s)
{
	scanner_skip(s, " \t\r\n");
	return s->at < s->end ? *s->at : '\0';
}

/* The string that begins here, decoded; malloc'ed. */
static char *scanner_string(struct scanner *s)
{
	const char *start = s->at;
	bool escaped = false;
	scanner_step(s);
	while (s->at < s->end && *s->at != '"') {
		if (*s->at == '\\') {
			escaped = true;
			scanner_step(s);
		}
		if (s->at < s->end)
			scanner_step(s);
	}
	if (s->at < s->end)
		scanner_step(s);
	size_t len = (size_t)(s->at - start);
	char *out = NULL;
	if (!escaped) {
		out = len >= 2 ? strndup(start + 1, len - 2) : NULL;
	} else {
		json_t *value = json_loadb(start, len, JSON_DECODE_ANY, NULL);
		out = value ? strdup(json_string_value(value)) : NULL;
		json_decref(value);
	}
	s->failed |= !out;
	return out;
}

static struct config_node *node_new(struct scanner *s, struct config_node *parent)
{
	struct config_node *node = calloc(1, sizeof(*node));
	if (!node) {
		s->failed = true;
		return NULL;
	}
	node->parent = parent;
	if (parent) {
		node->index = parent->n++;
		if (parent->last)
			parent->last->next = node;
		else
			parent->children = node;
		parent->last = node;
	}
	return node;
}

static void scan_number(struct scanner *s, struct config_node *node)
{
	const char *start = s->at;
	scanner_skip(s, "+-0123456789.eE");
	node->text = strndup(start, (size_t)(s->at - start));
	s->failed |= !node->text;
	node->kind = node->text && strpbrk(node->text, ".eE") ? CONFIG_NODE_REAL : CONFIG_NODE_INTEGER;
}

static void scan_word(struct scanner *s, struct config_node *node)
{
	node->kind = *s->at == 't' ? CONFIG_NODE_TRUE : *s->at == 'f' ? CONFIG_NODE_FALSE : CONFIG_NODE_NULL;
	scanner_skip(s, "truefalsn");
}

static void scan_value(struct scanner *s, struct config_node *node);

static void scan_list(struct scanner *s, struct config_node *node)
{
	scanner_step(s);
	while (!s->failed && s->at < s->end && scanner_peek(s) != ']') {
		struct config_node *child = node_new(s, node);
		if (!child)
			return;
		scan_value(s, child);
		if (scanner_peek(s) == ',')
			scanner_step(s);
	}
	if (s->at < s->end)
		scanner_step(s);
}

/* seen remembers the entry of each key, by its address, so that two thousand keys are no two million compares. */
static void mark_duplicate(struct scanner *s, json_t *seen, struct config_node *child)
{
	json_t *first = json_object_get(seen, child->key);
	if (first)
		child->first_of = (const struct config_node *)(intptr_t)json_integer_value(first);
	else if (json_object_set_new(seen, child->key, json_integer((json_int_t)(intptr_t)child)) < 0)
		s->failed = true;
}

static void scan_object(struct scanner *s, struct config_node *node)
{
	json_t *seen = json_object();
	s->failed |= !seen;
	scanner_step(s);
	while (!s->failed && s->at < s->end && scanner_peek(s) != '}') {
		struct config_node *child = node_new(s, node);
		if (!child)
			break;
		child->key_line = s->line;
		child->key_column = s->column;
		child->key = scanner_string(s);
		if (!child->key)
			break;
		mark_duplicate(s, seen, child);
		if (scanner_peek(s) == ':')
			scanner_step(s);
		scan_value(s, child);
		if (scanner_peek(s) == ',')
			scanner_step(s);
	}
	if (s->at < s->end)
		scanner_step(s);
	json_decref(seen);
}

static void scan_value(struct scanner *s, struct config_node *node)
{
	char c = scanner_peek(s);
	node->line = s->line;
	node->column = s->column;
	switch (c) {
	case '{':
		node->kind = CONFIG_NODE_OBJECT;
		scan_object(s, node);
		break;
	case '[':
		node->kind = CONFIG_NODE_ARRAY;
		scan_list(s, node);
		break;
	case '"':
		node->kind = CONFIG_NODE_STRING;
		node->text = scanner_string(s);
		break;
	case 't':
	case 'f':
	case 'n':
		scan_word(s, node);
		break;
	default:
		scan_number(s, node);
	}
}

/* jansson's sentence without its "near '...'", which would quote a piece of the
 * file, and that piece may be a secret. */
static void explain(const json_error_t *e, struct err *err)
{
	switch (json_error_code(e)) {
	case json_error_out_of_memory:
		err_set(err, -ENOMEM, "out of memory");
		break;
	case json_error_premature_end_of_input:
		err_set(err, -EBADMSG, "is not JSON: the file ends too early");
		break;
	case json_error_stack_overflow:
		err_set(err, -EBADMSG, "is nested too deeply");
		break;
	case json_error_numeric_overflow:
		err_set(err, -EBADMSG, "is not JSON that can be read: a number is too large");
		break;
	case json_error_null_character:
	case json_error_null_byte_in_key:
		err_set(err, -EBADMSG, "a string holds a NUL, written \\u0000 or as it is (expected text without one)");
		break;
	default: {
		const char *near = strstr(e->text, " near ");
		err_set(err, -EBADMSG, "is not JSON: %.*s", near ? (int)(near - e->text) : (int)strlen(e->text),
			e->text);
	}
	}
}

static bool is_blank(const char *text, size_t len)
{
	while (len && strchr(" \t\r\n", text[len - 1]) && text[len - 1])
		len--;
	return len == 0;
}

/* jansson tells where the token that it did not expect ends, and quotes it if it
 * is short; people look for where it begins. */
static int begin_of_token(const json_error_t *e)
{
	const char *near = strstr(e->text, " near '"), *end = near ? strrchr(near, '\'') : NULL;
	int column = e->column;
	for (const char *c = near ? near + 7 : NULL; c && c < end; c++)
		column -= (*c & 0xC0) != 0x80;
	return column < e->column ? column + 1 : e->column;
}

static int judge(const char *text, size_t len, int *line, int *column, struct err *err)
{
	json_error_t e;
	*line = *column = 1;
	if (is_blank(text, len))
		return err_set(err, -EBADMSG, "the file is empty (expected a JSON object)");
	if (len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0)
		return err_set(err, -EBADMSG, "the file begins with a byte order mark (expected UTF-8 without one)");
	json_t *json = json_loadb(text, len, JSON_DECODE_ANY, &e);
	if (!json) {
		*line = e.line > 0 ? e.line : 1;
		*column = begin_of_token(&e) > 0 ? begin_of_token(&e) : 1;
		explain(&e, err);
		return -EBADMSG;
	}
	json_decref(json);
	return 0;
}

struct config_node *config_node_read(const char *text, size_t len, int *line, int *column, struct err *err)
{
	struct scanner s = {.at = text, .end = text + len, .line = 1, .column = 1};
	if (judge(text, len, line, column, err) < 0)
		return NULL;
	struct config_node *root = node_new(&s, NULL);
	if (root)
		scan_value(&s, root);
	if (s.failed) {
		config_node_free(root);
		err_set(err, -ENOMEM, "out of memory");
		return NULL;
	}
	return root;
}

void config_node_free(struct config_node *node)
{
	if (!node)
		return;
	for (struct config_node *child = node->children, *next; child; child = next) {
		next = child->next;
		config_node_free(child);
	}
	free(node->key);
	free(node->text);
	free(node);
}

const struct config_node *config_node_get(const struct config_node *node, const char *key)
{
	if (!node || node->kind != CONFIG_NODE_OBJECT)
		return NULL;
	for (const struct config_node *child = node->children; child; child = child->next)
		if (strcmp(child->key, key) == 0)
			return child;
	return NULL;
}

void config_node_path(const struct config_node *node, char *out, size_t size)
{
	out[0] = '\0';
	if (!node->parent)
		return;
	config_node_path(node->parent, out, size);
	size_t len = strlen(out);
	if (node->key)
		snprintf(out + len, size - len, "%s%s", len ? "." : "", node->key);
	else
		snprintf(out + len, size - len, "[%zu]", node->index);
}

const char *config_node_noun(const struct config_node *node)
{
	static const char *const nouns[] = {
		[CONFIG_NODE_OBJECT] = "an object",
		[CONFIG_NODE_ARRAY] = "a list",
		[CONFIG_NODE_STRING] = "a string",
		[CONFIG_NODE_INTEGER] = "a number",
		[CONFIG_NODE_REAL] = "a number with decimals",
		[CONFIG_NODE_TRUE] = "true",
		[CONFIG_NODE_FALSE] = "false",
		[CONFIG_NODE_NULL] = "null",
	};
	return nouns[node->kind];
}
