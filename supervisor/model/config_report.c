#include "config_report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Control characters would garble a terminal, and a cut may have split a character. */
static void tidy(char *text, bool cut)
{
	size_t len = strlen(text);
	if (cut) {
		while (len && ((unsigned char)text[len - 1] & 0xC0) == 0x80)
			len--;
		if (len && ((unsigned char)text[len - 1] & 0x80))
			len--;
		text[len] = '\0';
	}
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
}

static struct config_mistake *add(struct config_report *r, int line, int column)
{
	if (r->count == CONFIG_MISTAKES_MAX) {
		r->more++;
		return NULL;
	}
	struct config_mistake *m = &r->items[r->count++];
	*m = (struct config_mistake){.line = line, .column = column};
	return m;
}

static void say(struct config_mistake *m, const struct config_node *at, const char *fmt, va_list args)
	PRINTF_LIKE(3, 0);
static void say(struct config_mistake *m, const struct config_node *at, const char *fmt, va_list args)
{
	if (!m)
		return;
	config_node_path(at, m->path, sizeof(m->path));
	tidy(m->path, strlen(m->path) == sizeof(m->path) - 1);
	int n = vsnprintf(m->text, sizeof(m->text), fmt, args);
	tidy(m->text, n >= (int)sizeof(m->text));
}

void config_report_value(struct config_report *r, const struct config_node *at, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	say(add(r, at->line, at->column), at, fmt, args);
	va_end(args);
}

void config_report_key(struct config_report *r, const struct config_node *at, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	say(add(r, at->key ? at->key_line : at->line, at->key ? at->key_column : at->column), at, fmt, args);
	va_end(args);
}

void config_report_missing(struct config_report *r, const struct config_node *object, const char *key)
{
	struct config_mistake *m = add(r, object->line, object->column);
	if (!m)
		return;
	config_node_path(object, m->path, sizeof(m->path));
	size_t len = strlen(m->path);
	snprintf(m->path + len, sizeof(m->path) - len, "%s%s", len ? "." : "", key);
	tidy(m->path, strlen(m->path) == sizeof(m->path) - 1);
	snprintf(m->text, sizeof(m->text), "is missing (the key \"%s\" is required)", key);
}

void config_report_place(struct config_report *r, int line, int column, const char *text)
{
	struct config_mistake *m = add(r, line, column);
	if (!m)
		return;
	int n = snprintf(m->text, sizeof(m->text), "%s", text);
	tidy(m->text, n >= (int)sizeof(m->text));
}

static bool comes_before(const struct config_mistake *a, const struct config_mistake *b)
{
	return a->line != b->line ? a->line < b->line : a->column < b->column;
}

/* Stable insertion: mistakes at one place stay in the order they were found. */
void config_report_sort(struct config_report *r)
{
	for (size_t i = 1; i < r->count; i++) {
		struct config_mistake m = r->items[i];
		size_t at = i;
		while (at > 0 && comes_before(&m, &r->items[at - 1]))
			at--;
		memmove(&r->items[at + 1], &r->items[at], (i - at) * sizeof(m));
		r->items[at] = m;
	}
}

const char *config_quote(const char *text, bool secret, char out[CONFIG_QUOTE_MAX])
{
	enum { SHOWN = CONFIG_QUOTE_MAX - 6 };
	if (secret)
		return "the value";
	bool cut = strlen(text) > SHOWN;
	snprintf(out, CONFIG_QUOTE_MAX, "\"%.*s", SHOWN, text);
	tidy(out, cut);
	size_t len = strlen(out);
	snprintf(out + len, CONFIG_QUOTE_MAX - len, "%s\"", cut ? "..." : "");
	return out;
}
